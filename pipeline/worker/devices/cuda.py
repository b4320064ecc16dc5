"""The first GPU that this process sees, as CUDA itself has it.

CUDA knows which one `CUDA_VISIBLE_DEVICES` means.

That may be a number, in an order that is CUDA's own and not NVML's, the beginning of a name, or a
part of a GPU (MIG).
"""

import ctypes
import time
import uuid
from dataclasses import dataclass
from typing import Any

SUCCESS = 0


@dataclass(frozen=True)
class GpuMemory:
    """Of a GPU, or of the part of one that is seen."""

    total_mib: int
    free_mib: int | None  # None: not known


def has_driver() -> bool:
    """Whether CUDA's driver is on this machine; takes no time where it is not."""
    return _driver() is not None


def _driver() -> Any:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def memory() -> GpuMemory | None:
    """The memory of the GPU; None where there is no driver, or no GPU to be seen.

    Takes nothing of it.
    """
    found = first()
    return None if found is None else GpuMemory(found[0], _free_mib(found[1]))


def still_short(needed_mib: int, wait_s: float) -> GpuMemory | None:
    """The memory of the GPU, if so much of it does not become free in so many seconds.

    A GPU has the memory of a process that ended back some seconds later. None where enough is
    free, or that is not known.
    """
    until = time.monotonic() + wait_s
    while (
        (found := memory()) is not None
        and found.free_mib is not None
        and found.free_mib < needed_mib
    ):
        if time.monotonic() > until:
            return found
        time.sleep(0.5)
    return None


def model() -> str:
    """What the maker calls the GPU, as "NVIDIA H200"; "" where there is none."""
    name = ctypes.create_string_buffer(128)
    if first() is None or _driver().cuDeviceGetName(name, len(name), _device()) != SUCCESS:
        return ""
    return name.value.decode(errors="replace")


def first() -> tuple[int, str] | None:
    """The GPU's MiB, and the name that it has in NVML but for a prefix."""
    driver = _driver()
    if driver is None:
        return None
    count, total, name = ctypes.c_int(), ctypes.c_size_t(), (ctypes.c_ubyte * 16)()
    if (
        driver.cuInit(0) != SUCCESS
        or driver.cuDeviceGetCount(ctypes.byref(count)) != SUCCESS
        or not count.value
    ):
        return None
    device = _device()
    driver.cuDeviceTotalMem_v2(ctypes.byref(total), device)
    driver.cuDeviceGetUuid_v2(ctypes.byref(name), device)
    return total.value // 2**20, str(uuid.UUID(bytes=bytes(name)))


def _device() -> ctypes.c_int:
    """CUDA's number of the GPU; CUDA must have been begun."""
    device = ctypes.c_int()
    _driver().cuDeviceGet(ctypes.byref(device), 0)
    return device


def _free_mib(name: str) -> int | None:
    """What is free, from NVML: CUDA would first take memory for a context."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # a container may have CUDA without it
        return None
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle(name)).free) // 2**20
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def handle(name: str) -> Any:
    """What NVML, once it is begun, knows the GPU of that name by, or the part of one.

    Raises:
        pynvml.NVMLError: it knows none.
    """
    import pynvml

    try:
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{name}")
    except pynvml.NVMLError:
        return pynvml.nvmlDeviceGetHandleByUUID(f"MIG-{name}")
