"""The ledger: what was reported is recorded once, survives being killed, and damage is named."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RequestError
from pipeline.records.entries.reports import Report, read_history
from pipeline.records.entries.trials import TrialFacts, TrialRecord, read_trials
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.settings import read_experiment, write_experiment


def report(trial: str = "t0000", epoch: int = 1, objective: float | None = 0.5) -> Report:
    return Report(
        epoch,
        objective,
        {"val_accuracy": objective, "loss": 0.1},
        1.25,
        trial=trial,
        time=1000.0 + epoch,
    )


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "runs" / "mine")


@pytest.fixture
def ledger(layout: Layout) -> Iterator[Ledger]:
    opened = Ledger(layout)
    yield opened
    opened.close()


def lines(layout: Layout) -> list[dict[str, Any]]:
    return [json.loads(line) for line in layout.history.read_text().splitlines()]


# Reports.


def test_a_report_is_a_line_that_is_there_at_once(ledger: Ledger, layout: Layout) -> None:
    assert ledger.report(report(epoch=1)) is True

    assert lines(layout) == [
        {
            "trial": "t0000",
            "epoch": 1,
            "objective": 0.5,
            "metrics": {"val_accuracy": 0.5, "loss": 0.1},
            "seconds": 1.25,
            "time": 1001.0,
            "line": 1,
            "crc32": "a650e047",
        }
    ]
    assert read_history(layout) == [report(epoch=1)]


def test_each_epoch_of_a_trial_is_recorded_once(ledger: Ledger, layout: Layout) -> None:
    recorded = [
        ledger.report(report(t, e))
        for t, e in (("a", 1), ("a", 2), ("b", 1), ("a", 1), ("a", 2), ("b", 2))
    ]

    assert recorded == [True, True, True, False, False, True]
    assert [(line["trial"], line["epoch"]) for line in lines(layout)] == [
        ("a", 1),
        ("a", 2),
        ("b", 1),
        ("b", 2),
    ]
    assert [(r.trial, r.epoch) for r in ledger.reports] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_the_last_epoch_is_0_before_the_first(ledger: Ledger) -> None:
    before = ledger.last_epoch("a")
    ledger.report(report("a", 1))
    ledger.report(report("a", 2))

    assert (before, ledger.last_epoch("a"), ledger.last_epoch("b")) == (0, 2, 0)


def test_an_objective_that_was_not_finite_is_null(ledger: Ledger, layout: Layout) -> None:
    ledger.report(report(objective=None))

    assert lines(layout)[0]["objective"] is None
    assert read_history(layout)[0].objective is None


def test_a_number_that_json_does_not_have_is_refused_and_nothing_is_written(
    ledger: Ledger, layout: Layout
) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        ledger.report(report(objective=float("nan")))

    assert ledger.report(report()) is True
    assert read_history(layout) == [report()]


def test_reopening_goes_on_after_the_last_recorded_epoch(layout: Layout) -> None:
    first = Ledger(layout)
    first.report(report("a", 1))
    first.report(report("a", 2))
    first.close()
    second = Ledger(layout)

    assert second.reports == [report("a", 1), report("a", 2)]
    assert second.last_epoch("a") == 2
    assert [second.report(report("a", e)) for e in (2, 3)] == [False, True]
    second.close()
    assert [r.epoch for r in read_history(layout)] == [1, 2, 3]


# Killed while writing.


def cut(layout: Layout, tail: str) -> None:
    """Leave what a driver leaves that was killed while it wrote its third line."""
    ledger = Ledger(layout)
    ledger.report(report("a", 1))
    ledger.report(report("a", 2))
    ledger.close()
    with layout.history.open("a") as file:
        file.write(tail)


HALF_LINES = ['{"trial": "a", "epo', "{", json.dumps(asdict(report("a", 3)))]


@pytest.mark.parametrize("tail", HALF_LINES, ids=["half", "brace", "all but the newline"])
def test_half_a_line_at_the_end_is_left_out_when_read(tail: str, layout: Layout) -> None:
    cut(layout, tail)

    assert [r.epoch for r in read_history(layout)] == [1, 2]


@pytest.mark.parametrize("tail", HALF_LINES, ids=["half", "brace", "all but the newline"])
def test_after_half_a_line_the_next_report_is_whole(tail: str, layout: Layout) -> None:
    cut(layout, tail)
    ledger = Ledger(layout)

    assert ledger.last_epoch("a") == 2
    assert ledger.report(report("a", 3)) is True
    ledger.close()
    assert [line["epoch"] for line in lines(layout)] == [1, 2, 3]


def test_half_a_line_and_nothing_else_is_an_empty_history(layout: Layout) -> None:
    layout.root.mkdir(parents=True)
    layout.history.write_text('{"trial"')
    ledger = Ledger(layout)
    ledger.report(report())
    ledger.close()

    assert read_history(layout) == [report()]


# Damage.


@pytest.mark.parametrize(
    "line",
    [
        "{half",
        "[1, 2]",
        "null",
        '{"trial": "a"}',
        "",
        '{"epoch": 1, "surprise": 2}',
        "\udcff\udcfe",
    ],
)
def test_a_damaged_line_without_a_copy_is_refused_by_its_number(line: str, layout: Layout) -> None:
    cut(layout, "")
    ledger = Ledger(layout)
    ledger.report(report("a", 3))
    ledger.close()
    shutil.rmtree(layout.copies)
    good = layout.history.read_bytes().splitlines()
    layout.history.write_bytes(
        b"\n".join([good[0], line.encode(errors="surrogateescape"), good[2], b""])
    )

    with pytest.raises(RequestError) as refused:
        read_history(layout)

    assert str(refused.value).startswith(
        f"Each line of {layout.history} must be one report; line 2 is damaged: "
    )


def test_a_damaged_line_is_quoted_in_part(layout: Layout) -> None:
    layout.root.mkdir(parents=True)
    layout.history.write_text("x" * 1000 + "\n")

    with pytest.raises(
        RequestError, match=rf"line 1 is damaged: '{'x' * 60}'\. Its copy does not have it\.$"
    ):
        read_history(layout)


@pytest.mark.parametrize(
    "text", ["", '{"trial": ', "[]", '{"trial": "t0001"}', '{"trial": "t0001", "colour": "red"}']
)
def test_a_damaged_record_is_refused_by_its_file(text: str, ledger: Ledger, layout: Layout) -> None:
    ledger.start("t0000", {})
    ledger.start("t0001", {})
    layout.trial_record("t0001").write_text(text)
    shutil.rmtree(layout.copies)

    with pytest.raises(RequestError) as refused:
        read_trials(layout)

    path = re.escape(str(layout.trial_record("t0001")))
    assert refused.match(rf"^{path} must hold one trial's record; it is damaged: .+\.$")


def test_a_ledger_that_refuses_damage_lets_the_lock_go(layout: Layout) -> None:
    cut(layout, "damaged\n")
    shutil.rmtree(layout.copies)
    with pytest.raises(RequestError, match="line 3 is damaged"):
        Ledger(layout)
    layout.history.unlink()

    Ledger(layout).close()


# Trials.


def test_a_trial_is_recorded_from_its_start_to_its_end(ledger: Ledger, layout: Layout) -> None:
    ledger.start("t0000", {"n": 3})
    started = read_trials(layout)["t0000"]
    ledger.note(
        "t0000", TrialFacts(requested=[{"name": "n", "value": 3}], node="here", devices="CPU")
    )
    ledger.end("t0000", "failed", "out of memory", "Traceback …")
    ended = read_trials(layout)["t0000"]

    assert (started.status, started.configuration, started.hyperparameters) == (
        "running",
        {"n": 3},
        {},
    )
    assert (ended.status, ended.error, ended.traceback) == (
        "failed",
        "out of memory",
        "Traceback …",
    )
    assert (ended.hyperparameters, ended.node, ended.devices) == ({"n": 3}, "here", "CPU")
    assert ended.ended is not None and ended.ended >= ended.started == started.started
    assert ledger.trials["t0000"] == ended


def test_a_note_of_what_is_known_already_writes_nothing(ledger: Ledger, layout: Layout) -> None:
    ledger.start("t0000", {})
    ledger.note("t0000", TrialFacts(node="here"))
    before = layout.trial_record("t0000").stat().st_ino
    ledger.note("t0000", TrialFacts(node="here"))

    assert layout.trial_record("t0000").stat().st_ino == before


def test_trials_come_back_in_the_order_of_the_search(layout: Layout) -> None:
    ledger = Ledger(layout)
    for number in (0, 9999, 10000, 2, 123456):
        ledger.start(f"t{number:04d}", {})
    ledger.close()

    assert list(read_trials(layout)) == ["t0000", "t0002", "t9999", "t10000", "t123456"]


def test_unfinished_trials_are_those_without_an_end(layout: Layout) -> None:
    ledger = Ledger(layout)
    for trial in ("t0000", "t0001", "t0002", "t0003", "t0004"):
        ledger.start(trial, {})
    for trial, status in (("t0000", "finished"), ("t0002", "stopped"), ("t0003", "failed")):
        ledger.end(trial, status)  # type: ignore[arg-type]
    before = ledger.unfinished()
    ledger.close()
    again = Ledger(layout)

    assert before == again.unfinished() == ["t0001", "t0004"]
    again.close()


def test_a_trial_folder_without_a_record_is_no_trial(ledger: Ledger, layout: Layout) -> None:
    ledger.start("t0000", {})
    layout.trial("t0001").mkdir()

    assert list(read_trials(layout)) == ["t0000"]


def test_a_record_that_requested_nothing_yet_has_no_hyperparameters() -> None:
    assert TrialRecord("t0000", {"n": 3}).hyperparameters == {}


# The lock.


def test_a_second_ledger_on_the_directory_is_refused(ledger: Ledger, layout: Layout) -> None:
    with pytest.raises(RequestError) as refused:
        Ledger(layout)

    assert str(refused.value) == (
        f"A run directory must belong to one process; {layout.root} is in use by another."
    )


def test_another_process_is_refused_too(ledger: Ledger, layout: Layout) -> None:
    code = "import sys; from pipeline.records.ledger import *; Ledger(Layout(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(layout.root)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.returncode == 1
    assert "RequestError: A run directory must belong to one process" in done.stderr


def test_closing_lets_the_lock_go(layout: Layout) -> None:
    Ledger(layout).close()
    Ledger(layout).close()


def test_a_refused_second_ledger_leaves_the_first_as_it_is(ledger: Ledger, layout: Layout) -> None:
    ledger.report(report(epoch=1))
    with pytest.raises(RequestError):
        Ledger(layout)
    ledger.report(report(epoch=2))

    assert [r.epoch for r in read_history(layout)] == [1, 2]


# The experiment.


def test_the_experiment_is_read_as_it_was_written(layout: Layout) -> None:
    write_experiment(layout, "dataset: mnist\n")

    assert read_experiment(layout) == "dataset: mnist\n"


def test_what_is_no_run_is_refused_with_what_it_is(layout: Layout, tmp_path: Path) -> None:
    def refusal(of: Layout) -> str:
        with pytest.raises(RequestError) as refused:
            read_experiment(of)
        must = f"A run must be a directory with an experiment.yaml; {of.root} "
        assert str(refused.value).startswith(must)
        return str(refused.value).removeprefix(must)

    assert refusal(layout) == "does not exist."
    layout.root.mkdir(parents=True)
    assert refusal(layout) == "has no experiment.yaml, and nothing else."
    (layout.root / "notes.txt").touch()
    (layout.root / "data").mkdir()
    assert refusal(layout) == "has no experiment.yaml, but data, notes.txt."
    assert refusal(Layout(layout.root / "notes.txt")) == "is a file."
    write_experiment(Layout(layout.root / "mine"), "dataset: mnist\n")
    assert refusal(layout) == "has no experiment.yaml, but the runs mine."
    for number in range(200):
        (tmp_path / "many" / f"file-{number}").mkdir(parents=True)
    assert len(refusal(Layout(tmp_path / "many"))) < 420


def test_an_empty_run_has_no_trials_and_no_history(layout: Layout) -> None:
    assert (read_trials(layout), read_history(layout)) == ({}, [])
