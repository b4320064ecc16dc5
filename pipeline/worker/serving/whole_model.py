"""A model behind the layers that prepare its inputs, so that its file takes them as they are."""

from typing import Any

import keras
from keras import ops

from pipeline.data.fit_data import Data
from pipeline.data.tables.preparation import Preparation
from pipeline.data.tables.table_dataset import TableDataset


def whole_model(model: Any, data: Data) -> Any:
    """The model that is saved: of a table one that takes input rows, else the model itself."""
    return prepared(model, data.preparation) if isinstance(data, TableDataset) else model


def prepared(model: Any, preparation: Preparation) -> Any:
    """A model of input rows `(batch, preparation.width)`, compiled as `model` is.

    Its first layers do what `Preparation.features` does; they are Keras's own, so that the file
    opens where this package is not installed. `model` becomes a part of it, and is compiled no
    longer: else the file would hold its optimizer twice.
    """
    row = keras.Input((preparation.width,), name="row")
    whole = keras.Model(row, model(_features(row, preparation)), name=model.name)
    if model.compiled:
        # Keras keeps what `compile` was called with; its public form cannot name a user's function
        whole.compile(**model._compile_config.config)
        model.compiled, model.optimizer = False, None
    return whole


def _features(row: Any, preparation: Preparation) -> Any:
    scale, offset = preparation.scaling
    count = len(scale)
    # float32, whatever the policy: what half precision cannot hold is lost before it is scaled
    parts = []
    if count:
        numbers = row[:, :count]
        # not Normalization, whose constants tf2onnx takes for inputs (Keras 3.15, tf2onnx 1.17)
        scaled = keras.layers.Rescaling(
            scale.tolist(), offset.tolist(), dtype="float32", name="scaled"
        )(numbers)
        parts.append(ops.nan_to_num(scaled, nan=0.0))
        if preparation.telling_missing:
            missing = ops.isnan(numbers[:, : preparation.telling_missing])
            parts.append(ops.cast(missing, "float32"))
    if preparation.codes:
        codes = ops.cast(row[:, count:], "int32")
        # one place more than there are codes, for what is none of them, and that is cut off
        hot = ops.sum(ops.one_hot(codes, preparation.codes + 1), axis=1)
        parts.append(hot[:, : preparation.codes])
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)
