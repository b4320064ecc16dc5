"""Keras's settings of a process, which hold for each model that is built in it.

What the script that calls `search` or `tune` has set holds in its trials, and so does what a search
space's file sets at its top. Keras keeps its dtype policy by thread and forgets it in
`clear_session`; the others are kept for the process, so that what one trial's `build` sets would
hold for the next.
"""

from dataclasses import dataclass, field
from typing import Any

import keras

from pipeline.worker.backends.known import current


@dataclass(frozen=True)
class Settings:
    """As they are when it is made."""

    policy: Any = field(default_factory=keras.config.dtype_policy)
    floatx: str = field(default_factory=keras.config.floatx)
    epsilon: float = field(default_factory=keras.config.epsilon)
    image_data_format: str = field(default_factory=keras.config.image_data_format)
    functions_run_eagerly: bool = field(default_factory=lambda: current().runs_functions_eagerly())

    def plain(self) -> dict[str, Any]:
        """Those that decide numbers, fit for JSON."""
        return {
            "dtype_policy": self.policy.name,
            "floatx": self.floatx,
            "epsilon": self.epsilon,
            "image_data_format": self.image_data_format,
        }

    def restore(self) -> None:
        """Set them again, in this thread."""
        keras.config.set_floatx(self.floatx)
        keras.config.set_epsilon(self.epsilon)
        keras.config.set_image_data_format(self.image_data_format)
        keras.config.set_dtype_policy(self.policy)
        backend = current()
        if backend.runs_functions_eagerly() != self.functions_run_eagerly:
            backend.run_functions_eagerly(self.functions_run_eagerly)


@dataclass(frozen=True)
class CallersSettings:
    """Settings of the process that asks for a search, and the objects that are registered there."""

    settings: Settings
    objects: dict[str, Any]  # by the name that Keras finds each by

    def restore(self) -> None:
        """Set and register them in this process.

        Those of a custom scope are registered too: a scope ends where another thread begins.
        """
        self.settings.restore()
        for name, thing in self.objects.items():
            package, separator, own_name = name.rpartition(">")
            if separator:  # as the decorator of a class that is saved under this name
                keras.saving.register_keras_serializable(package, own_name)(thing)
            else:
                keras.saving.get_custom_objects()[name] = thing


def registered_objects() -> dict[str, Any]:
    """What Keras finds by a name in this thread: registered, or in a custom scope."""
    with keras.saving.custom_object_scope({}) as scope:
        return {**keras.saving.get_custom_objects(), **scope.backup}
