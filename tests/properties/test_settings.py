"""Every setting, from Python and from the command line: taken as it is meant, or refused in one
line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import KerasweepError, RequestError
from pipeline.experiment import LARGEST, LEAST_SHARE, OF_FILES, Experiment
from pipeline.objective import Objective
from pipeline.schedulers import SCHEDULERS
from pipeline.search import SEARCHERS
from pipeline.settings_text import seconds_in
from tests.properties.inputs import (
    TRIED,
    anything,
    carried_out_or_refused,
    command,
    numbers,
    outcome,
    texts,
    tried,
    unchanged,
)

pytestmark = pytest.mark.slow

TRACKER = f"{Path(__file__).parents[1] / 'trackers' / 'lines.py'}:Lines"
FIELDS = sorted(Experiment.model_fields)


def taken_or_refused(**settings: Any) -> None:
    experiment = outcome(lambda: Experiment(**settings))
    if isinstance(experiment, KerasweepError):
        return
    for name, value in settings.items():
        held = getattr(experiment, name)
        assert not isinstance(value, bool)
        value = tuple(value) if isinstance(value, list) else value
        assert held == value or isinstance(value, str | bytes), (name, value, held)
    if isinstance(experiment.dataset, str) and isinstance(experiment.search_space, str):
        assert Experiment.from_yaml(experiment.to_yaml(), "experiment.yaml") == experiment


@given(name=st.sampled_from(FIELDS), value=anything)
@example(name="trials", value=True)
@example(name="seed", value=10**5000)
@example(name="trials", value=-(10**5000))
@example(name="trials", value=10**400)
@example(name="max_epochs", value="9" * 5000)
@example(name="reduction_factor", value=1.0000001)
@example(name="cpus_per_trial", value=1e-320)
@example(name="time_budget_s", value=1e308)
@example(name="objective", value="val\nacc")
@example(name="objective", value="x" * 10**6)
@example(name="searcher", value="x" * 10**6)
@example(name="name", value="x" * 300)
@example(name="storage", value="\0")
@example(name="storage", value="\ud800")
@tried
def test_any_value_of_a_setting_is_taken_or_refused(name: str, value: Any) -> None:
    taken_or_refused(**{"dataset": "mnist"} | {name: value})


@given(st.dictionaries(st.sampled_from(FIELDS) | texts, anything, max_size=30))
@example({str(number): number for number in range(1000)})
@example({"x" * 10**6: 1})
@tried
def test_any_settings_together_are_taken_or_refused(settings: dict[str, Any]) -> None:
    taken_or_refused(**settings)


counts = st.integers(1, LARGEST)
paths = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)
seconds = st.floats(0, LARGEST, exclude_min=True)
shares = st.floats(LEAST_SHARE, 1) | st.integers(1, LARGEST)
POSSIBLE = {
    "dataset": paths | st.just("rows.csv"),
    "search_space": paths,
    "objective": st.none()
    | st.sampled_from(["val_loss", "accuracy", "auc_3", "mine:min", "a b:max"]),
    "searcher": st.sampled_from(sorted(SEARCHERS)),
    "scheduler": st.sampled_from(sorted(SCHEDULERS)),
    "trials": counts,
    "max_epochs": counts,
    "executions_per_trial": counts,
    "time_budget_s": st.none() | seconds,
    "epoch_timeout_s": st.none() | seconds,
    "grace_epochs": st.just(1),
    "reduction_factor": st.floats(1.1, LARGEST),
    "perturbation_interval": counts,
    "cpus_per_trial": shares,
    "gpus_per_trial": st.none() | shares | st.just(0) | st.just(-0.0) | st.just("auto"),
    "backend": st.none() | st.sampled_from(["auto", "jax", "torch"]),
    "fit_plan": st.sampled_from(["auto", "plain", "looped", "compiled", "fused"]),
    "max_concurrent": st.none() | counts,
    "max_retries_per_trial": st.integers(0, LARGEST),
    "max_consecutive_failed_trials": counts,
    "keep_models": counts,
    "cpus": st.none() | counts,
    "gpus": st.none() | st.integers(0, LARGEST),
    "address": st.none()
    | st.sampled_from(["auto", "10.0.0.1:6379", "[::1]:1", "head-1.net:65535"]),
    "start_from": st.none() | paths,
    "seed": st.integers(0, 2**32 - 1),
    "storage": paths.filter(lambda path: "://" not in path),
    "track": st.just(()) | st.just((TRACKER,)),
    "name": st.none() | st.from_regex(r"\A\w([\w.\- ]{0,40}[\w.\-])?\Z"),
    "target": st.none() | paths,
    "drop": st.lists(paths, max_size=3).map(tuple),
    "column": st.sampled_from([(), ("a,b=number",), ("a=text", "b=yes/no")]),
    "task": st.sampled_from([None, "classification", "regression"]),
    "test": st.none() | st.just("0.25") | paths,
    "image_size": st.sampled_from([None, "64", "48x64"]),
    "folds": st.none() | st.integers(2, LARGEST),
    "group": st.none() | paths,
    "time": st.none() | paths,
    "class_weight": st.sampled_from([None, "balanced"]),
}


def together(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that are possible each, with brackets that grow, and those of files for a file."""
    least = 2.0 if settings["scheduler"] == "hyperband" else 0.0
    settings = settings | {"reduction_factor": max(settings["reduction_factor"], least)}
    if settings["dataset"] != "rows.csv":
        settings |= {name: Experiment.model_fields[name].default for name in OF_FILES}
    if settings["scheduler"] == "pbt":
        settings["folds"] = None
    return settings


@given(st.fixed_dictionaries(POSSIBLE).map(together))
@tried
def test_possible_settings_are_taken_and_come_back_from_yaml(settings: dict[str, Any]) -> None:
    assert POSSIBLE.keys() == Experiment.model_fields.keys()
    experiment = Experiment(**settings)
    assert {name: getattr(experiment, name) for name in settings} == settings
    assert Experiment.from_yaml(experiment.to_yaml(), "experiment.yaml") == experiment


@given(texts | st.builds("{}:{}".format, texts, st.sampled_from(["min", "max", ""])))
@example("a\nb")
@example("Did you mean 'this'?")
@tried
def test_any_objective_is_read_or_refused(text: str) -> None:
    objective = outcome(lambda: Objective.parse(text))
    if isinstance(objective, Objective):
        assert Objective.parse(str(objective)) == objective


@given(texts | st.from_regex(r"\A(\d{1,4}(\.\d{1,3})?[smhd]?){1,4}\Z"))
@example("9" * 5000 + "d")
@tried
def test_any_duration_is_read_or_refused(text: str) -> None:
    duration = outcome(lambda: seconds_in("--time-budget", text))
    assert isinstance(duration, RequestError) or duration >= 0


# The command line.

OPTIONS = sorted(
    {word.strip(",") for word in command("--help")[1].split() if word.startswith("--")}
    - {"--inline"}  # trains in this process
)
values = texts | numbers.map(
    lambda number: format(number, "g") if isinstance(number, float) else hex(number)
)
good = st.sampled_from(
    [
        "mnist",
        "mlp",
        "random",
        "asha",
        "1",
        "2",
        "0.5",
        "90s",
        "val_loss",
        "auto",
        "10.0.0.1:1",
        "mine",
    ]
)
pairs = st.tuples(st.sampled_from(OPTIONS), good | values)
lines = st.builds(
    lambda dataset, given, more: [*dataset, *(word for pair in given for word in pair), *more],
    st.sampled_from([["mnist"], ["digits"], []]) | st.lists(texts, max_size=1),
    st.lists(pairs, max_size=5),
    st.sampled_from([[], [], ["--quiet"], ["--dry-run"]]) | st.lists(values, max_size=1),
)


def test_a_command_line_that_is_right_comes_to_where_ray_would_start(here: Path) -> None:
    assert carried_out_or_refused("mnist", "--quiet") == ""


@given(lines)
@tried
def test_any_command_line_is_carried_out_or_refused(here: Path, line: list[str]) -> None:
    if any(word.startswith("--i") for word in line):
        return
    with unchanged(here):
        carried_out_or_refused(*line)


@pytest.mark.parametrize(
    "line",
    [
        ["x" * 5000 + ".yaml"],
        ["x" * 5000],
        ["\0.yaml"],
        ["~nobody/x.py"],
        ["\udcff.py"],
        ["--" + "x" * 10**5],
        ["mnist", "--name", "x" * 300],
        ["mnist", "--storage", "~nobody/runs"],
        ["mnist", "--storage", "x" * 5000],
        ["mnist", "--start-from", "~nobody"],
        ["mnist", "--start-from", "x" * 5000],
        ["--resume", "x" * 5000],
        ["--resume", "\0"],
        ["mnist", "--\x1b[31m"],
        ["mnist", "--trials", "9" * 5000],
    ],
    ids=lambda line: " ".join(line)[:40],
)
def test_what_no_file_or_option_can_be_called_is_refused(here: Path, line: list[str]) -> None:
    with unchanged(here):
        carried_out_or_refused(*line)


def test_two_thousand_inputs_are_tried() -> None:
    assert sum(TRIED.values()) >= 2000
