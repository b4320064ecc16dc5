"""Real tables: the penguins of Palmer Station, as the package palmerpenguins ships them."""

from pathlib import Path

import palmerpenguins
import pandas as pd
import pytest

FOLDER = Path(palmerpenguins.__file__).parent / "data"
RAW = str(FOLDER / "penguins-raw.csv")


@pytest.fixture(scope="session")
def penguins():
    """344 penguins: categories, numbers, holes."""
    return pd.read_csv(FOLDER / "penguins.csv")


@pytest.fixture
def written(tmp_path):
    """Write a text to a file, and say where it is."""

    def write(text, name="data.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write
