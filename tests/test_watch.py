"""Several watchers as one, and what happens where one of them raises."""

import inspect
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import Interrupted
from pipeline.watch import Conclusion, Watcher, Watchers

EVENTS = [name for name, _ in inspect.getmembers(Watcher, inspect.isfunction) if name[0] != "_"]
TOLD = {
    "preparing": ("loading",),
    "directory": (Path("runs/mine"),),
    "planned": ("a plan",),
    "remembered": ([], []),
    "warned": ("a node is slow",),
    "started": ("a record",),
    "reported": ("a report",),
    "decided": ("a decision",),
    "waits": ("a record",),
    "ended": ("a record",),
    "tick": (),
    "concluded": (Conclusion(Path("runs/mine"), None),),
}


class Noting(Watcher):
    """Notes what it hears; raises at one event."""

    def __init__(self, raises_at=None, error=None):
        self.heard, self.raises_at, self.error = [], raises_at, error or ValueError("not today")

    def __getattribute__(self, name):
        if name not in TOLD:
            return super().__getattribute__(name)

        def note(*facts):
            self.heard.append((name, *facts))
            if name == self.raises_at:
                raise self.error

        return note

    def warned(self, text):
        """Seen by somebody, unlike `Watcher.warned`."""

    @contextmanager
    def searching(self):
        self.heard.append(("searching",))
        if self.raises_at == "searching":
            raise self.error
        yield
        self.heard.append(("searched",))
        if self.raises_at == "searched":
            raise self.error


def play(watcher, within=lambda: None):
    """Tell every event, the trials' ones within `searching`."""
    for event in ("preparing", "directory", "planned", "remembered"):
        getattr(watcher, event)(*TOLD[event])
    with watcher.searching():
        for event in ("warned", "started", "reported", "decided", "waits", "ended", "tick"):
            getattr(watcher, event)(*TOLD[event])
        within()
    watcher.concluded(*TOLD["concluded"])


ALL = [
    *[(event, *TOLD[event]) for event in ("preparing", "directory", "planned", "remembered")],
    ("searching",),
    *[(event, *TOLD[event]) for event in ("warned", "started", "reported", "decided", "waits")],
    *[(event, *TOLD[event]) for event in ("ended", "tick")],
    ("searched",),
    ("concluded", *TOLD["concluded"]),
]


def test_each_of_several_watchers_hears_every_event_once_and_in_order():
    assert (
        set(EVENTS)
        == {*TOLD, "searching"}
        == {e for e in vars(Watchers) if e[0] != "_" and e != "add"}
    )
    one, other = Noting(), Noting()
    play(Watchers([one, other]))
    assert one.heard == other.heard == ALL


def test_no_watcher_is_one_that_hears_nothing():
    play(Watchers())


@pytest.mark.parametrize("event", [*TOLD, "searching", "searched"])
def test_what_a_watcher_raises_is_one_warning_to_the_others_and_the_end_is_told_to_it(
    event, capsys
):
    other, raising, last = Noting(), Noting(event), Noting()
    play(Watchers([other, raising, last]))
    for watcher in (other, last):
        said = [facts for name, *facts in watcher.heard if name == "warned"]
        ((warning,),) = [facts for facts in said if facts != ["a node is slow"]]
        where = "searching" if event == "searched" else event
        assert warning == (
            f"The watcher Noting raised 'ValueError: not today' when it was told '{where}'. "
            "The search goes on; this watcher hears nothing more but the end."
        )
        assert [h for h in watcher.heard if h != ("warned", warning)] == ALL
    told = ALL[: ALL.index(next(heard for heard in ALL if heard[0] == event)) + 1]
    if ("searching",) in told[:-1] and ("searched",) not in told:
        told = [*told, ("searched",)]  # what it entered, it leaves
    if event != "concluded":
        told = [*told, ALL[-1]]
    assert raising.heard == told
    assert capsys.readouterr().err == ""


def test_a_watcher_that_is_added_later_is_warned_of_what_was_before_and_hears_what_follows():
    one, late = Noting(), Noting()
    watchers = Watchers([one])
    watchers.preparing("loading")
    for text in ("the history was damaged", "a node is slow"):
        watchers.warned(text)
    watchers.add([late])
    watchers.started("a record")
    warned = [("warned", "the history was damaged"), ("warned", "a node is slow")]
    assert late.heard == [*warned, ("started", "a record")]
    assert one.heard == [("preparing", "loading"), *late.heard]


def test_one_that_raises_at_what_was_before_is_left_out_with_a_single_warning():
    one, late = Noting(), Noting("warned")
    watchers = Watchers([one])
    for text in ("the history was damaged", "a node is slow"):
        watchers.warned(text)
    watchers.add([late])
    watchers.started("a record")
    assert late.heard == [("warned", "the history was damaged")]
    (said,) = [text for name, text in one.heard[2:-1] if name == "warned"]
    assert said.startswith("The watcher Noting raised") and one.heard[-1] == ("started", "a record")


def test_a_warning_that_no_person_would_see_goes_to_standard_error_too(capsys):
    class Filed(Noting):
        shows_warnings = False

    filed = Filed()
    play(Watchers([filed, Watcher(), Noting("started")]))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Warning: The watcher Noting raised")
    assert ("warned", line.removeprefix("Warning: ")) in filed.heard


def test_where_no_other_watcher_is_left_the_warning_goes_to_standard_error(capsys):
    play(Watchers([Noting("warned"), Noting("started")]))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "when it was told 'started'" in lines[0]
    assert lines[0].startswith("Warning: The watcher Noting raised")


def test_an_error_that_cannot_be_shown_is_a_warning_too(capsys):
    class Shy(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    play(Watchers([Noting("started", Shy())]))
    assert "Shy: <exception str() failed>" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted(15), SystemExit(3)])
def test_what_is_to_end_the_process_passes(error):
    with pytest.raises(type(error)):
        play(Watchers([Noting(), Noting("reported", error)]))


def test_what_ends_a_search_passes_the_watchers_and_each_leaves_what_it_entered():
    class Hiding(Noting):
        @contextmanager
        def searching(self):
            with super().searching():
                try:
                    yield
                except ZeroDivisionError:
                    self.heard.append(("hidden",))

    one, other = Noting(), Hiding()
    with pytest.raises(ZeroDivisionError):
        play(Watchers([one, other]), within=lambda: 1 / 0)
    assert one.heard == other.heard == ALL[:-1]
