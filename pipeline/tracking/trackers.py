"""Trackers by name.

A tracker is a `Watcher` that an experiment names (`--track NAME`). It is made with the experiment
and with what it may keep in the run's directory:

    class Lines(Watcher):
        \"\"\"Prints each epoch.\"\"\"

        def __init__(self, experiment, state):
            self.state = state

        def directory(self, place):
            self.state.keep(processes=self.state.read().get("processes", 0) + 1)

        def reported(self, report):
            print(report.trial, report.epoch, report.objective)

It is made before Ray is started, when there may be no run yet: what it begins elsewhere, it begins
at `directory` or later. `pipeline.testing.trackers` tests one.
"""

from collections.abc import Callable

from pipeline.components import load
from pipeline.errors import KerasweepError, RequestError, UserCodeError, user_traceback
from pipeline.experiment import Experiment
from pipeline.names import find
from pipeline.records.checksummed import Warned
from pipeline.records.layout import Layout
from pipeline.records.tracker_state import TrackerState
from pipeline.watch import Watcher


def make_trackers(
    experiment: Experiment, layout: Callable[[], Layout | None], warned: Warned
) -> list[Watcher]:
    """Make the trackers that an experiment names.

    Args:
        experiment: names them in `track`.
        layout: gives the run's layout; None while it is not known.
        warned: is told where a tracker's state was damaged.

    Raises:
        RequestError: one is no tracker, or two would keep their state in one file.
        UserCodeError: one cannot be imported, or raises when it is made.
    """
    made: dict[str, Watcher] = {}
    for name in experiment.track:
        tracker = load("tracker", name, Watcher)
        key = state_name(name)
        if key in made:
            raise RequestError(f"Each tracker must have a name of its own; two are called {key!r}.")
        try:
            made[key] = tracker(experiment, TrackerState(key, layout, warned))  # type: ignore[call-arg]
        except KerasweepError:
            raise
        except Exception as error:
            raise UserCodeError(
                f"The tracker {name!r} must be made from an experiment and a state; it raised "
                f"{type(error).__name__}: {error}",
                user_traceback(error),
            ) from error
    return list(made.values())


def state_name(name: str) -> str:
    """What a tracker's file is called: its name, or its module's and class's.

    A file's folder is no part of it: a run may be gone on with elsewhere.
    """
    if ":" not in name:
        return name
    source = find("tracker", name)
    return f"{source.label}.{source.function}"
