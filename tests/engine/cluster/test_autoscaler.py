"""Clusters that grow: what is asked for, whom it is worth waiting for, and a search on one that
grows and shrinks."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from pipeline import Experiment
from pipeline.engine.cluster import autoscaler
from pipeline.engine.cluster.autoscaler import Demand, await_place
from pipeline.errors import Interrupted, KerasweepError
from pipeline.watch import Interruption

ROOT = Path(__file__).parents[3]
SPACES = ROOT / "tests" / "spaces"
RAY = Path(sys.executable).with_name("ray")


def asked_for():
    from ray._private.ray_constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL
    from ray.experimental.internal_kv import _internal_kv_get

    return json.loads(_internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL) or "[]")


@pytest.mark.slow
def test_the_autoscaler_is_asked_for_what_the_search_can_use_and_for_nothing_at_its_end(
    ray_cluster,
):
    demand = Demand(Experiment(dataset="digits", cpus_per_trial=2, gpus_per_trial=0.5))
    demand.ask(20)
    assert asked_for() == [{"CPU": 2, "GPU": 0.5}] * 20
    demand.ask(3)  # fewer are left
    assert len(asked_for()) == 3
    Demand(Experiment(dataset="digits")).end()  # has asked for nothing, and takes nothing back
    assert len(asked_for()) == 3
    autoscaler._request([])  # another search's end
    demand.ask(3)
    assert len(asked_for()) == 3
    demand.end()
    assert asked_for() == []
    Demand(Experiment(dataset="digits", max_concurrent=4)).ask(10**6)
    assert asked_for() == [{"CPU": 1}] * 4
    Demand(Experiment(dataset="digits")).ask(9, seats=4)
    assert asked_for() == [{"CPU": 1}] * 3


@pytest.mark.slow
def test_a_node_that_does_not_come_is_not_waited_for_for_ever(ray_cluster, monkeypatch):
    monkeypatch.setattr(autoscaler, "GROWTH_S", 1.2)
    told = []
    with pytest.raises(KerasweepError) as error:
        await_place(Experiment(dataset="digits", gpus_per_trial=8), told.append)
    assert told == ["waiting for a node that holds a trial: 1 CPU, 8 GPU"]
    assert str(error.value) == (
        "A trial needs 1 CPU, 8 GPU; in 0.02 minutes the cluster has not started a node that holds "
        "it. Why: ray status"
    )


@pytest.mark.slow
def test_waiting_for_a_node_ends_with_the_time_budget_or_with_an_interruption(ray_cluster):
    large, asked = Experiment(dataset="digits", gpus_per_trial=8), []
    with pytest.raises(KerasweepError) as error:
        await_place(large, lambda _: None, Interruption(), 1.2, lambda: asked.append(large))
    assert str(error.value) == (
        "A trial needs 1 CPU, 8 GPU; the time budget ended before the cluster had started a node "
        "that holds it. Why: "
        "ray status"
    )
    assert len(asked) == 2
    interruption = Interruption()
    interruption.signal = 15
    with pytest.raises(Interrupted):
        await_place(large, lambda _: None, interruption)


def test_the_kinds_of_nodes_tell_whether_there_is_an_autoscaler():
    fixed = {"autoscaler_report": {"active_nodes": {f"node_{'5f0c' * 14}": 1}}}
    growing = {"autoscaler_report": {"active_nodes": {"node_small": 1, "gpu_worker": 2}}}
    starting = {"autoscaler_report": {"active_nodes": {}}}
    assert autoscaler._types({"time": 1.0}) == []  # it has not looked yet
    assert [autoscaler._is_chosen(kind) for kind in autoscaler._types(fixed)] == [False]
    assert [autoscaler._is_chosen(kind) for kind in autoscaler._types(growing)] == [True, True]
    assert [autoscaler._is_chosen(kind) for kind in autoscaler._types(starting)] == [True]


def test_a_cluster_of_many_small_machines_does_not_hold_a_large_trial():
    from ray.core.generated.autoscaler_pb2 import ClusterConfig

    def may_hold(trial, *groups):
        told = ClusterConfig(
            node_group_configs=[{"resources": has, "max_count": most} for has, most in groups]
        )
        return autoscaler._may_hold(told.node_group_configs, trial)

    head, machine = ({"CPU": 16}, 0), ({"CPU": 8, "GPU": 1}, 4)
    assert may_hold({"CPU": 1, "GPU": 1}, head, machine)
    assert not may_hold({"CPU": 1, "GPU": 2}, head, machine)  # four GPUs in all, and one in each
    assert not may_hold({"CPU": 9}, head, machine)  # a head is not started again
    assert may_hold({"CPU": 9}, machine, ({}, 1)) and may_hold({"CPU": 9})  # not known


@pytest.fixture
def growing():
    """The address of a Ray cluster without a CPU, which may start two machines of one CPU; and what
    it runs."""
    # not deeper: Ray has its sockets there
    folder = Path(tempfile.mkdtemp(prefix="kg-", dir="/tmp"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    none = {"node_config": {}, "min_workers": 0}
    (folder / "cluster.json").write_text(
        json.dumps(
            {
                "cluster_name": "growing",
                "max_workers": 2,
                "upscaling_speed": 1.0,
                "idle_timeout_minutes": 5,
                "provider": {
                    "type": "fake_multinode",
                    "gcs_address": f"127.0.0.1:{port}",
                    "launch_multiple": True,
                },
                "available_node_types": {
                    "head": {**none, "resources": {}, "max_workers": 0},
                    "machine": {
                        **none,
                        "resources": {"CPU": 1, "object_store_memory": 2 * 10**8},
                        "max_workers": 2,
                    },
                },
                "head_node_type": "head",
                **{
                    name: {}
                    for name in ("head_node", "worker_nodes", "auth", "docker", "file_mounts")
                },
                **{
                    f"{name}_commands": []
                    for name in (
                        "initialization",
                        "setup",
                        "head_setup",
                        "worker_setup",
                        "head_start_ray",
                        "worker_start_ray",
                    )
                },
                "cluster_synced_files": [],
                "file_mounts_sync_continuously": False,
                "rsync_exclude": [],
                "rsync_filter": [],
            }
        )
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "a" * 64,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_FAKE_CLUSTER": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        # As if the code had come by `ray job submit`: of nodes that share a folder, which no real
        # ones do, one that comes removes what another has unpacked there.
        "PYTHONPATH": str(ROOT),
        "RAY_JOB_CONFIG_JSON_ENV_VAR": "{}",
    }
    start = [
        RAY,
        "start",
        "--head",
        f"--port={port}",
        "--num-cpus=0",
        "--node-ip-address=127.0.0.1",
        f"--autoscaling-config={folder}/cluster.json",
        f"--temp-dir={folder}",
        "--include-dashboard=false",
        "--object-store-memory=200000000",
    ]
    try:
        subprocess.run(start, env=environment, check=True, capture_output=True, timeout=100)
        yield f"127.0.0.1:{port}", environment
    finally:
        for process in of(environment):
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def of(environment, name=""):
    """The processes that were started with this environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == environment["HOME"] and name in process.name():
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(condition, timeout=120):
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def records(run):
    return [json.loads(path.read_text()) for path in sorted(run.glob("trials/*/trial.json"))]


def reports(run):
    history = run / "history.jsonl"
    return (
        [json.loads(line) for line in history.read_text().splitlines()] if history.exists() else []
    )


@pytest.mark.slow
def test_a_search_starts_a_cluster_from_nothing_uses_all_of_it_and_outlives_a_part(
    growing, started_cli, tmp_path
):
    address, environment = growing
    run = tmp_path / "runs" / "growing"
    process = started_cli(
        "digits",
        "--search-space",
        SPACES / "slow.py",
        "--scheduler",
        "none",
        "--trials",
        6,
        "--max-epochs",
        6,
        "--name",
        run.name,
        "--address",
        address,
        cwd=tmp_path,
        **environment,
    )
    until(lambda: len({record.get("node_id") for record in records(run)} - {None}) == 2)
    # both machines came for the first two trials, not one for each that waited
    assert len(reports(run)) < 12
    machines = [
        p for p in of(environment, "raylet") if p.environ().get("RAY_NODE_TYPE_NAME") == "machine"
    ]
    began = len(reports(run))
    machines[0].kill()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    told = [(report["trial"], report["epoch"]) for report in reports(run)]
    assert began < len(told) == len(set(told)) == 36
    assert {record["status"] for record in records(run)} == {"finished"}
    # Nothing is asked for any more, as anybody can see who joins.
    look = (
        "import ray; from tests.engine.cluster.test_autoscaler import asked_for;"
        f"ray.init(address={address!r}, logging_level=50); assert asked_for() == []"
    )
    subprocess.run(
        [sys.executable, "-c", look],
        env=os.environ | environment,
        check=True,
        cwd=Path(__file__).parents[3],
    )
