"""KerasTuner's oracles by their arguments: what `Tuner(oracle=…)` is told to search by."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.errors import RequestError
from pipeline.keras_tuner.arguments import warn_of_process


@dataclass(frozen=True)
class Rungs:
    """Hyperband's brackets, as its tuner and its oracle are told of them."""

    max_epochs: int
    factor: float
    iterations: int

    def settings(self) -> dict[str, Any]:
        """Those of an `Experiment`: how many trials there are follows from them."""
        from pipeline.schedulers.hyperband import trials_of_a_round

        rungs: dict[str, Any] = {"max_epochs": self.max_epochs, "reduction_factor": self.factor}
        return rungs | {"trials": self.iterations * trials_of_a_round(**rungs)}


class SearchOracle:
    """What a tuner is to search by; see the tuner of the same name for its arguments."""

    searcher: ClassVar[str] = "random"
    scheduler: ClassVar[str] = "none"
    rungs: Rungs | None = None  # of Hyperband

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
    ) -> None:
        self.objective, self.max_trials, self.seed = objective, max_trials, seed
        self.hyperparameters = hyperparameters
        self.allow_new_entries, self.tune_new_entries = allow_new_entries, tune_new_entries
        self.max_retries_per_trial = max_retries_per_trial
        self.max_consecutive_failed_trials = max_consecutive_failed_trials


class RandomSearchOracle(SearchOracle):
    """See `RandomSearch`."""


class GridSearchOracle(SearchOracle):
    """See `GridSearch`."""

    searcher = "grid"

    def __init__(
        self, objective: Any = None, max_trials: int | None = None, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(objective, max_trials, *args, **kwargs)


class BayesianOptimizationOracle(SearchOracle):
    """See `BayesianOptimization`."""

    searcher = "hyperopt"

    def __init__(
        self,
        objective: Any = None,
        max_trials: int = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        warn_of_process(num_initial_points, alpha, beta)
        super().__init__(objective, max_trials, *args, **kwargs)


class HyperbandOracle(SearchOracle):
    """See `Hyperband`."""

    scheduler = "hyperband"

    def __init__(
        self,
        objective: Any = None,
        max_epochs: int = 100,
        factor: float = 3,
        hyperband_iterations: int = 1,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(objective, 1, *args, **kwargs)
        self.rungs = Rungs(max_epochs, factor, hyperband_iterations)


def check_oracle(oracle: Any) -> None:
    """Refuse what is none of these.

    Raises:
        RequestError: it names those that there are.
    """
    if not isinstance(oracle, SearchOracle):
        kinds = ", ".join(sorted(kind.__name__ for kind in SearchOracle.__subclasses__()))
        raise RequestError(
            f"oracle must be one of {kinds}; got a {type(oracle).__name__}. A searcher of your own "
            "is a class of pipeline.search.searcher, given as Experiment(searcher=…)."
        )
