"""Whose fault it is that trials fail: a configuration's, or the program's.

A fault that comes in so many trials in a row, and none that trained between them, is no
configuration's: it would come in every trial that is left.
"""

from collections.abc import Iterable

from pipeline.errors import ProgramError
from pipeline.records.entries.trials import TrialRecord
from pipeline.worker.faults import Failure


class Blame:
    """Counts trials that failed one after the other at the same place of the program.

    Args:
        enough: how many of them end a search.
        past: trials of earlier processes. Their faults are counted on where a process was killed;
            where they had ended the search already, they are likely mended.
    """

    def __init__(self, enough: int, past: Iterable[TrialRecord] = ()) -> None:
        self._enough = enough
        self._in_a_row: list[Failure] = []
        ended = [record for record in past if record.ended is not None]
        for record in sorted(ended, key=lambda record: record.ended or 0.0):
            if record.status in ("finished", "stopped"):
                self.trained()
            elif record.fault is not None:
                error, traceback = record.error or "", record.traceback or ""
                self._add(Failure("program", error, traceback, record.fault))
        if len(self._in_a_row) >= enough:
            self._in_a_row.clear()

    def trained(self) -> None:
        """Take note of a trial that trained: what came before it is no fault of the program."""
        self._in_a_row.clear()

    def failed(self, failure: Failure) -> ProgramError | None:
        """Take note of a trial that failed; the error that ends the search, if it is shown now."""
        if failure.blames != "program":
            return None
        self._add(failure)
        if len(self._in_a_row) < self._enough:
            return None
        return ProgramError(
            f"{len(self._in_a_row)} trials in a row failed in the same way: {failure.reason}",
            failure.traceback,
        )

    def _add(self, failure: Failure) -> None:
        if self._in_a_row and self._in_a_row[-1].where != failure.where:
            self._in_a_row.clear()
        self._in_a_row.append(failure)
