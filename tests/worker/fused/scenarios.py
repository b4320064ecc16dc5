"""What befalls single members of a group; see `test_together`.

Run:  KERAS_BACKEND=jax python -m tests.worker.fused.scenarios

Prints a line of JSON for each scenario.
"""

import contextlib
import json
import tempfile
from pathlib import Path

import keras
import numpy as np

from pipeline.objective import Objective
from pipeline.worker.session import Job, SearchSpace, Stopped, Until
from pipeline.worker.training.repeats import carry_out
from pipeline.worker.training.trial import train
from tests.worker.fused.together import (
    APART,
    Alone,
    apart,
    dense,
    examples,
    jobs,
    largest_difference,
    of_layers,
    together,
)

RATES = [{"learning_rate": rate, "rate": 0.3} for rate in (1e-3, 5e-3, 1e-2, 2e-2)]
DENSE = of_layers(dense)


def curves(sessions):
    return [[r.objective for r in session.reports] for session in sessions]


def of_repeats(folder, plan, space, data, **settings):
    session = Alone(None)
    job = Job(
        "trial_00000",
        {},
        1,
        4,
        Objective("val_loss", "min"),
        Path(folder, plan),
        fit_plan=plan,
        **settings,
    )
    ending = carry_out(job, space, data, session)
    assert ending.failure is None, ending.failure
    return session


def folds_of_unequal_size(folder):
    """Five folds of 203 examples have training splits of two sizes."""
    data = examples(count=203).with_folds(5, 0)
    sessions = [
        of_repeats(
            folder, plan, SearchSpace("dense", DENSE), data, repeats=5, folds=5, session_keeps=True
        )
        for plan in (APART, "fused")
    ]
    return {
        "plan": sessions[1].facts.fit_plan,
        "difference": largest_difference(sessions[:1], sessions[1:]),
        "sizes": sorted({len(data.fold(k).x_train) for k in range(5)}),
    }


def one_diverges(folder):
    def build(hp, data):
        made = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
        made.compile(keras.optimizers.SGD(hp.Float("learning_rate", 1e-4, 1e30)), "mse")
        return made

    data, space = examples(targets="number"), SearchSpace("dense", build)
    settings = [{"learning_rate": rate} for rate in (1e-3, 1e25, 1e-2)]
    alone = apart(jobs(folder / "apart", settings), space, data)
    members = together(jobs(folder / "together", settings), space, data)
    others = [0, 2]
    return {
        "failures": [m.failure and m.failure.reason for m in members],
        "difference": largest_difference([alone[i] for i in others], [members[i] for i in others]),
    }


def some_stop_early(folder):
    def fit(hp, model, *args, callbacks, **kwargs):
        patient = keras.callbacks.EarlyStopping(
            "val_loss", patience=1, min_delta=hp.Float("least", 0.0, 1.0), restore_best_weights=True
        )
        return model.fit(*args, callbacks=[*callbacks, patient], **kwargs)

    data, space = examples(), SearchSpace("dense", DENSE, fit)
    settings = [
        {**rates, "least": least} for rates, least in zip(RATES, (0.0, 0.9, 0.9, 0.9), strict=True)
    ]
    alone = apart(jobs(folder / "apart", settings, max_epochs=5), space, data)
    members = together(jobs(folder / "together", settings, max_epochs=5), space, data)
    return {
        "epochs": [len(m.reports) for m in members],
        "difference": largest_difference(alone, members),
    }


def gone_on_with(folder):
    """Killed after two epochs, and gone on with in company."""
    data, space = examples(), SearchSpace("dense", DENSE)
    settings = RATES[:2]
    whole = apart(jobs(folder / "apart", settings, max_epochs=4), space, data)
    for job in jobs(folder / "together", settings, max_epochs=4)[:1]:
        with contextlib.suppress(Stopped):
            train(job, space, data, Until(2))
    members = together(jobs(folder / "together", settings, max_epochs=4), space, data)
    first, second = curves(members)
    return {
        "epochs": [len(first), len(second)],
        "difference": float(
            max(
                np.max(np.abs(np.subtract(first, curves(whole)[0][2:]))),
                np.max(np.abs(np.subtract(second, curves(whole)[1]))),
            )
        ),
    }


def not_alike(folder):
    """Models of other shapes have programs of their own; what cannot be compared trains apart."""

    def units(hp, data):
        return [keras.layers.Dense(hp.Int("units", 4, 8), "relu"), *dense(hp, data)]

    def with_lambda(hp, data):
        return [keras.layers.Lambda(lambda x: x * 2.0), *dense(hp, data)]

    data, found = examples(), {}
    settings = [{**RATES[0], "units": 4}, {**RATES[1], "units": 5}]
    for name, make in (("units", units), ("lambda", with_lambda)):
        space = SearchSpace(name, of_layers(make))
        alone = apart(jobs(folder / name / "apart", settings), space, data)
        members = together(jobs(folder / name / "together", settings), space, data)
        found[name] = [members[0].facts.fit_plan, largest_difference(alone, members)]
    return found


def changed_between_fits(folder):
    """Several calls of `fit`, each on another length, between which something changes."""

    def compiled_anew(model, x):
        model.compile(keras.optimizers.Adam(1e-2), model.loss, loss_weights=[25.0])

    def examples_changed(model, x):
        x *= -3

    def setting_changed(model, x):
        model.layers[1].rate = 0.9

    def fit_with(change):
        def fit(hp, model, x, y, callbacks, validation_data, **kwargs):
            kept, number = x[: 200 - 32 * hp.Int("number", 0, 2)].copy(), hp.get("number")
            held = {"callbacks": callbacks, "validation_data": validation_data, "verbose": 0}
            model.fit(kept, y[: len(kept)], epochs=1 + number, **held)
            if number == 0:
                change(model, kept)
            return model.fit(kept, y[: len(kept)], epochs=2, **held)

        return fit

    data, found = examples(), {}
    settings = [{**rates, "number": n} for n, rates in enumerate(RATES[:3])]
    for change in (compiled_anew, examples_changed, setting_changed):
        space, name = SearchSpace("dense", DENSE, fit_with(change)), change.__name__
        alone = apart(jobs(folder / name / "apart", settings, max_epochs=4), space, data)
        members = together(jobs(folder / name / "together", settings, max_epochs=4), space, data)
        epochs = [len(m.reports) for m in members]
        plan = members[1].facts.fit_plan
        found[name] = [epochs, plan, largest_difference(alone, members)]
    return found


def chosen_by_itself(folder):
    """Without being asked, on a CPU: what a step costs decides."""

    def convolutional(hp, data):
        return [
            keras.layers.Reshape((6, 1)),
            keras.layers.Conv1D(4, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(3, "softmax"),
        ]

    data, plans = examples(), {}
    for name, make in (("dense", dense), ("convolutional", convolutional)):
        space = SearchSpace(name, of_layers(make))
        given = jobs(folder / name, RATES[:2], fit_plan="auto", max_epochs=1)
        plans[name] = together(given, space, data)[0].facts.fit_plan
    return plans


SCENARIOS = [
    folds_of_unequal_size,
    one_diverges,
    some_stop_early,
    gone_on_with,
    not_alike,
    changed_between_fits,
    chosen_by_itself,
]

if __name__ == "__main__":
    for scenario in SCENARIOS:
        with tempfile.TemporaryDirectory() as directory:
            print(json.dumps({scenario.__name__: scenario(Path(directory))}), flush=True)
