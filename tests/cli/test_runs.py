"""Whole runs through the command line, each in processes of its own, some of them killed."""

import ipaddress
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from pipeline.watch import PASSED_ON

SPACES = Path(__file__).parents[1] / "spaces"
pytestmark = pytest.mark.ray


def wait_for(condition, timeout=120):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for_reports(run, count, timeout=120):
    history = run / "history.jsonl"
    wait_for(lambda: history.exists() and history.read_text().count("\n") >= count, timeout)


def epochs_of(run):
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [(line["trial"], line["epoch"]) for line in lines]


def in_order(pairs):
    """Whether each trial's epochs are 1, 2, 3, …"""
    seen = {}
    for trial, epoch in pairs:
        if epoch != seen.get(trial, 0) + 1:
            return False
        seen[trial] = epoch
    return True


def test_a_search_with_the_defaults_leaves_every_record(cli, tmp_path):
    code, output, errors = cli(
        "digits", "--trials", 6, "--max-epochs", 3, "--name", "first", cwd=tmp_path
    )
    assert code == 0, errors
    assert errors == ""  # no log noise from TensorFlow or Ray
    assert "hyperopt + asha, seed 0" in output and "test" in output and "\nfit plans  " in output
    run = tmp_path / "runs" / "first"
    assert {p.name for p in run.iterdir()} == {
        ".copies",
        ".lock",
        "best",
        "checksums.json",
        "debug.log",
        "decisions.jsonl",
        "experiment.yaml",
        "history.csv",
        "history.jsonl",
        "summary.json",
        "trials",
        "trials.csv",
    }
    summary = json.loads((run / "summary.json").read_text())
    assert summary["trials"]["total"] == 6
    assert set(summary) >= {"best", "test", "trials", "epochs", "wall_clock_s", "versions"}
    assert set(summary["best"]) == {"trial", "hyperparameters", "objective", "epoch", "final"}
    trials, history = pd.read_csv(run / "trials.csv"), pd.read_csv(run / "history.csv")
    assert len(history) == summary["epochs"] == trials["epochs"].sum()
    assert trials["val_accuracy"].max() == summary["best"]["objective"]
    # only what was requested: no width of a layer that does not exist
    for _, trial in trials.iterrows():
        for i in range(5):
            if f"units_{i}" in trials:
                assert pd.notna(trial[f"units_{i}"]) == (i < trial["num_layers"])
    assert (run / "best" / "model.keras").stat().st_size > 0
    assert (
        json.loads((run / "best" / "hyperparameters.json").read_text())
        == summary["best"]["hyperparameters"]
    )
    assert summary["test"]["accuracy"] > 0.6


@pytest.mark.slow
def test_killed_moved_and_resumed_a_search_has_all_its_trials_and_no_epoch_twice(
    started_cli, cli, tmp_path
):
    run = tmp_path / "runs" / "killed"
    arguments = (
        "digits",
        "--search-space",
        SPACES / "slow.py",
        "--trials",
        8,
        "--max-epochs",
        4,
        "--name",
        "killed",
    )
    process = started_cli(*arguments, cwd=tmp_path)
    wait_for_reports(run, 3)
    code, _, errors = cli("--resume", run, cwd=tmp_path)
    assert code == 2 and f"{run} is in use by another." in errors
    wait_for_reports(run, 7)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    workers = [
        p
        for p in family
        if p.is_running() and ("_Inner" in p.name() or p.name() in ("ray::Helper", "raylet"))
    ]
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert workers and not alive, "a driver that is killed leaves its trials behind"
    before = epochs_of(run)
    run = run.rename(tmp_path / "elsewhere")
    code, output, errors = cli("--resume", run, cwd=tmp_path)
    assert code == 0, errors
    assert not (tmp_path / "runs" / "killed").exists() and "elsewhere/best/model.keras" in output
    after = epochs_of(run)
    assert after[: len(before)] == before
    assert len(set(after)) == len(after) and in_order(after)
    trials = pd.read_csv(run / "trials.csv")
    assert len(trials) == 8 and set(trials["status"]) <= {"finished", "stopped"}


@pytest.mark.slow
def test_a_finished_run_is_not_touched_again_and_can_be_extended(search, cli, tmp_path):
    run = search(trials=4, max_epochs=2).directory
    after = epochs_of(run)
    code, output, _ = cli("--resume", run, cwd=tmp_path)
    assert code == 0 and "4 (" in output and epochs_of(run) == after
    code, _, errors = cli("--resume", run, "--trials", 5, cwd=tmp_path)
    assert code == 0, errors
    assert len(pd.read_csv(run / "trials.csv")) == 5 and epochs_of(run)[: len(after)] == after


@pytest.mark.slow
def test_a_trial_whose_worker_is_killed_goes_on_from_its_checkpoint(started_cli, tmp_path):
    run = tmp_path / "runs" / "hurt"
    arguments = ("--scheduler", "none", "--trials", 3, "--max-epochs", 5, "--name", "hurt")
    process = started_cli("digits", "--search-space", SPACES / "slow.py", *arguments, cwd=tmp_path)
    wait_for_reports(run, 4)
    family = psutil.Process(process.pid).children(recursive=True)
    victims = [p for p in family if "_Inner" in p.name()]  # as Tune names the actors of trials
    victims[0].kill()
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "raylet" not in output + errors  # Ray's own paragraph about it
    assert in_order(epochs_of(run))
    trials = pd.read_csv(run / "trials.csv")
    assert list(trials["status"]) == ["finished"] * 3 and list(trials["epochs"]) == [5] * 3


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (PASSED_ON, 143)])
def test_a_signal_ends_a_search_with_the_best_so_far(started_cli, tmp_path, number, code):
    run = tmp_path / "runs" / "stopped"
    space = SPACES / "slow.py"
    process = started_cli(
        "digits",
        "--search-space",
        space,
        "--trials",
        50,
        "--max-epochs",
        20,
        "--name",
        "stopped",
        cwd=tmp_path,
    )
    wait_for_reports(run, 4)
    listeners = [
        ipaddress.ip_address(c.laddr.ip.removeprefix("::ffff:"))
        for p in psutil.Process(process.pid).children(recursive=True)
        for c in p.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN
    ]
    # nothing is reachable from other hosts
    assert listeners and all(ip.is_loopback for ip in listeners)
    asked = time.monotonic()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert time.monotonic() - asked < 30
    summary = json.loads((run / "summary.json").read_text())
    assert summary["interrupted"] and summary["trials"]["unfinished"] > 0
    assert summary["best"] and (run / "best" / "model.keras").exists()
    assert "Go on with: python -m pipeline.run --resume" in output


@pytest.mark.slow
def test_a_second_signal_ends_a_search_at_once(started_cli, cli, tmp_path):
    run = tmp_path / "runs" / "twice"
    asked = ("--trials", 3, "--max-epochs", 3, "--scheduler", "none")
    process = started_cli(
        "digits", "--search-space", SPACES / "slow.py", *asked, "--name", "twice", cwd=tmp_path
    )
    wait_for_reports(run, 1)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # two that come at once are one
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode == 130 and time.monotonic() - asked < 5
    _, alive = psutil.wait_procs(family, timeout=30)
    assert family and not alive
    code, _, errors = cli("--resume", run, cwd=tmp_path)
    assert code == 0, errors
    assert sorted(epochs_of(run)) == [
        (f"t000{trial}", epoch) for trial in range(3) for epoch in range(1, 4)
    ]


@pytest.mark.slow
def test_a_signal_before_the_first_trial_leaves_nothing(started_cli, tmp_path):
    process = started_cli("digits", cwd=tmp_path)
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not list(tmp_path.rglob("experiment.yaml"))


SLOW_DATA = """
import time
from pathlib import Path
from pipeline.datasets import digits

def load(seed):
    Path("loading").touch()
    time.sleep(60)
    return digits.load(seed)
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_signal_while_data_is_loaded_is_no_error_of_rays(options, started_cli, tmp_path):
    (tmp_path / "slow_data.py").write_text(SLOW_DATA)
    process = started_cli("slow_data.py", *options, cwd=tmp_path)
    wait_for(lambda: (tmp_path / "loading").exists())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines() == ["Error: Stopped by signal 2. Nothing was recorded."]


@pytest.mark.slow
def test_a_time_budget_ends_the_search_and_an_experiment_file_asks_the_same_again(cli, tmp_path):
    space = SPACES / "slow.py"
    code, _, errors = cli(
        "digits",
        "--search-space",
        space,
        "--trials",
        500,
        "--time-budget",
        "5s",
        "--name",
        "short",
        cwd=tmp_path,
    )
    assert code == 0, errors
    run = tmp_path / "runs" / "short"
    summary = json.loads((run / "summary.json").read_text())
    assert 0 < summary["trials"]["total"] < 60
    code, output, _ = cli(run / "experiment.yaml", "--dry-run", cwd="/")
    assert code == 0 and "500 trials" in output and "0:00:05" in output
    code, _, errors = cli("--resume", run, cwd=tmp_path)
    assert code == 2 and "To go on it needs a longer --time-budget." in errors


@pytest.mark.slow
def test_dry_run_shows_the_plan_and_trains_nothing(cli, tmp_path):
    code, output, errors = cli("digits", "--dry-run", "--trials", 30, "--cpus", 2, cwd=tmp_path)
    assert code == 0, errors
    text = " ".join(output.split())
    assert "30 trials, at most 10 epochs each: at most 300 epochs" in text
    assert "2 trials, each 1 CPU" in text and "learning_rate float 0.0001 to 0.01, log" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_users_own_dataset_and_space_work_from_outside_the_repository(cli, tmp_path):
    (tmp_path / "my_data.py").write_text(
        "import numpy as np\n\n"
        "def load():\n"
        "    x = np.genfromtxt('table.csv', delimiter=',').astype('float32')\n"
        "    return x, (x[:, 0] > 0).astype('int64')\n"
    )
    np.savetxt(
        tmp_path / "table.csv", np.random.default_rng(0).normal(size=(300, 4)), delimiter=","
    )
    (tmp_path / "my_layers.py").write_text("WIDTHS = [4, 8]\n")
    (tmp_path / "my_space.py").write_text(
        "import keras\nfrom my_layers import WIDTHS\n\n"
        "def build_model(hp):\n"
        "    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(hp.Choice('width', "
        "WIDTHS)),\n"
        "                              keras.layers.Dense(1, activation='sigmoid')])\n"
        "    model.compile('adam', 'binary_crossentropy', metrics=['accuracy', "
        "keras.metrics.AUC(name='auc')])\n"
        "    return model\n"
    )
    arguments = (
        "my_data.py",
        "--search-space",
        "my_space.py",
        "--objective",
        "val_auc",
        "--trials",
        5,
    )
    code, output, errors = cli(*arguments, "--max-epochs", 2, "--quiet", cwd=tmp_path)
    assert code == 0, errors
    assert "The search space is exhausted: it has no more than 2 configurations." in output
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("my_data-my_space-")
    assert sorted(pd.read_csv(run / "trials.csv")["width"]) == [4, 8]


@pytest.mark.slow
def test_a_space_whose_import_fails_shows_the_users_traceback(cli, tmp_path):
    (tmp_path / "broken.py").write_text(
        "import keras\nimport no_such_module\n\ndef build(hp, data):\n    pass\n"
    )
    code, _, errors = cli("digits", "--search-space", "broken.py", cwd=tmp_path)
    assert code == 2
    assert (
        'broken.py", line 2, in <module>' in errors
        and "ModuleNotFoundError: No module named" in errors
    )
    assert "pipeline/worker" not in errors and "ray" not in errors.lower().replace("array", "")
    assert not (tmp_path / "runs").exists()


TELLING = """
from pipeline.search_spaces.mlp import build

def fit(hp, model, *args, callbacks, **kwargs):
    done = model.fit(*args, callbacks=callbacks, **kwargs)
    print(callbacks[0].fit_plan)
    return done
"""


@pytest.mark.slow
def test_inline_trains_one_trial_here_and_lets_an_exception_through(cli, tmp_path):
    code, output, errors = cli("digits", "--inline", "--max-epochs", 2, cwd=tmp_path)
    assert code == 0, errors
    assert "epoch 2 " in output and "val_accuracy=" in output
    (tmp_path / "broken.py").write_text("def build(hp, data):\n    return 1 / 0\n")
    (tmp_path / "telling.py").write_text(TELLING)
    asked = ("--inline", "--fit-plan", "plain")
    code, output, errors = cli("digits", "--search-space", "telling.py", *asked, cwd=tmp_path)
    assert code == 0 and "plain: asked for" in output, errors
    code, _, errors = cli("digits", "--search-space", "broken.py", "--inline", cwd=tmp_path)
    assert (
        code == 1
        and "ZeroDivisionError" in errors
        and os.linesep + "Traceback" in os.linesep + errors
    )
