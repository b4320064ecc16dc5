"""What is used of the GPUs, found out: a process has one, looks at it and trains the default model.

Only where Ray has a GPU to give; elsewhere nothing here is called.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.engine.cluster.capacity import live_nodes
from pipeline.engine.gpus.choice import (
    COUNTS,
    Choice,
    Measured,
    chosen,
    most_of_use,
    most_that_fit,
    short,
)
from pipeline.engine.gpus.gauge import Gauge, Gpu, Window
from pipeline.engine.gpus.remembered import key_of, recall, remember
from pipeline.engine.internals.ray_errors import ours
from pipeline.errors import KerasweepError, LostError, RequestError, one_line
from pipeline.experiment import Experiment
from pipeline.logs import LOGGER
from pipeline.worker.session import Job

READY_S = 60.0  # until a process on a GPU has imported Keras; where others have all GPUs, it waits
MOST_S = 60.0  # for all that is measured
WINDOW_S = 3.0  # in which epochs are counted; NVML's period is up to a second


class LateError(KerasweepError):
    """A process did not answer in time."""


class OnGpu:
    """A process on a whole GPU of the cluster, from its start to `end`.

    Args:
        experiment: what a trial takes of CPUs.
        left_open: whether nobody asked for GPUs: then none is waited for, and whatever speaks
            against them has the trials keep to CPUs.
    """

    def __init__(self, experiment: Experiment, *, left_open: bool) -> None:
        self._experiment, self._left_open = experiment, left_open
        self._actor: Any = _gauge(experiment, 1)
        self._gpu = self._actor.gpu.remote(whole=True)
        self._began = time.monotonic()

    def end(self) -> None:
        """Give the GPU back."""
        if self._actor is not None:
            ray.kill(self._actor)
            self._actor = None

    def choose(
        self,
        source: Any,
        data: Any,
        job: Job,
        facts: Mapping[str, Any],
        preparing: Callable[[str], None],
    ) -> Choice:
        """What a trial is to take of a GPU.

        Args:
            source: the search space.
            data: the dataset, by reference.
            job: a trial of the default configuration.
            facts: what the dataset is.
            preparing: is told of what takes long.

        Raises:
            KerasweepError: GPUs were asked for, and there is none that the default model trains on.
        """
        try:
            return self._choose(source, data, job, facts, preparing)
        except KerasweepError as error:
            if not self._left_open:
                raise
            return Choice(0.0, f"not used, trials keep to CPUs: {one_line(str(error))}")
        finally:
            self.end()

    def _choose(
        self,
        source: Any,
        data: Any,
        job: Job,
        facts: Mapping[str, Any],
        preparing: Callable[[str], None],
    ) -> Choice:
        gpu = self._ready()
        nodes, experiment = live_nodes(), self._experiment
        gpus = sum(node.get("GPU", 0.0) for node in nodes)
        if self._left_open and (why := short(experiment, facts, gpus)):
            return Choice(1.0, f"a whole one for each, not measured: {why}")
        most = most_of_use(experiment, nodes)
        key = key_of(gpu, source, facts, job, experiment.cpus_per_trial, most)
        found = recall(key)
        if found is None:
            preparing("measuring the default model on a GPU, for a minute at most")
            try:
                found = self._measured(gpu, source, data, job, most)
            except LateError:
                return Choice(
                    1.0,
                    "a whole one for each: a minute was too short to measure the default model",
                )
            remember(key, found)
        return chosen(found, most)

    def _ready(self) -> Gpu:
        """The GPU; waited for as long as it takes where it was asked for."""
        left_s = self._began + READY_S - time.monotonic() if self._left_open else None
        try:
            gpu: Gpu | None = _answers([self._gpu], left_s)[0]
        except LateError:
            raise KerasweepError(f"no GPU was free within {READY_S:g} s.") from None
        if gpu is None:
            raise RequestError(
                "Trials on GPUs need one that CUDA shows; Ray counts one, and CUDA shows none."
            )
        return gpu

    def _measured(self, gpu: Gpu, source: Any, data: Any, job: Job, most: int) -> Measured:
        until = time.monotonic() + MOST_S
        found = Measured(0, gpu.total_mib)
        for plan in gpu.plans if job.fit_plan == "auto" else (job.fit_plan,):
            try:
                seen = self._alone(source, data, replace(job, fit_plan=plan), until)
            except LateError:
                if not found.plans:
                    raise
                return found
            found = _with(found, plan, seen)
        if found.rates and found.leaves_half_idle and (n := most_that_fit(found, most)) > 1:
            self.end()  # the others need its memory
            planned = replace(job, fit_plan=found.plan)
            with suppress(KerasweepError):  # they do not go together: each stays alone
                rates = self._together(gpu, source, data, planned, n, until)
                found = replace(found, rates=rates)
        LOGGER.debug("%s: %s", gpu.name, found)
        return found

    def _alone(self, source: Any, data: Any, job: Job, until: float) -> Window:
        left_s = until - time.monotonic()
        failed = _answers([self._actor.warm_up.remote(source, data, job)], left_s)[0]
        if failed:
            raise RequestError(
                "The default configuration must train on a whole GPU before others are tried "
                f"there; it failed: {failed}"
            )
        window: Window = _answers([self._actor.go_on.remote(WINDOW_S)], until - time.monotonic())[0]
        return window

    def _together(
        self, gpu: Gpu, source: Any, data: Any, job: Job, most: int, until: float
    ) -> dict[int, float]:
        """Epochs a second of one, two and so on to `most` at once, each with its share of the GPU.

        Raises:
            KerasweepError: they do not train there together, or not in time.
        """
        actors = [_gauge(self._experiment, 1 / most, gpu.node) for _ in range(most)]

        def asked(method: str, count: int, *arguments: Any) -> list[Any]:
            calls = [getattr(actor, method).remote(*arguments) for actor in actors[:count]]
            return _answers(calls, until - time.monotonic())

        try:
            places = asked("gpu", most, False)
            if any(place is None or place.mark != gpu.mark for place in places):
                raise KerasweepError("the shares were not of one GPU.")
            if any(failures := asked("warm_up", most, source, data, job)):
                raise KerasweepError(f"together they failed: {failures}")
            rates = {}
            for count in (n for n in COUNTS if n <= most):
                windows = asked("go_on", count, WINDOW_S)
                rates[count] = sum(window.epochs_a_s for window in windows)
            return rates if all(rates.values()) else {1: rates[1]} if rates[1] else {}
        finally:
            for actor in actors:
                ray.kill(actor)


def _with(found: Measured, plan: str, seen: Window) -> Measured:
    """What is known once a plan was tried; one that trained no epoch says nothing of its pace."""
    if not seen.epochs_a_s:
        return replace(found, peak_mib=max(found.peak_mib, seen.peak_mib))
    plans = found.plans | {plan: seen.epochs_a_s}
    after = replace(found, peak_mib=max(found.peak_mib, seen.peak_mib), plans=plans)
    if after.plan != plan and found.plans:
        return after
    return replace(after, busy=seen.busy, rates={1: seen.epochs_a_s})


def _gauge(experiment: Experiment, gpus: float, node: str | None = None) -> Any:
    actor: Any = Gauge  # Ray gives it `options`
    there = NodeAffinitySchedulingStrategy(node, soft=False) if node else None
    cpus = experiment.cpus_per_trial
    options = {"num_cpus": cpus, "num_gpus": gpus, "scheduling_strategy": there}
    return actor.options(**{n: v for n, v in options.items() if v is not None}).remote(cpus, gpus)


def _answers(calls: list[Any], left_s: float | None) -> list[Any]:
    """What processes on a GPU answered.

    Raises:
        LateError: not in time.
        KerasweepError: one was lost; or as it raised it.
    """
    try:
        with ours("the process that measures on a GPU"):
            _, late = ray.wait(
                calls, num_returns=len(calls), timeout=None if left_s is None else max(0.0, left_s)
            )
            if late:
                raise LateError("No answer came in time from the process that measures on a GPU.")
            return list(ray.get(calls))
    except LostError as error:
        raise _not_measured(str(error)) from error
    except KerasweepError:
        raise
    except Exception as error:
        raise _not_measured(str(error)) from error


def _not_measured(why: str) -> KerasweepError:
    return KerasweepError(f"The default model could not be measured on a GPU. {one_line(why)}")
