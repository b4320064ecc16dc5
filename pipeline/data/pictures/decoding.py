"""One picture, or several, from files to arrays of one size and one number of channels."""

import io
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.arrays import Array
from pipeline.data.pictures.sources import Encoded, Files, Source
from pipeline.errors import LISTED, RequestError, one_line

GREY, COLOUR = 1, 3  # channels
ORIENTATION = 0x0112  # the EXIF tag
TURNED = (5, 6, 7, 8)  # its values that exchange height and width


@dataclass(frozen=True)
class Header:
    """What a picture's first bytes say: pixels, as it is looked at, and whether it is grey."""

    height: int
    width: int
    grey: bool


class Undecodable(ValueError):
    """A file is no picture that can be decoded; it says why."""


def header(encoded: Encoded) -> Header:
    """The size of a picture, without its pixels.

    Raises:
        Undecodable: it is no picture.
    """
    with _opened(encoded) as picture:
        width, height = picture.size
        # a PNG that has not said it yet would be decoded to find out
        told = picture.format != "PNG" or "exif" in picture.info
        if told and picture.getexif().get(ORIENTATION) in TURNED:
            height, width = width, height
        grey = picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith("I;16")
        return Header(height, width, grey)


def decoded(encoded: Encoded, size: tuple[int, int], channels: int) -> Array:
    """One picture as uint8 `(height, width, channels)`.

    It is turned as its EXIF tag says, what is transparent is white, and it is resized by
    antialiased bilinear interpolation to `size`, which does not keep its aspect.

    Args:
        encoded: the file, or its bytes; of several pictures in it the first counts.
        size: height and width in pixels.
        channels: 1 for grey, 3 for red, green and blue.

    Raises:
        Undecodable: it is no picture.
    """
    from PIL import Image, ImageOps

    with _opened(encoded) as opened:
        picture = _in_eight_bits(ImageOps.exif_transpose(opened))
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture)
        picture = picture.convert("L" if channels == GREY else "RGB")
        if picture.size != size[::-1]:
            picture = picture.resize(size[::-1], Image.Resampling.BILINEAR)
        return np.asarray(picture, np.uint8).reshape(*size, channels)


def read_pictures(paths: Sequence[str | Path], size: tuple[int, int], channels: int) -> Array:
    """Pictures as uint8 `(n, height, width, channels)`; see `decoded`.

    Args:
        paths: the files.
        size: height and width in pixels.
        channels: 1 for grey, 3 for red, green and blue.

    Raises:
        RequestError: some are no pictures; names them.
    """
    found = np.empty((len(paths), *size, channels), np.uint8)
    check(list(decode_into(found, Files(paths), range(len(paths)))), len(paths))
    return found


def decode_into(found: Array, source: Source, rows: Iterable[int]) -> Iterator[str]:
    """Decode the pictures of some rows into an array `(n, height, width, channels)`.

    Yields:
        After each picture what is wrong with it; empty if nothing is.
    """
    _, height, width, channels = found.shape
    for row in rows:
        try:
            found[row] = decoded(source.picture(row), (height, width), channels)
        except Undecodable as error:
            yield f"{source.called(row)} ({error})"
        else:
            yield ""


def headers(source: Source) -> list[Header]:
    """The header of each picture.

    Raises:
        RequestError: some are no pictures; names them.
    """
    found, faults = [], []
    for row in range(len(source)):
        try:
            found.append(header(source.picture(row)))
        except Undecodable as error:
            faults.append(f"{source.called(row)} ({error})")
    check(faults, len(source))
    return found


def check(faults: Iterable[str], count: int) -> None:
    """Refuse pictures of which some do not decode; of the others the fault is empty.

    Raises:
        RequestError: names them.
    """
    faults = [fault for fault in faults if fault]
    if faults:
        more = f" and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        raise RequestError(
            f"Pictures must decode; {len(faults)} of {count} "
            f"{'does' if len(faults) == 1 else 'do'} not: {', '.join(faults[:LISTED])}{more}. "
            "Mend them, or move them elsewhere."
        )


@contextmanager
def _opened(encoded: Encoded) -> Iterator[Any]:
    """A picture, lazily.

    Raises:
        Undecodable: in place of whatever Pillow raises, here or while it is used.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd in a picture, but can be decoded
            with Image.open(encoded) as picture:
                yield picture
    except Undecodable:
        raise
    except UnidentifiedImageError:
        empty = not (
            encoded.getbuffer().nbytes
            if isinstance(encoded, io.BytesIO)
            else os.path.getsize(encoded)
        )
        raise Undecodable("it is empty" if empty else "it is no picture") from None
    except OSError as error:
        raise Undecodable(one_line(error.strerror or str(error))) from error
    except Exception as error:  # of a damaged file: SyntaxError, ValueError, struct.error, …
        raise Undecodable(one_line(str(error)) or type(error).__name__) from error


def _in_eight_bits(picture: Any) -> Any:
    """The same with 8 bits a channel; Pillow would cut off what is above 255.

    Raises:
        Undecodable: it holds numbers, whose black and white nobody knows.
    """
    from PIL import Image

    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise Undecodable("it holds numbers of 32 bits, not of 8 or 16")
    return picture
