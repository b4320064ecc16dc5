"""Sittings of a sweep that did not take place."""

import pytest

from pipeline.objective import Objective
from pipeline.records.layout import Layout
from pipeline.records.outputs.summary import BestEpoch, summary_of, write_summary
from pipeline.sweeps.request import read_sweep
from pipeline.sweeps.sitting import Outcome, Sittings


@pytest.fixture
def sweep(tmp_path):
    """A sweep over digits: `sweep(trials=3, objective="val_loss")`."""

    def asked(**defaults):
        budget = defaults.pop("time_budget", "1h")
        text = f"storage: {tmp_path}\ntime_budget: {budget}\ndefaults: {defaults}\nmatrix: {{dataset: [digits]}}\n"
        return read_sweep(text, "nightly.yaml", {})

    return asked


@pytest.fixture
def sat():
    """Record a sitting of which the experiment came to so much."""

    def record(
        sweep, value, *, test=None, examples=400, metric="accuracy", status="done", error=None
    ):
        sitting = Sittings(sweep.directory).begin(sweep)
        sitting.outcomes["digits-mlp"] = Outcome(status, error)
        sitting.save()
        if status == "done":
            layout = Layout(sitting.run("digits-mlp").root)
            layout.root.mkdir(parents=True)
            write_summary(
                layout,
                summary_of(
                    layout,
                    best=None if value is None else BestEpoch("t0000", {}, value, 1),
                    test=None if test is None else {"loss": 1.0, metric: test},
                    trials={},
                    epochs=1,
                    objective=str(Objective.parse(f"val_{metric}")),
                    examples={"train": 1000, "val": examples, "test": examples},
                ),
            )
        return sitting

    return record
