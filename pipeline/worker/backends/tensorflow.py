"""TensorFlow: arrays fed from where they are, and loops over chunks of batches inside the graph.

How the arrays reach it is in `tensorflow_data`, how a loop updates weights in `tensorflow_updates`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.worker.backends.backend import (
    PLANS,
    Backend,
    Looping,
    PlanName,
    Share,
    TrainFunction,
)

if TYPE_CHECKING:
    from pipeline.worker.backends.batches import Chunks, Ordered
    from pipeline.worker.backends.together.held import Held
    from pipeline.worker.backends.together.members import Member, Pattern, Program


@dataclass(frozen=True)
class TensorFlow(Backend):
    """TensorFlow."""

    name: str = "tensorflow"
    title: ClassVar[str] = "TensorFlow"
    plans: ClassVar[tuple[PlanName, ...]] = PLANS
    data_parallel: ClassVar[bool] = True
    # Measured on one core: an epoch of 1,500 small steps takes 6.5 s at 1 and 3 to 5 s at 32; more
    # gains nothing.
    steps_per_call: ClassVar[int] = 32
    copies_arrays: ClassVar[bool] = True
    writes_hparams: ClassVar[bool] = True

    def seldom_used(self, module: str) -> bool:
        """TensorFlow Lite, whose converter imports JAX, and the names of its earlier versions."""
        return module.startswith("tensorflow._api.") and module.endswith((".lite", ".compat"))

    def quiet(self) -> None:
        """It writes what it finds of the machine to stderr."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def claim(self, share: Share) -> bool:
        """Its threads, which GPUs it sees, and the memory it may take of them."""
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        tf.config.threading.set_intra_op_parallelism_threads(share.threads)
        tf.config.threading.set_inter_op_parallelism_threads(share.threads)
        if share.gpus == 0:
            tf.config.set_visible_devices([], "GPU")
            return False
        devices = tf.config.list_physical_devices("GPU")
        for device in devices:
            if share.cap_mib is None:
                tf.config.experimental.set_memory_growth(device, True)
            else:
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=share.cap_mib)
                tf.config.set_logical_device_configuration(device, [limit])
        return bool(devices)

    def peak_bytes(self) -> int:
        """What its allocator says of the first GPU."""
        import tensorflow as tf

        if not tf.config.list_logical_devices("GPU"):
            return 0
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])

    def on_gpu(self) -> bool:
        """By what it was let see."""
        import tensorflow as tf

        return bool(tf.config.get_visible_devices("GPU"))

    def set_random_seed(self, seed: int) -> None:
        """Keras's own: it seeds TensorFlow too."""
        import keras

        keras.utils.set_random_seed(seed)

    def runs_functions_eagerly(self) -> bool:
        """A setting of the process."""
        import tensorflow as tf

        return bool(tf.config.functions_run_eagerly())

    def run_functions_eagerly(self, eagerly: bool) -> None:
        """Set it."""
        import tensorflow as tf

        tf.config.run_functions_eagerly(eagerly)

    @contextmanager
    def on_devices(self, devices: list[str]) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
        """TensorFlow's own data parallelism."""
        import tensorflow as tf

        yield tf.distribute.MirroredStrategy(devices).scope

    def devices_of(self, model: Any) -> int:
        """By the strategy that it was built in."""
        return int(model.distribute_strategy.num_replicas_in_sync)

    def shuffled(
        self, parts: list[Any], chunks: "Chunks", order: "Ordered", *, looped: bool, devices: int
    ) -> Any:
        """A `tf.data.Dataset`; on several devices all its batches are dealt out evenly."""
        from pipeline.worker.backends import tensorflow_data

        data = tensorflow_data.shuffled(
            parts, chunks, order.seed, order.listeners.append, whole=looped
        )
        return tensorflow_data.evenly(data, devices) if devices > 1 else data

    def in_order(self, parts: list[Any], batch_size: int) -> Any | None:
        """A `tf.data.Dataset`."""
        from pipeline.worker.backends import tensorflow_data

        return tensorflow_data.in_order(parts, batch_size)

    def train_function(
        self, model: Any, parts: list[Any], chunks: "Chunks", looping: Looping
    ) -> TrainFunction:
        """One graph of a step, and loops of it that are compiled by XLA or are not."""
        import tensorflow as tf

        from pipeline.worker.backends.batches import fed_dtype, is_chunk
        from pipeline.worker.backends.tensorflow_updates import fused

        signature = [
            tuple(tf.TensorSpec([None, *part.shape[1:]], fed_dtype(part)) for part in parts)
        ]
        scratch: dict[int, Any] = {}  # lives as long as the graph

        @partial(tf.function, autograph=False, input_signature=signature)
        def step(data: Any) -> Any:
            """One batch's, of any length.

            All loops are of this graph: what runs as Python code runs once, as in Keras.
            """
            with fused(model, scratch):
                return model.train_step(data)

        def over_chunk(parts: Any) -> None:
            stacked = [
                tf.reshape(part, [chunks.batches, chunks.batch_size, *part.shape[1:]])
                for part in parts
            ]

            def body(place: Any) -> Any:
                step(tuple(part[place] for part in stacked))
                return (place + 1,)

            tf.while_loop(lambda place: place < chunks.batches, body, (tf.constant(0),))

        @cache
        def loop(compiled: bool) -> Any:
            return tf.function(over_chunk, autograph=False, jit_compile=compiled)

        def run(parts: Any) -> None:
            compiled = looping.is_compiled()
            try:
                loop(compiled)(parts)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
                if not compiled:
                    raise
                # What XLA cannot compile fails before it has changed anything.
                looping.cannot_be_compiled()
                loop(False)(parts)

        def train_function(iterator: Any) -> Any:
            parts = iterator.get_next()
            if is_chunk(parts, chunks):
                run(parts)
            else:
                step(parts)
            return model.get_metrics_result()

        return train_function

    def together(self, pattern: "Pattern", members: "Sequence[Member]", held: "Held") -> "Program":
        """One graph, by which each model is trained in turn."""
        from pipeline.worker.backends.together import on_tensorflow

        return on_tensorflow.Program(pattern, members, held)

    def permutation(self, order: "Ordered", count: int) -> Any:
        """By TensorFlow's generator."""
        from pipeline.worker.backends import tensorflow_data

        return tensorflow_data.permutation(order.seed, order.epoch, count).numpy()
