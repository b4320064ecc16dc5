"""Classes that are to count alike are weighted as scikit-learn weights them."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from pipeline.data.fit_data import FitData
from pipeline.errors import RequestError
from pipeline.objective import Objective
from pipeline.worker.backends.known import current
from pipeline.worker.fitting.class_weights import class_weights
from pipeline.worker.spaces.reveal import check_default
from pipeline.worker.training.trial import training_seed
from tests.worker.stage import dataset, job, linear_model, one_hot, run, space

LOSS = Objective("val_loss", "min")


@pytest.fixture(scope="module")
def uneven():
    """Digits of which the first class has most examples, and the last none."""
    data = dataset("digits", 120)
    y = np.where(data.y_train > 5, 0, data.y_train)
    return replace(data, y_train=y)


@pytest.mark.parametrize("labels", ["integers", "one-hot"])
def test_the_weights_are_scikit_learns(uneven, labels):
    data = uneven if labels == "integers" else one_hot(uneven)
    met = np.unique(uneven.y_train)
    theirs = compute_class_weight("balanced", classes=met, y=uneven.y_train)

    found = class_weights("balanced", data)["class_weight"]

    assert found == pytest.approx(dict(zip(met.tolist(), theirs, strict=True)))
    assert class_weights(None, data) == {}


def model(labels):
    made = linear_model()
    if labels == "one-hot":
        made.compile("sgd", "categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return made


@pytest.mark.parametrize("labels", ["integers", "one-hot"])
def test_a_trial_is_plain_keras_with_these_weights(uneven, tmp_path, labels):
    data = uneven if labels == "integers" else one_hot(uneven)
    task = job(tmp_path, max_epochs=2, class_weight="balanced", objective=LOSS)
    batch = {"batch_size": len(data.x_train)}  # so that the order of the examples says nothing

    def fit(hp, model, *args, **kwargs):
        return model.fit(*args, **batch, **kwargs)

    notes, ending = run(task, space(lambda hp, data: model(labels), fit), data)
    assert ending.failure is None, ending.failure

    current().set_random_seed(training_seed(task))
    history = (
        model(labels)
        .fit(
            data.x_train,
            data.y_train,
            validation_data=(data.x_val, data.y_val),
            epochs=2,
            verbose=0,
            **batch,
            **class_weights("balanced", data),
        )
        .history
    )
    ours = {name: [e.metrics[name] for e in notes.epochs] for name in history}
    assert ours == {name: pytest.approx(values, rel=1e-5) for name, values in history.items()}
    plain, _ = run(
        replace(task, directory=tmp_path / "plain", class_weight=None),
        space(lambda hp, data: model(labels), fit),
        data,
    )
    assert plain.epochs[0].metrics["loss"] != pytest.approx(ours["loss"][0], rel=1e-2)


def test_the_check_before_a_search_hands_them_to_fit(uneven):
    seen = []

    def fit(hp, model, *args, class_weight=None, **kwargs):
        seen.append(class_weight)
        return model.fit(*args, class_weight=class_weight, **kwargs)

    check_default(space(lambda hp, data: linear_model(), fit), uneven, LOSS, "balanced")

    assert seen == [class_weights("balanced", uneven)["class_weight"]], "of all training examples"


def test_a_regression_has_none():
    with pytest.raises(RequestError) as refused:
        class_weights("balanced", dataset("diabetes"))

    assert str(refused.value) == (
        "class_weight must be of classes; dataset 'diabetes' is a regression."
    )


def test_arrays_as_they_are_given_have_none(uneven):
    with pytest.raises(RequestError) as refused:
        class_weights("balanced", FitData.of("mine", uneven.x_train, uneven.y_train))

    assert str(refused.value) == (
        "class_weight='balanced' needs a dataset with its task; arrays that fit is given as they "
        "are take fit's own class_weight={label: weight}."
    )
