"""Tables, the best trial and the summary, from a run's records."""

import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
import pytest

from pipeline.engine.run import Run
from pipeline.errors import RequestError
from pipeline.objective import Objective
from pipeline.records.entries.reports import BestReports, Report
from pipeline.records.entries.trials import TrialFacts, TrialRecord
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.summary import BestEpoch, find_best, summary_of, write_summary
from pipeline.records.outputs.tables import history_table, in_order, trials_table, write_tables

ACCURACY, LOSS = Objective("val_accuracy", "max"), Objective("val_loss", "min")


def trial(
    name: str, status: Any = "finished", error: str | None = None, **requested: Any
) -> TrialRecord:
    items = [{"name": n, "value": v} for n, v in requested.items()]
    return TrialRecord(name, {}, status=status, requested=items, error=error)


def trials(*records: TrialRecord) -> dict[str, TrialRecord]:
    return {record.trial: record for record in records}


def report(name: str, epoch: int, objective: float | None, seconds: float = 1.0) -> Report:
    return Report(
        epoch, objective, {"val_accuracy": objective, "loss": 0.5}, seconds, trial=name, time=0.0
    )


def cells(table: pd.DataFrame) -> list[dict[str, str]]:
    """The rows of the CSV text, as they stand there."""
    return list(csv.DictReader(io.StringIO(table.to_csv(index=False))))


# The table of trials.


def test_a_row_says_what_became_of_a_trial() -> None:
    records = trials(
        trial("t0000", units=32, rate=0.001), trial("t0001", "failed", "out of memory", units=512)
    )
    reports = [
        report("t0000", 1, 0.8, 1.5),
        report("t0000", 2, 0.9, 1.25),
        report("t0000", 3, 0.7, 1.0),
    ]

    assert cells(trials_table(records, reports, ACCURACY)) == [
        {
            "trial": "t0000",
            "status": "finished",
            "units": "32",
            "rate": "0.001",
            "val_accuracy": "0.9",
            "best_epoch": "2",
            "epochs": "3",
            "seconds": "3.75",
            "error": "",
        },
        {
            "trial": "t0001",
            "status": "failed",
            "units": "512",
            "rate": "",
            "val_accuracy": "",
            "best_epoch": "",
            "epochs": "0",
            "seconds": "0.0",
            "error": "out of memory",
        },
    ]


def test_a_layer_that_a_trial_did_not_have_is_an_empty_cell() -> None:
    records = trials(trial("a", layers=1, units_0=32), trial("b", layers=2, units_0=64, units_1=96))

    assert [row["units_1"] for row in cells(trials_table(records, [], ACCURACY))] == ["", "96"]


def test_integers_and_truth_values_stay_what_they_are_beside_empty_cells() -> None:
    records = trials(trial("a", n=1, big=2**60, flag=True, x=3.0), trial("b"))
    row = cells(trials_table(records, [report("a", 7, 0.5)], ACCURACY))[0]

    assert (row["n"], row["big"], row["flag"], row["x"]) == ("1", str(2**60), "True", "3.0")
    assert (row["best_epoch"], row["epochs"]) == ("7", "7")


def test_columns_follow_the_order_of_asking() -> None:
    records = trials(
        trial("a", layers=1, units_0=32, rate=0.1),
        trial("b", layers=2, units_0=32, units_1=32, rate=0.1, batch_size=16),
    )

    assert list(trials_table(records, [], ACCURACY).columns) == [
        "trial",
        "status",
        "layers",
        "units_0",
        "units_1",
        "rate",
        "batch_size",
        "val_accuracy",
        "best_epoch",
        "epochs",
        "seconds",
        "error",
    ]


@pytest.mark.parametrize(
    "name", ["epochs", "trial", "status", "seconds", "error", "best_epoch", "val_accuracy"]
)
def test_a_hyperparameter_named_like_a_column_gets_a_prefix(name: str) -> None:
    requested = [{"name": name, "value": 42}, {"name": "units", "value": 1}]
    record = TrialRecord("a", {}, "finished", requested=requested)
    table = trials_table(trials(record), [report("a", 1, 0.5)], ACCURACY)
    plain = trials_table(trials(trial("a", units=1)), [report("a", 1, 0.5)], ACCURACY)

    assert cells(table)[0][f"hp/{name}"] == "42"
    assert cells(table)[0][name] == cells(plain)[0][name]


@pytest.mark.parametrize("name", ["trial", "status", "best_epoch", "epochs", "seconds", "error"])
def test_an_objective_named_like_a_column_gets_a_prefix(name: str) -> None:
    table = trials_table(
        trials(trial("a", "failed", "out of memory")), [report("a", 1, 0.5)], Objective(name, "min")
    )
    row = cells(table)[0]

    assert (row["trial"], row["status"], row["error"], row["epochs"]) == (
        "a",
        "failed",
        "out of memory",
        "1",
    )
    assert row[f"metric/{name}"] == "0.5"


def test_only_what_was_requested_is_shown() -> None:
    record = TrialRecord(
        "a", {"units": 1, "never_asked": 2}, requested=[{"name": "units", "value": 1}]
    )

    assert "never_asked" not in trials_table(trials(record), [], ACCURACY).columns


def test_a_trial_that_only_diverged_has_no_objective() -> None:
    row = cells(
        trials_table(trials(trial("a", "failed", "diverged")), [report("a", 1, None)], ACCURACY)
    )[0]

    assert (row["val_accuracy"], row["best_epoch"], row["epochs"]) == ("", "", "1")


def test_a_run_without_trials_is_a_table_without_rows() -> None:
    text = trials_table({}, [], ACCURACY).to_csv(index=False)

    assert text == "trial,status,val_accuracy,best_epoch,epochs,seconds,error\n"


def test_in_order_puts_a_new_name_after_the_one_it_followed() -> None:
    assert in_order([["a", "c"], ["a", "b", "c"], ["z", "a"], []]) == ["z", "a", "b", "c"]


# The table of epochs.


def test_a_row_an_epoch_with_every_metric() -> None:
    table = history_table([report("a", 1, 0.5, 1.23456), report("b", 1, None)], {})

    assert cells(table) == [
        {"trial": "a", "epoch": "1", "val_accuracy": "0.5", "loss": "0.5", "seconds": "1.2346"},
        {"trial": "b", "epoch": "1", "val_accuracy": "", "loss": "0.5", "seconds": "1.0"},
    ]


def test_no_epochs_are_a_table_without_rows() -> None:
    assert history_table([], {}).to_csv(index=False) == "trial,epoch,seconds\n"


# The best.


def test_the_best_epoch_is_the_earlier_of_equals() -> None:
    reports = [report("a", 1, 0.5), report("a", 2, 0.9), report("a", 3, 0.9), report("a", 4, None)]

    assert BestReports(ACCURACY, reports).of("a").epoch == 2
    assert BestReports(LOSS, reports).of("a").epoch == 1


@pytest.mark.parametrize(("objective", "best"), [(ACCURACY, "b"), (LOSS, "c")])
def test_the_best_trial_follows_the_direction(objective: Objective, best: str) -> None:
    records = trials(trial("a", n=1), trial("b", n=2), trial("c", n=3))
    reports = [report("a", 1, 0.5), report("b", 1, 0.9), report("c", 1, 0.1)]
    found = find_best(records, reports, objective)

    assert found is not None
    assert (found.trial, found.hyperparameters, found.epoch) == (
        best,
        records[best].hyperparameters,
        1,
    )


def test_of_equal_trials_the_earlier_is_the_best_whichever_reported_first() -> None:
    found = find_best(
        trials(trial("a"), trial("b")), [report("b", 1, 0.5), report("a", 3, 0.5)], ACCURACY
    )

    assert found == BestEpoch("a", {}, 0.5, 3)


def test_a_stopped_or_failed_trial_can_be_the_best() -> None:
    found = find_best(
        trials(trial("a"), trial("b", "failed")),
        [report("a", 1, 0.5), report("b", 1, 0.9)],
        ACCURACY,
    )

    assert found is not None and found.trial == "b"


def test_without_a_finite_objective_there_is_no_best() -> None:
    assert find_best(trials(trial("a")), [report("a", 1, None)], ACCURACY) is None
    assert find_best({}, [], ACCURACY) is None


# The run, written and read.


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    ledger = Ledger(layout)
    for name in ("t0000", "t0001"):
        ledger.start(name, {})
        ledger.note(name, TrialFacts(requested=[{"name": "n", "value": 3}]))
    ledger.report(report("t0000", 1, 0.5))
    ledger.end("t0000", "finished")
    ledger.close()
    return layout


def summary(layout: Layout, **settings: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "best": None,
        "test": None,
        "trials": {},
        "epochs": 0,
        "objective": str(ACCURACY),
    }
    made = summary_of(layout, **defaults | settings)
    write_summary(layout, made)
    return made


def test_summary_counts_trials_by_their_status(layout: Layout) -> None:
    states = [
        "finished",
        "finished",
        "finished",
        "stopped",
        "stopped",
        "failed",
        "running",
        "duplicate",
    ]
    records = trials(*(trial(f"t{i}", status) for i, status in enumerate(states)))

    written = summary(
        layout,
        trials=records,
        epochs=12,
        best=BestEpoch("t0", {"n": 3}, 0.9, 2),
        test={"accuracy": 0.8},
    )

    assert written["trials"] == {
        "total": 7,
        "finished": 3,
        "stopped": 2,
        "failed": 1,
        "unfinished": 1,
        "duplicate": 1,
    }
    assert written["best"] == {
        "trial": "t0",
        "hyperparameters": {"n": 3},
        "objective": 0.9,
        "epoch": 2,
        "final": False,
    }
    assert (written["test"], written["epochs"]) == ({"accuracy": 0.8}, 12)
    assert Results(layout.root).summary == written


def test_summary_counts_how_trials_were_carried_out(layout: Layout) -> None:
    plans = ["looped: few", "compiled: small", "compiled: small", None]
    records = trials(*(replace(trial(f"t{i}"), fit_plan=plan) for i, plan in enumerate(plans)))
    assert list(summary(layout, trials=records)["fit_plans"].items()) == [
        ("compiled: small", 2),
        ("looped: few", 1),
    ]


def test_summary_holds_the_facts_it_is_given(layout: Layout) -> None:
    summary(layout, wall_clock_s=1.5, versions={"keras": "3"})

    assert json.loads(layout.summary.read_text())["wall_clock_s"] == 1.5
    assert json.loads(layout.summary.read_text())["versions"] == {"keras": "3"}


def test_results_give_tables_and_the_best(layout: Layout) -> None:
    write_tables(layout, ACCURACY)
    best = BestEpoch("t0000", {"n": 3}, 0.5, 1)
    summary(layout, best=best)
    results = Results(layout.root)

    assert results.best == best
    assert results.directory == layout.root
    assert results.trials["trial"].tolist() == ["t0000", "t0001"]
    assert results.trials["n"].tolist() == [3, 3]
    assert results.history["epoch"].tolist() == [1]


def test_results_can_be_read_from_where_the_run_was_moved(layout: Layout, tmp_path: Path) -> None:
    write_tables(layout, ACCURACY)
    summary(layout)
    moved = tmp_path.rename(tmp_path.with_name("moved"))

    assert len(Results(str(moved)).trials) == 2


def test_results_of_a_run_without_trials_are_empty_tables(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write_tables(layout, ACCURACY)
    summary(layout)
    results = Results(tmp_path)

    assert (results.best, len(results.trials), len(results.history)) == (None, 0, 0)
    assert "status" in results.trials.columns


def test_a_run_that_did_not_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as refused:
        Results(tmp_path)

    assert str(refused.value) == (
        f"A run that ended must have a summary.json; {tmp_path} has none: it still runs, or "
        "--resume goes on with it."
    )


# What was written at the end is damaged.


@pytest.fixture
def ended(layout: Layout) -> Results:
    """A run with all that its end wrote; of the model, what can be looked at without Keras."""
    write_tables(layout, ACCURACY)
    counted = trials(trial("t0000"), trial("t0001"))
    summary(layout, trials=counted, epochs=1, best=BestEpoch("t0000", {"n": 3}, 0.5, 1))
    layout.best.mkdir()
    with zipfile.ZipFile(layout.best_model, "w") as model:
        model.writestr("config.json", "{}")
        model.writestr("model.weights.h5", bytes(1000))
    return Results(layout.root)


def gone(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def cut_at_a_line(path: Path) -> None:
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])


def other_bytes(path: Path) -> None:
    path.write_bytes(b"\xff\x00\n" * 9)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def other_content(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def test_what_is_whole_is_read(ended: Results) -> None:
    assert ended.faults() == []
    assert (len(ended.trials), len(ended.history), ended.model_file()) == (
        2,
        1,
        ended.layout.best_model,
    )


@pytest.mark.parametrize("damage", [gone, emptied, cut, cut_at_a_line, other_bytes, a_folder])
@pytest.mark.parametrize("table", ["trials", "history"])
def test_a_damaged_table_is_refused_in_one_line_that_names_it(
    ended: Results, table: str, damage: Any
) -> None:
    path = ended.directory / f"{table}.csv"
    damage(path)

    with pytest.raises(RequestError) as refused:
        getattr(ended, table)

    said = str(refused.value)
    what = "it is missing" if damage is gone else "it is damaged: .+"
    row = {"trials": "a trial", "history": "an epoch"}[table]
    assert re.fullmatch(rf"{path} must hold a row {row}; {what}\. --resume writes it anew\.", said)
    assert ended.faults() == [said.removesuffix(" --resume writes it anew.")]


@pytest.mark.parametrize("damage", [gone, emptied, cut, other_bytes, a_folder, other_content])
def test_a_damaged_model_is_refused_in_one_line_that_names_it(ended: Results, damage: Any) -> None:
    path = ended.layout.best_model
    damage(path)

    with pytest.raises(RequestError) as refused:
        ended.model_file()

    what = "it is missing" if damage is gone else "it is damaged: .+"
    assert re.fullmatch(
        rf"{path} must be the best model; {what}\. --resume writes it anew\.", str(refused.value)
    )
    assert len(ended.faults()) == 1


def test_of_a_model_that_cannot_describe_itself_the_weights_are_looked_at(ended: Results) -> None:
    ended.layout.best_model.unlink()
    with h5py.File(ended.layout.best_weights, "w") as file:
        file["weights"] = list(range(100))
    assert ended.faults() == []
    assert ended.model_file() == ended.layout.best_weights
    with pytest.raises(
        RequestError,
        match="^A model must be one that Keras can describe to be loaded; of this one ",
    ):
        Run(ended.directory).best_model()
    cut(ended.layout.best_weights)
    (said,) = ended.faults()
    assert (
        said.startswith(f"{ended.layout.best_weights} must be the best model; it is damaged: ")
        and "\n" not in said
    )


def test_where_no_trial_is_the_best_there_is_no_model(layout: Layout) -> None:
    write_tables(layout, ACCURACY)
    summary(layout)
    results = Results(layout.root)
    assert results.faults() == []
    with pytest.raises(
        RequestError,
        match="A model must be of a trial that reported a finite objective; .* has none.$",
    ):
        results.model_file()


def test_tables_may_know_more_than_the_summary(ended: Results) -> None:
    """While a run that takes more comes to its end."""
    ledger = Ledger(ended.layout)
    ledger.start("t0002", {})
    ledger.report(report("t0002", 1, 0.5))
    ledger.end("t0002", "finished")
    write_tables(ended.layout, ACCURACY, ledger)
    ledger.close()
    assert len(Results(ended.directory).trials) == 3
