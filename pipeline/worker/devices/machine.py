"""The share of the machine that a trial may use: threads, GPUs, GPU memory.

Claimed once a process.
"""

import os
import platform
from pathlib import Path
from typing import Any

from pipeline.errors import RequestError
from pipeline.worker.backends.backend import Share, spare_other_backends
from pipeline.worker.backends.known import DEFAULT, KNOWN, asked_for, current
from pipeline.worker.devices import cuda

# What one process takes of a GPU beside its tensors: the CUDA context and the libraries' kernels.
# An allowance until measured on hardware; the memory cap is the share less this, but at least half
# of the share.
CONTEXT_MIB = 600

# A worker that does not let go of its GPU is ended after 60 s (`engine/cluster/connect.py`); its
# memory is free soon after. A worker that waits for it does not count as one that hangs
# (`engine/trials/recorder.py`).
RELEASE_S = 90.0

_claimed: dict[str, Any] = {}


def quiet() -> None:
    """Set what a backend reads while it is imported."""
    for backend in KNOWN:
        backend.quiet()
    os.environ.setdefault("KERAS_BACKEND", DEFAULT)


def prepare_process(cpus: float, gpus: float) -> None:
    """Set what must be set before a backend's first operation, and as early as can be."""
    quiet()
    if gpus == 0:
        # Since Ray 2.60 a process that asked for no GPU still sees all of them
        # (ray-project/ray#62492).
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    share = _share(cpus, gpus, cuda.memory() if 0 < gpus < 1 else None)
    for backend in KNOWN:
        backend.confine(share)
    os.environ["OMP_NUM_THREADS"] = str(share.threads)
    asked_for().prepare(share)


def claim(cpus: float, gpus: float) -> dict[str, Any]:
    """Limit threads and GPU memory, before the backend's first operation; what was claimed.

    A backend takes these settings once a process, so a second call changes nothing.

    Raises:
        RequestError: there is a GPU, and the backend does not see it.
        RuntimeError: the GPU's memory does not become free.
    """
    if _claimed:
        return _claimed
    prepare_process(cpus, gpus)
    memory = cuda.memory() if gpus else None
    share = _share(cpus, gpus, memory)
    if memory is not None:
        # Not all of the cap: what processes hold beside it differs.
        _wait_until_free(int(share.cap_mib * 0.9) if share.cap_mib else memory.total_mib // 2)
    backend = current()
    spare_other_backends()
    if not backend.claim(share) and memory is not None:
        raise RequestError(
            f"A trial with a GPU needs a {backend.name} that sees it; this one sees none. CUDA's "
            "libraries may be missing: "
            "make gpu, or pip install '.[gpu]'."
        )
    _claimed.update(
        backend=backend.name,
        threads=share.threads,
        devices=os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        memory_cap_mib=share.cap_mib,
    )
    return _claimed


def _share(cpus: float, gpus: float, memory: cuda.GpuMemory | None) -> Share:
    cap = memory_cap_mib(memory.total_mib, gpus) if memory and 0 < gpus < 1 else None
    return Share(cpus, threads_of(cpus), gpus, memory.total_mib if memory else None, cap)


def _wait_until_free(needed_mib: int) -> None:
    """Wait for the memory of a worker that has just ended."""
    if (memory := cuda.still_short(needed_mib, RELEASE_S)) is not None:
        raise RuntimeError(
            f"the GPU must have {needed_mib} MiB free for a trial; after {RELEASE_S:.0f} s it "
            f"has {memory.free_mib}"
        )


def peak_memory_mib() -> int:
    """Most memory that this process's tensors have held of its first GPU.

    0 where it has none, or that is not told.
    """
    return -(-current().peak_bytes() // 2**20)


def versions() -> dict[str, str]:
    """Versions of Keras and its backend."""
    import importlib

    import keras

    backend = keras.backend.backend()
    # The module and not the distribution: TensorFlow has several (tensorflow-cpu, tf-nightly).
    found = getattr(importlib.import_module(backend), "__version__", "unknown")
    return {"keras": keras.__version__, "backend": backend, backend: str(found)}


def processor() -> str:
    """The name of this machine's processor, as far as it tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


def threads_of(cpus: float) -> int:
    """Threads of a trial: its whole CPUs, at least one."""
    return max(1, int(cpus))


def memory_cap_mib(total_mib: int, share: float) -> int:
    """MiB of tensors that a trial with `share` of a GPU of `total_mib` may hold."""
    return max(int(total_mib * share) - CONTEXT_MIB, int(total_mib * share / 2))
