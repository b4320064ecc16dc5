"""Folders of pictures: the handwritten digits, written out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits


def write_digits(root: Path, classes: int, each: int, ending: str = "png") -> Path:
    """One folder a digit, `each` pictures in it."""
    digits = load_digits()
    for digit in range(classes):
        folder = root / f"digit{digit}"
        folder.mkdir(parents=True)
        for row in np.flatnonzero(digits.target == digit)[:each]:
            grey = (digits.images[row] * 255 / 16).astype(np.uint8)
            Image.fromarray(grey).save(folder / f"{row}.{ending}")
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of ten pictures."""
    return write_digits(tmp_path / "photos", 3, 10)
