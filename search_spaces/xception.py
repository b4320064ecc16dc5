"""Xception for images.

Separable convolutions with shortcuts, in an entry, a middle and an exit flow.

Expect: test accuracy 0.977 to 0.984 on mnist after 2 epochs, 0.969 to 0.978 on digits after 10,
        over 3 seeds each: the default model of 89,442 weights. An epoch of mnist takes 41 to 72 s
        of CPU time, validation included, one of digits 0.6 to 0.9 s and the first 15 s, on one
        thread of a shared 2-core Intel Xeon at 2.5 GHz
Run:    python -m pipeline.run mnist --search-space xception
Source: Chollet, "Xception: Deep learning with depthwise separable convolutions", CVPR 2017
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from pipeline.data import Dataset

from . import _heads, _images

fit = _heads.fit


def build(hp: Any, data: Dataset) -> keras.Model:
    """Return a compiled classifier or regressor, (batch, *data.shape) -> (batch, outputs).

    `data.shape` is (height, width, channels), of any size: every module of the entry flow and the
    exit flow halve it, rounding up. Pixels should be in [0, 1] or standardised; uint8 images are
    scaled here. The paper's network for ImageNet has 32 filters, 3 modules of entry and 8 of middle
    flow, kernels of 3, average pooling and a dropout of 0.5.

    Raises:
        RequestError: an example is no image of three axes.
    """
    _images.check("xception", data)
    augmentation = _images.augmentation(hp, data)
    kernel_size = hp.Choice("kernel_size", [3, 5])
    filters = hp.Int("filters", 8, 32, step=8)
    stem_strides = _images.stem_strides(hp, data)
    entry_modules = hp.Int("entry_modules", 1, 3, default=2)
    middle_modules = hp.Int("middle_modules", 0, 8, default=1)
    widths = [filters * 4 * 2**i for i in range(entry_modules)]
    width = widths[-1]
    entry = [
        Convolution(filters, 3, strides=stem_strides),
        layers.ReLU(),
        Convolution(2 * filters, 3),
        *(Module((width, width), kernel_size, halving=True) for width in widths),
    ]
    middle = [Module((width, width, width), kernel_size)] * middle_modules
    exit_flow = [
        Module((width, width * 3 // 2), kernel_size, halving=True),
        Convolution(width * 2, kernel_size, separable=True),
        layers.ReLU(),
        Convolution(width * 3, kernel_size, separable=True),
        layers.ReLU(),
    ]
    return _heads.compiled(
        [
            *augmentation,
            *entry,
            *middle,
            *exit_flow,
            _images.pooling(hp),
            *_images.dropout(hp, default=0.0),
        ],
        data,
        _heads.optimizer(hp, fastest=1e-1, momentum=0.9),
    )


@dataclass(frozen=True)
class Convolution:
    """A convolution, plain or separable, and its normalisation."""

    filters: int
    kernel_size: int
    strides: int = 1
    separable: bool = False

    def __call__(self, x: Any) -> Any:
        """Apply it to a tensor."""
        kind = layers.SeparableConv2D if self.separable else layers.Conv2D
        # No bias: the normalisation would take it away again.
        convolution = kind(
            self.filters, self.kernel_size, self.strides, padding="same", use_bias=False
        )
        return _images.batch_normalisation()(convolution(x))


@dataclass(frozen=True)
class Module:
    """Separable convolutions of the given widths, each after a ReLU, and around them a shortcut.

    (batch, height, width, channels) -> (batch, height, width, widths[-1]), or half the height and
    width where it is halving.
    """

    widths: tuple[int, ...]
    kernel_size: int
    halving: bool = False

    def __call__(self, x: Any) -> Any:
        """Apply it to a tensor."""
        y = x
        for width in self.widths:
            y = Convolution(width, self.kernel_size, separable=True)(layers.ReLU()(y))
        if self.halving:
            y = layers.MaxPooling2D(3, 2, padding="same")(y)
            x = Convolution(self.widths[-1], 1, strides=2)(x)
        return layers.Add()([x, y])
