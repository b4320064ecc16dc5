"""Workers that are lost: what is said of it, and what is held against their trials."""

import pytest
from ray.exceptions import RayActorError, RayTaskError

from pipeline.engine.faults.lost_workers import WorkerFailures
from pipeline.engine.internals.ray_errors import reason_of
from pipeline.engine.messages import UnfitNode


def failed(exception, *, handed_over=False, **told):
    """How often Tune counts the failure of a trial's worker."""
    failures = WorkerFailures({}, **told)
    return int(failures.counts("t0000", exception, handed_over))


@pytest.mark.parametrize(("handed_over", "counted"), [(True, 0), (False, 1)])
def test_an_idle_worker_that_had_died_is_not_held_against_the_trial_that_was_to_have_it(
    handed_over, counted
):
    assert failed(RayActorError(), handed_over=handed_over) == counted


def test_a_node_that_cannot_train_is_not_held_against_the_trial():
    told = []
    error = UnfitNode("10.0.0.2", "no GPU is seen")
    as_ray_raises_it = RayTaskError("train", "the traceback", error).as_instanceof_cause()
    assert failed(as_ray_raises_it, unfit=lambda *what: told.append(what)) == 0
    assert told == [("10.0.0.2", "no GPU is seen")]


@pytest.mark.parametrize(
    ("exception", "lost"),
    [
        (RayActorError(error_msg="its worker died"), ["t0000"]),
        (RayActorError(error_msg="The actor died because its node has died."), []),
        (UnfitNode("10.0.0.2", "no GPU is seen"), []),
    ],
)
def test_a_trial_whose_process_died_is_told_of_and_one_whose_node_did_is_not(exception, lost):
    told = []
    failed(exception, lost=told.append)
    assert told == lost


def test_the_reason_is_one_line_and_names_memory_and_limit_where_ray_ended_the_worker():
    text = (
        "The actor died unexpectedly before finishing this task.\n\tThe worker died due to memory "
        "pressure. "
        "Memory on the node (IP: 10.0.0.1, ID: ab12) was 22.91GB used / 24.00GB limit (0.954861), "
        "which exceeds the "
        "threshold.\nSee the docs."
    )
    assert (
        reason_of(Exception(text))
        == "out of memory: with 22.91GB of 24.00GB in use Ray ended the worker"
    )
    assert (
        reason_of(Exception("The actor died because its node has died. Node Id: ab"))
        == "its node was lost"
    )
    assert (
        reason_of(Exception("first\n  SIGKILL by kernel OOM\n"))
        == "worker lost: SIGKILL by kernel OOM"
    )
    assert reason_of(Exception("")) == "worker lost: its worker died"
