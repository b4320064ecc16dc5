"""Which scores are the same however the examples are grouped into batches.

Validation in wider batches than training's is faster, and must not be seen in the numbers. A layer,
loss or metric may look at a batch as a whole: a metric function that returns one number a batch, a
loss whose mean leaves masked steps out, a layer with a fixed batch. So wider batches are for what
the lists below name, classes of Keras's own of which a test has shown that the batch does not
matter; whatever is not named is validated as `fit` alone would do it.
"""

import inspect
from typing import Any

import keras

layers, losses, metrics = keras.layers, keras.losses, keras.metrics

LAYERS = frozenset(
    {
        layers.InputLayer,
        *(layers.Dense, layers.Embedding, layers.Activation, layers.Identity),
        *(layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector),
        *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.AlphaDropout),
        *(layers.GaussianDropout, layers.GaussianNoise),
        *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization),
        *(layers.UnitNormalization, layers.RMSNormalization, layers.Normalization),
        layers.Rescaling,
        *(layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax),
        *(layers.Conv1D, layers.Conv2D, layers.Conv1DTranspose, layers.Conv2DTranspose),
        *(layers.DepthwiseConv1D, layers.DepthwiseConv2D),
        *(layers.SeparableConv1D, layers.SeparableConv2D),
        *(layers.MaxPooling1D, layers.MaxPooling2D, layers.AveragePooling1D),
        *(layers.AveragePooling2D, layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D),
        *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D),
        *(layers.UpSampling1D, layers.UpSampling2D, layers.ZeroPadding1D, layers.ZeroPadding2D),
        *(layers.Cropping1D, layers.Cropping2D),
        *(layers.RandomFlip, layers.RandomRotation, layers.RandomTranslation, layers.RandomZoom),
        *(layers.RandomContrast, layers.RandomBrightness),
        *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum),
        *(layers.Minimum, layers.Concatenate),
        *(layers.LSTM, layers.GRU, layers.SimpleRNN),
    }
)
LOSSES = frozenset(
    {
        *(losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy),
        *(losses.CategoricalCrossentropy, losses.CategoricalFocalCrossentropy),
        losses.SparseCategoricalCrossentropy,
        *(losses.MeanSquaredError, losses.MeanAbsoluteError, losses.MeanAbsolutePercentageError),
        *(losses.MeanSquaredLogarithmicError, losses.Huber, losses.LogCosh, losses.Poisson),
        *(losses.KLDivergence, losses.CategoricalHinge),
    }
)
METRICS = frozenset(
    {
        *(metrics.Accuracy, metrics.BinaryAccuracy, metrics.CategoricalAccuracy),
        *(metrics.SparseCategoricalAccuracy, metrics.TopKCategoricalAccuracy),
        metrics.SparseTopKCategoricalAccuracy,
        *(metrics.BinaryCrossentropy, metrics.CategoricalCrossentropy),
        metrics.SparseCategoricalCrossentropy,
        *(metrics.MeanSquaredError, metrics.RootMeanSquaredError, metrics.MeanAbsoluteError),
        *(metrics.MeanAbsolutePercentageError, metrics.MeanSquaredLogarithmicError),
        *(metrics.LogCoshError, metrics.Poisson, metrics.KLDivergence, metrics.R2Score),
        metrics.CategoricalHinge,
        *(metrics.AUC, metrics.Precision, metrics.Recall, metrics.PrecisionAtRecall),
        *(metrics.RecallAtPrecision, metrics.SensitivityAtSpecificity),
        metrics.SpecificityAtSensitivity,
        *(metrics.TruePositives, metrics.TrueNegatives),
        *(metrics.FalsePositives, metrics.FalseNegatives),
        *(metrics.F1Score, metrics.FBetaScore),
        *(metrics.IoU, metrics.MeanIoU, metrics.OneHotIoU, metrics.OneHotMeanIoU),
        metrics.BinaryIoU,
    }
)
# By these names Keras takes one of those, as the model's output needs it.
BY_OUTPUT = frozenset({"accuracy", "acc", "crossentropy", "ce"})
# What computes a listed class, where a function is given: `keras.losses.mean_squared_error`.
FUNCTIONS = frozenset(loss().fn for loss in LOSSES)
ACTIVATIONS = frozenset(f for f in vars(keras.activations).values() if inspect.isfunction(f))
# A sum of these stalls, the sooner the smaller its parts.
SIXTEEN_BITS = frozenset({"float16", "bfloat16"})
REDUCTION = "sum_over_batch_size"
OVERRIDDEN = ("call", "compute_loss", "compute_metrics", "evaluate", "test_step")


def is_free_of_batches(model: Any) -> bool:
    """Whether a compiled model has the same scores on unweighted examples in whatever batches."""
    compiled = getattr(model, "_compile_config", None)
    if compiled is None or not model.built or keras.config.floatx() in SIXTEEN_BITS:
        return False
    if not _layer_is(model):
        return False
    arguments = compiled.config
    return all(_loss_is(loss) for loss in _each(arguments.get("loss"))) and all(
        _metric_is(metric)
        for name in ("metrics", "weighted_metrics")
        for metric in _each(arguments.get(name))
    )


def _each(given: Any) -> list[Any]:
    return [one for one in keras.tree.flatten(given) if one is not None]


def _layer_is(layer: Any) -> bool:
    """Whether a layer, or each of a model, treats each example by itself."""
    if any(name in vars(layer) for name in OVERRIDDEN):
        return False
    if isinstance(layer, keras.Sequential):
        known, parts = type(layer) is keras.Sequential, layer.layers
    elif isinstance(layer, keras.Model):
        known, parts = type(layer) is FUNCTIONAL, getattr(layer, "operations", [])
    else:
        known, parts = type(layer) in LAYERS and _settings_are(layer), []
    return (
        known
        and all(_call_is(layer, n) for n in layer._inbound_nodes)
        and all(map(_layer_is, parts))
    )


FUNCTIONAL = type(keras.Model(*[keras.Input((1,))] * 2))


def _settings_are(layer: Any) -> bool:
    """Whether nothing that a layer was given looks along the batch, or at all of its examples."""
    functions = (getattr(layer, n, None) for n in ("activation", "recurrent_activation"))
    return (
        all(function is None or function in ACTIVATIONS for function in functions)
        and getattr(layer, "activity_regularizer", None) is None
        and not getattr(layer, "mask_zero", False)
        and not getattr(layer, "stateful", False)
        and all(axis == -1 or axis > 0 for axis in _each(getattr(layer, "axis", None)))
    )


def _call_is(layer: Any, node: Any) -> bool:
    """Whether a layer was called as it is by itself, on batches of any size, and gave such."""
    asked = node.arguments.kwargs.get("training")
    default = inspect.signature(layer.call).parameters.get("training")
    shapes = [tensor.shape for tensor in [*node.input_tensors, *_each(node.outputs)]]
    return (not asked or asked == getattr(default, "default", None)) and all(
        len(shape) > 1 and shape[0] is None for shape in shapes
    )


def _loss_is(loss: Any) -> bool:
    if isinstance(loss, str) and loss not in BY_OUTPUT:
        loss = _got(keras.losses.get, loss)
    if isinstance(loss, keras.losses.Loss):
        return (
            type(loss) in LOSSES
            and loss.reduction == REDUCTION
            and loss.get_config().get("ignore_class") is None  # the mean is of the others
            and loss.get_config().get("axis", -1) == -1
        )
    return loss in (BY_OUTPUT if isinstance(loss, str) else FUNCTIONS)


def _metric_is(metric: Any) -> bool:
    if isinstance(metric, str) and metric not in BY_OUTPUT:
        metric = _got(keras.metrics.get, metric)
    if isinstance(metric, keras.metrics.Metric):
        along = metric.get_config().get("axis", -1)
        return type(metric) in METRICS and along == -1 and str(metric.dtype) not in SIXTEEN_BITS
    return metric in (BY_OUTPUT if isinstance(metric, str) else FUNCTIONS)


def _got(get: Any, name: str) -> Any:
    """What Keras knows by a name; nothing where it knows none, which it says itself."""
    try:
        return get(name)
    except ValueError:
        return None
