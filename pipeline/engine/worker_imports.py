"""What a worker imports for its trials, once its devices are settled."""

import gc
from importlib import import_module


def import_keras() -> None:
    """Import what trials need: in the worker alone, after its devices are settled."""
    import_module("pipeline.worker.training.repeats")
    import_module("pipeline.worker.spaces.loading")
    if not gc.get_freeze_count():
        # All of it stays: looked through at each collection, TensorFlow's objects cost a trial half
        # a second.
        gc.collect()
        gc.freeze()
