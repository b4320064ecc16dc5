"""One trial in this process, by the code that a trial's worker carries out, in place of the engine.

Each search of the engine starts two processes that import Keras, some ten seconds of CPU; what
tries an estimator searches fifty times.
"""

import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.objective import Objective
from pipeline.records.entries.reports import Report
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.outputs.tables import history_table
from pipeline.scikit_learn import searching
from pipeline.worker.session import Job


class Noting:
    """A session that notes what is reported."""

    def __init__(self, ledger):
        self.ledger = ledger

    def report(self, update, checkpoint):
        self.ledger.note("t0000", update.facts)
        self.ledger.report(Report.of("t0000", update.report, time.time()))
        assert update.failure is None, update.failure


def in_process(experiment, *, resume, quiet):
    """As `tune`: the default configuration alone."""
    from pipeline.worker.spaces.loading import load_dataset, load_search_space
    from pipeline.worker.spaces.reveal import check_default
    from pipeline.worker.training.repeats import carry_out

    data = load_dataset(experiment.dataset, experiment.seed, experiment.folds)
    space = load_search_space(experiment.search_space)
    objective = Objective.parse(experiment.objective)
    check_default(space, data.fold(0), objective)
    layout = Layout(Path(experiment.storage) / "run")
    layout.root.mkdir()
    folds = experiment.folds or 1
    job = Job(
        "t0000",
        {},
        experiment.seed,
        experiment.max_epochs,
        objective,
        layout.checkpoints("t0000"),
        "default",
        repeats=folds,
        folds=folds,
        session_keeps=folds > 1,
    )
    with closing(Ledger(layout)) as ledger:
        ledger.start("t0000", {})
        ending = carry_out(job, space, data, Noting(ledger))
        assert ending.failure is None, ending.failure
        ledger.end("t0000", "finished")
        history = history_table(list(ledger.reports), dict(ledger.trials))
    return SimpleNamespace(layout=layout, history=history)


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setattr(searching, "tune", in_process)
