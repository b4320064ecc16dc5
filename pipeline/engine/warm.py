"""Imported by every process that a local Ray holds ready, before it is given anything to do.

What a trial and the helper import is then there when the driver has settled what to search:
TensorFlow alone takes five seconds, and until then a second core has nothing to do.
"""

import contextlib
import os

from pipeline.worker.devices import machine

# What is wrong is said by the trial, which does the same; here it would end the process, and Ray
# start another.
with contextlib.suppress(Exception):
    machine.prepare(float(os.environ["OMP_NUM_THREADS"]), gpus=0)

    import pipeline.engine.helper.actor
    import pipeline.engine.trials.trainable
    import pipeline.worker.spaces.reveal  # noqa: F401
    from pipeline.engine.worker_imports import import_keras

    import_keras()
