"""Whether memory caps hold beside a neighbour that asks for too much.

Of two processes with half of the GPU one takes memory until it is refused; the other must then get
nine tenths of its own cap.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

BACKENDS = ("tensorflow", "jax", "torch")
LATE_S = 60
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
        """Wait for the process's answer: the memory it got, or its last line of output where it
        failed or took too long."""
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


def measure(until):
    """Measure each backend. One that is not there, or sees no GPU, is recorded as unverified."""
    found = []
    for backend in BACKENDS:
        found.append(caps(backend, until))
        print(found[-1], flush=True)
    return found
