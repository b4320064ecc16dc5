"""The command line's options are the fields of `Experiment`."""

from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from pipeline.command.options import WITHOUT, options, with_options
from pipeline.command.reference import page
from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.run import app
from pipeline.settings_text import seconds_in

ROOT = Path(__file__).parents[2]


def test_every_setting_has_an_option_or_is_listed_as_without() -> None:
    command: Any = typer.main.get_command(app)
    taken = {flag for parameter in command.params for flag in parameter.opts}

    assert {option.field for option in options()} | WITHOUT.keys() == set(Experiment.model_fields)
    assert {flag for option in options() for flag in option.flags} <= taken
    assert {"--max-retries-per-trial", "--max-consecutive-failed-trials"} <= taken


def test_every_setting_is_described_with_its_default() -> None:
    for name, field in Experiment.model_fields.items():
        assert field.description and field.description.endswith("."), name
    assert all(option.default for option in options())


@pytest.fixture
def given() -> Any:
    """Give a command line's options, and get the settings that they are read as."""

    def read(*line: str) -> Any:
        app, got = typer.Typer(), []

        @app.command()
        @with_options
        def command(*, dry: bool = False, given: dict[str, Any]) -> None:
            got.append((given, dry))

        result = CliRunner().invoke(app, line, catch_exceptions=False)
        return got[0] if got else result

    return read


def test_what_is_given_is_read_as_the_setting_is(given: Any) -> None:
    settings, dry = given(
        *("--trials", "3", "--time-budget", "1h30m", "--gpus-per-trial", "0.5", "--space", "cnn"),
        *("--reduction-factor", "2", "--max-retries-per-trial", "4", "--dry"),
    )

    assert dry
    assert settings == {
        "trials": 3,
        "time_budget_s": 5400.0,
        "gpus_per_trial": 0.5,
        "search_space": "cnn",
        "reduction_factor": 2.0,
        "max_retries_per_trial": 4,
    }
    assert Experiment(dataset="mnist", **settings).time_budget_s == 5400


def test_what_is_not_given_is_left_to_the_experiment(given: Any) -> None:
    assert given() == ({}, False)


def test_a_number_or_a_word_is_read_as_what_it_is(given: Any) -> None:
    assert given("--gpus-per-trial", "auto")[0] == {"gpus_per_trial": "auto"}
    assert given("--gpus-per-trial", "1")[0] == {"gpus_per_trial": 1.0}


def test_a_count_that_is_none_is_refused(given: Any) -> None:
    assert given("--keep-models", "many").exit_code == 2


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5h", 5400), ("1d2h3m4s", 93784)])
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert seconds_in("--time-budget", text) == seconds


def test_what_is_no_duration_is_refused(given: Any) -> None:
    with pytest.raises(RequestError) as refused:
        given("--epoch-timeout", "5 minutes")
    assert str(refused.value) == (
        "--epoch-timeout must be a duration like 90s, 10m or 1h30m; got '5 minutes'."
    )


def test_the_reference_page_is_up_to_date() -> None:
    assert page() == (ROOT / "docs" / "reference" / "options.md").read_text(), "make reference"
