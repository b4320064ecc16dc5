"""What becomes of an experiment whose search cannot start, or is ended from outside; tests/cli
carries sweeps out."""

import psutil
import pytest

from pipeline.sweeps.conductor import CONCLUDES_S, conduct, limit_s
from pipeline.sweeps.sitting import Outcome, Sittings
from pipeline.watch import Interruption

SPENT = "the sweep's time was spent before it was done"


@pytest.mark.parametrize(
    ("before", "after"),
    [(Outcome(), SPENT), (Outcome("failed", "out of memory"), "out of memory")],
)
def test_where_the_time_is_spent_nothing_starts_and_what_failed_keeps_its_error(
    sweep, before, after
):
    asked = sweep(time_budget="1h")
    sitting = Sittings(asked.directory).begin(asked)
    sitting.outcomes["digits-mlp"] = before
    sitting.record.spent_s = 3600.0
    sitting.save()
    said = []
    table, failed = conduct(asked, said.append, Interruption())
    assert failed and f"failed: {after}" in table and said[-1] == f"digits-mlp failed: {after}"
    assert Sittings(asked.directory).all[-1].outcomes == {"digits-mlp": Outcome("failed", after)}


def test_a_search_that_was_killed_has_failed(sweep):
    asked = sweep()

    def say(line):
        if line.startswith("digits-mlp begins"):
            (search,) = [p for p in psutil.Process().children() if "pipeline.run" in p.cmdline()]
            search.kill()

    table, failed = conduct(asked, say, Interruption())
    assert failed and "failed: it was ended by signal 9" in table


@pytest.mark.parametrize(
    ("own_s", "spent_s", "budget_s", "limit"),
    [
        (None, 20, None, None),
        (None, 20, 30, 50),  # a run's counts in total
        (100, 20, 30, 50),
        (100, 20, 300, 100),
        (100, 20, None, 100),
        (100, 120, None, 120 + CONCLUDES_S),  # it was killed while it concluded
        (100, 120, 30, 120 + CONCLUDES_S),
    ],
)
def test_a_search_has_the_less_of_its_own_time_and_the_sweeps_and_always_enough_to_conclude(
    own_s, spent_s, budget_s, limit
):
    assert limit_s(own_s, spent_s, budget_s) == limit
