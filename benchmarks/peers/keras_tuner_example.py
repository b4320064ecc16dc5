"""KerasTuner's MNIST example in a process of its own; prints what it found as JSON.

Run: python benchmarks/peers/keras_tuner_example.py FOLDER --seed 0
     python benchmarks/peers/keras_tuner_example.py FOLDER --configurations FILE --epochs 3

The second trains the given configurations, on this project's own split of the data, in place of ten
random ones.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras_tuner as kt
import numpy as np
import subject


class Listed(kt.Oracle):
    """Proposes what it was given, in order."""

    def __init__(self, configurations, **settings):
        super().__init__(**settings)
        self._given = iter(configurations)

    def populate_space(self, trial_id):
        values = next(self._given, None)
        return {"status": "STOPPED"} if values is None else {"status": "RUNNING", "values": values}


class Model(kt.HyperModel):
    """The search space, on this data."""

    def __init__(self, space, data):
        super().__init__()
        self._space, self._data = space, data

    def build(self, hp):
        return self._space.build(hp, self._data)

    def fit(self, hp, model, *args, **kwargs):
        return subject.fitted(self._space, hp, model, *args, **kwargs)


def main():
    arguments = subject.options(__doc__)
    arguments.add_argument("folder")
    arguments.add_argument("--epochs", type=int, default=10)
    arguments.add_argument("--configurations", type=Path)
    asked = arguments.parse_args()
    data = subject.load_data(asked.dataset, asked.seed)
    model = Model(subject.load_space(asked.search_space), data)
    if asked.configurations:
        given = json.loads(asked.configurations.read_text())
        oracle = Listed(given, objective=kt.Objective("val_accuracy", "max"), max_trials=len(given))
        tuner = kt.Tuner(oracle, model, directory=asked.folder, project_name="listed")
        tuner.search(
            data.x_train,
            data.y_train,
            epochs=asked.epochs,
            validation_data=(data.x_val, data.y_val),
            verbose=0,
        )
    else:
        tuner = kt.RandomSearch(
            model,
            objective="val_accuracy",
            max_trials=10,
            executions_per_trial=1,
            seed=asked.seed,
            directory=asked.folder,
            project_name="example",
        )
        x, y = (
            np.concatenate([data.x_train, data.x_val]),
            np.concatenate([data.y_train, data.y_val]),
        )
        tuner.search(x, y, epochs=asked.epochs, validation_split=0.2, verbose=0)
    best = tuner.get_best_models(1)[0]
    best.save(Path(asked.folder) / "best.keras")
    trials = list(tuner.oracle.trials.values())
    print(
        json.dumps(
            {
                "val_accuracy": max(trial.score for trial in trials),
                "test_accuracy": best.evaluate(data.x_test, data.y_test, verbose=0)[1],
                "val_accuracies": [trial.score for trial in trials],
            }
        )
    )


if __name__ == "__main__":
    main()
