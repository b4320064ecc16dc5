"""An estimator's settings as one of our searches, and what came of it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from pipeline.data.arrays import Array
from pipeline.engine.directory import exists
from pipeline.engine.tuning import tune
from pipeline.errors import EstimatorError
from pipeline.experiment import UNBOUNDED, Experiment
from pipeline.records.entries.reports import read_history
from pipeline.records.entries.trials import read_trials
from pipeline.records.store.remote import location
from pipeline.scikit_learn.distributions import Distributions
from pipeline.scikit_learn.examples import Examples
from pipeline.scikit_learn.families import check_keywords, takes_keywords
from pipeline.scikit_learn.results import OBJECTIVE, Candidate, candidates
from pipeline.scikit_learn.space import EstimatorSpace

N_ITER, MAX_EPOCHS = 10, 10  # where there are distributions; where nothing says how many
PASSED_ON = ("scheduler", "name", "max_concurrent", "cpus_per_trial", "gpus_per_trial")


def searched(
    asked: Any, examples: Examples, parts: Sequence[tuple[Array, Array]], seed: int
) -> tuple[list[Candidate], pd.DataFrame]:
    """Carry out the search of a `KerasweepSearchCV`.

    Args:
        asked: has its settings, and its scorer.
        examples: all of them.
        parts: of each fold the rows that train, and those that are scored.
        seed: of the search and each training.

    Returns:
        The candidates, and a row for each of their epochs.
    """
    distributions = _distributions(asked, seed)
    space = EstimatorSpace(
        asked.build,
        distributions,
        asked.scorer_,
        examples.classes,
        dict(asked.fit_params or {}),
        as_keras=asked.scheduler == "none",
    )
    with _kept_in(asked) as storage:
        experiment = Experiment(
            dataset=examples.cut(parts),
            search_space=space,
            objective=f"{OBJECTIVE}:max",
            folds=len(parts) if len(parts) > 1 else None,
            seed=seed,
            storage=storage,
            keep_models=1,
            **_length(asked, distributions),
            **{name: getattr(asked, name) for name in PASSED_ON},
        )
        run = tune(experiment, resume=_earlier(asked), quiet=not asked.verbose)
        found = candidates(
            read_trials(run.layout),
            read_history(run.layout),
            len(parts),
            dict if distributions is None else distributions.parameters,
            asked.use_best_epoch,
        )
        return found, run.history


def _distributions(asked: Any, seed: int) -> Distributions | None:
    if not takes_keywords(asked.build):
        if asked.param_distributions is not None:
            raise EstimatorError(
                "param_distributions must be None where build says by itself what may be "
                "tried, by hp; give a function of keyword arguments, or no distributions."
            )
        return None
    found = Distributions(asked.param_distributions or {}, max(asked.n_iter or 0, N_ITER), seed)
    check_keywords(asked.build, found.names)
    return found


def _length(asked: Any, distributions: Distributions | None) -> dict[str, Any]:
    """How many candidates there are, for how long, and what proposes them."""
    epochs = asked.max_epochs
    if epochs is None:
        named = [] if distributions is None else list(distributions.values_of("epochs"))
        epochs = max(named, default=MAX_EPOCHS)
    every = asked.n_iter is None and distributions is not None and distributions.finite
    return {
        "max_epochs": epochs,
        "trials": UNBOUNDED if every else asked.n_iter or N_ITER,
        "searcher": asked.searcher or ("grid" if every else "hyperopt"),
    }


@contextmanager
def _kept_in(asked: Any) -> Iterator[str]:
    """Where the records are; a folder that is removed where nothing is said."""
    if asked.storage is not None:
        yield str(asked.storage)
        return
    if asked.resume:
        raise EstimatorError("resume needs a storage where the records are kept; got None.")
    with TemporaryDirectory(prefix="kerasweep-search-") as folder:
        yield folder


def _earlier(asked: Any) -> str | None:
    """The run to go on with, if there is one."""
    if not asked.resume:
        return None
    if asked.name is None:
        raise EstimatorError("resume needs the name of the run in storage; got None.")
    directory = location(os.path.expanduser(str(asked.storage))) / asked.name
    return str(directory) if exists(directory) else None
