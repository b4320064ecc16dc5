"""Imported by every process that a local Ray holds ready, before it is given anything to do.

What a trial and the helper import is then there when the driver has settled what to search:
TensorFlow alone takes five seconds, and until then a second core has nothing to do.
"""

import contextlib
import os

from pipeline.engine.imports import import_keras, import_quickly
from pipeline.worker.devices import machine

# What is wrong is said by the trial, which does the same; here it would end the process, and Ray
# start another.
with contextlib.suppress(Exception):
    machine.prepare_process(float(os.environ["OMP_NUM_THREADS"]), gpus=0)

    import_quickly(
        [
            "pipeline.engine.helper.actor",
            "pipeline.engine.trials.trainable",
            "pipeline.worker.training.evaluate",
            "pipeline.worker.spaces.reveal",
        ]
    )
    import_keras()
