"""How much of the time a GPU computes, as NVML has it."""

import threading
from typing import Any

from pipeline.worker.devices import cuda

EVERY_S = 0.2  # NVML's own period is 1/6 to 1 s


class Busy:
    """The busy share of this process's first GPU, looked at as long as it is entered.

    NVML says in what part of its last period a kernel ran, whoever started it.
    """

    def __init__(self) -> None:
        self._looks: list[int] = []  # per cent
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="busy", daemon=True)

    def __enter__(self) -> "Busy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def share(self) -> float | None:
        """The mean, of 1; None where it is not told, as of a part of a GPU (MIG)."""
        return sum(self._looks) / len(self._looks) / 100 if self._looks else None

    def _look(self) -> None:
        import pynvml

        found = cuda.first()
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return
        try:
            gpu: Any = cuda.handle(found[1]) if found else None
            while gpu is not None and not self._over.wait(EVERY_S):
                self._looks.append(int(pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu))
        except pynvml.NVMLError:
            self._looks.clear()
        finally:
            pynvml.nvmlShutdown()
