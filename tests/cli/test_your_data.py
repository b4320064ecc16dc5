"""docs/your-data.md: its commands and its Python, one after the other, in an empty folder."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pipeline import load_model
from tests.conftest import ROOT
from tests.data.tables.conftest import FOLDER

BLOCKS = re.findall(
    r"```(console|python)\n(.*?)```", (ROOT / "docs" / "your-data.md").read_text(), re.DOTALL
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_the_page_says_works_in_its_order(tmp_path):
    shutil.copy(FOLDER / "penguins.csv", tmp_path)
    said = []
    for language, text in BLOCKS:
        if language == "console":
            words = text.strip().removeprefix("$ python ").split()
        else:
            words = ["-c", text]
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{text}{done.stdout}{done.stderr}"
        said.append(done.stdout)
    plan, search, predicted, python, exported = said

    shown = "".join(
        re.findall(r"```text\n(.*?)```", (ROOT / "docs" / "your-data.md").read_text(), re.DOTALL)
    )
    for line in shown.strip().splitlines():
        assert line.split() in [other.split() for other in plan.splitlines()], line
    assert "test scores" in search and "logistic regression" in search
    assert predicted == "344 predictions: predictions.csv\n"
    table = pd.read_csv(tmp_path / "predictions.csv")
    truth = pd.read_csv(tmp_path / "penguins.csv")["species"]
    assert (table["prediction"] == truth).mean() > 0.9
    again = load_model(tmp_path / "runs" / "penguins").predict(tmp_path / "penguins.csv")
    assert (table["prediction"] == again["prediction"]).all()
    assert np.allclose(table.iloc[:, 1:], again.iloc[:, 1:], atol=1e-5)
    assert "probability_Chinstrap" in python
    difference = exported.strip().rstrip(".").split()[-1]
    assert "on 32 rows of penguins.csv: largest difference" in exported
    assert float(difference) < 1e-5
    for name in ("model.keras", "preprocessing.json", "README.md", "serve.py", "confusion.csv"):
        assert (tmp_path / "runs" / "penguins" / "best" / name).is_file()
