"""Imports of many modules at once, in the driver and in its workers."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the garbage collector rest while modules are imported.

    What they make stays, and the collector would look through it again and again: Keras's import
    then takes 4.5 s of CPU in place of 3.5 (AMD EPYC).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def import_keras() -> None:
    """Import what trials need: in a worker or the helper, after its devices are settled."""
    with uncollected():
        import_module("pipeline.worker.training.repeats")
        import_module("pipeline.worker.spaces.loading")
    if not gc.get_freeze_count():
        # All of it stays: looked through at each collection, TensorFlow's objects cost a trial half
        # a second.
        gc.collect()
        gc.freeze()
