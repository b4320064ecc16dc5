"""The one actor beside the trials: loads the data, follows `build`, measures the best model.

On the CPU.
"""

import contextlib
import math
import os
import time
from collections.abc import Mapping
from typing import Any

import psutil
import ray

from pipeline.data.dataset import Dataset
from pipeline.data.fit_data import Data
from pipeline.engine.faults.hangs import ASLEEP_S
from pipeline.engine.imports import import_keras
from pipeline.engine.internals.ray_errors import ours
from pipeline.engine.internals.ray_state import process_of
from pipeline.errors import KerasweepError
from pipeline.logs import LOGGER
from pipeline.names import Source
from pipeline.objective import Objective
from pipeline.records.layout import Layout
from pipeline.space.configuration import Fill
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Value
from pipeline.worker.devices import machine
from pipeline.worker.session import Job

HELPER_EVERY_S = 2.0
FOLLOW_S = 300.0  # a model is built in seconds
OF_ALL_FOLDS = ("folds", "counts")  # facts of a dataset


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=3)
class Helper:
    """Lives as long as the search.

    It takes no CPU from the trials: it works while they wait for it, or not at all.
    """

    def __init__(self, search_space: Source | Any, cpus: float, folder: str) -> None:
        self._source = search_space
        # the driver's, on the driver's node: a user's relative paths keep their meaning
        os.chdir(folder)
        machine.prepare_process(cpus, gpus=0)
        self._cpus = cpus
        self._space: Any = None
        self._first: Data | None = None  # of several folds

    def load(self, held: list[Any], seed: int, folds: int | None = None) -> Data:
        """The dataset that is `held`, by reference; Ray keeps it, and each node maps it once."""
        from pipeline.worker.spaces.loading import load_dataset

        machine.claim(self._cpus, gpus=0)
        return load_dataset(ray.get(held[0]), seed, folds)

    def describe(self, data: Data) -> dict[str, Any]:
        """What the dataset is, without its arrays; with folds, as the first one is prepared."""
        whole = data.describe()
        return self._first_fold(data).describe() | {n: whole[n] for n in OF_ALL_FOLDS}

    def check(self, data: Data, objective: Objective, class_weight: str | None = None) -> Any:
        """See `worker.spaces.reveal.check_default`."""
        space = self._search_space()
        from pipeline.worker.spaces import reveal

        return reveal.check_default(space, self._first_fold(data), objective, class_weight)

    def roles(self, data: Data, configuration: Mapping[str, Value], known: list[str]) -> Any:
        """See `spaces.roles.roles`."""
        from pipeline.worker.spaces.roles import roles

        return roles(self._search_space(), self._first_fold(data), configuration, known)

    def fits(
        self, data: Data, configuration: Mapping[str, Value], other: Mapping[str, Value]
    ) -> bool:
        """See `worker.roles.fits`."""
        from pipeline.worker.spaces.roles import fits

        return fits(self._search_space(), self._first_fold(data), configuration, other)

    def trace(self, data: Data, proposal: Mapping[str, Value], fill: Fill) -> Requested:
        """See `worker.reveal.trace`."""
        from pipeline.worker.spaces import reveal

        return reveal.trace(self._search_space(), self._first_fold(data), proposal, fill)

    def weights(self, job: Job, data: Data) -> int:
        """See `worker.reveal.weights`."""
        from pipeline.worker.spaces import reveal

        return reveal.weights(self._search_space(), self._first_fold(data), job)

    def evaluate(
        self,
        job: Job,
        data: Data,
        epoch: int | None,
        layout: Layout,
        recorded: float,
        refit_epochs: int | None = None,
    ) -> dict[str, Any]:
        """See `worker.training.evaluate.evaluate_best`, and of folds `refit.evaluate_folds`."""
        if isinstance(data, Dataset) and data.no_model:
            nothing = {"validation": None, "test": None, "check": None}
            return nothing | {"no_model": data.no_model, "scores": {}, "no_scores": data.no_model}
        if refit_epochs is not None and isinstance(data, Dataset):
            from pipeline.worker.training.refit import evaluate_folds

            space = self._search_space()
            return evaluate_folds(job, space, data, epoch, layout, recorded, refit_epochs)
        from pipeline.worker.training.evaluate import evaluate_best

        return evaluate_best(job, self._search_space(), data, epoch, layout, recorded)

    def baseline(self, data: Data) -> Any:
        """See `worker.scoring.baseline`; None of data without a task."""
        if not isinstance(data, Dataset) or data.no_model:
            return None
        from pipeline.worker.scoring.baseline import baseline

        return baseline(data)

    def versions(self) -> dict[str, str]:
        """Of what the trials run on."""
        machine.claim(self._cpus, gpus=0)
        return machine.versions()

    def _first_fold(self, data: Data) -> Data:
        """What models are tried on, before they are trained on each fold; a search has one data."""
        if self._first is None:
            self._first = data.fold(0)
        return self._first

    def _search_space(self) -> Any:
        machine.claim(self._cpus, gpus=0)
        if self._space is None:
            import_keras()
            from pipeline.worker.spaces.loading import load_search_space

            self._space = load_search_space(self._source)
        return self._space


class HelperClient:
    """Asks the helper.

    Ray starts it anew, and asks again, where its process is frozen or takes without end.
    """

    def __init__(self, helper: Any) -> None:
        self._helper = helper

    def follow(self, method: Any, *arguments: Any) -> Any:
        """Call a method that follows `build`, which a user may have written without an end."""
        return self(method, *arguments, limit_s=FOLLOW_S)

    def __call__(self, method: Any, *arguments: Any, limit_s: float = math.inf) -> Any:
        """Call a method and raise what it raised, as it was.

        `limit_s` seconds are more than it may ever need.
        """
        with ours("the process that loads the data and follows the search space"):
            reference = method.remote(*arguments)
            self._await(reference, limit_s)
            return ray.get(reference)

    def _await(self, reference: Any, limit_s: float) -> None:
        since = looked = time.monotonic()
        looks, ended = 0, None
        while not ray.wait([reference], timeout=HELPER_EVERY_S)[0]:
            now = time.monotonic()
            if now - looked > ASLEEP_S:  # and the helper with it, for all it knows
                since += now - looked
            looked = now
            if (process := self._process()) is None or process == ended:
                continue
            with contextlib.suppress(psutil.Error):  # it has just ended
                looks = looks + 1 if process.status() == psutil.STATUS_STOPPED else 0
                if looks > 1:  # it may have been frozen with this process, and wake up with it
                    what = "must not be stopped; it was, twice"
                elif now - since > limit_s:
                    what = f"must answer within {limit_s:g} s; it did not, twice"
                else:
                    continue
                if ended is not None:
                    raise KerasweepError(
                        f"The process that loads the data and follows the search space {what}."
                    )
                LOGGER.debug("the helper %s; Ray starts it anew", what)
                process.kill()
                since, looks, ended = now, 0, process

    def _process(self) -> psutil.Process | None:
        """The helper's, which is on the driver's node; None while it is being started."""
        number = process_of(self._helper)
        try:
            process = psutil.Process(number)
            # another's may have taken its number
            return process if process.cmdline()[0].startswith("ray::") else None
        except (psutil.Error, IndexError):
            return None
