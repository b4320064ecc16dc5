"""A tuner's own `run_trial`: KerasTuner's recipes, what it may return, and which model it has."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from sklearn.model_selection import KFold

from pipeline import keras_tuner as kt
from pipeline.digest import fingerprint
from pipeline.errors import RequestError
from pipeline.keras_tuner.arguments import of_search
from pipeline.keras_tuner.run_trial import OURS
from pipeline.objective import Objective
from pipeline.records.entries.reports import Report
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.settings import write_experiment
from pipeline.worker.session import Job
from pipeline.worker.spaces.loading import load_search_space
from pipeline.worker.spaces.reveal import check_default
from pipeline.worker.training.checkpoints import Checkpoints
from pipeline.worker.training.trial import train

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def build_model(hp):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(hp.Int("units", 2, 8, step=2), "relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", run_eagerly=True)
    return model


class Sized(kt.RandomSearch):
    """Tunes what `fit` is called with, as KerasTuner's guide does."""

    def run_trial(self, trial, *args, **kwargs):
        kwargs["batch_size"] = trial.hyperparameters.Int("batch_size", 8, 32, step=8)
        kwargs["epochs"] = trial.hyperparameters.Int("epochs", 2, 4)
        return super().run_trial(trial, *args, **kwargs)


class CrossValidated(kt.RandomSearch):
    folds = 2

    def run_trial(self, trial, x, y, batch_size=32):
        losses = []
        for train_rows, rows in KFold(self.folds).split(x):
            model = self.hypermodel.build(trial.hyperparameters)
            model.fit(x[train_rows], y[train_rows], batch_size, epochs=1, verbose=0)
            losses.append(model.evaluate(x[rows], y[rows], verbose=0))
        self.save_model(trial.trial_id, model)
        return {"val_loss": np.mean(losses), "spread": np.ptp(losses)}


class BlackBox(kt.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        x = trial.hyperparameters.Float("x", -2.0, 2.0)
        return x * x + 2 * x + 1


class Session:
    def __init__(self):
        self.reports = []

    def report(self, update, checkpoint):
        self.reports.append(update.report)


@pytest.fixture
def carried_out(tmp_path):
    """Check the default and train a trial of a tuner in this process, as a worker does."""

    def run(kind, *args, hypermodel=build_model, objective="val_loss", **kwargs):
        executions = kwargs.pop("executions_per_trial", 1)
        tuner = kind(
            hypermodel,
            objective,
            max_trials=1,
            directory=tmp_path,
            executions_per_trial=executions,
        )
        experiment, _ = tuner._experiment(*of_search(tuner._receiver(), args, kwargs))
        space = load_search_space(experiment.search_space)
        goal = Objective.parse(str(experiment.objective))
        checked = check_default(space, experiment.dataset, goal)
        session, folder = Session(), Layout(tmp_path / "run").trial("t0000")
        job = Job("t0000", {}, 0, experiment.max_epochs, goal, folder, "default")
        ending = train(job, space, experiment.dataset, session, unwrapped=True)
        assert ending.failure is None
        best = Checkpoints(folder).best_state()
        return SimpleNamespace(checked=checked, reports=session.reports, best=best)

    return run


def test_what_fit_is_called_with_is_tuned_and_its_epochs_are_reported(carried_out):
    found = carried_out(Sized, X, Y, validation_split=0.2)
    assert [spec.name for spec, _ in found.checked.requested] == ["units", "batch_size", "epochs"]
    assert [report.epoch for report in found.reports] == [1, 2]
    assert not any(report.final for report in found.reports)
    assert not found.best.no_model


def test_a_cross_validation_has_the_mean_as_its_score_and_the_model_that_it_saves(carried_out):
    found = carried_out(CrossValidated, X, Y, batch_size=16)
    (report,) = found.reports
    assert sorted(report.metrics) == ["spread", "val_loss"] and report.objective > 0
    assert not found.best.no_model and found.best.objective == report.objective


def test_without_a_model_of_keras_it_optimises_anything(carried_out):
    found = carried_out(BlackBox, hypermodel=None, objective=None)
    (report,) = found.reports
    assert report.metrics == {"default_objective": pytest.approx(1.0)}  # x is 0 by default
    assert found.checked.weights == 0 and found.best.no_model


def test_executions_are_each_of_a_new_model_and_their_mean_is_the_score(carried_out):
    class Noting(Sized):
        def run_trial(self, trial, *args, **kwargs):
            histories = super().run_trial(trial, *args, **kwargs)
            worst = [min(history.history["val_loss"]) for history in histories]
            assert len(worst) == 2 and worst[0] != worst[1]
            return histories

    found = carried_out(Noting, X, Y, validation_split=0.2, executions_per_trial=2)
    *epochs, mean = found.reports
    assert [report.epoch for report in epochs] == [1, 2] and mean.final
    assert mean.objective != min(report.objective for report in epochs)


def test_methods_of_its_own_are_called_in_a_trial_with_its_model(carried_out, tmp_path):
    class Telling(kt.RandomSearch):
        def on_epoch_end(self, trial, model, epoch, logs=None):
            super().on_epoch_end(trial, model, epoch, logs=logs)
            with open(tmp_path / "told", "a") as file:
                print(epoch, model.layers[0].units, "val_loss" in logs, file=file)

        def on_batch_begin(self, trial, model, batch, logs=None):
            assert trial.hyperparameters.get("units") == model.layers[0].units

    found = carried_out(Telling, X, Y, validation_split=0.2, epochs=2, batch_size=16)
    assert (tmp_path / "told").read_text() == "0 2 True\n1 2 True\n"
    assert [report.epoch for report in found.reports] == [1, 2] and not found.best.no_model


def test_methods_that_run_trial_calls_itself_are_there(carried_out):
    class Looping(kt.RandomSearch):
        def run_trial(self, trial, x, y):
            model = self.hypermodel.build(trial.hyperparameters)
            self.on_epoch_begin(trial, model, 0, logs={})
            self.on_batch_begin(trial, model, 0, logs={})
            loss = model.train_on_batch(x, y)
            self.on_batch_end(trial, model, 0, logs={"loss": loss})
            self.on_epoch_end(trial, model, 0, logs={"loss": loss})
            self.oracle.update_space(trial.hyperparameters)
            return {"val_loss": float(loss)}

    assert carried_out(Looping, X, Y).reports[0].objective > 0


SEVERAL = ["val_loss", kt.Objective("val_mae", "max")]


def sums(report):
    return pytest.approx(report.metrics["val_loss"] - report.metrics["val_mae"])


def build_measured(hp):
    model = build_model(hp)
    model.compile("adam", "mse", metrics=["mae"], run_eagerly=True)
    return model


def test_data_under_other_names_train_a_model_that_takes_its_shapes_from_them(carried_out):
    class Looping(kt.RandomSearch):
        def run_trial(self, trial, train_x, train_y):
            model = self.hypermodel.build(trial.hyperparameters)
            return float(model.train_on_batch(train_x, train_y))

    def build(hp):
        model = keras.Sequential([keras.layers.Dense(hp.Int("units", 1, 4))])
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    found = carried_out(Looping, train_x=X, train_y=Y, hypermodel=build)
    assert found.checked.weights == 0 and found.best.no_model
    assert found.reports[0].objective > 0


@pytest.mark.parametrize("kind", [kt.RandomSearch, Sized])
def test_several_objectives_are_summed_in_each_epoch(carried_out, kind):
    arguments = {"validation_split": 0.2, "epochs": 2}
    found = carried_out(kind, X, Y, hypermodel=build_measured, objective=SEVERAL, **arguments)
    assert [report.objective for report in found.reports] == [sums(r) for r in found.reports]
    assert len(found.reports) == 2 and found.best.objective == min(
        report.objective for report in found.reports
    )


class Returned(kt.HyperModel):
    def build(self, hp):
        return build_measured(hp)

    def fit(self, hp, model, *args, **kwargs):
        return {"val_loss": 3.0, "val_mae": 1.0, "other": 7.0}


class ReturnedTwice(Returned):
    def fit(self, hp, model, *args, **kwargs):
        return [{"val_loss": loss, "val_mae": 1.0} for loss in (2.0, 4.0)]


@pytest.mark.parametrize("model", [Returned(), ReturnedTwice()])
@pytest.mark.parametrize("kind", [kt.RandomSearch, Sized])
def test_several_objectives_that_fit_returns_are_summed(carried_out, kind, model):
    (report,) = carried_out(kind, X, Y, hypermodel=model, objective=SEVERAL).reports
    assert report.objective == report.metrics["multi_objective"] == 2.0


def test_several_objectives_of_a_history_are_those_of_its_best_epoch(carried_out):
    class Returning(kt.RandomSearch):
        def run_trial(self, trial, *args):
            return [history(val_loss=[3.0, 1.0, 2.0], val_mae=[1.0, 1.0, 5.0])]

    (report,) = carried_out(Returning, X, Y, objective=SEVERAL).reports
    assert report.metrics == {"val_loss": 2.0, "val_mae": 5.0, "multi_objective": -3.0}


def history(**logs):
    made = keras.callbacks.History()
    made.history = logs
    return made


@pytest.mark.parametrize(
    ("returned", "metrics"),
    [
        (0.5, {"val_loss": 0.5}),
        ({"val_loss": 0.5, "other": 2.0}, {"val_loss": 0.5, "other": 2.0}),
        (history(loss=[3.0, 1.0, 2.0], val_loss=[0.7, 0.5, 0.6]), {"loss": 1.0, "val_loss": 0.5}),
        ([0.25, 0.75], {"val_loss": 0.5}),
        ([history(val_loss=[1.0, 2.0]), {"val_loss": 2.0}], {"val_loss": 1.5}),
    ],
)
def test_what_run_trial_may_return(carried_out, returned, metrics):
    class Returning(kt.RandomSearch):
        def run_trial(self, trial, *args):
            return returned

    (report,) = carried_out(Returning, X, Y).reports
    assert report.metrics == pytest.approx(metrics)


@pytest.mark.parametrize(("returned", "named"), [(None, "None"), ("done", "a str"), ([], "a list")])
def test_what_it_may_not_return_is_named(carried_out, returned, named):
    class Returning(kt.RandomSearch):
        def run_trial(self, trial):
            return returned

    with pytest.raises(RequestError) as caught:
        carried_out(Returning)
    assert str(caught.value) == (
        "run_trial must return the objective, a dictionary of metrics, a History, or a list of "
        f"these; it returned {named}."
    )


def test_the_former_way_of_telling_the_oracle_is_taken_too(carried_out):
    class Telling(kt.RandomSearch):
        def run_trial(self, trial, x, y):
            self.oracle.update_trial(trial.trial_id, {"val_loss": 0.25})

    assert carried_out(Telling, X, Y).reports[0].objective == 0.25


def test_a_tuner_may_read_its_models_in_its_own_way(tmp_path):
    class Reading(kt.RandomSearch):
        def run_trial(self, trial, *args):
            return 0.0

        def load_model(self, trial):
            return f"the model of {trial.trial_id}"

    tuner = Reading(build_model, "val_loss", directory=tmp_path, project_name="p", keep_models=1)
    ledger = Ledger(Layout(tmp_path / "p"))
    write_experiment(ledger.layout, "seed: 1\n")
    for name, loss in (("t0000", 0.5), ("t0001", 0.25)):
        ledger.start(name, {})
        ledger.report(Report(1, loss, {"val_loss": loss}, 1.0, trial=name, time=1.0))
        ledger.end(name, "finished")
    ledger.start("t0002", {})
    ledger.end("t0002", "failed", error="no")
    ledger.close()
    assert tuner.get_best_models(5) == ["the model of t0001", "the model of t0000"]
    with pytest.raises(RequestError, match=r"^t0002 has no model: it has no score\.$"):
        kt.Tuner.load_model(tuner, tuner.oracle.get_trial("t0002"))


def test_a_scheduler_is_not_used_and_that_is_said_once(tmp_path):
    with pytest.warns(UserWarning) as said:
        tuner = BlackBox(directory=tmp_path, scheduler="asha")
    (line,) = said
    assert str(line.message) == (
        "run_trial is your own, so each trial is carried out whole: asha stops none early."
    )
    assert tuner._settings["scheduler"] == "none"


def test_a_method_of_its_own_is_named_where_a_scheduler_is_not_used(tmp_path):
    class Telling(kt.Hyperband):
        def on_epoch_end(self, trial, model, epoch, logs=None):
            pass

    with pytest.warns(UserWarning, match="^on_epoch_end is your own, so each trial is carried out"):
        tuner = Telling(build_model, "val_loss", 9, directory=tmp_path)
    assert tuner._beside(["t0000"], "t0000", 4) == {
        "tuner/epochs": 9,
        "tuner/initial_epoch": 0,
        "tuner/bracket": 0,
        "tuner/round": 0,
    }


def test_outside_of_a_trial_run_trial_says_so(tmp_path):
    tuner = kt.RandomSearch(build_model, "val_loss", directory=tmp_path)
    with pytest.raises(RequestError, match=r"^run_trial must be called within a trial, by run_tr"):
        tuner.run_trial(None)
    with pytest.raises(RequestError, match=r"^save_model must be called within a trial"):
        tuner.save_model("t", None)


def test_the_arguments_are_kerastuners():
    from keras_tuner import Tuner

    for name in ("run_trial", "save_model", "get_trial_dir"):
        theirs, ours = (inspect.signature(getattr(kind, name)) for kind in (Tuner, kt.Tuner))
        assert list(theirs.parameters) == list(ours.parameters), name


def test_what_a_tuner_holds_is_ours_until_the_users_class_adds_to_it(tmp_path):
    tuner = kt.Hyperband(build_model, "val_loss", directory=tmp_path)
    assert set(vars(tuner)) <= OURS


@pytest.mark.parametrize(
    "change",
    [
        lambda tuner: setattr(tuner, "rows", 3),
        lambda tuner: setattr(tuner, "_rows", 3),
        lambda tuner: setattr(tuner._space, "executions", 2),
        lambda tuner: setattr(tuner._space.tuner, "__class__", Sized),
    ],
    ids=["an attribute", "a private attribute", "executions", "the class"],
)
def test_another_tuner_is_another_search(change, tmp_path):
    def made():
        return CrossValidated(build_model, "val_loss", directory=tmp_path)

    tuner = made()
    assert fingerprint(made()._space) == fingerprint(tuner._space)
    change(tuner)
    assert fingerprint(made()._space) != fingerprint(tuner._space)


def test_a_trial_has_a_folder_to_write_to_and_the_check_another(carried_out, tmp_path):
    seen = []

    class Writing(kt.RandomSearch):
        def run_trial(self, trial):
            folder = Path(self.get_trial_dir(trial.trial_id))
            (folder / "mine.txt").write_text(trial.trial_id)
            seen.append(folder)
            return 1.0

    carried_out(Writing, hypermodel=None, objective=None)
    checked, trained = seen
    assert trained == tmp_path / "run" / "trials" / "t0000" / "own"
    assert tmp_path not in checked.parents and not (tmp_path / "untitled_project").exists()
    assert (trained / "mine.txt").read_text() == "t0000" and not checked.exists()
    tuner = Writing(directory=tmp_path)
    after = tuner.get_trial_dir("t0000")
    assert after == str(tmp_path / "untitled_project" / "trials" / "t0000" / "own")


@pytest.mark.slow
@pytest.mark.ray
def test_a_search_by_run_trial_hands_the_best_back(ray_cluster, tmp_path):
    told = []

    class Telling(Sized):
        def on_search_begin(self):
            told.append("begins")

        def on_search_end(self):
            told.append("ends")

        def on_trial_end(self, trial):
            told.append((trial.trial_id, trial.status, trial.score))

    def tuner(kind, hypermodel, objective):
        return kind(
            hypermodel, objective, max_trials=2, seed=1, directory=tmp_path, max_concurrent=2
        )

    sized = tuner(Telling, build_model, "val_loss")
    sized.search(X, Y, validation_split=0.2, verbose=0)
    (hp,), (model,) = sized.get_best_hyperparameters(), sized.get_best_models()
    assert {"units", "batch_size", "epochs"} == set(hp.values)
    ended = {(t.trial_id, t.status, t.score) for t in sized.oracle.trials.values()}
    assert (told[0], set(told[1:-1]), told[-1]) == ("begins", ended, "ends") and len(told) == 4
    score = model.evaluate(X[48:], Y[48:], batch_size=hp.get("batch_size"), verbose=0)
    assert score == pytest.approx(sized.oracle.get_best_trials()[0].score, rel=1e-5)
    assert max(len(t.metrics.get_history("val_loss")) for t in sized.oracle.trials.values()) > 1
