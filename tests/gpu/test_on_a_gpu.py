"""What only a GPU can show: `make test-gpu`, in some minutes. Where there is none, it says so.

None of this was ever run: no GPU was at hand.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.records.entries.trials import read_trials
from pipeline.records.layout import Layout
from pipeline.worker.devices import busy, cuda
from tests.conftest import installed, run_cli

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(900),
    pytest.mark.skipif(cuda.first() is None, reason="CUDA shows no GPU here"),
]
ROOT = Path(__file__).parents[2]
BACKENDS = [installed(name) for name in ("tensorflow", "jax")]
# float32 products may be of 10 bits on a GPU (TF32)
TF32 = 2e-2


def trained(*arguments, cwd, **environment):
    """Search on digits; what was printed, and the trials' records."""
    few = ("--trials", 4, "--max-epochs", 2, "--name", "run", *arguments)
    code, output, errors = run_cli("digits", *few, cwd=cwd, timeout=600, **environment)
    assert code == 0, errors
    return output, list(read_trials(Layout(cwd / "runs" / "run")).values())


def test_it_has_a_name_memory_and_a_busy_share():
    assert cuda.model() and cuda.memory().total_mib > 1000
    with busy.Busy() as seen:
        seen._over.wait(2)
    assert seen.share is None or 0 <= seen.share <= 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_used_without_being_asked_for(backend, tmp_path):
    output, records = trained(cwd=tmp_path, KERAS_BACKEND=backend)
    assert re.search(
        r"^GPU +a whole one for each, not measured: the search trains on", output, re.M
    )
    assert {record.status for record in records} <= {"finished", "stopped"}
    assert all(record.devices not in ("", "-1") for record in records)


@pytest.mark.parametrize("backend", BACKENDS)
def test_with_0_trials_keep_to_cpus(backend, tmp_path):
    output, records = trained("--gpus-per-trial", 0, cwd=tmp_path, KERAS_BACKEND=backend)
    assert {record.devices for record in records} == {"-1"} and "\nGPU  " not in output


@pytest.mark.parametrize("backend", BACKENDS)
def test_four_trials_share_it(backend, tmp_path):
    shares = ("--gpus-per-trial", 0.25, "--scheduler", "none")
    _, records = trained(*shares, cwd=tmp_path, KERAS_BACKEND=backend)
    assert {record.status for record in records} == {"finished"}
    assert [record.gpus for record in records] == [None] * 4, "a share was enough for each"


@pytest.mark.parametrize("backend", BACKENDS)
def test_auto_measures_and_remembers(backend, tmp_path):
    given = {"KERAS_BACKEND": backend, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    output, _ = trained("--gpus-per-trial", "auto", cwd=tmp_path, **given)
    (line,) = re.findall(r"^GPU +(\S.*)$", output, re.M)
    assert line.startswith(("a whole one for each: ", "2 share one", "4 share one")), line
    (found,) = json.loads((tmp_path / "cache" / "kerasweep" / "gpus.json").read_text()).values()
    assert found["measured"]["peak_mib"] > 0 and found["measured"]["rates"]["1"] > 0
    again = run_cli("digits", "--gpus-per-trial", "auto", "--dry-run", cwd=tmp_path, **given)
    assert line in again[1] and "measuring the default model" not in "".join(again[1:])


SCORES = """
import json, os
import keras
from pipeline.worker.devices import machine
machine.claim(2, 1)
from pipeline.worker.backends.known import current
from tests.worker.fitting.test_plans import dense, model, trained
from tests.worker.stage import dataset
found = {"on_gpu": current().on_gpu()}
for plan in current().plans:
    history, chosen, _ = trained(plan, model(dense), dataset("digits", 330))
    found[plan] = [chosen.name, history["val_loss"]]
print(json.dumps(found))
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_fit_plan_has_the_results_of_kerass_own_fit(backend):
    done = subprocess.run(
        [sys.executable, "-c", SCORES],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("on_gpu")
    for plan, (name, losses) in found.items():
        assert name == plan and losses == pytest.approx(found["plain"][1], rel=TF32)


@pytest.fixture(scope="module")
def caps(tmp_path_factory):
    """What the benchmark finds of each backend."""
    folder = tmp_path_factory.mktemp("caps")
    done = subprocess.run(
        [sys.executable, "gpu.py", "caps"],
        cwd=ROOT / "benchmarks",
        env=os.environ | {"BENCHMARK_RESULTS": str(folder)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    (record,) = folder.glob("*-gpu-caps.json")
    return {each["backend"]: each for each in json.loads(record.read_text())["caps"]}


@pytest.mark.parametrize("backend", [*BACKENDS, installed("torch")])
def test_a_memory_cap_holds_beside_a_neighbour_that_asks_for_too_much(backend, caps):
    assert caps[backend]["verified"] and caps[backend]["holds"], caps[backend]
