"""Whole searches with folds: each number is that of a loop by hand with scikit-learn and Keras."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from pipeline import Dataset, Experiment, open_run
from pipeline.console.result import result_rows
from pipeline.errors import RequestError
from tests.conftest import SPACES

FOLDS, EPOCHS, SEED = 5, 3, 4
SETTINGS = {
    "dataset": "breast_cancer",
    "search_space": str(SPACES / "seeded.py"),
    "searcher": "grid",
    "scheduler": "none",
    "folds": FOLDS,
    "max_epochs": EPOCHS,
    "seed": SEED,
    "objective": "val_loss",
    "max_concurrent": 1,  # one process that imports Keras
}


class Hp:
    """One configuration, as `build` asks for it."""

    def __init__(self, values):
        self.values = values

    def Choice(self, name, options):
        return self.values[name]


def model_of(configuration, data):
    from tests.spaces import seeded

    return seeded.build(Hp(configuration), data)


def by_hand(configuration, epochs=EPOCHS):
    """Histories of the folds' trainings, on rows as they come from the source."""
    bundled = load_breast_cancer()
    data = Dataset.split("by hand", bundled.data, bundled.target, SEED)
    x, y = (np.concatenate([getattr(data, f"{a}_train"), getattr(data, f"{a}_val")]) for a in "xy")
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    histories = []
    for train, val in splitter.split(x, y):
        scaler = StandardScaler().fit(x[train])
        held_out = (scaler.transform(x[val]), y[val])
        fitted = model_of(configuration, data).fit(
            scaler.transform(x[train]),
            y[train],
            validation_data=held_out,
            epochs=epochs,
            batch_size=128,
            shuffle=False,
            verbose=0,
        )
        histories.append(fitted.history)
    return histories


@pytest.mark.slow
def test_a_grid_with_folds_gives_the_numbers_of_a_loop_by_hand(search, capsys):
    run = search(**SETTINGS, trials=2, quiet=False)

    for trial in run.trials.to_dict("records"):
        configuration = {name: trial[name] for name in ("units", "learning_rate")}
        histories = by_hand(configuration)
        values = np.array([history["val_loss"] for history in histories])
        rows = run.history[run.history.trial == trial["trial"]]
        splits = rows[[f"split{fold}_val_loss" for fold in range(FOLDS)]].to_numpy().T
        np.testing.assert_allclose(splits.astype(float), values, atol=1e-6)
        np.testing.assert_allclose(rows.val_loss.astype(float), values.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(rows.val_loss_std.astype(float), values.std(axis=0), atol=1e-6)
        best = int(values.mean(axis=0).argmin())
        assert trial["best_epoch"] == best + 1
        assert trial["val_loss"] == pytest.approx(values[:, best].mean(), abs=1e-6)
        assert trial["split3_val_loss"] == pytest.approx(values[3, best], abs=1e-6)
        assert trial["val_loss_std"] == pytest.approx(values[:, best].std(), abs=1e-6)
        if trial["trial"] == run.best.trial:
            own = values.argmin(axis=1) + 1
            assert run.summary["refit_epochs"] == int(np.median(own) + 0.5)
            assert run.summary["spread"] == pytest.approx(values[:, best].std(), abs=1e-6)

    summary = run.summary
    assert summary["scored"] == "folds" and summary["saved"] == "refit"
    assert summary["check"]["result"] == "equal"
    assert summary["check"]["measured"] == pytest.approx(run.best.objective, rel=1e-5)
    measured = [fold["loss"] for fold in summary["folds"]]
    assert np.mean(measured) == pytest.approx(run.best.objective, rel=1e-5)
    assert_refit_by_hand(run)
    rows, spread = result_rows(run), f"± {summary['spread']:.2g} over 5 folds"
    assert rows["objective"] == f"val_loss {run.best.objective:.5g} {spread}, minimised"
    assert rows["check"].endswith("equal to what was recorded (the mean of the models of 5 folds)")
    assert rows["saved"] == (
        f"trained anew on training and validation data, {summary['refit_epochs']} epochs; "
        "no validation score can be compared with it"
    )
    planned = "5 folds, stratified: 5 trainings a trial, 10 at most; then the best is trained on"
    assert planned in capsys.readouterr().out


def assert_refit_by_hand(run):
    """The saved model is that of the best configuration trained on all rows but the test's."""
    bundled = load_breast_cancer()
    data = Dataset.split("by hand", bundled.data, bundled.target, SEED)
    x, y = (np.concatenate([getattr(data, f"{a}_train"), getattr(data, f"{a}_val")]) for a in "xy")
    scaler = StandardScaler().fit(x)
    model = model_of(run.best.hyperparameters, data)
    epochs = run.summary["refit_epochs"]
    model.fit(scaler.transform(x), y, epochs=epochs, batch_size=128, shuffle=False, verbose=0)
    for ours, theirs in zip(run.best_model().get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    test = model.evaluate(scaler.transform(data.x_test), data.y_test, verbose=0, return_dict=True)
    assert run.summary["test"] == pytest.approx(test, abs=1e-5)
    scale = json.loads(run.layout.best_standardisation.read_text())
    np.testing.assert_allclose(scale["mean"], scaler.mean_, rtol=1e-6)


@pytest.mark.slow
def test_a_stopped_trial_stops_all_its_folds_and_a_resume_trains_anew(search):
    settings = SETTINGS | {"scheduler": "asha", "reduction_factor": 2, "folds": 3}
    run = search(**settings, trials=2)
    first = run.summary["refit_epochs"], run.best.trial, run.best_model().get_weights()

    assert_stopped_whole(run)
    # as where the process is killed while it trains the best configuration anew
    for path in (run.layout.summary, run.layout.copy(run.layout.summary), run.layout.best_model):
        path.unlink()
    with pytest.raises(RequestError, match="A resumed run keeps its folds"):
        search(**settings | {"folds": 4}, trials=3, resume=run.directory)
    more = search(**settings, trials=3, resume=run.directory)

    assert_stopped_whole(more)
    assert more.summary["saved"] == "refit" and more.summary["check"]["result"] == "equal"
    assert len(more.trials) == 3
    again = open_run(run.directory)
    assert again.summary["refit_epochs"] == more.summary["refit_epochs"]
    if more.best.trial == first[1]:
        for before, after in zip(first[2], again.best_model().get_weights(), strict=True):
            np.testing.assert_allclose(before, after, atol=1e-6)


def assert_stopped_whole(run):
    """Each trial has as many epochs of each fold, and stopped ones have few."""
    stopped = run.trials[run.trials.status == "stopped"]
    assert len(stopped) > 0 and (stopped.epochs < EPOCHS).all()
    splits = run.history[[f"split{fold}_val_loss" for fold in range(3)]]
    assert not splits.isna().any().any()
    kept = sorted(path.parent.name for path in run.layout.trial(run.best.trial).rglob("best.npz"))
    assert kept == [f"execution-{fold}" for fold in range(3)]
    assert not list(run.layout.trials.rglob("last.npz"))


def test_folds_that_cannot_be_are_told_before_the_search_in_a_line(search, tmp_path):
    (tmp_path / "few.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    return np.arange(60.0)[:, None], np.array(['a'] * 54 + ['rare'] * 6)\n"
    )
    with pytest.raises(RequestError) as refused:
        search(dataset=str(tmp_path / "few.py"), folds=6)
    line = str(refused.value)
    assert line.endswith("class 'rare' has 5 to train and validate on, and folds is 6.")
    assert not (tmp_path / "runs").exists()


def test_what_folds_cannot_go_with_is_refused_before_anything_is_loaded():
    with pytest.raises(RequestError, match="folds must have a scheduler under which a trial keeps"):
        Experiment(dataset="digits", scheduler="pbt", folds=3)
    with pytest.raises(RequestError, match="folds must be greater than or equal to 2; got 1"):
        Experiment(dataset="digits", folds=1)
