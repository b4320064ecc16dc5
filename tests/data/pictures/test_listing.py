"""Which files of a folder are pictures, of which class, and what is left out."""

import os
import re
from pathlib import Path

import pytest

from pipeline.data.pictures.listing import list_folder, pictures_in
from pipeline.errors import RequestError


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def refusal(root: Path) -> str:
    with pytest.raises(RequestError) as refused:
        list_folder(str(root))
    return str(refused.value)


def test_a_folder_is_a_class_with_all_that_lies_in_it(tmp_path: Path) -> None:
    root = touched(tmp_path, "b/2.JPG", "b/deep/er/1.png", "a/1.jpeg", "a/x.webp")

    listing = list_folder(str(root))

    assert [os.path.relpath(path, root) for path in listing.paths["train"]] == [
        *("a/1.jpeg", "a/x.webp", "b/2.JPG", "b/deep/er/1.png")
    ]
    assert listing.labels == {"train": ["a", "a", "b", "b"]}
    assert listing.left_out == {}


def test_what_is_hidden_or_no_picture_is_left_out_and_counted(tmp_path: Path) -> None:
    root = touched(
        tmp_path,
        *(
            "a/1.png",
            "b/1.png",
            "a/.1.png",
            ".git/1.png",
            "a/notes.txt",
            "b/Thumbs.db",
            "cover.png",
        ),
    )

    listing = list_folder(str(root))

    assert listing.labels == {"train": ["a", "b"]}
    assert listing.left_out == {"hidden": 2, "no pictures": 2, "in no class's folder": 1}


def test_links_are_followed_and_a_link_to_its_own_folder_ends(tmp_path: Path) -> None:
    root = touched(tmp_path / "photos", "a/1.png", "b/1.png")
    touched(tmp_path, "elsewhere/2.png")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "loop").symlink_to(root)

    assert list_folder(str(root)).labels == {"train": ["a", "b", "c"]}


def test_train_and_test_are_splits_where_nothing_else_lies_beside_them(tmp_path: Path) -> None:
    root = touched(
        tmp_path,
        *("Training/a/1.png", "Training/b/1.png", "test/a/2.png", "validation/b/2.png"),
        "readme.txt",
    )

    listing = list_folder(str(root))

    assert listing.labels == {"train": ["a", "b"], "val": ["b"], "test": ["a"]}
    assert [os.path.relpath(path, root) for path in listing.files] == [
        *("Training/a/1.png", "Training/b/1.png", "validation/b/2.png", "test/a/2.png")
    ]
    assert listing.left_out == {"no pictures": 1}


def test_train_is_a_class_where_a_car_lies_beside_it(tmp_path: Path) -> None:
    root = touched(tmp_path, "train/1.png", "car/1.png")

    assert list_folder(str(root)).labels == {"train": ["car", "train"]}


def test_a_folder_without_classes_says_what_it_has(tmp_path: Path) -> None:
    must = "A folder of pictures must have one folder a class"
    empty = tmp_path / "empty"
    empty.mkdir()
    flat = touched(tmp_path / "flat", "1.png", "2.png")
    other = touched(tmp_path / "other", "a.txt", "b/c.doc")

    assert refusal(empty) == f"{must}; {empty} is empty."
    assert refusal(flat) == (
        f"{must}; {flat} has 2 pictures and no such folders. Put the pictures of each class in a "
        "folder of its own, or name them and their labels in a CSV."
    )
    assert refusal(other) == (
        f"{must}; {other} has neither pictures nor data that are known: 'a.txt', 'b'."
    )
    data = touched(tmp_path / "data", "a.txt", "rows.parquet")
    assert refusal(data) == (
        f"{must}; {data} has none, but data in files. Give one: {data / 'rows.parquet'}."
    )


def test_one_class_alone_is_refused_and_a_folder_too_deep_is_named(tmp_path: Path) -> None:
    one = touched(tmp_path / "one", "cat/1.png", "cat/2.png", "empty/a.txt")
    deep = touched(tmp_path / "deep", "photos/cat/1.png", "photos/dog/1.png")

    must = "Pictures must be of two classes or more"
    assert refusal(one) == f"{must}; {one} has the folder 'cat' alone."
    assert refusal(deep) == (
        f"{must}; {deep} has the folder 'photos' alone. If its folders are the classes, give "
        f"{deep / 'photos'}."
    )


def test_splits_have_the_classes_of_training_once_each(tmp_path: Path) -> None:
    more = touched(
        tmp_path / "more", "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"
    )
    twice = touched(
        tmp_path / "twice", "train/a/1.png", "train/b/1.png", "test/a/1.png", "testing/a/1.png"
    )

    assert refusal(more) == (
        f"The classes of {more / 'test'} must be among those of the training pictures (a, b); it "
        "has 'c' too."
    )
    assert refusal(twice) == (
        f"A folder of pictures must have one folder a split; {twice} has several for test: test, "
        "testing."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    root = touched(tmp_path, "a/1.png", "b/1.png")
    (root / "b").chmod(0)

    assert refusal(root) == (
        f"A folder of pictures must be readable; {root / 'b'}: Permission denied."
    )
    (root / "b").chmod(0o700)


def test_pictures_to_predict_are_paths_or_folders(tmp_path: Path) -> None:
    root = touched(tmp_path, "b/2.png", "a.jpg", "b/.hidden.png", "notes.txt")
    a, b = str(root / "a.jpg"), str(root / "b" / "2.png")

    assert pictures_in(root) == [a, b]
    assert pictures_in([b, a]) == [b, a]
    assert pictures_in(a) == [a]

    must = "Pictures must be given as a path, a list of paths or a folder"
    (tmp_path / "c").mkdir()
    for given, ending in (
        (f"{root}/none.png", f"there is no file '{root}/none.png'."),
        (3, "got a int."),
        ({"a": 1}, "got a dict."),
        (root / "c", f"{root / 'c'} has no pictures in it."),
    ):
        with pytest.raises(RequestError, match=re.escape(f"{must}; {ending}")):
            pictures_in(given)


def test_a_folder_whose_name_is_no_text_is_refused_and_a_picture_may_be_called_so(
    tmp_path: Path,
) -> None:
    root = touched(tmp_path, "a/1.png", "b/1.png", "c\n/1.png")
    assert refusal(root) == (
        f"A class must be called by text in one line; {root} has the folder 'c\\n'."
    )
    (root / "c\n").rename(root / "c")
    os.rename(root / "c" / "1.png", os.fsencode(root / "c") + b"/\xff.png")
    assert len(list_folder(str(root)).files) == 3
    os.rename(root / "c", os.fsencode(root) + b"/\xff")
    assert "has the folder '\\udcff'." in refusal(root)
