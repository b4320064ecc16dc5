"""How many trials share a GPU, and by which plan they are fitted there, as measured numbers say.

A trial has a whole GPU unless measuring showed that several at once train faster.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.experiment import UNBOUNDED, Experiment
from pipeline.worker.devices.machine import memory_cap_mib

COUNTS = (1, 2, 4)  # trials a GPU that are tried, and that may be chosen
# other configurations are larger than the default, and memory is handed out in pieces
HEADROOM = 1.25
IDLE = 0.5  # of the GPU's time: where one training leaves less, several are not tried
GAIN = 1.1  # what several must train more in the same time: less may be chance, in windows of 3 s
# Measuring takes up to a minute. Of two at once a search gains half of its time at best, so that it
# must take two minutes at least: some 20 million examples, at steps of 32 in 0.2 ms. That is a
# guess until a GPU was measured (benchmarks/gpu.py).
SHORT_EXAMPLES, SHORT_S = 20_000_000, 300.0
# parts of a GPU that Ray counts: seven shares of 1/7, each rounded up, would be more than one
FINEST = 10_000


@dataclass(frozen=True)
class Measured:
    """What the default model's training takes of a GPU.

    `peak_mib` is the most that its tensors held, 0 where Keras's backend does not tell; `busy` the
    part of the time in which the GPU computed, None where NVML does not tell; `plans` are epochs a
    second on a whole GPU by each fit plan that was tried; `rates` those of so many trainings at
    once, all together.
    """

    peak_mib: int
    total_mib: int
    busy: float | None = None
    plans: dict[str, float] = field(default_factory=dict)
    rates: dict[int, float] = field(default_factory=dict)

    @property
    def plan(self) -> str:
        """The fit plan that is fastest, Keras's own unless another clearly gains."""
        plain = self.plans.get("plain", 0.0)
        best = max(self.plans, key=lambda name: self.plans[name], default="plain")
        return best if self.plans and self.plans[best] >= GAIN * plain else "plain"

    @property
    def leaves_half_idle(self) -> bool:
        """Whether others find time on the GPU."""
        return self.busy is not None and self.busy <= IDLE


@dataclass(frozen=True)
class Choice:
    """What a trial takes of a GPU, and why.

    `plan` is the fit plan that was measured to be fastest on it; "" where none was measured.
    """

    share: float
    why: str
    plan: str = ""


def most_of_use(experiment: Experiment, nodes: list[dict[str, float]]) -> int:
    """How many of `COUNTS` a GPU there are CPUs for, and trials, on the node that has most."""
    gpus = [node for node in nodes if node.get("GPU", 0)]
    by_cpu = [
        math.floor(node.get("CPU", 0) / experiment.cpus_per_trial / node["GPU"] + 1e-9)
        for node in gpus
    ]
    by_trials = math.ceil(
        experiment.at_once / max(1, sum(math.floor(node["GPU"]) for node in gpus))
    )
    most = min(max(by_cpu, default=1), by_trials)
    return max(count for count in COUNTS if count <= max(1, most))


def most_that_fit(found: Measured, most: int) -> int:
    """How many of `COUNTS`, at most `most`, share a GPU, each within the cap of its share.

    1 where no two do, or a training's peak is not known.
    """
    needed = found.peak_mib * HEADROOM
    fit = (
        n
        for n in reversed(COUNTS)
        if n <= most and needed and memory_cap_mib(found.total_mib, 1 / n) >= needed
    )
    return next(fit, 1)


def short(experiment: Experiment, facts: Mapping[str, Any], gpus: float) -> str:
    """Why a search is too short for measuring to pay; "" where it is not, or that is not known.

    Args:
        experiment: what is asked for.
        facts: what the dataset is.
        gpus: how many train at once.
    """
    budget_s = experiment.time_budget_s
    if budget_s is not None and budget_s < SHORT_S:
        return f"the time budget is {budget_s:g} s, and measuring pays from {SHORT_S:g} on"
    examples = facts["counts"].get("train")
    if examples is None or UNBOUNDED in (experiment.trials, experiment.max_epochs):
        return ""
    each = experiment.epochs_in_all * examples
    if each / max(1.0, gpus) >= SHORT_EXAMPLES:
        return ""
    on = " a GPU" if gpus > 1 else ""
    return (
        f"the search trains on {each / max(1.0, gpus) / 1e6:.3g} million examples{on} at most, and "
        f"measuring pays from {SHORT_EXAMPLES / 1e6:g} on"
    )


def chosen(found: Measured, most: int) -> Choice:
    """The share of a GPU that trains most, and why."""
    best = 1
    for count in sorted(found.rates):
        if count <= most and found.rates[count] >= GAIN * found.rates[best]:
            best = count
    plan = found.plan if len(found.plans) > 1 else ""
    gain = ""
    if plan not in ("", "plain"):
        times = _times(found.plans[plan], found.plans["plain"])
        gain = f"; {plan} fits {times} as fast as plain"
    share = math.floor(FINEST / best) / FINEST
    if best == 1:
        return Choice(1.0, f"a whole one for each: {_why_alone(found, most)}{gain}", plan)
    why = (
        f"{best} share one, {memory_cap_mib(found.total_mib, share):,} MiB for each: together "
        f"{_times(found.rates[best], found.rates[1])} as fast as one at a time; the peak of the "
        f"default model is {found.peak_mib:,} of {found.total_mib:,} MiB{gain}"
    )
    return Choice(share, why, plan)


def _why_alone(found: Measured, most: int) -> str:
    if most == 1:
        return "there are no CPUs, or no trials, for two"
    if not found.peak_mib:
        return "Keras's backend does not tell how much memory the default model takes"
    if most_that_fit(found, most) == 1:
        return f"the peak of the default model is {found.peak_mib:,} of {found.total_mib:,} MiB"
    if found.busy is None:
        return "NVML does not tell how busy the default model keeps it"
    if not found.leaves_half_idle:
        return f"the default model keeps it busy for {found.busy:.0%} of the time"
    tried = {n: rate for n, rate in found.rates.items() if 1 < n <= most}
    if not tried:
        return "several at once could not be measured within a minute"
    most_gained = max(tried.values())
    return f"several together are {_times(most_gained, found.rates[1])} as fast"


def _times(one: float, other: float) -> str:
    return f"{one / other:.2g} times"
