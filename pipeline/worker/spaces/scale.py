"""Whether inputs far from unit scale reach the layers that learn, which hardly do so then."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from pipeline.data.fit_data import Data, FitData
from pipeline.worker.fitting.arrays import are_arrays

# A mean or a standard deviation: initial weights are made for 1. The pixels of scikit-learn's
# digits, up to 16, are below it; pixels up to 255, prices and years are above.
FAR = 20.0
EXAMPLES = 256
MOST_NAMED = 3  # columns
NORMALISING = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.UnitNormalization,
)
REMEDY = (
    "scale them: a keras.layers.Normalization in build, Dataset.split(standardise=True), or "
    "pipeline.table, which does"
)


def unscaled(model: Any, data: Data) -> list[str]:
    """A line on inputs that nothing scales; none where they are near unit scale, or not known.

    The model is called with training examples up to the first layer that has weights, so that
    whatever comes before it, layers or a `call` of the user's own, has done its work. A layer that
    normalises what that one gives makes up for it.
    """
    if isinstance(data, FitData) and data.parts:  # batches that are made: to look costs some
        return []
    try:
        arguments, _ = data.sample(EXAMPLES).fit_arguments()
        x = arguments[0] if arguments else None
        if not are_arrays(keras.tree.flatten(x)):
            return []
        with _stopped_at_weights(model) as reached:
            model(x, training=True)
    except _Reached:
        layer, given = reached[0]
        return _far(layer, given, x) if layer.trainable and not _made_up_for(model, layer) else []
    except Exception:  # a model of the user's own may be called otherwise
        return []
    return []


class _Reached(BaseException):
    """The first layer with weights is called: no error, so that nothing on the way catches it."""


@contextmanager
def _stopped_at_weights(model: Any) -> Iterator[list[tuple[Any, Any]]]:
    """Within it the first layer with weights that is called ends the call; it and its inputs."""
    reached: list[tuple[Any, Any]] = []
    layers = [layer for layer in model._flatten_layers(include_self=False) if _learns(layer)]

    def stop(layer: Any) -> Any:
        def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            reached.append((layer, inputs))
            raise _Reached

        return call

    for layer in layers:  # not by setattr: Keras tracks what is assigned to a layer
        object.__setattr__(layer, "call", stop(layer))
    try:
        yield reached
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def _learns(layer: Any) -> bool:
    """Whether it is a layer of Keras's own that multiplies its inputs by weights."""
    own = type(layer).__module__.startswith("keras.")
    others = (keras.Model, keras.layers.Embedding, *NORMALISING)
    return own and bool(layer.weights) and not isinstance(layer, others)


def _made_up_for(model: Any, layer: Any) -> bool:
    """Whether what the layer gives is normalised: by one of the next two, as one may activate."""
    layers = list(model._flatten_layers(include_self=False))
    place = next(i for i, other in enumerate(layers) if other is layer)
    return any(isinstance(other, NORMALISING) for other in layers[place + 1 : place + 3])


def _far(layer: Any, given: Any, x: Any) -> list[str]:
    values = np.asarray(keras.ops.convert_to_numpy(given), np.float64)
    columns = values.ndim == 2 and np.shape(x) == values.shape
    rows = values.reshape(len(values), -1)
    if not np.isfinite(rows).all():
        return []
    means, stds = abs(rows.mean(axis=0)), rows.std(axis=0)
    far = np.flatnonzero((means > FAR) | (stds > FAR))
    if not len(far):
        return []
    if not columns:
        what = f"inputs between {rows.min():.4g} and {rows.max():.4g} reach"
    else:
        order = far[np.argsort(-np.maximum(means, stds)[far], kind="stable")]
        named = ", ".join(
            f"{k} (mean {rows[:, k].mean():.4g}, standard deviation {stds[k]:.4g})"
            for k in order[:MOST_NAMED]
        )
        more = f" and {len(far) - MOST_NAMED} more" if len(far) > MOST_NAMED else ""
        what = f"column{'s' * (len(far) > 1)} {named}{more} of the inputs reach"
        what += "es" * (len(far) == 1)
    return [f"{what} layer {layer.name!r} unscaled, and models learn little of such; {REMEDY}"]
