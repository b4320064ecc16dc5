"""Where a benchmark's result goes, and what is recorded with it: commit, hardware, versions,
load."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(os.environ.get("BENCHMARK_RESULTS", ROOT / "benchmarks" / "results"))


def hardware():
    with open("/proc/cpuinfo") as file:
        model = next(
            (line.split(":")[1].strip() for line in file if line.startswith("model name")),
            platform.processor(),
        )
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "gpu": gpus() or None}


def gpus():
    """Name and memory of each NVIDIA GPU."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver
        return []
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(place) for place in range(pynvml.nvmlDeviceGetCount())
        ]
        return [
            {
                "name": pynvml.nvmlDeviceGetName(handle),
                "mib": pynvml.nvmlDeviceGetMemoryInfo(handle).total // 2**20,
            }
            for handle in handles
        ]
    finally:
        pynvml.nvmlShutdown()


def commit():
    """Of the checkout; with a + where the code differs from it."""
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    code = ("pipeline", "datasets", "search_spaces", "benchmarks/*.py")
    changed = subprocess.run(
        ["git", "status", "--porcelain", *code], cwd=ROOT, capture_output=True, text=True
    )
    return head + ("+" if changed.stdout else "")


def relative(path):
    """A file of this checkout by its place in it."""
    return str(Path(path).relative_to(ROOT)) if str(path).startswith(f"{ROOT}/") else path


def write(name, what, *packages, **result):
    """Write `results/<date>-<name>.json`; `packages` are those whose versions matter."""
    record = {
        "what": what,
        "commit": commit(),
        "hardware": hardware(),
        "load_after": round(os.getloadavg()[0], 1),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
        **result,
    }
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(relative(path))
