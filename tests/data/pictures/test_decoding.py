"""One picture from a file to an array: its size, its channels, which way is up, and what is no picture."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from pipeline.data.pictures.decoding import Header, Undecodable, decoded, header, read_pictures
from pipeline.errors import RequestError

RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def saved(path: Path, array: Any, mode: str | None = None, **how: Any) -> Path:
    picture = Image.fromarray(array)
    (picture if mode is None else picture.convert(mode)).save(path, **how)
    return path


def why(path: Path) -> str:
    with pytest.raises(Undecodable) as refused:
        decoded(path, (4, 4), 3)
    return str(refused.value)


def test_a_picture_of_that_size_is_its_pixels(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", RGB)

    assert header(path) == Header(4, 6, False)
    np.testing.assert_array_equal(decoded(path, (4, 6), 3), RGB)


def test_a_photograph_is_resized_as_pillow_does_it_without_keeping_its_aspect(
    tmp_path: Path,
) -> None:
    china = load_sample_images().images[0]
    path = saved(tmp_path / "china.png", china)

    found = decoded(path, (32, 100), 3)

    wanted = Image.fromarray(china).resize((100, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(wanted))
    # antialiased: each pixel is a mean of many, so that the whole keeps its mean
    assert abs(float(found.mean()) - float(china.mean())) < 1


def test_a_jpeg_is_turned_as_its_exif_tag_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    white_left = np.zeros((40, 80, 3), np.uint8)
    white_left[:, :40] = 255
    path = saved(tmp_path / "a.jpg", white_left, exif=exif)

    assert header(path) == Header(80, 40, False)
    found = decoded(path, (80, 40), 3)
    assert found[:30].mean() > 250 and found[50:].mean() < 5


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0] = 200, 100, 0, 255
    clear[0, 1] = 0, 0, 0, 128
    path = saved(tmp_path / "a.png", clear)

    found = decoded(path, (2, 2), 3)
    assert found[0, 0].tolist() == [200, 100, 0]
    assert found[0, 1].tolist() == [127] * 3
    assert found[1].tolist() == [[255] * 3] * 2


def test_a_palette_and_four_inks_become_red_green_and_blue(tmp_path: Path) -> None:
    flat = np.full((4, 4, 3), (255, 0, 0), np.uint8)

    for path in (
        saved(tmp_path / "a.gif", flat, "P"),
        saved(tmp_path / "a.tif", flat, "CMYK"),
    ):
        assert not header(path).grey
        assert decoded(path, (4, 4), 3)[0, 0].tolist() == [255, 0, 0]


def test_sixteen_bits_become_eight_and_stay_grey(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.array([[0, 256], [32768, 65535]], np.uint16))

    assert header(path).grey
    assert decoded(path, (2, 2), 1)[..., 0].tolist() == [[0, 1], [128, 255]]


def test_grey_with_transparency_is_grey_and_one_bit_is_black_and_white(tmp_path: Path) -> None:
    clear = saved(tmp_path / "a.png", np.array([[[9, 255], [0, 0]]], np.uint8))
    bits = saved(tmp_path / "b.png", np.array([[0, 255]], np.uint8), "1")

    assert header(clear).grey and header(bits).grey
    assert decoded(clear, (1, 2), 1)[..., 0].tolist() == [[9, 255]]
    assert decoded(bits, (1, 2), 1)[..., 0].tolist() == [[0, 255]]


def test_what_is_no_picture_says_why(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.jpg", load_sample_images().images[0]).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    saved(tmp_path / "floats.tif", np.zeros((2, 2), np.float32))

    assert "truncated" in why(tmp_path / "cut.jpg")
    assert why(tmp_path / "empty.png") == "it is empty"
    assert why(tmp_path / "text.png") == "it is no picture"
    assert why(tmp_path / "floats.tif") == "it holds numbers of 32 bits, not of 8 or 16"
    assert why(tmp_path / "none.png") == "No such file or directory"


def test_damaged_bytes_anywhere_are_an_answer_and_no_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for ending in ("png", "gif", "bmp", "tif", "jpg", "webp"):
        whole = np.frombuffer(saved(tmp_path / f"w.{ending}", RGB).read_bytes(), np.uint8)
        for place in rng.integers(0, len(whole), 30):
            bad = whole.copy()
            bad[place] ^= 255
            (tmp_path / f"bad.{ending}").write_bytes(bad.tobytes())
            try:
                decoded(tmp_path / f"bad.{ending}", (4, 6), 3)
            except Undecodable as error:
                assert str(error)


def test_pictures_come_as_one_array_and_all_that_do_not_decode_are_named(tmp_path: Path) -> None:
    good = [saved(tmp_path / f"{i}.png", RGB + i) for i in range(3)]
    np.testing.assert_array_equal(read_pictures(good, (4, 6), 3), np.stack([RGB, RGB + 1, RGB + 2]))

    bad = [tmp_path / "x.png", tmp_path / "y.png"]
    for path in bad:
        path.write_text("no picture")
    with pytest.raises(RequestError) as refused:
        read_pictures([*good, *bad], (4, 6), 3)
    assert re.fullmatch(
        r"Pictures must decode; 2 of 5 do not: '\S+x.png' \(it is no picture\), '\S+y.png' \(it is "
        r"no picture\)\. Mend them, or move them elsewhere\.",
        str(refused.value),
    )
