"""Several trials a GPU: whether memory caps hold beside a neighbour that asks for too much, and
what packing gains.

Run:  python benchmarks/gpu.py

Needs a GPU, Keras, Ray (`ray[tune]`) and one backend. Takes some 7 minutes, and leaves out what
does not fit into them. Where there is no GPU the record says so.

`caps`, for each backend: of two processes with half of the GPU one takes memory until it is
refused; the other must then get nine tenths of its own cap. A backend that is not there, or sees no
GPU, is recorded as unverified. `packing`, on KERAS_BACKEND or the first backend that is there:
searches with 1, 2, 4 and 8 trials a GPU, of configurations that differ in their learning rate
alone, three epochs of MNIST each. `trials_a_minute` is from the first trial's start to the last
one's end, processes' starts included; `used_mib` is the most that the GPU held for one trial, by
NVML, of which `beside_mib` is beyond the cap: what CUDA's context and libraries take, for which
`CONTEXT_MIB` in `pipeline/worker/devices/machine.py` allows. `auto` is what
`--gpus-per-trial auto` finds.
Writes `results/<date>-gpu.json`.
"""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import ray
import recording

ROOT = Path(__file__).resolve().parents[1]
# Ray has a copy of each of its own, which serves where there is no other.
OF_RAY = {"psutil": "thirdparty_files", "pynvml": "_private/thirdparty/pynvml"}
LENT = [
    str(Path(ray.__file__).parent / at)
    for name, at in OF_RAY.items()
    if importlib.util.find_spec(name) is None
]
sys.path[:0] = [str(ROOT), *LENT]
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), *LENT, *filter(None, [os.environ.get("PYTHONPATH")])]
)

from pipeline.worker.devices import cuda
from pipeline.worker.devices.machine import CONTEXT_MIB, memory_cap_mib

BACKENDS = ("tensorflow", "jax", "torch")
PACKED = (1, 2, 4, 8)  # trials a GPU
SPACES = ("mlp", "cnn")
EPOCHS = 3
# nothing is begun later: a search takes up to a minute, and all must be done within eight
ENOUGH_S = 390
LATE_S = 100
CAPS_S = 240  # for all of `caps`, were every process to hang: packing is worth more
CHUNK_MIB = 64

HOLDER = """
import sys
from pipeline.worker.devices import machine
cap = machine.claim(1, 0.5)["memory_cap_mib"]
import keras
most, held, refused = float(sys.argv[1]) * cap, [], ""
try:
    while len(held) * CHUNK < most:
        held.append(keras.ops.ones((CHUNK * 2**18,), "float32"))
        assert float(keras.ops.convert_to_numpy(held[-1][-1])) == 1.0
except Exception as error:
    refused = type(error).__name__ + ": " + " ".join(str(error).split())[:200]
import json
print(json.dumps({"cap_mib": cap, "held_mib": len(held) * CHUNK, "refused": refused}), flush=True)
sys.stdin.read()
""".replace("CHUNK", str(CHUNK_MIB))


class Holder:
    """A process with half of the GPU that takes so many times its cap, and keeps it until it is
    ended."""

    def __init__(self, backend, times):
        environment = os.environ | {"KERAS_BACKEND": backend}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (a pipe would fill: nobody reads it)
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(times)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def told(self, until):
        """What it says once it has what it gets; its last words where it failed, or took too
        long."""
        within = max(0, min(LATE_S, until - time.monotonic()))
        late = threading.Timer(within, self._process.kill)
        late.start()
        try:
            for line in self._process.stdout:
                if line.startswith("{"):
                    return json.loads(line)
        finally:
            late.cancel()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines() or [
            f"it said nothing within {within:.0f} s"
        ]
        return {"failed": lines[-1][:300]}

    def end(self):
        self._process.kill()
        self._process.communicate()
        self._errors.close()


def caps(backend, until):
    """Whether a backend's caps hold, if that is found out in time."""
    if importlib.util.find_spec(backend) is None:
        return {"backend": backend, "verified": False, "why": "not installed"}
    if time.monotonic() > until:
        return {"backend": backend, "verified": False, "why": "others took the time for it"}
    holders = [Holder(backend, 3)]
    try:
        greedy = holders[0].told(until)
        if "failed" in greedy:
            return {"backend": backend, "verified": False, "why": greedy["failed"]}
        holders.append(Holder(backend, 0.9))
        modest = holders[1].told(until)
    finally:
        for holder in holders:
            holder.end()
    within = bool(greedy["refused"]) and greedy["held_mib"] <= greedy["cap_mib"]
    holds = within and not modest.get("refused", "failed")
    return {
        "backend": backend,
        "verified": True,
        "holds": holds,
        "greedy": greedy,
        "modest": modest,
    }


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

    trials = max(count, 2)
    with Used() as used:
        run = tune(
            Experiment(
                dataset="mnist",
                search_space=space,
                searcher="random",
                scheduler="none",
                trials=trials,
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
    at_once = min(run.summary["concurrent"], trials)
    used_mib = used.one_mib or round(used.all_mib / at_once)
    memory = cuda.memory()
    cap = memory_cap_mib(memory.total_mib, 1 / count) if count > 1 else None
    return {
        "space": space,
        "a_gpu": count,
        "trials": trials,
        "at_once": at_once,
        "seconds": round(seconds, 1),
        "trials_a_minute": round(60 * trials / seconds, 2),
        "cap_mib": cap,
        "used_mib": used_mib,
        "beside_mib": used_mib - cap if cap else None,
        "failed": [r.error for r in records if r.status == "failed"],
        "needed_a_whole_gpu": sum(r.gpus is not None for r in records),
        "epoch_s": round(float(run.history.groupby("trial")["seconds"].last().median()), 2),
    }


def measured(folder, space):
    """What `--gpus-per-trial auto` says."""
    from pipeline import Experiment
    from pipeline.engine.tuning import dry_run

    plan = dry_run(
        Experiment(
            dataset="mnist",
            search_space=space,
            searcher="random",
            gpus_per_trial="auto",
            storage=str(folder),
        ),
        quiet=True,
    )
    return {"space": space, "gpus_per_trial": plan.experiment.gpus_per_trial, "said": plan.measured}


def packing(began):
    """All searches, in one cluster."""
    from pipeline import Experiment
    from pipeline.engine.cluster.connect import cluster

    found, auto, left_out = [], [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(Experiment(dataset="mnist", searcher="random"), []),
    ):
        starts = Path(folder, "starts.json")
        starts.write_text(
            json.dumps([{"learning_rate": 0.001 + number * 1e-5} for number in range(max(PACKED))])
        )
        cells = [(space, count) for count in PACKED for space in SPACES] + [
            (space, "auto") for space in SPACES
        ]
        for space, count in cells:
            if time.monotonic() - began > ENOUGH_S:
                left_out.append([space, count])
                continue
            try:
                if count == "auto":
                    auto.append(measured(folder, space))
                else:
                    found.append(search(folder, space, count, starts))
            except Exception as error:  # the others are worth recording
                found.append(
                    {
                        "space": space,
                        "a_gpu": count,
                        "error": f"{type(error).__name__}: {error}"[:500],
                    }
                )
            print((auto if count == "auto" and auto else found)[-1], flush=True)
    return {"packing": found, "auto": auto, "left_out": left_out}


def main():
    began = time.monotonic()
    packages = [
        name
        for name in ("ray", "keras", *BACKENDS)
        if any(importlib.metadata.distributions(name=name))
    ]
    if cuda.memory() is None:
        print("There is no GPU here: nothing is measured.")
        recording.write(
            "gpu",
            __doc__.partition("\n")[0],
            *packages,
            verified=False,
            why="this machine has no NVIDIA GPU, or none is seen",
        )
        return
    results = {"context_mib_allowed": CONTEXT_MIB, "gpu_mib": cuda.memory().total_mib}
    results["caps"] = []
    for backend in BACKENDS:
        results["caps"].append(caps(backend, began + CAPS_S))
        print(results["caps"][-1], flush=True)
    seen = [cap["backend"] for cap in results["caps"] if cap["verified"]]
    os.environ.setdefault("KERAS_BACKEND", seen[0] if seen else "tensorflow")
    results |= packing(began)
    recording.write(
        "gpu",
        __doc__.partition("\n")[0],
        *packages,
        verified=True,
        backend=os.environ["KERAS_BACKEND"],
        epochs=EPOCHS,
        took_s=round(time.monotonic() - began),
        **results,
    )


if __name__ == "__main__":
    main()
