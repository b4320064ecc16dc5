"""A rung: an epoch at which trials are compared."""

from bisect import bisect_left, insort

from pipeline.objective import WORST
from pipeline.records.entries.decisions import Decision, Verdict


class Rung:
    """The trials that came to one epoch, how good they were there, and which were let on."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        # trial -> with the report of which epoch: one may report every third only
        self.came: dict[str, int] = {}
        self.let_on: set[str] = set()
        self._places: dict[str, tuple[float, int]] = {}
        self._sorted: list[tuple[float, int]] = []

    def arrive(self, trial: str, epoch: int, loss: float, tie: int | None = None) -> None:
        """A trial came.

        Of equally good trials the one with the lower `tie` is the better; by default the first.
        """
        self.came[trial] = epoch
        self._places[trial] = (loss, len(self._places) if tie is None else tie)
        insort(self._sorted, self._places[trial])

    def leave(self, trial: str) -> None:
        """A trial that came is to come once more."""
        del self.came[trial]
        self._sorted.remove(self._places.pop(trial))

    def lose(self, trial: str) -> None:
        """A trial that came is lost: it is the worst of all, and another may go on in its place."""
        self.let_on.discard(trial)
        self._sorted.remove(self._places[trial])
        self._places[trial] = (WORST, self._places[trial][1])
        insort(self._sorted, self._places[trial])

    def better_than(self, trial: str) -> int:
        """How many of the trials that came are better."""
        return bisect_left(self._sorted, self._places[trial])

    def decision(self, trial: str, verdict: Verdict, reason: str) -> Decision:
        """A decision on a trial that came."""
        return Decision(
            trial,
            self.came[trial],
            verdict,
            self.epoch,
            self.better_than(trial) + 1,
            len(self.came),
            len(self.let_on),
            reason,
        )
