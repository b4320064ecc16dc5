"""What the reports of a trial with folds say of each fold."""

import pytest

from pipeline.objective import Objective
from pipeline.records.entries.folds import median_best_epoch, of_folds
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialRecord
from pipeline.records.outputs.tables import history_table, trials_table

ACCURACY = Objective("val_accuracy", "max")


def reports(*folds):
    """Of a trial whose folds have these values, an epoch each."""
    return [
        Report(
            place + 1,
            sum(v or 0 for v in values) / len(values),
            {f"split{fold}_val_accuracy": value for fold, value in enumerate(values)}
            | {"val_accuracy_std": 0.25, "loss": 1.0},
            1.0,
            trial="t0000",
            time=0.0,
        )
        for place, values in enumerate(zip(*folds, strict=True))
    ]


@pytest.mark.parametrize(
    ("folds", "epoch"),
    [
        (([1, 2, 3], [3, 2, 1], [1, 3, 2]), 2),
        (([1, 2, 3], [3, 2, 1]), 2),
        (([1, 2, 3], [1, 3, 2]), 3),  # 2.5
        (([3, 3, 3], [2, 2, 2]), 1),  # the earliest of equals
        (([None, 0.1, None], [None, 0.1, 0.1]), 2),
    ],
)
def test_the_median_of_the_folds_best_epochs_is_rounded_to_a_whole_one(folds, epoch):
    assert median_best_epoch(reports(*folds), ACCURACY, len(folds)) == epoch


def test_less_is_better_for_a_loss():
    told = reports([1, 2, 3], [1, 2, 3])
    for report in told:
        report.metrics = {n.replace("accuracy", "loss"): v for n, v in report.metrics.items()}
    assert median_best_epoch(told, Objective("val_loss", "min"), 2) == 1


def test_tables_have_a_column_a_fold_and_the_spread():
    told = reports([0.5, 0.75], [1.0, 1.0])
    trials = trials_table({"t0000": TrialRecord("t0000", {})}, told, ACCURACY)
    columns = list(trials.columns)
    place = columns.index("best_epoch")
    added = ["split0_val_accuracy", "split1_val_accuracy", "val_accuracy_std"]
    assert columns[place + 1 : place + 4] == added
    assert trials[added].iloc[0].tolist() == [0.75, 1.0, 0.25]
    assert history_table(told, {})[added].iloc[0].tolist() == [0.5, 1.0, 0.25]


def test_a_trial_without_folds_has_no_column_of_them():
    assert of_folds({"val_accuracy": 0.5, "val_accuracy_std": 0.1}) == {}
    told = [Report(1, 0.5, {"val_accuracy_std": 0.1}, 1.0, trial="t0000", time=0.0)]
    columns = trials_table({"t0000": TrialRecord("t0000", {})}, told, ACCURACY).columns
    assert "val_accuracy_std" not in columns
