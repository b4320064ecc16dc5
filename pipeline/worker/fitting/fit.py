"""How a model's `fit` is carried out.

The same updates on the same data, in an order that follows from seed and epoch.

The user's `fit` calls `model.fit(x, y, …)` as ever. For the time of a trial that call is ours: it
feeds arrays through a pipeline that is shuffled by (seed, epoch), so that a trial which goes on
from a checkpoint sees what it would have seen, and lets TensorFlow run several steps a call. What
it cannot serve goes to Keras unchanged. So does all of it where the user's own code has called
`keras.utils.set_random_seed`: its numbers are those of a loop by hand with that seed.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from pipeline.worker.backends.backend import Backend
from pipeline.worker.backends.known import current
from pipeline.worker.fitting.arrays import (
    Arrays,
    are_arrays,
    arrays_of,
    with_arrays,
    with_validation_cut_off,
)
from pipeline.worker.fitting.call import FitCall
from pipeline.worker.fitting.left import left_on
from pipeline.worker.fitting.loops import in_place
from pipeline.worker.fitting.order import Order
from pipeline.worker.fitting.plans import FitPlan, acts_on_batches, cannot_be_compiled, choose
from pipeline.worker.fitting.reporter import Reporter
from pipeline.worker.fitting.together import fit_together
from pipeline.worker.fitting.validation import (
    incomparable,
    with_validation_batch,
    with_validation_fed,
)
from pipeline.worker.fused.company import Company
from pipeline.worker.fused.likeness import NotAlike


@contextmanager
def planned_fit(
    model: Any,
    seed: int,
    reporter: Reporter,
    asked: str = "auto",
    building: Callable[[], AbstractContextManager[Any]] = nullcontext,
    backend: Backend | None = None,
    validation_data: Any = None,
    seeded: int | None = None,
    company: Company | None = None,
    **defaults: Any,
) -> Iterator[None]:
    """Carry out every `model.fit` inside in our way.

    `reporter` is added to its callbacks, the last of them.

    `asked` is a plan's name or "auto" (see `plans`); what is inside runs in `building`, for it may
    compile a model (see `parallel`); `backend` is Keras's unless another is to stand for it;
    `validation_data` is what the trial has; `seeded` is what Keras was seeded with before the model
    was built, else what it is seeded with now: with another seed the user's own code has seeded it;
    `company` are trainings that it may be carried out with, if there are any;
    `defaults` are arguments that hold where a `fit` of one's own does not pass others on.
    """
    plain, backend = model.fit, backend or current()
    ours = backend.random_seed() if seeded is None else seeded

    def fit(*args: Any, **kwargs: Any) -> Any:
        given = FitCall.of(args, defaults | kwargs)
        call = with_validation_cut_off(with_arrays(given))
        reporter.calls += 1
        if reporter.calls > 1 and call.get("initial_epoch") == defaults.get("initial_epoch"):
            # where the trial goes on from is in the first call
            call = call.changed(initial_epoch=0)
        reporter.validation = call.get("validation_data")
        reporter.evaluated_in = call.get("validation_batch_size") or call.batch_size
        reporter.incomparable = incomparable(given, validation_data)
        reporter.batch_size = call.batch_size
        reporter.others = [c for c in call.callbacks if c is not reporter]
        # Code that seeds Keras in `build` or `fit` is to have the numbers of that seed.
        order = Order(seed if backend.random_seed() == ours else None, backend)
        order.listeners.append(reporter.before_epoch)
        scope.close()  # the order of the data is not to be mirrored
        try:
            return _carried_out(
                call.without("callbacks"), model, plain, backend, order, reporter, asked, company
            )
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


def _carried_out(
    call: FitCall,
    model: Any,
    plain: Callable[..., Any],
    backend: Backend,
    order: Order,
    reporter: Reporter,
    asked: str,
    company: Company | None,
) -> Any:
    """Choose the plan, and train by it; what `plain`, Keras's own `fit`, returns."""
    devices = backend.devices_of(model)
    arrays = arrays_of(call)
    # The reporter last, so that what it saves of the others is their state after the epoch.
    callbacks = [*reporter.others, reporter]

    def planned(arrays: Arrays, examples: tuple[Any, ...] = ()) -> FitPlan:
        of_stage = arrays.steps * (reporter.stage() or call.epochs)
        size, on_gpu = call.batch_size, reporter.gpu_plan
        plan = choose(model, asked, of_stage, size, callbacks, examples, backend, on_gpu)
        return plan.apart(apart) if apart else plan

    apart = ""  # why it does not train with others that train beside it
    if order.seed is None:
        arrays = None
        chosen = FitPlan("plain", "its own code sets Keras's seed")
    elif devices > 1:
        chosen = FitPlan("plain", f"{devices} devices share each batch")
    elif backend.plans == ("plain",):
        chosen = FitPlan("plain", f"the backend is {backend.name}")
    elif arrays is None:
        chosen = FitPlan("plain", _why_no_arrays(call, backend))
    else:
        if company is not None:
            try:
                return fit_together(call, model, backend, order, reporter, asked, company, arrays)
            except NotAlike as reason:
                apart = str(reason) if asked in ("auto", "fused") else ""
        if arrays.chunks.single and asked != "plain":
            chosen = FitPlan("plain", arrays.chunks.single)
        else:
            chosen = planned(arrays, arrays.examples())
    reporter.on_arrays = arrays is not None
    reporter.fit_plan = chosen
    reporter.follows = arrays is not None or _in_fixed_order(call, reporter)
    set_steps_per_call(model, backend, call, callbacks, chosen)
    validating = with_validation_fed(with_validation_batch(call, model), backend, devices)
    if arrays is None:
        return plain(**validating.arguments, callbacks=[order, *reporter.first, *callbacks])
    looped = chosen.name != "plain"
    data = backend.shuffled(arrays.parts, arrays.chunks, order, looped=looped, devices=devices)
    # the pipeline shuffles; Keras would warn that it cannot
    fed = validating.without("y", "sample_weight", "class_weight").changed(
        x=data, shuffle=False, batch_size=None
    )
    ours: AbstractContextManager[None] = nullcontext()
    if looped:
        order.steps = arrays.steps
        order.listeners.append(lambda epoch: setattr(reporter, "fit_plan", planned(arrays)))
        ours = _loop_in_place(model, backend, arrays, reporter)
    with ours:
        return plain(**fed.arguments, callbacks=[order, *reporter.first, *callbacks])


def _in_fixed_order(call: FitCall, reporter: Reporter) -> bool:
    """Whether each epoch has the same batches; with steps_per_epoch it goes on in their midst."""
    if call.get("steps_per_epoch"):
        return False
    x = call.get("x")
    arrays = are_arrays(keras.tree.flatten(x)) and call.get("shuffle") is False
    return arrays or (x is not None and x is reporter.alike)


def _why_no_arrays(call: FitCall, backend: Backend) -> str:
    parts = keras.tree.flatten([call.get("x"), call.get("y")])
    copied = backend.copies_arrays and any(isinstance(part, np.ndarray) for part in parts)
    return "it is not trained on shuffled arrays alone" + ", and Keras copies those" * copied


@dataclass(frozen=True)
class _PlanInForce:
    """The plan of the epoch that is trained, as a train function asks for it."""

    model: Any
    reporter: Reporter

    def is_compiled(self) -> bool:
        plan = self.reporter.fit_plan
        return plan is not None and plan.name == "compiled"

    def cannot_be_compiled(self) -> None:
        self.reporter.fit_plan = cannot_be_compiled(self.model)


def _loop_in_place(
    model: Any, backend: Backend, arrays: Arrays, reporter: Reporter
) -> AbstractContextManager[None]:
    """Within it the model's `fit` takes chunks."""
    plan = _PlanInForce(model, reporter)
    shapes = [(part.shape[1:], part.dtype) for part in arrays.parts]
    return in_place(
        model,
        lambda: backend.train_function(model, arrays.parts, arrays.chunks, plan),
        arrays.chunks,
        shapes,
        reporter,
    )


def set_steps_per_call(
    model: Any, backend: Backend, call: FitCall, callbacks: list[Any], chosen: FitPlan
) -> None:
    """Let Keras's own `fit` run several steps a call, where nobody can tell but by the clock."""
    if backend.steps_per_call == 1 or model.run_eagerly:
        return
    left = left_on(model)
    if model.steps_per_execution not in (1, left.steps_per_call):
        return  # the user's own choice
    one = (
        acts_on_batches(callbacks)
        # Keras runs whole calls: of 10 steps an epoch it would run 32.
        or call.get("steps_per_epoch")
        or call.get("validation_steps")
        or chosen.name != "plain"
        or backend.devices_of(model) > 1
    )
    steps = 1 if one else backend.steps_per_call
    if steps != model.steps_per_execution:
        model.steps_per_execution = steps
        # of an earlier `fit`, traced for its number of steps
        model.train_function = model.test_function = model.predict_function = None
        left.steps_per_call = steps
