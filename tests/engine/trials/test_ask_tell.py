"""When Tune is told that there is nothing more to run."""

from ray.tune.search import Searcher

from pipeline.engine.trials.ask_tell import Trials


class Exhausted(Searcher):
    """Has nothing left to propose."""

    def next_id(self):
        return "t0000"

    def suggest(self, trial_id):
        return Searcher.FINISHED


def test_while_a_trial_waits_there_is_more_to_run_unless_the_search_is_to_stop():
    trials = Trials(Exhausted(), lambda create: [], lambda: True)
    assert trials.make_next() is None
    assert trials.complete and not trials.is_finished()
    trials.set_finished()
    assert trials.is_finished()
