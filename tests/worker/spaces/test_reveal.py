"""What a search space asks for is found without training it; what cannot be trained is refused
beforehand."""

import keras
import pytest

from pipeline.errors import RequestError, UserCodeError
from pipeline.objective import Objective
from pipeline.worker.spaces.reveal import check_default, met, trace
from tests.worker.stage import dataset, linear_model, one_hot, space

LOSS = Objective("val_loss", "min")


@pytest.fixture(scope="module")
def digits():
    return dataset("digits")


def compiled(*layers, loss="sparse_categorical_crossentropy"):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), *layers])
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


# The check.


def test_check_tells_what_the_default_model_requests_and_its_size(digits):
    def build(hp, data):
        return compiled(
            keras.layers.Dense(hp.Int("units", 4, 16, default=8)), keras.layers.Dense(10, "softmax")
        )

    checked = check_default(space(build), digits, LOSS)
    requested, weights = checked.requested, checked.weights

    assert [(spec.name, value) for spec, value in requested] == [("units", 8)]
    assert weights == 64 * 8 + 8 + 8 * 10 + 10


@pytest.mark.parametrize("name", ["val_loss", "loss", "val_accuracy", "accuracy"])
def test_check_knows_what_will_be_reported(name, digits):
    def build(hp, data):
        hp.Int("units", 4, 16, default=8)
        return linear_model()

    checked = check_default(space(build), digits, Objective(name, "min"))
    assert [(spec.name, value) for spec, value in checked.requested] == [("units", 8)]
    assert checked.weights == linear_model().count_params()


def test_check_refuses_an_unknown_objective_with_those_possible(digits):
    with pytest.raises(RequestError) as refused:
        check_default(space(lambda hp, data: linear_model()), digits, Objective("val_f1", "max"))

    message = str(refused.value)
    assert message.startswith(
        "The objective must be among what 'mine' reports; got 'val_f1'. Possible: "
    )
    possible = message.rpartition("Possible: ")[2].rstrip(".").split(", ")
    assert sorted(possible) == ["accuracy", "loss", "val_accuracy", "val_loss"]


def test_check_takes_an_objective_that_a_fit_of_its_own_reports(digits):
    def fit(hp, model, *args, callbacks, **kwargs):
        scored = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: logs.update(val_f1=0.5)
        )
        return model.fit(*args, callbacks=[scored, *callbacks], **kwargs)

    check_default(space(lambda hp, data: linear_model(), fit), digits, Objective("val_f1", "max"))


def test_check_refuses_what_a_fit_of_its_own_does_not_report(digits):
    def fit(hp, model, *args, **kwargs):
        return {"val_f1": 0.5, "val_loss": model.fit(*args, **kwargs).history["val_loss"][-1]}

    with pytest.raises(
        RequestError,
        match="got 'val_f2'. Possible: val_accuracy, val_f1, val_loss, accuracy, loss.",
    ):
        check_default(
            space(lambda hp, data: linear_model(), fit), digits, Objective("val_f2", "max")
        )


def test_check_refuses_a_fit_that_trains_nothing(digits):
    own = space(lambda hp, data: linear_model(), lambda hp, model, *args, **kwargs: None)

    with pytest.raises(RequestError, match="must call model.fit and pass its callbacks on"):
        check_default(own, digits, LOSS)


def test_check_refuses_a_build_that_raises_and_shows_where(digits):
    def build(hp, data):
        return hp.Int("units", 1, 4) / 0

    with pytest.raises(UserCodeError) as refused:
        check_default(space(build), digits, LOSS)

    assert str(refused.value) == (
        "Search space 'mine' must build and train on dataset 'digits'; it raised "
        "ZeroDivisionError: division by zero"
    )
    assert ", in build\n" in refused.value.user_traceback
    assert "/pipeline/worker/" not in refused.value.user_traceback


def test_check_refuses_what_is_no_model(digits):
    with pytest.raises(RequestError, match="must return a keras.Model; it returned list."):
        check_default(space(lambda hp, data: [1]), digits, LOSS)


def test_check_refuses_an_uncompiled_model(digits):
    with pytest.raises(RequestError, match="must return a compiled model; call model.compile"):
        check_default(
            space(lambda hp, data: keras.Sequential([keras.Input((8, 8, 1))])), digits, LOSS
        )


@pytest.mark.parametrize(
    "model",
    [
        lambda: compiled(keras.layers.Dense(7, "softmax")),
        lambda: compiled(keras.layers.Dense(3), loss="categorical_crossentropy"),
    ],
    ids=["too few classes", "another shape"],
)
def test_check_refuses_a_model_whose_output_does_not_fit(model, digits):
    with pytest.raises(UserCodeError, match="must build and train on dataset 'digits'; it raised"):
        check_default(space(lambda hp, data: model()), digits, LOSS)


def test_check_refuses_a_model_whose_input_does_not_fit(digits):
    def build(hp, data):
        model = keras.Sequential([keras.Input((9,)), keras.layers.Dense(10)])
        model.compile("sgd", "mse")
        return model

    with pytest.raises(UserCodeError, match="must build and train"):
        check_default(space(build), digits, LOSS)


# The trace.


def conditional(hp, data):
    for i in range(hp.Int("layers", 1, 3, default=2)):
        hp.Choice(f"units_{i}", [4, 8, 16], default=8)
    if hp.Boolean("dropout", default=True):
        hp.Float("rate", 0.1, 0.5)


def traced(proposal, fill, build=conditional):
    return {spec.name: value for spec, value in trace(space(build), None, proposal, fill)}


def test_trace_fills_with_defaults():
    assert traced({}, "default") == {
        "layers": 2,
        "units_0": 8,
        "units_1": 8,
        "dropout": True,
        "rate": 0.1,
    }


def test_trace_fills_with_the_first_of_the_grid():
    assert traced({}, "first") == {"layers": 1, "units_0": 4, "dropout": True, "rate": 0.1}


def test_trace_follows_the_proposal_and_leaves_out_what_is_not_asked_for():
    proposal = {"layers": 1, "units_0": 16, "units_1": 16, "dropout": False, "rate": 0.4}

    assert traced(proposal, "default") == {"layers": 1, "units_0": 16, "dropout": False}


def test_trace_draws_by_its_seed():
    draws = [tuple(traced({}, seed).items()) for seed in range(6)]

    assert draws == [tuple(traced({}, seed).items()) for seed in range(6)]
    assert len(set(draws)) > 3


def test_a_build_that_raises_has_requested_what_it_asked_for_until_then():
    def build(hp, data):
        hp.Int("units", 1, 4)
        raise ValueError("too wide")

    assert traced({"units": 3}, "default", build) == {"units": 3}


def test_trace_draws_no_weights():
    seen = []

    def build(hp, data):
        dense = compiled(keras.layers.Dense(hp.Int("units", 4, 8))).layers[-1]
        seen.append(keras.ops.convert_to_numpy(dense.kernel).any())

    assert traced({}, "first", build) == {"units": 4}
    assert seen == [False]


def test_what_an_initializer_refuses_ends_a_trace_as_it_ends_the_trial():
    def build(hp, data):
        keras.layers.Conv2D(2, 3, kernel_initializer=hp.Choice("initializer", ["identity"])).build(
            (None, 8, 8, 1)
        )
        hp.Boolean("asked_for_afterwards")

    assert traced({}, "first", build) == {"initializer": "identity"}


def test_trace_follows_a_build_that_raises_where_weights_are_zeros():
    def build(hp, data):
        dense = compiled(keras.layers.Dense(hp.Int("units", 4, 8))).layers[-1]
        if not keras.ops.convert_to_numpy(dense.kernel).any():
            raise ValueError("weights must not be zeros")
        hp.Boolean("asked_for_afterwards")

    assert traced({"units": 5}, "first", build) == {"units": 5, "asked_for_afterwards": True}


# What the check leaves alone.


class Writes(keras.callbacks.Callback):
    """A callback of the user's: it counts, and makes a metric of its own."""

    def __init__(self):
        super().__init__()
        self.called = 0

    def on_epoch_end(self, epoch, logs=None):
        self.called += 1
        logs["val_mine"] = 1.0


def with_callback(callback):
    def fit(hp, model, *args, callbacks, **kwargs):
        return model.fit(*args, callbacks=[callback, *callbacks], **kwargs)

    return space(lambda hp, data: linear_model(), fit)


def test_no_callback_of_the_users_is_called(digits, tmp_path):
    writes = Writes()
    check_default(with_callback(writes), digits, LOSS)
    check_default(with_callback(keras.callbacks.CSVLogger(tmp_path / "log.csv")), digits, LOSS)
    assert writes.called == 0 and list(tmp_path.iterdir()) == []


def test_an_objective_that_a_callback_may_report_is_not_refused(digits):
    check_default(with_callback(Writes()), digits, Objective("val_mine", "max"))


@pytest.mark.parametrize("size", [20, 32])
def test_a_model_of_a_fixed_batch_is_tried_with_as_many_examples(size):
    def build(hp, data):
        model = keras.Sequential([keras.Input(batch_shape=(size, 8, 8, 1)), keras.layers.Flatten()])
        model.add(keras.layers.Dense(10, "softmax"))
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    def fit(hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs | {"batch_size": size})

    data = dataset("digits", 160)
    check_default(space(build, fit if size != 32 else None), data, LOSS)


def test_what_build_prints_is_kept_for_a_dry_run(digits):
    def build(hp, data):
        print("units:", hp.Int("units", 4, 16, default=8))
        return linear_model()

    assert check_default(space(build), digits, LOSS).printed == "units: 8\n"


def test_an_objective_that_was_hardly_meant_is_warned_of(digits):
    checked = check_default(
        space(lambda hp, data: linear_model()), digits, Objective("accuracy", "min")
    )
    assert checked.warnings == (
        "accuracy is minimised, as was asked; it is better where it is larger",
        "accuracy is measured in training; val_accuracy is that of the validation split",
    )
    assert check_default(space(lambda hp, data: linear_model()), digits, LOSS).warnings == ()


def test_an_objective_of_several_classes_is_refused_with_the_way_out(digits):
    def build(hp, data):
        model = compiled(keras.layers.Dense(10, "softmax"), loss="categorical_crossentropy")
        model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score()])
        return model

    with pytest.raises(RequestError) as refused:
        check_default(space(build), one_hot(digits), Objective("val_f1_score", "max"))
    assert str(refused.value) == (
        "The objective must be one number; val_f1_score has 10, one a class. A metric such as "
        "keras.metrics.F1Score makes one number of them by average='macro' (or 'micro', or "
        "'weighted')."
    )


def test_callbacks_of_other_models_that_fit_trains_are_not_called_either(digits):
    writes = Writes()

    def fit(hp, model, x, y, validation_data, callbacks, **kwargs):
        twin = keras.models.clone_model(model)
        twin.compile("sgd", "sparse_categorical_crossentropy")
        twin.fit(x, y, validation_data=validation_data, callbacks=[writes, *callbacks], verbose=0)

    plain = keras.Model.fit
    check_default(space(lambda hp, data: linear_model(), fit), digits, LOSS)
    assert writes.called == 0 and keras.Model.fit is plain


def test_a_misspelt_objective_is_refused_beside_callbacks_of_keras(digits):
    objective = Objective("val_acuracy", "max")
    with pytest.raises(RequestError, match="got 'val_acuracy'. Possible: val_accuracy"):
        check_default(with_callback(keras.callbacks.EarlyStopping()), digits, objective)
    assert check_default(with_callback(Writes()), digits, objective).warnings == (
        "whether val_acuracy is reported will be seen in the first trial: a callback may report it, "
        "and none is called before",
    )


def test_a_class_of_a_metric_may_be_the_objective(digits):
    def build(hp, data):
        model = compiled(keras.layers.Dense(10, "softmax"), loss="categorical_crossentropy")
        model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score()])
        return model

    check_default(space(build), one_hot(digits), Objective("val_f1_score_class_3", "max"))


def test_a_build_that_raises_is_called_once(digits):
    calls = []

    def build(hp, data):
        calls.append(1)
        raise ValueError("no")

    with pytest.raises(UserCodeError):
        check_default(space(build), digits, LOSS)
    assert len(calls) == 1


def test_what_a_scope_asks_for_is_met_though_only_other_values_enter_its_branch(digits):
    def build(hp, data):
        kind = hp.Choice("kind", ["dense", "conv"])
        with hp.conditional_scope("kind", ["dense"]):
            if kind == "dense":
                hp.Int("units", 4, 16)
        with hp.conditional_scope("kind", ["conv"]):
            if kind == "conv":
                padding = hp.Choice("padding", ["same", "valid"])
                with hp.conditional_scope("padding", ["valid"]):
                    if padding == "valid":
                        hp.Int("crop", 1, 3)
                        raise ValueError("too small to be built")

    found = [spec.name for spec in met(space(build), digits)]
    assert found == ["kind", "units", "padding", "crop"]


def test_a_default_model_that_cannot_be_built_is_not_met(digits):
    def build(hp, data):
        raise ValueError("never")

    with pytest.raises(ValueError, match="never"):
        met(space(build), digits)
