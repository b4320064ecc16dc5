"""Train functions that take a chunk of batches a call and loop over them inside the graph (see `plans`).

Each takes the place of Keras's own for a model; the data comes in chunks, as `batches` makes them, and what is left of
an epoch batch by batch.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from pipeline.worker.batches import Chunks, fed_dtype
from pipeline.worker.plans import Chosen, on_gpu
from pipeline.worker.updates import fused


def install_tensorflow(
    model: Any, parts: list[Any], chunks: Chunks, *, compiled: bool, chose: Callable[[Chosen], None] = lambda _: None
) -> None:
    """Give the model a train function for TensorFlow.

    Args:
        model: compiled.
        parts: the arrays that it is trained on.
        chunks: how they are grouped.
        compiled: by XLA, which writes an optimizer's update as one pass by itself.
        chose: is told where XLA turns out not to be able to.
    """
    import tensorflow as tf

    scratch: dict[int, Any] = {}  # lives as long as the graph
    signature = [tuple(tf.TensorSpec([None, *part.shape[1:]], fed_dtype(part)) for part in parts)]

    def traced_once(updating: Callable[[], AbstractContextManager[None]]) -> Any:
        """A step, for batches of any length: Keras's Python code takes half a second."""

        def step(data: Any) -> Any:
            with updating():
                return model.train_step(data)

        return tf.function(step, autograph=False, input_signature=signature)

    one = traced_once(nullcontext if compiled else partial(fused, model, scratch))

    def loop(parts: Any) -> None:
        stacked = [tf.reshape(part, [chunks.batches, chunks.batch_size, *part.shape[1:]]) for part in parts]

        def body(step: Any) -> Any:
            one(tuple(part[step] for part in stacked))
            return (step + 1,)

        tf.while_loop(lambda step: step < chunks.batches, body, (tf.constant(0),))

    graph = tf.function(loop, autograph=False, jit_compile=compiled)

    def run(parts: Any) -> None:
        nonlocal graph, compiled
        try:
            graph(parts)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            if not compiled:
                raise
            # What XLA cannot compile fails before it has changed anything.
            compiled, graph = False, tf.function(loop, autograph=False)
            chose(Chosen("looped", "XLA cannot compile it"))
            graph(parts)

    def train_function(iterator: Any) -> Any:
        parts = iterator.get_next()
        if _is_chunk(parts, chunks):
            run(parts)
        else:
            one(parts)
        return model.get_metrics_result()

    _put(model, train_function)


def install_jax(model: Any, chunks: Chunks) -> None:
    """Give the model a train function for JAX, which compiles each: a chunk is one call, not one a batch.

    Args:
        model: compiled.
        chunks: how the arrays that it is trained on are grouped.
    """
    import jax

    # What is left of an epoch is one batch: it costs its compilation, not its time.
    hasty = {"xla_backend_optimization_level": "0"} if chunks.batches > 1 and not on_gpu() else {}
    one = jax.jit(model.train_step, donate_argnums=0, compiler_options=hasty)

    @partial(jax.jit, donate_argnums=0)
    def loop(state: Any, parts: Any) -> Any:
        def step(state: Any, batch: Any) -> Any:
            logs, state = model.train_step(state, batch)
            return state, logs

        stacked = [part.reshape([chunks.batches, chunks.batch_size, *part.shape[1:]]) for part in parts]
        state, logs = jax.lax.scan(step, state, tuple(stacked))
        return jax.tree.map(lambda each: each[-1], logs), state

    def train_function(state: Any, iterator: Any) -> Any:
        parts = tuple(part for part in next(iterator) if part is not None)
        return (loop if _is_chunk(parts, chunks) else one)(state, parts)

    _put(model, train_function)


def _is_chunk(parts: Any, chunks: Chunks) -> bool:
    return chunks.batches > 1 and len(parts[0]) == chunks.batches * chunks.batch_size


def _put(model: Any, train_function: Any) -> None:
    train_function.takes_chunks = True
    model.train_function = train_function
