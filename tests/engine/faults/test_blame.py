"""When faults in trials are the program's, and end a search."""

import pytest

from pipeline.engine.faults.blame import Blame
from pipeline.records.entries.trials import TrialRecord
from pipeline.worker.faults import Failure


def fault(where="KeyError at mine.py:3", blames="program"):
    return Failure(blames, "KeyError: no such key", "their traceback", where)


def past(number, status, at=None):
    error = None if at is None else "KeyError: no such key"
    return TrialRecord(
        trial=f"t{number:04d}",
        configuration={},
        status=status,
        error=error,
        fault=at,
        ended=float(number),
    )


def test_the_same_fault_in_enough_trials_in_a_row_ends_the_search_with_its_traceback():
    blame = Blame(3)
    assert blame.failed(fault()) is None and blame.failed(fault()) is None
    error = blame.failed(fault())
    assert str(error) == "3 trials in a row failed in the same way: KeyError: no such key"
    assert error.user_traceback == "their traceback"


@pytest.mark.parametrize(
    "between", [Blame.trained, lambda blame: blame.failed(fault("ValueError at mine.py:9"))]
)
def test_a_trial_that_trained_or_another_fault_between_begins_the_count_anew(between):
    blame = Blame(2)
    blame.failed(fault())
    between(blame)
    assert blame.failed(fault()) is None
    assert blame.failed(fault()) is not None


@pytest.mark.parametrize("blames", ["configuration", "request"])
def test_what_is_no_fault_of_the_program_counts_neither_for_nor_against_it(blames):
    blame = Blame(2)
    assert blame.failed(fault()) is None
    assert blame.failed(fault(blames=blames)) is None
    assert blame.failed(fault()) is not None


def test_faults_of_an_earlier_process_are_counted_in_the_order_in_which_the_trials_ended():
    at = "KeyError at mine.py:3"
    assert Blame(2, [past(1, "failed", at)]).failed(fault()) is not None
    assert Blame(2, [past(2, "finished"), past(1, "failed", at)]).failed(fault()) is None
    assert Blame(2, [past(2, "failed", at), past(1, "stopped")]).failed(fault()) is not None
    assert Blame(2, [past(1, "failed"), past(2, "duplicate")]).failed(fault()) is None


def test_faults_that_had_ended_the_search_are_not_held_against_a_resume():
    at = "KeyError at mine.py:3"
    blame = Blame(2, [past(1, "failed", at), past(2, "failed", at)])
    assert blame.failed(fault()) is None
