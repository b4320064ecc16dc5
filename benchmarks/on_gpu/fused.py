"""Trainings of `mlp` that differ in their learning rate alone, fused in groups on one GPU, on JAX.

Run by `gpu.py` as a process of its own, which has the whole GPU: it prints a line of JSON a case.
The goal is ten times the trials a minute of one at a time.
"""

import json
import sys
import tempfile
import time

from on_gpu.plans import job, printed

DATASETS = ("digits", "mnist")
GROUPS = (1, 8, 32, 128)
EPOCHS = 3


def measure(until):
    """Run the process; the lines that it printed until `until`."""
    return printed([sys.executable, "-m", "on_gpu.fused"], until)


def one_at_a_time(space, data, folder, rate):
    """Train one model to its end, as a trial does without fusing; its seconds."""
    from dataclasses import replace

    from pipeline.worker.session import Stopped, Until
    from pipeline.worker.training.repeats import carry_out

    own = job(f"{folder}/{rate}", "mlp", "auto")
    began = time.monotonic()
    try:
        alone = replace(own, configuration={"learning_rate": rate}, fill="default")
        ending = carry_out(replace(alone, max_epochs=EPOCHS), space, data, Until(EPOCHS))
        assert ending.failure is None, ending.failure
    except Stopped:
        pass
    return time.monotonic() - began


def fused(space, data, folder, rates):
    """Train a model for each learning rate, all in one group; seconds of all together."""
    from dataclasses import replace

    from pipeline.worker.fused.programs import Programs
    from pipeline.worker.session import Until
    from pipeline.worker.training.group import train_group

    own = replace(job(folder, "mlp", "fused"), max_epochs=EPOCHS, fill="default")
    jobs = [
        replace(
            own,
            trial=f"t{n:04d}",
            directory=own.directory / str(n),
            configuration={"learning_rate": rate},
        )
        for n, rate in enumerate(rates)
    ]
    began = time.monotonic()
    endings = train_group(jobs, space, data, [Until(EPOCHS) for _ in jobs], Programs())
    assert all(ending.failure is None for ending in endings), endings
    return time.monotonic() - began


def main():
    from pipeline import names
    from pipeline.worker.devices import machine
    from pipeline.worker.spaces.loading import load_dataset, load_search_space

    machine.claim(4, 1)
    space = load_search_space(names.resolve("search space", "mlp"))
    for dataset in DATASETS:
        data = load_dataset(names.resolve("dataset", dataset), 0, None)
        for count in GROUPS:
            rates = [0.001 + number * 1e-5 for number in range(count)]
            with tempfile.TemporaryDirectory() as folder:
                alone = one_at_a_time(space, data, folder, rates[0]) if count == 1 else None
                together = fused(space, data, folder, rates)
            said = {"dataset": dataset, "group": count, "epochs": EPOCHS}
            for name, seconds in (("alone", alone), ("fused", together)):
                said |= {
                    f"{name}_s": seconds and round(seconds, 2),
                    f"{name}_trials_a_minute": seconds and round(60 * count / seconds, 1),
                }
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
