"""JAX: chunks of batches in one compiled call, and what was compiled kept for the next process."""

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.worker.backends.backend import Backend, Looping, PlanName, Share, TrainFunction

if TYPE_CHECKING:
    from pipeline.worker.backends.batches import Chunks
    from pipeline.worker.backends.together.held import Held
    from pipeline.worker.backends.together.members import Member, Pattern, Program

# A compiled step of a small model takes some 15 to 100 KiB; what was used longest ago makes room.
COMPILED_BYTES = 2**30


@dataclass(frozen=True)
class Jax(Backend):
    """JAX, which compiles whatever it carries out."""

    name: str = "jax"
    title: ClassVar[str] = "JAX"
    plans: ClassVar[tuple[PlanName, ...]] = ("plain", "compiled", "fused")
    plans_to_measure: ClassVar[tuple[PlanName, ...]] = ("compiled",)
    trains_several: ClassVar[bool] = True
    data_parallel: ClassVar[bool] = True
    # It would compile each operation: 4.5 s for a dense model, where its step takes 1.5; 17 s for
    # `resnet`, where it takes 8.
    checks_eagerly: ClassVar[bool] = False

    def dispensable_in(self, module: str) -> bool:
        """The Orbax callback mends an older JAX when it is imported."""
        return module == "keras.src.callbacks.orbax_checkpoint"

    def confine(self, share: Share) -> None:
        """Its platform, and the memory that it takes of a GPU."""
        if share.gpus == 0:
            os.environ.setdefault("JAX_PLATFORMS", "cpu")
        # an older name: JAX refuses both
        elif share.fraction is not None and "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ:
            # Taken at once, as TensorFlow does: what nobody holds is free for whoever comes next.
            os.environ.setdefault("XLA_CLIENT_MEM_FRACTION", f"{share.fraction:.4f}")

    def prepare(self, share: Share) -> None:
        """Its threads, and where it keeps what it compiled."""
        if "jax" in sys.modules:
            return
        flags = os.environ.get("XLA_FLAGS", "")
        if share.cpus <= 1 and "multi_thread_eigen" not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
        if share.gpus == 0:
            # XLA's pool is as large as the machine otherwise, and has no other setting
            # (xla/pjrt/utils.cc); its threads waited for each other: a quarter more CPU time for
            # the same epoch.
            os.environ["NPROC"] = str(share.threads)
        folder = None if "JAX_COMPILATION_CACHE_DIR" in os.environ else compiled_folder()
        if folder is not None:
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
            # Else only what takes a second to compile is kept, and hardly a step of a small model
            # does.
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
            os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(COMPILED_BYTES))

    def claim(self, share: Share) -> bool:
        """All of it is set before it is imported, so that it is only asked where a GPU is."""
        return share.gpu_mib is None or self.on_gpu()

    def peak_bytes(self) -> int:
        """What its allocator says, where there is a GPU."""
        import jax

        return int((jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0))

    def on_gpu(self) -> bool:
        """By its default device."""
        import jax

        return bool(jax.default_backend() == "gpu")

    @contextmanager
    def on_devices(self, devices: list[str]) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
        """Keras's data parallelism, for batches of any size.

        Keras takes the layout of the first batch for all, and fails on the last
        (keras-team/keras#21167, open with 3.15): once that is mended, `each` can go.
        """
        import keras
        from keras.src.backend.jax import trainer

        class Evenly(keras.distribution.DataParallel):
            """Deals a batch out if that comes out even."""

            def get_data_layout(self, data_shape: Any) -> Any:
                if data_shape[0] % len(devices) == 0:
                    return super().get_data_layout(data_shape)
                return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)

        def each(self: Any, distribution: Any) -> Iterator[Any]:
            """Look at each batch."""
            for batch in self.data_adapter.get_jax_iterator():
                yield trainer._distribute_data(batch)

        plain = trainer.JAXEpochIterator._get_distributed_iterator
        trainer.JAXEpochIterator._get_distributed_iterator = each
        try:
            with Evenly(devices=devices).scope():
                yield nullcontext
        finally:
            trainer.JAXEpochIterator._get_distributed_iterator = plain

    def train_function(
        self, model: Any, parts: list[Any], chunks: "Chunks", looping: Looping
    ) -> TrainFunction:
        """JAX compiles each function that is called: a chunk is one call, not one a batch."""
        import jax

        from pipeline.worker.backends.batches import is_chunk

        # What is left of an epoch is hardly more than one batch: it costs its compilation, not its
        # time.
        hasty = chunks.batches > 1 and not self.on_gpu()
        options = {"xla_backend_optimization_level": "0"} if hasty else {}
        over_batch = jax.jit(model.train_step, donate_argnums=0, compiler_options=options)

        @partial(jax.jit, donate_argnums=0)
        def over_chunk(state: Any, parts: Any) -> Any:
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
            return (over_chunk if is_chunk(parts, chunks) else over_batch)(state, parts)

        return train_function

    def together(self, pattern: "Pattern", members: "Sequence[Member]", held: "Held") -> "Program":
        """All members at once."""
        from pipeline.worker.backends.together import on_jax

        return on_jax.Program(pattern, members, held, hasty=not self.on_gpu())


def compiled_folder() -> Path | None:
    """Where JAX keeps what it compiled, for all processes of this user on this machine.

    None where none is safe.

    With it a process's first epoch of a small model takes 1 s of CPU instead of 4, if any process
    trained the same architecture before. What is in it is run as it is: so nobody else may write
    there, and it is of one machine, for JAX does not ask for which processor an entry was compiled.
    """
    folder = Path(tempfile.gettempdir()) / f"kerasweep-jax-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if ours else None
