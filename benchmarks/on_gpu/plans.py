"""JAX's fit plans on a GPU: examples a second of the default model, one at a time.

Run by `gpu.py` as a process of its own, which has the whole GPU: it prints a line of JSON a case.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

FAMILIES = (("mlp", "digits"), ("mlp", "mnist"), ("cnn", "mnist"), ("resnet", "mnist"))
PLANS = ("plain", "compiled")
WINDOW_S = 3.0


def measure(until):
    """Run the process; the lines that it printed until `until`."""
    return printed([sys.executable, "-m", "on_gpu.plans"], until)


def printed(command, until):
    """The lines of JSON that a process prints in time; its last words where it fails or is late."""
    found = []
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        output, errors = process.communicate(timeout=max(1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        errors = f"it was ended when its time was over\n{errors}"
    for line in output.splitlines():
        if line.startswith("{"):
            found.append(json.loads(line))
            print(found[-1], flush=True)
    if process.returncode:
        found.append({"failed": errors.strip()[:500]})
        print(found[-1], flush=True)
    return found


def job(folder, space, plan, objective="val_loss"):
    """A trial of the default configuration."""
    from pipeline.objective import Objective
    from pipeline.worker.session import Job

    return Job("t0000", {}, 0, 1, Objective(objective, "min"), Path(folder), fit_plan=plan)


def main():
    import tempfile

    from pipeline import names
    from pipeline.engine.gpus.gauge import OnShare
    from pipeline.worker.devices import machine
    from pipeline.worker.spaces.loading import load_dataset

    process = OnShare(4, 1)
    machine.claim(4, 1)
    for space, dataset in FAMILIES:
        data = load_dataset(names.resolve("dataset", dataset), 0, None)
        source = names.resolve("search space", space)
        for plan in PLANS:
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                failed = process.warm_up(source, data, job(folder, space, plan))
                warm_s = time.monotonic() - began
                window = process.go_on(WINDOW_S)
            said = {"space": space, "dataset": dataset, "plan": plan, "failed": failed}
            said |= {
                "first_epoch_s": round(warm_s, 2),
                "epochs_a_s": round(window.epochs_a_s, 3),
                "busy": window.busy,
                "peak_mib": window.peak_mib,
            }
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
