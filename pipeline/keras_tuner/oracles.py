"""KerasTuner's oracles by their arguments: what `Tuner(oracle=…)` is told to search by."""

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.errors import RequestError
from pipeline.keras_tuner.arguments import OF_YOUR_OWN, warn_of_process


@dataclass(frozen=True)
class Rungs:
    """Hyperband's brackets, as its tuner and its oracle are told of them."""

    max_epochs: int
    factor: float
    iterations: int

    def __post_init__(self) -> None:
        least = {"max_epochs": 1, "factor": 2, "hyperband_iterations": 1}
        given = zip(least, (self.max_epochs, self.factor, self.iterations), strict=True)
        for name, value in given:
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least[name]:
                raise RequestError(
                    f"{name} of Hyperband must be at least {least[name]}; got {value!r}."
                )

    def settings(self) -> dict[str, Any]:
        """Those of an `Experiment`: how many trials there are follows from them."""
        from pipeline.schedulers.hyperband import trials_of_a_round

        rungs: dict[str, Any] = {"max_epochs": self.max_epochs, "reduction_factor": self.factor}
        return rungs | {"trials": self.iterations * trials_of_a_round(**rungs)}

    def whole(self) -> dict[str, Any]:
        """Where a trial is that is trained to its end, in KerasTuner's names."""
        first = dict.fromkeys(("tuner/initial_epoch", "tuner/bracket", "tuner/round"), 0)
        return {"tuner/epochs": self.max_epochs, **first}

    def reached(self, number: int, epochs: int) -> dict[str, Any]:
        """Where in the brackets a trial is, in KerasTuner's names.

        Args:
            number: of the trial, counted from 0: brackets are filled one after the other.
            epochs: that it was trained for.
        """
        from pipeline.schedulers.hyperband import brackets_of

        for bracket in itertools.cycle(brackets_of(self.max_epochs, self.factor)):
            if number < bracket[0][1]:
                break
            number -= bracket[0][1]
        ends = [epoch for epoch, _ in bracket]
        place = sum(end < epochs for end in ends[:-1])
        return {
            "tuner/epochs": ends[place],
            "tuner/initial_epoch": ends[place - 1] if place else 0,
            "tuner/bracket": len(ends) - 1,
            "tuner/round": place,
        }


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


# By the names of their tuners, as in `keras_tuner.oracles`.
BayesianOptimization = BayesianOptimizationOracle
GridSearch = GridSearchOracle
Hyperband = HyperbandOracle
RandomSearch = RandomSearchOracle

# What KerasTuner calls in an oracle of one's own.
CALLED = ("populate_space", "create_trial", "update_trial", "end_trial", "score_trial")


def check_oracle(oracle: Any) -> None:
    """Refuse what is none of these, or decides by methods of its own.

    Raises:
        RequestError: it names those that there are.
    """
    own = [name for name in CALLED if hasattr(oracle, name)]
    if isinstance(oracle, SearchOracle) and own:
        raise RequestError(
            f"An oracle's methods must be those that it comes with; {type(oracle).__name__}'s "
            f"{', '.join(own)} would not be called. {OF_YOUR_OWN}"
        )
    if not isinstance(oracle, SearchOracle):
        kinds = ", ".join(sorted(kind.__name__ for kind in SearchOracle.__subclasses__()))
        raise RequestError(
            f"oracle must be one of {kinds}; got a {type(oracle).__name__}. {OF_YOUR_OWN}"
        )
