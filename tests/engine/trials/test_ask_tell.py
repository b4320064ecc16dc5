"""When Tune is told that there is nothing more to run."""

from ray.tune.search import Searcher

from pipeline.engine.trials.ask_tell import Trials


def test_while_a_trial_waits_there_is_more_to_run_unless_the_search_is_to_stop():
    trials = Trials(Searcher(), lambda create: [], lambda: True)
    trials._finished = True  # nothing is left to propose
    assert trials.complete and not trials.is_finished()
    trials.set_finished()
    assert trials.is_finished()
