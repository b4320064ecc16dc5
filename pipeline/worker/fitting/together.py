"""A `fit` whose epochs are carried out together with those of other trainings."""

from typing import Any

from pipeline.worker.backends.backend import Backend
from pipeline.worker.backends.together.members import Examples
from pipeline.worker.fitting.arrays import Arrays
from pipeline.worker.fitting.call import FitCall
from pipeline.worker.fitting.left import compiling_of, left_on
from pipeline.worker.fitting.order import Order
from pipeline.worker.fitting.plans import (
    FUSED_TO_BYTES,
    FitPlan,
    fused_with,
)
from pipeline.worker.fitting.reporter import Reporter
from pipeline.worker.fitting.validation import validates, validation_together
from pipeline.worker.fused import epochs
from pipeline.worker.fused.company import Company, Done
from pipeline.worker.fused.likeness import NotAlike

TOGETHER = FitPlan("fused", "with trainings whose models are alike")
ALONE = FitPlan("fused", "a program of its own")


def fit_together(
    call: FitCall,
    model: Any,
    backend: Backend,
    order: Order,
    reporter: Reporter,
    asked: str,
    company: Company,
    arrays: Arrays,
) -> Any:
    """Train, an epoch of all that are alike in one program; what Keras's `fit` returns.

    Args:
        call: what `fit` was called with.
        model: compiled.
        backend: Keras's, unless another stands for it.
        order: of the examples.
        reporter: our callback.
        asked: a plan's name, or "auto".
        company: whom it is carried out with.
        arrays: what it is trained on.

    Raises:
        NotAlike: it is to train by itself; nothing was trained.
    """
    callbacks = [*reporter.others, reporter]
    large = sum(part.nbytes for part in arrays.parts) > FUSED_TO_BYTES
    if asked == "auto" and large and not backend.on_gpu():
        raise NotAlike("its arrays are too large to be copied")
    alike = fused_with(model, asked, call.batch_size, callbacks, arrays.examples(), backend)
    left, compiling = left_on(model), compiling_of(model)
    if left.alike is None or left.alike[0] is not compiling:
        left.alike = compiling, alike
    # What is changed of a model without compiling it again, Keras's trace does not see either.
    alike = left.alike[1]
    validation = validation_together(call, model)
    reporter.fit_plan = TOGETHER
    reporter.follows = True

    def examples() -> Examples:
        count = len(arrays.parts[0])
        return Examples(tuple(arrays.parts), backend.permutation(order, count), call.batch_size)

    def told(done: Done, waited_s: float) -> None:
        reporter.waited_s += waited_s
        reporter.fit_plan = ALONE.apart(done.apart) if done.apart else TOGETHER

    return epochs.fit(
        model,
        alike,
        company,
        examples=examples,
        validation=validation,
        validates=validates(call),
        callbacks=[order, *reporter.first, *callbacks],
        initial_epoch=call.get("initial_epoch") or 0,
        epochs=call.epochs,
        steps=arrays.steps,
        verbose=call.get("verbose") or 0,
        within_own=reporter.within_own,
        told=told,
    )
