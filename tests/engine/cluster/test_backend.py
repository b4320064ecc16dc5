"""Which backend a search computes with."""

import os

import pytest

from pipeline import Experiment
from pipeline.engine.cluster import backend
from pipeline.engine.cluster.backend import VARIABLE, backend_of
from pipeline.errors import RequestError

SPACE = """
import keras
import mine


def build(hp, data):
    return None
"""


@pytest.fixture
def taken(monkeypatch, tmp_path):
    """The backend that processes have, which stands in the experiment, and what was said of it."""
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "space.py").write_text(SPACE)
    (tmp_path / "mine.py").write_text("import numpy\n")

    def take(asked, **settings):
        said = []
        given = {"dataset": "digits", "search_space": str(tmp_path / "space.py"), **settings}
        with backend_of(Experiment(**given, backend=asked), said.append) as experiment:
            found = os.environ.get(VARIABLE), experiment.backend, *said
        assert VARIABLE not in os.environ
        return found

    return take


def test_none_leaves_the_environment_as_it_is(taken):
    assert taken(None) == (None, None)


def test_one_is_had_by_the_processes_that_are_started(taken):
    pytest.importorskip("jax")
    assert taken("jax") == ("jax", "jax")


def test_auto_takes_jax_where_trainings_go_together(taken):
    pytest.importorskip("jax")
    why = "backend jax: it carries out trainings of small models together"
    for settings in (
        {"searcher": "grid"},
        {"searcher": "random"},
        {"folds": 3},
        {"scheduler": "pbt"},
    ):
        assert taken("auto", **settings) == ("jax", "jax", why)


def test_auto_keeps_the_default_where_nothing_would_be_gained(taken):
    why = "backend tensorflow: no two of its trainings would be carried out together"
    assert taken("auto") == ("tensorflow", "tensorflow", why)
    assert taken("auto", searcher="grid", fit_plan="plain")[2] == why


def test_auto_keeps_the_default_where_a_file_or_its_neighbour_imports_it(taken, tmp_path):
    (tmp_path / "mine.py").write_text("from tensorflow.data import Dataset\n")
    found = taken("auto", searcher="grid")
    assert found[2] == "backend tensorflow: mine.py imports tensorflow"


def test_auto_keeps_the_default_where_no_other_is_installed(taken, monkeypatch):
    monkeypatch.setattr(backend, "find_spec", lambda name: None if name == "jax" else name)
    assert taken("auto", searcher="grid")[2] == "backend tensorflow: JAX is not installed"
    with pytest.raises(RequestError, match=r"jax is not: pip install 'kerasweep\[jax\]'"):
        taken("jax")


def test_another_name_is_refused(taken):
    with pytest.raises(RequestError, match="must be auto, tensorflow, jax, torch; got 'mxnet'"):
        taken("mxnet")


def test_another_than_that_of_a_ray_that_is_there_is_refused(taken, ray_cluster):
    pytest.importorskip("jax")
    with pytest.raises(
        RequestError, match="which this process has started before, tensorflow; it is jax"
    ):
        taken("jax")
