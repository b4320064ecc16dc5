"""The share of the machine that a trial may use: threads, GPUs, GPU memory.

Claimed once a process.
"""

import os
import platform
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pipeline.errors import RequestError
from pipeline.worker.devices import cuda

# What one process takes of a GPU beside its tensors: the CUDA context and the libraries' kernels.
# An allowance until measured on hardware; the memory cap is the share less this, but at least half
# of the share.
CONTEXT_MIB = 600

# A worker that does not let go of its GPU is ended after 60 s (`engine/cluster/connect.py`); its
# memory is free soon after. A worker that waits for it does not count as one that hangs
# (`engine/trials/recorder.py`).
RELEASE_S = 90.0

# A compiled step of a small model takes some 15 to 100 KiB; what was used longest ago makes room.
COMPILED_BYTES = 2**30

_claimed: dict[str, Any] = {}


def quiet() -> None:
    """Set what a backend reads while it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def prepare(cpus: float, gpus: float) -> None:
    """Set what must be set before a backend's first operation, and as early as can be."""
    quiet()
    if gpus == 0:
        # Since Ray 2.60 a process that asked for no GPU still sees all of them
        # (ray-project/ray#62492).
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    # an older name: JAX refuses both
    elif gpus < 1 and "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ:
        memory = cuda.memory()
        if memory is not None:
            # Taken at once, as TensorFlow does: what nobody holds is free for whoever comes next.
            fraction = memory_cap_mib(memory.total_mib, gpus) / memory.total_mib
            os.environ.setdefault("XLA_CLIENT_MEM_FRACTION", f"{fraction:.4f}")
    threads = str(threads_of(cpus))
    os.environ["OMP_NUM_THREADS"] = threads
    if os.environ["KERAS_BACKEND"] == "jax" and "jax" not in sys.modules:
        _prepare_jax(cpus, gpus)


def claim(cpus: float, gpus: float) -> dict[str, Any]:
    """Limit threads and GPU memory, before the backend's first operation; what was claimed.

    A backend takes these settings once a process, so a second call changes nothing.

    Raises:
        RequestError: there is a GPU, and the backend does not see it.
        RuntimeError: the GPU's memory does not become free.
    """
    if _claimed:
        return _claimed
    prepare(cpus, gpus)
    memory = cuda.memory() if gpus else None
    share = 0 < gpus < 1
    cap = memory_cap_mib(memory.total_mib, gpus) if memory and share else None
    if memory is not None:
        # Not all of the cap: what processes hold beside it differs.
        _wait_until_free(int(cap * 0.9) if cap else memory.total_mib // 2)
    import keras

    backend = keras.backend.backend()
    sees = True
    if backend == "tensorflow":
        sees = _claim_tensorflow(threads_of(cpus), gpus, cap)
    elif backend == "torch":
        sees = _claim_torch(threads_of(cpus), cap / memory.total_mib if memory and cap else None)
    elif backend == "jax" and memory is not None:
        import jax

        sees = jax.default_backend() == "gpu"
    if memory is not None and not sees:
        raise RequestError(
            f"A trial with a GPU needs a {backend} that sees it; this one sees none. CUDA's "
            "libraries may be missing: "
            "make gpu, or pip install '.[gpu]'."
        )
    _claimed.update(
        backend=backend,
        threads=threads_of(cpus),
        devices=os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        memory_cap_mib=cap,
    )
    return _claimed


def _wait_until_free(needed_mib: int) -> None:
    """Wait for the memory of a worker that has just ended.

    It may take seconds until a GPU has it back.
    """
    until = time.monotonic() + RELEASE_S
    while (
        (memory := cuda.memory()) is not None
        and memory.free_mib is not None
        and memory.free_mib < needed_mib
    ):
        if time.monotonic() > until:
            raise RuntimeError(
                f"the GPU must have {needed_mib} MiB free for a trial; after {RELEASE_S:.0f} s it "
                f"has {memory.free_mib}"
            )
        time.sleep(0.5)


def peak_memory_mib() -> int:
    """Most memory that this process's tensors have held of its first GPU.

    0 where it has none, or that is not told.
    """
    import keras

    backend, peak = keras.backend.backend(), 0
    if backend == "tensorflow":
        import tensorflow as tf

        if tf.config.list_logical_devices("GPU"):
            peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    elif backend == "jax":
        import jax

        peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
    elif backend == "torch":
        import torch

        peak = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
    return -(-int(peak) // 2**20)


def _prepare_jax(cpus: float, gpus: float) -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    if cpus <= 1 and "multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    if gpus == 0:
        # XLA's pool is as large as the machine otherwise, and has no other setting
        # (xla/pjrt/utils.cc); its threads waited for each other: a quarter more CPU time for the
        # same epoch.
        os.environ["NPROC"] = str(threads_of(cpus))
    folder = None if "JAX_COMPILATION_CACHE_DIR" in os.environ else compiled_folder()
    if folder is not None:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        # Else only what takes a second to compile is kept, and hardly a step of a small model does.
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(COMPILED_BYTES))


def compiled_folder() -> Path | None:
    """Where JAX keeps what it compiled, for all processes of this user on this machine.

    None where none is safe.

    With it a process's first epoch of a small model takes 1 s of CPU instead of 4, if any process
    trained the same architecture before. What is in it is run as it is: so nobody else may write
    there, and it is of one machine, for JAX does not ask for which processor an entry was compiled.
    """
    folder = Path(tempfile.gettempdir()) / f"kerasweep-jax-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if ours else None


def versions() -> dict[str, str]:
    """Of Keras and its backend."""
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


def _claim_tensorflow(threads: int, gpus: float, cap_mib: int | None) -> bool:
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    if gpus == 0:
        tf.config.set_visible_devices([], "GPU")
        return False
    devices = tf.config.list_physical_devices("GPU")
    for device in devices:
        if cap_mib is None:
            tf.config.experimental.set_memory_growth(device, True)
        else:
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=cap_mib)
            tf.config.set_logical_device_configuration(device, [limit])
    return bool(devices)


def _claim_torch(threads: int, fraction: float | None) -> bool:
    import torch

    torch.set_num_threads(threads)
    sees = bool(torch.cuda.is_available())
    if sees and fraction is not None:
        torch.cuda.set_per_process_memory_fraction(fraction)
    return sees


def memory_cap_mib(total_mib: int, share: float) -> int:
    """MiB of tensors that a trial with `share` of a GPU of `total_mib` may hold."""
    return max(int(total_mib * share) - CONTEXT_MIB, int(total_mib * share / 2))
