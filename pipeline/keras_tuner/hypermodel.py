"""KerasTuner's `HyperModel`, and what makes one a search space.

Arguments of the tuner and of `search` go along.
"""

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.digest import sha256
from pipeline.keras_tuner.errors import FailedTrialError
from pipeline.keras_tuner.tensorboard import with_hparams
from pipeline.objective import MultiObjective
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Hyperparameter, Value


class HyperModel:
    """A model to be tuned.

    `build(hp)` returns a model, `fit(hp, model, …)` may be overridden to train it in another way.

    Args:
        name: for whoever reads it.
        tunable: False holds every hyperparameter that `build` asks for at its default.
    """

    def __init__(self, name: str | None = None, tunable: bool = True) -> None:
        self.name = name
        self.tunable = tunable
        if not tunable:
            build = self.build
            self.build = lambda hp, *args, **kwargs: build(hp.copy(), *args, **kwargs)  # type: ignore[method-assign]

    def build(self, hp: HyperParameters) -> Any:
        """Return a model, built under `hp`."""
        raise NotImplementedError("A HyperModel must define build(self, hp).")

    def declare_hyperparameters(self, hp: HyperParameters) -> None:
        """Ask for hyperparameters before `build` does."""

    def fit(self, hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train the model; return its history, the objective, or a dict of metrics."""
        return model.fit(*args, **kwargs)


class FunctionModel(HyperModel):
    """A `build_model(hp)` as a HyperModel."""

    def __init__(self, build: Callable[[HyperParameters], Any]) -> None:
        super().__init__(getattr(build, "__name__", None))
        self.function = build
        self.__name__ = getattr(build, "__name__", "build_model")

    def build(self, hp: HyperParameters) -> Any:
        """Call the function."""
        return self.function(hp)


def own_fit(hypermodel: Any) -> bool:
    """Whether a hypermodel has a `fit` of its own; KerasTuner's HyperModel counts as none."""
    fit = getattr(type(hypermodel), "fit", None)
    theirs = str(getattr(fit, "__module__", "")).startswith("keras_tuner.")
    return fit is not None and fit is not HyperModel.fit and not theirs


@dataclass
class HyperModelSpace:
    """A HyperModel as a search space: `build(hp, data)` and `fit(hp, model, …)`."""

    hypermodel: Any
    given: Iterable[Hyperparameter] = ()
    values: Mapping[str, Value] = field(default_factory=dict)
    tune_new: bool = True
    allow_new: bool = True
    max_model_size: int | None = None
    # optimizer, loss and metrics, as `portable` made them
    compiling: dict[str, Any] = field(default_factory=dict)
    callbacks: list[Any] = field(default_factory=list)
    fitting: dict[str, Any] = field(default_factory=dict)  # what else `search` was given for `fit`
    # of epochs and verbose, what `search` was given: `fit` gets no more than that
    passed: tuple[str, ...] = ()
    by_name: tuple[str, ...] = ()  # of x and y, what `search` was given as a keyword
    summed: MultiObjective | None = None  # where several objectives were asked for

    def __post_init__(self) -> None:
        # Now, before `build` is called for the first time: it may note things in the hypermodel.
        self.original_sha256 = sha256(self.original)

    @property
    def original(self) -> Any:
        """What the user gave: it names the search space, and tells it from another."""
        return (
            self.hypermodel.function
            if isinstance(self.hypermodel, FunctionModel)
            else self.hypermodel
        )

    @property
    def parts(self) -> list[Any]:
        """All that may be the user's own code.

        The hypermodel and the callbacks, with what they hold; what is given.
        """
        objects = [self.original, *self.callbacks]
        held = [
            list(getattr(thing, "__dict__", {}).values())
            for thing in objects
            if not inspect.isroutine(thing)
        ]
        return [*objects, *_leaves([held, self.compiling, self.fitting])]

    @property
    def distinctive(self) -> Any:
        """All that tells this search space from another; how much is printed does not."""
        return (
            self.original_sha256,
            [spec.to_dict() for spec in self.given],
            dict(self.values),
            self.tune_new,
            self.allow_new,
            self.max_model_size,
            self.compiling,
            self.callbacks,
            self.fitting,
            *([] if self.summed is None else [str(self.summed.objectives)]),
        )

    def build(self, hp: HyperParameters, data: Any = None) -> Any:
        """Return the model, compiled as the tuner was told."""
        hp.restrict(list(self.given), self.values, self.tune_new, self.allow_new)
        declare = getattr(self.hypermodel, "declare_hyperparameters", None)
        if declare is not None:
            declare(hp)
        model = self.hypermodel.build(hp)
        if self.compiling and hasattr(model, "compile"):
            own = model._compile_config.config if getattr(model, "compiled", False) else {}
            model.compile(**own | restored(self.compiling))
        if self.max_model_size is not None and getattr(model, "built", False):
            size = sum(math.prod(weight.shape) for weight in model.trainable_weights)
            if size > self.max_model_size:
                raise FailedTrialError(
                    f"max_model_size allows {self.max_model_size:,} weights; this model has "
                    f"{size:,}."
                )
        return model

    def fit(self, hp: HyperParameters, model: Any, *data: Any, **kwargs: Any) -> Any:
        """Train with what `search` was given, as it was given; our callbacks come last."""
        ours = kwargs.pop("callbacks")
        positional, named = self.arguments(data, kwargs)
        named["callbacks"] = [*self.own_callbacks(hp, ours), *self.summing(), *ours]
        return self.with_sum(self.trained(hp, model, positional, named))

    def arguments(
        self, data: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """What `search` was given, by position and by name, as it was given; no callbacks."""
        # `epochs=hp.Int("epochs", 5, 20)` in a `fit` that passes **kwargs on must not meet another
        # `epochs`.
        kwargs = {
            k: v
            for k, v in kwargs.items()
            if k not in ("epochs", "verbose", "initial_epoch") or k in self.passed
        }
        named = dict(zip(("x", "y"), data, strict=False))
        positional = [value for name, value in named.items() if name not in self.by_name]
        kwargs |= {name: value for name, value in named.items() if name in self.by_name}
        return positional, self.fitting | kwargs

    def own_callbacks(self, hp: HyperParameters, ours: list[Any]) -> list[Any]:
        """A trial's own copies of the callbacks that `search` was given."""
        callbacks = copy.deepcopy(self.callbacks)
        reporter = next((c for c in ours if hasattr(c, "trial")), None)
        if reporter is None:
            return callbacks
        return with_hparams(callbacks, hp, reporter.trial, reporter.repeat)

    def summing(self) -> list[Any]:
        """A callback that adds the sum of several objectives to an epoch's logs."""
        if self.summed is None:
            return []
        from pipeline.worker.fitting.reporter import Reporter

        added = self.summed.added

        class Summing(Reporter):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                if logs is not None:
                    logs.update(added(logs))

        return [Summing()]

    def with_sum(self, returned: Any) -> Any:
        """What `fit` returned; with the sum in each dictionary of metrics that has its parts."""
        if self.summed is None:
            return returned
        if isinstance(returned, list | tuple):
            return [self.with_sum(part) for part in returned]
        return self.summed.added(returned) if isinstance(returned, Mapping) else returned

    def trained(
        self, hp: HyperParameters, model: Any, positional: Iterable[Any], named: dict[str, Any]
    ) -> Any:
        """What the hypermodel's `fit` returns, or the model's own where it has none."""
        fit = getattr(self.hypermodel, "fit", None)
        return (
            model.fit(*positional, **named) if fit is None else fit(hp, model, *positional, **named)
        )


def _leaves(nest: Any) -> Iterator[Any]:
    """What lists and dicts hold, and the classes and settings of what `portable` made."""
    if isinstance(nest, _Made):
        nest = [nest.kind, nest.settings]
    if isinstance(nest, dict):
        nest = list(nest.values())
    if isinstance(nest, list | tuple):
        for part in nest:
            yield from _leaves(part)
    else:
        yield nest


@dataclass(frozen=True)
class _Made:
    """A Keras object by its class and settings: it has variables, and each model needs its own."""

    kind: Any
    settings: dict[str, Any]

    def get_config(self) -> dict[str, Any]:
        """As Keras's objects are asked for what tells one from another.

        Keras counts its names, and `digest` knows.
        """
        return {"kind": self.kind, "settings": self.settings}


def portable(thing: Any) -> Any:
    """An optimizer, a loss or metrics in a form that another process can make anew.

    Functions and names stay.
    """
    if isinstance(thing, dict):
        return {key: portable(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [portable(value) for value in thing]
    if isinstance(thing, type) or not hasattr(thing, "get_config"):
        return thing
    return _Made(type(thing), thing.get_config())


def restored(thing: Any) -> Any:
    """The inverse of `portable`."""
    if isinstance(thing, dict):
        return {key: restored(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [restored(value) for value in thing]
    return (
        thing.kind.from_config(copy.deepcopy(thing.settings)) if isinstance(thing, _Made) else thing
    )
