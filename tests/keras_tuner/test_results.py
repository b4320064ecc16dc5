"""What a project's records say of its best trials, where their values changed on the way."""

import pytest

from pipeline import keras_tuner as kt
from pipeline.keras_tuner.oracles import Rungs
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialFacts
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.settings import write_experiment
from pipeline.space.hyperparameters import HyperParameters


def build_model(hp):
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(hp.Int("units", 1, 8))])
    model.compile(hp.Choice("optimizer", ["sgd", "adam"]), "mse")
    return model


def momentum(hp):
    hp.Choice("optimizer", ["sgd", "adam"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        hp.Float("momentum", 0.0, 0.9)


def requested(ask, **values):
    hp = HyperParameters(values)
    ask(hp)
    return hp.requested


def plain(pairs):
    return [{**spec.to_dict(), "asked_by": "build", "value": value} for spec, value in pairs]


@pytest.fixture
def changed(tmp_path):
    """A project whose best trial was best before it took over another's values: `changed(before,
    after)`."""

    def make(ask, before, after):
        tuner = kt.RandomSearch(ask, "val_loss", seed=1, directory=tmp_path, project_name="p")
        ledger = Ledger(Layout(tmp_path / "p"))
        write_experiment(
            ledger.layout,
            "dataset: {object: mine, inputs: {shape: [3], dtype: float32}}\nseed: 1\n"
            "search_space: {object: mine}\n",
        )
        for trial in ("t0000", "t0001"):
            ledger.start(trial, {})
        ledger.note("t0000", TrialFacts(requested=plain(requested(ask, **before))))
        ledger.note("t0001", TrialFacts(requested=plain(requested(ask, **after))))
        for epoch, value in ((1, 0.5), (2, 0.1), (3, 0.7)):
            if epoch == 3:
                ledger.change("t0000", 2, "t0001", requested(ask, **after))
            ledger.report(
                Report(epoch, value, {"val_loss": value}, 1.0, trial="t0000", time=float(epoch))
            )
        ledger.end("t0000", "finished")
        ledger.close()
        return tuner

    return make


def test_best_hyperparameters_are_those_of_the_best_epoch(changed, capsys):
    before, after = {"units": 3, "optimizer": "sgd"}, {"units": 3, "optimizer": "adam"}
    tuner = changed(build_model, before, after)
    (hp,) = tuner.get_best_hyperparameters()
    assert hp.values == before and [spec.name for spec in hp.space] == ["units", "optimizer"]
    tuner.results_summary()
    assert "units: 3\noptimizer: sgd\nScore: 0.1" in capsys.readouterr().out


def test_summaries_are_printed_as_kerastuner_prints_them(changed, capsys):
    import keras_tuner

    def build(hp):
        hp.Int("units", 4, 8, default=4)
        hp.Choice("optimizer", ["sgd", "adam"])
        hp.Boolean("bias", parent_name="optimizer", parent_values=["sgd"])
        hp.Float("rate", 1e-4, 1.0, sampling="log")
        hp.Fixed("layers", 3)

    tuner = changed(build, {"units": 4}, {"units": 5})
    tuner.search_space_summary()
    ours = capsys.readouterr().out
    keras_tuner.RandomSearch(
        build, "val_loss", directory=tuner.directory, project_name="theirs"
    ).search_space_summary()
    assert ours == capsys.readouterr().out
    tuner.results_summary()
    printed = capsys.readouterr().out
    assert str(keras_tuner.Objective("val_loss", "min")) in printed.splitlines()


@pytest.mark.parametrize("tune_new", [True, False])
def test_what_was_given_may_be_tuned_though_the_default_model_does_not_ask(tmp_path, tune_new):
    import keras_tuner

    def build(hp):
        model = keras.Sequential([keras.Input((3,))])
        for place in range(hp.get("layers")):
            model.add(keras.layers.Dense(hp.Int(f"units_{place}", 2, 4)))
        hp.Boolean("bias")
        return model

    import keras

    found = []
    for tuners in (kt, keras_tuner):
        given = tuners.HyperParameters()
        given.Int("layers", 1, 3)
        given.Int("units_1", 2, 9)
        tuner = tuners.RandomSearch(
            build,
            "val_loss",
            hyperparameters=given,
            tune_new_entries=tune_new,
            directory=tmp_path / tuners.__name__,
        )
        found.append({spec.name: spec.default for spec in tuner.oracle.hyperparameters.space})
    assert found[0] == found[1] and list(found[0])[:2] == ["layers", "units_1"]


def test_a_default_that_was_not_given_is_printed(changed, capsys):
    tuner = changed(build_model, {"units": 3}, {"units": 4})
    tuner.search_space_summary()
    assert "units (Int)\n{'default': 1, 'conditions': []," in capsys.readouterr().out


# max_epochs 9 and factor 3: two trials of nine epochs, then three of three, then nine of one.
@pytest.mark.parametrize(
    ("number", "epochs", "place"),
    [
        (0, 9, (9, 0, 0, 0)),
        (2, 4, (9, 0, 0, 0)),
        (3, 3, (3, 0, 1, 0)),
        (3, 9, (9, 3, 1, 1)),
        (8, 1, (1, 0, 2, 0)),
        (16, 2, (3, 1, 2, 1)),
        (16, 9, (9, 3, 2, 2)),
        (17, 9, (9, 0, 0, 0)),  # of the second round
    ],
)
def test_hyperbands_rungs_have_kerastuners_names(number, epochs, place):
    names = ("tuner/epochs", "tuner/initial_epoch", "tuner/bracket", "tuner/round")
    assert Rungs(9, 3, 2).reached(number, epochs) == dict(zip(names, place, strict=True))


def test_what_hyperband_finds_says_how_long_it_was_trained(tmp_path, changed, capsys):
    changed(build_model, {"units": 3}, {"units": 3})
    band = kt.Hyperband(build_model, "val_loss", 3, directory=tmp_path, project_name="p")
    (hp,) = band.get_best_hyperparameters()
    assert hp.get("tuner/epochs") == 3 and hp["tuner/bracket"] == 0
    assert [spec.name for spec in hp.space] == ["units", "optimizer"]
    assert band.hypermodel.build(hp).layers[0].units == 3
    assert band.oracle.get_best_trials()[0].hyperparameters.values == hp.values
    band.results_summary()
    assert "\ntuner/epochs: 3\n" in capsys.readouterr().out


def test_what_the_final_record_lacks_is_found_among_all_trials(changed):
    before = {"optimizer": "sgd", "momentum": 0.5}
    tuner = changed(momentum, before, {"optimizer": "adam"})
    (hp,) = tuner.get_best_hyperparameters()
    assert hp.values == before and hp.get("momentum") == 0.5
    assert [spec.kind for spec in hp.space] == ["choice", "fixed"]  # no other trial asked for it
    assert HyperParameters.from_config(hp.get_config()).values == before


def test_a_name_that_another_trial_asked_for_keeps_its_bounds(changed):
    tuner = changed(momentum, {"optimizer": "sgd", "momentum": 0.5}, {"optimizer": "adam"})
    ledger = Ledger(Layout(tuner.project_dir))
    ledger.start("t0002", {})
    ledger.note(
        "t0002", TrialFacts(requested=plain(requested(momentum, optimizer="sgd", momentum=0.25)))
    )
    ledger.close()
    spec = tuner.get_best_hyperparameters()[0].space[1]
    assert (spec.kind, spec.min_value, spec.max_value) == ("float", 0.0, 0.9)


def test_best_models_are_compiled_as_in_their_best_epoch(changed):
    from pipeline.worker.training.checkpoints import BestWeights, Checkpoints, State

    before = {"units": 3, "optimizer": "sgd"}
    tuner = changed(build_model, before, {"units": 3, "optimizer": "adam"})
    folder = Layout(tuner.project_dir).trial("t0000")
    model = build_model(HyperParameters(before))
    Checkpoints(folder).save(model, State(2), BestWeights(2, 0.1, model.weights))
    assert type(tuner.get_best_models()[0].optimizer).__name__ == "SGD"
