"""What was measured on GPUs, kept for this user's next searches on this machine.

One small file in the user's cache folder, `kerasweep/gpus.json`. What cannot be read is measured
anew, what cannot be written is not kept.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.data.files.cache import cache_folder
from pipeline.digest import fingerprint, label
from pipeline.engine.gpus.choice import Measured
from pipeline.engine.gpus.gauge import Gpu
from pipeline.names import Source
from pipeline.records.layout import write_whole
from pipeline.worker.session import Job

KEPT = 200  # of the last that were measured
ENTRY = TypeAdapter(Measured)
# what a model is built and fed for
OF_DATA = ("shape", "dtype", "classes", "task", "target_shape")


def key_of(
    gpu: Gpu, source: Any, facts: Mapping[str, Any], job: Job, cpus: float, most: int
) -> str:
    """What a measurement holds for, as a line that a person can read.

    Args:
        gpu: where, and what computes there.
        source: the search space.
        facts: what the dataset is.
        job: how its trials train.
        cpus: of a trial.
        most: trials at once that could be tried.
    """
    backend = gpu.on["backend"]
    data = ", ".join(str(facts.get(name)) for name in OF_DATA)
    return "; ".join(
        (
            f"{gpu.name} {gpu.total_mib} MiB",
            f"{backend} {gpu.on[backend]}, keras {gpu.on['keras']}",
            _named(source),
            data,
            f"{job.repeats} trainings, {job.folds} folds, plan {job.fit_plan}",
            f"{cpus:g} CPU, up to {most}",
        )
    )


def _named(source: Any) -> str:
    """A search space by name and content."""
    if isinstance(source, Source):
        return f"{source.label}:{source.function} {source.sha256[:16]}"
    return f"{label(source)} {fingerprint(source)['sha256'][:16]}"


def recall(key: str) -> Measured | None:
    """What was measured under a key; None where nothing is known."""
    try:
        found = ENTRY.validate_python(_entries()[key]["measured"])
    except (KeyError, TypeError, ValidationError):
        return None
    numbers = [*found.plans.values(), *found.rates.values()]
    sound = all(isfinite(number) and number > 0 for number in numbers)
    return found if sound and (1 in found.rates or not found.rates) else None


def remember(key: str, found: Measured) -> None:
    """Keep what was measured."""
    entries = {name: each for name, each in _entries().items() if name != key}
    entries[key] = {"measured": asdict(found), "at": time.strftime("%Y-%m-%d %H:%M:%S")}
    last = dict(list(entries.items())[-KEPT:])
    with suppress(OSError):
        write_whole(_file(), json.dumps(last, indent=1) + "\n")


def _entries() -> dict[str, Any]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _file() -> Path:
    return cache_folder() / "gpus.json"
