"""Scores of the task are objectives, whether the model reports them or not."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn import metrics

from pipeline.data.fit_data import FitData
from pipeline.errors import RequestError
from pipeline.objective import MultiObjective, Objective
from pipeline.records.layout import Layout
from pipeline.worker.scoring.at_epochs import wanted
from pipeline.worker.spaces.reveal import check_default
from pipeline.worker.training.evaluate import evaluate_best
from pipeline.worker.training.repeats import carry_out
from tests.worker.stage import Notes, curve, dataset, digits_model, job, one_hot, run, space

F1, AUC = Objective("val_f1_macro", "max"), Objective("val_roc_auc", "max")
LOSS = Objective("val_loss", "min")


@pytest.fixture(scope="module")
def digits():
    return dataset("digits", 120)


class Predicts(keras.callbacks.Callback):
    """Keeps what the model gives at the end of each epoch, and the logs as other callbacks see
    them."""

    def __init__(self, x):
        super().__init__()
        self.x, self.outputs, self.logs = x, [], []

    def on_epoch_end(self, epoch, logs=None):
        self.outputs.append(self.model.predict(self.x, verbose=0))
        self.logs.append(dict(logs))


def trained(task, data, build=lambda hp, data: digits_model(), seen=None):
    def fit(hp, model, *args, callbacks, **kwargs):
        return model.fit(*args, callbacks=[*callbacks, *([seen] if seen else [])], **kwargs)

    notes, ending = run(task, space(build, fit if seen else None), data)
    assert ending.failure is None, ending.failure
    return notes.epochs


@pytest.mark.parametrize("labels", ["integers", "one-hot"])
def test_each_epoch_has_scikit_learns_score_of_its_predictions(digits, tmp_path, labels):
    def build(hp, given):
        model = digits_model()
        if labels == "one-hot":
            model.compile("adam", "categorical_crossentropy", run_eagerly=True)
        return model

    seen = Predicts(digits.x_val)
    data = digits if labels == "integers" else one_hot(digits)
    epochs = trained(job(tmp_path, objective=F1, max_epochs=2), data, build, seen)

    expected = [
        metrics.f1_score(digits.y_val, outputs.argmax(1), average="macro")
        for outputs in seen.outputs
    ]
    assert [e.metrics["val_f1_macro"] for e in epochs] == pytest.approx(expected, rel=1e-12)
    assert [e.objective for e in epochs] == pytest.approx(expected, rel=1e-12)
    assert [logs["val_f1_macro"] for logs in seen.logs] == pytest.approx(expected), "others see it"


@pytest.mark.parametrize("plan", ["plain", "looped", "compiled"])
def test_it_changes_nothing_else_in_any_plan_and_a_model_read_back_has_it(digits, tmp_path, plan):
    def build(hp, data):
        return digits_model(eager=False)

    how = {"fit_plan": plan, "max_epochs": 2, "trial": "t0001"}
    task = job(tmp_path / "trials", objective=AUC, **how)
    epochs = trained(task, digits, build)
    plain = trained(job(tmp_path / "other", objective=LOSS, **how), digits, build)

    scores = [epoch.metrics.pop("val_roc_auc") for epoch in epochs]
    assert curve(epochs) == [pytest.approx(point, rel=1e-6) for point in curve(plain)]
    best = int(np.argmax(scores)) + 1
    found = evaluate_best(task, space(build), digits, best, Layout(tmp_path), max(scores))
    assert found["check"]["result"] == "equal"
    assert found["validation"]["roc_auc"] == pytest.approx(max(scores), rel=1e-5)


def test_repeats_report_their_mean(digits, tmp_path):
    notes = Notes()
    task = job(tmp_path, objective=F1, max_epochs=1, repeats=2)
    carry_out(task, space(), digits, notes)

    apart = [
        trained(replace(task, repeats=1, repeat=k, directory=tmp_path / str(k)), digits)
        for k in range(2)
    ]
    mean = np.mean([epochs[0].objective for epochs in apart])
    assert notes.epochs[0].objective == pytest.approx(mean)


def test_a_metric_that_the_model_reports_is_its_own(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.worker.scoring.at_epochs.scores_of", None)
    task = job(tmp_path, objective=Objective("val_accuracy", "max"), max_epochs=1)

    assert trained(task, digits)[0].objective > 0


def test_numbers_have_scores_too(tmp_path):
    data = dataset("diabetes", 100)
    seen = Predicts(data.x_val)

    def build(hp, data):
        model = keras.Sequential([keras.Input(data.shape), keras.layers.Dense(1)])
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    task = job(tmp_path, objective=Objective.parse("val_r2"), max_epochs=1)
    epochs = trained(task, data, build, seen)

    assert epochs[0].objective == pytest.approx(metrics.r2_score(data.y_val, seen.outputs[0]))


def test_weights_that_are_put_in_for_validation_are_scored(digits, tmp_path):
    def build(hp, data):
        return digits_model(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5))

    def fit(hp, model, *args, callbacks, **kwargs):
        swapping = keras.callbacks.SwapEMAWeights()
        return model.fit(*args, callbacks=[*callbacks, swapping], **kwargs)

    task = job(tmp_path / "trials", objective=AUC, max_epochs=1)
    _notes, ending = run(task, space(build, fit), digits)
    assert ending.failure is None, ending.failure

    found = evaluate_best(task, space(build, fit), digits, 1, Layout(tmp_path))
    assert found["check"]["result"] == "equal"


@pytest.mark.parametrize("form", ["integers", "a column", "one-hot"])
def test_arrays_from_python_are_understood_by_the_models_loss(digits, tmp_path, form):
    train, val = {
        "integers": (digits.y_train, digits.y_val),
        "a column": (digits.y_train[:, None], digits.y_val[:, None]),
        "one-hot": (one_hot(digits).y_train, one_hot(digits).y_val),
    }[form]
    data = FitData.of("d", digits.x_train, train, validation_data=(digits.x_val, val))

    def build(hp):
        model = digits_model()
        if form == "one-hot":
            model.compile("adam", "categorical_crossentropy", run_eagerly=True)
        return model

    family = space(lambda hp, data: build(hp))
    task = job(tmp_path / "trials", objective=F1, max_epochs=1)
    notes, ending = run(task, family, data)
    assert ending.failure is None, ending.failure
    known, _ = run(
        job(tmp_path / "known", objective=F1, max_epochs=1),
        family,
        digits if form != "one-hot" else one_hot(digits),
    )

    assert notes.epochs[0].objective == pytest.approx(known.epochs[0].objective)
    assert evaluate_best(task, family, data, 1, Layout(tmp_path))["check"]["result"] == "equal"


def test_several_objectives_may_be_such_scores():
    assert wanted(MultiObjective(objectives=(F1, LOSS, AUC))) == ["f1_macro", "roc_auc"]
    assert wanted(Objective("f1_macro", "max")) == [], "that is no score of validation"


def test_the_check_before_a_search_knows_them(digits):
    check_default(space(), digits, F1)
    check_default(space(), digits, AUC)


def test_a_ranking_without_a_class_is_refused_before_the_search(digits):
    kept = digits.y_val != 3
    data = replace(digits, x_val=digits.x_val[kept], y_val=digits.y_val[kept])

    with pytest.raises(RequestError) as refused:
        check_default(space(), data, AUC)

    assert str(refused.value) == (
        "val_roc_auc needs examples of each class in the validation split; it has none of class 3."
    )


def test_a_score_of_the_other_task_is_no_objective(digits):
    with pytest.raises(RequestError, match="The objective must be among what 'mine' reports"):
        check_default(space(), digits, Objective("val_r2", "max"))


def test_outputs_that_are_not_understood_are_refused_before_the_search(digits):
    def build(hp, data):
        model = keras.Sequential(
            [keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(10)]
        )
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    with pytest.raises(RequestError) as refused:
        check_default(space(build), digits, F1)

    assert str(refused.value) == (
        "f1_macro must follow from the model's outputs; its outputs are no probabilities, and the "
        "loss sparse_categorical_crossentropy takes no logits."
    )
