"""What a script had set in Keras when it asked for a search: a resume must find it again."""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import RequestError, one_line
from pipeline.records.checksummed import (
    Warned,
    file_or_copy_exists,
    read_checksummed,
    write_checksummed,
)
from pipeline.records.layout import Layout

# Keras's own (3.15). Only what differs is recorded: most runs have none of it.
DEFAULTS: dict[str, Any] = {
    "dtype_policy": "float32",
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
}


def write_keras_settings(layout: Layout, settings: Mapping[str, Any]) -> None:
    """Record those that are not Keras's own, if there are any."""
    if changed := {n: value for n, value in settings.items() if value != DEFAULTS[n]}:
        write_checksummed(layout, layout.keras_settings, changed)


def check_keras_settings(
    layout: Layout, settings: Mapping[str, Any], warned: Warned | None = None
) -> None:
    """Refuse to go on with a run under other settings than it was begun with.

    Raises:
        RequestError: one is another, or the record is damaged in both copies.
    """
    recorded: dict[str, Any] = {}
    if file_or_copy_exists(layout, layout.keras_settings):
        try:
            recorded = read_checksummed(layout, layout.keras_settings, warned=warned)
        except (OSError, ValueError) as error:
            raise RequestError(
                f"{layout.keras_settings} must hold what was set in Keras; {one_line(str(error))}."
            ) from error
    before, now = DEFAULTS | recorded, {**DEFAULTS, **settings}
    wrong = [f"{n} {before[n]}, and it is {now[n]}" for n in DEFAULTS if before[n] != now[n]]
    if wrong:
        raise RequestError(
            f"A resumed run keeps what was set in Keras; it had {'; '.join(wrong)}. Set it in the "
            "script (keras.config.set_dtype_policy and the like) that goes on with the run."
        )
