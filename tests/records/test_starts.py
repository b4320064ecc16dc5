"""What a search may start from: a JSON list or a run that ended, and the copy that its own
directory keeps."""

from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.records.checksummed import write_checksummed
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialFacts
from pipeline.records.layout import Layout, write_whole
from pipeline.records.ledger import Ledger
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.summary import BestEpoch, summary_of, write_summary
from pipeline.records.starts import read_starts, recorded_starts, write_starts
from pipeline.space.starts import EarlierTrial


@pytest.fixture
def run(tmp_path: Path) -> Layout:
    """A run of four trials: one finished and best, one failed in its second epoch, a duplicate, one
    cut off."""
    layout = Layout(tmp_path / "run")
    ledger = Ledger(layout)
    for name, units in (("t0000", 8), ("t0001", 16), ("t0002", 8), ("t0003", 24)):
        ledger.start(name, {})
        ledger.note(name, TrialFacts(requested=[{"name": "units", "value": units}]))
    for name, epoch, value in (
        ("t0000", 1, 0.5),
        ("t0001", 1, 0.9),
        ("t0000", 2, 0.25),
        ("t0001", 2, None),
    ):
        ledger.report(Report(epoch, value, {}, 0.0, trial=name, time=0.0))
    for name, status in (("t0000", "finished"), ("t0001", "failed"), ("t0002", "duplicate")):
        ledger.end(name, status)  # type: ignore[arg-type]
    ledger.close()
    write_whole(layout.experiment, "dataset: mnist\n")
    best = BestEpoch("t0000", {"units": 8}, 0.25, 2)
    write_summary(
        layout,
        summary_of(
            layout, best=best, test=None, trials=ledger.trials, epochs=4, objective="val_loss:min"
        ),
    )
    return layout


def test_a_file_holds_configurations_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "good.json"
    file.write_text('[{"units": 8, "rate": 0.5}, {}]')
    starts = read_starts(str(file))
    assert starts.configurations == [{"units": 8, "rate": 0.5}, {}]
    assert starts.trials == [] and starts.objective is None


def test_of_a_run_the_best_is_tried_and_the_ended_trials_are_told(run: Layout) -> None:
    starts = read_starts(str(run.root))
    assert starts.configurations == [{"units": 8}]
    assert starts.objective == "val_loss:min"
    assert starts.trials == [
        EarlierTrial({"units": 8}, {1: 0.5, 2: 0.25}, failed=False),
        EarlierTrial({"units": 16}, {1: 0.9, 2: None}, failed=True),
    ]


def test_the_copy_says_the_same(run: Layout, tmp_path: Path) -> None:
    starts = read_starts(str(run.root))
    own = Layout(tmp_path / "new")
    write_starts(own, starts)
    assert recorded_starts(own) == starts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{", "must be JSON, a list of configurations; Expecting property name"),
        ('{"units": 8}', "must hold a list of configurations, such as .*; it holds one dict.$"),
        ("[]", "it holds an empty list.$"),
        ('"units"', "it holds one str.$"),
        ("[{}, 8]", "number 2 is 8.$"),
        ('[{"units": NaN}]', "must be JSON, a list of configurations; Out of range float values"),
        ('[{"units": 1e999}]', "must be JSON, a list of configurations; Out of range float values"),
        ("[" * 10**5, "must be JSON, a list of configurations; maximum recursion depth exceeded"),
    ],
)
def test_a_file_of_anything_else_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(RequestError, match=message) as raised:
        read_starts(str(file))
    assert "\n" not in str(raised.value) and str(file) in str(raised.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RequestError,
        match="must be a JSON file or the directory of a run; 'none.json' does not exist.",
    ):
        read_starts("none.json")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(RequestError, match="must be JSON, a list of configurations; "):
        read_starts(str(tmp_path / "model.keras"))


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RequestError,
        match="must be a JSON file or the directory of a run; .* has no experiment.yaml.$",
    ):
        read_starts(str(tmp_path))


def test_a_run_that_did_not_end_is_refused(run: Layout) -> None:
    run.summary.unlink()
    with pytest.raises(
        RequestError, match="must have ended; .* has no summary.json. Go on with it: --resume"
    ):
        read_starts(str(run.root))


def test_a_run_without_a_best_trial_is_refused(run: Layout) -> None:
    write_checksummed(run, run.summary, Results(run.root).summary | {"best": None})
    with pytest.raises(
        RequestError, match="must have a best trial; in .* no trial reported a finite objective.$"
    ):
        read_starts(str(run.root))


@pytest.mark.parametrize("text", [None, "[", "[]", "{}", '{"trials": [{}]}'])
def test_a_damaged_copy_is_refused(tmp_path: Path, text: str | None) -> None:
    layout = Layout(tmp_path)
    if text is not None:
        layout.starts.write_text(text)
    with pytest.raises(RequestError, match="starts.json must hold what the run was started from; "):
        recorded_starts(layout)
