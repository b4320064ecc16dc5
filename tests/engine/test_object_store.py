"""A search whose run is in an object store, whose machine is lost, and which another goes on
with."""

import contextlib
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from pipeline import tune
from pipeline.engine.same_search import resumed
from pipeline.errors import RequestError
from pipeline.records.entries.reports import read_history
from pipeline.records.entries.trials import read_trials
from pipeline.records.layout import Layout
from pipeline.records.outputs.results import Results
from pipeline.records.store.mirror import Mirror
from pipeline.records.store.remote import location
from tests.conftest import SECRET

SPACES = Path(__file__).parents[1] / "spaces"
pytestmark = [pytest.mark.ray, pytest.mark.slow]

SETTINGS = (
    SPACES / "few.py",
    "--search-space",
    SPACES / "slow.py",
    "--searcher",
    "random",
    "--scheduler",
    "none",
    "--trials",
    4,
    "--max-epochs",
    12,
    "--max-concurrent",
    1,
    "--cpus",
    1,
    "--name",
    "mine",
    "--storage",
)


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
def test_a_search_whose_machine_is_lost_goes_on_from_the_store(cli, started_cli, bucket, tmp_path):
    code, _, errors = cli(*SETTINGS, tmp_path, timeout=400)
    assert code == 0, errors
    home = location(f"{bucket}/runs/mine")
    first = started_cli(*SETTINGS, home.parent)
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
    code, output, errors = cli("--resume", home, timeout=400)
    assert code == 0, errors
    assert (
        re.search(rf"^records +{home}$", output, re.MULTILINE)
        and f"{home}/best/model.keras" in output
    )

    with Mirror(home, tmp_path / "brought") as mirror:
        mirror.bring_back()
        records, history = read(mirror.layout)
        expected, epochs = read(Layout(tmp_path / "mine"))
        assert records == expected
        assert sorted(history) == sorted(epochs)  # each once
        assert [(t, e) for t, e, _ in history] == [(t, e) for t, e, _ in epochs]
        assert not (mirror.layout.root / ".lock").exists() and (home / ".lock").written() is None
    results = Results(str(home))
    assert results.best == Results(tmp_path / "mine").best
    assert not list(home.rglob("last.npz")) and len(list(home.rglob("best.npz"))) == 4
    assert (
        all(SECRET.encode() not in path.read_bytes() for path in home.rglob())
        and SECRET not in output + errors
    )


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
