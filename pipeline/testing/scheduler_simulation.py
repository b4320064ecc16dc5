"""A simulated search that drives a scheduler: trials are numbers, an epoch is one step.

No Ray, no Keras and no clock. It does with a scheduler what the engine does, so that what one
decides can be seen and measured in milliseconds.
"""

import random
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.schedulers.scheduler import Context, Decision, Scheduler, Status

LOSS = Objective("val_loss", "min")


@dataclass(eq=False)
class SimulatedTrial:
    """A trial that is only numbers; `epochs` are completed."""

    id: str
    status: Status = "queued"
    epochs: int = 0


@dataclass(frozen=True)
class Event:
    """A trial was added (`epoch` 0), reported, or ended."""

    kind: str  # "added", "reported" or "ended"
    trial: str
    epoch: int = 0
    objective: float = 0.0


@dataclass
class SchedulerSimulation:
    """A search of `count` trials, of which `slots` train at once; each epoch is one step.

    Args:
        scheduler: the class to be tried.
        settings: of the experiment: `max_epochs`, `reduction_factor`, …
        count: how many trials there are.
        slots: how many train at once.
        seed: of the trials' qualities, and of which trial reports next.
    """

    scheduler: type[Scheduler]
    settings: dict[str, Any] = field(default_factory=dict)
    count: int = 17
    slots: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        self.experiment = Experiment(
            **{"dataset": "digits", "trials": self.count, "objective": "val_loss"} | self.settings
        )
        self.rng = random.Random(self.seed)
        self.names = [f"t{number:04d}" for number in range(self.count)]
        self.qualities = {name: self.rng.random() for name in self.names}
        self.trials: dict[str, SimulatedTrial] = {}
        self.events: list[Event] = []
        self.decisions: list[Decision] = []
        self._to_come = list(self.names)
        context = Context(self.experiment, LOSS, lambda: not self._to_come)
        self.scheduler.check(self.experiment)
        self.deciding = self.scheduler(context)

    def objective(self, trial: str, epoch: int) -> float:
        """What a trial reports: the better its quality, and the longer it trained, the lower."""
        return self.qualities[trial] + 1 / epoch

    def running(self) -> list[SimulatedTrial]:
        """The trials that train."""
        return [trial for trial in self.trials.values() if trial.status == "running"]

    def fill(self) -> None:
        """Add the trials that are wanted, and let trials run in all slots."""
        while True:
            while self._to_come and self.deciding.unfilled:
                self._add()
            free = self.slots - len(self.running())
            if free <= 0:
                return
            chosen = self._chosen()
            queued = sum(trial.status == "queued" for trial in self.trials.values())
            if chosen is None and self._to_come and free - queued - self.deciding.ready() > 0:
                self._add()
                chosen = self._chosen()
            if chosen is None:
                return
            chosen.status = "running"

    def step(self) -> bool:
        """One epoch of one running trial; False once nothing runs."""
        self.fill()
        if not self.running():
            return False
        trial = self.rng.choice(self.running())
        trial.epochs += 1
        objective = self.objective(trial.id, trial.epochs)
        self.events.append(Event("reported", trial.id, trial.epochs, objective))
        self._follow(trial, self.deciding.reported(trial.id, trial.epochs, objective))
        if trial.epochs == self.experiment.max_epochs and trial.status != "ended":
            self._end(trial)
        return True

    def lose_worker(self, trial: SimulatedTrial) -> None:
        """Take a trial's worker away after an epoch, so that it trains that epoch once more."""
        before = trial.status
        if before == "ended":
            return
        trial.status = "running"
        if before == "paused":
            self.deciding.restarted(trial.id)
        decision = self.deciding.repeated(trial.id, trial.epochs)
        self._follow(trial, decision)
        assert trial.status == before, (
            f"{trial.id} must be {before} after epoch {trial.epochs} as it was when it reported it "
            f"first; it is {trial.status}: {decision.reason}"
        )

    def to_its_end(self) -> "SchedulerSimulation":
        """Step until nothing runs."""
        while self.step():
            pass
        return self

    def rebuilt(self) -> "SchedulerSimulation":
        """The same search in a fresh process, whose scheduler knows the recorded events alone."""
        again = SchedulerSimulation(
            self.scheduler, self.settings, self.count, self.slots, self.seed
        )
        again.rng = deepcopy(self.rng)
        again.events = list(self.events)
        again._to_come = list(self._to_come)
        latest = {event.trial: event.epoch for event in self.events if event.kind == "reported"}
        for event in self.events:
            if event.kind == "added":
                again.trials[event.trial] = SimulatedTrial(event.trial)
                again.deciding.added(again.trials[event.trial])
                continue
            trial = again.trials[event.trial]
            if trial.status == "ended":
                continue
            if event.kind == "ended":
                again._end(trial, known=True)
                continue
            trial.status, trial.epochs = "running", event.epoch
            went_on = event.epoch < latest[event.trial]
            decision = again.deciding.recalled(
                trial.id, event.epoch, event.objective, went_on=went_on
            )
            if not (went_on and decision.verdict == "stop"):
                again._follow(trial, decision, known=True)
        again.decisions.clear()
        return again

    def _add(self) -> None:
        trial = SimulatedTrial(self._to_come.pop(0))
        self.trials[trial.id] = trial
        self.events.append(Event("added", trial.id))
        self.deciding.added(trial)

    def _chosen(self) -> SimulatedTrial | None:
        name = self.deciding.next_to_run()
        self._carry_out()
        if name is None:
            queued = (trial for trial in self.trials.values() if trial.status == "queued")
            return next(queued, None)
        assert self.trials[name].status in ("queued", "paused"), (
            f"next_to_run must name a trial that waits; {name} is {self.trials[name].status}."
        )
        return self.trials[name]

    def _follow(self, trial: SimulatedTrial, decision: Decision, *, known: bool = False) -> None:
        """Carry out the decision on a trial that reported."""
        self._carry_out(known=known)
        self.decisions.append(decision)
        if decision.verdict == "pause":
            trial.status = "paused"
        elif decision.verdict == "stop":
            self._end(trial, known=known)

    def _carry_out(self, *, known: bool = False) -> None:
        """Carry out the decisions on trials that wait."""
        for decision in self.deciding.take_decisions():
            self.decisions.append(decision)
            trial = self.trials[decision.trial]
            assert trial.status in ("paused", "ended"), (
                f"decide must be on a trial that waits; {trial.id} is {trial.status}."
            )
            if decision.verdict == "stop" and trial.status != "ended":
                self._end(trial, known=known)

    def _end(self, trial: SimulatedTrial, *, known: bool = False) -> None:
        trial.status = "ended"
        if not known:
            self.events.append(Event("ended", trial.id, trial.epochs))
        self.deciding.ended(trial.id)
        self._carry_out(known=known)
