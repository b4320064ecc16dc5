"""A search in a notebook, in a real kernel: what its cells show, and what user code is told."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.ray, pytest.mark.slow]

SPACE = """
import json
import keras
import numpy as np
import pipeline
from pipeline import Experiment, open_run, tune


def note(where):
    trial = pipeline.trial()
    if trial is not None:  # the check before the search is no trial
        with (trial.directory / "told.jsonl").open("a") as file:
            print(json.dumps([where, trial.name]), file=file)


class Noting(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        note("callback")


class Space:
    def build(self, hp, data):
        note("build")
        layers = [keras.Input(data.shape), keras.layers.Dense(data.classes, activation="softmax")]
        model = keras.Sequential(layers)
        rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
        hp.Fixed("always", "the same")
        model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, *args, callbacks, **kwargs):
        note("fit")
        return model.fit(*args, callbacks=[*callbacks, Noting()], **kwargs)


x = np.random.default_rng(0).normal(size=(200, 3))
y = x.argmax(axis=1)
asked = {"search_space": Space(), "trials": 2, "max_epochs": 2, "max_concurrent": 2, "name": "mine"}
"""
CELLS = [
    SPACE,
    "run = tune(Experiment(dataset=(x, y), **asked))",
    "run",
    "open_run('runs/mine')",
    "tune(Experiment(dataset=(x, y), **asked), resume='runs/mine').best == run.best",
    "tune(Experiment(dataset=(x + 1, y), **asked), resume='runs/mine')",
    "tune(Experiment(dataset=(x, y), **asked | {'trials': 3}), resume='runs/mine', quiet=True);",
]
IMPORTS, SEARCH, RUN, OPENED, AGAIN, OTHERS, QUIET = range(len(CELLS))


class Client(NotebookClient):
    """Keeps what draws a display anew: the notebook has the last of it alone."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.drawings = []

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] in ("display_data", "update_display_data"):
            self.drawings.append((cell_index, msg["msg_type"], msg["content"]))
        return super().process_message(msg, cell, cell_index)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What each cell showed at the end, what was drawn on the way, and the notebook's folder."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(ROOT))
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
            patched.setenv(name, str(folder / "jupyter"))
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
        client = Client(notebook, timeout=250, allow_errors=True)
        client.resources["metadata"] = {"path": str(folder)}
        client.execute()
    return [cell.outputs for cell in notebook.cells], client.drawings, folder


def test_a_search_is_one_display_of_plain_html_that_is_drawn_anew(shown):
    outputs, drawings, _ = shown
    assert outputs[IMPORTS] == []
    (output,) = outputs[SEARCH]  # no line of Ray's, Tune's, TensorFlow's or a library's beside it
    assert output["output_type"] == "display_data"
    html = output["data"]["text/html"]
    assert '<td style="text-align:left">val_accuracy, maximised</td>' in html
    assert "<th>val_accuracy</th><th>learning_rate</th></tr>" in html and "<script" not in html
    assert "<td>t0000</td>" in html and "<td>t0001</td>" in html
    assert "<div>2/2 trials · " in html and " left" not in html and "…" not in html

    assert {cell for cell, *_ in drawings} == {SEARCH}
    kinds = [kind for _, kind, _ in drawings]
    assert kinds[0] == "display_data" and set(kinds[1:]) == {"update_display_data"}
    assert len({content["transient"]["display_id"] for *_, content in drawings}) == 1
    texts = [content["data"]["text/html"] for *_, content in drawings]
    assert "Loading data, checking the search space …" in texts[0] and texts[-1] == html
    seconds = json.loads((shown[2] / "runs/mine/summary.json").read_text())["wall_clock_s"]
    assert 4 < len(texts) < 10 + seconds  # one a second, and one for each step


def test_the_run_is_shown_and_opened_as_a_table(shown):
    outputs, _, _ = shown
    for cell in (RUN, OPENED):
        (output,) = outputs[cell]
        assert output["data"]["text/plain"].startswith("trials           2 (")
        assert '<td style="text-align:left">runs/mine</td>' in output["data"]["text/html"]


def test_a_run_on_arrays_goes_on_with_the_same_and_refuses_others(shown):
    outputs, _, folder = shown
    settings = (folder / "runs/mine/experiment.yaml").read_text()
    assert "dataset:\n  object: arrays\n  sha256: " in settings
    (same,) = outputs[AGAIN]
    assert same["data"]["text/plain"] == "True"
    (refused,) = outputs[OTHERS]
    assert refused["ename"] == "RequestError"
    assert refused["evalue"].startswith("A resumed run keeps its dataset; runs/mine/experiment.")


def test_build_fit_and_callbacks_of_each_trial_were_told_its_name(shown):
    for trial in ("t0000", "t0001"):
        told = (shown[2] / "runs/mine/trials" / trial / "own/told.jsonl").read_text().splitlines()
        once = [["build", trial], ["fit", trial], ["callback", trial]]
        told = list(map(json.loads, told))
        assert told and told == once * (len(told) // 3)  # again, where it was paused


def test_quiet_shows_nothing(shown):
    assert shown[0][QUIET] == []
