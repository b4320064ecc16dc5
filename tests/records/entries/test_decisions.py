"""Decisions: recorded once, read back, mended from their copy; a run of before has none."""

import pytest

from pipeline.errors import RequestError
from pipeline.records.entries.decisions import Decision, read_decisions
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger

PAUSED = Decision("t0000", 1, "pause", 1, 2, 3, 1, "It waits for its turn.")
PROMOTED = Decision("t0000", 1, "continue", 1, 2, 6, 2, "It is among the best 2.")
STOPPED = Decision("t0001", 4, "stop", reason="Its best is worse than the median.")


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "run")


def recorded(layout, *decisions):
    ledger = Ledger(layout)
    try:
        return [ledger.decide(decision) for decision in decisions]
    finally:
        ledger.close()


def test_decisions_are_read_back_in_their_order(layout):
    assert recorded(layout, PAUSED, STOPPED, PROMOTED) == [True] * 3
    assert read_decisions(layout) == [PAUSED, STOPPED, PROMOTED]


def test_that_a_trial_goes_on_between_two_rungs_is_no_news(layout):
    assert recorded(layout, Decision("t0000", 2, "continue")) == [False]
    assert read_decisions(layout) == []


def test_the_same_decision_is_recorded_once_by_this_process_and_by_the_next(layout):
    again = Decision("t0000", 1, "pause", 1, 5, 9, 3, "It waits for its turn.")
    assert recorded(layout, PAUSED, again, PROMOTED) == [True, False, True]
    assert recorded(layout, again, PROMOTED, STOPPED) == [False, False, True]
    assert read_decisions(layout) == [PAUSED, PROMOTED, STOPPED]


def test_a_run_of_before_there_were_decisions_has_none(layout):
    recorded(layout)
    layout.decisions.unlink()
    layout.copy(layout.decisions).unlink()
    assert read_decisions(layout) == []
    assert recorded(layout, STOPPED) == [True]


def test_a_damaged_line_comes_from_the_copy(layout):
    recorded(layout, PAUSED, STOPPED)
    whole = layout.decisions.read_bytes()
    layout.decisions.write_bytes(whole.replace(b'"stop"', b'"go on"'))
    warnings = []
    ledger = Ledger(layout, warnings.append)
    assert ledger.decisions == [PAUSED, STOPPED] and layout.decisions.read_bytes() == whole
    ledger.close()
    assert warnings == [
        f"{layout.decisions} was damaged; 1 of its 2 lines, from line 2 on, are from its copy."
    ]


def test_a_line_that_is_damaged_in_both_is_named_to_a_reader_and_a_resume_goes_on_without(layout):
    recorded(layout, PAUSED, STOPPED, PROMOTED)
    whole = layout.decisions.read_bytes()
    for path in (layout.decisions, layout.copy(layout.decisions)):
        path.write_bytes(whole.replace(b'"stop"', b'"go on"'))
    with pytest.raises(RequestError, match=r"decisions.jsonl must be one decision; line 2 is dam"):
        read_decisions(layout)

    warnings = []
    ledger = Ledger(layout, warnings.append)
    assert ledger.decisions == [PAUSED, PROMOTED]
    assert ledger.decide(STOPPED)  # where a resume comes to it once more, it is recorded
    ledger.close()

    assert warnings == [
        f"{layout.decisions} was damaged, and so was its copy; 1 of its 3 lines, from line 2 on, "
        "are lost. The run goes on without them."
    ]
    assert read_decisions(layout) == [PAUSED, PROMOTED, STOPPED]
    assert layout.decisions.read_bytes() == layout.copy(layout.decisions).read_bytes()
    Ledger(layout, pytest.fail).close()


def test_where_every_line_is_garbage_in_both_a_resume_begins_them_anew(layout):
    recorded(layout, PAUSED, STOPPED)
    for path in (layout.decisions, layout.copy(layout.decisions)):
        path.write_bytes(b"\xff\n\0")
    warnings = []
    ledger = Ledger(layout, warnings.append)
    assert ledger.decide(STOPPED)
    ledger.close()
    (warning,) = warnings
    assert "; 1 of its 1 lines, from line 1 on, are lost." in warning
    assert read_decisions(layout) == [STOPPED]


@pytest.mark.parametrize(
    "line",
    [
        '{"trial": "t0000", "epoch": 1}',
        '{"trial": "t0000", "epoch": "one", "verdict": "stop"}',
        '{"trial": "t0000", "epoch": 1, "verdict": "perhaps"}',
        '{"trial": "t0000", "epoch": 1, "verdict": "stop", "more": 1}',
    ],
)
def test_a_line_that_was_written_by_hand_must_be_a_decision(layout, line):
    layout.root.mkdir()
    layout.decisions.write_text(line + "\n")
    with pytest.raises(RequestError, match="must be one decision; line 1 is damaged"):
        read_decisions(layout)
