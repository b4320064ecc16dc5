"""Every registered family keeps the contract on every dataset it fits, with real Keras."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.data.dataset import Dataset, as_dataset
from pipeline.errors import RequestError
from pipeline.names import registered
from pipeline.space.hyperparameters import HyperParameters
from pipeline.testing import search_spaces

FAMILIES = sorted(registered("search space"))
DATASETS = sorted(registered("dataset"))
IMAGE_FAMILIES = ["cnn", "resnet", "xception"]

# The default one, and so many at random: fewer of the deep ones, which take seconds each. All but
# one are left to `make test-all`.
QUICK = 3
RANDOM = {name: 5 if name in ("resnet", "xception") else 10 for name in FAMILIES}
CONFIGURATIONS = [
    pytest.param(
        name, configuration, marks=[] if configuration in ("default", QUICK) else pytest.mark.slow
    )
    for name in FAMILIES
    for configuration in ("default", *range(RANDOM[name]))
]


def family(name: str) -> ModuleType:
    return importlib.import_module(f"pipeline.search_spaces.{name}")


@pytest.fixture(scope="module")
def loaded() -> dict[str, Dataset]:
    return {n: importlib.import_module(f"pipeline.datasets.{n}").load(0) for n in DATASETS}


def asked(hp: HyperParameters) -> list[str]:
    return [spec.name for spec, _ in hp.requested]


def built(name: str, data: Dataset, **values: Any) -> tuple[keras.Model, HyperParameters]:
    hp = HyperParameters(values=values)
    return family(name).build(hp, data), hp


def hidden(model: keras.Model) -> list[keras.Layer]:
    """The layers between input and output."""
    return model.layers[1:-1]


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in hidden(model)]


def toy(y: Any, shape: tuple[int, ...] = (3,), dtype: str = "float32") -> Dataset:
    """A small dataset with targets `y`."""
    x = np.random.default_rng(0).integers(0, 2, size=(len(y), *shape))
    return as_dataset((x.astype(dtype), np.asarray(y)), "toy", 0)


def test_what_families_share_is_no_family() -> None:
    assert FAMILIES == ["cnn", "mlp", "resnet", "xception"]


@pytest.mark.parametrize("name", FAMILIES)
def test_docstring_is_a_lab_book_entry(name: str) -> None:
    text = family(name).__doc__ or ""

    assert text.splitlines()[0].endswith(".")
    for heading in (
        "Expect:",
        f"Run:    python -m pipeline.run mnist --search-space {name}",
        "Source:",
    ):
        assert f"\n{heading}" in text


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize(("name", "configuration"), CONFIGURATIONS)
def test_any_configuration_trains_saves_and_loads(
    name: str, dataset: str, configuration: int | str, loaded: dict[str, Dataset], tmp_path: Path
) -> None:
    data = loaded[dataset]
    seed = None if configuration == "default" else int(configuration)
    history = search_spaces.check_configuration(name, data, tmp_path, seed)
    if history is None:
        assert name in IMAGE_FAMILIES and len(data.shape) != 3
        return

    metric = "mae" if data.task == "regression" else "accuracy"
    assert {"loss", metric, "val_loss", f"val_{metric}"} == set(history)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_values_lead_to_the_same_requests(name: str, loaded: dict[str, Dataset]) -> None:
    requested = [
        search_spaces.check_requests(name, loaded["digits"], seed) for seed in (None, 0, 1)
    ]
    assert requested[0] != requested[1] != requested[2]


@pytest.mark.parametrize("num_layers", [1, 3, 5])
def test_mlp_asks_units_for_existing_layers_only(num_layers: int) -> None:
    widths = {f"units_{i}": 32 * (i + 1) for i in range(5)}

    model, hp = built("mlp", toy([0, 1] * 5), num_layers=num_layers, dropout=0.0, **widths)

    units = [n for n in asked(hp) if n.startswith("units_")]
    assert units == [f"units_{i}" for i in range(num_layers)]
    assert [layer.units for layer in hidden(model)] == [32 * (i + 1) for i in range(num_layers)]


def test_cnn_asks_filters_for_existing_blocks_only(loaded: dict[str, Dataset]) -> None:
    model, hp = built("cnn", loaded["digits"], num_blocks=1, filters_0=48, kernel_size=5)

    assert [n for n in asked(hp) if n.startswith("filters_")] == ["filters_0"]
    assert hidden(model)[0].filters == 48
    assert hidden(model)[0].kernel_size == (5, 5)


@pytest.mark.parametrize(
    ("optimizer", "kind"), [("adam", "Adam"), ("sgd", "SGD"), ("rmsprop", "RMSprop")]
)
def test_mlp_uses_what_it_asked_for(optimizer: str, kind: str) -> None:
    model, _ = built(
        "mlp",
        toy([0, 1] * 5),
        optimizer=optimizer,
        learning_rate=5e-3,
        activation="tanh",
        num_layers=1,
    )

    assert type(model.optimizer).__name__ == kind
    assert float(model.optimizer.learning_rate) == pytest.approx(5e-3)
    assert hidden(model)[0].activation is keras.activations.tanh


@pytest.mark.parametrize("name", FAMILIES)
def test_dropout_of_zero_adds_no_layer(name: str, loaded: dict[str, Dataset]) -> None:
    without, _ = built(name, loaded["digits"], dropout=0.0)
    with_dropout, _ = built(name, loaded["digits"], dropout=0.4)

    assert "Dropout" not in kinds(without)
    rates = [layer.rate for layer in with_dropout.layers if isinstance(layer, keras.layers.Dropout)]
    assert set(rates) == {0.4}


@pytest.mark.parametrize(
    ("y", "units", "activation", "loss"),
    [
        ([0, 1] * 5, 1, "sigmoid", "binary_crossentropy"),
        ([0, 1, 2, 3, 0] * 2, 4, "softmax", "sparse_categorical_crossentropy"),
        (np.eye(2)[[0, 1] * 5], 2, "softmax", "categorical_crossentropy"),
        (np.linspace(0, 1, 10), 1, "linear", "mse"),
        (np.random.default_rng(0).normal(size=(10, 3)), 3, "linear", "mse"),
    ],
    ids=["binary", "labels", "one-hot", "regression", "three targets"],
)
def test_head_fits_the_targets(y: Any, units: int, activation: str, loss: str) -> None:
    data = toy(y)
    model, hp = built("mlp", data)

    head = model.layers[-1]
    assert (head.units, head.activation.__name__, model.loss) == (units, activation, loss)
    model.run_eagerly = search_spaces.EAGER
    family("mlp").fit(hp, model, data.x_train, data.y_train, verbose=0)


def test_flatten_is_for_more_than_one_axis() -> None:
    flat, _ = built("mlp", toy([0, 1] * 5, shape=(3,)))
    square, _ = built("mlp", toy([0, 1] * 5, shape=(3, 3)))

    assert "Flatten" not in kinds(flat)
    assert kinds(square)[0] == "Flatten"


def test_raw_pixels_are_scaled() -> None:
    model, _ = built("mlp", toy([0, 1] * 5, shape=(4, 4, 1), dtype="uint8"))

    scaled = hidden(model)[0](np.full((1, 4, 4, 1), 255, dtype="uint8"))
    assert np.allclose(scaled, 1.0)


@pytest.mark.parametrize("name", IMAGE_FAMILIES)
def test_image_families_refuse_what_is_no_image(name: str, loaded: dict[str, Dataset]) -> None:
    with pytest.raises(RequestError) as refused:
        built(name, loaded["diabetes"])

    assert refused.match(
        rf"Search space '{name}' needs images of shape \(height, width, channels\)"
    )
    assert refused.match(
        r".*'diabetes' has examples of shape \(10,\)\. Search space 'mlp' takes any"
    )


@pytest.mark.parametrize(("examples", "batch_size"), [(9_999, 32), (10_000, 128)])
@pytest.mark.parametrize("name", FAMILIES)
def test_fit_passes_its_arguments_on(name: str, examples: int, batch_size: int) -> None:
    given = search_spaces.check_fit(name, examples)

    assert given["batch_size"] == batch_size


def test_a_batch_size_that_is_given_stays() -> None:
    data = toy([0, 1] * 5)
    model, hp = built("mlp", data)

    model.run_eagerly = search_spaces.EAGER
    history = family("mlp").fit(hp, model, data.x_train, data.y_train, batch_size=2, verbose=0)

    assert history.params["steps"] == len(data.x_train) // 2


def test_mlp_learns_the_digits(loaded: dict[str, Dataset]) -> None:
    keras.utils.set_random_seed(0)
    data = loaded["digits"]
    model, hp = built("mlp", data)

    family("mlp").fit(hp, model, data.x_train, data.y_train, epochs=10, verbose=0)

    # 0.969 to 0.978 over five seeds; chance is 0.1
    assert model.evaluate(data.x_test, data.y_test, verbose=0)[1] > 0.9
