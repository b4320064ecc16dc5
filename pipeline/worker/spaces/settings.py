"""Settings of a process: what a search space's file sets at its top holds for each of its models.

Keras keeps its dtype policy by thread and forgets it in `clear_session`; the others are kept for
the process, so that what one trial's `build` sets would hold for the next.
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

    def restore(self) -> None:
        """Set them again, in this thread."""
        keras.config.set_floatx(self.floatx)
        keras.config.set_epsilon(self.epsilon)
        keras.config.set_image_data_format(self.image_data_format)
        keras.config.set_dtype_policy(self.policy)
        backend = current()
        if backend.runs_functions_eagerly() != self.functions_run_eagerly:
            backend.run_functions_eagerly(self.functions_run_eagerly)
