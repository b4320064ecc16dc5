"""Population based training: generations, take-overs, and that neither kills nor concurrency change
what comes out."""

import json
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest

from pipeline import Experiment, tune
from pipeline.engine.trials import stopping
from pipeline.engine.trials.generations import RecordedGenerations
from pipeline.objective import Objective
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialFacts, read_trials
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.space.specs import Float, Int
from pipeline.watch import Interruption, Watcher
from pipeline.worker.training import archive
from pipeline.worker.training.checkpoints import Checkpoints, State

LOSS = Objective("val_loss", "min")
SPACE = """
import time
import keras

def build(hp, data):
    layers = [keras.Input(data.shape), keras.layers.Flatten()]
    if hp.Boolean("hidden"):
        layers.append(keras.layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"))
    layers.append(keras.layers.Dropout(hp.Float("rate", 0.0, 0.5)))
    model = keras.Sequential([*layers, keras.layers.Dense(data.classes, activation="softmax")])
    optimizer = keras.optimizers.SGD(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"), momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model

def fit(hp, model, *args, callbacks, **kwargs):
    wait = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: time.sleep(WAIT))
    return model.fit(*args, batch_size=hp.Choice("batch", [32, 64]), callbacks=[wait, *callbacks], **kwargs)
"""
FEW = Path(__file__).parents[2] / "spaces" / "few.py"


# A boundary, carried out over real files.

RATE, UNITS = (
    Float(name="rate", min_value=0.001, max_value=0.1),
    Int(name="units", min_value=4, max_value=64),
)


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(Layout(tmp_path / "run"))
    for number in range(8):
        name = f"t{number}"
        ledger.start(name, {})
        items = [(RATE, 0.01), (UNITS, 4 + number)]
        requested = [
            {**spec.to_dict(), "asked_by": "build", "value": value} for spec, value in items
        ]
        ledger.note(name, TrialFacts(requested=requested))
        for epoch in (1, 2):
            ledger.report(
                Report(epoch, number / 10, {"val_loss": number / 10}, 1.0, trial=name, time=0.0)
            )
        save(ledger, name)
    yield ledger
    ledger.close()


def save(ledger, name, epoch=2, folder="", ended=False):
    state = State(epoch, ended=ended, configuration={"of": name})
    archive.write(ledger.layout.trial(name) / folder / "last.npz", {}, state.plain())


def of(ledger, name):
    return Checkpoints(ledger.layout.trial(name)).last_state().configuration["of"]


class Generations(RecordedGenerations):
    """Those of a ledger; `given` are the values that trials were given at the last turn."""

    def __init__(self, ledger, *, repeats=1, roles=None, fits=lambda one, other: True):
        roles = roles or {"rate": "algorithm", "units": "model"}
        self.given = {}
        super().__init__(
            ledger,
            ledger.layout,
            LOSS,
            0,
            repeats,
            lambda c: roles,
            fits,
            self.given.__setitem__,
        )


def turned(ledger, **how):
    """The values that trials are given after two epochs."""
    generations = Generations(ledger, **how)
    generations.turn(2, VALUES)
    return generations.given


VALUES = {f"t{number}": number / 10 for number in range(8)}


def test_the_worst_go_on_with_the_weights_of_the_best_under_other_values(ledger):
    tasks = turned(ledger)
    assert tasks.keys() == {"t6", "t7"}
    for name, values in tasks.items():
        record = ledger.trials[name]
        (change,) = record.changes
        assert change["from"] in ("t0", "t1") and change["epoch"] == 2
        assert change["before"] == {"rate": 0.01, "units": 4 + int(name[1])}
        assert (
            values
            == record.hyperparameters
            == {"rate": values["rate"], "units": 4 + int(change["from"][1])}
        )
        assert values["rate"] != 0.01 and RATE.contains(values["rate"])
        assert of(ledger, name) == change["from"]
        assert record.in_force(2) == change["before"] and record.in_force(3) == values
    assert all(
        of(ledger, f"t{n}") == f"t{n}" and not ledger.trials[f"t{n}"].changes for n in range(6)
    )
    assert read_trials(ledger.layout) == ledger.trials


def test_values_under_which_the_weights_would_not_fit_are_not_taken(ledger):
    turned(ledger, fits=lambda one, other: False)
    assert ledger.trials["t7"].hyperparameters["rate"] == 0.01
    assert ledger.trials["t7"].changes and of(ledger, "t7") in ("t0", "t1")


def test_a_boundary_that_was_cut_off_and_is_carried_out_again_ends_the_same(ledger, monkeypatch):
    expected = {}
    real = ledger.change
    calls = []

    def cut(*arguments):
        if calls:
            raise KeyboardInterrupt
        calls.append(arguments)
        real(*arguments)

    monkeypatch.setattr(ledger, "change", cut)
    with pytest.raises(KeyboardInterrupt):  # the second was copied and is not recorded
        turned(ledger)
    first = {name: record.changes for name, record in ledger.trials.items() if record.changes}
    assert len(first) == 1
    monkeypatch.setattr(ledger, "change", real)
    save(ledger, *first, epoch=3)  # it went on
    expected = turned(ledger)
    assert expected.keys() == {"t6", "t7"}
    assert of(ledger, *first) == next(iter(first)), "what was recorded is not done again"
    assert all(len(ledger.trials[name].changes) == 1 for name in expected)
    assert turned(ledger) == expected


def test_every_execution_is_taken_over(ledger):
    for name in VALUES:
        (ledger.layout.trial(name) / "last.npz").unlink()
        for execution in range(2):
            save(ledger, name, folder=f"execution-{execution}")
    turned(ledger, repeats=2)
    files = list(ledger.layout.trial("t7").rglob("last.npz"))
    assert sorted(f.parent.name for f in files) == ["execution-0", "execution-1"]
    source = ledger.layout.trial(ledger.trials["t7"].changes[0]["from"])
    for file in files:
        assert file.read_bytes() == (source / file.parent.name / "last.npz").read_bytes()


def test_whether_a_trial_is_saved_at_a_boundary(ledger):
    turn = Generations(ledger)
    assert turn.saved("t0", 2) and not turn.saved("t0", 4)
    save(ledger, "t0", epoch=1, ended=True)
    assert turn.saved("t0", 2)
    (ledger.layout.trial("t0") / "last.npz").write_bytes(b"damaged")
    assert not turn.saved("t0", 2)
    assert not (ledger.layout.trial("t0") / "last.npz").exists() and not turn.saved("t0", 2)
    twice = Generations(ledger, repeats=2)
    save(ledger, "t0", folder="execution-0")
    assert not twice.saved("t0", 2)
    save(ledger, "t0", folder="execution-1", epoch=1)
    assert not twice.saved("t0", 2)
    save(ledger, "t0", folder="execution-1")
    assert twice.saved("t0", 2)


# Searches.


def space(tmp_path, wait=0.0):
    file = tmp_path / "population.py"
    file.write_text(SPACE.replace("WAIT", str(wait)))
    return str(file)


def assert_same_records(one, other):
    for table in ("trials", "history"):
        first, second = (getattr(run, table).drop(columns="seconds") for run in (one, other))
        keys = ["trial", "epoch"] if table == "history" else ["trial"]
        first, second = (t.sort_values(keys).reset_index(drop=True) for t in (first, second))
        pd.testing.assert_frame_equal(first[sorted(first)], second[sorted(first)])


def changes_of(run):
    return {n: r.changes for n, r in read_trials(run.layout).items() if r.changes}


def assert_taken_over(run):
    """Each that took over is, an epoch later, nearer to its source than to what it was itself."""
    loss = run.history.set_index(["trial", "epoch"])["val_loss"]
    for name, changes in changes_of(run).items():
        for change in changes:
            after = loss[name, change["epoch"] + 1]
            source, own = loss[change["from"], change["epoch"]], loss[name, change["epoch"]]
            assert abs(after - source) < abs(after - own), (name, change)


@pytest.fixture
def population(search, tmp_path):
    """Run a search of a population over the space above."""

    def run(**settings):
        defaults = {"search_space": space(tmp_path), "scheduler": "pbt", "objective": "val_loss"}
        return search(**defaults | settings)

    return run


SIX = {"searcher": "random", "seed": 5, "trials": 6, "max_epochs": 6, "max_concurrent": 2}


@pytest.fixture(scope="module")
def alone(ray_cluster, tmp_path_factory):
    """A population of six that nothing befell."""
    folder = tmp_path_factory.mktemp("alone")
    settings = SIX | {"scheduler": "pbt", "objective": "val_loss", "storage": str(folder)}
    experiment = Experiment(dataset=str(FEW), search_space=space(folder), **settings)
    return tune(experiment, quiet=True)


@pytest.mark.slow
@pytest.mark.ray
def test_a_search_records_who_took_over_and_the_values_in_force_at_each_epoch(population):
    run = population(searcher="random", trials=5, max_epochs=5, keep_models=2)
    assert list(run.trials["status"]) == ["finished"] * 5 and list(run.trials["epochs"]) == [5] * 5
    changes = changes_of(run)
    assert changes and {c["epoch"] for past in changes.values() for c in past} <= {2, 4}
    assert_taken_over(run)
    history = run.history.set_index(["trial", "epoch"])
    for name, record in read_trials(run.layout).items():
        for epoch in range(1, 6):
            found = history.loc[(name, epoch)].filter(like="hp/").dropna()
            assert dict(found) == {f"hp/{n}": v for n, v in record.in_force(epoch).items()}
        for change in record.changes:
            source = history.loc[(change["from"], change["epoch"])]
            mine = history.loc[(name, change["epoch"] + 1)]
            assert mine["hp/hidden"] == source["hp/hidden"]  # the model is the source's
            assert (pd.isna(mine["hp/units"]) and pd.isna(source["hp/units"])) or mine[
                "hp/units"
            ] == source["hp/units"]
            assert (
                mine["hp/learning_rate"] != source["hp/learning_rate"]
                or mine["hp/rate"] != source["hp/rate"]
            )
    best = run.best
    row = history.loc[(best.trial, best.epoch)]
    assert {f"hp/{n}": v for n, v in best.hyperparameters.items()} == dict(
        row.filter(like="hp/").dropna()
    )
    own = run.trials.set_index("trial").loc[best.trial]
    assert {n: own[n] for n in best.hyperparameters} == best.hyperparameters
    assert list(run.directory.rglob("last.npz")) == []
    assert len(list(run.directory.rglob("best.npz"))) == 2


@pytest.mark.ray
@pytest.mark.slow
def test_what_comes_out_does_not_depend_on_how_many_run_at_once(population):
    settings = {"searcher": "random", "trials": 6, "max_epochs": 4, "perturbation_interval": 1}
    one, three = (population(max_concurrent=count, **settings) for count in (1, 3))
    assert changes_of(one) == changes_of(three) and changes_of(one)
    assert_same_records(one, three)
    assert_taken_over(three)


@pytest.mark.ray
@pytest.mark.slow
def test_a_population_of_one_comes_to_its_end(population):
    run = population(trials=1, max_epochs=3, perturbation_interval=1)
    assert list(run.trials["epochs"]) == [3]
    assert not changes_of(run)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("searcher", ["grid", "hyperopt"])
def test_a_space_smaller_than_the_trials_comes_to_its_end(population, tmp_path, searcher):
    (tmp_path / "small.py").write_text(
        "import keras\n\n"
        "def build(hp, data):\n"
        "    head = keras.layers.Dense(data.classes, activation='softmax')\n"
        "    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(), head])\n"
        "    rate = hp.Choice('rate', [0.001, 0.01, 0.1])\n"
        "    model.compile(keras.optimizers.SGD(rate), 'sparse_categorical_crossentropy', "
        "metrics=['accuracy'],\n"
        "                  run_eagerly=True)\n"
        "    return model\n"
    )
    small = str(tmp_path / "small.py")
    run = population(search_space=small, searcher=searcher, trials=30, max_epochs=5)
    assert (
        len(run.trials) == 3 and run.summary["exhausted"] and list(run.trials["epochs"]) == [5] * 3
    )
    assert changes_of(run)


@pytest.mark.ray
@pytest.mark.slow
def test_executions_are_taken_over_together(population):
    run = population(searcher="random", trials=4, max_epochs=4, executions_per_trial=2)
    assert list(run.trials["epochs"]) == [4] * 4
    assert changes_of(run)
    assert_taken_over(run)
    assert len(list(run.directory.rglob("best.npz"))) == 8 and not list(
        run.directory.rglob("last.npz")
    )


@pytest.mark.ray
@pytest.mark.slow
def test_members_that_diverge_drop_out(search, tmp_path):
    (tmp_path / "diverging.py").write_text(
        "import keras\n\n"
        "def build(hp, data):\n"
        "    head = keras.layers.Dense(1)\n"
        "    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(), head])\n"
        "    rate = hp.Choice('rate', [1e-5, 1e-4, 1e20, 1e30], ordered=False)\n"
        "    hp.Int('place', 1, 3)\n"
        "    model.compile(keras.optimizers.SGD(rate), 'mse', run_eagerly=True)\n"
        "    return model\n"
    )
    run = search(
        dataset="diabetes",
        search_space=str(tmp_path / "diverging.py"),
        searcher="grid",
        scheduler="pbt",
        trials=8,
        max_epochs=6,
    )
    counts = run.summary["trials"]
    assert (
        counts["failed"] >= 2
        and counts["unfinished"] == 0
        and counts["finished"] + counts["failed"] == 8
    )
    assert set(run.trials[run.trials["status"] == "finished"]["epochs"]) == {6}


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)  # three searches
def test_an_interrupted_search_goes_on_and_one_that_ended_can_be_extended(
    population, alone, tmp_path
):
    interruption = Interruption()

    class StopAfter(Watcher):
        count = 0

        def reported(self, report):
            self.count += 1
            if self.count == 13:
                interruption.signal = 15

    settings = SIX | {"storage": str(tmp_path / "cut")}
    cut = population(**settings, watchers=[StopAfter()], interruption=interruption)
    assert cut.summary["interrupted"] and list(cut.directory.rglob("last.npz"))
    again = population(resume=cut.directory, **settings)
    assert changes_of(again) == changes_of(alone)
    assert_same_records(again, alone)
    before = again.trials.drop(columns="seconds")  # read before the same directory is gone on with
    more = population(resume=cut.directory, **settings | {"trials": 7})
    assert list(more.trials["epochs"]) == [6] * 7
    kept = more.trials.head(6).drop(columns="seconds")
    pd.testing.assert_frame_equal(kept, before, check_dtype=False, check_like=True)
    assert more.best.objective == more.history["val_loss"].min() and more.best_model()


@pytest.mark.ray
@pytest.mark.slow
def test_a_time_budget_ends_a_population(population, tmp_path, monkeypatch):
    class Late(Watcher):
        """An hour goes by with the sixth report: how long the workers' start takes is no matter."""

        count = 0

        def reported(self, report):
            self.count += 1
            if self.count == 6:
                later = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600)
                monkeypatch.setattr(stopping, "time", later)

    run = population(
        search_space=space(tmp_path, wait=0.3),
        trials=6,
        max_epochs=400,
        time_budget_s=3600,
        watchers=[Late()],
    )
    counts = run.summary["trials"]
    assert counts["unfinished"] == counts["total"] > 0 and run.best is not None


# Processes that are killed.


def population_of_six(tmp_path, wait):
    """The population of six, as the command line is asked for it; an epoch takes `wait` seconds
    longer."""
    return [
        *(FEW, "--search-space", space(tmp_path, wait), "--scheduler", "pbt"),
        *("--searcher", "random", "--objective", "val_loss", "--seed", 5),
        *("--trials", 6, "--max-epochs", 6, "--max-concurrent", 2),
    ]


def lines_of(run):
    history = run / "history.jsonl"
    return history.read_text().count("\n") if history.exists() else 0


def killed_and_resumed(started_cli, run, arguments, cwd, marks, seed):
    """Kill the driver some time after each of so many reports, and go on; how often it was
    killed."""
    rng = random.Random(seed)
    process = started_cli(*arguments, "--name", run.name, cwd=cwd)
    kills = 0
    for mark in marks:
        while process.poll() is None and lines_of(run) < mark:
            time.sleep(0.01)
        time.sleep(rng.random() * 0.5)
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            workers = [
                p
                for p in family
                if p.is_running() and ("_Inner" in p.name() or p.name() == "ray::Helper")
            ]
            assert not psutil.wait_procs(workers, timeout=20)[1], (
                "a driver that is killed leaves its trials behind"
            )
            kills += 1
            process = started_cli("--resume", run, cwd=cwd)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return kills


def records(run):
    """Both tables, times aside, in an order of their own."""
    trials, history = (
        pd.read_csv(run / f"{name}.csv").drop(columns="seconds") for name in ("trials", "history")
    )
    return trials, history.sort_values(["trial", "epoch"]).reset_index(drop=True)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_again_and_again_a_search_ends_as_one_left_alone(started_cli, alone, tmp_path):
    arguments = population_of_six(tmp_path, wait=0.1)
    marks = [5, 12, 17]
    run = tmp_path / "runs" / "killed"
    assert killed_and_resumed(started_cli, run, arguments, tmp_path, marks, seed=2) >= 2
    for first, second in zip(records(run), records(alone.directory), strict=True):
        pd.testing.assert_frame_equal(first[sorted(first)], second[sorted(first)], check_like=True)
    assert not list(run.rglob("last.npz")) and not list(run.rglob(".*.npz*"))


@pytest.mark.ray
@pytest.mark.slow
def test_a_worker_that_is_killed_at_a_boundary_changes_nothing(started_cli, alone, tmp_path):
    run = tmp_path / "runs" / "hurt"
    arguments = population_of_six(tmp_path, wait=0.2)
    process = started_cli(*arguments, "--name", "hurt", cwd=tmp_path)
    kills = 0
    while process.poll() is None and kills < 3:
        at_boundary = lines_of(run) and json.loads(
            run.joinpath("history.jsonl").read_text().splitlines()[-1]
        )
        if at_boundary and at_boundary["epoch"] in (2, 4):
            victims = [
                p
                for p in psutil.Process(process.pid).children(recursive=True)
                if "_Inner" in p.name()
            ]
            for victim in victims[:1]:
                victim.kill()
                kills += 1
            time.sleep(2)
        time.sleep(0.005)
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    assert kills == 3
    for first, second in zip(records(run), records(alone.directory), strict=True):
        pd.testing.assert_frame_equal(first[sorted(first)], second[sorted(first)])
