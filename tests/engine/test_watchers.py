"""What watchers hear of real searches, and what becomes of a search whose watchers raise."""

from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import ProgramError
from pipeline.records.entries.decisions import read_decisions
from pipeline.records.entries.reports import read_history
from pipeline.watch import Interruption, Watcher

SPACES = Path(__file__).parents[1] / "spaces"
pytestmark = pytest.mark.ray

EVENTS = [
    *("preparing", "directory", "planned", "remembered", "searching", "started", "reported"),
    *("decided", "waits", "ended", "tick", "concluded"),
]
SETTINGS = {
    "scheduler": "asha",
    "trials": 4,
    "max_epochs": 2,
    "reduction_factor": 2,
    "max_concurrent": 1,
}


class Noting(Watcher):
    """Notes the events, and those of one kind with what they tell."""

    def __init__(self):
        self.events = []

    def __getattribute__(self, name):
        if name not in EVENTS or name in ("searching", "tick"):
            return super().__getattribute__(name)
        return lambda *facts: self.events.append((name, *facts))

    def warned(self, text):
        self.events.append(("warned", text))

    def told(self, event):
        """What was told with each event of a kind."""
        return [facts[0] for name, *facts in self.events if name == event]


def raising_at(event):
    """A watcher that raises whenever it hears one event."""

    class Raising(Watcher):
        times = 0

    def fail(self, *facts):
        Raising.times += 1
        raise ValueError(f"no {event}")

    if event == "searching":
        fail = contextmanager(fail)
    setattr(Raising, event, fail)
    return Raising()


def assert_same(one, other):
    for table in ("trials", "history"):
        first, second = (getattr(run, table).drop(columns="seconds") for run in (one, other))
        pd.testing.assert_frame_equal(first, second)
    assert one.best == other.best


@pytest.mark.slow
def test_a_watcher_that_raises_is_one_warning_and_the_search_is_as_without_it(search):
    first, last = Noting(), Noting()
    raising = [raising_at(event) for event in EVENTS]
    watched = search(**SETTINGS, watchers=[first, *raising, last])
    assert_same(watched, search(**SETTINGS))
    for noting in (first, last):
        warnings = noting.told("warned")
        assert sorted(warnings) == sorted(
            f"The watcher raising_at.<locals>.Raising raised 'ValueError: no {event}' when it was "
            f"told {event!r}. The search goes on; this watcher hears nothing more but the end."
            for event in EVENTS
        )
    assert [one.times for one in raising] == [1] * len(EVENTS)


def test_watchers_hear_the_directory_before_a_trial_each_report_each_decision_and_the_end(search):
    one, other = Noting(), Noting()
    run = search(**SETTINGS, watchers=[one, other])
    assert one.events == other.events

    order = [name for name, *_ in one.events if name != "preparing"]
    assert order[:3] == ["directory", "planned", "remembered"] and order[-1] == "concluded"
    assert one.told("directory") == [run.directory]
    assert one.told("reported") == read_history(run.layout)
    assert sorted(record.trial for record in one.told("ended")) == sorted(run.trials["trial"])

    decisions = one.told("decided")
    assert decisions == read_decisions(run.layout)
    assert {d.verdict for d in decisions} >= {"continue", "pause"}
    for decision in decisions:
        assert decision.rung == 1 and 1 <= decision.rank <= decision.of and decision.reason
    (end,) = one.told("concluded")
    assert (end.directory, end.interrupted, end.error) == (run.directory, False, None)
    assert end.results.summary == run.summary


@pytest.mark.slow
def test_the_end_of_an_interrupted_search_is_told_as_such_and_a_resume_tells_what_was(search):
    interruption = Interruption()

    class Stopping(Noting):
        def warned(self, text):
            raise AssertionError(text)

        def tick(self):
            if len(self.told("reported")) == 3:
                interruption.signal = 15

    cut = Stopping()
    run = search(**SETTINGS, name="mine", watchers=[cut], interruption=interruption)
    (end,) = cut.told("concluded")
    assert end.interrupted and end.error is None and end.results.summary["interrupted"]

    again, tried = Noting(), list(run.trials["trial"])
    search(**SETTINGS, name="mine", watchers=[again], resume=run.directory)
    assert again.told("directory") == [run.directory]
    ((_, trials, reports),) = [event for event in again.events if event[0] == "remembered"]
    assert len(reports) == 3 and [record.trial for record in trials] == tried
    assert [(r.trial, r.epoch) for r in cut.told("reported") + again.told("reported")] == [
        (r.trial, r.epoch) for r in read_history(run.layout)
    ]
    (end,) = again.told("concluded")
    assert not end.interrupted and end.results.summary["trials"]["total"] == 4


@pytest.mark.slow
def test_the_end_of_a_search_that_fails_is_told_with_its_error(search):
    noting = Noting()
    with pytest.raises(ProgramError) as failed:
        search(
            search_space=str(SPACES / "failing.py"),
            trials=9,
            max_epochs=1,
            scheduler="none",
            watchers=[noting],
        )
    (end,) = noting.told("concluded")
    assert end.error is failed.value and not end.interrupted
    assert end.results.summary["trials"]["failed"] >= 3
    assert noting.events[-1][0] == "concluded"
