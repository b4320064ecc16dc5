"""A search whose run is in an object store, whose machine is lost, and which another goes on
with."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline import open_run, tune
from pipeline.engine.same_search import resumed
from pipeline.errors import RequestError
from pipeline.records.entries.reports import read_history
from pipeline.records.entries.trials import read_trials
from pipeline.records.outputs.results import Results
from pipeline.records.store.mirror import Mirror
from pipeline.records.store.remote import location
from tests.conftest import ROOT, SECRET, SPACES

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SETTINGS = {
    "dataset": str(SPACES / "few.py"),
    "searcher": "random",
    "scheduler": "none",
    "trials": 4,
    "max_epochs": 12,
    "max_concurrent": 1,
    "name": "mine",
}
# Goes on with a run, and takes one that is not heard of for that of a dead process sooner.
HASTY = """
from pipeline.records.store import lease
from pipeline.run import main
lease.LEASE_S = 15.0
main()
"""


def read(layout):
    """What was asked of each trial, and its epochs in the order of their coming."""
    records = {
        name: (record.status, record.hyperparameters)
        for name, record in read_trials(layout).items()
    }
    return records, [
        (report.trial, report.epoch, report.objective) for report in read_history(layout)
    ]


@pytest.mark.timeout(900)
def test_a_search_whose_machine_is_lost_goes_on_from_the_store(
    search, started_cli, bucket, tmp_path
):
    shutil.copy(SPACES / "tiny.py", tmp_path)
    space = tmp_path / "slow.py"
    slow = (SPACES / "slow.py").read_text()
    space.write_text(slow.replace("sleep(0.5)", "sleep(0)"))
    undisturbed = search(search_space=str(space), **SETTINGS)
    space.write_text(slow)
    home = location(f"{bucket}/runs/mine")
    (tmp_path / "asked.yaml").write_text(
        yaml.safe_dump(SETTINGS | {"search_space": str(space), "storage": str(home.parent)})
    )
    first = started_cli("asked.yaml", "--name", "mine", "--cpus", 1, cwd=tmp_path)
    wait_for(b'"t0000"', home, first)
    with pytest.raises(
        RequestError, match=f"must belong to one process; {home} is in use by another, process "
    ):
        tune(resumed(str(home)), resume=str(home))
    wait_for(b'"t0001"', home, first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    for folder in Path(tempfile.gettempdir()).glob(f"kerasweep-{first.pid}-*"):
        shutil.rmtree(folder, ignore_errors=True)
    again = subprocess.run(
        [sys.executable, "-c", HASTY, "--resume", str(home), "--cpus", "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    output, errors = again.stdout, again.stderr
    assert again.returncode == 0, errors
    assert (
        re.search(rf"^records +{home}$", output, re.MULTILINE)
        and f"{home}/best/model.keras" in output
    )

    with Mirror(home, tmp_path / "brought") as mirror:
        mirror.bring_back()
        records, history = read(mirror.layout)
        expected, epochs = read(undisturbed.layout)
        assert records == expected
        assert sorted(history) == sorted(epochs)  # each once
        assert [(t, e) for t, e, _ in history] == [(t, e) for t, e, _ in epochs]
        assert not (mirror.layout.root / ".lock").exists() and (home / ".lock").written() is None
    results = Results(str(home))
    assert results.best == undisturbed.best
    assert not list(home.rglob("last.npz")) and len(list(home.rglob("best.npz"))) == 4
    assert (
        all(SECRET.encode() not in path.read_bytes() for path in home.rglob())
        and SECRET not in output + errors
    )


def test_folds_are_kept_in_the_store_and_measured_again_from_there(cli, bucket, tmp_path):
    settings = SETTINGS | {"search_space": str(SPACES / "tiny.py"), "storage": f"{bucket}/runs"}
    settings |= {"trials": 2, "max_epochs": 2, "folds": 2}
    (tmp_path / "asked.yaml").write_text(yaml.safe_dump(settings))
    code, _, errors = cli("asked.yaml", "--name", "mine", "--cpus", 1, cwd=tmp_path)
    assert code == 0, errors

    run = open_run(f"{bucket}/runs/mine")
    assert run.summary["check"]["result"] == "equal" and run.summary["saved"] == "refit"
    assert len(run.summary["folds"]) == 2 and run.summary["refit_examples"] == 128
    kept = {path.parent.name for path in location(f"{bucket}/runs/mine").rglob("best.npz")}
    assert kept == {"execution-0", "execution-1"}
    told = run.predict(np.zeros((3, 64, 1)))
    assert len(told) == 3 and told.filter(like="probability").shape == (3, 10)


def wait_for(what, home, process):
    """Until it is in the mirrored history."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(FileNotFoundError):
            if what in (home / "history.jsonl").read_bytes():
                return
        time.sleep(0.5)
    pytest.fail(f"{what} was not mirrored")
