"""The hook of the manifests' head, as it is written there, stops what `python -m pipeline.run`
carries out.

It asks every such process that it sees: each of these has processes of its own to see, as a
    container has.
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
IMAGE = "/home/ray/kerasweep"  # where the checkout is in it
CONTAINER = [
    "unshare",
    *(() if os.geteuid() == 0 else ("-Ur",)),
    "-mp",
    "--fork",
    "--kill-child",
    "--mount-proc",
]

# Stands in for a search that takes a second to save everything, and for one that hangs.
DRIVER = """
import os, signal, sys, time

def stop(number, frame):
    if "hangs" in sys.argv:
        return
    time.sleep(1)
    open("saved", "x").close()
    os._exit(143)

signal.signal(signal.SIGUSR1, stop)
open("ready", "x").close()
while True:
    signal.pause()
"""


def missing():
    try:
        tried = subprocess.run([*CONTAINER, "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"a process namespace is needed: {error}"
    return f"a process namespace is needed: {tried.stderr.strip()}" if tried.returncode else None


@pytest.fixture(params=["rayjob.yaml", "raycronjob.yaml"])
def head(request):
    """The head's container of a manifest."""
    manifest = yaml.safe_load((ROOT / "deploy" / request.param).read_text())
    job = manifest["spec"].get("jobTemplate", manifest["spec"])
    return job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]


@pytest.fixture
def in_container(head, tmp_path):
    """Run a line of shell where the stand-in is what `python -m pipeline.run` finds; $hook is the
    manifest's."""
    if reason := missing():
        pytest.skip(reason)
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "run.py").write_text(DRIVER)
    hook = shlex.join(head["lifecycle"]["preStop"]["exec"]["command"])
    assert (
        f"{IMAGE}/" in hook
        and f"COPY --chown=ray:users . {IMAGE}\n" in (ROOT / "deploy/rayjob.yaml").read_text()
    )
    environment = {
        **{each["name"]: each["value"] for each in head["env"]},
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "hook": hook.replace(IMAGE, str(ROOT)),
    }

    def run(line, **changed):
        begun = "until test -e ready; do sleep 0.1; done"
        done = subprocess.run(
            [*CONTAINER, "bash", "-c", f"({line.format(begun=begun)}); exit $?"],
            cwd=tmp_path,
            env=environment | changed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_a_search_has_saved_everything_when_the_hook_returns(in_container):
    # The shell is Ray's, around a job's command: it tells how the job ended.
    job = """sh -c 'python -m pipeline.run /etc/kerasweep/sweep.yaml; echo "job: $?"; exit'"""
    code, output, errors = in_container(f"{job} & {{begun}}; $hook && ls saved && wait")
    assert (code, errors) == (0, "")
    assert sorted(output.split("\n")) == ["", "job: 143", "saved"]


def test_a_search_that_hangs_is_waited_for_no_longer_than_is_said(in_container):
    began = time.monotonic()
    code, output, errors = in_container(
        "python -m pipeline.run hangs & {begun}; $hook; echo $? $(jobs -rp | wc -w)",
        RAY_JOB_STOP_WAIT_TIME_S="1",
    )
    assert (code, output, errors) == (0, "0 1\n", "")
    assert 1 < time.monotonic() - began < 30


def test_where_nothing_runs_there_is_nothing_to_wait_for(in_container):
    began = time.monotonic()
    assert in_container("$hook") == (0, "", "")
    assert time.monotonic() - began < 30
