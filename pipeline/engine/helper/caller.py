"""What the process that asks for a search has set in Keras, on its way to the trials."""

import sys
from collections.abc import Callable
from typing import Any

from pipeline.engine.cluster.shipping import check_sendable, with_code
from pipeline.errors import RequestError
from pipeline.worker.session import SentSpace


def with_settings(search_space: Any, warned: Callable[[str], None]) -> Any:
    """A search space with what this process has set in Keras, if it uses Keras.

    Args:
        search_space: where it is defined, or itself.
        warned: is told of registered objects that cannot be sent.
    """
    if "keras" not in sys.modules:
        return search_space
    from ray import cloudpickle

    from pipeline.worker.spaces.settings import CallersSettings, Settings, registered_objects

    objects = {}
    for name, thing in registered_objects().items():
        try:
            check_sendable("registered object", with_code(thing))
            objects[name] = thing
        except RequestError as error:
            warned(f"{error} Trials do not find it as {name!r}: make it within build.")
    settings = CallersSettings(Settings(), objects)
    return SentSpace(cloudpickle.dumps((with_code(search_space), settings)))


def settings_here() -> dict[str, Any]:
    """What this process has set in Keras that decides numbers; nothing if it does not use Keras."""
    if "keras" not in sys.modules:
        return {}
    from pipeline.worker.spaces.settings import Settings

    return Settings().plain()
