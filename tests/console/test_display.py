"""What a person sees of a search, from records of a run that did not take place."""

import io

import pytest
from rich.console import Console

from pipeline.console.display import Display, display
from tests.console.conftest import record, report


@pytest.fixture
def shown(plan_of):
    def display(*, terminal, planned=True, width=160, **settings):
        file = io.StringIO()
        made = Display()
        made.console = Console(
            file=file,
            force_terminal=terminal,
            width=width,
            highlight=False,
            color_system=None,
            soft_wrap=True,
        )
        if planned:
            made.planned(plan_of(**settings))
        return made, file

    return display


def test_the_plan_is_shown_before_the_first_trial(shown):
    _, file = shown(terminal=False, time_budget_s=90)
    text = file.getvalue()
    assert "4 trials, at most 10 epochs each: at most 40 epochs, 0:01:30" in text
    assert "2 trials, each 1 CPU" in text and "Records: runs/mine" in text


def test_in_a_terminal_a_table_shows_each_trial_and_how_far_the_search_is(shown):
    display, file = shown(terminal=True)
    with display.searching():
        display.started(record("t0000", units=32))
        display.reported(report("t0000", 1, 0.5))
        display.reported(report("t0000", 2, 0.4))
        display.ended(record("t0000", "stopped", units=32))
        display.started(record("t0001", units=64, rate=0.001))
    last = file.getvalue().rpartition("trial ")[2]
    assert " units  rate " in last
    assert "t0000  stopped  2      0.5           32 " in last  # its best, after two epochs
    assert "t0001  running  0                    64     0.001" in last
    assert "1/4 trials · 2 epochs · best val_accuracy 0.5 (t0000)" in last
    assert "left" not in last  # it is over


def test_no_line_of_a_live_table_is_wider_than_the_terminal(shown):
    display, file = shown(terminal=True, width=80, trials=10_000)
    before = len(file.getvalue())
    with display.searching():
        for place in range(20):
            display.started(record(f"t{place:04}", **{f"block_{i}/units": place for i in range(9)}))
            display.reported(report(f"t{place:04}", 1, 0.5))
    drawn = file.getvalue()[before:].rpartition("\x1b[2K")[2].replace("\x1b[?25h", "")
    assert max(map(len, drawn.splitlines())) <= 80
    assert "best val_accuracy 0.5 (t0000) · 0:00:00 passed" in " ".join(drawn.split())
    assert "no place for: block_3/units block_4/units" in " ".join(drawn.split())


def test_elsewhere_each_trial_is_a_line(shown):
    display, file = shown(terminal=False)
    with display.searching():
        display.started(record("t0000", units=32))
        display.reported(report("t0000", 1, 0.5))
        display.ended(record("t0000", "finished", units=32))
    assert (
        file.getvalue().splitlines()[-1]
        == "t0000 finished epoch  1  best val_accuracy 0.5  units=32"
    )
    assert "\x1b" not in file.getvalue()


def test_a_resumed_run_counts_what_was_done_before(shown):
    display, _ = shown(terminal=True)
    display.remembered([record("t0000", "finished", units=8)], [report("t0000", 1, 0.9)])
    assert "1/4 trials · 1 epochs · best val_accuracy 0.9 (t0000)" in display.progress.summary()


def test_what_was_done_before_may_be_told_before_the_plan(shown, plan_of):
    display, file = shown(terminal=True, planned=False)
    display.remembered(
        [record("t0000", "finished", units=8), record("t0001", "stopped", units=9)],
        [report("t0000", 1, 0.9), report("t0001", 1, 0.7), report("t0001", 2, 0.95)],
    )
    assert file.getvalue() == ""
    assert "2 trials · 3 epochs · 0:00:00 passed" in display.progress.summary()
    display.planned(plan_of())
    assert "2/4 trials · 3 epochs · best val_accuracy 0.95 (t0001)" in display.progress.summary()


def test_a_trial_that_waited_before_this_process_is_counted_and_not_shown(shown):
    display, file = shown(terminal=False)
    before = file.getvalue()
    display.remembered([record("t0000", units=8)], [report("t0000", 1, 0.9)])
    display.waits(record("t0000", units=8))
    assert file.getvalue() == before
    assert "1/4 trials" in display.progress.summary() and "left" not in display.progress.summary()
    display.started(record("t0001", units=9))
    display.waits(record("t0001", units=9))
    assert file.getvalue()[len(before) :] == (
        "t0001 waiting  epoch  0  best val_accuracy none  units=9\n"
    )
    assert "2/4 trials" in display.progress.summary() and "left" in display.progress.summary()


def test_quiet_shows_nothing_of_a_run(capsys):
    display = Display(quiet=True)
    display.preparing("loading")
    assert capsys.readouterr().out == ""


def test_a_warning_is_a_line_for_who_asked_for_quiet_too(capsys):
    Display(quiet=True).warned("history.jsonl was damaged [0]; no line is from its copy.")
    assert (
        capsys.readouterr().out
        == "Warning: history.jsonl was damaged [0]; no line is from its copy.\n"
    )


def test_what_shows_a_search_here_is_no_notebooks():
    assert isinstance(display(quiet=False), Display) and display(quiet=True).quiet
