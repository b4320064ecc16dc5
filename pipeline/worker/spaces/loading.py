"""Loading what the driver only found: datasets and search spaces, ours and the user's."""

import inspect
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

from pipeline.components import imported
from pipeline.data.dataset import Dataset, as_dataset
from pipeline.data.fit_data import Data, FitData
from pipeline.digest import label
from pipeline.errors import RequestError, UserCodeError, user_traceback
from pipeline.names import Source
from pipeline.worker.session import SearchSpace, SentSpace
from pipeline.worker.spaces.settings import Settings


def load_search_space(source: Source | Any) -> SearchSpace:
    """Load a search space from where `names.find` found it, or from what has a `build`.

    Keras's global settings, as they then are, hold again for each of its models. Those of the
    process that asks for the search are set before, where they come with it.

    Raises:
        UserCodeError: its import fails.
    """
    if isinstance(source, SentSpace):
        source, settings = pickle.loads(source.pickled)
        settings.restore()
    if isinstance(source, Source):
        module = imported(source)
        build = _entry(source, module)
        return SearchSpace(
            source.name, _settled(_with_data(build)), _tolerant(getattr(module, "fit", None))
        )
    build = getattr(source, "build", source)
    fit = getattr(source, "fit", None)
    return SearchSpace(label(source), _settled(_with_data(build)), _tolerant(fit))


def load_dataset(
    source: Source | Dataset | FitData | Callable[..., Any], seed: int, folds: int | None = None
) -> Data:
    """Load a dataset, split with `seed` where its module leaves that to us.

    With `folds` its training and validation examples are cut into so many, with the seed too.

    Raises:
        UserCodeError: its import or its `load` fails.
        RequestError: what it returns is no dataset, or cannot be cut into folds.
    """
    data = _loaded(source, seed)
    if folds is None:
        return data
    if isinstance(data, FitData):
        raise RequestError(
            "folds must be of a dataset: a name, a file, arrays (x, y) or a pipeline.Dataset; what "
            "`search(x, y, …)` is given is validated as it says there."
        )
    return data.with_folds(folds, seed)


def _loaded(source: Source | Dataset | FitData | Callable[..., Any], seed: int) -> Data:
    if isinstance(source, Dataset | FitData):
        return source
    load = _entry(source, imported(source)) if isinstance(source, Source) else source
    name = source.label if isinstance(source, Source) else getattr(source, "__name__", "dataset")
    try:
        loaded = load(seed) if _asks_for(load, 0, "seed") else load()
    except RequestError:
        raise
    except Exception as error:
        raise UserCodeError(
            f"Dataset {name!r} must load; it raised {type(error).__name__}: {error}",
            user_traceback(error),
        ) from error
    return as_dataset(loaded, name, seed)


def _entry(source: Source, module: ModuleType) -> Callable[..., Any]:
    entry: Callable[..., Any] | None = getattr(module, source.function, None)
    if not callable(entry):
        raise RequestError(
            f"The {source.component} {source.name!r} must define a function {source.function}()."
        )
    return entry


def _asks_for(function: Callable[..., Any], place: int, name: str) -> bool:
    """Whether `function` has a parameter at `place` that it needs, or that has this name.

    `keras.datasets.mnist.load_data(path="mnist.npz")` asks for no seed, `build_model(hp, width=3)`
    for no data.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin without a signature
        return True
    if any(p.kind is p.VAR_POSITIONAL for p in parameters[: place + 1]):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) > place and (
        positional[place].default is inspect.Parameter.empty or positional[place].name == name
    )


def _tolerant(fit: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Leave out what a `fit` has no parameter for.

    KerasTuner gives it what `search` was given, and no more.
    """
    if fit is None:
        return None
    parameters = inspect.signature(fit).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return fit
    ours = {"initial_epoch", "epochs", "verbose"} - parameters.keys()

    def call(*args: Any, **kwargs: Any) -> Any:
        return fit(*args, **{k: v for k, v in kwargs.items() if k not in ours})

    return call if ours else fit


def _with_data(build: Callable[..., Any]) -> Callable[..., Any]:
    """Give a one-argument `build_model(hp)` the signature of `build(hp, data)`."""
    return build if _asks_for(build, 1, "data") else lambda hp, data: build(hp)


def _settled(build: Callable[..., Any]) -> Callable[..., Any]:
    settings = Settings()

    def call(hp: Any, data: Data) -> Any:
        settings.restore()
        return build(hp, data)

    return call
