"""Every argument of a tuner and of its `search` is honoured, or refused in one line before anything
runs."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras.callbacks import Callback

from pipeline import keras_tuner as kt
from pipeline.errors import RequestError
from pipeline.keras_tuner.arguments import NOT_CALLED, of_search, warn_of_left_behind

ROOT = Path(__file__).parents[2]
COLLECTED = []
X, Y = np.zeros((10, 3), np.float32), np.zeros(10)


def build_model(hp):
    hp.Int("units", 1, 4)


class OwnFit(kt.HyperModel):
    """Names its data as it likes."""

    def build(self, hp):
        hp.Int("units", 1, 4)

    def fit(self, hp, model, x_train, y_train, x_val, y_val, rounds=1, callbacks=None):
        return 0.0


class Passing(kt.HyperModel):
    def build(self, hp):
        hp.Int("units", 1, 4)

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs)


@pytest.fixture
def tuner(tmp_path):
    """A tuner of a project of its own: `tuner(kt.RandomSearch, max_trials=3)`."""

    def make(kind=kt.RandomSearch, hypermodel=build_model, objective="val_loss", **arguments):
        return kind(
            hypermodel, objective, **{"directory": tmp_path, "project_name": "project"} | arguments
        )

    return make


def asked(tuner, *args, **kwargs):
    """The experiment that `search` carries out."""
    return tuner._experiment(*of_search(tuner._receiver(), args, kwargs))[0]


def test_a_directory_in_an_object_store_is_refused(tuner):
    with pytest.raises(
        RequestError,
        match=r"directory must be on a file system: .* --storage s3://BUCKET/PREFIX\.$",
    ):
        tuner(directory="s3://bucket/projects")


# What is honoured.


def test_arguments_become_the_experiment_that_is_carried_out(tuner, tmp_path):
    experiment = asked(
        tuner(
            max_trials=7,
            seed=3,
            executions_per_trial=2,
            max_consecutive_failed_trials=4,
            keep_models=5,
            scheduler="asha",
            cpus_per_trial=2,
            gpus_per_trial=0.5,
            max_concurrent=3,
            address="auto",
            max_retries_per_trial=2,
        ),
        X,
        Y,
        epochs=6,
        validation_split=0.2,
    )
    wanted = {
        "trials": 7,
        "seed": 3,
        "executions_per_trial": 2,
        "max_consecutive_failed_trials": 4,
        "keep_models": 5,
        "scheduler": "asha",
        "cpus_per_trial": 2,
        "gpus_per_trial": 0.5,
        "max_concurrent": 3,
        "address": "auto",
        "searcher": "random",
        "objective": "val_loss:min",
        "max_epochs": 6,
        "storage": str(tmp_path),
        "name": "project",
        "max_retries_per_trial": 2,
    }
    assert {name: getattr(experiment, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("kind", "searcher", "scheduler", "trials"),
    [
        (kt.RandomSearch, "random", "none", 10),
        (kt.BayesianOptimization, "hyperopt", "none", 10),
        (kt.GridSearch, "grid", "none", 10**6),
    ],
)
def test_each_tuner_is_its_searcher_and_stops_no_trial_early(
    tuner, kind, searcher, scheduler, trials
):
    experiment = asked(tuner(kind), X, Y)
    assert (experiment.searcher, experiment.scheduler, experiment.trials) == (
        searcher,
        scheduler,
        trials,
    )


def test_arguments_by_position_are_in_kerastuners_order(tuner, tmp_path):
    given = kt.HyperParameters()
    given.Fixed("units", 2)
    random = kt.RandomSearch(
        build_model, "loss", 3, 9, given, False, False, 0, 5, directory=tmp_path
    )
    bayes = kt.BayesianOptimization(
        build_model, "loss", 3, None, 1e-4, 2.6, 9, given, False, directory=tmp_path
    )
    band = kt.Hyperband(build_model, "loss", 9, 3, 2, 9, given, False, directory=tmp_path)
    assert [asked(each, X, Y).seed for each in (random, bayes, band)] == [9, 9, 9]
    assert [each._space.tune_new for each in (random, bayes, band)] == [False, False, False]
    assert asked(random, X, Y).max_consecutive_failed_trials == 5


def test_hyperband_fills_its_brackets_as_often_as_it_is_told(tuner):
    once = asked(tuner(kt.Hyperband, max_epochs=9, factor=3), X, Y, epochs=50)
    twice = asked(tuner(kt.Hyperband, max_epochs=9, factor=3, hyperband_iterations=2), X, Y)
    assert (once.max_epochs, once.reduction_factor, once.scheduler) == (9, 3, "hyperband")
    assert twice.trials == 2 * once.trials > 9


def test_one_epoch_is_trained_unless_search_or_the_models_own_fit_says_more(tuner):
    assert asked(tuner(), X, Y).max_epochs == 1
    assert asked(tuner(hypermodel=Passing()), X, Y).max_epochs == 10**6
    assert asked(tuner(hypermodel=Passing()), X, Y, epochs=4).max_epochs == 4


def test_a_seed_is_drawn_where_none_is_given(tuner):
    assert asked(tuner(project_name="a"), X, Y).seed != asked(tuner(project_name="b"), X, Y).seed


def test_objectives_are_understood_as_kerastuner_does(tuner):
    assert tuner(objective=["val_loss"]).objective == kt.Objective("val_loss", "min")
    assert str(tuner(objective="val_accuracy").objective) == "val_accuracy:max"
    assert str(tuner(objective=kt.Objective("val_f1", "max")).objective) == "val_f1:max"
    assert str(tuner(objective=None).objective) == "default_objective:min"


def test_the_direction_of_every_metric_that_kerastuner_knows_is_the_same():
    from keras_tuner.src.engine.metrics_tracking import (
        _MAX_METRIC_FNS,
        _MAX_METRICS,
        infer_metric_direction,
    )

    names = [
        name.__name__ if callable(name) else name for name in (*_MAX_METRICS, *_MAX_METRIC_FNS)
    ]
    names = [kt_name for kt_name in names if kt_name.islower()] + [
        "loss",
        "mse",
        "mean_absolute_error",
    ]
    assert len(names) > 5
    for name in (prefix + name for name in names for prefix in ("", "val_")):
        assert kt.Objective.parse(name).direction == infer_metric_direction(name), name


def test_data_by_position_is_named_by_the_models_own_fit(tuner):
    own = tuner(hypermodel=OwnFit(), objective=None)
    experiment = asked(own, X, Y, X[:2], Y[:2], rounds=3)
    assert experiment.dataset.fit_arguments()[0][0].shape == (10, 3)
    assert sorted(own._space.fitting) == ["rounds", "x_val", "y_val"]


class Scored(kt.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        return super().run_trial(trial, *args, **kwargs)


def test_code_of_ones_own_gets_a_table_as_one_and_keras_an_array(tuner):
    frame, column = pd.DataFrame(X), pd.Series(Y)

    def kinds(own):
        x, y = asked(own, frame, column).dataset.fit_arguments()[0]
        return type(x), type(y), y.shape

    as_given = (pd.DataFrame, pd.Series, (10,))
    assert kinds(tuner(hypermodel=Passing())) == as_given
    assert kinds(tuner(Scored)) == as_given
    assert kinds(tuner()) == (np.ndarray, np.ndarray, (10, 1))


def test_a_fit_of_ones_own_gets_validation_split_as_it_was_given(tuner):
    own = tuner(hypermodel=Passing())
    assert asked(own, X, Y, validation_split=0.2).dataset.val is None
    assert own._space.fitting["validation_split"] == 0.2
    assert asked(tuner(), X, Y, validation_split=0.2).dataset.describe()["counts"] == {
        "train": 8,
        "val": 2,
    }


def test_what_is_fits_alone_is_passed_on(tuner):
    plain = tuner()
    asked(plain, X, Y, 5, 3, shuffle=False, class_weight={0: 2.0})
    assert plain._space.fitting == {"batch_size": 5, "shuffle": False, "class_weight": {0: 2.0}}


def test_a_callback_alone_is_a_list_of_one(tuner):
    plain, callback = tuner(), object()
    asked(plain, X, Y, callbacks=callback)
    assert plain._space.callbacks == [callback]


def test_kerastuners_own_hyperparameters_and_objective_serve(tuner):
    import keras_tuner

    given = keras_tuner.HyperParameters()
    given.Int("units", 2, 8, step=2, sampling="log")
    made = tuner(hyperparameters=given, objective=keras_tuner.Objective("val_auc", "max"))
    (spec,) = made._space.given
    assert (spec.name, spec.values()) == ("units", [2, 4, 8]) and str(
        made.objective
    ) == "val_auc:max"


def test_the_project_is_where_directory_and_name_say(tuner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tuner().project_dir == str(tmp_path / "project")
    assert tuner(project_name="a/b").project_dir == str(tmp_path / "a" / "b")
    assert kt.RandomSearch(build_model, "loss").project_dir == "untitled_project"


def test_a_projects_name_may_hold_spaces(tuner, tmp_path):
    assert asked(tuner(project_name="my project"), X, Y).name == "my project"
    assert tuner(project_name="my project").project_dir == str(tmp_path / "my project")


def test_all_trials_remain_before_the_search(tuner):
    assert tuner(max_trials=4).remaining_trials == 4
    band = tuner(kt.Hyperband, max_epochs=9, factor=3)
    assert band.remaining_trials == asked(band, X, Y).trials > 9
    assert tuner(kt.GridSearch).remaining_trials is None


def test_a_project_that_kerastuner_made_is_named_and_set_aside_where_it_is_overwritten(
    tuner, tmp_path
):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "oracle.json").write_text("{}")
    with pytest.raises(RequestError, match="project is a project that KerasTuner itself made, and"):
        tuner()
    tuner(overwrite=True)
    assert (tmp_path / "project.keras-tuner-1" / "oracle.json").read_text() == "{}"
    assert not (tmp_path / "project").exists()


def test_a_tuner_says_where_its_project_is(tuner, tmp_path):
    made = tuner(executions_per_trial=2)
    assert (made.directory, made.project_name) == (tmp_path, "project")
    assert tuner(project_name="a/b").project_name == "a/b"
    assert made.executions_per_trial == 2
    with pytest.raises(RequestError, match="There must be results to read; .*project has none"):
        made.reload()


def test_an_empty_folder_may_be_there_already_and_no_other(tuner, tmp_path):
    (tmp_path / "project").mkdir()
    tuner()
    (tmp_path / "project" / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(
            RequestError,
            match="must name a tuner's project, or nothing yet; .*project is something",
        ):
            tuner(overwrite=overwrite)
    assert (tmp_path / "project" / "thesis.txt").read_text() == "mine"


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"distribution_strategy": "mirrored"},
            "distribution_strategy is not honoured: give gpus_per_trial.",
        ),
        ({"logger": "mine"}, "logger is not honoured: the records are in the project's folder."),
        ({"tuner_id": "worker0"}, "tuner_id is not honoured: workers are Ray's; give address."),
        (
            {"max_trails": 3},
            r"Unknown argument of a tuner 'max_trails'. .* Did you mean 'max_trials'\?",
        ),
        ({"max_trials": 0}, "trials must be greater than 0; got 0."),
        ({"executions_per_trial": 0}, "executions_per_trial must be greater than 0; got 0."),
        ({"scheduler": "hyperbnd"}, r"Unknown scheduler 'hyperbnd'. .* Did you mean 'hyperband'\?"),
        ({"cpus_per_trial": 1.5}, "cpus_per_trial above 1 must be whole; got 1.5."),
        (
            {"objective": ["val_f1", "val_loss"]},
            "The direction of objective 'val_f1' is not known; write val_f1:min or val_f1:max.",
        ),
        (
            {"objective": []},
            r"objective must be a metric's name or an Objective\(name, 'min' or 'max'\); got \[\].",
        ),
        (
            {"objective": "val_f1"},
            "The direction of objective 'val_f1' is not known; write val_f1:min or val_f1:max.",
        ),
        (
            {"objective": 3},
            r"objective must be a metric's name or an Objective\(name, 'min' or 'max'\); got 3.",
        ),
        ({"hypermodel": None}, r"hypermodel must be build_model\(hp\) or a HyperModel; got None."),
        (
            {"hypermodel": "resnet"},
            r"hypermodel must be build_model\(hp\) or a HyperModel; got 'resnet'.",
        ),
        (
            {"hypermodel": keras.Sequential()},
            r"must be build_model\(hp\) or a HyperModel; got a model, Sequential. Write a function "
            "that builds it, and asks hp.",
        ),
        ({"hyperparameters": 5}, "hyperparameters must be a HyperParameters; got 5."),
        ({"address": "ray://here:10001"}, "--address must be HOST:PORT of a cluster"),
    ],
)
def test_an_argument_that_is_not_honoured_is_refused_in_one_line(tuner, arguments, message):
    with pytest.raises(RequestError, match=message) as raised:
        tuner(**arguments)
    assert "\n" not in str(raised.value)


def test_variables_of_kerastuners_distributed_search_are_refused(tuner, monkeypatch):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "10.0.0.1")
    with pytest.raises(RequestError) as caught:
        tuner()
    assert str(caught.value) == (
        "KERASTUNER_ORACLE_IP, KERASTUNER_TUNER_ID must not be set: KerasTuner starts the same "
        "script on each worker. Here one script searches on all hosts of a Ray cluster: give the "
        "tuner address='auto' or HOST:PORT, and unset the variables."
    )


@pytest.mark.parametrize("name", ["num_initial_points", "alpha", "beta"])
def test_settings_of_a_gaussian_process_are_warned_of(tuner, name):
    with pytest.warns(UserWarning, match=f"^{name}: this steers KerasTuner's Gaussian process and"):
        assert tuner(kt.BayesianOptimization, **{name: 4}).objective.name == "val_loss"


def test_hyperband_says_what_takes_the_place_of_max_trials(tuner):
    with pytest.raises(RequestError) as refused:
        tuner(kt.Hyperband, max_trials=3)
    assert str(refused.value) == (
        "Hyperband has no max_trials: how many trials there are follows from max_epochs, factor "
        "and hyperband_iterations; got max_trials=3."
    )


def test_search_must_be_given_x_unless_the_models_own_fit_takes_other_things(tuner):
    with pytest.raises(RequestError, match="search must be given x, as Keras's fit is; it got no"):
        tuner().search(epochs=2)
    own = tuner(hypermodel=OwnFit(), objective=None)
    experiment = asked(own, rounds=3)
    assert own._space.fitting == {"rounds": 3}
    assert experiment.dataset.fit_arguments() == ((), {})


@pytest.mark.parametrize("name", NOT_CALLED)
def test_a_tuner_with_a_method_that_is_not_called_is_told_what_to_do(tmp_path, name):
    mine = type("Mine", (kt.RandomSearch,), {name: lambda self, *args: None})
    with pytest.raises(RequestError, match=f"Mine's {name} is not called here: [a-z_]+ ") as raised:
        mine(build_model, "loss", directory=tmp_path)
    assert "\n" not in str(raised.value)


def test_every_such_method_is_one_of_kerastuners_and_all_are_named_at_once(tmp_path):
    import keras_tuner

    assert [name for name in NOT_CALLED if not hasattr(keras_tuner.Tuner, name)] == []
    mine = type(
        "Mine",
        (kt.RandomSearch,),
        dict.fromkeys(("on_trial_begin", "_build_and_fit_model"), lambda self, *args: None),
    )
    with pytest.raises(
        RequestError,
        match="_model is not called here: put.*; on_trial_begin is not called here: give",
    ):
        mine(build_model, "loss", directory=tmp_path)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((X, Y), {"epoch": 3}, r"Unknown argument of search 'epoch'. .* Did you mean 'epochs'\?"),
        ((X, Y), {"y": Y}, "search takes the arguments of Keras's fit, each once; got y twice."),
        ((X, Y), {"initial_epoch": 2}, "initial_epoch of search must be 0"),
        ((X, Y), {"validation_freq": 2}, "validation_freq of search must be 1"),
        (tuple(range(17)), {}, "search takes 16 arguments by position; got 17."),
        ((X, Y), {"epochs": 0}, "max_epochs must be greater than 0; got 0."),
        (
            (iter([1]),),
            {},
            "x must be arrays, a tf.data.Dataset, or a function without arguments that makes a dataset",
        ),
    ],
)
def test_an_argument_of_search_that_cannot_be_is_refused_in_one_line(tuner, args, kwargs, message):
    with pytest.raises(RequestError, match=message) as raised:
        tuner().search(*args, **kwargs)
    assert "\n" not in str(raised.value)


class HoldsAFile(Callback):
    def __init__(self, path):
        super().__init__()
        self.file = path.open("a")

    def __del__(self):
        self.file.close()


class HoldsAWriter(Callback):
    def __init__(self, path):
        import tensorflow as tf

        super().__init__()
        self.writer = tf.summary.create_file_writer(str(path))


class CannotBeMadeAnew(Callback):
    """As tqdm's: what is asked of it before it is whole, it asks of itself."""

    def __init__(self):
        super().__init__()
        self.held = []

    def __getattr__(self, name):
        return getattr(self.held, name)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda folder: HoldsAFile(folder / "log.txt"), "Cannot pickle files"),
        (lambda folder: HoldsAWriter(folder / "logs"), "Cannot convert a Tensor"),
        (lambda folder: CannotBeMadeAnew(), "maximum recursion depth exceeded"),
    ],
)
def test_a_callback_that_cannot_be_sent_is_refused_with_the_way_out(tuner, tmp_path, make, why):
    with pytest.raises(RequestError) as caught:
        tuner().search(X, Y, validation_split=0.2, callbacks=[make(tmp_path)])
    line = str(caught.value)
    assert "\n" not in line and why in line
    assert line.startswith("The callback must be something that can be sent to another process; ")
    assert line.endswith(
        ". Make what it holds (an open file, a lock, a writer) in on_train_begin, which each trial "
        "calls."
    )
    assert not list(tmp_path.glob("untitled_project"))


class Collects(Callback):
    def on_epoch_end(self, epoch, logs=None):
        COLLECTED.append(logs)


def test_a_callback_that_adds_to_a_list_of_the_script_is_warned_of():
    with pytest.warns(UserWarning) as warned:
        warn_of_left_behind(Collects())
    (line,) = (str(warning.message) for warning in warned)
    assert line.startswith("The callback Collects changes COLLECTED, a list of your script: each")
    assert line.endswith(" or read tuner.oracle and the project's history.csv.")


def test_what_else_cannot_be_sent_is_refused_by_its_name(tuner, tmp_path):
    with (
        open(tmp_path / "log", "w") as file,
        pytest.raises(
            RequestError, match="The argument rounds of search must be something that can be sent"
        ),
    ):
        tuner(hypermodel=OwnFit(), objective=None).search(X, Y, X, Y, rounds=file)


def test_results_are_refused_before_there_are_any(tuner):
    for read in ("get_best_hyperparameters", "get_best_models", "results_summary"):
        with pytest.raises(
            RequestError,
            match="There must be results to read; .*project has none. Call search first.",
        ):
            getattr(tuner(), read)()


def test_parts_of_kerastuner_that_are_not_offered_say_so():
    with pytest.raises(
        AttributeError, match=r"Unknown part of KerasTuner here 'src'. Known: BayesianOptimi"
    ):
        kt.src  # noqa: B018
    assert kt.applications.HyperResNet.__module__.startswith("keras_tuner.")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from pipeline.keras_tuner import Oracle", "Those of kt.oracles are. A searcher of you"),
        ("from pipeline.keras_tuner.engine.oracle import synchronized", "It is for oracles of one"),
    ],
)
def test_an_import_of_what_takes_something_elses_place_says_what(line, told):
    name = line.rpartition(" ")[2]
    with pytest.raises(RequestError) as caught:
        exec(line)
    assert str(caught.value).startswith(f"KerasTuner's {name} is not offered here. ")
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_tuner_has_what_it_was_given_and_says_what_else_it_has(tuner):
    made = tuner(optimizer=keras.optimizers.SGD(0.5), loss="mse", metrics=["mae"])
    assert (made.loss, made.metrics, made.max_model_size, made.logger) == (
        "mse",
        ["mae"],
        None,
        None,
    )
    assert float(made.optimizer.learning_rate) == 0.5
    made.save()
    with pytest.raises(AttributeError) as caught:
        made.get_state  # noqa: B018
    assert str(caught.value).startswith("Unknown part of a tuner here 'get_state'. Known: ")
    assert ", max_model_size, " in str(caught.value) and ", search, " in str(caught.value)

    class Mine(kt.RandomSearch):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.metrics = "my own"

    assert tuner(Mine).metrics == "my own"


def test_several_objectives_are_minimised_as_their_sum(tuner):
    import keras_tuner

    parts = ["val_loss", kt.Objective("val_f1", "max")]
    made = tuner(objective=parts).objective
    assert str(made) == "multi_objective:min" and [str(o) for o in made.objectives] == [
        "val_loss:min",
        "val_f1:max",
    ]
    theirs = keras_tuner.src.engine.objective.create_objective(
        ["val_loss", keras_tuner.Objective("val_f1", "max")]
    )
    logs = {"val_loss": 0.5, "val_f1": 0.75, "loss": 9.0}
    assert made.added(logs) == logs | {theirs.name: theirs.get_value(logs)}
    assert made.added({"val_loss": 0.5}) == {"val_loss": 0.5}
    assert tuner(objective=theirs).objective == made
    other = tuner(objective=parts[::-1])._space
    assert other.distinctive != tuner(objective=parts)._space.distinctive


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1}, "factor of Hyperband must be at least 2; got 1."),
        ({"factor": "3"}, "factor of Hyperband must be at least 2; got '3'."),
        ({"max_epochs": 0}, "max_epochs of Hyperband must be at least 1; got 0."),
        (
            {"hyperband_iterations": 0.5},
            "hyperband_iterations of Hyperband must be at least 1; got 0.5.",
        ),
    ],
)
def test_brackets_that_cannot_be_are_refused(tuner, arguments, message):
    with pytest.raises(RequestError) as caught:
        tuner(kt.Hyperband, **arguments)
    assert str(caught.value) == message


def test_the_drop_in_imports_neither_keras_nor_ray():
    code = "import sys; from pipeline import keras_tuner; print({'keras', 'ray', 'tensorflow'} & set(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "set()"


ORACLES = {
    "RandomSearchOracle": kt.RandomSearch,
    "GridSearchOracle": kt.GridSearch,
    "BayesianOptimizationOracle": kt.BayesianOptimization,
    "HyperbandOracle": kt.Hyperband,
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_tuner_of_an_oracle_searches_as_the_tuner_of_that_name(name, tmp_path):
    length = {"max_epochs": 9, "hyperband_iterations": 2} if "band" in name else {"max_trials": 7}
    given = {"seed": 5, "max_retries_per_trial": 1, "tune_new_entries": False, **length}
    oracle = getattr(kt.oracles, name)(kt.Objective("val_f1", "max"), **given)
    ways = [
        kt.Tuner(oracle=oracle, hypermodel=build_model, directory=tmp_path),
        kt.Tuner(oracle, build_model, directory=tmp_path),
        ORACLES[name](build_model, kt.Objective("val_f1", "max"), directory=tmp_path, **given),
    ]
    one, other, own = (asked(tuner, X, Y, validation_split=0.2, epochs=3) for tuner in ways)
    assert one.to_yaml() == other.to_yaml() == own.to_yaml()


def test_an_oracle_takes_the_arguments_of_kerastuners(tmp_path):
    import keras_tuner

    for name in ORACLES:
        theirs = inspect.signature(getattr(keras_tuner.oracles, name)).parameters
        ours = inspect.signature(getattr(kt.oracles, name)).parameters
        base = inspect.signature(kt.oracles.SearchOracle).parameters
        assert set(theirs) <= {*ours, *base}, name
        shared = [name for name in ours if name not in ("args", "kwargs")]
        assert list(theirs)[: len(shared)] == shared, name


def test_an_oracle_of_ones_own_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(RequestError) as caught:
        kt.Tuner(oracle=object(), hypermodel=build_model, directory=tmp_path)
    assert str(caught.value) == (
        "oracle must be one of BayesianOptimizationOracle, GridSearchOracle, HyperbandOracle, "
        "RandomSearchOracle; got a object. A searcher of your own is a class of "
        "pipeline.search.searcher, given as Experiment(searcher=…)."
    )


def test_an_oracle_with_methods_of_its_own_is_refused_with_the_way_out(tmp_path):
    class Mine(kt.oracles.RandomSearchOracle):
        def populate_space(self, trial_id):
            return {}

    with pytest.raises(RequestError) as caught:
        kt.Tuner(oracle=Mine("val_loss", 3), hypermodel=build_model, directory=tmp_path)
    assert str(caught.value) == (
        "An oracle's methods must be those that it comes with; Mine's populate_space would not be "
        "called. A searcher of your own is a class of pipeline.search.searcher, given as "
        "Experiment(searcher=…)."
    )


def test_every_import_path_of_kerastuner_that_is_offered_holds_the_same_things():
    for path, name in (
        ("engine.hyperparameters", "HyperParameters"),
        ("engine.hyperparameters", "Choice"),
        ("engine.hypermodel", "HyperModel"),
        ("engine.objective", "Objective"),
        ("engine.tuner", "Tuner"),
        ("engine.base_tuner", "BaseTuner"),
        ("engine.hyperparameters", "serialize"),
        ("engine.metrics_tracking", "infer_metric_direction"),
        ("engine.objective", "MultiObjective"),
        ("engine.oracle", "Objective"),
        ("engine.trial", "Trial"),
        ("engine.trial", "TrialStatus"),
        ("oracles", "RandomSearch"),
        ("tuners", "Hyperband"),
        ("oracles", "HyperbandOracle"),
        ("errors", "FailedTrialError"),
        ("applications", "HyperResNet"),
    ):
        found = getattr(importlib.import_module(f"pipeline.keras_tuner.{path}"), name)
        assert found is getattr(kt, name, found) or path == "oracles"
    assert kt.engine.hyperparameters.HyperParameters is kt.HyperParameters
    assert kt.applications.HyperXception.__name__ == "HyperXception"


@pytest.mark.parametrize(
    ("project_name", "place"),
    [
        ("lr=0.01", "lr=0.01"),
        ("run (2)", "run (2)"),
        ("a/b", "a/b"),
        ("2024-05-01 12:30", "2024-05-01 12:30"),
        ("projekt 名", "projekt 名"),
        (" a ", " a "),
        ("[x] {y} %s 'z'", "[x] {y} %s 'z'"),
    ],
)
def test_a_project_may_be_called_whatever_a_folder_may(tuner, tmp_path, project_name, place):
    made = tuner(project_name=project_name)
    assert made.project_dir == str(tmp_path / place)
    assert asked(made, X, Y).name == Path(place).name


def test_a_name_that_no_folder_may_have_is_refused(tuner):
    with pytest.raises(RequestError, match=r"^name must be one folder's name \(no '/', not '.'"):
        tuner(project_name=".new-run-a")
