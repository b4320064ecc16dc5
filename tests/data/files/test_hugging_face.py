"""Folders in the form of Hugging Face's `save_to_disk`: tables and pictures, one split and several."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits, load_wine

from pipeline import Experiment
from pipeline.data.dataset import Dataset
from pipeline.data.files.data_file import DataFile
from pipeline.data.pictures.pictures import PictureDataset
from pipeline.data.request import DataRequest
from pipeline.errors import RequestError

WINES = load_wine(as_frame=True).frame
NAMES = ["barolo", "grignolino", "barbera"]
LABEL = {"names": NAMES, "_type": "ClassLabel"}
FLOAT = {"dtype": "float64", "_type": "Value"}


def wines(rows: Any = slice(None)) -> pa.Table:
    return pa.Table.from_pandas(WINES.iloc[rows], preserve_index=False)


def features(**more: Any) -> dict[str, Any]:
    return {n: FLOAT for n in WINES.columns} | {"target": LABEL} | more


def saved(folder: Path, table: pa.Table, features: Mapping[str, Any], shards: int = 1) -> Path:
    """One split, as `Dataset.save_to_disk` lays it out."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{shards:05d}.arrow" for i in range(shards)]
    ends = np.linspace(0, len(table), shards + 1).astype(int)
    for name, start, end in zip(names, ends, ends[1:], strict=False):
        with (
            pa.OSFile(str(folder / name), "wb") as sink,
            pa.ipc.new_stream(sink, table.schema) as w,
        ):
            w.write_table(table.slice(start, end - start), max_chunksize=50)
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "cf7a0bd7ac5c3e5b",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    (folder / "state.json").write_text(json.dumps(state, indent=2))
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2))
    return folder


def saved_dict(folder: Path, splits: Mapping[str, pa.Table], features: Mapping[str, Any]) -> Path:
    """Several splits, as `DatasetDict.save_to_disk` lays them out."""
    for name, table in splits.items():
        saved(folder / name, table, features)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return folder


def pictures(rows: Any = slice(None), **columns: Any) -> pa.Table:
    """The digits as PNGs in bytes, as an Image feature holds them."""
    import io

    from PIL import Image

    digits = load_digits()
    found = []
    for grey in digits.images[rows]:
        Image.fromarray((grey * 255 / 16).astype(np.uint8)).save(held := io.BytesIO(), "PNG")
        found.append({"bytes": held.getvalue(), "path": None})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table({"image": pa.array(found, kind), "label": digits.target[rows], **columns})


DIGITS = {
    "image": {"_type": "Image"},
    "label": {"names": list("abcdefghij"), "_type": "ClassLabel"},
}


def loaded(path: Path, **asked: Any) -> Dataset:
    return DataFile(str(path), DataRequest(**asked), str(path.parent / "runs"))(0)


def refusal(path: Path, **asked: Any) -> str:
    with pytest.raises(RequestError) as refused:
        loaded(path, **asked)
    return str(refused.value)


# Tables.


def test_columns_are_a_tables_and_labels_have_their_names(tmp_path: Path) -> None:
    path = saved(tmp_path / "wines", wines(), features(), shards=3)

    data = loaded(path, target="target")

    assert data.class_names == tuple(sorted(NAMES))
    assert sum(data.counts.values()) == len(WINES)
    assert {column["kind"] for column in data.describe()["columns"]} == {"number"}
    assert Experiment(dataset=str(path), target="target").search_space == "mlp"


def test_splits_are_used_as_they_are(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).permutation(len(WINES))
    path = saved_dict(
        tmp_path / "wines",
        {"train": wines(rows[:100]), "validation": wines(rows[100:140]), "test": wines(rows[140:])},
        features(),
    )

    data = loaded(path, target="target")

    assert data.counts == {"train": 100, "val": 40, "test": 38}
    names = [NAMES[label] for label in WINES["target"].iloc[rows[140:]]]
    assert [data.class_names[label] for label in data.y_test] == names  # type: ignore[index]


def test_what_is_missing_of_the_splits_is_cut_from_the_training_rows(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).permutation(len(WINES))
    train, rest = wines(rows[:100]), wines(rows[100:])
    val = saved_dict(tmp_path / "a", {"train": train, "validation": rest}, features())
    test = saved_dict(tmp_path / "b", {"train": train, "test": rest}, features())

    assert loaded(val, target="target").counts == {"train": 80, "val": 78, "test": 20}
    assert loaded(test, target="target").counts == {"train": 80, "val": 20, "test": 78}


def test_a_test_split_without_labels_is_left_out_and_said(tmp_path: Path) -> None:
    hidden = wines(slice(0, 20))
    at = hidden.schema.get_field_index("target")
    hidden = hidden.set_column(at, "target", pa.array([-1] * 20, pa.int64()))
    path = saved_dict(
        tmp_path / "wines", {"train": wines(), "test": hidden, "extra": hidden}, features()
    )

    data = loaded(path, target="target")

    assert sum(data.counts.values()) == len(WINES)
    assert data.describe()["notes"] == [
        *("split extra was left out", "split test has no target and was left out")
    ]


def test_a_column_of_lists_is_named(tmp_path: Path) -> None:
    table = wines().append_column("tags", pa.array([["a", "b"]] * len(WINES)))
    path = saved(tmp_path / "wines", table, features(tags={"_type": "Sequence"}))

    assert f"{path}, row 0, column 'tags': must be one value" in refusal(path, target="target")
    assert f"{path}, row 0, column 'tags': must be one value" in refusal(path, target="tags")
    assert loaded(path, target="target", drop=("tags",)).classes == 3


# Pictures.


def test_a_column_of_pictures_is_decoded_and_labels_keep_their_order(tmp_path: Path) -> None:
    path = saved(tmp_path / "digits", pictures(slice(0, 300)), DIGITS, shards=2)

    data = loaded(path)

    assert isinstance(data, PictureDataset)
    assert (data.shape, data.dtype, data.classes) == ((8, 8, 1), "uint8", 10)
    assert data.class_names == tuple("abcdefghij")
    digits = load_digits()
    grey = (digits.images[:300] * 255 / 16).astype(np.uint8)
    shown = {image.tobytes(): label for image, label in zip(grey, digits.target, strict=False)}
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert [shown[image.tobytes()] for image in x] == y.tolist()
    assert Experiment(dataset=str(path)).search_space == "cnn"


def test_pictures_of_several_splits_are_decoded_by_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.data.pictures import prepared

    path = saved_dict(
        tmp_path / "digits",
        {"train": pictures(slice(0, 200)), "test": pictures(slice(200, 260))},
        DIGITS,
    )
    alone = loaded(path)
    monkeypatch.setattr(prepared, "WORTH_PIXELS", 0)
    monkeypatch.setattr(prepared, "usable_processes", lambda: 2)
    (path.parent / "runs").rename(path.parent / "earlier")

    together = loaded(path)

    assert alone.counts == {"train": 160, "val": 40, "test": 60}
    np.testing.assert_array_equal(alone.x_test, together.x_test)
    assert together.y_test.tolist() == load_digits().target[200:260].tolist()


def test_other_columns_and_pictures_without_labels_are_left_out_and_said(tmp_path: Path) -> None:
    labels = load_digits().target[:200].copy()
    labels[:5] = -1
    table = pictures(slice(0, 200), name=["x"] * 200).set_column(1, "label", pa.array(labels))
    path = saved(tmp_path / "digits", table, DIGITS | {"name": {"_type": "Value"}})

    data = loaded(path, target="label")

    assert isinstance(data, PictureDataset) and data.pictures
    assert data.pictures["left_out"] == {"other columns (name)": 1, "of train without label": 5}
    assert sum(data.counts.values()) == 195


def test_pictures_by_path_are_read_from_there(tmp_path: Path) -> None:
    table = pictures(slice(0, 100))
    structs = []
    for row, value in enumerate(table["image"].to_pylist()):
        (tmp_path / f"{row}.png").write_bytes(value["bytes"])
        structs.append({"bytes": None, "path": str(tmp_path / f"{row}.png")})
    by_path = table.set_column(0, "image", pa.array(structs, table["image"].type))

    assert loaded(saved(tmp_path / "digits", by_path, DIGITS)).shape == (8, 8, 1)


def test_a_picture_that_does_not_decode_is_named_by_its_row(tmp_path: Path) -> None:
    table = pictures(slice(0, 100))
    values = table["image"].to_pylist()
    values[7], values[9] = {"bytes": b"no picture", "path": None}, None
    path = saved(
        tmp_path / "digits",
        table.set_column(0, "image", pa.array(values, table["image"].type)),
        DIGITS,
    )

    assert refusal(path) == (
        f"Pictures must decode; 2 of 100 do not: row 7 of column 'image' in {path} (it is no "
        f"picture), row 9 of column 'image' in {path} (it is empty). Mend them, or move them "
        "elsewhere."
    )


# What is refused.


def test_files_that_are_not_as_they_are_written_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "wines", wines(), features())
    arrow, state = path / "data-00000-of-00001.arrow", path / "state.json"
    whole = arrow.read_bytes()

    arrow.write_bytes(whole[: len(whole) // 2])
    must = "must be an Arrow stream file that can be read"
    assert refusal(path, target="target") == f"{arrow} {must}; it is cut off, or damaged."
    arrow.unlink()
    assert refusal(path, target="target") == f"{arrow} {must}; No such file or directory."
    state.write_text(json.dumps({"_data_files": []}))
    assert refusal(path, target="target") == f"{state} must name Arrow files; it has none."
    state.write_text("{}")
    assert refusal(path, target="target") == (
        f"{state} must be as save_to_disk writes it; it has no '_data_files'."
    )


def test_a_split_to_train_on_is_asked_for(tmp_path: Path) -> None:
    path = saved_dict(tmp_path / "wines", {"a": wines(), "b": wines()}, features())
    one = saved_dict(tmp_path / "one", {"a": wines()}, features())

    assert refusal(path, target="target") == (
        f"{path} must have a split train; it has a, b. Give one split's folder."
    )
    assert loaded(path / "b", target="target").classes == 3
    assert loaded(one, target="target").classes == 3


def test_targets_and_columns_of_pictures_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "wines", wines(), features())
    assert "--target NAME" in refusal(path)
    assert "there is no 'price'" in refusal(path, target="price")

    table = pictures(slice(0, 100))
    two = saved(
        tmp_path / "two",
        table.append_column("more", table["image"]),
        DIGITS | {"more": DIGITS["image"]},
    )
    assert refusal(two, target="label") == (
        f"{two} must have one column of pictures; it has image, more. Leave the others out: --drop "
        "more."
    )
    assert loaded(two, drop=("more",)).classes == 10
    assert refusal(two, drop=("more",), target="image") == (
        f"target must be no column of pictures; 'image' is one of {two}."
    )
    split = saved_dict(tmp_path / "split", {"train": table, "test": table}, DIGITS)
    assert refusal(split, test=0.5) == (
        f"--test must not be given beside a test split; {split} has one."
    )
    assert refusal(split, test="more") == (
        "--test must be a fraction for pictures of Hugging Face's; got more."
    )


def test_a_target_of_pictures_is_one_value_and_in_every_split(tmp_path: Path) -> None:
    boxes = pictures(slice(0, 50), boxes=[[1.0, 2.0]] * 50)
    path = saved(tmp_path / "boxes", boxes, DIGITS | {"boxes": {"_type": "Sequence"}})
    assert refusal(path, target="boxes") == (
        f"{path}, column 'boxes': a target must be one value; it is list<item: double>."
    )

    path = saved_dict(tmp_path / "less", {"train": boxes, "test": boxes.select(["image"])}, DIGITS)
    assert refusal(path, target="label") == (
        f"{path / 'test'} must have the column 'label'; it has not."
    )


def test_a_label_that_is_null_is_none(tmp_path: Path) -> None:
    labels: list[Any] = load_digits().target[:100].tolist()
    labels[3] = None
    table = pictures(slice(0, 100)).set_column(1, "label", pa.array(labels, pa.int64()))

    data = loaded(saved(tmp_path / "digits", table, DIGITS))

    assert sum(data.counts.values()) == 99
