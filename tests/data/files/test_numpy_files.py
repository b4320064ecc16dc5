"""Arrays in NumPy's files: what they may be called, where the targets are, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

from pipeline import Experiment
from pipeline.data.dataset import Dataset
from pipeline.data.files.data_file import DataFile
from pipeline.data.request import DataRequest
from pipeline.engine.same_search import with_lasting_names
from pipeline.errors import RequestError

X, Y = load_iris(return_X_y=True)
FLOATS = np.linspace(0, 1, len(X))


def loaded(path: Path, **asked: Any) -> Dataset:
    return DataFile(str(path), DataRequest(**asked))(0)


def refusal(path: Path, **asked: Any) -> str:
    with pytest.raises(RequestError) as refused:
        loaded(path, **asked)
    return str(refused.value)


def test_a_wrong_label_is_named_by_the_array_and_the_file_that_it_is_in(tmp_path: Path) -> None:
    words = np.array(["a", "b"] * 10)
    wrong = np.array(["a", "c"])
    splits = {"x_train": X[:20], "y_train": words, "x_test": X[:2], "y_test": wrong}
    np.savez(tmp_path / "a.npz", **splits)
    np.savez(tmp_path / "train.npz", x=X[:20], y=words)
    np.savez(tmp_path / "test.npz", images=X[:2], labels=wrong)

    says = "must be one of the classes that train (a, b); got 'c'."
    assert refusal(tmp_path / "a.npz") == (f"{tmp_path / 'a.npz'}, row 1, column 'y_test': {says}")
    test = tmp_path / "test.npz"
    assert refusal(tmp_path / "train.npz", test=str(test)) == (
        f"{test}, row 1, column 'labels': {says}"
    )


@pytest.mark.parametrize(
    ("x", "y"),
    [
        *(("x", "y"), ("X", "Y"), ("X", "y"), ("data", "target"), ("inputs", "targets")),
        *(("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels")),
    ],
)
def test_arrays_are_found_by_the_names_that_people_give_them(
    tmp_path: Path, x: str, y: str
) -> None:
    np.savez(tmp_path / "a.npz", **{x: X, y: Y, "feature_names": np.array(["a", "b"])})

    data = loaded(tmp_path / "a.npz")

    assert data.counts == {"train": 90, "val": 30, "test": 30}
    assert (data.task, data.classes, data.class_names) == ("classification", 3, ("0", "1", "2"))
    assert data.x_train.dtype == np.float32 and data.name == "a"
    assert np.bincount(data.y_test).tolist() == [10, 10, 10]
    assert data.describe()["notes"] == [
        f"arrays of {tmp_path / 'a.npz'} that were left out: feature_names"
    ]


def test_splits_of_an_npz_are_used_as_they_are(tmp_path: Path) -> None:
    images = load_digits().images.astype(np.uint8)
    labels = load_digits().target
    np.savez_compressed(
        tmp_path / "a.npz",
        **{"train_images": images[:50], "train_labels": labels[:50, None]},
        **{"val_images": images[50:60], "val_labels": labels[50:60, None]},
        **{"test_images": images[60:80], "test_labels": labels[60:80, None]},
    )

    data = loaded(tmp_path / "a.npz")

    assert data.counts == {"train": 50, "val": 10, "test": 20}
    np.testing.assert_array_equal(data.x_test, images[60:80])
    np.testing.assert_array_equal(data.y_test, labels[60:80])
    assert data.dtype == "uint8"


def test_a_target_is_named_and_the_only_other_array_is_what_it_is_predicted_from(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "a.npz", X, FLOATS)
    np.savez(tmp_path / "b.npz", x=X, y=Y, amount=FLOATS)

    assert loaded(tmp_path / "a.npz", target="arr_1").task == "regression"
    data = loaded(tmp_path / "b.npz", target="amount")
    assert data.task == "regression" and data.shape == (4,)


def test_targets_are_read_as_a_tables_are(tmp_path: Path) -> None:
    words = np.array(["no", "yes"])[Y % 2]
    np.savez(tmp_path / "words.npz", x=X, y=words.astype("S"))
    np.savez(tmp_path / "signs.npz", x=X, y=Y % 2 * 2.0 - 1)
    np.savez(tmp_path / "amounts.npz", x=X, y=np.arange(len(X)))
    np.savez(tmp_path / "hot.npz", x=X, y=np.eye(3)[Y])

    assert loaded(tmp_path / "words.npz").class_names == ("no", "yes")
    assert loaded(tmp_path / "signs.npz").class_names == ("-1", "1")
    assert loaded(tmp_path / "amounts.npz").task == "regression"
    assert loaded(tmp_path / "signs.npz", task="regression").task == "regression"
    assert loaded(tmp_path / "hot.npz").target_shape == (3,)


def test_a_file_or_a_fraction_is_the_test(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    np.savez(tmp_path / "b.npz", x=X[::10], y=Y[::10])
    np.savez(tmp_path / "c.npz", x_train=X, y_train=Y, x_test=X[:9], y_test=Y[:9])
    c = tmp_path / "c.npz"

    assert loaded(tmp_path / "a.npz", test=0.5).counts["test"] == 75
    assert loaded(tmp_path / "a.npz", test=str(tmp_path / "b.npz")).counts == {
        **{"train": 120, "val": 30, "test": 15}
    }
    assert refusal(c, test=str(tmp_path / "b.npz")) == (
        f"--test must not be given beside a test split; {c} has x_test."
    )
    assert refusal(c, test=0.5) == (
        f"--test must not be a fraction where there is a test split; {c} has one."
    )
    assert refusal(tmp_path / "a.npz", test="b.csv") == (
        "--test must be an .npz file, or a fraction; got 'b.csv'."
    )


def test_targets_of_an_npy_lie_beside_it_or_in_a_column(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    np.save(tmp_path / "both.npy", np.column_stack([X, Y]))

    beside = loaded(tmp_path / "x.npy", target=str(tmp_path / "y.npy"))
    column = loaded(tmp_path / "both.npy", target="4")

    np.testing.assert_array_equal(beside.x_train, column.x_train)
    np.testing.assert_array_equal(beside.y_train, column.y_train)
    assert column.classes == 3
    assert loaded(tmp_path / "both.npy", target="-1").classes == 3
    assert loaded(tmp_path / "both.npy", target="0", task="regression").shape == (4,)


def test_a_structured_array_is_a_table(tmp_path: Path) -> None:
    rows = np.empty(len(X), [("length", "f8"), ("kind", "S5"), ("price", "f4")])
    rows["length"], rows["kind"], rows["price"] = X[:, 0], np.array(["a", "b"])[Y % 2], FLOATS
    np.save(tmp_path / "a.npy", rows)

    data = loaded(tmp_path / "a.npy", target="kind", drop=("price",))

    assert data.class_names == ("a", "b")
    columns = {column["name"]: column["kind"] for column in data.describe()["columns"]}
    assert columns["length"] == "number"
    assert "there is no 'x'" in refusal(tmp_path / "a.npy", target="x")


def test_an_experiment_takes_them_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y)

    experiment = Experiment(dataset=str(tmp_path / "a.npz"))

    assert experiment.search_space == "mlp"
    assert experiment.resolved_dataset()(0).classes == 3


# What is refused.


def test_objects_are_not_loaded(tmp_path: Path) -> None:
    objects = np.array([{}, None, []], dtype=object)
    np.savez(tmp_path / "a.npz", x=objects, y=Y[:3])
    np.save(tmp_path / "a.npy", objects)
    ending = (
        "must hold numbers or text; it holds Python objects, which are not loaded: they could run "
        "any code. Save it with another dtype, such as float32."
    )

    assert refusal(tmp_path / "a.npz") == f"{tmp_path / 'a.npz'}, array 'x' {ending}"
    assert refusal(tmp_path / "a.npy", target="0") == f"{tmp_path / 'a.npy'} {ending}"


def test_a_file_that_is_cut_off_damaged_or_another_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    np.save(tmp_path / "a.npy", X)
    must = "must be a file of arrays that can be read"
    for path, asked in ((tmp_path / "a.npz", {}), (tmp_path / "a.npy", {"target": "0"})):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert refusal(path, **asked) == f"{path} {must}; it is cut off, or damaged."
        path.write_bytes(b"")
        assert refusal(path, **asked) == f"{path} {must}; it is cut off, or damaged."
        path.write_text("no arrays, but text")
        assert refusal(path, **asked) == f"{path} {must}; it is no file of NumPy's."
        path.unlink()
        assert refusal(path, **asked) == f"Data must exist; there is no file {str(path)!r}."


def test_damaged_bytes_anywhere_are_an_answer_and_no_traceback(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=X, y=Y)
    whole = np.frombuffer((tmp_path / "a.npz").read_bytes(), np.uint8)
    refused = 0
    for place in np.random.default_rng(0).integers(0, len(whole), 60):
        bad = whole.copy()
        bad[place] ^= 255
        (tmp_path / "bad.npz").write_bytes(bad.tobytes())
        try:
            loaded(tmp_path / "bad.npz")
        except RequestError:
            refused += 1
    assert refused > 30


def test_each_kind_of_file_is_told_from_the_other(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=X, y=Y)
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")

    assert refusal(tmp_path / "a.npz") == (
        f"{tmp_path / 'a.npz'} must be an .npz file; it holds one array, as .npy files do."
    )
    assert refusal(tmp_path / "b.npy") == (
        f"{tmp_path / 'b.npy'} must be one array; it holds several, as .npz files do."
    )


def test_arrays_that_are_not_found_are_asked_for_with_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, first=X, second=Y)
    assert refusal(path) == (
        f"{path} must have inputs and targets, as x and y, or x_train and y_train; its arrays: "
        "first, second. --target NAME names the targets."
    )
    assert refusal(path, target="secnd") == (
        f"target must name an array of {path}; there is no 'secnd'. Its arrays: first, second. Did "
        "you mean 'second'?"
    )

    np.savez(path, x=X, images=X, y=Y)
    assert refusal(path) == (
        f"{path} must have one array of inputs and one of targets for train; it has x, images, y."
    )
    np.savez(path, x=X, y=Y, x_test=X)
    assert refusal(path) == (
        f"{path} must have one array of inputs and one of targets for test; it has x_test."
    )


def test_inputs_and_targets_are_of_one_length(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y[1:])
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y[1:])

    assert refusal(tmp_path / "a.npz") == (
        f"{tmp_path / 'a.npz'}: x and y must be of one length; got 150 and 149."
    )
    assert refusal(tmp_path / "x.npy", target=str(tmp_path / "y.npy")) == (
        f"{tmp_path / 'x.npy'}: {tmp_path / 'y.npy'} must be of one length; got 150 and 149."
    )


def test_the_test_examples_of_a_matrix_may_be_in_another(tmp_path: Path) -> None:
    path, test = tmp_path / "both.npy", tmp_path / "later.npy"
    np.save(path, np.column_stack([X, Y])[:120])
    np.save(test, np.column_stack([X, Y])[120:])
    data = loaded(path, target="4", test=str(test))

    np.testing.assert_array_equal(data.x_test, X[120:].astype("float32"))
    np.testing.assert_array_equal(data.y_test, Y[120:])
    assert len(data.x_train) + len(data.x_val) == 120

    np.save(test, X[120:])
    assert refusal(path, target="4", test=str(test)) == (
        f"{test} must have the columns of the training examples, 5; its shape is (30, 4)."
    )
    assert refusal(path, target="4", test="later.npz") == (
        "--test must be an .npy file, or a fraction; got 'later.npz'."
    )


def test_the_target_of_an_npy_is_asked_for_and_checked(tmp_path: Path) -> None:
    path, cube = tmp_path / "x.npy", tmp_path / "cube.npy"
    np.save(path, X)
    np.save(cube, np.zeros((5, 2, 2)))

    assert refusal(path) == (
        f"{path} needs targets: --target FILE.npy, or the number of a column, 0 to 3."
    )
    assert refusal(cube) == f"{cube} needs targets: --target FILE.npy."
    assert refusal(path, target="price") == (
        f"target must be an .npy file, or the number of a column of {path}; got 'price'."
    )
    assert refusal(path, target="4") == f"target must be a column of {path}, 0 to 3; got 4."
    assert refusal(cube, target="0") == (
        f"{cube} must have two axes, and two columns or more, for a target column; its shape is "
        "(5, 2, 2)."
    )
    assert refusal(path, target=str(path), test="more.npy") == (
        "--test must be a fraction where targets are in a file of their own; got more.npy."
    )
    rows = np.zeros(3, [("a", "f4", (2,))])
    np.save(path, rows)
    assert "must have one value in each field of each row; its type is [('a'" in refusal(
        path, target="a"
    )


def test_what_is_for_tables_or_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=X, y=Y)

    assert refusal(path, drop=("a",)) == f"--drop is for tables; {path} holds arrays."
    assert refusal(path, kinds={"a": "text"}) == f"--column is for tables; {path} holds arrays."
    assert refusal(path, image_size=(4, 4)) == (
        f"--image-size is for pictures in files; {path} is of none."
    )


def test_a_target_of_one_value_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=np.zeros(len(X)))

    assert refusal(tmp_path / "a.npz") == (
        f"{tmp_path / 'a.npz'}, column 'y': a target must have two values or more; it is '0.0' "
        "throughout."
    )


def test_a_run_keeps_the_files_of_targets_and_tests_by_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    kept = with_lasting_names(Experiment(dataset="x.npy", target="y.npy", test="more.csv"))

    assert (kept.dataset, kept.target, kept.test) == (
        *(str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), str(tmp_path / "more.csv")),
    )
    kept = with_lasting_names(Experiment(dataset="x.npy", target="3", test=0.3))
    assert (kept.target, kept.test) == ("3", "0.3")
