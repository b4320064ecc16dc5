"""Imported by every process that a local Ray holds ready, before it is given anything to do.

What a trial and the helper import is then there when the driver has settled what to search:
TensorFlow alone takes five seconds, and until then a second core has nothing to do.
"""

import contextlib
import os
from importlib import import_module

from pipeline.engine.imports import import_keras, quick_imports
from pipeline.worker.devices import machine

# What is wrong is said by the trial, which does the same; here it would end the process, and Ray
# start another.
with contextlib.suppress(Exception):
    machine.prepare_process(float(os.environ["OMP_NUM_THREADS"]), gpus=0)

    with quick_imports():  # all in one, after which what was imported is frozen
        for name in (
            "pipeline.engine.helper.actor",
            "pipeline.engine.trials.trainable",
            "pipeline.worker.training.evaluate",
            "pipeline.worker.spaces.reveal",
        ):
            import_module(name)
        import_keras()
