"""Bayesian search: hyperopt's tree-structured Parzen estimators (TPE), fed with what a tuning run really knows.

hyperopt (0.3.0) takes one final loss a trial. Here most trials are stopped early, some fail and some still run, so what
it gets is a ranking: trials are compared at the highest epoch that enough of them reached; one that was stopped
before stands below every one that was not, by the epoch it reached and the value it had there; failures come last;
running trials are left out (hyperopt would take them for infinitely bad). TPE uses nothing of a loss but its rank.
"""

import math
from functools import partial
from typing import Any

import numpy as np
from hyperopt import JOB_STATE_DONE, STATUS_OK, Trials, hp, tpe
from hyperopt.base import Domain

from pipeline.search.searcher import Configuration, Observation, Searcher
from pipeline.space.specs import Hyperparameter, Value

LEAST_START, MOST_START = 5, 20

# The share of trials that TPE takes for good, as in BOHB (Falkner et al. 2018); by hyperopt's own default it is one
# trial until there are 17, two until 64. benchmarks/tpe_share.py compares them.
GOOD_SHARE = 0.15


class HyperOpt(Searcher):
    """TPE over the hyperparameters known so far, each learnt from the trials that requested it."""

    @property
    def random_start(self) -> int:
        """Ended trials before TPE is consulted: a quarter of the search, at least 5, at most 20."""
        return min(max(self.trials // 4, LEAST_START), MOST_START)

    def propose(self, number: int, attempt: int) -> Configuration:
        """TPE's suggestion; random until enough trials have ended."""
        ended = [o for o in self.observations.values() if o.ended]
        if len(ended) < self.random_start or not self.known:
            return self.random(number, attempt)
        return self._suggest(ended, int(np.random.SeedSequence([self.seed, number, attempt]).generate_state(1)[0]))

    def ranked(self, ended: list[Observation]) -> list[float]:
        """A loss for each ended trial: its rank, equal where two cannot be told apart."""
        reached = sorted((max(o.curve) for o in ended if o.curve and not o.failed), reverse=True)
        common = reached[min(len(reached), LEAST_START) - 1] if reached else 0

        def key(observation: Observation) -> tuple[int, int, float]:
            if observation.failed or not observation.curve:
                return (1, 0, 0.0)
            epoch = min(max(observation.curve), common)
            # The best epoch's weights are the trial's model, so the best so far is its worth.
            losses = [self.objective.loss(v) for e, v in observation.curve.items() if e <= epoch]
            return (0, -epoch, min(losses))

        keys = [key(o) for o in ended]
        order = {k: rank for rank, k in enumerate(sorted(set(keys)))}
        return [float(order[k]) for k in keys]

    def _suggest(self, ended: list[Observation], seed: int) -> Configuration:
        nodes = {name: _node(self.known[name]) for name in sorted(self.known)}
        domain = Domain(None, nodes, pass_expr_memo_ctrl=False)
        history = Trials()
        losses = self.ranked(ended)
        pairs = zip(ended, losses, strict=True)
        history.insert_trial_docs([_document(i, o, v, self.known) for i, (o, v) in enumerate(pairs)])
        history.refresh()
        gamma = GOOD_SHARE * math.sqrt(len(ended))  # of n trials hyperopt takes gamma * sqrt(n)
        suggest = partial(tpe.suggest, n_startup_jobs=0, gamma=gamma, verbose=False)
        suggestion = suggest([len(ended)], domain, history, seed)[0]["misc"]["vals"]
        return {n: _value(spec, suggestion[n][0]) for n, spec in self.known.items() if suggestion.get(n)}


def _node(spec: Hyperparameter) -> Any:
    values = spec.values()
    if not spec.ordered and values is not None:
        return hp.randint(spec.name, len(values))
    return hp.uniform(spec.name, 0.0, 1.0)


def _value(spec: Hyperparameter, found: float) -> Value:
    values = spec.values()
    if not spec.ordered and values is not None:
        return values[int(found)]
    return spec.from_unit(float(found))


def _coordinate(spec: Hyperparameter, value: Value) -> float | int:
    values = spec.values()
    if not spec.ordered and values is not None:
        return list(values).index(value)
    return spec.to_unit(value)


def _document(number: int, seen: Observation, loss: float, known: dict[str, Hyperparameter]) -> dict[str, Any]:
    coordinates = {
        name: [_coordinate(spec, seen.configuration[name])]
        for name, spec in known.items()
        if name in seen.configuration and spec.contains(seen.configuration[name])
    }
    return {
        "tid": number, "exp_key": None, "state": JOB_STATE_DONE, "owner": None, "version": 0, "spec": None,
        "book_time": None, "refresh_time": None, "result": {"status": STATUS_OK, "loss": loss},
        "misc": {
            "tid": number, "cmd": None, "workdir": None,
            "idxs": {name: [number] if name in coordinates else [] for name in known},
            "vals": {name: coordinates.get(name, []) for name in known},
        },
    }  # fmt: skip
