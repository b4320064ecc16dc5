"""The model that is saved is the one that was scored: measured again, or it is said why not."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

from pipeline.data.fit_data import FitData
from pipeline.objective import Objective
from pipeline.records.layout import Layout
from pipeline.records.outputs.model_check import ON_A_GPU
from pipeline.worker.serving.model_file import load_keras_model
from pipeline.worker.training.checkpoints import BestWeights, Checkpoints, State
from pipeline.worker.training.evaluate import evaluate_best, trained
from tests.worker import stage

ACCURACY = Objective("val_accuracy", "max")


@pytest.fixture(scope="module")
def digits():
    return stage.dataset("digits")


def searched(tmp_path, data, fit=None, build=None, epoch=None, **settings):
    """What is found of the best epoch of one trial, and where."""
    space = stage.space(build or (lambda hp, data: stage.linear_model()), fit)
    task = stage.job(tmp_path, **{"max_epochs": 2, "objective": ACCURACY} | settings)
    notes, ending = stage.run(task, space, data)
    assert ending.failure is None, ending.failure
    values = [e.objective for e in notes.epochs]
    final = notes.epochs[-1].final
    best = None if final else 1 + values.index(min(values, key=task.objective.loss))
    layout = Layout(tmp_path / "run")
    return evaluate_best(task, space, data, best, layout), layout, notes


def noisy(hp, data):
    class Noise(keras.layers.Layer):
        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x))

    model = stage.linear_model()
    made = keras.Sequential([keras.Input((8, 8, 1)), Noise(), *model.layers])
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return made


def restoring(hp, model, *args, callbacks, **kwargs):
    early = keras.callbacks.EarlyStopping(
        "val_loss", patience=1, min_delta=10, restore_best_weights=True
    )
    return model.fit(*args, callbacks=[early, *callbacks], **kwargs)


@pytest.mark.parametrize("fit", [None, restoring], ids=["keras's", "early stopping"])
@pytest.mark.parametrize("build", [None, lambda hp, data: stage.digits_model()])
def test_the_best_epochs_model_has_the_score_that_it_reported(fit, build, digits, tmp_path):
    found, layout, notes = searched(tmp_path, digits, fit, build)
    best = max(e.objective for e in notes.epochs)
    check = found["check"]

    assert (check["result"], check["reason"], check["tolerance"]) == ("equal", "", 1e-5)
    assert check["recorded"] == best and check["measured"] == pytest.approx(best, rel=1e-5)
    again = load_keras_model(layout.best_model).evaluate(
        digits.x_val, digits.y_val, verbose=0, return_dict=True
    )
    assert again["accuracy"] == pytest.approx(best, rel=1e-5)


def test_of_repeats_the_best_one_has_its_own_score(digits, tmp_path):
    from pipeline.worker.training.repeats import carry_out

    space = stage.space(lambda hp, data: stage.linear_model())
    task = stage.job(tmp_path, max_epochs=2, objective=ACCURACY, repeats=2)
    carry_out(task, space, digits, stage.Notes())
    check = evaluate_best(task, space, digits, 2, Layout(tmp_path / "run"))["check"]
    assert check["result"] == "equal"


def test_a_model_that_draws_numbers_outside_of_training_is_told_to_differ(digits, tmp_path):
    found, _, _ = searched(tmp_path, digits, build=noisy, objective=Objective("val_loss", "min"))
    assert found["check"]["result"] == "different"
    assert found["check"]["measured"] != found["check"]["recorded"]


@pytest.mark.parametrize(
    ("apart", "result"), [(0, "equal"), (2e-3, "not compared"), (0.1, "different")]
)
def test_what_a_gpu_trained_is_equal_or_too_close_to_tell_or_different(
    apart, result, digits, tmp_path
):
    """Trained on the CPU of the test; what a GPU would have recorded lies `apart`."""
    space = stage.space(lambda hp, data: stage.linear_model())
    task = stage.job(tmp_path, max_epochs=1, objective=ACCURACY, on_gpu=True)
    notes, _ = stage.run(task, space, digits)
    recorded = notes.epochs[0].objective * (1 + apart)
    check = evaluate_best(task, space, digits, 1, Layout(tmp_path / "run"), recorded)["check"]
    assert (check["result"], check["tolerance"]) == (result, 1e-5)
    assert check["measured"] == pytest.approx(notes.epochs[0].objective)
    assert (check["reason"] == ON_A_GPU) == (result == "not compared")


def test_sixteen_bits_have_a_tolerance_of_their_own(digits, tmp_path):
    def build(hp, data):
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            return stage.digits_model()
        finally:
            keras.config.set_dtype_policy("float32")

    found, _, _ = searched(tmp_path, digits, build=build)
    assert (found["check"]["result"], found["check"]["tolerance"]) == ("equal", 1e-2)


def test_a_training_metric_is_not_compared(digits, tmp_path):
    found, _, _ = searched(tmp_path, digits, objective=Objective("accuracy", "max"))
    assert found["check"]["result"] == "not compared"
    assert found["check"]["reason"] == (
        "a training metric is a mean over an epoch in which the weights change"
    )


def other_data(hp, model, x, y, validation_data, **kwargs):
    return model.fit(x[10:], y[10:], validation_data=(x[:10], y[:10]), **kwargs)


def steps(hp, model, *args, **kwargs):
    return model.fit(*args, batch_size=8, validation_steps=1, **kwargs)


def by_hand(hp, model, x, y, validation_data, callbacks, **kwargs):
    for callback in callbacks:
        callback.set_model(model)
    model.train_on_batch(x, y)
    for callback in callbacks:
        callback.on_epoch_end(0, {"val_loss": 0.125, "loss": 1.0})


@pytest.mark.parametrize(
    ("fit", "reason"),
    [
        (other_data, "`fit` validates on data of its own"),
        (steps, "`fit` validates on a part of the split, by validation_steps"),
        (by_hand, "`fit` trains in a loop of its own"),
    ],
)
def test_a_score_of_other_data_is_not_compared_and_says_so(fit, reason, digits, tmp_path):
    found, _, _ = searched(tmp_path, digits, fit, objective=Objective("val_loss", "min"))
    assert (found["check"]["result"], found["check"]["reason"]) == ("not compared", reason)


def folds(hp, model, x, y, callbacks=None, **kwargs):
    """Cross-validation as it is written by hand: other models are trained."""
    scores, made = [], []
    for part in range(2):
        fold = keras.models.clone_model(model)
        fold.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        rows = np.arange(len(x)) % 2 == part
        fold.fit(x[~rows], y[~rows], epochs=2, verbose=0)
        scores.append(fold.evaluate(x[rows], y[rows], verbose=0, return_dict=True)["accuracy"])
        made.append(fold)
    return scores, made


def test_a_fit_that_trains_other_models_saves_none_and_says_why(digits, tmp_path):
    found, layout, _ = searched(tmp_path, digits, lambda *args, **kwargs: folds(*args, **kwargs)[0])

    assert found["no_model"].startswith("`fit` trained other models than the one that it was given")
    assert found["check"]["result"] == "not compared"
    assert found["check"]["reason"] == found["no_model"]
    assert not layout.best_model.exists() and not layout.best_weights.exists()
    assert json.loads(layout.best_metrics.read_text())["trial"] == "t0000"


def test_a_model_of_an_earlier_best_trial_does_not_stay_in_its_place(digits, tmp_path):
    found, layout, _ = searched(tmp_path / "first", digits)
    assert not found["no_model"] and layout.best_model.exists()
    space = stage.space(lambda hp, data: stage.linear_model(), lambda *a, **k: folds(*a, **k)[0])
    task = stage.job(tmp_path, objective=ACCURACY)
    stage.run(task, space, digits)
    evaluate_best(task, space, digits, 1, layout)
    assert not layout.best_model.exists()
    recorded = json.loads(layout.checksums.read_text())["sha256"]
    assert "best/model.keras" not in recorded and "best/metrics.json" in recorded


def test_one_that_it_hands_back_is_the_one_that_is_saved(digits, tmp_path):
    handed = []

    def fit(*args, **kwargs):
        scores, made = folds(*args, **kwargs)
        handed.append(made[-1].get_weights())
        return {"val_accuracy": float(np.mean(scores)), "model": made[-1]}

    found, layout, notes = searched(tmp_path, digits, fit)
    assert not found["no_model"] and found["check"]["result"] == "not compared"
    assert found["check"]["reason"] == "the score is what `fit` returned, and no epoch's"
    for saved, expected in zip(
        load_keras_model(layout.best_model).get_weights(), handed[0], strict=True
    ):
        np.testing.assert_array_equal(saved, expected)
    assert set(notes.epochs[-1].metrics) == {"val_accuracy"}


def test_one_of_other_weights_is_refused(digits, tmp_path):
    def fit(hp, model, *args, **kwargs):
        other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        return {"val_accuracy": 0.5, "model": other}

    task = stage.job(tmp_path, objective=ACCURACY)
    space = stage.space(lambda hp, data: stage.linear_model(), fit)
    _, ending = stage.run(task, space, digits)
    assert ending.failure.reason.endswith(
        "The model that `fit` hands back must have the weights of the one that `build` makes; it "
        "has (3, 1), (1,), and that has (64, 10), (10,)."
    )


def test_callbacks_that_watch_other_models_keep_the_weights_of_these(digits, tmp_path):
    """The best epoch's of whichever was trained."""

    def fit(hp, model, x, y, validation_data, callbacks, **kwargs):
        twin = keras.models.clone_model(model)
        twin.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        twin.fit(x, y, validation_data=validation_data, callbacks=callbacks, epochs=2, verbose=0)

    found, _, _ = searched(tmp_path, digits, fit)
    assert not found["no_model"] and found["check"]["result"] == "equal"


def test_other_models_of_other_shapes_leave_none_to_save(digits, tmp_path):
    def fit(hp, model, x, y, validation_data, callbacks, **kwargs):
        other = keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(5, "relu")]
        )
        other.add(keras.layers.Dense(10, "softmax"))
        other.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        other.fit(x, y, validation_data=validation_data, callbacks=callbacks, epochs=2, verbose=0)

    found, layout, _ = searched(tmp_path, digits, fit)
    assert found["no_model"] and not layout.best_model.exists()


def test_what_fit_returned_belongs_to_the_model_as_it_was_then(digits, tmp_path):
    """Not to that of an epoch before."""

    def fit(hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, validation_data=validation_data, **kwargs)
        for weight in model.weights:
            weight.assign(weight * 0.5)
        return model.evaluate(*validation_data, verbose=0, return_dict=True)["loss"]

    loss = Objective("val_loss", "min")
    found, _, notes = searched(tmp_path, digits, fit, objective=loss)
    assert notes.epochs[-1].final and found["check"]["result"] == "equal"


def test_without_a_validation_split_there_is_nothing_to_compare_with(digits, tmp_path):
    data = FitData(name="mine", train=(digits.x_train, digits.y_train, None))
    found, _, _ = searched(tmp_path, data, objective=Objective("loss", "min"))
    assert found["check"]["result"] == "not compared" and found["check"]["reason"]


def test_scores_are_measured_in_the_batches_that_fit_validated_in(digits, tmp_path):
    """A metric that looks at a batch as a whole has another value in others."""

    def spread(y, p):
        return keras.ops.max(p) - keras.ops.min(p)

    def build(hp, data):
        model = stage.linear_model()
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=[spread], run_eagerly=True)
        return model

    def fit(hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=7, **kwargs)

    found, _, _ = searched(
        tmp_path, digits, fit, build, objective=Objective("val_spread", "max"), max_epochs=1
    )
    assert found["check"]["result"] == "equal"


def worst(y, predicted):
    """A metric over a whole batch."""
    return keras.ops.max(keras.ops.abs(y - predicted))


def of_rows(hp, data):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[worst])
    return model


def of_texts(hp, data):
    numbers = keras.layers.StringLookup(vocabulary=["a", "b", "c"], output_mode="one_hot")
    layers = [keras.Input((1,), dtype="string"), numbers, keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse", metrics=[worst])
    return model


def in_batches_of_8(hp, model, *args, **kwargs):
    return model.fit(*args, batch_size=8, **kwargs)


@pytest.mark.parametrize(
    ("x", "build"),
    [
        (scipy.sparse.random(64, 6, density=0.5, format="csr", random_state=0), of_rows),
        (tf.constant([["a"], ["b"], ["c"], ["d"]] * 16), of_texts),
    ],
    ids=["sparse", "texts"],
)
def test_so_it_is_of_whatever_keras_cuts_into_batches(x, build, tmp_path):
    y = np.random.default_rng(0).random((64, 1))
    data = FitData.of("d", x, y, validation_data=(x, y))
    objective = Objective("val_worst", "min")
    found, _, _ = searched(tmp_path, data, in_batches_of_8, build, objective=objective)
    assert found["check"]["result"] == "equal"


def test_validation_data_that_are_drawn_anew_are_not_compared_unless_equal(tmp_path):
    x = np.random.default_rng(0).random((64, 6), np.float32)
    y = x.sum(1, keepdims=True)
    rows = tf.data.Dataset.from_tensor_slices((x, y))

    def check(validation_data):
        data = FitData.of("d", x, y, validation_data=validation_data)
        found, _, _ = searched(
            tmp_path / str(len(list(tmp_path.iterdir()))),
            data,
            build=of_rows,
            objective=Objective("val_loss", "min"),
        )
        assert found["validation"].keys() == {"loss", "worst"}
        return found["check"]["result"], found["check"]["reason"]

    tf.random.set_seed(None)  # another test's would be in what is random
    noisy = rows.map(lambda x, y: (x + tf.random.normal([6]), y)).batch(8)
    reason = "the validation data are drawn anew each time"
    assert check(noisy) == ("not compared", reason)
    assert check(rows.shuffle(64).batch(8)) == ("equal", "")


def test_trained_gives_the_model_that_is_checked(digits, tmp_path):
    space = stage.space(lambda hp, data: stage.linear_model())
    task = stage.job(tmp_path, max_epochs=2, objective=ACCURACY)
    stage.run(task, space, digits)
    model, state = trained(replace(task), space, digits)
    again = model.evaluate(digits.x_val, digits.y_val, verbose=0, return_dict=True)["accuracy"]
    assert again == pytest.approx(state.objective, rel=1e-5)


def unbuilt(hp, data):
    """A Sequential without an Input, as KerasTuner's scripts have them."""
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("hands_back", [False, True])
def test_so_it_is_of_a_model_that_is_built_by_its_first_call(hands_back, digits, tmp_path):
    def fit(*args, **kwargs):
        scores, made = folds(*args, **kwargs)
        handed = {"model": made[-1]} if hands_back else {}
        return {"val_accuracy": float(np.mean(scores)), **handed}

    found, layout, _ = searched(tmp_path, digits, fit, unbuilt)
    assert bool(found["no_model"]) != hands_back and layout.best_model.exists() == hands_back


def test_callbacks_may_watch_a_copy_of_such_a_model(digits, tmp_path):
    def fit(hp, model, x, y, validation_data, callbacks, **kwargs):
        twin = unbuilt(hp, None)
        twin.fit(x, y, validation_data=validation_data, callbacks=callbacks, epochs=2, verbose=0)

    found, _, _ = searched(tmp_path, digits, fit, unbuilt)
    assert not found["no_model"] and found["check"]["result"] == "equal"


@pytest.mark.parametrize("as_numpy", [np.float32, lambda value: np.array([value])])
def test_a_score_may_be_a_number_of_numpys(as_numpy, digits, tmp_path):
    def fit(hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, validation_data=validation_data, **kwargs)
        return {"val_accuracy": as_numpy(0.25)}

    _, _, notes = searched(tmp_path, digits, fit)
    assert notes.epochs[-1].final and notes.epochs[-1].objective == pytest.approx(0.25)


def test_a_score_of_several_values_is_refused(digits, tmp_path):
    fit = lambda hp, model, *args, **kwargs: model.fit(*args, **kwargs).history  # noqa: E731
    task = stage.job(tmp_path, max_epochs=2, objective=ACCURACY)
    _, ending = stage.run(task, stage.space(lambda hp, data: stage.linear_model(), fit), digits)
    assert "The objective must be one number; val_accuracy has 2" in ending.failure.reason


def test_a_model_that_is_handed_back_alone_is_refused(digits, tmp_path):
    def fit(hp, model, *args, **kwargs):
        model.fit(*args, **kwargs)
        return {"model": model}

    task = stage.job(tmp_path, max_epochs=2, objective=ACCURACY)
    _, ending = stage.run(task, stage.space(lambda hp, data: stage.linear_model(), fit), digits)
    assert ending.failure.reason.endswith(
        "A model that `fit` hands back must come with its score, as {'val_accuracy': …, 'model': "
        "model}; it came without 'val_accuracy'."
    )


def test_one_with_the_score_of_an_epoch_is_saved_all_the_same(digits, tmp_path):
    def fit(hp, model, *args, **kwargs):
        best = max(model.fit(*args, **kwargs).history["val_accuracy"])
        other = keras.models.clone_model(model)
        other.set_weights([weight * 0 for weight in model.get_weights()])
        return {"val_accuracy": best, "model": other}

    _, layout, _ = searched(tmp_path, digits, fit)
    assert not any(weight.any() for weight in load_keras_model(layout.best_model).get_weights())


def test_a_record_that_was_not_come_to_again_is_told(digits, tmp_path):
    space = stage.space(lambda hp, data: stage.linear_model())
    task = stage.job(tmp_path, max_epochs=1, objective=Objective("val_loss", "min"))
    stage.run(task, space, digits)
    check = evaluate_best(task, space, digits, 1, Layout(tmp_path / "run"), 1.25)["check"]
    assert (check["result"], check["recorded"]) == ("different", 1.25)
    assert check["reason"].startswith("The weights of that epoch were lost; training it again came")


def test_weights_that_a_callback_puts_in_for_validation_are_those_that_are_saved(digits, tmp_path):
    def build(hp, data):
        optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
        return stage.linear_model(optimizer)

    def fit(hp, model, *args, callbacks, **kwargs):
        swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=False)
        return model.fit(*args, callbacks=[swap, *callbacks], **kwargs)

    loss = Objective("val_loss", "min")
    found, _, _ = searched(tmp_path, digits, fit, build, objective=loss)
    assert found["check"]["result"] == "equal"


@keras.saving.register_keras_serializable("tests")
class Forgets(keras.layers.Layer):
    """A layer whose file lacks its setting."""

    def __init__(self, factor=1.0, **settings):
        super().__init__(**settings)
        self.factor = factor

    def call(self, x):
        return x * self.factor


@pytest.mark.parametrize("factor", [3.0, float("nan")])
def test_a_model_whose_file_gives_back_another_is_told(factor, digits, tmp_path):
    def build(hp, data):
        made = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                Forgets(factor),
                keras.layers.Flatten(),
                keras.layers.Dense(10),
            ]
        )
        made.compile("sgd", "mse", run_eagerly=True)
        return made

    space = stage.space(build)
    task = stage.job(tmp_path, max_epochs=1)
    notes, ending = stage.run(task, space, digits)
    if ending.failure is None and notes.epochs[0].objective is not None:
        check = evaluate_best(task, space, digits, 1, Layout(tmp_path / "run"))["check"]
        assert check["result"] == "different"


def test_the_file_of_an_earlier_best_model_of_the_other_kind_is_gone(digits, tmp_path):
    layout = Layout(tmp_path / "run")
    layout.best.mkdir(parents=True)
    layout.best_weights.write_bytes(b"earlier")
    _, layout, _ = searched(tmp_path, digits)
    assert layout.best_model.exists() and not layout.best_weights.exists()


def test_weights_of_an_earlier_version_are_compared_and_not_accused(digits, tmp_path):
    space = stage.space(lambda hp, data: stage.linear_model())
    task = stage.job(tmp_path, max_epochs=1, objective=Objective("val_loss", "min"))
    model = stage.linear_model()
    weights = BestWeights(1, 1.25, model.get_weights())  # not in which batches it was validated
    Checkpoints(task.directory).save(model, State(1), weights)
    check = evaluate_best(task, space, digits, 1, Layout(tmp_path / "run"), 1.25)["check"]
    assert check["result"] == "not compared"
    assert check["reason"] == "an earlier version recorded it, and not how it was validated"
