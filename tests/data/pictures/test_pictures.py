"""A dataset of a folder of pictures: its splits, its classes, and what the plan says of it."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import Experiment, images
from pipeline.console.pictures import pictures_rows
from pipeline.data.files.data_file import DataFile
from pipeline.data.pictures.pictures import PictureDataset
from pipeline.data.request import DataRequest
from pipeline.digest import fingerprint, label
from pipeline.errors import RequestError
from pipeline.sweeps.request import read_sweep
from tests.data.pictures.conftest import write_digits


def loaded(folder: Path, seed: int = 0, **asked: Any) -> PictureDataset:
    file = DataFile(str(folder), DataRequest(**asked), str(folder.parent / "runs"))
    dataset = file(seed)
    assert isinstance(dataset, PictureDataset)
    return dataset


def refusal(folder: Path, **asked: Any) -> str:
    with pytest.raises(RequestError) as refused:
        loaded(folder, **asked)
    return str(refused.value)


def test_each_class_is_in_each_split_in_proportion(photos: Path) -> None:
    data = loaded(photos)

    assert data.class_names == ("digit0", "digit1", "digit2")
    assert (data.task, data.classes, data.shape, data.dtype) == (
        *("classification", 3, (8, 8, 1), "uint8"),
    )
    for split, each in (("train", 6), ("val", 2), ("test", 2)):
        assert np.bincount(getattr(data, f"y_{split}")).tolist() == [each] * 3
    assert type(data.x_train) is np.ndarray


def test_each_picture_keeps_its_label_and_the_seed_decides_the_cut(photos: Path) -> None:
    from PIL import Image

    data = loaded(photos)
    shown = {
        np.asarray(Image.open(path)).tobytes(): int(path.parent.name[-1])
        for path in photos.rglob("*.png")
    }
    for split in ("train", "val", "test"):
        x, y = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
        assert [shown[picture.tobytes()] for picture in x] == y.tolist()
    np.testing.assert_array_equal(loaded(photos).x_test, data.x_test)
    assert not np.array_equal(loaded(photos, seed=1).x_test, data.x_test)


def test_splits_that_are_there_are_used_and_the_missing_one_is_cut(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_digits(root / "train", 2, 10)
    write_digits(root / "val", 2, 3)

    data = loaded(root)
    assert data.counts == {"train": 16, "val": 6, "test": 4}

    write_digits(root / "test", 1, 2)
    data = loaded(root)
    assert data.counts == {"train": 20, "val": 6, "test": 2}
    assert data.y_test.tolist() == [0, 0] and data.classes == 2


def test_a_folder_or_a_fraction_is_the_test(photos: Path, tmp_path: Path) -> None:
    other = write_digits(tmp_path / "other", 2, 4)

    data = loaded(photos, test=str(other))
    assert data.counts == {"train": 24, "val": 6, "test": 8}
    assert loaded(photos, test=0.5).counts == {"train": 9, "val": 6, "test": 15}


def test_a_test_that_cannot_be_is_refused(photos: Path, tmp_path: Path) -> None:
    write_digits(tmp_path / "more", 4, 2)
    write_digits(tmp_path / "both" / "train", 2, 5)
    write_digits(tmp_path / "both" / "test", 2, 5)

    assert refusal(photos, test=str(tmp_path / "more")) == (
        f"The classes of {tmp_path / 'more'} must be among those of the training pictures "
        "(digit0, digit1, digit2); it has 'digit3' too."
    )
    assert refusal(photos, test="none") == (
        "--test must be a folder of pictures, or a fraction; got 'none'."
    )
    both = tmp_path / "both"
    assert refusal(both, test=str(photos)) == (
        f"--test must not be given beside a test split; {both} has one."
    )
    assert refusal(both, test=0.1) == (
        f"--test must not be given beside a test split; {both} has one."
    )
    assert "test must be a fraction in (0, 1)" in refusal(photos, test=1.5)


def test_what_is_for_tables_is_refused(photos: Path) -> None:
    ending = "is a folder of pictures, whose folders are the classes."
    assert refusal(photos, target="a") == f"--target is for tables; {photos} {ending}"
    assert refusal(photos, drop=("a",)) == f"--drop is for tables; {photos} {ending}"
    for setting, asked in (
        ("column", {"kinds": {"a": "text"}}),
        ("group", {"group": "a"}),
        ("time", {"time": "a"}),
    ):
        assert refusal(photos, **asked) == f"--{setting} is for tables; {photos} holds pictures."


def test_a_class_with_too_few_pictures_for_the_splits_is_named(photos: Path) -> None:
    for path in sorted((photos / "digit1").iterdir())[2:]:
        path.unlink()

    assert refusal(photos) == (
        f"Each class must have 3 pictures or more, one for each split; in {photos} 'digit1' has 2. "
        "Add pictures, or leave the class out."
    )


def test_folders_named_by_numbers_are_a_regression_where_that_is_asked(tmp_path: Path) -> None:
    root = write_digits(tmp_path / "photos", 2, 6)
    (root / "digit0").rename(root / "0.5")
    assert refusal(root, task="regression") == (
        f"Labels of a regression must be numbers; {root} has 'digit1'."
    )

    (root / "digit1").rename(root / "10")
    data = loaded(root, task="regression")
    assert data.task == "regression" and data.class_names is None
    assert set(data.y_train.tolist()) == {0.5, 10.0}


def test_the_plan_says_what_was_made_of_the_pictures(photos: Path) -> None:
    from PIL import Image

    alike = pictures_rows(loaded(photos).describe())
    assert alike["pictures"].startswith("30 of 8x8 pixels; grey; prepared in /")

    Image.new("RGB", (20, 9)).save(photos / "digit0" / "more.png")
    (photos / "digit0" / "notes.txt").touch()
    rows = pictures_rows(loaded(photos, image_size=(6, 5)).describe())
    assert rows["pictures"].startswith(
        "31, resized from 8x8 to 9x20 to 6x5 (as asked; aspect not kept); RGB (30 are grey); left "
        "out: 1 no pictures; prepared in /"
    )
    assert "to 8x8 (the median; aspect" in pictures_rows(loaded(photos).describe())["pictures"]
    assert pictures_rows({"name": "mnist"}) == {}


def test_the_plan_says_that_beside_an_object_store_the_array_is_here(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(photos.parent / "cache"))

    dataset = DataFile(str(photos), DataRequest(), "s3://bucket/runs")(0)

    row = pictures_rows(dataset.describe())["pictures"]
    assert f"prepared in {photos.parent}/cache/kerasweep/prepared/" in row
    assert row.endswith(" on this machine, as runs are in an object store")


def test_what_a_picture_needs_before_the_model_is_known(photos: Path) -> None:
    assert loaded(photos).preprocessing() == {
        "kind": "pictures",
        "task": "classification",
        "size": [8, 8],
        "channels": 1,
        "class_names": ["digit0", "digit1", "digit2"],
    }


def test_images_is_what_an_experiment_takes(photos: Path, tmp_path: Path) -> None:
    given = images(photos, image_size=4, test=0.3)
    experiment = Experiment(dataset=given, storage=str(tmp_path / "elsewhere"))

    assert experiment.search_space == "cnn"
    assert label(given) == "photos"
    dataset = pickle.loads(pickle.dumps(experiment.resolved_dataset()))(0)
    assert dataset.shape == (4, 4, 1) and len(dataset.x_test) == 9
    assert (tmp_path / "elsewhere" / ".prepared").is_dir()
    assert Experiment.from_yaml is not None and fingerprint(given) != fingerprint(images(photos))
    assert fingerprint(given) == fingerprint(images(photos, image_size=(4, 4), test=0.3))


@pytest.mark.parametrize("size", [0, (3,), "8x", (3, 0), True, 2.5])
def test_a_size_that_cannot_be_is_refused(size: Any) -> None:
    with pytest.raises(RequestError, match="image_size must be a number of pixels, HEIGHTxWID"):
        images("photos", image_size=size)


def test_pictures_use_cnn_unless_another_space_is_named(photos: Path) -> None:
    assert Experiment(dataset=str(photos)).search_space == "cnn"
    assert Experiment(dataset=f"{photos}/", search_space="mlp").search_space == "mlp"
    assert Experiment(dataset="mnist").search_space == "mlp"


def test_a_size_for_data_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RequestError) as refused:
        DataFile(str(tmp_path / "rows.csv"), DataRequest(target="b", image_size=(3, 3)))(0)

    assert str(refused.value) == (
        f"--image-size is for pictures in files; {tmp_path / 'rows.csv'} is of none."
    )


def test_a_sweep_calls_its_experiments_by_the_space_that_they_have(photos: Path) -> None:
    sweep = read_sweep(f"matrix: {{dataset: ['{photos}'], seed: [1]}}", "sweep.yaml", {})

    ((name, experiment),) = sweep.experiments.items()
    assert experiment.search_space == "cnn" and name.startswith("photos-cnn")
