"""Every registered dataset keeps the contract; MNIST is the original, whole and undamaged."""

import hashlib
import importlib
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipeline import datasets
from pipeline.data import Dataset
from pipeline.errors import RequestError
from pipeline.testing.datasets import check_description, check_seed

FOLDER = Path(datasets.__file__).parent
NAMES = sorted(p.stem for p in FOLDER.glob("*.py") if not p.stem.startswith("_"))


def module(name: str) -> ModuleType:
    return importlib.import_module(f"pipeline.datasets.{name}")


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return module("mnist").load(0)


def hashes(images: np.ndarray[Any, Any]) -> list[str]:
    """Digest of each image as the original's bytes."""
    raw = np.round(images * 255).astype(np.uint8).reshape(len(images), -1)
    return [hashlib.md5(row.tobytes()).hexdigest() for row in raw]


def labelled(data: Dataset, split: str) -> list[tuple[str, int]]:
    """Each image's digest with its label."""
    images, labels = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
    return list(zip(hashes(images), labels.tolist(), strict=True))


def test_the_four_built_in_datasets_are_there() -> None:
    assert {"mnist", "digits", "breast_cancer", "diabetes"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_dataset_describes_itself(name: str) -> None:
    described = check_description(name)

    assert described["name"] == name
    assert described["source"]
    assert described["licence"]
    assert described["dtype"] == "float32"


@pytest.mark.parametrize("name", NAMES)
def test_docstring_states_the_facts(name: str) -> None:
    text = module(name).__doc__ or ""
    data = module(name).load(0)

    for heading in ("Shape:", "Counts:", "Source:", "Licence:", "Checksum:"):
        assert f"\n{heading} " in text
    assert f"{data.shape} float32" in text
    counts = data.counts
    assert f"{counts['train']:,} train, {counts['val']:,} validation" in " ".join(text.split())


@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_the_validation_split(name: str) -> None:
    check_seed(name, splits_by_seed=True)


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes"])
def test_tables_are_standardised_by_the_training_split(name: str) -> None:
    data = module(name).load(0)

    np.testing.assert_allclose(data.x_train.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(data.x_train.std(axis=0), 1, atol=1e-4)
    assert abs(data.x_test.mean(axis=0)).max() > 1e-3


def test_predicting_the_mean_of_diabetes_has_an_mse_of_one() -> None:
    data = module("diabetes").load(0)

    assert np.mean(data.y_train**2) == pytest.approx(1, abs=1e-4)
    assert data.standardisation is not None
    assert data.standardisation["target_std"] == pytest.approx(77, abs=3)


def test_digits_are_images_in_the_unit_range() -> None:
    data = module("digits").load(0)

    assert (data.shape, data.classes, data.range) == ((8, 8, 1), 10, (0.0, 1.0))


def test_mnist_is_what_it_says(mnist: Dataset) -> None:
    assert mnist.shape == (28, 28, 1)
    assert mnist.dtype == "float32"
    assert mnist.range == (0.0, 1.0)
    assert mnist.classes == 10
    assert mnist.counts == {"train": 50_000, "val": 10_000, "test": 10_000}


def test_mnist_holds_each_original_image_once_with_its_label(mnist: Dataset) -> None:
    with np.load(FOLDER / "data" / "mnist.npz") as original:
        pairs = {
            split: list(
                zip(
                    hashes(original[f"x_{split}"] / np.float32(255)),
                    original[f"y_{split}"].tolist(),
                    strict=True,
                )
            )
            for split in ("train", "test")
        }

    # Counted, not compared as sets: an image that the split took twice would show.
    train, val = labelled(mnist, "train"), labelled(mnist, "val")
    assert Counter(train) + Counter(val) == Counter(pairs["train"])
    assert labelled(mnist, "test") == pairs["test"]
    # The original's training images are all different, so none can be in both splits.
    assert len(set(pairs["train"])) == 60_000
    assert not set(train) & set(val)


def test_mnist_validation_has_every_digit_in_proportion(mnist: Dataset) -> None:
    share = {s: np.bincount(getattr(mnist, f"y_{s}")) / mnist.counts[s] for s in ("train", "val")}

    np.testing.assert_allclose(share["train"], share["val"], atol=2e-4)


def test_damaged_mnist_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist = module("mnist")
    damaged = tmp_path / "mnist.npz"
    content = bytearray(mnist.FILE.read_bytes())
    content[5_000_000] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(mnist, "FILE", damaged)

    with pytest.raises(RequestError) as refused:
        mnist.load(0)

    message = str(refused.value)
    assert str(damaged) in message
    assert mnist.SHA256 in message
    assert hashlib.sha256(content).hexdigest() in message
    assert "git checkout" in message


def test_missing_mnist_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist = module("mnist")
    monkeypatch.setattr(mnist, "FILE", tmp_path / "mnist.npz")

    with pytest.raises(
        RequestError, match=r"no readable file \(No such file or directory\)"
    ) as refused:
        mnist.load(0)

    assert str(tmp_path / "mnist.npz") in str(refused.value)
    assert mnist.SHA256 in str(refused.value)
