"""What is validated in wider batches has the same scores in batches of any size: each class of the
lists, and nothing that is not on them."""

import keras
import numpy as np
import pytest

from pipeline.worker.fitting.grouping import LAYERS, LOSSES, METRICS, is_free_of_batches

layers, losses, metrics = keras.layers, keras.losses, keras.metrics
COUNT = 19  # examples: the last batch of 4 has 3

VECTOR, SEQUENCE, IMAGE, TOKENS = (6,), (6, 3), (6, 6, 3), (5,)
OF_A_VECTOR = {
    layers.Dense: lambda: layers.Dense(3, "relu"),
    layers.Activation: lambda: layers.Activation("gelu"),
    layers.Reshape: lambda: layers.Reshape((3, 2)),
    layers.RepeatVector: lambda: layers.RepeatVector(2),
    layers.Dropout: lambda: layers.Dropout(0.5),
    layers.AlphaDropout: lambda: layers.AlphaDropout(0.5),
    layers.GaussianDropout: lambda: layers.GaussianDropout(0.5),
    layers.GaussianNoise: lambda: layers.GaussianNoise(0.5),
    layers.GroupNormalization: lambda: layers.GroupNormalization(2),
    layers.Normalization: lambda: layers.Normalization(mean=0.2, variance=2.0),
    layers.Rescaling: lambda: layers.Rescaling(0.5),
    **{
        kind: kind
        for kind in (
            *(layers.Identity, layers.BatchNormalization, layers.LayerNormalization),
            *(layers.UnitNormalization, layers.RMSNormalization, layers.ReLU, layers.LeakyReLU),
            *(layers.PReLU, layers.ELU, layers.Softmax),
        )
    },
}
OF_A_SEQUENCE = {
    layers.Flatten: layers.Flatten,
    layers.Permute: lambda: layers.Permute((2, 1)),
    layers.SpatialDropout1D: lambda: layers.SpatialDropout1D(0.5),
    layers.UpSampling1D: layers.UpSampling1D,
    layers.ZeroPadding1D: layers.ZeroPadding1D,
    layers.Cropping1D: layers.Cropping1D,
    layers.DepthwiseConv1D: lambda: layers.DepthwiseConv1D(2),
    layers.AveragePooling1D: lambda: layers.AveragePooling1D(2),
    **{
        kind: lambda kind=kind: kind(2, 2)
        for kind in (layers.Conv1D, layers.Conv1DTranspose, layers.SeparableConv1D)
    },
    **{
        kind: kind
        for kind in (
            *(layers.MaxPooling1D,),
            *(layers.GlobalMaxPooling1D, layers.GlobalAveragePooling1D),
        )
    },
    **{kind: lambda kind=kind: kind(3) for kind in (layers.LSTM, layers.GRU, layers.SimpleRNN)},
}
OF_AN_IMAGE = {
    layers.SpatialDropout2D: lambda: layers.SpatialDropout2D(0.5),
    layers.DepthwiseConv2D: lambda: layers.DepthwiseConv2D(2),
    layers.AveragePooling2D: lambda: layers.AveragePooling2D(2),
    layers.RandomFlip: layers.RandomFlip,
    layers.RandomTranslation: lambda: layers.RandomTranslation(0.2, 0.2),
    **{
        kind: lambda kind=kind: kind(2, 2)
        for kind in (layers.Conv2D, layers.Conv2DTranspose, layers.SeparableConv2D)
    },
    **{
        kind: lambda kind=kind: kind(0.2)
        for kind in (
            *(layers.RandomRotation, layers.RandomZoom, layers.RandomContrast),
            layers.RandomBrightness,
        )
    },
    **{
        kind: kind
        for kind in (
            *(layers.MaxPooling2D, layers.GlobalMaxPooling2D),
            *(layers.GlobalAveragePooling2D, layers.UpSampling2D, layers.ZeroPadding2D),
            layers.Cropping2D,
        )
    },
}
OF_TOKENS = {layers.Embedding: lambda: layers.Embedding(10, 3)}
OF_TWO = {
    kind: kind
    for kind in (
        *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum),
        *(layers.Minimum, layers.Concatenate),
    )
}
BY_SHAPE = {
    VECTOR: OF_A_VECTOR,
    SEQUENCE: OF_A_SEQUENCE,
    IMAGE: OF_AN_IMAGE,
    TOKENS: OF_TOKENS,
}


def around(made, shape):
    """A model that has an output of one number for each layer, named as its class."""
    keras.utils.set_random_seed(0)
    given = keras.Input(shape)
    outputs = {
        kind.__name__: layers.Dense(1, name=kind.__name__)(layers.Flatten()(make()(given)))
        for kind, make in made.items()
    }
    model = keras.Model(given, outputs)
    model.compile("sgd", dict.fromkeys(outputs, "mse"), run_eagerly=True)
    return model


def inputs(shape, seed=0):
    rng = np.random.default_rng(seed)
    if shape == TOKENS:
        return rng.integers(0, 10, (COUNT, *shape))
    return rng.random((COUNT, *shape), "float32")


def scores(model, x, y, batch_size):
    return model.evaluate(x, y, batch_size=batch_size, verbose=0, return_dict=True)


def assert_same_in_any_batches(model, x, y):
    assert is_free_of_batches(model)
    one, other = (scores(model, x, y, size) for size in (4, COUNT))
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=2e-6, atol=5e-7, err_msg=name)


def test_each_layer_of_the_list_is_tested():
    tested = {kind for table in (*BY_SHAPE.values(), OF_TWO) for kind in table}
    assert tested | {layers.InputLayer} == LAYERS


@pytest.mark.parametrize("shape", BY_SHAPE, ids=str)
def test_a_layer_treats_each_example_by_itself(shape):
    model = around(BY_SHAPE[shape], shape)
    y = np.random.default_rng(1).random((COUNT, 1), "float32")
    assert_same_in_any_batches(model, inputs(shape), dict.fromkeys(model.output_names, y))


def test_so_does_a_layer_that_joins_two():
    joining = {
        kind: lambda kind=kind: lambda x: kind()([layers.Dense(3)(x), layers.Dense(3)(x)])
        for kind in OF_TWO
    }
    model = around(joining, VECTOR)
    y = dict.fromkeys(model.output_names, inputs((1,), 1))
    assert_same_in_any_batches(model, inputs(VECTOR), y)


def targets(shape):
    """Of one column: yes or no; of several: one of them; else the number of a class."""
    chosen = np.random.default_rng(2).integers(0, 2 if shape == 1 else 3, COUNT)
    if shape == 1:
        return chosen[:, None].astype("float32")
    return np.eye(3, dtype="float32")[chosen] if shape == 3 else chosen


SPARSE = 0
TARGETS_OF = {
    losses.CategoricalCrossentropy: 3,
    losses.CategoricalFocalCrossentropy: 3,
    losses.CategoricalHinge: 3,
    losses.KLDivergence: 3,
    losses.SparseCategoricalCrossentropy: SPARSE,
    metrics.CategoricalAccuracy: 3,
    metrics.CategoricalCrossentropy: 3,
    metrics.CategoricalHinge: 3,
    metrics.KLDivergence: 3,
    metrics.TopKCategoricalAccuracy: 3,
    metrics.SparseCategoricalAccuracy: SPARSE,
    metrics.SparseCategoricalCrossentropy: SPARSE,
    metrics.SparseTopKCategoricalAccuracy: SPARSE,
    metrics.IoU: SPARSE,
    metrics.MeanIoU: SPARSE,
    metrics.OneHotIoU: 3,
    metrics.OneHotMeanIoU: 3,
}
ARGUMENTS = {
    metrics.TopKCategoricalAccuracy: {"k": 2},
    metrics.SparseTopKCategoricalAccuracy: {"k": 2},
    metrics.PrecisionAtRecall: {"recall": 0.5},
    metrics.RecallAtPrecision: {"precision": 0.5},
    metrics.SensitivityAtSpecificity: {"specificity": 0.5},
    metrics.SpecificityAtSensitivity: {"sensitivity": 0.5},
    metrics.IoU: {"num_classes": 3, "target_class_ids": [0, 2], "sparse_y_pred": False},
    metrics.MeanIoU: {"num_classes": 3, "sparse_y_pred": False},
    metrics.OneHotIoU: {"num_classes": 3, "target_class_ids": [0, 2]},
    metrics.OneHotMeanIoU: {"num_classes": 3},
    metrics.BinaryIoU: {"target_class_ids": [0, 1], "threshold": 0.5},
}


def of_targets(listed, shape):
    """Those of a list that are of such targets."""
    return [kind for kind in sorted(listed, key=str) if TARGETS_OF.get(kind, 1) == shape]


def last(shape, name=None):
    return layers.Dense(1 if shape == 1 else 3, "sigmoid" if shape == 1 else "softmax", name=name)


@pytest.mark.parametrize("shape", [1, 3, SPARSE])
def test_a_loss_is_a_mean_of_the_examples(shape):
    keras.utils.set_random_seed(0)
    given = keras.Input(VECTOR)
    of_each = {kind.__name__: kind() for kind in of_targets(LOSSES, shape)}
    model = keras.Model(given, {name: last(shape, name)(given) for name in of_each})
    model.compile("sgd", of_each, run_eagerly=True)
    y = dict.fromkeys(of_each, targets(shape))
    assert of_each and model.built
    assert_same_in_any_batches(model, inputs(VECTOR), y)


@pytest.mark.parametrize("shape", [1, 3, SPARSE])
def test_a_metric_counts_examples(shape):
    keras.utils.set_random_seed(0)
    made = [kind(**ARGUMENTS.get(kind, {})) for kind in of_targets(METRICS, shape)]
    if shape == 3:
        made += [
            metrics.F1Score(average, name=f"f1_{average}")
            for average in (None, "micro", "macro", "weighted")
        ]
    model = keras.Sequential([keras.Input(VECTOR), last(shape)])
    loss = "mse" if shape else "sparse_categorical_crossentropy"
    model.compile("sgd", loss, metrics=made, weighted_metrics=[], run_eagerly=True)
    assert_same_in_any_batches(model, inputs(VECTOR), targets(shape))


def f1(y, p):
    ops = keras.ops
    hit = ops.sum(y * ops.round(p))
    return 2 * hit / (ops.sum(y) + ops.sum(ops.round(p)) + 1e-7)


class Own(layers.Dense):
    pass


class OwnModel(keras.Sequential):
    pass


def of(*parts, loss="mse", measured=(), kind=keras.Sequential, shape=VECTOR):
    made = kind([keras.Input(shape), *parts])
    made.compile("sgd", loss, metrics=list(measured))
    return made


def functional(apply):
    given = keras.Input(VECTOR)
    made = keras.Model(given, apply(layers.Dense(3)(given)))
    made.compile("sgd", "mse")
    return made


def with_own(name):
    made = of(layers.Dense(1))
    object.__setattr__(made, name, getattr(made, name))
    return made


NOT_LISTED = {
    "a metric function of one's own": lambda: of(layers.Dense(1), measured=[f1]),
    "a loss of one's own": lambda: of(layers.Dense(1), loss=lambda y, p: (y - p) ** 2),
    "a loss over the whole batch": lambda: of(layers.Dense(1), loss="dice"),
    "a sum in place of a mean": lambda: of(
        layers.Dense(1), loss=losses.MeanSquaredError(reduction="sum")
    ),
    "classes that are left out": lambda: of(
        layers.Dense(3, "softmax"), loss=losses.SparseCategoricalCrossentropy(ignore_class=0)
    ),
    "a loss that looks at all labels": lambda: of(layers.Dense(1), loss="hinge"),
    "a metric that looks at all labels": lambda: of(layers.Dense(1), measured=["squared_hinge"]),
    "an activation that is a layer": lambda: of(layers.Dense(3, layers.Softmax(axis=0))),
    "an operation as activation": lambda: of(layers.Dense(3, keras.ops.flip)),
    "a metric of 16 bits": lambda: of(
        layers.Dense(1), measured=[metrics.MeanAbsoluteError(dtype="float16")]
    ),
    "a metric that is not listed": lambda: of(layers.Dense(1), measured=["cosine_similarity"]),
    "a layer of one's own": lambda: of(Own(1)),
    "an activation of one's own": lambda: of(layers.Dense(1, lambda x: x)),
    "a regularizer of activity": lambda: of(layers.Dense(1, activity_regularizer="l2")),
    "a model of one's own": lambda: of(layers.Dense(1), kind=OwnModel),
    "a model inside": lambda: of(OwnModel([layers.Dense(1)])),
    "a test step of the instance's": lambda: with_own("test_step"),
    "an operation": lambda: functional(lambda out: out + keras.ops.mean(out, 0, keepdims=True)),
    "training in inference": lambda: functional(
        lambda out: layers.BatchNormalization()(out, training=True)
    ),
    "an axis that is the batch's": lambda: functional(layers.Softmax(axis=0)),
    "a mask": lambda: of(layers.Embedding(9, 3, mask_zero=True), layers.LSTM(2), shape=TOKENS),
    "a state": lambda: fixed_batch(layers.LSTM(2, stateful=True)),
    "a fixed batch": lambda: fixed_batch(layers.LSTM(2)),
    "not built": lambda: unbuilt(),
}


def fixed_batch(layer):
    made = keras.Sequential([keras.Input(batch_shape=(4, *SEQUENCE)), layer])
    made.compile("sgd", "mse")
    return made


def unbuilt():
    made = keras.Sequential([layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


@pytest.mark.parametrize("make", NOT_LISTED.values(), ids=NOT_LISTED)
def test_whatever_else_a_model_has_is_validated_as_fit_does(make):
    assert not is_free_of_batches(make())


def test_sums_of_16_bits_are_not_made_of_other_batches():
    keras.config.set_floatx("bfloat16")
    try:
        assert not is_free_of_batches(of(layers.Dense(1)))
    finally:
        keras.config.set_floatx("float32")


def test_models_inside_models_and_several_outputs_are_looked_through():
    given = keras.Input(VECTOR)
    inner = keras.Sequential([keras.Input(VECTOR), layers.Dense(3), layers.BatchNormalization()])
    out = inner(given)
    made = keras.Model(given, {"a": layers.Dense(1)(out), "b": layers.Dense(1)(out)})
    made.compile("sgd", {"a": "mse", "b": "mae"}, metrics={"a": ["mae"], "b": ["mse"]})
    assert is_free_of_batches(made)
