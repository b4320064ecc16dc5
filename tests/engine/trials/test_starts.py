"""Searches that begin with given configurations, on a real Ray with real Keras."""

import json
from pathlib import Path

import hyperopt.tpe
import pandas as pd
import pytest

from pipeline.errors import RequestError

SPACES = Path(__file__).parents[2] / "spaces"
NESTED = str(SPACES / "nested_fit.py")
pytestmark = pytest.mark.ray


@pytest.fixture
def file(tmp_path):
    """Write a start file."""

    def write(*configurations):
        path = tmp_path / "good.json"
        path.write_text(json.dumps(configurations))
        return str(path)

    return write


def configurations(run):
    names = [
        n for n in ("hidden", "units", "learning_rate", "batch_size", "patience") if n in run.trials
    ]
    return [
        {k: v for k, v in row.items() if pd.notna(v)}
        for row in run.trials[names].to_dict("records")
    ]


@pytest.mark.slow
def test_a_start_reaches_fit_and_what_it_leaves_out_is_the_default(search, file):
    starts = file({"batch_size": 32, "patience": 8}, {"patience": 8}, {"batch_size": 32}, {})
    run = search(
        search_space=NESTED,
        start_from=starts,
        searcher="random",
        trials=3,
        max_epochs=1,
        max_concurrent=1,
    )
    # The first and the third are the same, since patience is not asked for there.
    assert configurations(run)[:3] == [
        {"batch_size": 32},
        {"batch_size": 64, "patience": 8},
        {"batch_size": 64, "patience": 7},
    ]


@pytest.mark.slow
def test_a_resumed_search_needs_no_file_any_more_and_goes_on_as_it_would_have(
    search, file, tmp_path
):
    given = [
        {"hidden": True, "units": 12, "learning_rate": 0.05},
        {"learning_rate": 0.02, "units": 8},
        {"hidden": True},
    ]
    settings = {
        "start_from": file(*given),
        "searcher": "hyperopt",
        "max_epochs": 1,
        "max_concurrent": 1,
    }
    whole = search(trials=8, name="whole", **settings)
    assert configurations(whole)[:3] == [
        {"hidden": True, "units": 12, "learning_rate": 0.05},
        {"hidden": False, "learning_rate": 0.02},
        {"hidden": True, "units": 4, "learning_rate": 0.001},
    ]
    # the default was not asked for
    assert {"hidden": False, "learning_rate": 0.001} not in configurations(whole)
    cut = search(trials=2, name="cut", **settings)
    Path(settings["start_from"]).unlink()
    again = search(trials=8, resume=cut.directory, **settings)
    pd.testing.assert_frame_equal(
        again.trials.drop(columns="seconds"), whole.trials.drop(columns="seconds")
    )
    with pytest.raises(RequestError, match="A resumed run keeps its start_from"):
        search(trials=9, resume=cut.directory, **settings | {"start_from": None})


@pytest.mark.slow
def test_a_run_gives_its_best_and_tpe_its_results(search, monkeypatch):
    real, consulted = hyperopt.tpe.suggest, []

    def spy(*args, **kwargs):
        consulted.append(len(args[2].trials))
        return real(*args, **kwargs)

    monkeypatch.setattr(hyperopt.tpe, "suggest", spy)
    settings = {"max_epochs": 2, "max_concurrent": 1, "scheduler": "none"}
    first = search(trials=5, searcher="random", **settings)
    assert not consulted
    second = search(trials=3, searcher="hyperopt", start_from=str(first.directory), **settings)
    assert configurations(second)[0] == first.best.hyperparameters
    assert consulted == [6, 7]  # five of the first run, and those of its own that had ended
    with pytest.raises(
        RequestError,
        match="must have the same objective; .* has val_accuracy:max, and this search val_l",
    ):
        search(trials=3, objective="val_loss", start_from=str(first.directory), **settings)


def test_what_cannot_be_is_refused_before_anything_is_written(search, file, tmp_path):
    with pytest.raises(RequestError) as raised:
        search(start_from=file({"unitz": 8, "learning_rate": 7.0}))
    message = str(raised.value)
    assert (
        "Unknown hyperparameter 'unitz'. Known: hidden, learning_rate, units. Did you mean 'units'?"
        in message
    )
    assert (
        "Configuration 1: 'learning_rate' must be a number from 0.001 to 0.1; got 7.0." in message
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start-from", "none.json"], "none.json' does not exist."),
        (["--start-from", "."], "has no experiment.yaml."),
        (
            ["--start-from", "none.json", "--inline"],
            "--inline trains one random configuration; it cannot be combined",
        ),
    ],
)
def test_the_command_line_says_so_in_one_line(cli, tmp_path, arguments, message):
    code, output, errors = cli("digits", *arguments, cwd=tmp_path)
    assert code == 2
    assert message in errors and errors.count("\n") == 1 and errors.startswith("Error: ")
    assert not output
