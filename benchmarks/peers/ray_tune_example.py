"""The same space on Ray Tune alone, with ASHA and HyperOptSearch as its documentation shows; prints what it found.

Run: python benchmarks/peers/ray_tune_example.py FOLDER --seed 0
Ten trials of at most ten epochs, one CPU each. Every epoch is reported and the model saved by Tune's own callback.
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1])]

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.hyperopt import HyperOptSearch

EPOCHS, TRIALS = 10, 10


def train(config, data):
    sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1])]
    import keras
    from example_space import OPTIMIZERS
    from ray.tune.integration.keras import TuneReportCheckpointCallback

    x_train, y_train, x_val, y_val = data
    model = keras.Sequential([keras.Input((784,))])
    for i in range(int(config["num_layers"])):
        model.add(keras.layers.Dense(int(config[f"units_{i}"]), activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    optimizer = OPTIMIZERS[config["optimizer"]](config["learning_rate"])
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        x_train, y_train, epochs=EPOCHS, validation_data=(x_val, y_val), verbose=0,
        callbacks=[TuneReportCheckpointCallback(metrics="val_accuracy")],
    )  # fmt: skip


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder")
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    from datasets import mnist

    data = mnist.load(asked.seed)
    arrays = (data.x_train.reshape(-1, 784), data.y_train, data.x_val.reshape(-1, 784), data.y_val)
    ray.init(include_dashboard=False)
    space = {
        "num_layers": tune.randint(1, 6),
        **{f"units_{i}": tune.qrandint(32, 512, 32) for i in range(5)},
        "optimizer": tune.choice(["adam", "sgd", "rmsprop"]),
        "learning_rate": tune.loguniform(1e-4, 1e-2),
    }
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, data=arrays), {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="val_accuracy", mode="max", num_samples=TRIALS,
            search_alg=HyperOptSearch(random_state_seed=asked.seed),
            scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
            max_concurrent_trials=len(os.sched_getaffinity(0)),
        ),
        run_config=tune.RunConfig(storage_path=str(Path(asked.folder).resolve()), verbose=0),
    )  # fmt: skip
    results = tuner.fit()
    best = results.get_best_result(scope="all")
    import keras

    with best.get_best_checkpoint("val_accuracy", "max").as_directory() as folder:
        model = keras.models.load_model(Path(folder) / "model.keras")
    accuracy = model.evaluate(data.x_test.reshape(-1, 784), data.y_test, verbose=0)[1]
    model.save(Path(asked.folder) / "best.keras")
    epochs = [int(result.metrics["training_iteration"]) for result in results]
    found = best.metrics_dataframe["val_accuracy"].max()
    print(json.dumps({"val_accuracy": float(found), "test_accuracy": accuracy, "epochs": sum(epochs)}))


if __name__ == "__main__":
    main()
