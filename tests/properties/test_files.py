"""Files that a person writes: an experiment, configurations to start from."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import KerasweepError
from pipeline.experiment import Experiment
from pipeline.records.layout import Layout
from pipeline.records.starts import read_starts, recorded_starts, write_starts
from pipeline.search.starts import settled
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.starts import Starts
from pipeline.testing.searcher_simulation import trace_of
from tests.properties.inputs import (
    carried_out_or_refused,
    changed,
    deep,
    json_values,
    outcome,
    texts,
    tried,
    unchanged,
)

pytestmark = pytest.mark.slow

EXPERIMENT = Experiment(
    dataset="mnist",
    objective="val_loss:min",
    time_budget_s=90.5,
    name="mine",
    address="auto",
    start_from="good.json",
).to_yaml()
# A few lines that would be a list of 10**8 items written out, or a mapping of as many once merged.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


# Experiments.


def read(text: str) -> None:
    experiment = outcome(lambda: Experiment.from_yaml(text, "experiment.yaml"))
    if isinstance(experiment, Experiment):
        assert Experiment.from_yaml(experiment.to_yaml(), "experiment.yaml") == experiment


@given(
    texts
    | st.lists(st.sampled_from(list("{}[]:-?&*!|>%@#'\"\n \tab1<=.~")), max_size=60).map("".join)
)
@example("[" * 10**4)
@example("- " * 10**4)
@example("dataset: 2026-13-45")
@example("dataset: !!int ''")
@example("dataset: !!bool x")
@example("dataset: !!timestamp x")
@example("trials: " + "9" * 5000)
@example("dataset: !" + "x" * 10**5)
@example(f"{BOMB}dataset: mnist\ntrials: *h\n")
@example(f"{BOMB}dataset: {{object: *h}}\n")
@example(MERGED)
@example("\n".join(f"k{number}: 1" for number in range(1000)))
@example("x" * 10**6)
@tried
def test_any_text_is_an_experiment_or_refused(text: str) -> None:
    read(text)


@given(st.dictionaries(st.sampled_from(sorted(Experiment.model_fields)), json_values) | json_values)
@tried
def test_any_yaml_is_an_experiment_or_refused(plain: Any) -> None:
    try:
        text = yaml.safe_dump(plain)
    except ValueError:  # an integer of too many digits
        return
    read(text)


@given(changed(EXPERIMENT))
@tried
def test_a_changed_experiment_is_read_or_refused(text: str) -> None:
    read(text)


@given(st.binary() | changed(EXPERIMENT).map(lambda text: text.encode(errors="surrogatepass")))
@example(b"\xff")
@tried
def test_any_bytes_as_an_experiment_are_read_or_refused(here: Path, data: bytes) -> None:
    (here / "mine.yaml").write_bytes(data)
    with unchanged(here):
        carried_out_or_refused("mine.yaml")


# Starts.


def build(hp: HyperParameters) -> None:
    for i in range(hp.Int("layers", 1, 3)):
        hp.Int(f"units_{i}", 8, 64, step=8, default=32)
    hp.Float("rate", 1e-4, 1e-1, sampling="log", default=1e-2)
    hp.Float("momentum", 0.0, 0.9, step=0.1)
    if hp.Choice("optimizer", ["adam", "sgd"]) == "sgd":
        hp.Boolean("nesterov")


NAMES = ["layers", "units_0", "units_2", "rate", "momentum", "optimizer", "nesterov"]
START = json.dumps(
    [
        {"layers": 2, "units_0": 16, "units_1": 64, "rate": 0.05, "momentum": 0.5},
        {"optimizer": "sgd", "nesterov": True},
    ],
    indent=1,
)


def tried_or_refused(folder: Path, text: str) -> None:
    file = folder / "start.json"
    file.write_bytes(text.encode(errors="surrogatepass"))
    with unchanged(folder):
        starts = outcome(lambda: read_starts("start.json"))
    if not isinstance(starts, Starts):
        return
    trace = trace_of(build)
    first = outcome(lambda: settled(starts, trace({}, "default"), trace))
    if isinstance(first, KerasweepError):
        return
    for configuration in first:
        hp = HyperParameters(configuration)
        build(hp)
        assert hp.values == configuration
    layout = Layout(folder / "run")
    layout.root.mkdir(exist_ok=True)
    write_starts(layout, starts)
    assert recorded_starts(layout) == starts


@given(
    json_values
    | st.lists(
        st.dictionaries(st.sampled_from(NAMES), json_values, min_size=1), min_size=1, max_size=3
    )
)
@example([{"rate": 10**400}])
@example([{"momentum": 10**400}])
@example([{"units_2": float("nan")}])
@example([{"units_2": float("inf")}])
@example([{str(number): number for number in range(1000)}])
@example([{"layers": number} for number in range(100, 1100)])
@example([{"layers": deep(300)}])
@example([deep(300)])
@tried
def test_any_json_is_a_start_or_refused(here: Path, plain: Any) -> None:
    try:
        text = json.dumps(plain)
    except ValueError:  # an integer of too many digits
        return
    tried_or_refused(here, text)


@given(text=changed(START))
@example(text="[" * 10**5)
@example(text='[{"units_2": 1e999}]')
@example(text='[{"rate": ' + "9" * 5000 + "}]")
@tried
def test_a_changed_start_is_tried_or_refused(here: Path, text: str) -> None:
    tried_or_refused(here, text)


# What is no file to be read.


def fifo(path: Path) -> None:
    os.mkfifo(path)  # whoever opens it waits for ever


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [Path.mkdir, fifo, loop])
@pytest.mark.parametrize(
    "line", [["it.yaml"], ["it.py"], ["mnist", "--space", "it.py"], ["mnist", "--start-from", "it"]]
)
def test_a_folder_a_pipe_or_a_loop_is_refused(
    here: Path, make: Callable[[Path], None], line: list[str]
) -> None:
    make(here / line[-1])
    assert carried_out_or_refused(*line)


def test_what_cannot_be_read_is_refused(here: Path) -> None:
    for name in ("it.yaml", "it.py", "it"):
        # a file whose start no one, not even root, can read
        (here / name).symlink_to("/proc/self/mem")
    assert "it.yaml must be text that can be read" in carried_out_or_refused("it.yaml")
    assert "A dataset must be a file that can be read" in carried_out_or_refused("it.py")
    assert "must be JSON, a list of configurations; [Errno 5]" in carried_out_or_refused(
        "mnist", "--start-from", "it"
    )
