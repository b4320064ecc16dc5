"""A training that goes on as long as it is told, with real Keras, and what is measured of it."""

from dataclasses import replace

import pytest

from pipeline.engine.gpus.gauge import OnShare, PacedTraining
from pipeline.objective import Objective
from pipeline.worker.session import Job
from tests.worker.stage import dataset, linear_model


class Space:
    """A family without hyperparameters, and the models that it has built."""

    name, fit = "mine", None

    def __init__(self, build=linear_model):
        self.built, self._build = [], build

    def build(self, hp, data=None):
        self.built.append(self._build())
        return self.built[-1]


@pytest.fixture
def job(tmp_path):
    return Job("t0000", {}, 0, 1, Objective("val_loss", "min"), tmp_path / "t0000", rungs=(1,))


def updates(space):
    return [int(model.optimizer.iterations.numpy()) for model in space.built]


def test_it_rests_after_its_first_epoch_and_after_each_window(job, tmp_path):
    space = Space()
    training = PacedTraining(job, space, dataset("digits"))
    training.start()
    assert updates(space) == [2], "an epoch of sixty examples"
    rate = training.go_on(0.4)
    trained = updates(space)[0] / 2 - 1
    assert trained >= job.max_epochs, "it goes on for as long as it is told"
    assert 0 < rate <= trained / 0.4
    training.end()
    assert updates(space) == [2 + 2 * trained]
    assert (training.failure, training.go_on(9)) == ("", 0.0)
    assert not (tmp_path / "t0000").exists(), "nothing is written where the trial will be"


def test_all_repeats_of_a_trial_train_and_each_fold_has_its_part(job):
    space = Space()
    training = PacedTraining(replace(job, repeats=3), space, dataset("digits"))
    training.start()
    assert updates(space) == [2, 2, 2]
    training.end()
    space = Space()
    folds = replace(job, repeats=2, folds=2, session_keeps=True)
    training = PacedTraining(folds, space, dataset("digits").with_folds(2, 0))
    training.start()
    training.end()
    assert len(updates(space)) == 2 and all(updates(space))


def test_why_it_failed_is_said_and_it_is_not_waited_for(job):
    def broken():
        raise MemoryError("it is too large")

    training = PacedTraining(job, Space(broken), dataset("digits"))
    training.start()
    assert "it is too large" in training.failure and training.go_on(9) == 0.0
    training.end()


def test_a_process_where_cuda_shows_no_gpu_says_so_and_one_asked_anew_begins_anew(job):
    process = object.__new__(OnShare)
    process._cpus, process._gpus, process._training = 1.0, 1.0, None
    space = Space()
    assert process.gpu(whole=True) is None
    assert process.go_on(9).epochs_a_s == 0.0
    for count in (1, 2):
        assert process.warm_up(space, dataset("digits"), replace(job, fit_plan="plain")) == ""
        window = process.go_on(0.05)
        assert window.epochs_a_s > 0 and (window.busy, window.peak_mib) == (None, 0)
        assert len(space.built) == count
    process._training.end()
