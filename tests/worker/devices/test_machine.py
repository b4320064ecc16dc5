"""A trial's share of the machine, claimed in a process of its own as each trial does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.worker.devices.machine import CONTEXT_MIB, memory_cap_mib, threads_of
from tests.conftest import installed

ROOT = Path(__file__).parents[3]
OURS = ("CUDA_VISIBLE_DEVICES", "XLA_", "OMP_", "NPROC", "TF_", "JAX_", "KERAS_BACKEND")


def in_a_fresh_process(code, **environment):
    """What `code` prints as JSON, last."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import json, os, sys\nfrom pipeline.worker.devices import machine\n{code}",
        ],
        cwd=ROOT,
        env=clean | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SHOWN = "print(json.dumps(dict(os.environ)))"


def prepared(cpus, gpus, **environment):
    return in_a_fresh_process(f"machine.prepare_process({cpus}, {gpus})\n{SHOWN}", **environment)


@pytest.mark.slow
def test_tensorflow_gets_as_many_threads_as_the_trial_has_cpus_and_no_gpu():
    told = in_a_fresh_process("""
claimed = machine.claim(3, 0)
import tensorflow as tf
threading = tf.config.threading
print(json.dumps({
    "intra": threading.get_intra_op_parallelism_threads(),
    "inter": threading.get_inter_op_parallelism_threads(),
    "gpus": len(tf.config.get_visible_devices("GPU")),
    "sum": float(tf.reduce_sum(tf.ones(3))),
    "visible": os.environ["CUDA_VISIBLE_DEVICES"],
    "claimed": claimed,
    "again": machine.claim(1, 0),
}))""")

    assert (told["intra"], told["inter"], told["gpus"], told["visible"], told["sum"]) == (
        3,
        3,
        0,
        "-1",
        3.0,
    )
    assert told["claimed"] == {
        "backend": "tensorflow",
        "threads": 3,
        "devices": "-1",
        "memory_cap_mib": None,
    }
    assert told["again"] == told["claimed"], "a backend takes these settings once a process"


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed("jax")])
def test_jax_computes_in_as_many_threads_as_the_trial_has_cpus(backend):
    computing = in_a_fresh_process(
        """
machine.claim(3, 0)
from pathlib import Path
import jax
jax.jit(lambda x: x * 2)(jax.numpy.ones(10)).block_until_ready()
names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
print(json.dumps(names.count("tf_XLAEigen")))""",
        KERAS_BACKEND=backend,
    )
    assert computing == 3


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1, 1), (2, 2), (3.9, 3)])
def test_threads_are_the_whole_cpus_and_at_least_one(cpus, threads):
    assert threads_of(cpus) == threads


def test_nothing_of_a_backend_is_imported_to_prepare():
    modules = "print(json.dumps([m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules]))"

    assert in_a_fresh_process(f"machine.prepare_process(1, 0)\n{modules}") == []


def test_a_trial_without_a_gpu_sees_none_of_those_given_to_the_process():
    environment = prepared(2, 0, CUDA_VISIBLE_DEVICES="0,1")

    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert environment["JAX_PLATFORMS"] == "cpu"
    assert environment["OMP_NUM_THREADS"] == "2"


def test_a_trial_with_a_gpu_keeps_its_devices():
    for gpus, devices in ((0.25, "1"), (2, "0,1")):
        environment = prepared(1, gpus, CUDA_VISIBLE_DEVICES=devices)

        assert environment["CUDA_VISIBLE_DEVICES"] == devices
        assert "JAX_PLATFORMS" not in environment


def test_what_the_user_set_stays():
    environment = prepared(
        1,
        0.5,
        KERAS_BACKEND="jax",
        TF_CPP_MIN_LOG_LEVEL="0",
        XLA_FLAGS="--xla_dump_to=here",
    )

    assert environment["KERAS_BACKEND"] == "jax"
    assert environment["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert environment["XLA_FLAGS"] == "--xla_dump_to=here --xla_cpu_multi_thread_eigen=false"


def test_what_jax_compiled_is_kept_where_only_this_user_writes(tmp_path):
    first, again = (prepared(1, 0, KERAS_BACKEND="jax", TMPDIR=str(tmp_path)) for _ in range(2))
    folder = Path(first["JAX_COMPILATION_CACHE_DIR"])

    assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
    assert again["JAX_COMPILATION_CACHE_DIR"] == str(folder), (
        "a run finds what an earlier one compiled"
    )
    assert first["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"

    folder.chmod(0o777)
    assert "JAX_COMPILATION_CACHE_DIR" not in prepared(
        1, 0, KERAS_BACKEND="jax", TMPDIR=str(tmp_path)
    )
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert "JAX_COMPILATION_CACHE_DIR" not in prepared(
        1, 0, KERAS_BACKEND="jax", TMPDIR=str(tmp_path)
    )


def test_a_folder_for_compiled_steps_that_the_user_named_stays():
    environment = prepared(1, 0, KERAS_BACKEND="jax", JAX_COMPILATION_CACHE_DIR="here")

    assert environment["JAX_COMPILATION_CACHE_DIR"] == "here"
    assert "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in environment


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_nothing_is_kept_for_a_backend_that_is_not_jax(backend, tmp_path):
    assert "JAX_COMPILATION_CACHE_DIR" not in prepared(
        1, 0, KERAS_BACKEND=backend, TMPDIR=str(tmp_path)
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("total", "share", "cap"),
    [
        (80_000, 0.5, 40_000 - CONTEXT_MIB),
        (16_000, 0.25, 4_000 - CONTEXT_MIB),
        (4_000, 0.25, 500),  # the context would leave 400: never less than half of the share
    ],
)
def test_the_memory_cap_is_the_share_less_what_a_process_takes_beside(total, share, cap):
    assert memory_cap_mib(total, share) == cap


@pytest.mark.parametrize("share", [0.1, 0.25, 0.3, 0.5])
def test_as_many_trials_as_fit_by_their_shares_fit_by_their_memory(share):
    count, total = int(1 / share), 24_000

    assert count * (memory_cap_mib(total, share) + CONTEXT_MIB) <= total
