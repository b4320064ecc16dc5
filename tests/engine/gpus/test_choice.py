"""What is chosen by what was measured on a GPU, and where nothing is measured."""

import pytest

from pipeline.engine.gpus.choice import (
    SHORT_EXAMPLES,
    Choice,
    Measured,
    chosen,
    most_of_use,
    most_that_fit,
    short,
)
from pipeline.experiment import UNBOUNDED, Experiment
from pipeline.worker.devices.machine import memory_cap_mib

TOTAL = 81_559
IDLE = Measured(812, TOTAL, 0.3, {"plain": 10.0}, {1: 10.0})


def experiment(**settings):
    return Experiment(dataset="digits", **settings)


@pytest.mark.parametrize(
    ("rates", "share", "says"),
    [
        (
            {1: 10.0, 2: 19.0, 4: 30.0},
            0.25,
            f"4 share one, {memory_cap_mib(TOTAL, 0.25):,} MiB for each: together 3 times as "
            "fast as one at a time; the peak of the default model is 812 of 81,559 MiB",
        ),
        ({1: 10.0, 2: 16.0, 4: 17.0}, 0.5, "2 share one, 40,179 MiB for each: together 1.6"),
        ({1: 10.0, 2: 9.0, 4: 20.0}, 0.25, "4 share one, 19,789 MiB"),
        (
            {1: 10.0, 2: 10.9, 4: 10.5},
            1.0,
            "a whole one for each: several together are 1.1 times as fast",
        ),
    ],
)
def test_several_share_a_gpu_where_together_they_are_clearly_faster(rates, share, says):
    found = Measured(812, TOTAL, 0.3, {"plain": 10.0}, rates)
    assert chosen(found, 4).share == share and chosen(found, 4).why.startswith(says)


def test_no_more_share_it_than_may_though_more_were_measured():
    found = Measured(812, TOTAL, 0.3, {"plain": 10.0}, {1: 10.0, 2: 19.0, 4: 30.0})
    assert chosen(found, 2).share == 0.5
    assert chosen(found, 1) == Choice(
        1.0, "a whole one for each: there are no CPUs, or no trials, for two"
    )


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (
            Measured(812, TOTAL, 0.83, {}, {1: 9.0}),
            "the default model keeps it busy for 83% of the time",
        ),
        (
            Measured(812, TOTAL, None, {}, {1: 9.0}),
            "NVML does not tell how busy the default model keeps it",
        ),
        (
            Measured(70_000, TOTAL, 0.1, {}, {1: 9.0}),
            "the peak of the default model is 70,000 of 81,559 MiB",
        ),
        (
            Measured(0, TOTAL, 0.1, {}, {1: 9.0}),
            "Keras's backend does not tell how much memory the default model takes",
        ),
        (IDLE, "several at once could not be measured within a minute"),
    ],
)
def test_a_trial_has_a_gpu_for_itself_where_others_find_no_place_or_it_is_not_known(found, why):
    assert chosen(found, 4) == Choice(1.0, f"a whole one for each: {why}")


def test_a_fit_plan_is_chosen_that_was_clearly_faster_and_only_where_several_were_tried():
    found = Measured(812, TOTAL, 0.9, {"plain": 10.0, "compiled": 25.0}, {1: 25.0})
    assert found.plan == "compiled" and chosen(found, 4).plan == "compiled"
    assert chosen(found, 4).why.endswith("; compiled fits 2.5 times as fast as plain")
    hardly = Measured(812, TOTAL, 0.9, {"plain": 10.0, "compiled": 10.5}, {1: 10.0})
    assert hardly.plan == "plain" and chosen(hardly, 4).plan == "plain"
    assert "plain" not in chosen(hardly, 4).why
    assert chosen(IDLE, 4).plan == ""
    assert Measured(812, TOTAL, plans={"compiled": 3.0}).plan == "compiled", "it was asked for"


@pytest.mark.parametrize(
    ("peak", "most", "count"),
    [
        (100, 4, 4),
        (100, 2, 2),
        (15_000, 4, 4),
        (16_000, 4, 2),
        (30_000, 4, 2),
        (70_000, 4, 1),
        (0, 4, 1),  # it is not known
    ],
)
def test_as_many_share_a_gpu_as_have_a_quarter_more_than_the_peak(peak, most, count):
    assert most_that_fit(Measured(peak, TOTAL), most) == count


@pytest.mark.parametrize(
    ("settings", "nodes", "count"),
    [
        ({}, [{"CPU": 64, "GPU": 1}], 4),
        ({"trials": 9}, [{"CPU": 4, "GPU": 1}, {"CPU": 16, "GPU": 2}], 2),  # three on each of three
        ({"cpus_per_trial": 2}, [{"CPU": 4, "GPU": 1}, {"CPU": 64}], 2),
        ({"max_concurrent": 6}, [{"CPU": 64, "GPU": 2}], 2),
        ({"trials": 3}, [{"CPU": 64, "GPU": 2}], 2),
        ({"cpus_per_trial": 8}, [{"CPU": 4, "GPU": 1}], 1),
    ],
)
def test_no_more_share_a_gpu_than_have_a_cpu_there_and_may_run_at_once(settings, nodes, count):
    assert most_of_use(experiment(**{"trials": 20} | settings), nodes) == count


@pytest.mark.parametrize(
    ("settings", "examples", "gpus", "says"),
    [
        (
            {},
            50_000,
            1,
            "the search trains on 10 million examples at most, and measuring pays from 20 on",
        ),
        ({"trials": 40}, 50_000, 1, ""),
        ({"folds": 5}, 50_000, 1, ""),
        (
            {"trials": 40},
            50_000,
            4,
            "the search trains on 5 million examples a GPU at most, and measuring pays from 20 on",
        ),
        ({"trials": UNBOUNDED}, 5, 1, ""),
        ({}, None, 1, ""),
        (
            {"time_budget_s": 90},
            None,
            1,
            "the time budget is 90 s, and measuring pays from 300 on",
        ),
        ({"time_budget_s": 900}, SHORT_EXAMPLES, 1, ""),
    ],
)
def test_a_short_search_is_not_worth_a_minute_of_measuring(settings, examples, gpus, says):
    facts = {"counts": {"train": examples}}
    assert short(experiment(**settings), facts, gpus) == says
