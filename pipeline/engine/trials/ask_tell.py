"""The adapter between our searchers and Tune.

What goes out (`suggest`), under trial ids of ours.
"""

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.search import Searcher as RaySearcher

from pipeline.engine.internals.tune_search import TrialSource, trial_that_is_over
from pipeline.engine.messages import RESOURCES
from pipeline.records.entries.trial_ids import id_of
from pipeline.records.entries.trials import ENDED
from pipeline.records.ledger import Ledger
from pipeline.search.searcher import Searcher
from pipeline.worker.session import Job


class AskTell(RaySearcher):
    """Tune's `Searcher` over one of ours.

    Args:
        searcher: proposes.
        ledger: records every trial before it is handed out.
        trials: how many there may be.
        job: makes a trial's task from its id and configuration.
        wanted: whether another trial can be used now. A proposal made later knows more, so none is
            made ahead.
        all_wait: whether no trial goes on before there are no more to come.
        resources: what a trial takes, as Ray counts it.
    """

    def __init__(
        self,
        searcher: Searcher,
        ledger: Ledger,
        trials: int,
        job: Callable[[str, dict[str, Any]], Job],
        wanted: Callable[[], bool],
        all_wait: Callable[[], bool],
        max_epochs: int,
        resources: Callable[[Job], dict[str, float]],
    ) -> None:
        super().__init__()
        self._searcher, self._ledger, self._trials = searcher, ledger, trials
        self._job, self._wanted, self._all_wait = job, wanted, all_wait
        self.exhausted = False
        self.max_epochs = max_epochs
        self._resources = resources

    def next_id(self) -> str:
        """The id of the next trial.

        It says its place in the search, so a rerun has the same ones.
        """
        return id_of(len(self._ledger.trials))

    def is_over(self, trial_id: str) -> bool:
        """Whether a trial is recorded as ended."""
        return self._ledger.trials[trial_id].status in ENDED

    def suggest(self, trial_id: str) -> Any:
        """The next trial's task, None for "not now", or that there will be no more."""
        if self._ledger.counted() >= self._trials:
            # A duplicate would not count, and another take its place.
            return None if self._ledger.undecided() else RaySearcher.FINISHED
        if not self._wanted():
            return None
        configuration = self._searcher.ask(trial_id)
        if configuration is None:
            # A running trial may yet ask for something new in `fit` and so extend the space.
            if self._ledger.unfinished() and not self._all_wait():
                return None
            self.exhausted = True
            return RaySearcher.FINISHED
        self._ledger.start(trial_id, configuration)
        return self.task(trial_id, configuration)

    def task(self, trial_id: str, configuration: dict[str, Any]) -> dict[str, Any]:
        """The `config` of Tune's trial."""
        job = self._job(trial_id, configuration)
        return {"job": job, RESOURCES: self._resources(job)}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing: what comes back is told by the recorder, once, with all that is known."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune's state is never read back."""
        open(checkpoint_path, "wb").close()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class Trials(TrialSource):
    """Makes Tune's trials, the unfinished ones of a resumed run first.

    Args:
        searcher: proposes.
        replay: makes the trials of the past; returns those that are to go on.
        paused: whether any trial waits to go on.
    """

    def __init__(
        self,
        searcher: AskTell,
        replay: Callable[[Callable[..., Trial]], list[Trial]],
        paused: Callable[[], bool],
    ) -> None:
        super().__init__(searcher)
        self._adapter = searcher
        self._replay = replay
        self._paused = paused
        self._unfinished: list[Trial] = []
        self._all_proposed = False
        self._halted = False

    def add_configurations(self, experiments: Any) -> None:
        """Take the experiment's specification, and with it make the trials of the past."""
        super().add_configurations(experiments)
        self._unfinished = self._replay(self._create)

    def make_next(self) -> Trial | None:
        """The next trial, if there is one now."""
        if self._unfinished:
            return self._unfinished.pop(0)
        trial_id = self._adapter.next_id()
        task = self._adapter.suggest(trial_id)
        if task == RaySearcher.FINISHED:
            self._all_proposed = True
            return None
        return None if task is None else self._create(trial_id, task)

    @property
    def complete(self) -> bool:
        """Whether there will be no more trials."""
        return (self._all_proposed or self._halted) and not self._unfinished

    def is_finished(self) -> bool:
        """Whether there will be nothing more to run.

        While a trial is paused Tune is told that there will: it then keeps the worker of a trial
        that pauses for the next, where it would start a process, and import TensorFlow, for each
        that goes on.
        """
        return self._halted or (self.complete and not self._paused())

    def set_finished(self) -> None:
        """End it, whatever waits.

        Tune says so where the whole search is to stop, and tells the scheduler nothing.
        """
        super().set_finished()
        self._halted = True

    def _create(self, trial_id: str, task: dict[str, Any]) -> Trial:
        if self._adapter.is_over(trial_id):
            return trial_that_is_over(trial_id, task)
        return self.make(trial_id, task)
