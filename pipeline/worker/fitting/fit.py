"""How a model's `fit` is carried out.

The same updates on the same data, in an order that follows from seed and epoch.

The user's `fit` calls `model.fit(x, y, …)` as ever. For the time of a trial that call is ours: it
feeds arrays through a pipeline that is shuffled by (seed, epoch), so that a trial which goes on
from a checkpoint sees what it would have seen, and lets TensorFlow run several steps a call. What
it cannot serve goes to Keras unchanged.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from pipeline.worker.backends.tensorflow_data import Chunks, can_feed, rows, shuffled
from pipeline.worker.devices.parallel import count_of, evenly
from pipeline.worker.fitting.loops import in_place, jax_loop, tensorflow_loop
from pipeline.worker.fitting.order import Order, OrderedBatches
from pipeline.worker.fitting.plans import FitPlan, acts_on_batches, choose
from pipeline.worker.fitting.validation import are_arrays, feed_validation, set_validation_batch

# Steps that TensorFlow runs a call. Measured on one core: an epoch of 1,500 small steps takes 6.5 s
# at 1 and 3 to 5 s at 32; more gains nothing.
STEPS_PER_EXECUTION = 32


class Reporter(keras.callbacks.Callback):
    """A callback that knows the `others` of the `fit` it is in."""

    others: list[Any]
    trial = ""  # whose report it is, and of which repeat
    repeat = 0
    calls = 0  # of `model.fit` so far
    fit_plan: FitPlan | None = None  # how the last epoch was carried out

    def stage(self) -> int | None:
        """How many epochs are trained between two at which the trial may be stopped.

        None for those of the `fit`.

        Of the stage that the next epoch is in, wherever in it training begins: a trial that goes on
        after a restart computes as it would have.
        """
        return None

    def before_epoch(self, epoch: int) -> None:
        """Called before any `on_epoch_begin`, after every `on_train_begin`."""


@contextmanager
def planned_fit(
    model: Any,
    seed: int,
    reporter: "Reporter",
    asked: str = "auto",
    building: Callable[[], AbstractContextManager[Any]] = nullcontext,
    **defaults: Any,
) -> Iterator[None]:
    """Carry out every `model.fit` inside in our way.

    `reporter` is added to its callbacks, the last of them.

    `asked` is a plan's name or "auto" (see `plans`); what is inside runs in `building`, for it may
    compile a model (see `parallel`); `defaults` are arguments that hold where a `fit` of one's own
    does not pass others on.
    """
    plain = model.fit
    names = list(inspect.signature(keras.Model.fit).parameters)[1:]

    def fit(*args: Any, **kwargs: Any) -> Any:
        kwargs = _cut(defaults | kwargs | dict(zip(names, args, strict=False)))
        reporter.calls += 1
        if reporter.calls > 1 and kwargs.get("initial_epoch") == defaults.get("initial_epoch"):
            kwargs["initial_epoch"] = 0  # where the trial goes on from is in the first call
        given = kwargs.pop("callbacks", None) or []
        others = [
            c for c in (given if isinstance(given, list | tuple) else [given]) if c is not reporter
        ]
        reporter.others = others
        order = Order(seed)
        order.listeners.append(reporter.before_epoch)
        scope.close()  # the order of the data is not to be mirrored
        try:
            # Last, so that what it saves of the others is their state after the epoch.
            return _fit(model, plain, order, [*others, reporter], asked, **kwargs)
        finally:
            scope.enter_context(building())

    # Not by setattr: Keras tracks what is assigned to a model.
    object.__setattr__(model, "fit", fit)
    try:
        with ExitStack() as scope:
            scope.enter_context(building())
            yield
    finally:
        object.__delattr__(model, "fit")


@dataclass(frozen=True)
class _Arrays:
    """What a `fit` trains on: arrays of n examples each, and how they are grouped."""

    parts: list[Any]
    chunks: Chunks

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return -(-len(self.parts[0]) // self.chunks.batch_size)

    def examples(self) -> tuple[Any, ...]:
        """A batch."""
        return tuple(rows(part, slice(self.chunks.batch_size)) for part in self.parts)


def _fit(
    model: Any,
    plain: Callable[..., Any],
    order: "Order",
    callbacks: list[Any],
    asked: str,
    x: Any = None,
    y: Any = None,
    **kwargs: Any,
) -> Any:
    backend, devices, reporter = keras.backend.backend(), count_of(model), callbacks[-1]
    tensorflow = backend == "tensorflow"
    batch_size = kwargs.get("batch_size") or 32
    arrays = _taken(x, y, batch_size, kwargs)

    def planned(arrays: _Arrays, examples: tuple[Any, ...] = ()) -> FitPlan:
        of_stage = arrays.steps * (reporter.stage() or kwargs.get("epochs", 1))
        return choose(model, asked, of_stage, batch_size, callbacks, examples)

    if devices > 1:
        chosen = FitPlan("plain", f"{devices} devices share each batch")
    elif backend not in ("tensorflow", "jax"):
        chosen = FitPlan("plain", f"the backend is {backend}")
    elif arrays is None:
        copied = tensorflow and any(
            isinstance(part, np.ndarray) for part in keras.tree.flatten([x, y])
        )
        chosen = FitPlan(
            "plain",
            "it is not trained on shuffled arrays alone" + ", and Keras copies those" * copied,
        )
    elif arrays.chunks.single and asked != "plain":
        chosen = FitPlan("plain", arrays.chunks.single)
    else:
        chosen = planned(arrays, arrays.examples())
    reporter.fit_plan = chosen
    if tensorflow and not model.run_eagerly:
        _set_steps(model, kwargs, callbacks, chosen)
    set_validation_batch(model, kwargs, batch_size)
    if tensorflow:
        feed_validation(kwargs, batch_size, devices)
    ours: AbstractContextManager[None] = nullcontext()
    if arrays is not None:
        looped = chosen.name != "plain"
        # the pipeline shuffles; Keras would warn that it cannot
        kwargs |= {"shuffle": False, "batch_size": None}
        if tensorflow:
            x = shuffled(
                arrays.parts, arrays.chunks, order.seed, order.listeners.append, whole=looped
            )
            x = evenly(x, devices) if devices > 1 else x
        else:
            x = OrderedBatches(
                arrays.parts, arrays.chunks if looped else Chunks(0, 0, batch_size), order
            )
        y = None
        if looped:
            order.steps = arrays.steps
            order.listeners.append(lambda epoch: setattr(reporter, "fit_plan", planned(arrays)))
            ours = _loop(model, arrays.parts, arrays.chunks, reporter)
    arguments = {"x": x, "y": y} if y is not None else {"x": x}
    with ours:
        return plain(**arguments, callbacks=[order, *callbacks], **kwargs)


def _taken(x: Any, y: Any, batch_size: int, kwargs: dict[str, Any]) -> _Arrays | None:
    """What a `fit` trains on, its weights taken out of `kwargs`.

    None where only Keras can do what is asked for.
    """
    given = [part for part in (x, y, kwargs.get("sample_weight")) if part is not None]
    if (
        y is None
        or not are_arrays(given)
        or not can_feed(given)
        or kwargs.get("shuffle", True) is not True
    ):
        return None
    if kwargs.get("validation_split") or kwargs.get("steps_per_epoch"):
        return None
    if kwargs.get("class_weight") and kwargs.get("sample_weight") is not None:  # Keras refuses it
        return None
    weights, by_class = kwargs.pop("sample_weight", None), kwargs.pop("class_weight", None)
    if by_class:
        weights = _class_weights(y, by_class)
    parts = [part for part in (x, y, weights) if part is not None]
    return _Arrays(parts, Chunks.of(parts, batch_size))


def _loop(
    model: Any, parts: list[Any], chunks: Chunks, reporter: "Reporter"
) -> AbstractContextManager[None]:
    """Within it the model's `fit` takes chunks."""
    if keras.backend.backend() == "jax":
        return in_place(model, lambda: jax_loop(model, chunks), chunks)
    shapes = [(part.shape[1:], part.dtype) for part in parts]
    return in_place(
        model, lambda: tensorflow_loop(model, parts, chunks, reporter), chunks, shapes, reporter
    )


def _set_steps(model: Any, kwargs: dict[str, Any], callbacks: list[Any], chosen: FitPlan) -> None:
    """Let TensorFlow run several steps a call, where nobody can tell but by the clock."""
    # Keras runs whole calls: of 10 steps an epoch it would run 32.
    counted = kwargs.get("steps_per_epoch") or kwargs.get("validation_steps")
    ours = getattr(model, "_kerasweep_steps", None)
    if model.steps_per_execution not in (1, ours):
        return  # the user's own choice
    one = acts_on_batches(callbacks) or counted or chosen.name != "plain" or count_of(model) > 1
    steps = 1 if one else STEPS_PER_EXECUTION
    if steps != model.steps_per_execution:
        model.steps_per_execution = steps
        # of an earlier `fit`, traced for its number of steps
        model.train_function = model.test_function = None
        object.__setattr__(model, "_kerasweep_steps", steps)


def _cut(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Do for arrays what `validation_split` asks for, as Keras does it.

    The last part is for validation.
    """
    split = kwargs.get("validation_split")
    parts: list[Any] = [kwargs.get(name) for name in ("x", "y", "sample_weight")]
    if (
        not split
        or kwargs.get("validation_data") is not None
        or not are_arrays(parts[: 2 + (parts[2] is not None)])
    ):
        return kwargs
    at = int(len(parts[0]) * (1 - split))
    if not 0 < at < len(parts[0]):
        return kwargs  # Keras says what is wrong
    train = {
        n: p[:at] for n, p in zip(("x", "y", "sample_weight"), parts, strict=True) if p is not None
    }
    val = tuple(part[at:] for part in parts if part is not None)
    return kwargs | train | {"validation_split": 0.0, "validation_data": val}


def _class_weights(y: Any, by_class: dict[int, float]) -> Any:
    """A weight an example, as Keras makes them of arrays: 1 for a class that is not named."""
    labels = y.argmax(-1) if y.ndim > 1 and y.shape[-1] != 1 else y.reshape(len(y))
    return np.array(
        [by_class.get(int(label), 1.0) for label in np.round(labels)], keras.config.floatx()
    )
