"""Settings of a process: what a search space's file sets at its top holds for each of its models.

Keras keeps its dtype policy by thread and forgets it in `clear_session`; the others are kept for
the process, so that what one trial's `build` sets would hold for the next.
"""

from dataclasses import dataclass, field
from typing import Any

import keras


def _runs_eagerly() -> bool:
    """Whether TensorFlow was told to run functions as Python code, as one does to debug."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.config.functions_run_eagerly())


@dataclass(frozen=True)
class Settings:
    """As they are when it is made."""

    policy: Any = field(default_factory=keras.config.dtype_policy)
    floatx: str = field(default_factory=keras.config.floatx)
    epsilon: float = field(default_factory=keras.config.epsilon)
    image_data_format: str = field(default_factory=keras.config.image_data_format)
    functions_run_eagerly: bool = field(default_factory=_runs_eagerly)

    def restore(self) -> None:
        """Set them again, in this thread."""
        keras.config.set_floatx(self.floatx)
        keras.config.set_epsilon(self.epsilon)
        keras.config.set_image_data_format(self.image_data_format)
        keras.config.set_dtype_policy(self.policy)
        if _runs_eagerly() != self.functions_run_eagerly:
            import tensorflow as tf

            tf.config.run_functions_eagerly(self.functions_run_eagerly)
