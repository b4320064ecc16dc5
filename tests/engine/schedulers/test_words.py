"""Ray's words and ours."""

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from pipeline.engine.schedulers.words import ACTION, VERDICT, OurTrial, RaysTrial
from pipeline.testing.scheduler_simulation import SimulatedTrial


def test_a_trial_is_told_in_the_others_words_and_back():
    for status in (Trial.PENDING, Trial.RUNNING, Trial.PAUSED, Trial.TERMINATED):
        tunes = Trial("kerasweep", stub=True, trial_id="t0000")
        tunes.set_status(status)
        ours = OurTrial(tunes)
        assert ours.id == "t0000"
        assert RaysTrial(SimulatedTrial(ours.id, ours.status)).status == status
    tunes.set_status(Trial.ERROR)
    assert OurTrial(tunes).status == "ended"


def test_each_verdict_is_a_decision_of_rays():
    rays = {TrialScheduler.CONTINUE, TrialScheduler.PAUSE, TrialScheduler.STOP}
    assert set(VERDICT) == rays == set(ACTION.values())
    assert {VERDICT[action] for action in rays} == {"continue", "pause", "stop"} == set(ACTION)
