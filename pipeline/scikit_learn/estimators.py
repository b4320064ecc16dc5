"""Estimators that train one configuration of a user's `build`: what a search hands back."""

import copy
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from pipeline.data.arrays import Array, Task, as_inputs
from pipeline.errors import EstimatorError
from pipeline.scikit_learn.examples import Examples
from pipeline.scikit_learn.families import built, is_scikit_learns
from pipeline.scikit_learn.targets import as_the_loss_takes_them

AT_ONCE = 512  # examples


class KerasEstimator(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share.

    Args:
        build: a function of keyword arguments or of `hp` that returns a compiled model, or the name
            of a search space.
        parameters: the configuration: keyword arguments, or what `hp` answers. `batch_size` and
            `epochs` among them are for `fit`.
        epochs: of the training.
        fitting: further arguments of Keras's `fit`.
        random_state: of the training; None leaves Keras's random numbers as they are.
    """

    _task: Task

    def __init__(
        self,
        build: Any = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        epochs: int = 1,
        fitting: Mapping[str, Any] | None = None,
        random_state: int | None = None,
    ) -> None:
        self.build = build
        self.parameters = parameters
        self.epochs = epochs
        self.fitting = fitting
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train on examples `(n, …)` and their targets; imports Keras.

        Raises:
            EstimatorError: `build` returns no Keras model.
        """
        if self._fit_whatever(X, y) is not self:
            raise EstimatorError(
                f"The build of a {type(self).__name__} must return a compiled Keras model; an "
                "estimator of scikit-learn's is trained by its own fit."
            )
        return self

    def _fit_whatever(self, X: Any, y: Any) -> Any:
        """This estimator, trained; or the one of scikit-learn's that `build` returns."""
        examples = Examples.of(*checked(self, X, y, self._task), self._task)
        parameters = dict(self.parameters or {})
        given = copy.deepcopy(dict(self.fitting or {}))  # callbacks note what they see
        with _seeded(self.random_state):
            model, fit, hp = built(self.build, parameters, examples.cut())
            if is_scikit_learns(model):
                return model.fit(X, y, **given)
            if "batch_size" in parameters:
                given["batch_size"] = parameters["batch_size"]
            targets = as_the_loss_takes_them(model, examples.y, examples.count)
            data = as_inputs("X", examples.x), targets
            named = {"epochs": self.epochs, "verbose": 0} | given
            fitted = model.fit(*data, **named) if fit is None else fit(hp, model, *data, **named)
        if examples.classes is not None:
            self.classes_ = examples.classes
        self.model_, self.history_ = model, getattr(fitted, "history", None)
        return self

    def _outputs(self, X: Any) -> Any:
        X = validate_data(self, X, reset=False, allow_nd=True, ensure_min_features=0)
        return outputs_of(self.model_, as_inputs("X", X))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _said(self, X: Any) -> Array:
        """What the model says of examples: likelihoods of the classes, or values."""
        from pipeline.worker.scoring.outputs import Unclear, said

        check_is_fitted(self)
        classes = len(self.classes_) if self._task == "classification" else None
        outputs = self._outputs(X)
        units = np.shape(outputs)[1:]
        shape = () if classes or units in ((), (1,)) else units
        of: Any = SimpleNamespace(task=self._task, classes=classes, target_shape=shape)
        try:
            return said(self.model_, of, outputs)
        except Unclear as error:
            raise EstimatorError(
                f"It must be known what the model's outputs say; {error}."
            ) from None


class KerasClassifier(ClassifierMixin, KerasEstimator):  # type: ignore[misc]
    """A Keras model that tells classes apart."""

    _task: Task = "classification"

    def predict_proba(self, X: Any) -> Array:
        """Likelihoods `(n, classes)`, in the order of `classes_`."""
        return self._said(X)

    def predict(self, X: Any) -> Array:
        """The likeliest class of each example."""
        check_is_fitted(self)
        found: Array = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return found


class KerasRegressor(RegressorMixin, KerasEstimator):  # type: ignore[misc]
    """A Keras model that predicts numbers."""

    _task: Task = "regression"

    def predict(self, X: Any) -> Array:
        """Values `(n,)`, or `(n, k)` of several targets."""
        return self._said(X)


def trained(
    task: Task, X: Any, y: Any, build: Any, parameters: Mapping[str, Any], **settings: Any
) -> Any:
    """An estimator of one configuration, trained: one of ours, or what `build` returns."""
    return estimator_class(task)(build, parameters, **settings)._fit_whatever(X, y)


def outputs_of(model: Any, x: Array) -> Any:
    """What `predict` returns.

    Of a few examples without it: Keras compiles a function for it, a second for each model.
    """
    plain = type(model).predict_step.__module__.startswith("keras.")
    if len(x) > AT_ONCE or not plain:
        return model.predict(x, verbose=0)
    from keras import ops, tree

    return tree.map_structure(ops.convert_to_numpy, model(x, training=False))


def estimator_class(task: Task) -> type[KerasEstimator]:
    """The estimator of a task."""
    return KerasClassifier if task == "classification" else KerasRegressor


def fitted(model: Any, classes: Array | None, shape: tuple[int, ...]) -> KerasEstimator:
    """An estimator of a model that was trained elsewhere; `shape` is its inputs', `(n, …)`."""
    made = estimator_class("regression" if classes is None else "classification")()
    made.model_ = model
    if classes is not None:
        made.classes_ = classes
    made.n_features_in_ = shape[1]
    return made


def checked(estimator: Any, X: Any, y: Any, task: Task | None) -> tuple[Array, Array]:
    """Inputs and targets as arrays, with what scikit-learn notes of a frame's columns.

    Raises:
        ValueError: they cannot be used.
        EstimatorError: a column of a frame holds no numbers.
    """
    refuse_text(X)
    X, y = validate_data(
        estimator,
        X,
        y,
        allow_nd=True,
        multi_output=task != "classification",
        y_numeric=task == "regression",
    )
    column = y.ndim == 2 and y.shape[1] == 1
    return X, column_or_1d(y, warn=True) if column else y


def refuse_text(X: Any) -> None:
    """Refuse a frame with a column that holds no numbers.

    Raises:
        EstimatorError: names the first.
    """
    from pandas import DataFrame
    from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_object_dtype

    if not isinstance(X, DataFrame):
        return
    for name, kind in X.dtypes.items():
        # objects may be numbers: scikit-learn looks
        if not (is_object_dtype(kind) or is_numeric_dtype(kind) or is_bool_dtype(kind)):
            raise EstimatorError(
                f"Columns must hold numbers; {name!r} holds {kind}. A Pipeline with a "
                "ColumnTransformer before makes numbers of them; pipeline.table(frame, target=…) "
                "does so by itself, for pipeline.tune."
            )


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Random numbers of Keras that follow from a seed; Python's and NumPy's own go on after."""
    if seed is None:
        yield
        return
    from pipeline.worker.backends.known import current

    states = random.getstate(), np.random.get_state()
    current().set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
