"""The same space on Ray Tune alone, with ASHA and HyperOptSearch as its documentation shows; prints
what it found.

Run: python benchmarks/peers/ray_tune_example.py FOLDER --seed 0 --flatten
     python benchmarks/peers/ray_tune_example.py FOLDER --seed 0

Ten trials of at most ten epochs, one CPU each. Every epoch is reported and the model saved by
Tune's own callback. The space is written flat, as there it must be: every hyperparameter that
random configurations request. The first command finds these, which is not counted: a user would
have written them down.
"""

import json
import os
import pickle
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import ray
import subject
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.hyperopt import HyperOptSearch

from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Float, Int

EPOCHS, TRIALS = 10, 10
ENOUGH = 20  # configurations in a row that ask for no hyperparameter that is not known yet
FLAT = "flat.pickle"


def domain(spec):
    """A hyperparameter in Ray Tune's words."""
    low, high, step = (getattr(spec, name, None) for name in ("min_value", "max_value", "step"))
    linear = getattr(spec, "sampling", "") == "linear"
    if isinstance(spec, Int) and linear and (step is None or low % step == 0):
        return tune.qrandint(low, high, step) if step else tune.randint(low, high + 1)
    if isinstance(spec, Float) and step is None:
        return (tune.uniform if linear else tune.loguniform)(low, high)
    return tune.choice(list(spec.grid()))


def flattened(space, data, rng):
    """Hyperparameters by name, as found in random configurations."""
    specs, known = {}, 0
    while known < ENOUGH:
        new = {spec.name: spec for spec, _ in subject.drawn(space, data, rng)[0]}
        known = known + 1 if new.keys() <= specs.keys() else 0
        specs |= new
    return specs


def train(config, data, search_space, whole):
    from ray.tune.integration.keras import TuneReportCheckpointCallback

    space = subject.load_space(search_space)
    hp = HyperParameters(
        {name: int(value) if name in whole else value for name, value in config.items()}
    )
    model = space.build(hp, data)
    subject.fitted(
        space,
        hp,
        model,
        data.x_train,
        data.y_train,
        epochs=EPOCHS,
        validation_data=(data.x_val, data.y_val),
        verbose=0,
        callbacks=[TuneReportCheckpointCallback(metrics="val_accuracy")],
    )


def main():
    arguments = subject.options(__doc__)
    arguments.add_argument("folder")
    arguments.add_argument(
        "--flatten", action="store_true", help="write the flat space into the folder, train nothing"
    )
    asked = arguments.parse_args()
    data = subject.load_data(asked.dataset, asked.seed)
    if asked.flatten:
        flat = flattened(
            subject.load_space(asked.search_space), data, np.random.default_rng(asked.seed)
        )
        (Path(asked.folder) / FLAT).write_bytes(pickle.dumps(flat))
        return
    specs = pickle.loads((Path(asked.folder) / FLAT).read_bytes())
    whole = {name for name, spec in specs.items() if isinstance(spec, Int)}
    # for its workers
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(subject.ROOT), str(subject.ROOT / "benchmarks")]
    )
    ray.init(include_dashboard=False)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(train, data=data, search_space=asked.search_space, whole=whole),
            {"cpu": 1},
        ),
        param_space={name: domain(spec) for name, spec in specs.items()},
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=TRIALS,
            search_alg=HyperOptSearch(random_state_seed=asked.seed),
            scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
            max_concurrent_trials=len(os.sched_getaffinity(0)),
        ),
        run_config=tune.RunConfig(storage_path=str(Path(asked.folder).resolve()), verbose=0),
    )
    results = tuner.fit()
    best = results.get_best_result(scope="all")
    import keras

    with best.get_best_checkpoint("val_accuracy", "max").as_directory() as folder:
        model = keras.models.load_model(Path(folder) / "model.keras")
    accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)[1]
    model.save(Path(asked.folder) / "best.keras")
    epochs = [int(result.metrics["training_iteration"]) for result in results]
    found = best.metrics_dataframe["val_accuracy"].max()
    print(
        json.dumps({"val_accuracy": float(found), "test_accuracy": accuracy, "epochs": sum(epochs)})
    )


if __name__ == "__main__":
    main()
