"""Trials a minute with 1, 2, 4 and 8 trials a GPU.

Searches of configurations that differ in their learning rate alone. `trials_a_minute` is from the
first trial's start to the last one's end, processes' starts included; `used_mib` is the most that
the GPU held for one trial, by NVML, of which `beside_mib` is beyond the cap: what CUDA's context
and libraries take, for which `CONTEXT_MIB` in `pipeline/worker/devices/machine.py` allows.
"""

import json
import tempfile
import threading
import time
from pathlib import Path

from pipeline.worker.devices import cuda
from pipeline.worker.devices.machine import memory_cap_mib

FAMILIES = ("mlp", "cnn", "resnet")
EPOCHS = 2  # of MNIST, each trial
# trials a GPU, in the order in which they are worth knowing
PACKED = (1, 4, 8, 2)


class Used:
    """The most memory that any new process, or all together, have held of the GPU, looked at ten
    times a second."""

    def __enter__(self):
        import pynvml

        pynvml.nvmlInit()
        self._nvml, self._gpu = pynvml, cuda.handle(cuda.first()[1])
        self._before, self._others = self._look()
        self.all_mib, self.one_mib, self._ended = 0, None, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self._nvml.nvmlShutdown()

    def _look(self):
        processes = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._gpu)
        # In a container NVML may not say whose memory it is.
        held = {
            process.pid: process.usedGpuMemory // 2**20
            for process in processes
            if process.usedGpuMemory
        }
        return self._nvml.nvmlDeviceGetMemoryInfo(self._gpu).used // 2**20, held

    def _watch(self):
        while not self._ended.wait(0.1):
            used, held = self._look()
            self.all_mib = max(self.all_mib, used - self._before)
            new = [mib for process, mib in held.items() if process not in self._others]
            self.one_mib = max([*new, self.one_mib or 0]) or None


def search(folder, space, count, starts):
    """A search with `count` trials a GPU, and what is to be recorded of it."""
    from pipeline import Experiment, tune
    from pipeline.records.entries.trials import read_trials

    with Used() as used:
        run = tune(
            Experiment(
                dataset="mnist",
                search_space=space,
                searcher="random",
                scheduler="none",
                trials=count,
                max_epochs=EPOCHS,
                gpus_per_trial=1 / count,
                storage=str(folder),
                start_from=str(starts),
                keep_models=1,
            ),
            quiet=True,
        )
    records = list(read_trials(run.layout).values())
    seconds = max(r.ended for r in records) - min(r.started for r in records)
    at_once = min(run.summary["concurrent"], count)
    used_mib = used.one_mib or round(used.all_mib / at_once)
    cap = memory_cap_mib(cuda.memory().total_mib, 1 / count) if count > 1 else None
    return {
        "space": space,
        "a_gpu": count,
        "at_once": at_once,
        "seconds": round(seconds, 1),
        "trials_a_minute": round(60 * count / seconds, 2),
        "cap_mib": cap,
        "used_mib": used_mib,
        "beside_mib": used_mib - cap if cap else None,
        "failed": [r.error for r in records if r.status == "failed"],
        "needed_a_whole_gpu": sum(r.gpus is not None for r in records),
        "epoch_s": round(float(run.history.groupby("trial")["seconds"].last().median()), 2),
        "fit_plans": run.summary["fit_plans"],
    }


def measure(until):
    """All searches that are begun in time, in one cluster, and which were not."""
    from pipeline import Experiment
    from pipeline.engine.cluster.connect import cluster

    found, left_out = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(Experiment(dataset="mnist", searcher="random"), []),
    ):
        starts = Path(folder, "starts.json")
        starts.write_text(
            json.dumps([{"learning_rate": 0.001 + number * 1e-5} for number in range(max(PACKED))])
        )
        for count in PACKED:
            for space in FAMILIES:
                if time.monotonic() > until:
                    left_out.append([space, count])
                    continue
                try:
                    found.append(search(folder, space, count, starts))
                except Exception as error:  # the others are worth recording
                    failed = f"{type(error).__name__}: {error}"[:500]
                    found.append({"space": space, "a_gpu": count, "error": failed})
                print(found[-1], flush=True)
    return {"searches": found, "left_out": left_out}
