"""Conformance of a search space: its configurations can be built, trained, saved and loaded.

    from pipeline.testing import search_spaces

    @pytest.mark.parametrize("seed", [None, *range(10)])
    def test_configuration(seed, tmp_path):
        assert search_spaces.check_configuration("my_package.my_space", data, tmp_path, seed)

A search space is given as to an experiment: a name, a module, a function or a hypermodel. Keras
runs in this process.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipeline import names
from pipeline.data.dataset import Dataset
from pipeline.errors import RequestError
from pipeline.space.hyperparameters import HyperParameters, Requested
from pipeline.worker.session import SearchSpace
from pipeline.worker.spaces.loading import load_search_space

EXAMPLES = 8  # that a model is trained on, and as many to validate on
EAGER = True  # for a single batch: tracing a graph takes two seconds a model, the batch none


def check_search_space(
    search_space: Any, data: Dataset, folder: Path, configurations: int = 3
) -> None:
    """Check the default configuration, and so many random ones, on a dataset that it must serve."""
    for seed in (None, *range(configurations)):
        assert check_configuration(search_space, data, folder, seed) is not None, (
            "it refuses the dataset"
        )
        check_requests(search_space, data, seed)
    check_fit(search_space)


def check_configuration(
    search_space: Any, data: Dataset, folder: Path, seed: int | None = None
) -> dict[str, list[float]] | None:
    """Check that a configuration trains for an epoch, and is the same model once saved and loaded.

    Args:
        search_space: what is tested.
        data: a dataset with at least `EXAMPLES` examples in each split.
        folder: where the model is saved.
        seed: of the random configuration; None for the default one.

    Returns:
        The history of `fit`; None if `build` refuses the dataset with a `RequestError`.
    """
    space = _loaded(search_space)
    hp = _hyperparameters(seed)
    try:
        model = space.build(hp, data)
    except RequestError:
        return None
    assert isinstance(model, keras.Model), f"`build` must return a keras.Model; it returned {model}"
    model.run_eagerly = EAGER
    history = _fit(space)(
        hp,
        model,
        data.x_train[:EXAMPLES],
        data.y_train[:EXAMPLES],
        validation_data=(data.x_val[:EXAMPLES], data.y_val[:EXAMPLES]),
        epochs=1,
        verbose=0,
    )
    assert {"loss", "val_loss"} <= set(history.history), (
        "`fit` must return what `model.fit` returns"
    )
    assert np.isfinite(history.history["val_loss"]).all()

    model.save(folder / "model.keras")
    again = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    predictions = np.asarray(model(data.x_val[:EXAMPLES]))
    assert len(predictions) == EXAMPLES, "a model must predict once for each example"
    np.testing.assert_allclose(
        np.asarray(again(data.x_val[:EXAMPLES])), predictions, rtol=1e-5, atol=1e-6
    )
    return dict(history.history)


def check_requests(search_space: Any, data: Dataset, seed: int | None = None) -> Requested:
    """Check that `build` requests the same again where it is given the same values.

    Returns:
        What it requested.
    """
    space = _loaded(search_space)
    first = _hyperparameters(seed)
    space.build(first, data)
    again = HyperParameters(values={spec.name: value for spec, value in first.requested})
    space.build(again, data)
    assert again.requested == first.requested, (
        f"the same values must lead to the same requests; first {first.requested}, "
        f"then {again.requested}"
    )
    return list(first.requested)


def check_fit(search_space: Any, examples: int = 32) -> dict[str, Any]:
    """Check that the search space's own `fit` passes its arguments on to `model.fit`.

    Returns:
        The keywords that `model.fit` was given; empty where the search space has no `fit`.
    """
    space = _loaded(search_space)
    if space.fit is None:
        return {}
    told: dict[str, Any] = {}

    class Model:
        def fit(self, *args: Any, **keywords: Any) -> str:
            told.update(keywords, args=args)
            return "history"

    x, y = np.zeros(examples), np.ones(examples)
    result = space.fit(HyperParameters(), Model(), x, y, epochs=7, callbacks=["mine"])
    assert result == "history", "`fit` must return what `model.fit` returns"
    args = told.pop("args")
    assert args[0] is x and args[1] is y, "`fit` must pass its data on"
    assert (told["epochs"], told["callbacks"]) == (7, ["mine"])
    return told


def _loaded(search_space: Any) -> SearchSpace:
    return load_search_space(names.resolve("search space", search_space))


def _hyperparameters(seed: int | None) -> HyperParameters:
    if seed is None:
        return HyperParameters()
    rng = np.random.default_rng(seed)
    return HyperParameters(draw=lambda spec: spec.random(rng))


def _fit(space: SearchSpace) -> Callable[..., Any]:
    return space.fit or (lambda hp, model, *args, **keywords: model.fit(*args, **keywords))
