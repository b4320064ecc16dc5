"""Bayesian search.

Hyperopt's tree-structured Parzen estimators (TPE), fed with what a tuning run really knows.

hyperopt (0.3.0) takes one final loss a trial. Here most trials are stopped early, some fail and
some still run, so what it gets is a ranking: trials are compared at the highest epoch that enough
of them reached; one that was stopped before, or waits at a rung, stands below every one that was
not, by the epoch it reached and the value it had there; failures come last; trials that were not
compared with others yet are left out (hyperopt would take them for infinitely bad), and so are
duplicates. TPE uses nothing of a loss but its rank.

hyperopt is imported where it is used: with SciPy it takes two seconds, and every worker reads this
    package.
"""

import itertools
import math
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.search.bookkeeping import Observation
from pipeline.search.searcher import Searcher
from pipeline.space.configuration import Configuration
from pipeline.space.specs import Hyperparameter, Value

if TYPE_CHECKING:
    from hyperopt.base import Domain

LEAST_START, MOST_START = 5, 20
# Suggestions for one trial: where all of them are old, TPE is fond of a branch that has nothing
# left, and each costs some 30 ms at 1,000 trials.
SUGGESTIONS = 2

# The share of trials that TPE takes for good, as in BOHB (Falkner et al. 2018); by hyperopt's own
# default it is one trial until there are 17, two until 64. benchmarks/tpe_share.py compares them.
GOOD_SHARE = 0.15


class HyperOpt(Searcher):
    """Bayesian search by hyperopt's TPE, after a random start.

    Each hyperparameter that is known so far is learnt from the trials that requested it.
    """

    requires: ClassVar[tuple[str, ...]] = ("hyperopt",)
    distribution: ClassVar[str | None] = "hyperopt"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._domain: Domain | None = None  # of what was known when it was made
        self._names: set[str] = set()
        # by place: a document, and the configuration that it was made of
        self._documents: dict[int, tuple[Configuration, dict[str, Any]]] = {}

    @property
    def random_start(self) -> int:
        """Ended trials before TPE is consulted: a quarter of the search, at least 5, at most 20."""
        return min(max(self.trials // 4, LEAST_START), MOST_START)

    def propose(self, number: int, attempt: int) -> Configuration:
        """TPE's suggestion.

        Random until it knows enough trials (an earlier run's too), or if it repeats itself.
        """
        if attempt >= SUGGESTIONS:
            return self.random(number, attempt)
        seen = self._comparable()
        if len(seen) < self.random_start or not self.known:
            return self.random(number, attempt)
        return self._suggest(
            seen, int(np.random.SeedSequence([self.seed, number, attempt]).generate_state(1)[0])
        )

    def _comparable(self) -> dict[int, Observation]:
        """What can be learnt from, by its place.

        The trials of an earlier run before those of this one.
        """
        seen = dict(enumerate(self.earlier))
        for place, observation in enumerate(self.observations.values(), start=len(seen)):
            if observation.ended or observation.compared:
                seen[place] = observation
        return seen

    def ranked(self, seen: list[Observation]) -> list[float]:
        """A loss for each trial, the earlier run's first.

        Its rank, equal where two cannot be told apart.
        """
        runs = (seen[: len(self.earlier)], seen[len(self.earlier) :])
        reached = [[max(o.curve) for o in run if o.curve and not o.failed] for run in runs]
        longest = sorted(itertools.chain(*reached), reverse=True)
        common = longest[min(len(longest), LEAST_START) - 1] if longest else 0
        # A run of fewer epochs than another is no worse for it.
        common = min([common, *(max(epochs) for epochs in reached if epochs)])

        def key(observation: Observation) -> tuple[int, int, float]:
            if observation.failed or not observation.curve:
                return (1, 0, 0.0)
            epoch = min(max(observation.curve), common)
            if observation.worth is None or observation.worth[0] != epoch:
                # The best epoch's weights are the trial's model, so the best so far is its worth.
                losses = [
                    self.objective.loss(v) for e, v in observation.curve.items() if e <= epoch
                ]
                observation.worth = (epoch, min(losses))
            return (0, -epoch, observation.worth[1])

        keys = [key(o) for o in seen]
        order = {k: rank for rank, k in enumerate(sorted(set(keys)))}
        return [float(order[k]) for k in keys]

    def _suggest(self, seen: dict[int, Observation], seed: int) -> Configuration:
        from hyperopt import tpe, trials_from_docs
        from hyperopt.base import Domain

        if self._domain is None or self._names != self.known.keys():  # the space has grown
            self._names = set(self.known)
            nodes = {name: _node(self.known[name]) for name in sorted(self.known)}
            self._domain = Domain(None, nodes, pass_expr_memo_ctrl=False)
        losses = self.ranked(list(seen.values()))
        history = trials_from_docs(
            [
                self._document(place, o, loss)
                for (place, o), loss in zip(seen.items(), losses, strict=True)
            ],
            validate=False,
        )
        gamma = GOOD_SHARE * math.sqrt(len(seen))  # of n trials hyperopt takes gamma * sqrt(n)
        suggest = partial(tpe.suggest, n_startup_jobs=0, gamma=gamma, verbose=False)
        suggestion = suggest([max(seen) + 1], self._domain, history, seed)[0]["misc"]["vals"]
        return {
            n: _value(spec, suggestion[n][0]) for n, spec in self.known.items() if suggestion.get(n)
        }

    def _document(self, place: int, seen: Observation, loss: float) -> dict[str, Any]:
        """A trial as hyperopt keeps it: made once for what the trial told, and brought up to date.

        Only its rank changes, and hyperparameters that became known since are added.
        """
        told, document = self._documents.get(place, (None, {}))
        if told is not seen.configuration:  # `fit` may have asked for more since
            document = _empty_document(place)
            self._documents[place] = seen.configuration, document
        document["result"]["loss"] = loss
        places, values = document["misc"]["idxs"], document["misc"]["vals"]
        if len(places) < len(self.known):
            for name in self.known.keys() - places.keys():
                requested = name in seen.configuration
                held = (
                    _coordinate(self.known[name], seen.configuration[name]) if requested else None
                )
                places[name], values[name] = ([], []) if held is None else ([place], [held])
        return document


def _empty_document(place: int) -> dict[str, Any]:
    from hyperopt import JOB_STATE_DONE, STATUS_OK

    return {
        "tid": place,
        "exp_key": None,
        "state": JOB_STATE_DONE,
        "owner": None,
        "version": 0,
        "spec": None,
        "book_time": None,
        "refresh_time": None,
        "result": {"status": STATUS_OK},
        "misc": {"tid": place, "cmd": None, "workdir": None, "idxs": {}, "vals": {}},
    }


def _node(spec: Hyperparameter) -> Any:
    from hyperopt import hp

    values = spec.values()
    if not spec.ordered and values is not None:
        return hp.randint(spec.name, len(values))
    return hp.uniform(spec.name, 0.0, 1.0)


def _value(spec: Hyperparameter, found: float) -> Value:
    values = spec.values()
    if not spec.ordered and values is not None:
        return values[int(found)]
    return spec.from_unit(float(found))


def _coordinate(spec: Hyperparameter, value: Value) -> float | int | None:
    """Where hyperopt finds a value; None for one that is not possible."""
    if not spec.contains(value):
        return None
    values = spec.values()
    if not spec.ordered and values is not None:
        return list(values).index(value)
    return spec.to_unit(value)
