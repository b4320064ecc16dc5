"""The seam of searchers: `propose` is all that a new one has to say.

A searcher holds no random state that grows: what it proposes is a function of the seed, the trial's
number and what it was told. So it is rebuilt by telling it the records, and a search that was cut
off goes on as it would have.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from pipeline.components import load
from pipeline.objective import Objective
from pipeline.search.bookkeeping import Bookkeeping, Observation
from pipeline.search.known import KnownSpace, Trace
from pipeline.search.tried import TriedConfigurations
from pipeline.space.configuration import Configuration, configuration_of
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter

# A random searcher that hits what was tried this often is in a space, or a branch, that is nearly
# exhausted.
ATTEMPTS = 25


def searcher_class(name: str) -> "type[Searcher]":
    """The searcher that an experiment names.

    Raises:
        RequestError: there is no such class, or it is made from another than `Searcher`.
        UserCodeError: its module cannot be imported.
    """
    return load("searcher", name, Searcher)


class Searcher(Bookkeeping):
    """Asked for configurations, and told what came of them.

    A subclass says what to propose, and has for it:

    - `known`: the hyperparameters by name; `spec.from_unit(u)` and `spec.random(rng)` give values;
    - `observations`: of each trial its configuration, its curve and how it stands;
    - `earlier`: the same of another run's trials, where the search starts from one;
    - `random(number, attempt)`: a uniform draw of everything that is known;
    - `seed`, `objective`, `trials`.

    `pipeline.testing.searchers` has the tests that every searcher must pass.

    Args:
        seed: of the search.
        objective: what is optimised.
        trials: how many the search may use.
        trace: follows `build` under a proposal.
        starts: configurations to be tried first, as `starts.settled` gives them.
        earlier: ended trials of another run, for a searcher that learns.
    """

    # modules that `propose` imports: the driver imports them while it waits for the data
    requires: ClassVar[tuple[str, ...]] = ()
    # the package whose version the records name
    distribution: ClassVar[str | None] = None
    # whether it proposes by what trials reported: then many at once cost it its worth
    learns: ClassVar[bool] = True
    # what the trial draws for itself: at random, or the grid's first
    fills_with_first: ClassVar[bool] = False

    def __init__(
        self,
        *,
        seed: int,
        objective: Objective,
        trials: int,
        trace: Trace,
        starts: Sequence[Configuration] = (),
        earlier: Sequence[Observation] = (),
    ) -> None:
        super().__init__(KnownSpace(trace))
        self.seed = seed
        self.objective = objective
        self.trials = trials
        self.starts = list(starts)
        self.earlier = list(earlier)
        self._exhausted = False  # until a trial tells something

    @property
    def known(self) -> dict[str, Hyperparameter]:
        """Every hyperparameter that was met so far, by name."""
        return self.space.hyperparameters

    def propose(self, number: int, attempt: int) -> Configuration:
        """Values for what is known of the space.

        A value that the model does not ask for is dropped, and a name that is left out is drawn.

        Args:
            number: the trial's; the first is the search space's default, and is not asked for here.
            attempt: how many proposals for this trial turned out to be tried already.
        """
        raise NotImplementedError

    def random(self, number: int, attempt: int) -> Configuration:
        """Every known hyperparameter drawn uniformly on its unit interval."""
        rng = np.random.default_rng([self.seed, number, attempt])
        # By name: a searcher told the records may have met the names in another order.
        return {name: self.known[name].random(rng) for name in sorted(self.known)}

    def choose(self, number: int, tried: TriedConfigurations) -> Configuration | None:
        """A configuration that is not among `tried`, None if none is left.

        The walk is the last resort.

        The first is the search space's default: the baseline that tuning has to beat, and for a
        scheduler a measure by which the poor ones among the next can be stopped at once.
        """
        if number == 0:
            return self.space.follow({}, "default")
        for attempt in range(ATTEMPTS):
            proposal = self.propose(number, attempt)
            configuration = self.space.follow(proposal, self._draw_seed(number, attempt))
            if configuration not in tried:
                return configuration
        return self._left(number, tried)

    @classmethod
    def fill_of(cls, number: int, starts: int) -> Literal["random", "default", "first"]:
        """How trial `number`, after `starts`, settles what its proposal leaves open."""
        if number < starts:
            return "default"
        if cls.fills_with_first:
            return "first"
        return "default" if number == 0 else "random"

    def ask(self, trial: str) -> Configuration | None:
        """Values for the next trial, or None when there is nothing left to try."""
        if self._exhausted:
            return None
        number = len(self.observations)
        self.follow_untold()
        tried = self.tried([self.fill_of(n, len(self.starts)) for n in range(number)])
        configuration = next((start for start in self.starts if start not in tried), None)
        if configuration is None:
            configuration = self.choose(number, tried)
        else:
            self.space.follow(configuration, "default")
        if configuration is None:
            self._exhausted = True
            return None
        self.tell_asked(trial, configuration)
        self.observations[trial].followed = True
        return configuration

    def meet(self, requested: Requested, asked_by_build: int) -> None:
        """Learn what there is to choose: a space that seemed exhausted may have grown."""
        self._exhausted = False
        super().meet(requested, asked_by_build)

    def _left(self, number: int, tried: TriedConfigurations) -> Configuration | None:
        """Of what proposals miss, found by walking.

        Where values are without end, they are drawn anew.
        """
        rng = np.random.default_rng([self.seed, number, ATTEMPTS])
        left: list[Configuration] = []
        for requested in self.space.every_value(lambda spec: spec.every()):
            endless = {spec.name: spec.random(rng) for spec, _ in requested if spec.endless}
            configuration = configuration_of(requested) | endless
            if configuration not in tried:
                left.append(configuration)
                if not endless or len(left) == ATTEMPTS:
                    break
        for place in rng.permutation(len(left)):
            # A value that was drawn may lead to another branch.
            configuration = self.space.follow(left[place], self._draw_seed(number, ATTEMPTS))
            if configuration not in tried:
                return configuration
        return None

    def _draw_seed(self, number: int, attempt: int) -> int:
        return int(np.random.SeedSequence([self.seed, number, attempt, 1]).generate_state(1)[0])
