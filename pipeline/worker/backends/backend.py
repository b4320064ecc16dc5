"""What is asked of a backend; the answers here are those of one that nothing is known of.

Such a backend trains by Keras's own `fit`, on one device, in whatever threads it takes.
"""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, get_args

if TYPE_CHECKING:
    from pipeline.worker.backends.batches import Chunks, Ordered
    from pipeline.worker.backends.together.held import Held
    from pipeline.worker.backends.together.members import Member, Pattern, Program

# How the steps of an epoch are carried out: see `fitting/plans`.
PlanName = Literal["plain", "looped", "compiled", "fused"]
PLANS: tuple[PlanName, ...] = get_args(PlanName)
BY_ITSELF = PLANS[:3]  # those of a training that no other is carried out with

TrainFunction = Callable[..., Any]


@dataclass(frozen=True)
class Share:
    """A process's share of the machine, and the memory of its first GPU, where that is known."""

    cpus: float
    threads: int
    gpus: float
    gpu_mib: int | None = None
    cap_mib: int | None = None  # what its tensors may hold; None: no bound

    @property
    def fraction(self) -> float | None:
        """The part of a GPU's memory that its tensors may hold; None: no bound."""
        return self.cap_mib / self.gpu_mib if self.cap_mib and self.gpu_mib else None


class Looping(Protocol):
    """What a train function that loops over chunks asks of the plan of the epoch it is in."""

    def is_compiled(self) -> bool:
        """Whether the loop is to be compiled."""

    def cannot_be_compiled(self) -> None:
        """Told where the compiler turned out not to be able to: from there on it is not."""


# Modules of Keras's that use TensorFlow only to look whether something is TensorFlow's, or to seed
# it. Asked whether it is there, Keras imports it, which takes 3 s and 300 MB a process.
ASKING = ("keras.src.saving.serialization_lib", "keras.src.utils.rng_utils")


class _IfImported:
    """What Keras asks of TensorFlow, which is there once something else has imported it."""

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs

    @property
    def available(self) -> bool:
        return sys.modules.get("tensorflow") is not None and bool(self._theirs.available)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._theirs, name)


def spare_other_backends() -> None:
    """Keep Keras from importing TensorFlow in this process only to see whether it is there.

    A layer that needs it, and a search space that imports it, find it as ever.
    """
    for module in map(import_module, ASKING):
        if not isinstance(module.tf, _IfImported):
            module.tf = _IfImported(module.tf)  # type: ignore[attr-defined]


@contextmanager
def without_other_backends() -> Iterator[None]:
    """Do the same for a while, in a process that is a caller's."""
    theirs = {module: module.tf for module in map(import_module, ASKING)}
    spare_other_backends()
    try:
        yield
    finally:
        for module, tensorflow in theirs.items():
            module.tf = tensorflow  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Backend:
    """One of Keras's backends."""

    name: str

    title: ClassVar[str] = ""  # as a person writes it
    plans: ClassVar[tuple[PlanName, ...]] = ("plain",)  # those that it can carry out
    # those that are tried on a GPU before a search, beside Keras's own way
    plans_to_measure: ClassVar[tuple[PlanName, ...]] = ()
    trains_several: ClassVar[bool] = False  # whether several models may be one program of it
    data_parallel: ClassVar[bool] = (
        False  # whether Keras trains one model on several of its devices
    )
    steps_per_call: ClassVar[int] = 1  # that Keras's own train function had better run
    copies_arrays: ClassVar[bool] = False  # whether Keras's `fit` holds a copy of its arrays
    # whether the steps of a few examples are done sooner without compiling them
    checks_eagerly: ClassVar[bool] = True
    writes_hparams: ClassVar[bool] = False  # whether TensorBoard's HParams can be written with it

    # Before it is imported.

    def seldom_used(self, module: str) -> bool:
        """Whether a module of it is seldom used, and imports packages installed for other ends."""
        return False

    def dispensable_in(self, module: str) -> bool:
        """Whether a module of Keras's imports it where it is installed, and does without it."""
        return False

    def quiet(self) -> None:
        """Set what keeps it from printing, in whatever process it may be imported."""

    def confine(self, share: Share) -> None:
        """Keep it to its share of the GPUs and of the first one's memory, wherever it is imported.

        A search space may import another backend than Keras's.
        """

    def prepare(self, share: Share) -> None:
        """Set what it reads when Keras imports it as the backend of this process."""

    # The process that computes with it.

    def claim(self, share: Share) -> bool:
        """Limit it to a share of the machine, before its first operation.

        Returns:
            Whether it sees a GPU; True also where there is none to be seen.
        """
        return True

    def peak_bytes(self) -> int:
        """Most memory that its tensors have held of the first GPU; 0 where that is not told."""
        return 0

    def on_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return False

    def set_random_seed(self, seed: int) -> None:
        """Do what Keras's function of this name does, without importing TensorFlow to seed it."""
        import keras

        with without_other_backends():
            keras.utils.set_random_seed(seed)

    def random_seed(self) -> int | None:
        """The seed that Keras was last given in this thread; None if it was given none."""
        from keras.src.utils.rng_utils import get_random_seed

        seed: int | None = get_random_seed()
        return seed

    def random_state(self) -> tuple[Any, ...]:
        """The state of all generators of random numbers that a process has one of."""
        import numpy as np

        return random.getstate(), np.random.get_state()

    def set_random_state(self, state: tuple[Any, ...]) -> None:
        """Set what `random_state` returned."""
        import numpy as np

        random.setstate(state[0])
        np.random.set_state(state[1])

    def seed_layers(self, seed: int) -> None:
        """Seed what its layers draw from beside Keras's own seed generators."""

    def runs_functions_eagerly(self) -> bool:
        """Whether it was told to run functions as Python code, as one does to debug."""
        return False

    def run_functions_eagerly(self, eagerly: bool) -> None:
        """Tell it so, or not to."""

    # One model on several devices.

    def on_devices(
        self, devices: list[str]
    ) -> AbstractContextManager[Callable[[], AbstractContextManager[Any]]]:
        """Train on these devices what is built inside; asked only of what is `data_parallel`.

        Yields what a model, its optimizer and their variables are to be made in.
        """
        raise NotImplementedError

    def devices_of(self, model: Any) -> int:
        """On how many devices a model trains."""
        import keras

        distribution = keras.distribution.distribution()
        return 1 if distribution is None else int(distribution.num_model_replicas)

    # How a `fit` is fed and carried out.

    def shuffled(
        self, parts: list[Any], chunks: "Chunks", order: "Ordered", *, looped: bool, devices: int
    ) -> Any:
        """Batches for `fit`, shuffled anew in each epoch by the order's seed and epoch.

        Args:
            parts: arrays of n examples each.
            chunks: how they are grouped, if `looped`: the train function takes them apart.
            order: what says the seed and the epoch.
            looped: hand over chunks, and batches of what is left.
            devices: what each batch is dealt out to.
        """
        from pipeline.worker.backends.batches import Chunks, OrderedBatches

        return OrderedBatches(parts, chunks if looped else Chunks(0, 0, chunks.batch_size), order)

    def in_order(self, parts: list[Any], batch_size: int) -> Any | None:
        """Batches as the arrays have them; None: Keras is to be given the arrays as they are."""
        return None

    def train_function(
        self, model: Any, parts: list[Any], chunks: "Chunks", looping: Looping
    ) -> TrainFunction:
        """A train function that loops over a chunk of batches inside its graph.

        Asked only of a backend that has a plan beside "plain".

        Args:
            model: compiled.
            parts: the arrays that it is trained on.
            chunks: how they are grouped.
            looping: the plan of the epoch; looked at with each chunk.
        """
        raise NotImplementedError

    # Several models by one program.

    def together(self, pattern: "Pattern", members: "Sequence[Member]", held: "Held") -> "Program":
        """A program for epochs of models that are alike.

        Asked only of a backend that has the plan "fused".

        Args:
            pattern: the model that it is made of.
            members: the first group that it is to carry out.
            held: the arrays of all programs.
        """
        raise NotImplementedError

    def permutation(self, order: "Ordered", count: int) -> Any:
        """The order in which `shuffled` has `count` examples in an epoch: (count,) integers."""
        from pipeline.worker.backends.batches import permutation

        return permutation(order, count)
