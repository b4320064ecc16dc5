"""A run's directory, one field or one file of which is another: read, or its copy, or refused; and
left as it was."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.engine.past import earlier_seconds
from pipeline.engine.same_search import resumed
from pipeline.errors import KerasweepError
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.reports import Report, read_history
from pipeline.records.entries.trials import TrialFacts, as_plain, read_trials
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.summary import find_best, summary_of, write_summary
from pipeline.records.outputs.tables import write_tables
from pipeline.records.settings import write_experiment
from pipeline.records.starts import read_starts, recorded_starts, write_starts
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.starts import EarlierTrial, Starts
from tests.properties.inputs import command, json_values, outcome, refusal, tried, unchanged
from tests.reopened import is_complete

pytestmark = pytest.mark.slow

LOSS = Objective("val_loss", "min")
EXPERIMENT = Experiment(
    dataset="digits", objective="val_loss:min", trials=3, max_epochs=2, start_from="good.json"
)


def asked(units: int) -> HyperParameters:
    """What a trial's model asks for."""
    hp = HyperParameters({"units": units})
    hp.Int("units", 8, 64, step=8)
    if hp.Choice("optimizer", ["adam", "sgd"]) == "adam":
        hp.Float("rate", 1e-4, 1e-1, sampling="log")
    return hp


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A run of three trials that has ended."""
    layout = Layout(tmp_path_factory.mktemp("runs") / "run")
    ledger = Ledger(layout)
    write_experiment(layout, EXPERIMENT.to_yaml())
    write_starts(
        layout,
        Starts("old", [{"units": 8}], str(LOSS), [EarlierTrial({"units": 16}, {1: 0.5}, False)]),
    )
    for number, units in enumerate((8, 16, 24)):
        name = f"t{number:04d}"
        requested = asked(units).requested
        ledger.start(name, {"units": units})
        ledger.note(
            name,
            TrialFacts(
                requested=as_plain(requested, 2),
                node="here",
                devices="CPU",
                fit_plan="plain: small",
            ),
        )
        for epoch in (1, 2):
            ledger.report(
                Report(
                    epoch,
                    1 / units,
                    {"val_loss": 1 / units, "loss": None},
                    0.5,
                    trial=name,
                    time=1000.0 + epoch,
                )
            )
        ledger.end(name, "finished")
    ledger.change("t0002", 1, "t0001", asked(16).requested)
    ledger.close()
    write_tables(layout, LOSS)
    write_summary(
        layout,
        summary_of(
            layout,
            best=find_best(ledger.trials, ledger.reports, LOSS),
            test={"loss": 0.5},
            trials=ledger.trials,
            epochs=6,
            exhausted=False,
            interrupted=False,
            objective=str(LOSS),
            validation={"loss": 0.25},
            wall_clock_s=3.5,
            concurrent=2,
            versions={"keras": "3"},
            device={"machine": "x86_64"},
            sources={},
        ),
    )
    return layout


@pytest.fixture
def copied(run: Layout, here: Path) -> Callable[[], Layout]:
    """The run once more, for each input."""

    def copy() -> Layout:
        shutil.rmtree(here / "run", ignore_errors=True)
        shutil.copytree(run.root, here / "run")
        return Layout(here / "run")

    return copy


def files(layout: Layout) -> list[Path]:
    """What a resume reads, but for checkpoints."""
    return [
        layout.experiment,
        layout.starts,
        layout.history,
        layout.summary,
        layout.trial_record("t0002"),
    ]


def without_copies(layout: Layout) -> None:
    """As a run that was recorded before there were copies and checksums."""
    shutil.rmtree(layout.copies)
    for file in files(layout):
        file.write_text(
            written(file, [{k: v for k, v in part.items() if k not in MADE} for part in read(file)])
        )


MADE = ("crc32", "line")


def read(file: Path) -> list[Any]:
    """A file's parts as plain data: its lines, or the one that it is."""
    text = file.read_text()
    if file.suffix == ".yaml":
        return [yaml.safe_load(text)]
    return (
        [json.loads(line) for line in text.splitlines()]
        if file.suffix == ".jsonl"
        else [json.loads(text)]
    )


def written(file: Path, parts: list[Any]) -> str:
    """The inverse of `read`."""
    if file.suffix == ".yaml":
        return yaml.safe_dump(parts[0], sort_keys=False)
    return "".join(json.dumps(part) + "\n" for part in parts)


def places(plain: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each field, and to each field of those."""
    for key in (
        plain if isinstance(plain, dict) else range(len(plain)) if isinstance(plain, list) else ()
    ):
        yield (*way, key)
        yield from places(plain[key], (*way, key))


def change(file: Path, way: tuple[Any, ...], value: Any, *, remove: bool) -> None:
    """Put something else in one field, or leave it out."""
    parts = read(file)
    inner = parts
    for key in way[:-1]:
        inner = inner[key]
    if remove:
        del inner[way[-1]]
    else:
        inner[way[-1]] = value
    try:
        file.write_text(written(file, parts))
    except ValueError:  # an integer of too many digits
        file.write_text("")


def check(layout: Layout) -> None:
    """Everything that reads a run's records, before Ray starts."""
    with unchanged(layout.root):
        outcome(lambda: read_history(layout))
        outcome(lambda: [record.asked for record in read_trials(layout).values()])
        outcome(lambda: recorded_starts(layout))
        outcome(lambda: Results(layout.root).best)
        outcome(lambda: read_starts(str(layout.root)))
        experiment = outcome(lambda: resumed(layout.root))
        if isinstance(experiment, Experiment):
            outcome(lambda: earlier_seconds(layout))
    if isinstance(experiment, Experiment):
        copied = Layout(shutil.copytree(layout.root, layout.root.with_name("copied")))
        outcome(lambda: is_complete(experiment, copied))
        shutil.rmtree(copied.root)
    code, output, errors = command("--resume", "run")
    assert code in (0, 2) and "Traceback" not in output + errors, errors
    if code == 2:
        refusal(KerasweepError(errors.removesuffix("\n")))


values = json_values | st.sampled_from(
    [{}, [], [None], {"name": "units"}, "t0001", "running", "finished", 2, -1, 1.5]
)


def change_one_field(layout: Layout, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(files(layout)))
    way = data.draw(st.sampled_from(list(places(read(file)))))
    change(file, way, data.draw(values), remove=len(way) > 1 and data.draw(st.booleans()))


@given(st.data())
@tried
def test_a_field_of_a_record_may_be_anything(
    copied: Callable[[], Layout], data: st.DataObject
) -> None:
    layout = copied()
    change_one_field(layout, data)
    check(layout)


@given(st.data())
@tried
def test_a_field_of_a_record_without_a_copy_may_be_anything(
    copied: Callable[[], Layout], data: st.DataObject
) -> None:
    layout = copied()
    without_copies(layout)
    change_one_field(layout, data)
    check(layout)


@given(place=st.integers(0, 4), content=st.binary(max_size=40), copy_too=st.booleans())
@example(place=0, content=b"\xff", copy_too=True)
@example(place=0, content=b"dataset: 2026-13-45", copy_too=True)
@example(place=4, content=b"[" * 10**5, copy_too=True)
@tried
def test_any_bytes_in_place_of_a_record_are_refused_or_its_copy_is_read(
    copied: Callable[[], Layout], place: int, content: bytes, copy_too: bool
) -> None:
    layout = copied()
    file = files(layout)[place]
    file.write_bytes(content)
    if copy_too:
        layout.copy(file).write_bytes(content)
    check(layout)
