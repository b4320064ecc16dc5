"""The turn of a population: decides who takes over from whom, moves the checkpoints, records it.

A driver may be killed in the middle. No trial goes on before all is recorded, so what is not
recorded is done again, from sources that are as they were.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from pipeline.objective import Objective
from pipeline.records.layout import LAST, Layout, persist
from pipeline.records.ledger import Ledger
from pipeline.schedulers.scheduler import Generations
from pipeline.search.population import Change, Member, evolve
from pipeline.space.configuration import configuration_of
from pipeline.worker.training.checkpoints import Checkpoints

Roles = Callable[[dict[str, Any]], dict[str, str]]
Fits = Callable[[dict[str, Any], dict[str, Any]], bool]


class RecordedGenerations(Generations):
    """Generations of trials whose records and checkpoints are in a run's directory.

    Args:
        ledger: the run's records.
        layout: where the checkpoints are.
        objective: what trials are compared by.
        seed: of the search.
        repeats: how often each trial trains its configuration.
        roles: what each hyperparameter of a configuration is of: "model" or "algorithm".
        fits: whether one configuration's weights fit another's model.
        give: gives a trial that changed its new values.
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
        give: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._ledger, self._layout, self._objective = ledger, layout, objective
        self._seed, self._repeats = seed, repeats
        self._roles, self._fits, self._give = roles, fits, give

    def saved(self, trial: str, epoch: int) -> bool:
        """Whether all its repeats' last checkpoints are of `epoch`, or of an earlier end."""
        files = list(self._layout.trial(trial).rglob(LAST))
        for file in files:
            Checkpoints(file.parent).mend()
        states = [Checkpoints(file.parent).last_state() for file in files]
        return len(files) == self._repeats and all(
            s and (s.epoch >= epoch or s.ended) for s in states
        )

    def turn(self, epoch: int, objectives: dict[str, float]) -> None:
        """Let the worst go on with the checkpoints of the best, under other values."""
        records = self._ledger.trials
        members = [
            Member(trial, self._objective.loss(value), records[trial].asked)
            for trial, value in objectives.items()
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
        for change in changes:
            self._give(change.trial, records[change.trial].hyperparameters)

    def _take_over(self, change: Change, epoch: int) -> None:
        source, target = self._layout.trial(change.source), self._layout.trial(change.trial)
        requested = self._ledger.trials[change.source].asked
        if self._fits(configuration_of(requested), configuration_of(change.requested)):
            requested = change.requested
        for file in source.rglob(LAST):
            held = Checkpoints(target / file.parent.relative_to(source))
            take_over = partial(held.take_over, Checkpoints(file.parent))
            self._ledger.guarded(partial(persist, self._layout, held.last, take_over))
        self._ledger.change(change.trial, epoch, change.source, requested)
