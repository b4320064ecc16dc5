"""The one actor beside the trials: loads the data, follows `build`, measures the best model. On the CPU."""

import os
from collections.abc import Mapping
from typing import Any

import ray

from pipeline.errors import KerasweepError
from pipeline.fit_data import Data
from pipeline.names import Target
from pipeline.objective import Objective
from pipeline.records.layout import Layout
from pipeline.search.searcher import Fill
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Value
from pipeline.worker import devices
from pipeline.worker.session import Job


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=3)
class Helper:
    """Lives as long as the search. It takes no CPU from the trials: it works while they wait for it, or not at all."""

    def __init__(self, search_space: Target | Any, cpus: float, folder: str) -> None:
        self._source = search_space
        os.chdir(folder)  # the driver's, on the driver's node: a user's relative paths keep their meaning
        devices.prepare(cpus, gpus=0)
        self._cpus = cpus
        self._space: Any = None

    def load(self, dataset: Target | Any, seed: int) -> Data:
        """The dataset; Ray keeps it, and each node maps it once."""
        from pipeline.worker.modules import load_dataset

        devices.claim(self._cpus, gpus=0)
        return load_dataset(dataset, seed)

    def describe(self, data: Data) -> dict[str, Any]:
        """What the dataset is, without its arrays."""
        return data.describe()

    def check(self, data: Data, objective: Objective) -> Any:
        """See `worker.reveal.check`."""
        from pipeline.worker import reveal

        return reveal.check(self._search_space(), data, objective)

    def kinds(self, data: Data, configuration: Mapping[str, Value], known: list[str]) -> Any:
        """See `worker.kinds.kinds`."""
        from pipeline.worker.kinds import kinds

        return kinds(self._search_space(), data, configuration, known)

    def fits(self, data: Data, configuration: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
        """See `worker.kinds.fits`."""
        from pipeline.worker.kinds import fits

        return fits(self._search_space(), data, configuration, other)

    def trace(self, data: Data, proposal: Mapping[str, Value], fill: Fill) -> Requested:
        """See `worker.reveal.trace`."""
        from pipeline.worker import reveal

        return reveal.trace(self._search_space(), data, proposal, fill)

    def evaluate(self, job: Job, data: Data, epoch: int | None, layout: Layout) -> dict[str, Any]:
        """See `worker.evaluate.evaluate_best`."""
        from pipeline.worker.evaluate import evaluate_best

        return evaluate_best(job, self._search_space(), data, epoch, layout)

    def versions(self) -> dict[str, str]:
        """Of what the trials run on."""
        devices.claim(self._cpus, gpus=0)
        return devices.versions()

    def _search_space(self) -> Any:
        from pipeline.worker.modules import load_search_space

        devices.claim(self._cpus, gpus=0)
        if self._space is None:
            self._space = load_search_space(self._source)
        return self._space


def call(method: Any, *arguments: Any) -> Any:
    """Call a method of the helper and raise what it raised, as it was."""
    try:
        return ray.get(method.remote(*arguments))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        line = " ".join(str(error).split())[:300]
        raise KerasweepError(
            f"Ray lost the process that loads the data and follows the search space: {line}"
        ) from error
