"""Searches on a folder of pictures: from the command line, twice, and with folds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from pipeline import open_run
from tests.data.pictures.conftest import write_digits


@pytest.mark.ray
@pytest.mark.slow
def test_a_folder_of_digits_gives_a_good_model_and_is_decoded_once(
    cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    photos = write_digits(tmp_path / "photos", 10, 100)
    asked: tuple[Any, ...] = ("photos/", "--trials", 2, "--max-epochs", 5, "--scheduler", "none")

    code, output, errors = cli(*asked, "--name", "first", cwd=tmp_path)
    again, more, _ = cli("photos/", "--dry-run", cwd=tmp_path)

    assert (code, again) == (0, 0), errors
    (prepared,) = (tmp_path / "runs" / ".prepared").iterdir()
    assert f"1,000 of 8x8 pixels; grey; prepared in runs/.prepared/{prepared.name}" in output
    assert "Decoding 1,000 pictures into runs/.prepared …" in output
    assert "Decoding" not in more and "search space     cnn:" in more
    best = tmp_path / "runs" / "first" / "best"
    accuracy = json.loads((best / "metrics.json").read_text())["test"]["accuracy"]
    assert accuracy > 0.9
    # the saved model takes the pictures as they are, and says what they show
    pictures = [sorted((photos / f"digit{digit}").iterdir())[0] for digit in range(10)]
    told = open_run(tmp_path / "runs" / "first").predict(pictures)
    right = [f"digit{digit}" for digit in range(10)]
    assert sum(told["prediction"] == right) >= 8
    model = keras.saving.load_model(best / "model.keras")
    x = np.stack([np.asarray(Image.open(path)) for path in pictures])[..., None]
    np.testing.assert_allclose(np.asarray(model(x)), told.iloc[:, 1:], atol=1e-5)


@pytest.mark.ray
@pytest.mark.slow
def test_pictures_are_decoded_once_for_all_folds(
    search: Callable[..., Any], tmp_path: Path
) -> None:
    photos = write_digits(tmp_path / "photos", 3, 20)
    asked = {"searcher": "random", "scheduler": "none", "trials": 2, "max_epochs": 2}
    run = search(dataset=f"{photos}/", folds=3, **asked)

    assert len(list((tmp_path / "runs" / ".prepared").iterdir())) == 1
    summary = run.summary
    assert summary["saved"] == "refit" and summary["check"]["result"] == "equal"
    assert summary["examples"] == {"train": 48, "val": 48, "test": 12}
    assert summary["refit_examples"] == 48 and len(summary["folds"]) == 3
    told = run.predict(sorted(photos.rglob("*.png")))
    assert len(told) == 60 and set(told["prediction"]) <= {"digit0", "digit1", "digit2"}
