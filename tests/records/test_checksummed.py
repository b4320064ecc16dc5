"""What a resume reads is kept twice: where one of the two is damaged nothing is lost, where both
are it is refused."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RequestError, StorageError
from pipeline.objective import Objective
from pipeline.records import layout as layouts
from pipeline.records.checksummed import read_checksummed, write_checksummed
from pipeline.records.entries.decisions import Decision, read_decisions
from pipeline.records.entries.reports import Report, read_history
from pipeline.records.entries.trials import read_trials
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.lines import Lines, read_lines
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.summary import summary_of, write_summary
from pipeline.records.outputs.tables import write_tables
from pipeline.records.settings import read_experiment, read_settings
from pipeline.records.settings import write_experiment as write_text
from tests.reopened import mend

SETTINGS = "dataset: mnist\nseed: 10\nscheduler: asha\n"


def report(trial: str, epoch: int) -> Report:
    return Report(
        epoch,
        0.5 / epoch,
        {"val_loss": 0.5 / epoch, "line": 2.0},
        1.25,
        trial=trial,
        time=1000.0 + epoch,
    )


@pytest.fixture
def run(tmp_path: Path) -> Layout:
    """A run of two trials."""
    layout = Layout(tmp_path / "run")
    ledger = Ledger(layout)
    write_text(layout, SETTINGS)
    for name in ("t0000", "t0001"):
        ledger.start(name, {"units": 8, "rate": 0.25})
        for epoch in (1, 2, 3):
            ledger.report(report(name, epoch))
    for verdict in ("pause", "continue"):
        ledger.decide(Decision("t0000", 1, verdict, 1, 1, 2, 1, "It waits."))
    ledger.end("t0000", "finished")
    write_tables(layout, Objective("val_loss", "min"), ledger)
    write_summary(
        layout,
        summary_of(
            layout, best=None, test=None, trials=ledger.trials, epochs=6, objective="val_loss:min"
        ),
    )
    ledger.close()
    return layout


READERS: dict[str, Callable[[Layout], Any]] = {
    "experiment.yaml": read_experiment,
    "history.jsonl": read_history,
    "decisions.jsonl": read_decisions,
    "summary.json": lambda layout: Results(layout.root).summary,
    "trials/t0000/trial.json": read_trials,
}
FILES = list(READERS)


def told(layout: Layout) -> dict[str, Any]:
    """All that the records say."""
    return {name: read(layout) for name, read in READERS.items()}


def mended(layout: Layout) -> list[str]:
    """What is said when the run is opened to be gone on with."""
    said: list[str] = []
    mend(layout, said.append)
    return said


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << place % 7]) + data[place + 1 :]


@pytest.mark.parametrize("name", FILES)
def test_cut_off_anywhere_or_with_a_byte_changed_anywhere_nothing_is_lost(
    name: str, run: Layout
) -> None:
    path = run.root / name
    read, data = READERS[name], path.read_bytes()
    before = read(run)
    for place in range(len(data)):
        for damaged in (data[:place], flipped(data, place)):
            path.write_bytes(damaged)
            assert read(run) == before, (place, damaged)
    assert path.read_bytes() == flipped(data, len(data) - 1)  # who only reads changes nothing


@pytest.mark.parametrize("name", FILES)
def test_so_is_nothing_where_the_copy_is_damaged_or_gone(name: str, run: Layout) -> None:
    copy = run.copy(run.root / name)
    before, data = told(run), copy.read_bytes()
    for damaged in (data[:-10], flipped(data, 40), b""):
        copy.write_bytes(damaged)
        assert told(run) == before
        assert mended(run) == []
        assert copy.read_bytes() == data
    copy.unlink()
    assert told(run) == before


def folder_of_its_name(path: Path) -> None:
    path.unlink()
    (path / "within").mkdir(parents=True)


def pipe_of_its_name(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)  # whoever opens it waits for ever


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        folder_of_its_name,
        pipe_of_its_name,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:30]),
        lambda path: path.write_bytes(flipped(path.read_bytes(), 40)),
        lambda path: path.write_bytes(os.urandom(300) + b"\n"),
    ],
    ids=["gone", "a folder", "a pipe", "empty", "cut off", "a byte changed", "garbage"],
)
def test_who_goes_on_is_told_and_finds_both_whole_again(
    damage: Callable[[Path], object], name: str, run: Layout
) -> None:
    path = run.root / name
    before, data = told(run), path.read_bytes()
    damage(path)

    (line,) = mended(run)

    assert line.startswith(f"{path} was ") and "copy" in line and "\n" not in line
    assert path.read_bytes() == run.copy(path).read_bytes() == data
    assert told(run) == before
    assert mended(run) == []


def test_what_is_said_names_the_file_and_what_became_of_it(run: Layout) -> None:
    run.experiment.unlink()
    run.trial_record("t0001").write_text("{")
    lines = run.history.read_bytes().split(b"\n")
    run.history.write_bytes(b"\n".join([*lines[:2], b"damaged", lines[3], b""]))

    assert mended(run) == [
        f"{run.experiment} was missing; its copy took its place.",
        f"{run.trial_record('t0001')} was damaged; its copy took its place.",
        f"{run.history} was damaged; 3 of its 6 lines, from line 3 on, are from its copy.",
    ]


def test_a_trials_folder_that_is_gone_or_a_file_is_put_back(run: Layout) -> None:
    before = told(run)
    for damage in (
        shutil.rmtree,
        lambda folder: (shutil.rmtree(folder), folder.write_text("")),
        lambda _: None,
    ):
        damage(run.trials)
        assert told(run) == before
        mended(run)
    assert run.trial_record("t0000").is_file()


def test_lines_damaged_in_different_places_of_both_are_put_together(run: Layout) -> None:
    before = told(run)
    for path, place in ((run.history, 10), (run.copy(run.history), -10)):
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)

    assert told(run) == before
    assert mended(run) == [
        f"{run.history} was damaged; 1 of its 6 lines, from line 1 on, are from its copy."
    ]
    assert run.history.read_bytes() == run.copy(run.history).read_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "experiment.yaml",
            "experiment.yaml must hold the run's settings; it is damaged: it is not what was "
            "written",
        ),
        ("history.jsonl", "history.jsonl must be one report; line 1 is damaged: "),
        ("trials/t0000/trial.json", "trial.json must hold one trial's record; it is damaged: "),
    ],
)
def test_what_is_damaged_twice_is_refused_by_its_name_and_left_as_it_is(
    name: str, message: str, run: Layout
) -> None:
    for path in (run.root / name, run.copy(run.root / name)):
        path.write_bytes(flipped(path.read_bytes(), 40))
    before = (run.root / name).read_bytes()

    with pytest.raises(RequestError, match=message) as refused:
        mended(run)

    assert "\n" not in str(refused.value)
    assert (run.root / name).read_bytes() == before


def test_a_summary_that_is_damaged_twice_can_be_written_anew(run: Layout) -> None:
    for path in (run.summary, run.copy(run.summary)):
        path.write_text("{")

    with pytest.raises(
        RequestError,
        match="must say how the run ended; it is damaged: .*. --resume writes it anew.$",
    ):
        Results(run.root)
    assert mended(run) == [
        f"{run.summary} is damaged, and so is its copy; it is written anew at the end."
    ]


# Written by hand, or before there were checksums.


def test_what_has_no_checksum_is_read_as_it_is(run: Layout) -> None:
    before = told(run)
    shutil.rmtree(run.copies)
    run.experiment.write_text(SETTINGS)
    for path in (run.trial_record("t0000"), run.trial_record("t0001"), run.summary):
        path.write_text(
            json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "crc32"})
        )
    plain = [json.loads(line) for line in run.history.read_text().splitlines()]
    text = "".join(
        json.dumps({k: v for k, v in r.items() if k not in ("line", "crc32")}) + "\n" for r in plain
    )
    run.history.write_text(text)

    assert told(run) == before
    assert mended(run) == []
    ledger = Ledger(run)
    ledger.report(report("t0001", 4))
    ledger.close()
    assert read_history(run) == [*before["history.jsonl"], report("t0001", 4)]
    run.history.write_text(text)
    assert read_history(run) == [*before["history.jsonl"], report("t0001", 4)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trial", 1),
        ("trial", "t0007"),
        ("status", "asleep"),
        ("configuration", []),
        ("started", "now"),
        ("requested", [{"name": "units"}]),
        ("requested", {"units": 8}),
        ("changes", [{"epoch": 1}]),
        ("changes", [{"epoch": "1", "before": {}}]),
        ("epochs", "3"),
    ],
)
def test_a_record_without_a_checksum_is_held_to_its_types(
    field: str, value: Any, run: Layout
) -> None:
    shutil.rmtree(run.copies)
    path = run.trial_record("t0000")
    plain = json.loads(path.read_text())
    del plain["crc32"]
    path.write_text(json.dumps(plain | {field: value}))

    with pytest.raises(
        RequestError, match=r"t0000/trial.json must hold one trial's record; it is damaged: "
    ):
        read_trials(run)


@pytest.mark.parametrize(
    ("field", "value"),
    [("epoch", "1"), ("epoch", 1.5), ("objective", float("nan")), ("metrics", []), ("trial", None)],
)
def test_a_line_without_a_checksum_is_held_to_its_types(
    field: str, value: Any, tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    plain = {
        "trial": "t0000",
        "epoch": 1,
        "objective": 0.5,
        "metrics": {},
        "seconds": 1.0,
        "time": 2.0,
    }
    layout.history.write_text(json.dumps(plain) + "\n")
    assert len(read_history(layout)) == 1
    layout.history.write_text(json.dumps(plain | {field: value}) + "\n")

    with pytest.raises(RequestError, match="must be one report; line 1 is damaged: "):
        read_history(layout)


def test_settings_that_are_no_yaml_are_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.experiment.write_text("a: [")

    with pytest.raises(RequestError, match="experiment.yaml must be YAML; ") as refused:
        read_settings(layout)
    assert "\n" not in str(refused.value)


# Storage that fails.


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "PAUSES_S", (0.01, 0.02, 0.04))


def failing(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so many renames fail, as on a full disk."""
    real, left = os.replace, [times]

    def replace(*paths: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(28, "No space left on device")
        real(*paths)

    monkeypatch.setattr(os, "replace", replace)


def test_a_write_that_fails_at_first_is_tried_again(
    run: Layout, pauses: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(3, monkeypatch)
    write_checksummed(run, run.summary, {"new": 1})

    assert read_checksummed(run, run.summary) == {"new": 1}
    assert run.summary.read_bytes() == run.copy(run.summary).read_bytes()


def test_one_that_fails_for_good_says_so_in_a_line_and_nothing_is_written_after_it(
    run: Layout, pauses: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(run)
    before = told(run)
    failing(100, monkeypatch)

    with pytest.raises(StorageError) as raised:
        ledger.start("t0002", {})
    monkeypatch.undo()
    with pytest.raises(StorageError):
        ledger.report(report("t0001", 4))
    ledger.close()

    assert str(raised.value) == (
        f"{run.trial_record('t0002')} could not be written for 0 s: No space left on device. What "
        "was recorded before "
        f"is whole. Once it is mended, go on: --resume {run.root}"
    )
    assert raised.value.exit_code == 1
    assert told(run) == before


def test_half_a_line_that_could_be_written_is_cut_off_before_the_next_try(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    lines = Lines(layout, layout.history, 0)
    lines.append('{"a": 1}')
    with layout.history.open("ab") as file:
        file.write(b'{"a": 2, "li')  # as an append that fails leaves it
    lines.append('{"a": 2}')
    lines.close()

    assert read_lines(layout, layout.history, json.loads) == [b'{"a": 1}', b'{"a": 2}']
