"""What ends a search before its trials do.

A signal, the time budget, a fault of program or storage; each duplicate.
"""

import time

from ray.tune import Stopper

from pipeline.engine.trials.recorder import Recorder
from pipeline.records.ledger import Ledger
from pipeline.watch import Interruption


class StopRule(Stopper):
    """Tune's stopper. `deadline` is of the monotonic clock; None for no budget."""

    def __init__(
        self, recorder: Recorder, ledger: Ledger, interruption: Interruption, deadline: float | None
    ) -> None:
        self._recorder, self._ledger = recorder, ledger
        self._interruption, self._deadline = interruption, deadline

    def __getstate__(self) -> dict[str, object]:
        """Nothing: Tune pickles its stopper into a state that is never read back."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, object]) -> bool:
        """Whether the trial turned out to be a duplicate. Tune asks this before the scheduler."""
        return self._recorder.original_of(trial_id, result) is not None

    def stop_all(self) -> bool:
        """Whether the search is to end now."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        asked = self._interruption.signal is not None
        if late or asked or self._recorder.fatal is not None or self._ledger.fault is not None:
            self._recorder.halt()
            return True
        return False
