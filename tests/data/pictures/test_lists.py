"""A CSV of pictures and labels: when it is one, and what is read of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import Experiment
from pipeline.data.files.data_file import DataFile
from pipeline.data.pictures.lists import is_picture_list
from pipeline.data.pictures.pictures import PictureDataset
from pipeline.data.request import DataRequest
from pipeline.errors import RequestError


@pytest.fixture
def frame(photos: Path) -> pd.DataFrame:
    """The pictures' names beside `list.csv`, their digits and how bright they are."""
    paths = sorted(photos.rglob("*.png"))
    return pd.DataFrame(
        {
            "file": [str(path.relative_to(photos.parent)) for path in paths],
            "digit": [int(path.parent.name[-1]) for path in paths],
            "light": [float(np.asarray(Image.open(path)).mean()) for path in paths],
        }
    )


def written(folder: Path, frame: pd.DataFrame, name: str = "list.csv", **how: Any) -> Path:
    frame.to_csv(folder / name, index=False, **how)
    return folder / name


def loaded(path: Path, **asked: Any) -> PictureDataset:
    dataset = DataFile(str(path), DataRequest(**asked), str(path.parent / "runs"))(0)
    assert isinstance(dataset, PictureDataset)
    return dataset


def refusal(path: Path, **asked: Any) -> str:
    with pytest.raises(RequestError) as refused:
        loaded(path, **asked)
    return str(refused.value)


def test_whole_numbers_and_words_are_classes_and_other_numbers_amounts(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    path = written(tmp_path, frame)

    data = loaded(path, target="digit", drop=("light",))
    assert (data.class_names, data.counts["train"]) == (("0", "1", "2"), 18)
    assert loaded(path, target="digit", drop=("light",), task="regression").task == "regression"

    data = loaded(path, target="light", drop=("digit",))
    assert data.task == "regression" and data.preprocessing()["class_names"] is None
    # each picture has its own amount
    np.testing.assert_allclose(data.y_train, data.x_train.mean(axis=(1, 2, 3)), rtol=1e-5)


def test_a_list_is_one_where_the_only_input_names_pictures(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    path = str(written(tmp_path, frame))
    tabs = str(written(tmp_path, frame, "list.tsv", sep="\t"))
    words = str(written(tmp_path, frame.assign(file="word"), "words.csv"))

    assert is_picture_list(path, DataRequest(target="digit", drop=("light",)))
    assert is_picture_list(tabs, DataRequest(target="digit", drop=("light",)))
    assert not is_picture_list(path, DataRequest(target="digit"))
    assert not is_picture_list(words, DataRequest(target="digit", drop=("light",)))
    assert not is_picture_list(str(tmp_path / "none.csv"), DataRequest())
    assert not is_picture_list(str(tmp_path / "list.parquet"), DataRequest())


def test_an_experiment_on_a_list_uses_cnn(frame: pd.DataFrame, tmp_path: Path) -> None:
    path = str(written(tmp_path, frame))

    assert Experiment(dataset=path, target="digit", drop="light").search_space == "cnn"
    assert Experiment(dataset=path, target="digit").search_space == "mlp"


def test_a_list_has_the_separator_that_a_table_would_have(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    rows = [f"{file},{digit}" for file, digit in zip(frame["file"], frame["digit"], strict=True)]
    path = tmp_path / "quoted.csv"
    path.write_text("\n".join(['"file; its name; beside",digit', *rows]))
    tabs = written(
        tmp_path, frame[["file", "digit"]].rename(columns={"file": "a,b,c"}), "t.tsv", sep="\t"
    )
    empty = tmp_path / "empty.csv"
    empty.write_text("")

    assert len(loaded(path, target="digit").x_test) == len(loaded(tabs, target="digit").x_test) == 6
    assert not is_picture_list(str(empty), DataRequest(target="digit"))


def test_a_list_with_one_more_column_is_no_table_of_names(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    path = written(tmp_path, frame)
    with pytest.raises(RequestError) as refused:
        DataFile(str(path), DataRequest(target="digit"))(0)

    assert str(refused.value) == (
        f"{path}, column 'file': it names pictures, and must then be the only column beside the "
        "target; there is 'light' too. For a model of the pictures: --drop light. For one of a "
        "table without them: --drop file."
    )
    asked = DataRequest(target="digit", kinds={"file": "text"})
    assert DataFile(str(path), asked)(0).shape != (1,)
    assert DataFile(str(path), DataRequest(target="digit", drop=("file",)))(0).shape == (1,)


def test_another_list_is_the_test_with_names_beside_itself(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    train = written(tmp_path, frame.iloc[:25, :2])
    other = tmp_path / "other"
    other.mkdir()
    test = frame.iloc[25:, :2]
    test = written(other, test.assign(file="../" + test["file"]))

    data = loaded(train, target="digit", test=str(test))

    assert data.counts == {"train": 20, "val": 5, "test": 5}
    assert data.y_test.tolist() == frame["digit"][25:].tolist()
    assert refusal(train, target="digit", test="photos") == (
        "--test must be a list of pictures, or a fraction; got 'photos'."
    )
    bad = written(tmp_path, frame[["file"]], "bad.csv")
    assert refusal(train, target="digit", test=str(bad)) == (
        f"{bad} must have the columns of the training pictures; it lacks digit."
    )


def test_pictures_without_a_label_are_left_out_and_counted(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame["digit"] = frame["digit"].where(frame.index % 10 != 0)
    data = loaded(written(tmp_path, frame[["file", "digit"]]), target="digit")

    assert sum(data.counts.values()) == 27
    assert data.pictures and data.pictures["left_out"] == {"without digit": 3}


def test_names_that_are_no_files_are_told_by_their_lines(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame.loc[[3, 29], "file"] = ["photos/none.png", None]
    path = written(tmp_path, frame[["file", "digit"]])

    assert refusal(path, target="digit") == (
        f"{path}, column 'file': must name pictures, beside the list or by absolute paths; these "
        "are no files: line 5 'photos/none.png', line 31 nothing."
    )


def test_what_cannot_be_asked_of_a_list_is_refused(frame: pd.DataFrame, tmp_path: Path) -> None:
    path = written(tmp_path, frame[["file"]])
    assert "needs a target" in refusal(path)

    path = written(tmp_path, frame[["file", "digit"]].assign(digit="same"))
    assert "a target must have two values or more" in refusal(path, target="digit")
    assert refusal(path, target="digit", group="file") == (
        f"--group is for tables; {path} holds pictures."
    )
    path = written(tmp_path, frame[["file", "digit"]].iloc[:12])
    assert refusal(path, target="digit") == (
        f"Each class must have 3 pictures or more, one for each split; in {path} '1' has 2. Add "
        "pictures, or leave the class out."
    )
