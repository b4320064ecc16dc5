"""What a worker imports for its trials, once its devices are settled."""

import gc


def import_keras() -> None:
    """Import what trials need: in the worker alone, after its devices are settled."""
    import pipeline.worker.spaces.loading  # noqa: F401

    if not gc.get_freeze_count():
        # All of it stays: looked through at each collection, TensorFlow's objects cost a trial half
        # a second.
        gc.collect()
        gc.freeze()
