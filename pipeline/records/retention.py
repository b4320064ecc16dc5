"""Which checkpoints stay.

The best weights of the best trials, and while a trial goes on, its last state.

So disk is bounded however many trials a search has, and nothing that is kept in the end holds an
optimizer's state.
"""

import bisect
import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from pipeline.objective import Objective
from pipeline.records.entries.reports import BestReports, Report
from pipeline.records.entries.trials import ENDED, TrialRecord
from pipeline.records.layout import BEST, LAST, OWN, SPARE, Layout

# A stopped trial's worker saves once more before it lets go of it, within a minute; by then so many
# others at most have ended on any machine that runs fewer trials at once.
LATE = 64


class Retention:
    """Removes the checkpoints of ended trials that are not among the best `keep`.

    `remotely` does so in an object store, of a trial and its files by name, after they were written
    for the last time.
    """

    def __init__(
        self,
        layout: Layout,
        objective: Objective,
        keep: int,
        remotely: Callable[[str, tuple[str, ...]], None] | None = None,
    ) -> None:
        self._layout, self._objective, self._keep = layout, objective, keep
        self._best = BestReports(objective)
        self._remotely = remotely
        self._kept: list[tuple[float, str]] = []  # loss and trial, the best first
        self._late: deque[str] = deque(maxlen=LATE)  # the last whose files were removed

    def remember(self, trials: Iterable[TrialRecord], reports: Iterable[Report]) -> None:
        """Take up what an earlier process recorded."""
        for report in reports:
            self.reported(report)
        for record in trials:
            if record.status in ENDED:
                self.ended(record.trial)

    def reported(self, report: Report) -> None:
        """An epoch was recorded."""
        self._best.add(report)

    def ended(self, trial: str) -> None:
        """A trial is over: keep its weights, or those of the one that it displaces, or neither."""
        if (value := self._best.value(trial)) is not None:
            bisect.insort(self._kept, (self._objective.loss(value), trial))
            if len(self._kept) <= self._keep:
                return
            trial = self._kept.pop()[1]
        if self._remotely is not None:
            return self._remotely(trial, (BEST, LAST))
        self._late.append(trial)
        for late in self._late:
            self._remove(late, BEST, LAST)

    def conclude(self, trials: Iterable[TrialRecord]) -> None:
        """The search is over, and no worker writes any more."""
        kept = {trial for _, trial in self._kept}
        for record in trials:
            if record.status in ENDED:
                self._remove(record.trial, *([LAST] if record.trial in kept else [BEST, LAST]))
        # who was killed while it wrote
        _remove_below(str(self._layout.root), (".*.writing", ".writing-*"))

    def _remove(self, trial: str, *patterns: str) -> None:
        if self._remotely is not None:
            return self._remotely(trial, patterns)
        _remove_below(str(self._layout.trial(trial)), (*patterns, *SPARE.values()))


def _remove_below(folder: str, patterns: tuple[str, ...]) -> None:
    """Remove files by name, as far as the storage lets it.

    A trial must not fail by what stays until the end.
    """
    found: list[os.DirEntry[str]] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found.extend(entries)
    for entry in found:
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                if entry.name != OWN:
                    _remove_below(entry.path, patterns)
            elif any(fnmatchcase(entry.name, pattern) for pattern in patterns):
                os.unlink(entry.path)
