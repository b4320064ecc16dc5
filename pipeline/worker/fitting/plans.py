"""How the steps of an epoch are carried out.

Keras's own way, or many batches a call inside one graph.

    plain     Keras's train function; on TensorFlow several steps a call
    looped    a graph that loops over the batches of a chunk, and updates weights by one operation
              a variable
    compiled  the same loop compiled by XLA; JAX has no other
    fused     the loop of several trainings whose models are alike, as one program (see `fused/`);
              on TensorFlow the program carries out one training after the other

All make the same updates on the same batches in the same order; sums differ in the last
places. What is fastest depends on the model: benchmarks/fit_plans.py makes the measurements that
`choose` follows on CPUs. On a GPU it follows what was measured there before the search
(`engine/gpus`), of the plans that a backend names; no other was ever run on one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from pipeline.worker.backends.backend import Backend, PlanName
from pipeline.worker.backends.known import current
from pipeline.worker.fitting.left import compiling_of, left_on
from pipeline.worker.fused.likeness import Likeness, NotAlike
from pipeline.worker.fused.reading import likeness
from pipeline.worker.session import MEASURED

# Steps that gain about as much as XLA's compilation takes, 0.6 to 1.5 s of CPU: a step gains 0 to
# 0.3 ms, and 0.1 at most of most models that were measured (AMD EPYC).
COMPILED_FROM_STEPS = 10_000
# Products of a step's forward pass up to which XLA gains. TensorFlow's own products are faster, and
# outweigh what it saves around them: of 47 million both take as long, of 119 million XLA takes 6 %
# more (AMD EPYC).
COMPILED_TO_PRODUCTS = 60e6
# Products of a step's forward pass, of one model, up to which several gain by one program.
FUSED_TO_PRODUCTS = 4e6
# Bytes of a training's arrays up to which a program's copy of them is worth having.
FUSED_TO_BYTES = 2**27


@dataclass(frozen=True)
class FitPlan:
    """A plan, and why it is that one."""

    name: PlanName
    reason: str

    def apart(self, reason: str) -> "FitPlan":
        """The same plan, of a training that others train beside, and why it does so by itself."""
        return FitPlan(self.name, f"{self.reason}; trained apart: {reason}")

    def __str__(self) -> str:
        """As the records hold it."""
        return f"{self.name}: {self.reason}"


def choose(
    model: Any,
    asked: str,
    steps: int,
    batch_size: int,
    callbacks: Sequence[Any],
    examples: tuple[Any, ...] = (),
    backend: Backend | None = None,
    on_gpu: str = "",
) -> FitPlan:
    """The plan for a model that is to be trained on arrays.

    Args:
        model: compiled.
        asked: a plan's name, or "auto".
        steps: of the stage that it is in: between two epochs at which it may be stopped.
        batch_size: examples a step.
        callbacks: of this `fit`.
        examples: a batch, to build the model on.
        backend: Keras's, unless another is given.
        on_gpu: what was measured to be fastest on a GPU such as this; "" where nothing was.
    """
    asked = "auto" if asked == "fused" else asked  # it is not: see `fused_with`
    if asked == "plain":
        return FitPlan("plain", "asked for")
    backend = backend or current()
    if reason := _unserved(model, callbacks, backend):
        return FitPlan("plain", reason)
    why = "asked for"
    if asked == "auto" and backend.on_gpu():
        if on_gpu not in backend.plans_to_measure:
            return FitPlan("plain", _why_plain_on_gpu(backend, on_gpu))
        asked, why = on_gpu, MEASURED
    if examples and not _can_be_built(model, examples):
        return UNBUILT
    loops = "looped" in backend.plans  # or its only loop is the compiled one
    failed = left_on(model).uncompilable
    if asked != "looped" and failed is not None and failed is compiling_of(model):
        return UNCOMPILED
    if asked != "auto":
        if asked == "looped" and not loops:
            return FitPlan("compiled", f"{backend.title} has no other loop")
        return FitPlan("looped" if asked == "looped" else "compiled", why)
    elementary = _is_elementary(model)
    if loops and model.jit_compile:  # Keras's own choice is not to, on a CPU
        return FitPlan("compiled" if elementary else "plain", "jit_compile was set")
    if not elementary:
        # XLA is slow at a convolution within a loop. TensorFlow's loop is no slower than Keras's,
        # and traced once.
        return FitPlan(
            "looped" if loops else "plain", "bound by arithmetic, not by the cost of a step"
        )
    if not loops:
        return FitPlan("compiled", "bound by the cost of a step")
    if any(v.name == "seed_generator_state" for v in model.variables):
        return FitPlan("looped", "XLA's random numbers are slow on a CPU")
    if batch_size * model.count_params() > COMPILED_TO_PRODUCTS:
        return FitPlan("looped", "bound by its matrix products")
    if steps < COMPILED_FROM_STEPS:
        return FitPlan("looped", "too few steps for a compilation to pay")
    return FitPlan("compiled", "many steps")


def _why_plain_on_gpu(backend: Backend, measured: str) -> str:
    if measured:
        return MEASURED
    if not backend.plans_to_measure:  # they are tested on CPUs alone
        return f"a GPU, on which {backend.title}'s other plans were never run"
    return "a GPU, on which no plan was measured"


def fused_with(
    model: Any,
    asked: str,
    batch_size: int,
    callbacks: Sequence[Any],
    examples: tuple[Any, ...],
    backend: Backend,
) -> Likeness:
    """What a model is, if it is to be trained as one program with others that are like it.

    The arguments are as of `choose`.

    Raises:
        NotAlike: it is to be trained by itself; why.
    """
    if asked not in ("auto", "fused"):
        raise NotAlike(f"{asked} was asked for")
    if "fused" not in backend.plans:
        raise NotAlike(f"{backend.title} has no program for several models")
    if reason := _unserved(model, callbacks, backend):
        raise NotAlike(reason)
    if acts_on_validation(callbacks):
        raise NotAlike("a callback acts on validation")
    if not _can_be_built(model, examples):
        raise NotAlike(UNBUILT.reason)
    if not backend.trains_several:
        # Its models take turns: they share the cost of a trace, whatever that of a step is.
        if model.jit_compile:
            raise NotAlike("jit_compile was set")
        if asked == "auto" and backend.on_gpu():
            raise NotAlike(_why_plain_on_gpu(backend, ""))
    elif asked == "auto" and not backend.on_gpu() and (reason := long_steps(model, batch_size)):
        raise NotAlike(reason)
    return likeness(model)


def long_steps(model: Any, batch_size: int) -> str:
    """Why a step of a model takes longer than what several can share of it; "" where it does not.

    Of a CPU.
    """
    if not _is_elementary(model):
        return "bound by arithmetic, not by the cost of a step"
    if batch_size * model.count_params() > FUSED_TO_PRODUCTS:
        return "bound by its matrix products"
    return ""


def _can_be_built(model: Any, examples: tuple[Any, ...]) -> bool:
    """Whether a model is built on a batch, or was.

    Variables that a trace makes cost another trace: tf.function throws the first away. And an
    unbuilt model does not show what it is.
    """
    try:
        model._symbolic_build(data_batch=examples)
    except Exception:  # user code that wants real tensors: it may do anything
        return False
    return True


UNBUILT = FitPlan("plain", "it cannot be built before it is trained")
UNCOMPILED = FitPlan("looped", "XLA cannot compile it")


def cannot_be_compiled(model: Any) -> FitPlan:
    """Remember that XLA failed, as long as the model is compiled as it is.

    The plan that holds then.
    """
    left_on(model).uncompilable = compiling_of(model)
    return UNCOMPILED


# Layers whose step is so short that carrying it out costs more than its arithmetic.
ELEMENTARY = (
    keras.layers.Dense,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Embedding,
    keras.layers.Normalization,
)


def _is_elementary(model: Any) -> bool:
    layers = [layer for layer in model._flatten_layers(include_self=False) if layer.weights]
    return all(isinstance(layer, ELEMENTARY) for layer in layers)


def _unserved(model: Any, callbacks: Sequence[Any], backend: Backend) -> str | None:
    """Why only Keras's own way can train a model; None where nothing speaks against the others."""
    for name in ("train_step", "compute_metrics", "make_train_function"):
        if not getattr(type(model), name).__module__.startswith("keras.src."):
            return f"a {name} of its own"
    if model.run_eagerly:
        return "it runs eagerly"
    if "looped" not in backend.plans and not model.jit_compile:
        return "it is not compiled"
    if model.steps_per_execution not in (1, left_on(model).steps_per_call):
        return "steps_per_execution was set"
    if acts_on_batches(callbacks):
        return "a callback acts on each batch"
    return None


def acts_on_validation(callbacks: Sequence[Any]) -> bool:
    """Whether a callback would notice that validation is a part of its epoch's program.

    Of Keras's own one puts other weights in for it; the others look on.
    """
    hooks = ("on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end")
    swaps = any(isinstance(c, keras.callbacks.SwapEMAWeights) for c in callbacks)
    return swaps or _have_own(callbacks, hooks, ("keras.", "pipeline."))


def acts_on_batches(callbacks: Sequence[Any]) -> bool:
    """Whether a user's callback would notice that several steps are one call.

    Keras's own count the steps.
    """
    hooks = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
    counted = ("save_freq", "update_freq")  # of Keras's own: a number is of batches
    if any(isinstance(getattr(c, name, None), int) for c in callbacks for name in counted):
        return True
    return _have_own(callbacks, hooks, ("keras.",))


def _have_own(callbacks: Sequence[Any], hooks: Sequence[str], others: tuple[str, ...]) -> bool:
    """Whether a callback has one of these hooks that is of no module that begins so."""
    return any(
        not str(getattr(getattr(callback, hook), "__module__", "")).startswith(others)
        for callback in callbacks
        for hook in hooks
    )
