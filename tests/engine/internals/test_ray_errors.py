"""Ray's errors, each in our words."""

import inspect
import re

import pytest
from ray import exceptions
from ray.exceptions import RayActorError, RayError, RayTaskError, WorkerCrashedError

from pipeline.engine.internals.ray_errors import WORDS, in_words, ours
from pipeline.errors import KerasweepError, LostError, RequestError


def test_every_error_of_ray_has_words():
    known = {
        kind
        for kind in vars(exceptions).values()
        if inspect.isclass(kind) and issubclass(kind, RayError)
    }
    unmapped = {kind.__name__ for kind in known - set(WORDS)}
    assert not unmapped, "give each words in pipeline/engine/internals/ray_errors.py"


def test_a_class_that_an_error_is_made_of_gives_the_words():
    """As Ray raises what a task raised: as an object of both classes."""
    both = RayTaskError("train", "the traceback", ValueError("no")).as_instanceof_cause()
    assert in_words(both, "the helper") == "Ray failed under the helper"
    assert in_words(RayActorError(), "the helper") == "Ray lost the helper"


@pytest.mark.parametrize("raised", [ValueError("no shape"), RequestError("no dataset")])
def test_what_a_task_raised_is_raised_as_it_was(raised):
    error = RayTaskError("load", "the traceback", raised).as_instanceof_cause()
    with pytest.raises(type(raised), match=f"^{raised}$") as found, ours("the helper"):
        raise error
    assert type(found.value) is type(raised) and found.value.__suppress_context__


def test_where_ray_lost_the_process_it_is_said_in_a_line():
    said = "The worker died unexpectedly.\n  See the logs.\n"
    with pytest.raises(LostError) as found, ours("the process that loads the data"):
        raise WorkerCrashedError(said)
    assert re.fullmatch(r"Ray lost the process that loads the data: \S[^\n]+", str(found.value))
    assert isinstance(found.value, KerasweepError) and found.value.exit_code == 1


def test_what_is_none_of_rays_passes():
    with pytest.raises(KeyError), ours("the helper"):
        raise KeyError("ours")
