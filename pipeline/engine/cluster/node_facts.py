"""What a node answers when it is asked whether it can train, and what is wrong with that."""

import hashlib
import importlib.util
import os
import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.errors import one_line
from pipeline.names import FOLDERS, PACKAGE, folder_of
from pipeline.records.store.remote import RemotePath, location
from pipeline.version import __version__
from pipeline.worker.backends.known import asked_for
from pipeline.worker.devices.machine import memory_cap_mib

FREED_S = 5.0  # until the memory of a process that has just ended on a GPU is free again
ALIKE = ("keras", "numpy", "ray")
DRIVER = "driver"  # the name of its file, beside those of the nodes
Finding = tuple[str, str]  # what is wrong, what to do


def answer(
    probe: str, name: str, gpus: int, gpu_share: float = 0.0, packed: int = 1
) -> dict[str, Any]:
    """What a node says of itself.

    Args:
        probe: the folder of `_probe`.
        name: the node's.
        gpus: how many it is to have.
        gpu_share: what a trial takes of one.
        packed: how many trials share one.
    """
    fault = None
    try:
        if (location(probe) / DRIVER).read_bytes() != DRIVER.encode():
            fault = "another file is in the place of this one's"
        (location(probe) / name).write_bytes(name.encode())
    except OSError as error:
        fault = one_line(error.strerror or str(error))
    until = time.monotonic() + FREED_S
    while True:
        memory = _gpus(gpus) if gpus else []
        short = not isinstance(memory, str) and any(
            _short(*one, gpu_share, packed) for one in memory
        )
        if not short or time.monotonic() > until:
            break
        time.sleep(0.5)
    return facts() | {"storage": fault, "place": str(location(probe).parent), "gpus": memory}


def facts() -> dict[str, Any]:
    """Our code and its backend as this process finds them, and the versions that must be alike."""
    found = {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "kerasweep": __version__,
    }
    backend = asked_for().name
    for package in (*ALIKE, backend):
        with suppress(PackageNotFoundError):
            # what follows says for which devices it was built
            found[package] = version(package).partition("+")[0]
    return {
        "versions": found,
        "backend": (backend, importlib.util.find_spec(backend) is not None),
        "code": (str(PACKAGE), _checksum()),
    }


def _checksum() -> str:
    """Checksum of our code, the same for what is installed, a checkout, and a copy of either."""
    files = {file.relative_to(PACKAGE): file for file in PACKAGE.rglob("*.py")}
    for component, name in FOLDERS.items():
        folder = folder_of(component)
        files |= {name / file.relative_to(folder): file for file in folder.rglob("*.py")}
    code = hashlib.sha256()
    for path in sorted(files):
        if not path.name.startswith("."):  # else it does not travel
            code.update(str(path).encode() + files[path].read_bytes())
    return code.hexdigest()


def _gpus(count: int) -> list[tuple[int, int]] | str:
    """Free and total memory of each of the GPUs that Ray gives away here, in MiB.

    Or why it is not known.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = (
            [str(n) for n in range(pynvml.nvmlDeviceGetCount())]
            if seen is None
            else seen.split(",")
        )
        names = names[:count]  # it counts from the first
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(int(n))
            if n.isdigit()
            else pynvml.nvmlDeviceGetHandleByUUID(n)
            for n in names
        ]
        memory = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
    except pynvml.NVMLError as error:
        return one_line(str(error))
    if len(memory) < count:
        return f"Ray counts {count}, the driver {len(memory)}"
    return [(int(one.free) // 2**20, int(one.total) // 2**20) for one in memory]


def _short(free: int, total: int, gpu_share: float, packed: int) -> int:
    """The memory that trials need of a GPU, in MiB, where that is not free; else 0."""
    needed = total // 2
    if gpu_share < 1:  # as each of them waits for it, in `worker/devices/machine.py`
        needed = int(packed * 0.9 * memory_cap_mib(total, gpu_share))
    return needed if free < needed else 0


def findings(
    said: dict[str, Any], here: dict[str, Any], gpu_share: float, packed: int = 1
) -> Iterator[Finding]:
    """What is wrong with a node, by what it says of itself and what the driver says of `here`."""
    install = "install there what this host has: pip install -c constraints.txt '.[cluster]'"
    backend, there = said["backend"]
    for package, wanted in here["versions"].items():
        found = said["versions"].get(package)
        # A backend may be installed under another name, as tensorflow-cpu is.
        if found != wanted and not (found is None and package == here["backend"][0]):
            yield f"{package} {found or 'is missing'}, here {wanted}", install
    if not there:
        yield f"KERAS_BACKEND={backend}, and no {backend}", install
    place, code = said["code"]
    if code != here["code"][1]:
        yield (
            f"`pipeline` is {place}, other code than here",
            "take it from the PYTHONPATH of Ray on that host, or bring there what this host has",
        )
    if said["storage"]:
        remedy = "give --storage a folder that all hosts share, mounted at the same path, or s3://…"
        if isinstance(location(said["place"]), RemotePath):
            remedy = (
                "let that host into it: by a role of its own, or by variables that are set for "
                "its `ray start`"
            )
        yield f"storage {said['place']}: {said['storage']}", remedy
    if isinstance(said["gpus"], str):
        yield (
            f"GPUs: {said['gpus']}",
            "see `nvidia-smi` on that host, or start Ray there with --num-gpus 0",
        )
        return
    for number, (free, total) in enumerate(said["gpus"]):
        if needed := _short(free, total, gpu_share, packed):
            trials = "a trial needs" if packed == 1 else f"{packed} trials need"
            yield (
                f"GPU {number}: {free} of {total} MiB are free, {trials} {needed}",
                "end what else uses it: see `nvidia-smi` on that host",
            )
