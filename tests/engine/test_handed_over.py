"""The best model of a table leaves: it predicts, is exported, has a card, and answers requests."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import yaml

from pipeline.command.export import inputs_to_compare_by
from pipeline.worker.backends.exports import FORMATS
from pipeline.worker.serving.export import export, largest_difference
from tests.conftest import ROOT, free_port
from tests.data.tables.conftest import RAW

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(ray_cluster, tmp_path_factory):
    from pipeline import Experiment, tune

    storage = tmp_path_factory.mktemp("runs")
    asked = Experiment(
        dataset=RAW, target="Species", trials=1, max_epochs=2, storage=str(storage), name="penguins"
    )
    return tune(asked, quiet=True)


@pytest.mark.parametrize("name", FORMATS)
def test_an_exported_model_says_the_same_in_its_own_runtime(name, run, tmp_path):
    model = run.best_model()
    path = tmp_path / FORMATS[name].file
    export(model, name, path)
    export(model, name, path)  # in the place of the first
    rows, what = inputs_to_compare_by(run, model)

    assert what == "32 rows of penguins-raw.csv"
    assert largest_difference(model, name, path, rows) < 1e-5
    told = FORMATS[name].run(path, rows)
    expected = model.predict(rows, verbose=0)
    assert np.allclose(told, expected, atol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == [FORMATS[name].file]  # nothing half-made


def test_the_card_says_what_the_records_say(run):
    head, _, body = (run.layout.best / "README.md").read_text()[4:].partition("\n---\n")
    head = yaml.safe_load(head)
    summary = run.summary

    assert head["library_name"] == "keras" and head["pipeline_tag"] == "tabular-classification"
    assert head["metrics"] == list(summary["scores"]["test"])
    for said in (
        "predicts a class of `Species`",
        "`Chinstrap penguin (Pygoscelis antarctica)`",
        "206 train, 69 validate, 69 are kept for the test",
        f"SHA-256 of penguins-raw.csv: `{hashlib.sha256(Path(RAW).read_bytes()).hexdigest()}`",
        "Source: penguins-raw.csv",
        f"1 configuration was tried in {summary['epochs']} epochs",
        f"accuracy {summary['scores']['test']['accuracy']['value']:.4g} [",
        "majority class 0.4348",
        "keras 3.",
    ):
        assert said in body


def test_the_server_answers_and_refuses_what_is_wrong(run):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "serve:app", "--port", str(port)],
        cwd=run.layout.best,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while True:
            try:
                about = requests.get(address, timeout=5)
                break
            except requests.ConnectionError:
                assert process.poll() is None and time.monotonic() < until, "no server"
                time.sleep(0.2)
        assert about.json()["target"] == "Species"
        rows = json.loads(pd.read_csv(RAW)[:3].to_json(orient="records"))
        told = requests.post(f"{address}/predict", json=rows, timeout=60)
        assert told.status_code == 200, told.text
        expected = run.predict(RAW)[:3]
        assert [row["prediction"] for row in told.json()] == expected["prediction"].tolist()
        lacking = [{k: v for k, v in row.items() if k != "Island"} for row in rows]
        refused = requests.post(f"{address}/predict", json=lacking, timeout=60)
        assert refused.status_code == 422 and "Island" in refused.text
        rows[0]["Body Mass (g)"] = "heavy"
        refused = requests.post(f"{address}/predict", json=rows, timeout=60)
        assert refused.status_code == 422
        assert "column 'Body Mass (g)': must be a number; got 'heavy'." in refused.json()["detail"]
        assert requests.post(f"{address}/predict", json=[], timeout=60).status_code == 422
    finally:
        process.terminate()
        process.wait()
