"""The conformance checks of trackers: the console passes them, and they find what breaks them."""

import io
import shutil

import pytest
from rich.console import Console

from pipeline.console.display import Display
from pipeline.console.notebook import NotebookDisplay
from pipeline.testing.trackers import (
    check_any_order,
    check_finished,
    check_resumed,
    check_tracker,
    check_watcher,
)
from pipeline.watch import Watcher


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("quiet", [True, False])
def test_the_console_is_a_watcher_like_any_other(tmp_path, terminal, quiet):
    def display():
        made = Display(quiet=quiet)
        made.console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        return made

    check_watcher(display, tmp_path)


def test_a_notebooks_display_is_one_too(tmp_path):
    check_watcher(NotebookDisplay, tmp_path)


def test_a_watcher_that_does_nothing_passes(tmp_path):
    check_watcher(Watcher, tmp_path)


class Counting(Watcher):
    """Counts its processes, and keeps an id from the first of them."""

    def __init__(self, experiment, state):
        self.state = state

    def directory(self, place):
        kept = self.state.read()
        self.state.keep(processes=kept.get("processes", 0) + 1, id=kept.get("id", "run-1"))


def test_a_tracker_gets_back_what_it_kept(tmp_path):
    check_tracker(Counting, tmp_path)
    assert check_finished(Counting, tmp_path / "a") == {"processes": 1, "id": "run-1"}
    assert check_resumed(Counting, tmp_path / "b") == {"processes": 2, "id": "run-1"}


def test_a_tracker_that_needs_the_plan_before_the_past_is_found(tmp_path):
    class Hasty(Watcher):
        plan = None

        def planned(self, plan):
            self.plan = plan

        def remembered(self, trials, reports):
            print(self.plan.objective)

    check_finished(lambda experiment, state: Hasty(), tmp_path / "a")
    with pytest.raises(AttributeError, match="objective"):
        check_any_order(lambda experiment, state: Hasty(), tmp_path / "b")


def test_a_tracker_that_changes_what_it_is_told_is_found(tmp_path):
    class Rounding(Watcher):
        def reported(self, report):
            report.seconds = round(report.seconds)

    with pytest.raises(AssertionError, match="must not change what it is told; 'reported' did"):
        check_watcher(Rounding, tmp_path)


def test_a_tracker_that_forgets_is_found(tmp_path):
    class Forgetful(Counting):
        def directory(self, place):
            for folder in (place, place / ".copies"):
                shutil.rmtree(folder / "tracking", ignore_errors=True)
            if place.joinpath("summary.json").exists():
                return
            self.state.keep(id="run-1")

    with pytest.raises(AssertionError, match=r"\['id'\] is gone"):
        check_resumed(Forgetful, tmp_path)
