"""Workers that are lost: what is said of it, and what is held against their trials."""

from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial

from pipeline.engine.lost import Lost, reason_of


@pytest.mark.parametrize(("handed_over", "counted"), [(True, 0), (False, 1)])
def test_an_idle_worker_that_had_died_is_not_held_against_the_trial_that_was_to_have_it(handed_over, counted):
    trial = Trial("kerasweep", stub=True, trial_id="t0000")

    def fail(trial, exception):  # as Tune counts
        trial.run_metadata.num_failures += 1

    controller = SimpleNamespace(
        _trial_task_failure=fail, _resetting_trials={trial} if handed_over else set(), _trial_to_actor={trial: "worker"}
    )
    Lost(controller, {})(trial, RayActorError())
    assert trial.run_metadata.num_failures == counted and not controller._resetting_trials


def test_the_reason_is_one_line_and_names_memory_and_limit_where_ray_ended_the_worker():
    text = (
        "The actor died unexpectedly before finishing this task.\n\tThe worker died due to memory pressure. "
        "Memory on the node (IP: 10.0.0.1, ID: ab12) was 22.91GB used / 24.00GB limit (0.954861), which exceeds the "
        "threshold.\nSee the docs."
    )
    assert reason_of(Exception(text)) == "out of memory: with 22.91GB of 24.00GB in use Ray ended the worker"
    assert reason_of(Exception("The actor died because its node has died. Node Id: ab")) == "its node was lost"
    assert reason_of(Exception("first\n  SIGKILL by kernel OOM\n")) == "worker lost: SIGKILL by kernel OOM"
    assert reason_of(Exception("")) == "worker lost: its worker died"
