"""What the sides of a benchmark train: a dataset and a search space, named as our command takes
them.

By default MNIST and the space of KerasTuner's example. Anything else is measured by
`--dataset NAME_OR_FILE --search-space NAME_OR_FILE`, and recorded under names of its own.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.names import find, lasting

SPACE = ROOT / "benchmarks" / "example_space.py"


def options(description, *, dataset="mnist", search_space=SPACE):
    """A parser that knows `--dataset`, `--search-space` and `--seed`."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--dataset", type=lasting, default=dataset)
    if search_space:
        arguments.add_argument("--search-space", type=lasting, default=str(search_space))
    arguments.add_argument("--seed", type=int, default=0, help="of the split, and of what is drawn")
    return arguments


def label(asked):
    """What tells a record of another subject from that of the default one: '' for the default."""
    named = {"dataset": asked.dataset, "search space": getattr(asked, "search_space", str(SPACE))}
    words = [
        find(kind, name).label for kind, name in named.items() if name not in ("mnist", str(SPACE))
    ]
    return "".join(f"-{word}" for word in words)


def load_data(name, seed):
    """The dataset, which must be one of classes."""
    from pipeline.worker.spaces.loading import load_dataset

    data = load_dataset(find("dataset", name), seed)
    if getattr(data, "task", None) != "classification":
        raise SystemExit(
            "--dataset must be a Dataset for classification, of which accuracies are compared; "
            f"got {name}."
        )
    return data


def load_space(name):
    """The search space: `build(hp, data)`, and `fit(hp, model, *args, **kwargs)` or None."""
    from pipeline.worker.spaces.loading import load_search_space

    return load_search_space(find("search space", name))


def drawn(space, data, rng):
    """What a space requests, in `build` and then in `fit`, each at random; and the size of its
    batches.

    Nothing is trained: the model's own `fit` is one that returns a history of zeros.
    """
    import keras

    from pipeline.space.hyperparameters import HyperParameters

    hp, sizes = HyperParameters({}, lambda spec: spec.random(rng)), []
    model = space.build(hp, data)

    def untrained(x=None, y=None, batch_size=None, *args, **kwargs):
        sizes.append(batch_size or 32)  # Keras's own, where nothing is said
        history = keras.callbacks.History()
        history.history = defaultdict(lambda: [0.0])
        return history

    object.__setattr__(model, "fit", untrained)
    fitted(
        space,
        hp,
        model,
        data.x_train,
        data.y_train,
        validation_data=(data.x_val, data.y_val),
        epochs=1,
        verbose=0,
        callbacks=[],
    )
    return hp.requested, sizes[0] if sizes else 32


def fitted(space, hp, model, *args, **kwargs):
    """Train as the space does."""
    return space.fit(hp, model, *args, **kwargs) if space.fit else model.fit(*args, **kwargs)
