"""KerasTuner's ready hypermodels, which run here as they are.

Raises:
    ImportError: keras-tuner is not installed.
"""

try:
    from keras_tuner.applications import (
        HyperEfficientNet,
        HyperImageAugment,
        HyperResNet,
        HyperXception,
    )
except ImportError as error:
    raise ImportError(
        "keras_tuner.applications must be installed (pip install keras-tuner); the search spaces "
        "'resnet' and 'xception' of this project need nothing."
    ) from error

__all__ = ["HyperEfficientNet", "HyperImageAugment", "HyperResNet", "HyperXception"]
