"""A tracker in one file: it writes what it hears into a file of JSON lines."""

import json
from pathlib import Path

from pipeline.watch import Watcher


class Lines(Watcher):
    """Writes each event into `lines.jsonl` beside the run's directory, under the run's id."""

    def __init__(self, experiment, state):
        self.state, self.file = state, None

    def directory(self, place):
        """Go on under the id of an earlier process, or begin one."""
        kept = self.state.read()
        self.file = Path(str(place)).with_name("lines.jsonl")
        self.state.keep(id=kept.get("id", "run-1"), processes=kept.get("processes", 0) + 1)
        self._write("directory", processes=self.state.read()["processes"])

    def planned(self, plan):
        """Write the searcher."""
        self._write("planned", searcher=plan.experiment.searcher)

    def remembered(self, trials, reports):
        """Write how much there was."""
        self._write("remembered", trials=len(trials), reports=len(reports))

    def reported(self, report):
        """Write an epoch."""
        self._write("reported", trial=report.trial, epoch=report.epoch)

    def ended(self, record):
        """Write a trial's end."""
        self._write("ended", trial=record.trial, status=record.status)

    def concluded(self, conclusion):
        """Write the best trial."""
        best = conclusion.results and conclusion.results.best
        self._write("concluded", best=best and best.trial, interrupted=conclusion.interrupted)

    def _write(self, event, **facts):
        if self.file is None:
            return
        with self.file.open("a") as file:
            print(json.dumps({"id": self.state.read()["id"], "event": event, **facts}), file=file)


class Failing(Watcher):
    """Raises at the first epoch."""

    def __init__(self, experiment, state):
        """Keep nothing."""

    def reported(self, report):
        """Raise."""
        raise ConnectionError("no route to the tracking server")


class Unmakeable(Watcher):
    """Raises when it is made."""

    def __init__(self, experiment, state):
        raise ImportError("no module named 'theirs'")
