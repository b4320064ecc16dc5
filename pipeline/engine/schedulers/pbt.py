"""Population based training over Tune.

Generations that are the same however many trials run at once.

Ray's own scheduler refuses a searcher as the source of its population, multiplies past bounds and
steps, indexes what a conditional trial never requested, and draws from a global generator. This one
pauses every trial at the end of a generation; once all of them are there, the worst take over the
checkpoints of the best, and all go on. What follows from the records alone can be replayed from
them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from pipeline.engine.internals.tune_trials import set_task
from pipeline.engine.messages import EPOCH, OBJECTIVE
from pipeline.engine.schedulers.scheduler import Pausing
from pipeline.objective import Objective
from pipeline.records.layout import LAST, SPARE, Layout, persist, write_whole
from pipeline.records.ledger import Ledger
from pipeline.search.population import Change, Member, evolve
from pipeline.space.configuration import configuration_of
from pipeline.worker.training.checkpoints import Checkpoints

Roles = Callable[[dict[str, Any]], dict[str, str]]
Fits = Callable[[dict[str, Any], dict[str, Any]], bool]


class PopulationBased(Pausing):
    """Every trial is a member; a generation lasts `interval` epochs.

    Args:
        interval: epochs from one boundary to the next.
        max_epochs: where a trial ends by itself.
        turn: carries out a boundary: is given the epoch and each member's objective there, and
            returns the new tasks of the trials that changed.
        complete: whether no more trials will be added.
        saved: whether a trial's state at a boundary is there to be taken over. A driver that is
            killed takes with it the workers that have reported a boundary and not yet saved.
    """

    def __init__(
        self,
        interval: int,
        max_epochs: int,
        turn: Callable[[int, dict[str, float]], dict[str, Any]],
        complete: Callable[[], bool],
        saved: Callable[[str, int], bool],
    ) -> None:
        super().__init__()
        self._interval, self._max_epochs = interval, max_epochs
        self._turn, self._complete, self._saved = turn, complete, saved
        self._values: dict[str, dict[int, float]] = {}  # trial -> boundary -> objective
        self._turned = 0  # the last boundary that was carried out
        self._sent_back: set[tuple[str, int]] = set()

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A new member."""
        super().on_trial_add(tune_controller, trial)
        self._values[trial.trial_id] = {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Pause at a boundary."""
        epoch = result[EPOCH]
        # Whoever is past a boundary was let go after it had been carried out.
        self._turned = max(self._turned, (epoch - 1) // self._interval * self._interval)
        if epoch % self._interval or epoch >= self._max_epochs:
            return TrialScheduler.CONTINUE
        self._values[trial.trial_id][epoch] = result[OBJECTIVE]
        return TrialScheduler.PAUSE

    def repeated(self, trial: Trial, epoch: int) -> str:
        """Wait where it waited before."""
        waits = epoch == self._boundary(trial) > self._turned
        return TrialScheduler.PAUSE if waits else TrialScheduler.CONTINUE

    def ready(self) -> int:
        """How many of the next generation do not run yet."""
        return len(self._free())

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The next of a generation, once all stood at the boundary.

        New trials are started by Tune itself.
        """
        paused, free = self.paused(), self._free()
        if not free and paused and len(paused) == len(self._members) and self._complete():
            if unsaved := self._unsaved(paused):
                return unsaved
            self._carry_out(paused)
            free = self._free()
        return free[0] if free else None

    def debug_string(self) -> str:
        """How many there are."""
        return f"{len(self._members)} members, generation of epoch {self._turned}"

    def _free(self) -> list[Trial]:
        return [t for t in self.paused() if self._boundary(t) <= self._turned]

    def _boundary(self, trial: Trial) -> int:
        return max(self._values[trial.trial_id], default=0)

    def _unsaved(self, paused: list[Trial]) -> Trial | None:
        """A trial that must reach its boundary again, to be saved there; once."""
        for trial in paused:
            place = trial.trial_id, self._boundary(trial)
            if place not in self._sent_back and not self._saved(*place):
                self._sent_back.add(place)
                return trial
        return None

    def _carry_out(self, paused: list[Trial]) -> None:
        # All stand at the same: whoever is behind, added when a run was extended, passes by what
        # was carried out.
        boundary = self._boundary(paused[0])
        tasks = self._turn(
            boundary, {t.trial_id: self._values[t.trial_id][boundary] for t in paused}
        )
        for trial in paused:
            if trial.trial_id in tasks:
                set_task(trial, tasks[trial.trial_id])  # a larger model may need a whole GPU
        self._turned = boundary


class Generation:
    """Carries out a boundary: decides who takes over from whom, moves the checkpoints, records it.

    A driver may be killed in the middle. No trial goes on before all is recorded, so what is not
    recorded is done again, from sources that are as they were.
    """

    def __init__(
        self,
        ledger: Ledger,
        layout: Layout,
        objective: Objective,
        seed: int,
        repeats: int,
        roles: Roles,
        fits: Fits,
        task: Callable[[str, dict[str, Any]], dict[str, Any]],
    ) -> None:
        self._ledger, self._layout, self._objective = ledger, layout, objective
        self._seed, self._repeats = seed, repeats
        self._roles, self._fits, self._task = roles, fits, task

    def __call__(self, epoch: int, values: dict[str, float]) -> dict[str, Any]:
        """The new tasks of those trials that changed, by trial."""
        records = self._ledger.trials
        members = [
            Member(t, self._objective.loss(value), records[t].asked) for t, value in values.items()
        ]
        perturbed: set[str] = set()
        # all, and as they began: the same whenever this process was started
        for record in records.values():
            roles = self._roles(record.in_force(1)) if record.requested else {}
            perturbed |= {name for name, role in roles.items() if role == "algorithm"}
        changes = evolve(members, perturbed, self._seed, epoch)
        for change in changes:
            if all(past["epoch"] != epoch for past in records[change.trial].changes):
                self._take_over(change, epoch)
        return {c.trial: self._task(c.trial, records[c.trial].hyperparameters) for c in changes}

    def saved(self, trial: str, epoch: int) -> bool:
        """Whether all its repeats' last checkpoints are of `epoch`, or of an earlier end."""
        files = list(self._layout.trial(trial).rglob(LAST))
        for file in files:
            Checkpoints(file.parent).mend()
        states = [Checkpoints(file.parent).last_state() for file in files]
        return len(files) == self._repeats and all(
            s and (s["epoch"] >= epoch or s["ended"]) for s in states
        )

    def _take_over(self, change: Change, epoch: int) -> None:
        source, target = self._layout.trial(change.source), self._layout.trial(change.trial)
        requested = self._ledger.trials[change.source].asked
        if self._fits(configuration_of(requested), configuration_of(change.requested)):
            requested = change.requested
        for file in source.rglob(LAST):
            path, data = target / file.relative_to(source), file.read_bytes()
            for each in (path, path.with_name(SPARE[LAST])):
                self._ledger.guarded(
                    partial(persist, self._layout, each, partial(write_whole, each, data))
                )
        self._ledger.change(change.trial, epoch, change.source, requested)
