"""A HyperModel as a search space: compiled, restricted and trained as the tuner and its `search`
were told."""

import functools
import importlib
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from pipeline import keras_tuner as kt
from pipeline.data.fit_data import FitData
from pipeline.digest import fingerprint
from pipeline.errors import KerasweepError, RequestError, UserCodeError
from pipeline.keras_tuner.arguments import of_search
from pipeline.keras_tuner.hypermodel import FunctionModel, HyperModelSpace, own_fit, portable
from pipeline.objective import Objective
from pipeline.records.layout import Layout
from pipeline.records.settings import write_experiment
from pipeline.space.hyperparameters import HyperParameters
from pipeline.worker.session import Job
from pipeline.worker.spaces import reveal
from pipeline.worker.spaces.loading import load_search_space
from pipeline.worker.training.evaluate import evaluate_best
from pipeline.worker.training.returned import as_metrics

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
X, Y = RNG.random((40, 4), np.float32), RNG.integers(0, 3, 40)


def build_model(hp):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(hp.Int("units", 2, 8)), layers.BatchNormalization()]
    )
    model.add(layers.Dense(3, "softmax"))
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], loss_weights=[2.0]
    )
    return model


class Halved(keras.metrics.Mean):
    """A metric that no other process has registered."""

    def __init__(self, by=2.0, **settings):
        super().__init__(**settings)
        self.by = by

    def get_config(self):
        return {**super().get_config(), "by": self.by}


class Recording(kt.HyperModel):
    """Notes what its `fit` gets."""

    def __init__(self):
        super().__init__()
        self.got = None

    def build(self, hp):
        return build_model(hp)

    def fit(self, hp, model, *args, **kwargs):
        self.got = (args, kwargs)
        return model.fit(*args, **kwargs)


def compiling(**given):
    return HyperModelSpace(
        FunctionModel(build_model),
        compiling={name: portable(value) for name, value in given.items()},
    )


def checked(space, data, objective="val_accuracy:max"):
    """Carry out `fit` on a few examples, as every search does first."""
    return reveal.check_default(load_search_space(space), data, Objective.parse(objective))


def test_optimizer_loss_and_metrics_of_the_tuner_win_and_the_rest_stays():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.25, 10, 0.5)
    model = compiling(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.5), metrics=[Halved(by=3.0)]
    ).build(HyperParameters())
    assert isinstance(model.optimizer, keras.optimizers.SGD) and model.optimizer.momentum == 0.5
    assert float(model.optimizer.learning_rate) == 0.25
    assert model.loss == "sparse_categorical_crossentropy"
    config = model._compile_config.config
    assert config["metrics"][0].by == 3.0 and config["loss_weights"] == [2.0]


def test_each_model_has_an_optimizer_of_its_own():
    space = compiling(
        optimizer=keras.optimizers.Adam(0.5), loss=keras.losses.SparseCategoricalCrossentropy()
    )
    first, second = space.build(HyperParameters()), space.build(HyperParameters())
    assert first.optimizer is not second.optimizer
    assert float(second.optimizer.learning_rate) == 0.5


def test_a_loss_may_be_a_function_or_a_name():
    def mine(y, p):
        return keras.ops.mean(p)

    assert compiling(loss=mine).build(HyperParameters()).loss is mine
    assert compiling(loss="mse").build(HyperParameters()).loss == "mse"


def test_a_model_that_is_not_compiled_is_compiled_with_what_the_tuner_gives():
    def build(hp):
        return keras.Sequential([keras.Input((4,)), layers.Dense(3)])

    space = HyperModelSpace(FunctionModel(build), compiling={"optimizer": "sgd", "loss": "mse"})
    assert space.build(HyperParameters()).compiled


def test_model_size_is_counted_as_kerastuner_does():
    hp = HyperParameters({"units": 4})
    model = build_model(hp)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable < model.count_params()
    HyperModelSpace(FunctionModel(build_model), max_model_size=trainable).build(
        HyperParameters({"units": 4})
    )
    with pytest.raises(
        kt.errors.FailedTrialError,
        match=f"max_model_size allows {trainable - 1} weights; this model",
    ):
        HyperModelSpace(FunctionModel(build_model), max_model_size=trainable - 1).build(
            HyperParameters({"units": 4})
        )


def test_hyperparameters_of_the_tuner_win_over_the_models():
    given = kt.HyperParameters()
    given.Fixed("units", 7)
    hp = HyperParameters({"units": 3})
    HyperModelSpace(FunctionModel(build_model), given=given.space).build(hp)
    assert [(spec.kind, value) for spec, value in hp.requested] == [("fixed", 7)]


def test_what_is_not_given_may_not_be_tuned_or_not_asked_for():
    hp = HyperParameters({"units": 5})
    HyperModelSpace(FunctionModel(build_model), tune_new=False).build(hp)
    assert hp.values == {"units": 2}
    with pytest.raises(RuntimeError, match="'units' must be among those given"):
        HyperModelSpace(FunctionModel(build_model), allow_new=False).build(HyperParameters())


def test_a_hypermodel_that_is_not_tunable_asks_for_nothing():
    class Inner(kt.HyperModel):
        def build(self, hp):
            return build_model(hp)

    hp = HyperParameters({"units": 5})
    model = HyperModelSpace(Inner(tunable=False)).build(hp)
    assert model.built
    assert hp.requested == []


def test_hyperparameters_can_be_declared_before_the_model_is_built():
    class Declaring(kt.HyperModel):
        def declare_hyperparameters(self, hp):
            hp.Int("units", 2, 8, default=6)

        def build(self, hp):
            assert hp.get("units") == 6
            return build_model(hp)

    assert [
        spec.name
        for spec, _ in checked(
            HyperModelSpace(Declaring()), FitData.of("d", X, Y, validation_split=0.5)
        ).requested
    ]


def test_a_hypermodel_without_build_says_so():
    with pytest.raises(NotImplementedError, match="must define build"):
        kt.HyperModel().build(HyperParameters())


def test_kerastuners_own_hypermodel_trains_in_no_way_of_its_own():
    from keras_tuner.applications import HyperXception

    assert not own_fit(HyperXception(input_shape=(71, 71, 1), classes=2))
    assert not own_fit(FunctionModel(build_model))
    assert own_fit(Recording())


def test_fit_gets_what_search_was_given_and_how():
    hypermodel = Recording()
    data = FitData.of("d", X, Y, sample_weight=np.ones(40), validation_data=(X, Y, np.ones(40)))
    checked(HyperModelSpace(hypermodel, fitting={"batch_size": 4, "class_weight": None}), data)
    args, kwargs = hypermodel.got
    assert [part.shape for part in args] == [(8, 4), (8,)]
    assert sorted(kwargs) == [
        "batch_size",
        "callbacks",
        "class_weight",
        "sample_weight",
        "validation_data",
    ]
    assert len(kwargs["validation_data"]) == 3

    checked(
        HyperModelSpace(
            hypermodel, by_name=("x", "y"), passed=("epochs",), fitting={"validation_split": 0.5}
        ),
        FitData.of("d", X, Y),
    )
    args, kwargs = hypermodel.got
    assert args == () and sorted(kwargs) == ["callbacks", "epochs", "validation_split", "x", "y"]


def test_validation_split_in_a_fit_of_ones_own_is_keras_own():
    seen = {}

    def build(hp):
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(1, kernel_initializer="zeros", use_bias=False)]
        )
        model.compile(keras.optimizers.SGD(0.0), "mse")
        return model

    class Passing(kt.HyperModel):
        def build(self, hp):
            return build(hp)

        def fit(self, hp, model, x, y, **kwargs):
            seen.update(model.fit(x, y, **kwargs).history)

    targets = np.array([1.0] * 6 + [3.0] * 2)
    checked(
        HyperModelSpace(Passing(), fitting={"validation_split": 0.25}),
        FitData.of("d", X[:8], targets),
        "val_loss",
    )
    assert (seen["loss"], seen["val_loss"]) == ([1.0], [9.0])


def test_users_callbacks_are_copied_for_each_training_and_tensorboard_writes_apart(tmp_path):
    class TensorBoard(keras.callbacks.Callback):
        def __init__(self, log_dir):
            super().__init__()
            self.log_dir = str(log_dir)

    given, hypermodel = TensorBoard(tmp_path), Recording()

    class Ours(keras.callbacks.Callback):
        trial, repeat = "t0003", 1

    model = build_model(HyperParameters())
    HyperModelSpace(hypermodel, callbacks=[given]).fit(
        HyperParameters(), model, X, Y, callbacks=[Ours()], epochs=1, verbose=0
    )
    used = hypermodel.got[1]["callbacks"][0]
    assert used is not given and used.log_dir == str(tmp_path / "t0003" / "execution1")
    assert given.log_dir == str(tmp_path)


@pytest.mark.parametrize(
    ("returned", "metrics"),
    [
        (0.5, {"val_x": 0.5}),
        (np.float32(0.5), {"val_x": 0.5}),
        ({"val_x": 1, "other": 2}, {"val_x": 1, "other": 2}),
        ([0.25, 0.75], {"val_x": 0.5}),
        ([{"val_x": 1.0, "other": 2.0}, {"val_x": 3.0}], {"val_x": 2.0}),
        (None, {}),
        ([], {}),
        ("done", {}),
    ],
)
def test_what_fit_may_return(returned, metrics):
    assert as_metrics(returned, "val_x") == metrics


def test_a_default_configuration_that_cannot_be_trained_does_not_end_the_search():
    def build(hp):
        if hp.Int("units", 1, 5) == 1:
            raise kt.errors.FailedTrialError("too small")
        return build_model(hp)

    found = checked(
        HyperModelSpace(FunctionModel(build)), FitData.of("d", X, Y, validation_split=0.5)
    )
    assert [spec.name for spec, _ in found.requested] == ["units"]
    assert found.warnings == (
        "the default configuration cannot be trained: FailedTrialError: too small",
    )


def test_a_fatal_error_is_refused_with_its_own_words():
    def build(hp):
        raise kt.errors.FatalValueError("no such width")

    with pytest.raises(RequestError, match="^no such width$"):
        checked(HyperModelSpace(FunctionModel(build)), FitData.of("d", X, Y))


def test_a_fault_of_the_users_shows_the_users_traceback_wherever_it_is_raised():
    def build(hp):
        raise KeyError("their own fault")

    with pytest.raises(UserCodeError) as raised:
        checked(HyperModelSpace(FunctionModel(build)), FitData.of("d", X, Y))
    assert isinstance(raised.value, KerasweepError)
    (note,) = raised.value.__notes__
    assert "Traceback" in note and "their own fault" in note and "test_hypermodel.py" in note
    assert "'build' must build and train on dataset 'd'" in str(raised.value)


def test_the_best_of_models_that_keras_cannot_describe_is_kept_by_its_weights(tmp_path):
    class Subclassed(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.hidden, self.out = layers.Dense(units), layers.Dense(3, "softmax")

        def call(self, x):
            return self.out(self.hidden(x))

    def build(hp):
        model = Subclassed(hp.Int("units", 2, 8))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    layout, objective = Layout(tmp_path), Objective("val_loss", "min")
    space, data = (
        load_search_space(HyperModelSpace(FunctionModel(build))),
        FitData.of("d", X, Y, validation_split=0.5),
    )
    job = Job("t0000", {"units": 4}, 0, 1, objective, layout.trial("t0000"))
    metrics = evaluate_best(job, space, data, 1, layout)
    assert not layout.best_model.exists()
    again = build(HyperParameters({"units": 4}))
    again(X[:1])
    again.optimizer.build(again.trainable_variables)  # its state is among the weights
    again.load_weights(layout.best / "model.weights.h5")
    measured = again.evaluate(X[20:], Y[20:], verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(metrics["validation"]["loss"], rel=1e-5)


def test_the_default_model_shows_what_waits_in_conditional_scopes():
    def build(hp):
        kind = hp.Choice("kind", ["dense", "wide"])
        with hp.conditional_scope("kind", ["wide"]):
            hp.Int("width", 2, 4)
        hp.values["kind"] = kind
        return build_model(hp)

    met = reveal.met(
        load_search_space(HyperModelSpace(FunctionModel(build))), FitData.of("d", None)
    )
    assert [spec.name for spec in met] == ["kind", "width", "units"]


# What tells one search space from another.


def told(hypermodel=None, search=None, **settings):
    space = HyperModelSpace(hypermodel or FunctionModel(build_model), **settings)
    for name, value in (search or {}).items():  # known later
        setattr(space, name, value)
    return fingerprint(space)["sha256"]


class Wide(kt.HyperModel):
    def __init__(self, width, inner=None):
        super().__init__()
        self._width, self.inner, self.built = width, inner, 0

    def build(self, hp):
        self.built += 1
        return build_model(hp)


def narrowed(most):
    given = kt.HyperParameters()
    given.Int("units", 2, most)
    return given.space


@pytest.mark.parametrize(
    "make",
    [
        lambda k: told(given=narrowed(3 + k)),
        lambda k: told(values={"units": 3 + k}),
        lambda k: told(tune_new=bool(k)),
        lambda k: told(allow_new=bool(k)),
        lambda k: told(max_model_size=100 + k),
        lambda k: told(compiling={"optimizer": portable(keras.optimizers.SGD(0.5 + k))}),
        lambda k: told(compiling={"metrics": portable([Halved(by=3.0 + k)])}),
        lambda k: told(compiling={"loss": lambda y, p: keras.ops.mean(p) * k}),
        lambda k: told(search={"fitting": {"batch_size": 4 + k, "shuffle": False}}),
        lambda k: told(search={"fitting": {"class_weight": np.full(3, k)}}),
        lambda k: told(search={"callbacks": [keras.callbacks.EarlyStopping(patience=3 + k)]}),
        lambda k: told(
            search={"callbacks": [(keras.callbacks.EarlyStopping, keras.callbacks.History)[k]()]}
        ),
        lambda k: told(
            search={"callbacks": [keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 + k)]}
        ),
        lambda k: told(Wide(3 + k)),
        lambda k: told(Wide(3, Wide(np.arange(k)))),
        lambda k: told(Wide({"b": {"y", "x"}, "a": [k]})),
    ],
)
def test_what_changes_a_search_makes_another_search_space_and_nothing_else_does(make):
    assert make(0) == make(0) != make(1)


def test_what_a_search_does_not_hang_on_is_no_other_search_space(tmp_path):
    space = HyperModelSpace(Wide(3))
    before = fingerprint(space)
    space.build(HyperParameters())
    space.passed, space.by_name = ("epochs", "verbose"), ("x",)
    assert fingerprint(space) == before
    places = [
        told(search={"callbacks": [keras.callbacks.CSVLogger(tmp_path / name)]}) for name in "ab"
    ]
    assert places[0] == places[1] != told()


@pytest.mark.slow
def test_a_search_space_is_the_same_one_in_another_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "import keras\n"
        "from pipeline.digest import fingerprint\n"
        "from pipeline.keras_tuner.hypermodel import HyperModelSpace, HyperModel, portable\n"
        "class Mine(HyperModel):\n"
        "    def __init__(self, width):\n"
        "        super().__init__(tunable=False)\n"
        "        self.width, self.names, self.me = width, {'a', 'b', 'c', 'd'}, self\n"
        "        self.layer, self.make = keras.layers.Dense(3), lambda: [lambda: width for _ in "
        "'ab']\n"
        "    def build(self, hp):\n"
        "        return None\n"
        "blocker = [object() for _ in range(int(sys.argv[1]))], [keras.layers.Dense(3) for _ in "
        "sys.argv[2:]]\n"
        "space = HyperModelSpace(Mine(3), compiling={'metrics': portable([keras.metrics.Mean()])})\n"
        "space.callbacks = [keras.callbacks.EarlyStopping(), "
        "keras.callbacks.CSVLogger(sys.argv[1])]\n"
        "print(fingerprint(space)['sha256'])\n"
    )
    told = {
        subprocess.run(
            [sys.executable, script, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, arguments in (("1", ["1"]), ("2", ["5000", "another"]))
    }
    assert len(told) == 1 and len(told.pop()) == 65


def test_a_project_under_other_arguments_is_refused(tmp_path):
    def tuner(**changed):
        return kt.RandomSearch(
            build_model, "val_loss", directory=tmp_path, project_name="p", seed=1, **changed
        )

    def asked(made, **given):
        return made._experiment(*of_search(made._receiver(), (X, Y), given))[0]

    layout = Layout(tmp_path / "p")
    layout.root.mkdir()
    write_experiment(layout, asked(tuner(), batch_size=4).to_yaml())
    tuner()._check_same(asked(tuner(), batch_size=4))
    for changed, given in (({}, {"batch_size": 8}), ({"optimizer": "sgd"}, {"batch_size": 4})):
        other = tuner(**changed)
        with pytest.raises(
            RequestError,
            match="A resumed run keeps its search_space; .* To start anew: overwrite=True",
        ):
            other._check_same(asked(other, **given))


# Code of the user's own modules travels along.


def test_functions_and_classes_of_imported_modules_need_not_be_there_where_a_trial_runs(
    tmp_path, monkeypatch
):
    from ray import cloudpickle

    from pipeline.engine.cluster.shipping import with_code

    parts = ("data", "loss", "metric", "schedule", "extra", "model", "inner", "base", "optimizer")
    for part in parts:
        (tmp_path / f"users_{part}.py").write_text(
            "import keras\nvalue = 7\ndef function(*args):\n    return value\nclass Plain:\n    "
            "got = 7\n"
            "class Metric(keras.metrics.Mean):\n    got = 7\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    user = {part: importlib.import_module(f"users_{part}") for part in parts}

    class Holding(user["base"].Plain):
        def __init__(self):
            self.inner = user["inner"].Plain()

        def build(self, hp):
            return build_model(hp)

    space = HyperModelSpace(
        Holding(),
        compiling={
            "loss": user["loss"].function,
            "metrics": portable([[user["metric"].Metric()]]),
            "optimizer": user["optimizer"].Plain,
        },
        callbacks=[keras.callbacks.LearningRateScheduler(user["schedule"].function)],
        fitting={
            "extra": {"of": [user["extra"].function]},
            "other": functools.partial(user["model"].function, 1),
        },
    )
    data = FitData.of("d", user["data"].function, validation_data=user["data"].function)
    try:
        sent = tmp_path / "sent.pkl"
        sent.write_bytes(cloudpickle.dumps([with_code(space), with_code(data)]))
    finally:
        for module in user.values():
            if module.__name__ in cloudpickle.list_registry_pickle_by_value():
                cloudpickle.unregister_pickle_by_value(module)
    code = (
        "import pickle; space, data = pickle.load(open('sent.pkl', 'rb')); "
        "print(data.fit_arguments()[0], space.compiling['loss'](), "
        "space.compiling['metrics'][0][0].kind.got, "
        "space.compiling['optimizer'].got, space.callbacks[0].schedule(1), "
        "space.fitting['extra']['of'][0](), "
        "space.fitting['other'](), space.hypermodel.got, space.hypermodel.inner.got)"
    )
    (tmp_path / "elsewhere").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", code.replace("sent.pkl", str(sent))],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.stdout.split() == ["(7,)", *["7"] * 8], ended.stderr


def test_an_objective_of_validation_that_is_missing_says_what_to_give():
    space = HyperModelSpace(FunctionModel(build_model))
    with pytest.raises(RequestError) as caught:
        checked(space, FitData.of("d", X, Y))
    assert str(caught.value) == (
        "The objective must be among what 'build_model' reports; got 'val_accuracy'. Possible: "
        "accuracy, loss. Nothing was validated: give validation_data or validation_split."
    )
    with pytest.raises(RequestError, match=r"Possible: accuracy, loss\.$"):
        checked(space, FitData.of("d", X, Y), "mine:max")
