"""AutoKeras's blocks as a search space: how deep, how wide, with batch normalisation or without.

AutoKeras is not installed with this project, and no test runs this file; it was run by hand with
AutoKeras 3.0.0 (`pip install autokeras`).

Run: python -m pipeline.run diabetes --search-space examples/autokeras_blocks.py
"""

import autokeras
import keras
from autokeras.graph import Graph


def build(hp, data):
    """Return AutoKeras's model for a table or pictures, compiled."""
    keras.backend.clear_session()  # AutoKeras names hyperparameters by how many blocks there were
    source = autokeras.Input(shape=data.shape)
    source.dtype, source.batch_size = data.dtype, 32
    block = autokeras.DenseBlock if len(data.shape) == 1 else autokeras.ImageBlock
    if data.task == "regression":
        head = autokeras.RegressionHead(output_dim=(data.target_shape or (1,))[0])
    else:
        head = autokeras.ClassificationHead(num_classes=data.classes)
    head.shape = (1,) if data.classes in (None, 2) else (data.classes,)
    graph = Graph(inputs=source, outputs=head(block()(source)))
    graph.epochs, graph.num_samples = 10, len(data.y_train)
    model = graph.build(hp)
    if (data.classes or 0) > 2 and not data.target_shape:  # it expects one-hot labels
        model.compile(model.optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
