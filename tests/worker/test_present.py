"""What user code is told of the trial that it runs in."""

import keras
import pytest

import pipeline
from pipeline.objective import Objective
from pipeline.records.layout import OWN
from pipeline.records.store.remote import RemotePath
from pipeline.worker.present import any_trains, taking_part
from pipeline.worker.spaces.reveal import check_default
from pipeline.worker.training.repeats import carry_out
from tests.worker import stage


@pytest.fixture(scope="module")
def digits():
    return stage.dataset("digits")


@pytest.fixture
def asking():
    """A search space that asks in `build`, in `fit` and in a callback, and what it was told."""
    told = []

    class Asking(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            told.append(("callback", pipeline.trial()))

    def build(hp, data):
        told.append(("build", pipeline.trial()))
        return stage.linear_model()

    def fit(hp, model, *args, callbacks, **kwargs):
        told.append(("fit", pipeline.trial()))
        return model.fit(*args, callbacks=[*callbacks, Asking()], **kwargs)

    return stage.space(build, fit), told


def test_build_fit_and_callbacks_are_told_their_trial_and_where_they_may_write(
    asking, digits, tmp_path
):
    space, told = asking
    stage.run(stage.job(tmp_path, "t0003", max_epochs=2), space, digits)
    assert [where for where, _ in told] == ["build", "fit", "callback", "callback"]
    for _, trial in told:
        assert (trial.name, trial.execution) == ("t0003", 0)
        assert trial.directory == tmp_path / "t0003" / OWN and trial.directory.is_dir()


def test_each_execution_is_told_which_it_is(asking, digits, tmp_path):
    space, told = asking
    task = stage.job(tmp_path, repeats=2, max_epochs=1)
    carry_out(task, space, digits, stage.Notes())
    found = {(trial.name, trial.execution, trial.directory) for _, trial in told}
    assert found == {("t0000", k, tmp_path / "t0000" / f"execution-{k}" / OWN) for k in range(2)}


def test_outside_of_a_trial_there_is_none(asking, digits, tmp_path):
    space, told = asking
    assert pipeline.trial() is None
    check_default(space, digits, Objective("val_loss", "min"))
    assert [what for _, what in told] == [None, None]  # build and fit; no callback is called
    with pytest.raises(ZeroDivisionError), taking_part(stage.job(tmp_path)):
        assert pipeline.trial().name == "t0000"
        raise ZeroDivisionError
    assert pipeline.trial() is None


def test_no_folder_is_made_that_nobody_asks_for_and_an_object_store_has_none(tmp_path):
    with taking_part(stage.job(tmp_path)):
        assert pipeline.trial().name == "t0000"
    assert list(tmp_path.iterdir()) == []
    with taking_part(stage.job(RemotePath("s3://bucket/runs/mine/trials"))):
        assert pipeline.trial().directory is None


def test_whether_any_training_of_the_process_has_begun_and_not_ended_is_known(tmp_path):
    assert not any_trains()
    with taking_part(stage.job(tmp_path)):
        with taking_part(stage.job(tmp_path)):
            assert any_trains()
        assert any_trains()
    assert not any_trains()


def test_a_training_that_begins_leaves_the_others_what_they_have_of_keras(digits, tmp_path):
    def build(hp, data):
        found.append(keras.backend.get_uid("mine"))
        return stage.linear_model()

    found = []
    keras.backend.get_uid("mine")
    with taking_part(stage.job(tmp_path)):
        stage.run(stage.job(tmp_path, "t0001", max_epochs=1), stage.space(build), digits)
    stage.run(stage.job(tmp_path, "t0002", max_epochs=1), stage.space(build), digits)
    assert found == [2, 1]
