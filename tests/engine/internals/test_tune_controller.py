"""Our words for Tune's controller, over a real one."""

import pickle

import pytest
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial

from pipeline.engine.faults.idle_workers import IdleWorkers
from pipeline.engine.internals.tune_controller import Controller
from tests.engine.stage import trial_of


def test_trials_and_their_workers_are_known_as_they_are_now(tunes_controller):
    trials = [trial_of("t0000"), trial_of("t0001")]
    tune = tunes_controller(trials[:1])
    ours = Controller(tune.handed)
    assert list(ours.trials()) == trials[:1] and not ours.with_workers()
    tune.add(trials[1])
    tune.give_worker(trials[1], "its worker")
    assert list(ours.trials()) == trials and list(ours.with_workers()) == trials[1:]
    assert [ours.has_worker(t) for t in trials] == [False, True]


def test_it_knows_whether_it_is_the_one_that_a_scheduler_is_handed(tunes_controller):
    one, other = tunes_controller(), tunes_controller()
    assert Controller(one.handed).is_behind(one.handed)
    assert not Controller(one.handed).is_behind(other.handed)


def test_tune_starts_no_more_trials_than_it_may(tunes_controller):
    tune = tunes_controller()
    Controller(tune.handed).may_start(7)
    assert tune.may_start() == 7


def test_no_trial_is_saved(tunes_controller):
    tune = tunes_controller([trial_of("t0000")])
    assert tune.tune._trials_to_cache
    Controller(tune.handed).save_no_trials()
    assert not tune.tune._trials_to_cache


class TestIdleWorkers:
    def test_tune_keeps_workers_where_we_say(self, tunes_controller):
        tune = tunes_controller()
        ours = Controller(tune.handed)
        kept = IdleWorkers(lambda: 0)
        ours.keep_workers(kept, lambda trial: True)
        assert tune.keep_idle("a CPU", "w0") and not tune.keep_idle("a CPU", "w1")
        assert ours.idle_workers() == len(kept) == 1
        cache = tune.tune._actor_cache
        assert cache.has_cached_object("a CPU") and not cache.has_cached_object("another")
        assert cache.pop_cached_object("another") is None
        assert cache.pop_cached_object("a CPU") == "w0" and not len(kept)
        tune.keep_idle("a CPU", "w2")
        assert list(cache.flush_cached_objects()) == ["w2"]

    def test_tune_still_counts_the_trials_that_want_a_worker(self, tunes_controller):
        """It ends all idle workers once there are none, and no trial is to come."""
        tune = tunes_controller()
        Controller(tune.handed).keep_workers(IdleWorkers(lambda: 1), lambda trial: True)
        cache = tune.tune._actor_cache
        cache.increase_max("a CPU")
        assert cache.total_max_objects == 1
        tune.keep_idle("a CPU", "w0")
        tune.tune.on_step_end()
        assert cache.num_cached_objects == 1

    @pytest.mark.parametrize("may_be_kept", [True, False])
    def test_a_worker_that_has_grown_is_not_kept(self, tunes_controller, may_be_kept):
        trial = trial_of("t0000", Trial.RUNNING)
        tune = tunes_controller([trial])
        asked = []
        tune.tune._maybe_cache_trial_actor = lambda trial: asked.append(trial) or True
        Controller(tune.handed).keep_workers(IdleWorkers(lambda: 1), lambda trial: may_be_kept)
        assert tune.tune._maybe_cache_trial_actor(trial) is may_be_kept
        assert asked == ([trial] if may_be_kept else [])  # then Tune decides


class TestFailures:
    @pytest.mark.parametrize("counts", [True, False])
    def test_a_failure_is_held_against_its_trial_if_we_say_so(self, tunes_controller, counts):
        trial = trial_of("t0000", Trial.RUNNING)
        tune = tunes_controller([trial])
        told = []
        error = RayActorError()
        ours = Controller(tune.handed)
        ours.judge_failures(lambda *failure: told.append(failure) or counts)
        tune.fail(trial, error)
        assert told == [("t0000", error, False)]
        assert trial.run_metadata.num_failures == counts
        # and Tune has queued the trial again, either way
        assert trial.status == Trial.PENDING

    def test_a_worker_that_dies_while_it_is_handed_over_fails_once(self, tunes_controller):
        trial = trial_of("t0000", Trial.RUNNING)
        tune = tunes_controller([trial])
        tune.tune._resetting_trials.add(trial)
        told = []
        Controller(tune.handed).judge_failures(
            lambda name, error, handed_over: told.append(handed_over) or False
        )
        tune.fail(trial, RayActorError())
        assert not tune.tune._resetting_trials
        tune.fail(trial, RayActorError())  # Tune tells of its task as well
        assert told == [True] and trial.run_metadata.num_failures == 0
        assert trial.status == Trial.PENDING

    def test_a_worker_that_fails_while_its_trial_still_waits_for_it_is_judged(
        self, tunes_controller
    ):
        trial = trial_of("t0000")
        tune = tunes_controller([trial])
        tune.give_worker(trial, "being started")
        told = []
        ours = Controller(tune.handed)
        tune.tune._process_trial_failure = lambda trial, exception: None
        ours.judge_failures(lambda *failure: told.append(failure) or True)
        tune.fail(trial, RayActorError())
        assert len(told) == 1


def test_what_tune_waits_for_from_a_worker_is_known(tunes_controller):
    trials = [trial_of("t0000", Trial.RUNNING), trial_of("t0001", Trial.RUNNING)]
    tune = tunes_controller(trials)
    tune.give_worker(trials[0], "trains")
    tune.give_worker(trials[1], "waits for resources")
    manager = tune.tune._actor_manager
    manager._live_actors_to_ray_actors_resources["trains"] = ("its process", "its resources")
    manager._tracked_actors_to_state_futures["trains"] = {"its start"}
    manager._tracked_actors_to_task_futures["trains"] = {"its report", "one that has come"}
    manager._actor_task_events.track_future("its report")
    (worker,) = Controller(tune.handed).live_workers()
    assert worker.trial is trials[0] and worker.actor == "its process"
    assert worker.answers == {"its start", "its report"}
    assert worker.process == worker.actor  # which no other trial shares


def test_what_we_put_into_tunes_controller_does_not_hinder_the_writing_of_its_state(
    tunes_controller,
):
    tune = tunes_controller()
    ours = Controller(tune.handed)
    ours.keep_workers(IdleWorkers(lambda: 1), lambda trial: True)
    ours.judge_failures(lambda *failure: True)
    state = tune.tune.__getstate__()
    assert {"_maybe_cache_trial_actor", "_trial_task_failure"} <= set(state)
    pickle.dumps(
        {name: state[name] for name in ("_maybe_cache_trial_actor", "_trial_task_failure")}
    )
