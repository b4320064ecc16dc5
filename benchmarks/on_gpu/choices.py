"""Measures what `--gpus-per-trial auto` chooses, and how long the choice takes."""

import os
import tempfile
import time

FAMILIES = ("mlp", "cnn", "resnet")  # on MNIST


def measure(until):
    """Measure each family for which time is left; nothing is remembered of another run."""
    from pipeline import Experiment
    from pipeline.engine.tuning import dry_run

    found = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for space in FAMILIES:
            if time.monotonic() > until:
                found.append({"space": space, "left_out": True})
                continue
            began = time.monotonic()
            asked = Experiment(
                dataset="mnist",
                search_space=space,
                searcher="random",
                gpus_per_trial="auto",
                storage=folder,
            )
            said = {"space": space}
            try:
                plan = dry_run(asked, quiet=True)
                said |= {
                    "gpus_per_trial": plan.experiment.gpus_per_trial,
                    "said": plan.on_gpus,
                    "dry_run_s": round(time.monotonic() - began, 1),
                }
            except Exception as error:  # the others are worth recording
                said["error"] = f"{type(error).__name__}: {error}"[:500]
            found.append(said)
            print(said, flush=True)
    return found
