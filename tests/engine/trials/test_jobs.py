"""A trial's task, and what of it an earlier process measured."""

from pipeline.engine.trials.jobs import measured_plan
from pipeline.records.entries.trials import TrialRecord


def test_the_plan_that_was_measured_to_be_fastest_is_read_from_the_records():
    def plan(*plans):
        return measured_plan([TrialRecord(str(n), {}, fit_plan=p) for n, p in enumerate(plans)])

    assert plan("plain: a GPU, on which no plan was measured", None) == ""
    assert plan(None, "compiled: fastest where it was measured") == "compiled"
    assert plan("compiled: asked for, from epoch 3 plain: fastest where it was measured") == "plain"
