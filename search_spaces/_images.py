"""What the image families share: the check of the dataset, augmentation, normalisation, pooling."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from pipeline.data import Dataset
from pipeline.errors import RequestError

POOLINGS = {"average": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}

# Of full strength: about what an image's class survives, a handwritten digit's too.
TRANSLATION = 0.2  # of height and width
ROTATION = 30 / 360  # of a turn; a 6 becomes a 9 at half a turn
ZOOM = 0.2  # of the size
CONTRAST = 0.5  # of the distance of each pixel from the image's mean


def check(family: str, data: Dataset) -> None:
    """Check that examples are images.

    Raises:
        RequestError: an example is no image of three axes.
    """
    if len(data.shape) != 3:
        raise RequestError(
            f"Search space {family!r} needs images of shape (height, width, channels); dataset "
            f"{data.name!r} has examples of shape {data.shape}. Search space 'mlp' takes any shape."
        )


def augmentation(hp: Any, data: Dataset) -> list[Callable[..., Any]]:
    """Return layers that vary training images at random, or none.

    `hp` decides, and tunes the strength if so.

    They move, turn, scale and change the contrast, all at one strength, as RandAugment does. None
    of them flips: a mirrored digit or letter is another one or none, and nothing in the arrays says
    whether a class survives it. At inference images pass unchanged, so the layers stay in the model
    that is saved. On MNIST they add 4 s of CPU time to an epoch.

    Source: Cubuk, Zoph, Shlens and Le, "RandAugment: Practical automated data augmentation with a
    reduced search space", NeurIPS 2020.
    """
    if not hp.Boolean("augmentation"):
        return []
    strength = hp.Float("augmentation_strength", 0.1, 1.0, step=0.1, default=0.5)
    translation, rotation, zoom, contrast = (
        strength * full for full in (TRANSLATION, ROTATION, ZOOM, CONTRAST)
    )
    low, high = (0.0, 1.0) if data.dtype == "uint8" else data.range
    # What comes into view continues the border: black is background in some datasets only.
    border = {"fill_mode": "nearest"}
    layers = [
        keras.layers.RandomTranslation(translation, translation, **border),
        keras.layers.RandomRotation(rotation, **border),
        keras.layers.RandomZoom(zoom, **border),
        # A pair: of a single number Keras 3.15 makes the factors 1 to 1 + contrast, none below 1.
        keras.layers.RandomContrast((contrast, contrast), value_range=(low, high)),
    ]
    # They would also be active where nobody says whether it is training, as in `model(x)`: for
    # these layers, and no others, Keras takes that for a yes. What is said here is what then holds;
    # `fit` says yes.
    return [partial(layer, training=False) for layer in layers]


def batch_normalisation() -> keras.layers.BatchNormalization:
    """Return a batch normalisation whose moving averages follow within an epoch of 34 steps.

    Schedulers judge the first epochs. At 0.9 four default `xception` models validated at 0.10 to
    0.25 after the first, at 0.8 six at 0.88 to 0.95; after ten they were alike. Keras's 0.99 needs
    some 500 steps.
    """
    return keras.layers.BatchNormalization(momentum=0.8)


def is_large(data: Dataset) -> bool:
    """Whether images are of a size for which the papers' first layers are made.

    224 pixels a side, not MNIST's 28.
    """
    return min(data.shape[:2]) >= 64


def stem_strides(hp: Any, data: Dataset) -> int:
    """Return the strides of the first convolution: 2 for large images, tuned for small ones.

    By default 2 from 16 pixels a side on: it makes an epoch of MNIST four times cheaper, and leaves
    of the digits' 8 pixels too few.
    """
    if is_large(data):
        return 2
    return hp.Choice("stem_strides", [1, 2], default=2 if min(data.shape[:2]) >= 16 else 1)


def pooling(hp: Any) -> keras.Layer:
    """Return the layer that makes of each feature map one number."""
    return POOLINGS[hp.Choice("pooling", list(POOLINGS))]()


def dropout(hp: Any, default: float) -> list[keras.Layer]:
    """Return the dropout that `hp` chooses; none at a rate of zero."""
    rate = hp.Float("dropout", 0.0, 0.5, step=0.1, default=default)
    return [keras.layers.Dropout(rate)] if rate > 0 else []
