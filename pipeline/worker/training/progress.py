"""A training's progress: each epoch reported, the best weights kept, checkpoints written."""

import math
import time
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from pipeline.errors import RequestError
from pipeline.facts import measured
from pipeline.records.entries.reports import EpochReport
from pipeline.records.entries.trials import TrialFacts, as_plain
from pipeline.space.configuration import configuration_of
from pipeline.space.hyperparameters import HyperParameters, Requested
from pipeline.worker.faults import Diverged, classify
from pipeline.worker.fitting.reporter import Reporter
from pipeline.worker.session import Job, Session, Stopped, TrialUpdate
from pipeline.worker.training.checkpoints import BestWeights, Checkpoints, State
from pipeline.worker.training.remembered import CallbackStates, EpochLogs
from pipeline.worker.training.returned import (
    LOOP,
    NOT_HANDED_BACK,
    OF_TRAINING,
    OTHERS,
    RETURNED,
    as_metrics,
    build_like,
    check_same_weights,
    fingerprint,
    handed_back,
    numbers,
    objective_missing,
    same_weights,
    several_values,
    without_score,
)


class TrialProgress(Reporter):
    """Reports each epoch, keeps the best weights, writes checkpoints.

    `given` is the model that a `fit` of the user's own is called with.

    Counts epochs over several calls of `fit`.
    """

    def __init__(
        self,
        job: Job,
        hp: HyperParameters,
        checkpoints: Checkpoints,
        session: Session,
        given: Any = None,
    ) -> None:
        super().__init__()
        self.job, self.hp, self.checkpoints, self.session = job, hp, checkpoints, session
        self._given = given
        self.within_own = given is not None
        self._before = None if given is None else fingerprint(given)
        self._validated: list[Any] | None = None  # the weights, if not the model's as they are
        self.asked_by_build = len(hp.requested)
        self.configuration = configuration_of(hp.requested)  # what `build` asked for
        self.epoch = 0
        self.saved_epoch = 0
        # when the state was saved a callback, such as EarlyStopping, had ended training, or `fit`
        self.ended = False
        self.best: BestWeights | None = None
        self.others: list[Any] = []
        self._restored = CallbackStates()  # until the first epoch begins
        self._logs = EpochLogs()
        # `fit` did, and what it returned was reported, if there was anything to report
        self._returned = False
        self._gone_on = False  # from a checkpoint, and no epoch was reported since
        self._started = time.monotonic()
        self._without_objective: dict[str, Any] | None = None
        self._last: EpochReport | None = None  # what was reported last, and the best of it
        self._best: EpochReport | None = None
        # when `_facts` were last put together
        self._requested: Requested | None = None
        self._facts = TrialFacts()
        self.warning = ""  # to be told with the next report
        self._unsaved = False  # storage failed, and this was told
        self.trial, self.repeat, self.gpu_plan = job.trial, job.repeat, job.gpu_plan

    def restore(self, state: State) -> None:
        """Go on from a checkpoint's state."""
        self.epoch = self.saved_epoch = state.epoch
        self._gone_on = True
        self.ended = state.ended
        self._restored = CallbackStates(state.callbacks, state.lists)
        self._logs = EpochLogs(state.history)
        self._returned = state.returned
        best = self.checkpoints.best_state()
        if best is not None:
            self.best = BestWeights(best.epoch, best.objective, [], saved=True)
        self._last, self._best = state.report, state.best

    def save(self) -> None:
        """Write both checkpoints as things now stand.

        Where storage fails, those that there are stay.

        Once an epoch: a trial that was saved and paused may get another's weights before its worker
            lets go of it.
        """
        if self.saved_epoch == self.epoch:
            return
        callbacks = CallbackStates.of(self.others)
        state = State(
            self.epoch,
            ended=self.ended or bool(getattr(self.model, "stop_training", False)),
            callbacks=callbacks.states,
            configuration=self.configuration,
            calls=self.calls,
            report=self._last,
            best=self._best,
            history=self._logs.all,
            returned=self._returned,
            lists=callbacks.lists,
        )
        try:
            self.checkpoints.save(self.model, state, self.best)
        except OSError as error:
            if not self._unsaved:
                fault = error.strerror or error
                self.warning = f"{self.job.directory} could not be written to, trained on: {fault}"
            self._unsaved = True
        else:
            self.saved_epoch = self.epoch

    def stage(self) -> int:
        """Epochs from the last rung to the next."""
        bounds = [0, *self.job.rungs, max(self.job.max_epochs, self.epoch + 1)]
        return next(end - begin for begin, end in pairwise(bounds) if end > self.epoch)

    def before_epoch(self, epoch: int) -> None:
        """Give the other callbacks their state back.

        Their `on_train_begin`, which resets it, has run.
        """
        self._started = time.monotonic()
        self._restored.give_back(self.others)
        self._restored = CallbackStates()
        # a `fit` may return the best of it
        if (history := getattr(self.model, "history", None)) is not None:
            self._logs.give_back(history)

    def returned(self, model: Any, result: Any) -> None:
        """What `fit` returned.

        If that is the objective, it is the trial's, whatever its epochs reported.

        Raises:
            RequestError: no epoch was reported, nor the objective returned; or the model that was
                handed back has other weights than that of `build`.
        """
        name = self.job.objective.name
        metrics, handed = as_metrics(result, name), handed_back(result)
        self._returned = True
        if np.size(metrics.get(name, 0)) > 1:
            raise several_values(name, metrics[name])
        if handed is not None and name not in metrics:
            raise without_score(name)
        value = numbers(metrics).get(name)
        scored = None if value is None else self._scored(model, handed, value)
        if self.epoch > 0:
            known = self.best is not None and value is not None
            same = known and math.isclose(value or 0.0, self._best_value(), rel_tol=1e-6)
            if handed is not None or (name in metrics and not same):
                self.ended = True  # no epoch comes after it
                self._report(metrics, final=True, weights=scored)
            return
        if name in metrics:
            self.set_model(model)
            self._report((self._without_objective or {}) | metrics, weights=scored)
        elif self._without_objective is not None:
            raise objective_missing(name, self._without_objective)
        else:
            raise RequestError(
                "`fit` must call model.fit and pass its callbacks on, or return the objective; no "
                "epoch was reported."
            )

    def _best_value(self) -> float:
        """The best that its epochs reported, which need not be the one that is kept."""
        if not self.job.session_keeps:
            return self.best.value if self.best is not None else math.nan
        values = [numbers(logs).get(self.job.objective.name) for _, logs in self._logs.all]
        finite = [value for value in values if value is not None]
        return min(finite, key=self.job.objective.loss, default=math.nan)

    def _scored(self, model: Any, handed: Any, value: float) -> BestWeights:
        """The weights that belong to what `fit` returned."""
        if handed is not None:
            build_like(model, handed)
            check_same_weights(handed, model)
            model = handed
        trained = handed is not None or self.calls or fingerprint(model) != self._before
        return BestWeights(
            self.epoch + 1,
            value,
            model.get_weights(),
            self.evaluated_in,
            incomparable=RETURNED,
            no_model="" if trained else NOT_HANDED_BACK,
        )

    def on_test_begin(self, logs: Any = None) -> None:
        """Keep the weights that are validated, where a callback has put them in for that alone."""
        swapped = any(isinstance(c, keras.callbacks.SwapEMAWeights) for c in self.others)
        self._validated = self.model.get_weights() if swapped else None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Report the epoch, or keep its logs until `fit` returns the objective."""
        logs, objective = logs or {}, self.job.objective.name
        if self._given is not None:
            self._logs.note(epoch, logs)
        validated = any(name.startswith("val_") for name in logs) or not objective.startswith(
            "val_"
        )
        if objective in logs:
            self._report(logs)
        elif self.epoch == 0 and self._given is not None:  # it may return it at its end
            self._without_objective = numbers(logs)
        elif self.epoch == 0 or validated:
            raise objective_missing(objective, numbers(logs))
        else:  # trained on, but not validated
            self.epoch += 1

    def _report(self, logs: Any, final: bool = False, weights: BestWeights | None = None) -> None:
        """Report an epoch.

        A final one says what the trial is worth. `weights` are what belongs to it, where these are
        not the model's as they are.
        """
        metrics, name = numbers(logs), self.job.objective.name
        if name not in metrics:
            raise objective_missing(name, metrics)
        self.epoch += 1
        broken = next((n for n in (name, "loss") if n in metrics and metrics[n] is None), None)
        value = metrics[name] if broken is None else None  # an accuracy of NaN weights is none
        seconds, self.waited_s = time.monotonic() - self._started - self.waited_s, 0.0
        anew, self._gone_on = self._gone_on and not self.follows, False
        self._last = EpochReport(self.epoch, value, metrics, seconds, final, anew)

        def keep() -> None:
            if value is not None:
                self.best = weights or self._weights_of_epoch(value)
                self._best = self._last

        best = self.best.value if self.best else None
        if self.job.session_keeps or value is None:
            pass
        elif final or self.job.objective.better(value, best):
            keep()
        failure = None
        if broken:
            failure = classify(
                Diverged(f"diverged: {broken} is {float(logs[broken])} in epoch {self.epoch}")
            )
        warning, self.warning = self.warning, ""
        told = keep if self.job.session_keeps else None
        update = TrialUpdate(self._last, self._known_facts(), warning, failure, told)
        self.session.report(update, self.save)
        if failure:
            raise Stopped
        if self.checkpoints.due(seconds):
            self.save()
        # of the next epoch, where a loop of one's own does not say when it begins
        self._started = time.monotonic()

    def _weights_of_epoch(self, value: float) -> BestWeights:
        """Those of the model that was trained, which a `fit` of one's own may have made itself."""
        others, why, none = self._given is not None and self.model is not self._given, "", ""
        if others:
            build_like(self._given, self.model)
            why = OTHERS
            none = "" if same_weights(self.model, self._given) else NOT_HANDED_BACK
        elif not self.job.objective.name.startswith("val_"):
            why = OF_TRAINING
        elif not self.calls:
            why = LOOP
        weights = self._validated or (self._given if none else self.model).get_weights()
        return BestWeights(
            self.epoch, value, weights, self.evaluated_in, why or self.incomparable, none
        )

    def _known_facts(self) -> TrialFacts:
        """What is known of the trial; the same object until more is."""
        requested, plan = self.hp.requested, str(self.fit_plan or "") or None
        if (requested, plan) != (self._requested, self._facts.fit_plan):
            self._requested = requested
            plain = as_plain(requested, self.asked_by_build) or None
            found = measured(self.model) or None
            self._facts = TrialFacts(requested=plain, fit_plan=plan, measured=found)
        return self._facts
