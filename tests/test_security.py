"""What SECURITY.md promises: who can reach a search, what it keeps to itself, and what it runs of
what it reads."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
import keras
import numpy as np
import psutil
import pytest

from pipeline.worker.serving.model_file import load_keras_model

ROOT = Path(__file__).parents[1]
SPACES = ROOT / "tests" / "spaces"


@pytest.fixture
def home():
    """An empty folder with a short name: Ray puts sockets below."""
    folder = tempfile.mkdtemp(prefix="s", dir="/tmp")
    yield Path(folder)
    shutil.rmtree(folder)


def knock(port, token=None):
    """What Ray's head says to somebody with this token who asks whether it is there."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")
        try:
            ask(b"", timeout=20, metadata=[("authorization", f"Bearer {token}")] if token else [])
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def holding(folder, secret):
    """The files below a folder in which a secret stands, by their name or content."""
    found = []
    for path in folder.rglob("*"):
        if secret in path.name or (path.is_file() and secret.encode() in path.read_bytes()):
            found.append(path)
    return found


@pytest.mark.ray
@pytest.mark.slow
def test_a_local_cluster_asks_for_a_token_that_stands_nowhere(started_cli, home):
    """Neither does another secret of the environment: in no record, no log, no command line, no
    output."""
    other = secrets.token_hex(16)
    process = started_cli(
        "digits",
        "--search-space",
        SPACES / "slow.py",
        "--trials",
        4,
        "--max-epochs",
        3,
        "--name",
        "run",
        cwd=home,
        HOME=str(home),
        TMPDIR=str(home),
        AWS_SECRET_ACCESS_KEY=other,
    )
    history = home / "runs" / "run" / "history.jsonl"
    deadline = time.monotonic() + 200
    while not (history.exists() and history.read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    family = psutil.Process(process.pid).children(recursive=True)
    (head,) = [each for each in family if each.name() == "gcs_server"]
    token = head.environ()["RAY_AUTH_TOKEN"]
    assert len(token) == 64 and head.environ()["RAY_AUTH_MODE"] == "token"
    assert head.environ()["RAY_USAGE_STATS_ENABLED"] == "0"
    (port,) = {c.laddr.port for c in head.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert knock(port) == grpc.StatusCode.UNAUTHENTICATED == knock(port, secrets.token_hex(32))
    assert knock(port, token) == grpc.StatusCode.OK
    lines = [" ".join(each.cmdline()) for each in family if each.is_running()]
    for secret in (token, other):
        assert holding(home, secret) == []  # the run, and what Ray writes while it lives
        assert not any(secret in line for line in lines)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    for secret in (token, other):
        assert holding(home, secret) == [] and secret not in output + errors
    assert holding(home, "val_accuracy"), "what is there is found"


@pytest.mark.ray
@pytest.mark.slow
def test_no_token_is_left_in_the_home_of_who_imported_ray_before(home):
    code = (
        "import ray\n"
        "from pathlib import Path\n"
        "from pipeline import Experiment\n"
        "from pipeline.engine.cluster.connect import cluster\n"
        "for _ in range(2):\n"
        "    with cluster(Experiment(dataset='digits', cpus=1), []):\n"
        "        assert ray.get(ray.remote(lambda: 5).remote()) == 5\n"
        "print([str(path) for path in Path.home().rglob('*token*')])\n"
    )
    free = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment = {**free, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=home, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_a_model_that_brings_code_along_is_not_loaded(tmp_path):
    trap = tmp_path / "sprung"
    # a function's code is all that Keras saves
    sprung = eval(f"lambda x: (open({str(trap)!r}, 'w').close(), x)[1]")
    layer = keras.layers.Lambda(sprung, output_shape=(4,))
    keras.Sequential([keras.Input((4,)), layer]).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="safe"):
        load_keras_model(tmp_path / "model.keras")
    assert not trap.exists()
    keras.saving.load_model(tmp_path / "model.keras", safe_mode=False)(np.zeros((1, 4)))
    assert trap.exists(), "the trap works"


def test_each_test_that_the_promises_name_is_there():
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    named = {m for d in documents for m in re.findall(r"`(tests/[\w/.]+)`", d.read_text())}
    assert len(named) > 5 and [name for name in named if not (ROOT / name).exists()] == []
