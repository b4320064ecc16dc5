"""Workers between two trials: kept where one may be wanted, and not for ever."""

from pathlib import Path

import pytest

from pipeline.engine.faults.idle_workers import IDLE_S, IdleWorkers

SPACES = Path(__file__).parents[2] / "spaces"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def idle_workers(*, places):
    clock = Clock()
    return IdleWorkers(lambda: places, clock), clock


def test_as_many_are_kept_as_there_are_places_beside_those_that_train():
    workers, _ = idle_workers(places=1)  # beside the two whose trials are ending
    assert [workers.keep("a CPU", name) for name in ("w0", "w1", "w2")] == [
        True,
        True,
        False,
    ]
    assert len(workers) == 2
    # both of their trials have let go now: there is one place
    assert list(workers.surplus()) == ["w0"]
    assert workers.take("a CPU") == "w1" and workers.take("a CPU") is None


def test_who_has_had_nothing_to_do_for_long_is_ended():
    workers, clock = idle_workers(places=4)
    workers.keep("a CPU", "w0")
    clock.now = 10.0
    workers.keep("a CPU", "w1")
    clock.now = IDLE_S + 1
    assert list(workers.surplus()) == ["w0"]
    assert workers.has("a CPU") and len(workers) == 1


def test_at_the_end_all_are_ended():
    workers, _ = idle_workers(places=4)
    workers.keep("a CPU", "w0")
    workers.keep("another", "w1")
    assert list(workers.surplus(all_of_them=True)) == ["w0", "w1"]
    assert not len(workers) and not list(workers.surplus(all_of_them=True))


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("scheduler", ["pbt", "hyperband", "asha"])
def test_trials_that_pause_and_go_on_need_no_more_processes_than_run_at_once(
    search, tmp_path, scheduler
):
    (tmp_path / "tiny.py").write_text((SPACES / "tiny.py").read_text())
    (tmp_path / "counting.py").write_text(
        "import os\nfrom pathlib import Path\nimport tiny\nbuild = tiny.build\n\n"
        "def fit(hp, model, *args, **kwargs):\n"
        "    Path(__file__).with_name(f'{os.getpid()}.process').touch()\n"
        "    return model.fit(*args, **kwargs)\n"
    )
    run = search(
        search_space=str(tmp_path / "counting.py"),
        scheduler=scheduler,
        searcher="random",
        trials=5,
        max_epochs=9,
        perturbation_interval=2,
    )
    assert run.summary["concurrent"] == 2 and run.summary["trials"]["unfinished"] == 0
    # two, and the one that checked the search space
    assert len(list(tmp_path.glob("*.process"))) == 3
