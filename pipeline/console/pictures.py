"""Pictures in the plan of a search."""

from pathlib import Path
from typing import Any

from pipeline.console.words import short


def pictures_rows(facts: dict[str, Any]) -> dict[str, str]:
    """Rows of a plan, by heading; none where the data are no pictures."""
    pictures = facts.get("pictures")
    if not pictures:
        return {}
    return {"pictures": _made_alike(pictures, facts["shape"][2])}


def _made_alike(pictures: dict[str, Any], channels: int) -> str:
    low, high, size = (
        "x".join(map(str, pictures[name])) for name in ("smallest", "largest", "size")
    )
    if low == high == size:
        parts = [f"{pictures['count']:,} of {size} pixels"]
    else:
        came = low if low == high else f"{low} to {high}"
        why = "as asked" if pictures["asked"] else "the median"
        parts = [f"{pictures['count']:,}, resized from {came} to {size} ({why}; aspect not kept)"]
    if channels == 1:
        parts.append("grey")
    else:
        parts.append("RGB" + f" ({pictures['grey']:,} are grey)" * bool(pictures["grey"]))
    left_out = [f"{count:,} {what}" for what, count in pictures["left_out"].items()]
    if left_out:
        parts.append(f"left out: {', '.join(left_out)}")
    here = " on this machine, as runs are in an object store" if pictures["remote"] else ""
    parts.append(f"prepared in {short(Path(pictures['prepared']))}{here}")
    return "; ".join(parts)
