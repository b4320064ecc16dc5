"""Property tests try the same inputs each time: a failure in CI is one everywhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.properties.inputs import TRIED, TRIES

settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    # A folder that one test has for all of its inputs is meant; large inputs take their time.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder of its own, which is the home too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def all_inputs_are_tried(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hypothesis stops early where there is nothing left to try."""
    name, failed = request.node.originalname, request.session.testsfailed
    TRIES.pop(name, None)
    yield
    if request.session.testsfailed == failed:
        assert TRIES[name] >= TRIED.get(name, 0)
