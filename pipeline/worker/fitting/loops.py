"""Train functions that loop over a chunk of batches inside the graph (see `plans`).

Each takes the place of Keras's own for the time of a `fit`; the data comes in chunks
(`tensorflow_data`), and what is left of an epoch batch by batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Protocol

from pipeline.worker.backends.tensorflow_data import Chunks, fed_dtype
from pipeline.worker.backends.tensorflow_updates import fused
from pipeline.worker.fitting.plans import FitPlan, cannot_be_compiled, on_gpu

TrainFunction = Callable[..., Any]


class Planned(Protocol):
    """Who knows the plan of the epoch that is trained."""

    fit_plan: FitPlan | None


@contextmanager
def in_place(model: Any, make: Callable[[], TrainFunction], *key: Any) -> Iterator[None]:
    """Have the `fit` inside train by what `make` returns, and the model be as it was afterwards.

    As Keras does with its own, a later `fit` of the same `key` takes it up as it was traced, until
    the model is compiled anew; `make_train_function(force=True)` traces it again.
    """
    # another object whenever `compile` was called
    compiling = getattr(model, "_compile_config", None)
    held_key, held_compiling, held = getattr(model, "_kerasweep_loop", (None, None, None))
    fits = held_key == key and held_compiling is compiling

    def make_train_function(force: bool = False) -> None:
        if force or model.train_function is None:
            model.train_function = make()

    before = model.train_function
    model.train_function = held if fits else None
    object.__setattr__(model, "make_train_function", make_train_function)
    try:
        yield
    finally:
        object.__delattr__(model, "make_train_function")
        # Not by setattr: Keras tracks what is assigned to a model.
        object.__setattr__(model, "_kerasweep_loop", (key, compiling, model.train_function))
        model.train_function = before


def tensorflow_loop(
    model: Any, parts: list[Any], chunks: Chunks, planned: Planned
) -> TrainFunction:
    """A train function for TensorFlow.

    Args:
        model: compiled.
        parts: the arrays that it is trained on.
        chunks: how they are grouped.
        planned: its plan, looked at with each chunk, says whether XLA compiles the graph; where XLA
            turns out not to be able to, the plan becomes "looped".
    """
    import tensorflow as tf

    signature = [tuple(tf.TensorSpec([None, *part.shape[1:]], fed_dtype(part)) for part in parts)]
    scratch: dict[int, Any] = {}  # lives as long as the graph

    @partial(tf.function, autograph=False, input_signature=signature)
    def step(data: Any) -> Any:
        """One batch's, of any length.

        All loops are of this graph: what runs as Python code runs once, as in Keras.
        """
        with fused(model, scratch):
            return model.train_step(data)

    @cache
    def loop(compiled: bool) -> Any:
        """A chunk's."""

        def loop(parts: Any) -> None:
            stacked = [
                tf.reshape(part, [chunks.batches, chunks.batch_size, *part.shape[1:]])
                for part in parts
            ]

            def body(place: Any) -> Any:
                step(tuple(part[place] for part in stacked))
                return (place + 1,)

            tf.while_loop(lambda place: place < chunks.batches, body, (tf.constant(0),))

        return tf.function(loop, autograph=False, jit_compile=compiled)

    def compiled() -> bool:
        return planned.fit_plan is not None and planned.fit_plan.name == "compiled"

    def run(parts: Any) -> None:
        try:
            loop(compiled())(parts)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            if not compiled():
                raise
            # What XLA cannot compile fails before it has changed anything.
            planned.fit_plan = cannot_be_compiled(model)
            loop(False)(parts)

    def train_function(iterator: Any) -> Any:
        parts = iterator.get_next()
        if _is_chunk(parts, chunks):
            run(parts)
        else:
            step(parts)
        return model.get_metrics_result()

    return train_function


def jax_loop(model: Any, chunks: Chunks) -> TrainFunction:
    """A train function for JAX, which compiles each: a chunk is one call, not one a batch.

    Args:
        model: compiled.
        chunks: how the arrays that it is trained on are grouped.
    """
    import jax

    # What is left of an epoch is hardly more than one batch: it costs its compilation, not its
    # time.
    hasty = {"xla_backend_optimization_level": "0"} if chunks.batches > 1 and not on_gpu() else {}
    one = jax.jit(model.train_step, donate_argnums=0, compiler_options=hasty)

    @partial(jax.jit, donate_argnums=0)
    def loop(state: Any, parts: Any) -> Any:
        def step(state: Any, batch: Any) -> Any:
            logs, state = model.train_step(state, batch)
            return state, logs

        stacked = [
            part.reshape([chunks.batches, chunks.batch_size, *part.shape[1:]]) for part in parts
        ]
        state, logs = jax.lax.scan(step, state, tuple(stacked))
        return jax.tree.map(lambda each: each[-1], logs), state

    def train_function(state: Any, iterator: Any) -> Any:
        parts = tuple(part for part in next(iterator) if part is not None)
        return (loop if _is_chunk(parts, chunks) else one)(state, parts)

    return train_function


def _is_chunk(parts: Any, chunks: Chunks) -> bool:
    return chunks.batches > 1 and len(parts[0]) == chunks.batches * chunks.batch_size
