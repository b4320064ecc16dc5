"""Settings as text: a file's mapping in YAML, a duration like 8h."""

import re
from typing import Any

import yaml

from pipeline.errors import RequestError, one_line, quoted
from pipeline.records.entries.former_names import SETTINGS, renamed

LARGEST_FILE = 2**18  # characters; an experiment has some 1000


def settings_in(text: str, source: str) -> dict[str, Any]:
    """What a file of settings holds, not checked any further.

    Raises:
        RequestError: it is not YAML, or not a mapping; the message names `source`.
    """
    if len(text) > LARGEST_FILE:
        raise RequestError(
            f"{source} must hold settings, one a line (dataset: mnist); it has {len(text):,} "
            "characters."
        )
    try:
        plain = yaml.load(text, _Loader)
    # PyYAML lets out what Python raises of a date that cannot be, of deep nesting
    except Exception as error:
        what = "" if isinstance(error, yaml.YAMLError) else "a value cannot be read: "
        raise RequestError(f"{source} must be YAML; {what}{one_line(str(error))}") from error
    if not isinstance(plain, dict) or not all(isinstance(key, str) for key in plain):
        raise RequestError(
            f"{source} must hold settings, one a line (dataset: mnist); got {text.strip()[:60]!r}."
        )
    return renamed(plain, SETTINGS)


def seconds_in(name: str, text: str) -> float:
    """How long a duration is: 90s, 10m, 1h30m.

    Raises:
        RequestError: it is none; the message begins with `name`.
    """
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise RequestError(f"{name} must be a duration like 90s, 10m or 1h30m; got {quoted(text)}.")
    return float(sum(float(number) * units[unit] for number, unit in parts))


class _Loader(yaml.SafeLoader):
    """YAML without merging (`<<`).

    A few lines that merge each other ask for more memory than there is.
    """

    def flatten_mapping(self, node: Any) -> None:
        """Leave the key: no value can be made of it."""
