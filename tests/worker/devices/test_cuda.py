"""Which GPU this process sees and what it holds, asked of stand-ins for NVIDIA's two libraries."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.worker.devices.machine import memory_cap_mib
from tests.conftest import installed, run_cli

ROOT = Path(__file__).parents[3]

# A GPU of 40,000 MiB. CUDA knows it by sixteen bytes, NVML by the name that they make after the
# prefix in $PREFIX; what is free stands in the file $FREE.
CUDA = """
#include <string.h>
int cuInit(unsigned flags) { return flags; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int place) { *device = 7 + place; return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = device == 7 ? 40000UL << 20 : 1; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, device == 7 ? "NVIDIA Stand-in" : "another", length);
    return 0;
}
int cuDeviceGetUuid_v2(unsigned char *name, int device) {
    for (int i = 0; i < 16; i++) name[i] = device == 7 ? 0xa0 + i : 0;
    return 0;
}
"""
NVML = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int error) { return "not found"; }
int nvmlDeviceGetHandleByUUID(const char *name, void **handle) {
    char known[64];
    snprintf(known, sizeof known, "%s-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf", getenv("PREFIX"));
    *handle = NULL;
    return strcmp(name, known) ? 6 : 0;
}
int nvmlDeviceGetUtilizationRates(void *handle, unsigned *rates) {
    static unsigned looks = 0;
    if (getenv("UNTOLD")) return 3;
    rates[0] = looks++ % 2 ? 20 : 60; rates[1] = 0;
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long *memory) {
    unsigned long free_mib = 0;
    FILE *file = fopen(getenv("FREE"), "r");
    if (!file || fscanf(file, "%lu", &free_mib) != 1) return 1;
    fclose(file);
    memory[0] = 40000UL << 20; memory[1] = free_mib << 20; memory[2] = memory[0] - memory[1];
    return 0;
}
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """A folder with both."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("nvidia")
    for name, source in {"libcuda.so.1": CUDA, "libnvidia-ml.so.1": NVML}.items():
        (folder / "source.c").write_text(source)
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-o", folder / name, folder / "source.c"], check=True
        )
    return folder


def start(code, libraries, tmp_path, free_mib, prefix="GPU", **environment):
    (tmp_path / "free").write_text(str(free_mib))
    ours = ("XLA_", "CUDA_", "JAX_", "KERAS_BACKEND")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    given = {
        "LD_LIBRARY_PATH": str(libraries),
        "PYTHONPATH": str(ROOT),
        "FREE": str(tmp_path / "free"),
    }
    given |= {"PREFIX": prefix, "TMPDIR": str(tmp_path)}
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import json, os\nfrom pipeline.worker.devices import cuda, machine\n{code}",
        ],
        env=clean | given | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process):
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(output)


SHOWN = "found = cuda.memory()\nprint(json.dumps([found.total_mib, found.free_mib]))"


@pytest.mark.parametrize(("prefix", "free"), [("GPU", 12345), ("MIG", 12345), ("another", None)])
def test_the_first_that_cuda_shows_is_asked_for_whole_or_a_part_of_one(
    prefix, free, libraries, tmp_path
):
    assert told(start(SHOWN, libraries, tmp_path, 12345, prefix)) == [40000, free]


SEEN = "print(json.dumps([cuda.has_driver(), cuda.model(), cuda.memory() is not None]))"


def test_without_a_driver_there_is_no_gpu(tmp_path):
    assert told(start(SEEN, tmp_path, tmp_path, 0)) == [False, "", False]


def test_with_one_the_maker_names_the_gpu(libraries, tmp_path):
    assert told(start(SEEN, libraries, tmp_path, 0)) == [True, "NVIDIA Stand-in", True]


BUSY = """
import time
from pipeline.worker.devices import busy
busy.EVERY_S = 0.01
with busy.Busy() as seen:
    time.sleep(0.5)
print(json.dumps(seen.share))
"""


def test_how_busy_it_is_is_the_mean_of_what_nvml_says_if_it_says_it(libraries, tmp_path):
    assert told(start(BUSY, libraries, tmp_path, 0)) == pytest.approx(0.4, abs=0.05)
    assert told(start(BUSY, libraries, tmp_path, 0, UNTOLD="1")) is None
    assert told(start(BUSY, tmp_path, tmp_path, 0)) is None


TAKEN = """
from pipeline.engine.gpus import gauge
gauge.FREED_S = 0.1
print(json.dumps(gauge._check_free()))
"""


def test_a_gpu_of_whose_memory_others_have_more_than_half_is_refused(libraries, tmp_path):
    assert told(start(TAKEN, libraries, tmp_path, 20_000)) is None
    _, errors = start(TAKEN, libraries, tmp_path, 19_999).communicate(timeout=120)
    assert errors.splitlines()[-1] == (
        "pipeline.errors.RequestError: A trial with a GPU needs half of its memory free; 19,999 of "
        "40,000 MiB are: see nvidia-smi."
    )


def test_jax_gets_the_same_cap_as_the_others_and_what_the_user_set_stays(libraries, tmp_path):
    code = "machine.prepare_process(1, 0.25)\nprint(json.dumps({n: v for n, v in os.environ.items() if 'FRACTION' in n}))"
    cap = memory_cap_mib(40000, 0.25)
    assert told(start(code, libraries, tmp_path, 0)) == {
        "XLA_CLIENT_MEM_FRACTION": f"{cap / 40000:.4f}"
    }
    # JAX refuses both together
    for name in ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
        assert told(start(code, libraries, tmp_path, 0, **{name: "0.3"})) == {name: "0.3"}


TENSORFLOW = """
import tensorflow as tf
given = []
tf.config.list_physical_devices = lambda kind=None: [kind]
tf.config.set_logical_device_configuration = lambda device, limits: given.append([device, limits[0].memory_limit])
"""
TORCH = """
import torch
given = []
torch.cuda.is_available = lambda: True
torch.cuda.set_per_process_memory_fraction = lambda fraction: given.append(["GPU", round(40000 * fraction)])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "stand_in"),
    [("tensorflow", TENSORFLOW), pytest.param("torch", TORCH, marks=installed("torch").marks)],
)
def test_tensorflow_and_torch_are_told_the_cap_before_they_take_anything(
    backend, stand_in, libraries, tmp_path
):
    code = f"{stand_in}\nmachine.claim(1, 0.25)\nprint(json.dumps(given))"
    cap = memory_cap_mib(40000, 0.25)
    assert told(start(code, libraries, tmp_path, 40000, KERAS_BACKEND=backend)) == [["GPU", cap]]


@pytest.mark.parametrize("backend", [installed("jax")])
def test_a_backend_that_does_not_see_the_gpu_is_refused(backend, libraries, tmp_path):
    process = start("machine.claim(1, 0.25)", libraries, tmp_path, 40000, KERAS_BACKEND=backend)
    _, errors = process.communicate(timeout=120)
    assert errors.splitlines()[-1] == (
        "pipeline.errors.RequestError: A trial with a GPU needs a jax that sees it; this one sees "
        "none. CUDA's "
        "libraries may be missing: make gpu, or pip install '.[gpu]'."
    )


def test_a_trial_waits_until_its_neighbours_memory_is_free(libraries, tmp_path):
    waits = (
        "import time\nbegan = time.monotonic()\nprint('begun', "
        "flush=True)\nmachine._wait_until_free(9400)\nprint(0)"
    )
    process = start(waits, libraries, tmp_path, 2000)
    assert process.stdout.readline() == "begun\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    (tmp_path / "free").write_text("9400")
    assert told(process) == 0


def test_memory_that_nobody_gives_back_is_named(libraries, tmp_path):
    waits = "machine.RELEASE_S = 0.1\nmachine._wait_until_free(9400)"
    process = start(waits, libraries, tmp_path, 2000)
    _, errors = process.communicate(timeout=120)
    line = "RuntimeError: the GPU must have 9400 MiB free for a trial; after 0 s it has 2000"
    assert errors.splitlines()[-1] == line


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_on_a_node_that_cannot_train_keeps_to_cpus_or_ends_in_one_line_and_costs_no_trial(
    libraries, tmp_path
):
    cuda = tmp_path / "cuda"  # without NVML, of which Ray asks more than that stand-in knows
    cuda.mkdir()
    (cuda / "libcuda.so.1").symlink_to(libraries / "libcuda.so.1")
    given = {"LD_LIBRARY_PATH": str(cuda), "KERAS_BACKEND": "jax"}
    line = "A trial with a GPU needs a jax that sees it; this one sees none."
    asked = ("--gpus", 1, "--trials", 1, "--max-epochs", 1, "--name", "unasked")
    code, output, errors = run_cli("digits", *asked, cwd=tmp_path, **given)
    assert code == 0, errors
    assert f"GPU              not used, trials keep to CPUs: {line}" in output
    settings = (tmp_path / "runs" / "unasked" / "experiment.yaml").read_text()
    assert "\ngpus_per_trial: 0.0\n" in settings, "so that a resume keeps to them too"
    arguments = (
        "--gpus",
        1,
        "--gpus-per-trial",
        1,
        "--trials",
        3,
        "--max-epochs",
        1,
        "--name",
        "run",
    )
    code, _, errors = run_cli("digits", *arguments, cwd=tmp_path, **given)
    assert code == 2, errors
    assert errors.startswith(f"Error: {line}")
    assert errors.count("\n") == 1
    records = [
        json.loads(path.read_text())
        for path in (tmp_path / "runs" / "run").glob("trials/*/trial.json")
    ]
    assert records and "failed" not in {record["status"] for record in records}
