"""Real searches of the drop-in: what they record, how they are gone on with, and the models that
they hand back."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from pipeline import keras_tuner as kt
from pipeline.errors import ProgramError, RequestError

pytestmark = [pytest.mark.slow, pytest.mark.ray]
ROOT = Path(__file__).parents[2]
DIGITS = load_digits()
X, Y = (DIGITS.images / 16).astype(np.float32)[:200], DIGITS.target[:200]


def build_model(hp):
    import keras
    from keras import layers

    model = keras.Sequential(
        [layers.Flatten(), layers.Dense(hp.Int("units", 8, 24, step=8), "relu")]
    )
    model.add(layers.Dense(10, "softmax"))
    model.compile(
        hp.Choice("optimizer", ["adam", "rmsprop"]),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


@pytest.fixture(scope="module")
def project(ray_cluster, tmp_path_factory):
    """A search of three trials, two models kept; `project(…)` makes another tuner of the same
    project."""
    folder = tmp_path_factory.mktemp("projects")

    def tuner(hypermodel=build_model, **changed):
        settings = {
            "max_trials": 3,
            "seed": 5,
            "keep_models": 2,
            "directory": folder,
            "project_name": "the digits: [lr=0.1] {x} %s (2) 名",
        }
        return kt.RandomSearch(hypermodel, "val_accuracy", **settings | changed)

    tuner().search(X, Y, epochs=2, validation_split=0.25, batch_size=16, verbose=0)
    return tuner


def again(tuner, **changed):
    arguments = {"epochs": 2, "validation_split": 0.25, "batch_size": 16, "verbose": 0}
    tuner.search(X, Y, **arguments | changed)


def test_best_models_score_what_was_recorded_on_the_last_part(project):
    tuner = project()
    again(tuner)
    recorded = [found.objective for found, _ in tuner._best(2)]
    models = tuner.get_best_models(2)
    measured = [
        m.evaluate(X[150:], Y[150:], verbose=0, return_dict=True)["accuracy"] for m in models
    ]
    assert measured == pytest.approx(recorded) and recorded[0] >= recorded[1]


def test_another_process_reads_the_results_without_a_search(project):
    tuner = project()
    assert tuner.remaining_trials == 0
    (hp,) = tuner.get_best_hyperparameters()
    model = tuner.get_best_models()[0]
    assert model.layers[1].units == hp["units"] and sorted(hp.values) == ["optimizer", "units"]
    rebuilt = tuner.hypermodel.build(hp)
    assert type(rebuilt.optimizer).__name__.lower() == hp.get("optimizer")


def test_more_models_than_were_kept_are_refused(project):
    with pytest.raises(
        RequestError, match="get_best_models can return 2 models, as many as keep_models; got 3."
    ):
        project().get_best_models(3)
    with pytest.raises(
        RequestError,
        match="The weights of trial t000. were not kept; a search with a larger keep_mod",
    ):
        project(keep_models=9).get_best_models(3)
    assert len(project().get_best_hyperparameters(9)) == 3


def test_a_finished_search_returns_at_once_and_a_longer_one_goes_on(project, capsys):
    tuner = project()
    records = Path(tuner.project_dir, "history.jsonl")
    before = records.read_text()
    again(tuner)
    assert records.read_text() == before
    longer = project(max_trials=4)
    assert longer.remaining_trials == 1
    again(longer)
    assert records.read_text().startswith(before) and len(longer.get_best_hyperparameters(9)) == 4
    assert capsys.readouterr().out == ""  # verbose is 0


def test_models_of_another_build_are_refused_and_not_loaded_into_it(project):
    def build_other(hp):
        return build_model(hp)

    tuner = project(build_other)
    with pytest.raises(RequestError) as caught:
        tuner.get_best_models()
    assert str(caught.value) == (
        "get_best_models needs the hypermodel that was searched with; "
        f"{tuner.project_dir} has another. To start anew: overwrite=True, or another project_name."
    )


def test_another_search_in_the_same_project_is_refused_with_what_to_do(project):
    with pytest.raises(
        RequestError,
        match="keeps its dataset; .* To start anew: overwrite=True, or another project_n",
    ):
        project().search(X + 1, Y, epochs=2, validation_split=0.25, batch_size=16)

    def another(hp):
        return build_model(hp)

    with pytest.raises(RequestError, match="keeps its search_space; "):
        again(project(another))


def test_summaries_say_what_kerastuners_say(project, capsys):
    tuner = project()
    tuner.search_space_summary()
    space = capsys.readouterr().out
    assert space.startswith("Search space summary\nDefault search space size: 2\nunits (Int)\n{")
    assert "'min_value': 8, 'max_value': 24, 'step': 8, 'sampling': 'linear'" in space
    tuner.results_summary(1)
    results = capsys.readouterr().out
    assert f"Results in {tuner.project_dir}\nShowing 1 best trials\n" in results
    assert "\nHyperparameters:\nunits: " in results and "\nScore: 0." in results


def test_the_summary_of_a_search_on_gpus_builds_nothing_in_the_callers_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pipeline import keras_tuner as kt\n"
        "def build(hp):\n"
        "    import keras\n"
        "    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(hp.Int('units', 1, "
        "4))])\n"
        "kt.RandomSearch(build, 'val_loss', gpus_per_trial=0.5, "
        "directory='here').search_space_summary()\n"
        "print({'keras', 'tensorflow'} & set(sys.modules))\n"
    )
    run = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "Default search space size: 1\nunits (Int)\n" in run.stdout and run.stdout.endswith(
        "set()\n"
    )
    assert not (tmp_path / "here").exists()


def test_hyperband_goes_through_its_brackets_on_data_that_a_function_makes(ray_cluster, tmp_path):
    def train():
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((X[:150], Y[:150])).batch(16)

    def validation():
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((X[150:], Y[150:])).batch(16)

    tuner = kt.Hyperband(
        build_model,
        "val_accuracy",
        max_epochs=3,
        factor=3,
        directory=tmp_path,
        seed=1,
        overwrite=True,
    )
    tuner.search(train, validation_data=validation, verbose=0)
    (found, record), *_ = tuner._best(1)
    score = tuner.get_best_models()[0].evaluate(X[150:], Y[150:], verbose=0, return_dict=True)[
        "accuracy"
    ]
    assert score == pytest.approx(found.objective) and record.status in ("finished", "stopped")


def test_a_loop_of_ones_own_reports_through_the_callbacks(ray_cluster, tmp_path):
    class Looping(kt.HyperModel):
        def build(self, hp):
            import keras

            return keras.Sequential(
                [keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(hp.Int("n", 1, 9))]
            )

        def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
            rate = hp.Float("rate", 0.1, 0.9)
            for callback in callbacks:
                callback.set_model(model)
            for epoch in range(3):
                model.set_weights([weight * rate for weight in model.get_weights()])
                for callback in callbacks:
                    callback.on_epoch_end(epoch, logs={"my_metric": float(abs(epoch - 1) + rate)})
            return rate  # the best, as the guides do

    objective = kt.Objective("my_metric", "min")
    tuner = kt.RandomSearch(Looping(), objective, 2, directory=tmp_path, executions_per_trial=2)
    tuner.search(x=X, y=Y, validation_data=(X, Y), verbose=0)
    best = tuner._best(2)
    assert [found.epoch for found, _ in best] == [2, 2]
    assert [found.objective for found, _ in best] == pytest.approx(
        [r.hyperparameters["rate"] for _, r in best]
    )
    assert tuner.get_best_models()[0].layers[1].units == best[0][1].hyperparameters["n"]


def test_trials_that_fail_alike_end_the_search_with_the_users_traceback(ray_cluster, tmp_path):
    class Failing(kt.HyperModel):
        def build(self, hp):
            return build_model(hp)

        def fit(self, hp, model, x, *args, **kwargs):
            if len(x) > 8:  # more than the few examples of the check
                raise ValueError("their own fault")
            return model.fit(x, *args, **kwargs)

    tuner = kt.RandomSearch(
        Failing(),
        "val_accuracy",
        5,
        max_consecutive_failed_trials=2,
        max_concurrent=1,
        directory=tmp_path,
    )
    with pytest.raises(
        ProgramError, match="2 trials in a row failed in the same way: .*their own fault"
    ) as raised:
        tuner.search(X, Y, validation_data=(X, Y), verbose=0)
    assert "test_search.py" in raised.value.__notes__[0]


class Batches:
    """Mixed into a `PyDataset`, which is Keras's; it holds tensors."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(20 * index, 20 * index + 20)
        return self.x[rows], self.y[rows]


def test_a_pydataset_of_tensors_trains_and_a_table_validates(ray_cluster, tmp_path):
    import keras

    class Table(Batches, keras.utils.PyDataset):
        def __init__(self, x, y):
            super().__init__(workers=2)
            self.x, self.y = keras.ops.array(x), keras.ops.array(y)

    def build(hp):
        model = keras.Sequential([layer := keras.layers.Dense(hp.Int("units", 4, 8), "relu")])
        model.add(keras.layers.Dense(1, "sigmoid"))
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        assert not layer.built
        return model

    numbers = np.random.default_rng(0).normal(size=(80, 2))
    table = pd.get_dummies(pd.DataFrame(numbers).assign(city=["Ulm", "Bonn"] * 40))
    y = table[0] > 0
    tuner = kt.RandomSearch(build, "val_accuracy", max_trials=1, directory=tmp_path, seed=3)
    tuner.search(
        Table(table[:60].to_numpy("float32"), y[:60].to_numpy()),
        epochs=2,
        validation_data=(table[60:], y[60:]),
        verbose=0,
    )

    (model,) = tuner.get_best_models()
    score = model.evaluate(table[60:], y[60:], verbose=0, return_dict=True)
    (trial,) = tuner.oracle.get_best_trials()
    assert score["accuracy"] == pytest.approx(trial.score)
