"""A user's `build` with scikit-learn's parameters, folds and scores as a search space of ours."""

import copy
import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.data.arrays import Array, as_inputs
from pipeline.scikit_learn.distributions import Distributions
from pipeline.scikit_learn.families import family_of, is_scikit_learns, keywords
from pipeline.scikit_learn.results import OBJECTIVE
from pipeline.scikit_learn.targets import as_the_loss_takes_them
from pipeline.space.hyperparameters import HyperParameters

ESTIMATOR = "of_scikit_learn"  # under which a model without weights holds what it stands for


@dataclass
class EstimatorSpace:
    """What trials build, train and score.

    Args:
        function: the user's `build`.
        distributions: of the parameters of a plain function; None where `build` asks `hp`.
        scorer: scikit-learn's, called with an estimator, inputs and targets.
        classes: the labels that 0, 1, … stand for; None of a regression.
        fitting: further arguments of `fit`, such as the batch size.
        as_keras: whether a training is Keras's own `fit`, with the random numbers of the process,
            as in a loop by hand. It cannot go on from a checkpoint then, and is begun anew.
    """

    function: Any
    distributions: Distributions | None
    scorer: Any
    classes: Array | None = None
    fitting: dict[str, Any] = field(default_factory=dict)
    as_keras: bool = False

    @property
    def original(self) -> Any:
        """What the user gave: it names the search space."""
        return self.function

    @property
    def parts(self) -> list[Any]:
        """All that may be the user's own code."""
        held = (
            []
            if self.distributions is None
            else [
                value
                for part in self.distributions.parts
                for one in part.values()
                for value in getattr(one, "values", ())
            ]
        )
        scoring = getattr(self.scorer, "_score_func", self.scorer)
        return [self.function, scoring, *self.fitting.get("callbacks", ()), *held]

    @property
    def distinctive(self) -> Any:
        """All that tells this search space from another."""
        parts = [] if self.distributions is None else self.distributions.parts
        return (self.function, parts, repr(self.scorer), self.fitting, self.as_keras)

    @cached_property
    def _family(self) -> Any:
        return family_of(self.function)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_family"}

    def build(self, hp: HyperParameters, data: Any) -> Any:
        """The compiled model; for an estimator of scikit-learn's one without weights."""
        if self.distributions is None:
            made = self._family.build(hp, data)
        else:
            made = self.function(**keywords(self.function, self.distributions.ask(hp)))
        if not is_scikit_learns(made):
            return made
        from pipeline.worker.spaces.blank import without_weights

        model = without_weights()
        object.__setattr__(model, ESTIMATOR, made)  # Keras tracks what is assigned to a model
        return model

    def fit(self, hp: HyperParameters, model: Any, x: Any, y: Any, **kwargs: Any) -> Any:
        """Train, with the fold's score among what each epoch reports."""
        ours = kwargs.pop("callbacks")
        x_val, y_val = kwargs.pop("validation_data")
        tried = not any(hasattr(callback, "job") for callback in ours)
        if (estimator := getattr(model, ESTIMATOR, None)) is not None:
            return self._fitted(estimator, (x, y), (x_val, y_val), tried)
        x, x_val = as_inputs("X", x), as_inputs("X", x_val)
        count = None if self.classes is None else len(self.classes)
        y, targets = (as_the_loss_takes_them(model, part, count) for part in (y, y_val))
        given = dict(self.fitting)
        if self.distributions is not None:
            chosen = self.distributions.ask(hp)
            if "batch_size" in chosen:
                given["batch_size"] = chosen["batch_size"]
            kwargs["epochs"] = min(kwargs["epochs"], chosen.get("epochs", kwargs["epochs"]))
        own = copy.deepcopy(given.pop("callbacks", []))
        before, after = self._around(x_val, y_val, tried)
        kwargs |= given | {
            "validation_data": (x_val, targets),
            "callbacks": [*own, *before, *ours, *after],
        }
        if self.distributions is None and self._family.fit is not None:
            return self._family.fit(hp, model, x, y, **kwargs)
        if self.as_keras:
            return type(model).fit(model, x, y, **kwargs)
        return model.fit(x, y, **kwargs)

    def _fitted(
        self, estimator: Any, train: tuple[Any, Any], test: tuple[Any, Any], tried: bool
    ) -> dict[str, float]:
        """Train an estimator of scikit-learn's, and score it."""
        (x, y), (x_test, y_test) = train, test
        if self.classes is not None:
            y, y_test = self.classes[y], self.classes[y_test]
        try:
            estimator.fit(x, y, **self.fitting)
            return {OBJECTIVE: float(self.scorer(estimator, x_test, y_test))}
        except Exception:
            if not tried:
                raise
            return {OBJECTIVE: 0.0}  # it may need more than a few examples

    def _around(self, x: Array, y: Array, tried: bool) -> tuple[list[Any], list[Any]]:
        """Callbacks before and after the engine's: it waits there while other folds train."""
        from pipeline.scikit_learn.estimators import fitted
        from pipeline.worker.fitting.reporter import Reporter

        scorer, classes = self.scorer, self.classes
        y = y if classes is None else classes[y]
        held: list[Any] = []

        class Scoring(Reporter):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                estimator = fitted(self.model, classes, x.shape)
                try:
                    value = float(scorer(estimator, x, y))
                except Exception:
                    if not tried:
                        raise
                    value = 0.0  # a few examples may have no score
                if logs is not None:
                    logs[OBJECTIVE] = value
                held[:] = [random.getstate(), np.random.get_state()]

        class GoingOn(Reporter):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                random.setstate(held[0])
                np.random.set_state(held[1])

        return [Scoring()], [GoingOn()] if self.as_keras else []
