import hashlib
from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.objective import Objective
from pipeline.records.checksummed import write_checksummed
from pipeline.records.layout import Layout, write_json
from pipeline.records.ledger import Ledger
from pipeline.records.outputs.checksums import read_checksums, sum_of, write_checksums
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.summary import BestEpoch, read_summary, summary_of, write_summary
from pipeline.records.outputs.tables import write_tables


@pytest.fixture
def run(tmp_path: Path) -> Layout:
    """What the end of a run writes, but for a model."""
    layout = Layout(tmp_path)
    ledger = Ledger(layout)
    write_tables(layout, Objective("val_loss", "min"), ledger)
    ledger.close()
    layout.best.mkdir()
    layout.best_model.write_bytes(b"PK\x05\x06" + bytes(18))  # a zip file without parts
    for path in (layout.best_hyperparameters, layout.best_metrics):
        write_json(path, {"units": 4})
    written = (layout.best_model, layout.best_hyperparameters, layout.best_metrics)
    sums = {path: sum_of(path) for path in written}
    write_checksums(layout, sums, beside=read_checksums(layout))
    best = BestEpoch("t0000", {"units": 4}, 0.5, 1)
    write_summary(
        layout,
        summary_of(layout, best=best, test=None, trials={}, epochs=0, objective="val_loss:min"),
    )
    return layout


def test_they_are_what_other_programs_compute(run: Layout) -> None:
    files = ["trials.csv", "history.csv"]
    files += [f"best/{name}" for name in ("model.keras", "hyperparameters.json", "metrics.json")]
    found = {name: hashlib.sha256((run.root / name).read_bytes()).hexdigest() for name in files}
    assert read_checksums(run) == found


def test_what_is_whole_has_no_fault(run: Layout) -> None:
    assert Results(run.root).faults() == []


@pytest.mark.parametrize(
    ("name", "must"),
    [
        ("hyperparameters.json", "hold the best trial's hyperparameters"),
        ("metrics.json", "hold the best model's metrics"),
    ],
)
def test_what_lies_beside_the_model_is_covered(run: Layout, name: str, must: str) -> None:
    path = run.best / name
    path.write_text(path.read_text().replace("4", "5"))
    changed = "it is damaged: it is not what was written: its checksum is another"
    assert Results(run.root).faults() == [f"{path} must {must}; {changed}."]
    path.unlink()
    assert Results(run.root).faults() == [f"{path} must {must}; it is missing."]


def test_where_the_checksums_are_damaged_their_copy_is_read(run: Layout) -> None:
    run.checksums.write_text("{")
    assert Results(run.root).faults() == []


def test_checksums_that_are_damaged_twice_are_refused_by_their_name(run: Layout) -> None:
    for path in (run.checksums, run.copy(run.checksums)):
        path.write_text("{")
    results = Results(run.root)
    must = f"{run.checksums} must hold the checksums of the tables and of best/; it is damaged: "
    with pytest.raises(RequestError) as refused:
        _ = results.trials
    assert str(refused.value).startswith(must)
    assert str(refused.value).endswith(" --resume writes it anew.")
    (said,) = results.faults()
    assert said.startswith(must) and "\n" not in said


def test_where_they_are_gone_with_their_copy_that_is_said(run: Layout) -> None:
    for path in (run.checksums, run.copy(run.checksums)):
        path.unlink()
    results = Results(run.root)
    gone = f"{run.checksums} must hold the checksums of the tables and of best/; it is missing."
    with pytest.raises(RequestError) as refused:
        _ = results.history
    assert str(refused.value) == f"{gone} --resume writes it anew."
    assert results.faults() == [gone]


def test_a_run_of_before_there_were_any_is_read_without(run: Layout) -> None:
    for path in (run.checksums, run.copy(run.checksums)):
        path.unlink()
    summary = read_summary(run)
    del summary["checksums"]
    write_checksummed(run, run.summary, summary)
    run.best_metrics.unlink()
    assert Results(run.root).faults() == []
