"""From files of pictures to predictions in the user's words."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from pipeline import images, load_model
from pipeline.errors import RequestError
from tests.data.pictures.conftest import write_digits


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A model that tells dark pictures from bright ones by their mean, and the folder."""
    folder = tmp_path_factory.mktemp("pictures")
    write_digits(folder / "photos", 2, 6)
    data = images(folder / "photos", image_size=(4, 6))(seed=0)
    # nothing learnt: the probability of the second class grows with the mean
    model = keras.Sequential(
        [
            keras.Input(data.shape),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.layers[-1].set_weights([np.array([[-8.0, 8.0]]), np.array([4.0, -4.0])])
    model.compile("sgd", "sparse_categorical_crossentropy")
    (folder / "best").mkdir()
    model.save(folder / "best" / "model.keras")
    (folder / "best" / "preprocessing.json").write_text(json.dumps(data.preprocessing()))
    for name, grey in (("dark", 20), ("bright", 235)):
        Image.new("RGB", (30, 50), (grey,) * 3).save(folder / f"{name}.jpg")
    return load_model(folder), folder


def test_files_give_names_and_probabilities_under_their_paths(served):
    model, folder = served
    paths = [str(folder / "bright.jpg"), str(folder / "dark.jpg")]

    told = model.predict(paths)

    assert told.index.tolist() == paths and told.index.name == "picture"
    assert told["prediction"].tolist() == ["digit1", "digit0"]
    assert np.allclose(told[["probability_digit0", "probability_digit1"]].sum(axis=1), 1)
    assert model.inputs(paths).shape == (2, 4, 6, 1)


def test_a_folder_gives_a_row_for_each_picture_in_it(served):
    model, folder = served

    assert len(model.predict(folder / "photos")) == 12


def test_bytes_and_pixels_are_told_too(served):
    model, folder = served
    path = folder / "bright.jpg"
    told = model.predict(path).iloc[0].tolist()

    assert model.predict(path.read_bytes()).iloc[0].tolist() == told
    assert model.predict(model.inputs(path)).iloc[0].tolist() == told


def test_what_is_no_picture_is_named(served, tmp_path):
    model, _ = served
    (tmp_path / "bad.png").write_text("text")

    with pytest.raises(RequestError, match=r"1 of 1 does not: '.*bad.png' \(it is no picture\)"):
        model.predict(tmp_path / "bad.png")
    with pytest.raises(RequestError, match="Pictures must be given as a path, a list of paths or"):
        model.predict(3)
    with pytest.raises(RequestError, match="A picture must be one that can be decoded; "):
        model.predict(b"text")
    with pytest.raises(RequestError, match=r"takes arrays of shape \(n, 4, 6, 1\); got \(4, 6\)"):
        model.predict(np.zeros((4, 6), np.uint8))
