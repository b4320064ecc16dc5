"""What the image families share, and what makes residual networks and Xception such, with real
Keras."""

import importlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.data.dataset import Dataset, as_dataset
from pipeline.search_spaces import _images
from pipeline.search_spaces.resnet import Block
from pipeline.search_spaces.xception import Module
from pipeline.space.hyperparameters import HyperParameters

FAMILIES = ["cnn", "resnet", "xception"]
DEEP = ["resnet", "xception"]
LARGE = (224, 224, 3)
RANDOM = {"RandomTranslation", "RandomRotation", "RandomZoom", "RandomContrast"}


def images(
    shape: tuple[int, ...] = (8, 8, 1), low: float = 0.0, high: float = 1.0, dtype: str = "float32"
) -> Dataset:
    """Ten images of two classes."""
    x = np.random.default_rng(0).uniform(low, high, size=(10, *shape))
    return as_dataset((x.astype(dtype), np.arange(10) % 2), "toy", 0)


def built(name: str, data: Dataset, **values: Any) -> tuple[keras.Model, list[str]]:
    """A model, and the names that it requested."""
    hp = HyperParameters(values=values)
    model = importlib.import_module(f"pipeline.search_spaces.{name}").build(hp, data)
    return model, [spec.name for spec, _ in hp.requested]


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def augmented(data: Dataset, x: Any, *, training: bool = True, strength: float = 1.0) -> Any:
    """`x` through the augmentation's layers."""
    hp = HyperParameters(values={"augmentation": True, "augmentation_strength": strength})
    for layer in _images.augmentation(hp, data):
        x = layer(x, training=training)
    return np.asarray(x)


@pytest.mark.parametrize("name", FAMILIES)
def test_augmentation_is_off_by_default(name: str) -> None:
    model, requested = built(name, images())

    assert not RANDOM & set(kinds(model))
    assert "augmentation" in requested
    assert "augmentation_strength" not in requested


@pytest.mark.parametrize("name", FAMILIES)
def test_augmentation_has_a_strength_and_comes_before_all_that_learns(name: str) -> None:
    model, requested = built(name, images(), augmentation=True, augmentation_strength=0.8)

    assert "augmentation_strength" in requested
    assert set(kinds(model)[1:5]) == RANDOM
    translation = next(
        layer for layer in model.layers if isinstance(layer, keras.layers.RandomTranslation)
    )
    assert translation.height_upper == pytest.approx(0.8 * _images.TRANSLATION)


@pytest.mark.parametrize("name", FAMILIES)
def test_saved_augmentation_varies_training_and_leaves_inference_alone(
    name: str, tmp_path: Path
) -> None:
    data = images()
    model, _ = built(name, data, augmentation=True, dropout=0.0)
    model.optimizer.build(model.trainable_variables)  # else Keras warns of what the file lacks
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = data.x_train[:4]

    inferred = np.asarray(again(x, training=False))
    np.testing.assert_allclose(inferred, np.asarray(model(x, training=False)), rtol=1e-5)
    np.testing.assert_array_equal(inferred, np.asarray(again(x)))
    assert not np.allclose(np.asarray(again(x, training=True)), np.asarray(again(x, training=True)))
    saved = [layer.get_config() for layer in again.layers if type(layer).__name__ in RANDOM]
    made = [layer.get_config() for layer in model.layers if type(layer).__name__ in RANDOM]
    assert len(saved) == 4
    for one, other in zip(saved, made, strict=True):
        assert {k: list(v) if isinstance(v, tuple) else v for k, v in other.items()} == {
            k: list(v) if isinstance(v, tuple) else v for k, v in one.items()
        }


def test_augmented_images_are_never_mirrored() -> None:
    keras.utils.set_random_seed(0)
    left = np.zeros((200, 16, 16, 1), "float32")
    left[:, 5:11, 1:6] = 1.0

    varied = augmented(images((16, 16, 1)), left)

    assert len(np.unique(varied.mean(axis=(1, 2, 3)))) > 100
    # By the mass of the two halves; flips would leave it to the left in a half of them.
    assert (
        varied[:, :, :8].sum(axis=(1, 2, 3)) > varied[:, :, 8:].sum(axis=(1, 2, 3))
    ).mean() > 0.95


def test_contrast_falls_as_often_as_it_rises() -> None:
    keras.utils.set_random_seed(0)
    *_, contrast = _images.augmentation(
        HyperParameters(values={"augmentation": True}), images(low=-10.0, high=10.0)
    )
    x = np.tile(np.array([[-1.0], [1.0]], "float32"), (200, 4, 4, 1))

    spread = np.asarray(contrast(x, training=True)).std(axis=(1, 2, 3))

    assert 0.4 < (spread < 1.0).mean() < 0.6


@pytest.mark.parametrize(
    ("data", "low", "high"),
    [(images(low=-2.0, high=3.0), -2.0, 3.0), (images(high=255, dtype="uint8"), 0.0, 1.0)],
    ids=["standardised", "raw pixels, after scaling"],
)
def test_augmentation_keeps_the_range_of_the_pixels(data: Dataset, low: float, high: float) -> None:
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(low, high, size=(100, 8, 8, 1)).astype("float32")

    varied = augmented(data, x)

    assert varied.min() == pytest.approx(low, abs=0.1)
    assert varied.max() == pytest.approx(high, abs=0.1)


def test_augmentation_is_inactive_at_inference() -> None:
    x = images().x_train

    np.testing.assert_array_equal(augmented(images(), x, training=False), x)


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (33, 64, 3), LARGE])
@pytest.mark.parametrize("name", FAMILIES)
def test_images_of_any_size_are_served(name: str, shape: tuple[int, ...]) -> None:
    data = images(shape)

    model, _ = built(name, data)

    assert np.asarray(model(data.x_train[:2])).shape == (2, 1)


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1)])
@pytest.mark.parametrize("name", DEEP)
def test_default_models_of_small_images_are_small(name: str, shape: tuple[int, ...]) -> None:
    model, _ = built(name, images(shape))

    assert model.count_params() < 100_000


@pytest.mark.parametrize(
    ("shape", "asked", "strides"),
    [((8, 8, 1), True, 1), ((28, 28, 1), True, 2), (LARGE, False, 2)],
    ids=["digits", "mnist", "photographs"],
)
@pytest.mark.parametrize("name", DEEP)
def test_first_convolution_strides_as_the_size_allows(
    name: str, shape: tuple[int, ...], asked: bool, strides: int
) -> None:
    model, requested = built(name, images(shape))

    assert ("stem_strides" in requested) is asked
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    assert first.strides == (strides, strides)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_stages_of_a_large_image_halve_from_a_quarter(version: str) -> None:
    model, _ = built("resnet", images(LARGE), version=version, num_stages=4)

    sizes = [layer.output.shape[1] for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert sizes == [56, 28, 14, 7]


@pytest.mark.parametrize(("block", "convolutions"), [("basic", 2), ("bottleneck", 3)])
def test_resnet_has_the_blocks_that_it_asked_for(block: str, convolutions: int) -> None:
    depths = {f"blocks_{i}": i + 1 for i in range(4)}

    model, requested = built("resnet", images(), block=block, num_stages=3, filters=32, **depths)

    assert [name for name in requested if name.startswith("blocks_")] == [
        "blocks_0",
        "blocks_1",
        "blocks_2",
    ]
    additions = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert len(additions) == 1 + 2 + 3
    widest = 4 if block == "bottleneck" else 1
    assert [layer.output.shape[-1] for layer in additions] == [
        widest * w for w in (32, 64, 64, 128, 128, 128)
    ]
    # where the shape changes: at a stage's first block
    projections = 3 if block == "bottleneck" else 2
    assert kinds(model).count("Conv2D") == 1 + 6 * convolutions + projections


def without_its_branch(block: Any, channels: int) -> tuple[Any, Any]:
    """An input, and what a block makes of it when its convolutions give zero."""
    inputs = keras.Input((4, 4, channels))
    model = keras.Model(inputs, block(inputs))
    for layer in model.layers:
        if "Conv2D" in type(layer).__name__:
            layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    x = np.random.default_rng(0).normal(size=(2, 4, 4, channels)).astype("float32")
    return x, np.asarray(model(x))


@pytest.mark.parametrize("bottleneck", [False, True])
def test_shortcut_of_version_2_passes_its_input_on_and_of_version_1_its_positive_part(
    bottleneck: bool,
) -> None:
    channels = 32 if bottleneck else 8

    x, first = without_its_branch(Block("v1", bottleneck, 3, 8, 1), channels)
    _, second = without_its_branch(Block("v2", bottleneck, 3, 8, 1), channels)

    np.testing.assert_array_equal(first, np.maximum(x, 0))
    np.testing.assert_array_equal(second, x)


def test_shortcut_of_a_middle_module_passes_its_input_on() -> None:
    x, y = without_its_branch(Module((8, 8, 8), 3), 8)

    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize(("entry", "middle"), [(1, 0), (2, 1), (3, 4)])
def test_xception_has_the_modules_that_it_asked_for(entry: int, middle: int) -> None:
    model, _ = built("xception", images(), entry_modules=entry, middle_modules=middle)

    assert kinds(model).count("Add") == entry + middle + 1
    assert kinds(model).count("SeparableConv2D") == 2 * entry + 3 * middle + 2 + 2
    assert kinds(model).count("MaxPooling2D") == entry + 1


@pytest.mark.parametrize("name", DEEP)
def test_deep_families_use_what_they_asked_for(name: str) -> None:
    model, _ = built(
        name,
        images(),
        kernel_size=5,
        pooling="max",
        dropout=0.5,
        optimizer="sgd",
        learning_rate=0.05,
    )

    assert kinds(model)[-3:] == ["GlobalMaxPooling2D", "Dropout", "Dense"]
    kernels = {layer.kernel_size for layer in model.layers if hasattr(layer, "kernel_size")}
    assert (5, 5) in kernels
    assert type(model.optimizer).__name__ == "SGD"
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
    assert model.optimizer.momentum == 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", DEEP)
def test_deep_families_learn_the_digits(name: str) -> None:
    keras.utils.set_random_seed(0)
    data = importlib.import_module("pipeline.datasets.digits").load(0)
    model, _ = built(name, data)

    model.fit(data.x_train, data.y_train, batch_size=32, epochs=4, verbose=0)

    # 0.964 to 0.986 on the validation split after so many epochs, over three seeds; chance is 0.1
    assert model.evaluate(data.x_test, data.y_test, verbose=0)[1] > 0.85
