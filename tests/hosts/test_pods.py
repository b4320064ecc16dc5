"""What deploy/ asks Kubernetes to do when it ends a cluster's pods is enough for a search to be
saved."""

import json
import shlex
import time

import pytest
import yaml

from tests.hosts.commands import search, share_token, starts
from tests.hosts.machines import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(600)]


def containers():
    """Those of the head and of a worker."""
    cluster = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text())["spec"][
        "rayClusterSpec"
    ]
    groups = (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
    return [group["template"]["spec"]["containers"][0] for group in groups]


def settings(container):
    return {each["name"]: each["value"] for each in container["env"]}


def start_pod(host, command, container):
    """Ray as KubeRay starts it: in the foreground, until it is told to end."""
    return host.start(f"echo $$ > pod; exec env {command} --block", **settings(container))


def wait_for_status(head, words):
    head.check(
        f"until ray status 2>&1 | grep -q '{words}'; do sleep 1; done", RAY_AUTH_MODE="token"
    )


def end(host, process):
    """Tell it to end, as one of its host's processes can."""
    host.check(f"kill -TERM $(cat {process})")


def test_a_search_is_saved_where_all_pods_are_ended_at_once(make_hosts, tmp_path):
    head, worker = make_hosts("head", "worker", shared=tmp_path).all
    of_head, of_worker = containers()
    share_token(head, worker)
    start, join = starts(head)
    pods = [start_pod(head, f"{start} --num-cpus=0", of_head)]
    wait_for_status(head, "Node status")
    pods.append(start_pod(worker, f"{join} --num-cpus=1", of_worker))
    wait_for_status(head, "/1.0 CPU")
    asked = search(head, "--max-epochs 100 --scheduler none --name run", space="slow")
    driver = head.start(f"echo $$ > driver; {asked.replace(' python ', ' exec python ')}")
    history = tmp_path / "run" / "history.jsonl"
    until = time.monotonic() + 200
    while not history.exists() or history.read_text().count("\n") < 3:
        assert driver.poll() is None and time.monotonic() < until, "".join(
            driver.communicate(timeout=1)
        )
        time.sleep(0.2)

    # As where a RayJob is deleted: KubeRay stops the job, and Kubernetes ends the pods, one with a
    # hook.
    end(head, "driver")
    end(worker, "pod")
    hook = shlex.join(of_head["lifecycle"]["preStop"]["exec"]["command"])
    head.check(hook.replace("/home/ray/kerasweep", str(ROOT)), **settings(of_head))
    saved = (tmp_path / "run" / "summary.json").exists()
    end(head, "pod")

    output, errors = driver.communicate(timeout=60)
    assert (driver.returncode, saved) == (143, True), output + errors
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["interrupted"]
    assert (tmp_path / "run" / "best" / "model.keras").exists()
    for pod in pods:  # neither takes until Kubernetes kills it
        pod.communicate(timeout=60)
