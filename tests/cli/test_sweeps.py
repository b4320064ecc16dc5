"""Whole sweeps through the command line: cut off, gone on with, compared."""

import json
import signal
import time
from pathlib import Path

import psutil
import pytest
import yaml

SPACES = Path(__file__).parents[1] / "spaces"
PATIENCE_S = 240  # some 20 are needed where nothing else runs
pytestmark = [pytest.mark.ray, pytest.mark.slow]


def write_sweep(folder, *, defaults, **parts):
    defaults = {
        "dataset": str(SPACES / "few.py"),
        "search_space": str(SPACES / "tiny.py"),
        **defaults,
    }
    text = yaml.safe_dump({"name": "nightly", "defaults": defaults, **parts})
    (folder / "sweep.yaml").write_text(text)


def wait_for_reports(sweep, experiment, count):
    """Until the last sitting's search has so many epochs."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for history in sorted(sweep.glob(f"*/runs/{experiment}/history.jsonl"))[-1:]:
            if history.read_text().count("\n") >= count:
                return
        time.sleep(0.1)
    raise AssertionError(f"no {count} reports of {experiment} in {sweep} after {PATIENCE_S} s")


def statuses(sitting):
    return {
        n: o["status"]
        for n, o in json.loads((sitting / "sweep.json").read_text())["outcomes"].items()
    }


@pytest.mark.timeout(4 * PATIENCE_S)
def test_killed_and_stopped_a_sweep_goes_on_and_leaves_out_what_is_done(cli, started_cli, tmp_path):
    slow = {"name": "slow", "search_space": str(SPACES / "slow.py"), "trials": 4, "max_epochs": 6}
    write_sweep(
        tmp_path, defaults={"trials": 2, "max_epochs": 1}, experiments=[{"name": "quick"}, slow]
    )
    sweep = tmp_path / "runs" / "nightly"

    killed = started_cli("sweep.yaml", cwd=tmp_path)
    wait_for_reports(sweep, "slow", 3)
    code, _, errors = cli("sweep.yaml", cwd=tmp_path)
    assert code == 2 and f"{sweep} is in use by another." in errors
    family = psutil.Process(killed.pid).children(recursive=True)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert family and not alive, "a sweep that is killed leaves its searches behind"

    stopped = started_cli("sweep.yaml", cwd=tmp_path)
    wait_for_reports(sweep, "slow", 6)
    family = psutil.Process(stopped.pid).children(recursive=True)
    # as Ray stops a job: the search gets it twice
    for process in [psutil.Process(stopped.pid), *family[:1]]:
        process.send_signal(signal.SIGTERM)
    output, errors = stopped.communicate(timeout=PATIENCE_S)
    assert stopped.returncode == 143, errors
    (sitting,) = (path.parent for path in sweep.glob("*/sweep.json"))
    assert f"The sitting {sitting.name} of nightly goes on: runs/nightly/{sitting.name}\n" in output
    assert "quick begins" not in output and "slow is stopped" in output
    assert statuses(sitting) == {"quick": "done", "slow": "unfinished"}
    assert json.loads((sitting / "runs" / "slow" / "summary.json").read_text())["interrupted"]

    code, output, errors = cli("sweep.yaml", cwd=tmp_path, timeout=PATIENCE_S)
    assert code == 0, output + errors
    assert statuses(sitting) == {"quick": "done", "slow": "done"}
    lines = [
        json.loads(line)
        for line in (sitting / "runs" / "slow" / "history.jsonl").read_text().splitlines()
    ]
    epochs = [(line["trial"], line["epoch"]) for line in lines]
    assert len(set(epochs)) == len(epochs) and len({trial for trial, _ in epochs}) == 4
    assert {path.name for path in sitting.iterdir()} == {
        "sweep.json",
        "experiments",
        "logs",
        "runs",
        "comparison.md",
        "comparison.json",
    }
    assert (sitting / "logs" / "quick.log").read_text().count("Records: ") == 1
    assert (sitting / "comparison.md").read_text() in output


@pytest.mark.timeout(3 * PATIENCE_S)
def test_side_by_side_experiments_are_compared_with_the_night_before(cli, tmp_path):
    same = {"matrix": {"seed": [0, 1]}, "parallel": 2, "time_budget": "40m"}
    write_sweep(tmp_path, defaults={"trials": 2, "max_epochs": 1}, **same)
    code, output, errors = cli("sweep.yaml", cwd=tmp_path, timeout=PATIENCE_S)
    assert code == 0, output + errors
    (first,) = (path.parent for path in (tmp_path / "runs" / "nightly").glob("*/sweep.json"))
    begun = [line.split(":")[0] for line in output.splitlines() if " begins, for at most" in line]
    assert begun == [
        "few-tiny-seed-0 begins, for at most 0",
        "few-tiny-seed-1 begins, for at most 0",
    ]
    runs = [first / "runs" / f"few-tiny-seed-{seed}" for seed in (0, 1)]
    times = [
        (path.stat().st_mtime for path in (run / "experiment.yaml", run / "history.jsonl"))
        for run in runs
    ]  # when each began and ended to search
    (began, ended), (began_other, ended_other) = times
    assert began < ended_other and began_other < ended
    for run in runs:  # with one at a time each would have the half of it
        assert 1200 < yaml.safe_load((run / "experiment.yaml").read_text())["time_budget_s"] <= 2400

    failing = {"name": "failing", "search_space": str(SPACES / "failing.py"), "trials": 4}
    write_sweep(
        tmp_path,
        defaults={"trials": 2, "max_epochs": 1},
        **same | {"matrix": {"seed": [0]}},
        experiments=[failing],
    )
    code, output, errors = cli("sweep.yaml", "--quiet", cwd=tmp_path, timeout=PATIENCE_S)
    assert code == 1, output + errors
    assert (
        output.startswith("# nightly, ")
        and "| failed: 3 trials in a row failed in the same way: " in output
    )
    (second,) = {path.parent for path in (tmp_path / "runs" / "nightly").glob("*/sweep.json")} - {
        first
    }
    rows = {
        row["experiment"]: row
        for row in json.loads((second / "comparison.json").read_text())["experiments"]
    }
    assert (
        rows["few-tiny-seed-0"]["verdict"] == "same"
        and rows["few-tiny-seed-0"]["sitting"] == first.name
    )
    assert rows["few-tiny-seed-0"]["now"]["examples"] == 32
    assert rows["failing"]["status"] == "failed"
