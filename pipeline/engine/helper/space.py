"""The search space and the data of one search, as its helper process loads and follows them."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.engine.cluster.shipping import check_sendable, with_code
from pipeline.engine.helper.caller import with_settings
from pipeline.names import Source
from pipeline.objective import Objective
from pipeline.records.layout import Layout
from pipeline.space.configuration import Configuration, Fill
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Value
from pipeline.worker.session import Checked, Job

START_S = 60.0  # a busy machine imports Keras in 20 s
MADE_THERE = "Give a function that makes it: def make(): return …, and make in its place."


class FollowedSpace:
    """Starts the helper, and asks it.

    Args:
        search_space: where it is defined, or itself.
        dataset: where it is defined, or itself.
        seed: of the splits.
        warned: is told of what the trials will not find.
        folds: how many the data are cut into; None for none.
    """

    def __init__(
        self,
        search_space: Source | Any,
        dataset: Source | Any,
        seed: int,
        warned: Callable[[str], None],
        folds: int | None = None,
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from pipeline.engine.helper.actor import Helper, HelperClient

        check_sendable("search space", with_code(search_space))
        for part in getattr(with_code(dataset), "parts", ()):
            check_sendable("data", part, MADE_THERE)
        # On the driver's node: a user's dataset may read files that lie beside it.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = Helper  # Ray gives it `options`
        self.source = with_settings(search_space, warned)  # as workers are given it
        self._helper = actor.options(scheduling_strategy=here).remote(self.source, 1, os.getcwd())
        self._ask = HelperClient(self._helper)
        self._there = self._helper.__ray_ready__.remote()  # before it loads the data
        # held back until the helper has settled its threads: a dataset may hold tensors
        self.data = self._helper.load.remote([ray.put(dataset)], seed, folds)
        self._roles: dict[str, str] = {}

    def await_start(self) -> None:
        """Wait until the helper has a process; if it gets none, whoever asks it next is told."""
        import ray

        ray.wait([self._there], timeout=START_S)

    def end(self) -> None:
        """End the helper: in a cluster of the caller's it would live on."""
        import ray

        ray.kill(self._helper)

    def describe(self) -> dict[str, Any]:
        """What the dataset is, without its arrays."""
        return dict(self._ask(self._helper.describe, self.data))

    def versions(self) -> dict[str, str]:
        """Versions of what the trials run on."""
        return dict(self._ask(self._helper.versions))

    def check(self, objective: Objective, class_weight: str | None = None) -> Checked:
        """Build and train the default model on a few examples: see `reveal.check_default`."""
        checked: Checked = self._ask(self._helper.check, self.data, objective, class_weight)
        return checked

    def trace(self, proposal: Mapping[str, Value], fill: Fill) -> Requested:
        """What `build` requests under a proposal, in order."""
        return list(self._ask.follow(self._helper.trace, self.data, proposal, fill))

    def roles(self, configuration: Configuration) -> dict[str, str]:
        """Whether each hyperparameter decides the model or how it is trained.

        Found out once for each name.
        """
        if not configuration.keys() <= self._roles.keys():
            known = list(self._roles)
            found = self._ask.follow(self._helper.roles, self.data, configuration, known)
            # What `build` does not request is asked for by `fit` alone.
            self._roles = dict.fromkeys(configuration, "algorithm") | found | self._roles
        return {name: self._roles[name] for name in configuration}

    def fits(self, configuration: Configuration, other: Configuration) -> bool:
        """Whether a model of `other` can go on with the weights of one of `configuration`."""
        return bool(self._ask.follow(self._helper.fits, self.data, configuration, other))

    def weights(self, job: Job) -> int:
        """How many weights a trial's model has; 0 where it cannot be built."""
        return int(self._ask.follow(self._helper.weights, job, self.data))

    def evaluate(
        self,
        job: Job,
        epoch: int | None,
        layout: Layout,
        recorded: float,
        refit_epochs: int | None = None,
    ) -> dict[str, Any]:
        """Measure the best model, and write it: see `worker.training.evaluate.evaluate_best`.

        With folds it is trained anew for `refit_epochs`: see `worker.training.refit`.
        """
        asked = (job, self.data, epoch, layout, recorded, refit_epochs)
        return dict(self._ask(self._helper.evaluate, *asked))

    def baseline(self) -> tuple[dict[str, Any], str] | None:
        """What the simplest models score: see `worker.scoring.baseline.baseline`.

        None of data without a task.
        """
        found: tuple[dict[str, Any], str] | None = self._ask(self._helper.baseline, self.data)
        return found
