"""Measures a GPU: memory caps, fused groups, fit plans, `auto`'s choice, several trials on one.

Run:  python benchmarks/gpu.py [caps fused plans auto packing]

Needs a GPU, Keras, Ray (`ray[tune]`) and one backend. Takes nine minutes at most, and leaves out
what does not fit into them; a part alone has nine minutes for itself. Where there is no GPU the
record says so.

`caps` is of each backend, `fused` and `plans` of JAX, `auto` and `packing` of KERAS_BACKEND or the
first backend that sees the GPU; what each records is said in `benchmarks/on_gpu/`.
Writes `results/<date>-gpu.json`, or `results/<date>-gpu-<parts>.json`.
"""

import importlib.metadata
import importlib.util
import os
import sys
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

from on_gpu import caps, choices, fused, packing, plans

from pipeline.worker.devices import cuda
from pipeline.worker.devices.machine import CONTEXT_MIB

# Parts in their order, with the second from the start at which each is to be over: what is begun
# by then is finished, a search of `packing` within 50 s.
PARTS = {
    "caps": (caps, 90),
    "fused": (fused, 180),
    "plans": (plans, 250),
    "auto": (choices, 340),
    "packing": (packing, 480),
}
# of a part that is measured by itself
ALONE_S = 480
ON_JAX = ("fused", "plans")


def main(asked):
    unknown = [part for part in asked if part not in PARTS]
    if unknown:
        raise SystemExit(f"Parts are {', '.join(PARTS)}; got {', '.join(unknown)}.")
    began = time.monotonic()
    what = __doc__.partition("\n")[0]
    name = "-".join(["gpu", *asked])
    packages = [
        package
        for package in ("ray", "keras", *caps.BACKENDS)
        if any(importlib.metadata.distributions(name=package))
    ]
    if cuda.memory() is None:
        print("There is no GPU here: nothing is measured.")
        recording.write(
            name,
            what,
            *packages,
            verified=False,
            why="this machine has no NVIDIA GPU, or none is seen",
        )
        return
    results = {"context_mib_allowed": CONTEXT_MIB, "gpu_mib": cuda.memory().total_mib}
    given = os.environ.get("KERAS_BACKEND")
    for part, (measuring, over_s) in PARTS.items():
        if asked and part not in asked:
            continue
        seen = [each["backend"] for each in results.get("caps", []) if each["verified"]]
        backend = given or (seen or packages[2:] or ["tensorflow"])[0]
        os.environ["KERAS_BACKEND"] = "jax" if part in ON_JAX else backend
        until = began + (ALONE_S if len(asked) == 1 else over_s)
        results[part] = measuring.measure(until)
        os.environ["KERAS_BACKEND"] = backend
    recording.write(
        name,
        what,
        *packages,
        verified=True,
        backend=os.environ["KERAS_BACKEND"],
        took_s=round(time.monotonic() - began),
        **results,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
