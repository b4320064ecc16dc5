"""`ray start` on several hosts, then `--address`: what is refused, and what is survived."""

import json
import shlex
import time
from importlib.metadata import version

import pytest

from tests.hosts.commands import search, share_token, start_ray, starts, stop_ray
from tests.hosts.machines import HOME, ROOT, RUNS

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]


def test_hosts_that_are_not_fit_are_refused_in_one_table_and_nothing_is_left(make_hosts):
    hosts = make_hosts("head", "worker1", "worker2")
    head, *workers = hosts.all
    for worker in workers:
        # Found by whoever asks for Keras's version, before the Keras that is there.
        worker.check(
            "mkdir -p old/keras-3.0.0.dist-info; printf 'Name: keras\nVersion: 3.0.0' > $_/METADATA"
        )
    start_ray(head, *workers, PYTHONPATH="/mnt/home/old", RAY_OVERRIDE_RESOURCES='{"GPU": 1}')

    began = time.monotonic()
    code, _, errors = head.run(
        search(head, "--gpus-per-trial", "0.5", "--storage", f"{RUNS}/mine"), COLUMNS="400"
    )
    assert time.monotonic() - began < 30
    assert code == 2, errors
    first, header, *rows = [line.rstrip() for line in errors.splitlines()]
    assert first == "Error: Every node of the cluster must be fit for trials; 2 of 3 are not."
    assert header.split() == ["node", "what", "is", "wrong", "what", "to", "do"]
    assert len(rows) == 6
    for worker, lines in zip(workers, (rows[:3], rows[3:]), strict=True):
        assert all(line.startswith(f"{worker.address} {worker.name}  ") for line in lines)
        assert (
            f"keras 3.0.0, here {version('keras')}  " in lines[0]
            and "pip install -c constraints.txt" in lines[0]
        )
        assert (
            f"storage {RUNS}/mine: No such file or directory  " in lines[1]
            and "--storage" in lines[1]
        )
        assert "GPUs: NVML" in lines[2] and "--num-gpus 0" in lines[2]
    assert head.check(f"ls -A {RUNS}") == ""

    # And who does not know its token is not let in, nor left to wait.
    for environment in (
        {"RAY_AUTH_TOKEN": "0" * 32},
        {"HOME": "/tmp"},
        {"RAY_AUTH_MODE": "disabled"},
    ):
        code, _, errors = head.run(search(head), **environment)
        has = "another one" if "RAY_AUTH_TOKEN" in environment else "none"
        assert (code, errors) == (
            2,
            f"Error: The token of the cluster must be known; {head.address}:6379 asks for it, and "
            "this process has "
            f"{has}. Copy ~/.ray/auth_token from the cluster's head, and set RAY_AUTH_MODE=token.\n",
        )


def test_a_cluster_that_lets_anybody_in_is_refused_unless_that_is_said_or_it_is_on_loopback(
    make_hosts,
):
    (head,) = make_hosts("head").all
    start_ray(head, token=False)
    # What is refused next, once the cluster is joined.
    too_large = ("--gpus-per-trial", "1")
    no_place = "A trial must fit on one node; it needs 1 CPU, 1 GPU, and the cluster's nodes have 1 CPU, 0 GPU. With --gpus-per-trial 0 it fits."

    code, _, errors = head.run(search(head, *too_large))
    assert (code, errors) == (
        2,
        f"Error: A cluster must ask for a token; {head.address}:6379 lets in whoever reaches it, "
        "to run what they "
        "like. Turn it on: `ray get-auth-token --generate` once, ~/.ray/auth_token copied to each "
        "host, "
        "RAY_AUTH_MODE=token set for each `ray start` and for this command. To go on without: "
        "--insecure.\n",
    )
    code, _, errors = head.run(search(head, *too_large, "--insecure"))
    assert (code, errors) == (2, f"Error: {no_place}\n")
    program = (
        "from pipeline import Experiment, tune; "
        f"tune(Experiment(dataset='digits', gpus_per_trial=1, address='auto', storage='{RUNS}'), "
        "insecure=True)"
    )
    code, _, errors = head.run(f"""cd {ROOT} && python -c "{program}" """)
    assert code == 1 and errors.endswith(f"{no_place}\n")

    stop_ray(head)
    alone = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}
    head.check("ray start --head --num-cpus=1 --node-ip-address=127.0.0.1", **alone)
    code, _, errors = head.run(search(head, *too_large, "--address", "auto"), **alone)
    assert (code, errors) == (2, f"Error: {no_place}\n")


def test_a_search_runs_on_every_host_and_goes_on_where_one_is_lost(make_hosts, tmp_path):
    hosts = make_hosts("head", "worker1", "worker2", shared=tmp_path)
    start_ray(*hosts.all)
    space = f"{ROOT}/tests/hosts/lost_space.py"
    # pictures that only the head has
    writing = (
        "from pathlib import Path; from tests.data.pictures.conftest import write_digits; "
        f"write_digits(Path({f'{HOME}/photos'!r}), 10, 20)"
    )
    hosts["head"].check(f"cd {ROOT} && python -c {shlex.quote(writing)}")
    running = hosts["head"].start(
        search(
            *(hosts["head"], "--search-space", space, "--scheduler", "none", "--name", "run"),
            dataset=f"{HOME}/photos",
        )
    )
    wait_for(lambda: lost_workers(tmp_path) == ["worker1"] * 3, running)
    began = {host.name for host in (tmp_path / "word" / "begun").glob("*/*")}
    assert began == {"head", "worker1", "worker2"}
    hosts["worker1"].end()
    (tmp_path / "word" / "lost").touch()
    output, errors = running.communicate(timeout=600)
    assert running.returncode == 0, output + errors

    chosen = (tmp_path / "word" / "chosen").read_text().removeprefix("trial-")
    record = json.loads((tmp_path / "run" / "trials" / chosen / "trial.json").read_text())
    assert record["status"] == "finished"
    reports = [
        json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    ]
    assert sorted((report["trial"], report["epoch"]) for report in reports) == [
        (f"t{trial:04d}", epoch) for trial in range(3) for epoch in (1, 2, 3)
    ]

    left = [host for host in hosts.all if host.name != "worker1"]
    stop_ray(*left)
    assert [host.run("cat /proc/[0-9]*/comm | grep -x raylet")[0] for host in left] == [1, 1]


def test_folds_are_trained_on_each_host_and_measured_again_on_the_head(make_hosts, tmp_path):
    hosts = make_hosts("head", "worker", shared=tmp_path)
    start_ray(*hosts.all)
    asked = ("--folds", 2, "--scheduler", "none", "--searcher", "random", "--name", "run")
    output = hosts["head"].check(search(hosts["head"], *asked), timeout=600)

    assert "2 folds, stratified: 2 trainings a trial" in output
    records = [
        json.loads(path.read_text()) for path in (tmp_path / "run" / "trials").glob("*/trial.json")
    ]
    assert {record["node"] for record in records} == {host.address for host in hosts.all}
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["trials"]["finished"] == 3 and summary["epochs"] == 9
    assert summary["check"]["result"] == "equal" and len(summary["folds"]) == 2
    assert summary["saved"] == "refit"


def test_a_host_that_comes_later_and_is_not_fit_ends_the_search_with_its_name(make_hosts, tmp_path):
    head, late = make_hosts("head", "late", shared=tmp_path).all
    share_token(head, late)
    start, join = starts(head)
    head.check(f"{start} --num-cpus=1")
    running = head.start(
        search(head, "--trials", 50, "--max-epochs", 500, "--name", "run", space="slow"),
        COLUMNS="400",
    )
    history = tmp_path / "run" / "history.jsonl"
    wait_for(history.exists, running)
    late.check(f"umount {RUNS} && {join} --num-cpus=1")
    _, errors = running.communicate(timeout=300)
    assert running.returncode == 2, errors
    first, _, row = [
        line.rstrip()
        for line in errors.splitlines()
        if "fit" in line or "node" in line or "late" in line
    ]
    assert first == "Error: Every node of the cluster must be fit for trials; 1 of 2 are not."
    assert row.startswith(f"{late.address} late  storage {RUNS}/run: No such file or directory  ")
    records = [
        json.loads(path.read_text()) for path in (tmp_path / "run" / "trials").glob("*/trial.json")
    ]
    assert records and "failed" not in {record["status"] for record in records}
    assert (tmp_path / "run" / "summary.json").exists()
    assert not list((tmp_path / "run").glob(".probe-*"))


def lost_workers(storage):
    losses = storage / "word" / "losses"
    return losses.read_text().split() if losses.exists() else []


def wait_for(condition, process, seconds=300):
    """Until it holds; not for longer than the process lives."""
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "".join(process.communicate())
        assert time.monotonic() < until
        time.sleep(0.2)
