"""`ray up` with cluster.local.yaml, then `ray job submit` from the repository."""

import importlib.util
import json
import os
import re
import shutil
import time

import pytest

from tests.hosts.commands import at_head_of, the
from tests.hosts.machines import HOME, ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        importlib.util.find_spec("opencensus") is None,
        reason="Ray's job server is not installed: make cluster",
    ),
    pytest.mark.skipif(
        shutil.which("sshd") is None or shutil.which("rsync") is None,
        reason="the launcher needs sshd and rsync: apt-get install openssh-server rsync",
    ),
]

SSHD = f"""
HostKey {HOME}/host_key
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
"""


# What cluster.local.yaml installs is there already; its pip keeps what it is asked for.
ENVIRONMENT = r"""
mkdir -p venv/bin && there=$(dirname "$(dirname "$(which python)")")
ln -s "$there"/bin/* venv/bin && ln -s "$there/lib" "$there/pyvenv.cfg" venv && rm venv/bin/pip
printf '#!/bin/sh\necho "$@" >> ~/asked; cp requirements.txt ~\n' > venv/bin/pip && chmod +x venv/bin/pip
"""


def let_in(host, key):
    """Start sshd for who has the key, and make the environment."""
    host.check("ssh-keygen -q -t ed25519 -N '' -f host_key && mkdir -m 700 .ssh /run/sshd")
    host.check(
        f"echo '{key}' > .ssh/authorized_keys; echo '{SSHD}' > sshd_config; $(which sshd) -f "
        f"{HOME}/sshd_config"
    )
    host.check(ENVIRONMENT)


def started(head):
    """How many nodes the launcher has started, busy or idle."""
    return sum(
        map(
            int,
            re.findall(
                r"^ (\d+) local\.cluster\.node$", head.check("bash -lic 'ray status'"), re.MULTILINE
            ),
        )
    )


def test_a_job_is_submitted_to_a_cluster_that_the_launcher_started_over_ssh(make_hosts, tmp_path):
    hosts = make_hosts("desk", "head", "worker1", "worker2", shared=tmp_path)
    desk, head, *workers = hosts.all
    key = desk.check(
        "mkdir -m 700 .ssh; ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519; cat .ssh/*.pub"
    ).strip()
    for host in (head, *workers):
        let_in(host, key)
    said = at_head_of("cluster.local.yaml")
    desk.check(the(said, "ray get-auth-token"))
    filled = (ROOT / "cluster.local.yaml").read_text()
    addresses = zip(("HEAD", "WORKER-1", "WORKER-2"), (head, *workers), strict=True)
    for blank, entry in [("USER", "root"), *((name, host.address) for name, host in addresses)]:
        filled = filled.replace(f"{blank}-FILL-IN", entry)
    desk.check(f"cat > filled <<'END'\n{filled}END\nmount --bind filled {ROOT}/cluster.local.yaml")

    desk.check(f"cd {ROOT} && {the(said, 'ray up')} -y > {HOME}/up.log 2>&1", timeout=600)
    until = time.monotonic() + 400
    while started(head) < 3:  # one after the other
        assert time.monotonic() < until, head.check("cat /tmp/ray/session_latest/logs/monitor.*")
        time.sleep(2)
    for host in (head, *workers):
        assert host.check("cat asked") == "install -q -c constraints.txt -r requirements.txt\n"
        assert "ray[default]" in host.check("cat requirements.txt")
    desk.start(f"cd {ROOT} && {the(said, 'ray dashboard')}")
    until = time.monotonic() + 60
    while desk.run("bash -c '</dev/tcp/localhost/8265'")[0]:
        assert time.monotonic() < until
        time.sleep(0.5)

    submit = the(said, "ray job submit")
    assert "pipeline.run mnist" in submit
    small = (
        "--search-space tests/spaces/tiny.py --name run --trials 3 --max-epochs 1 "
        f"--cpus-per-trial {os.cpu_count()}"
    )
    output = desk.check(f"cd {ROOT} && {submit.replace('mnist', 'digits')} {small}", timeout=600)
    assert "trials           3 (3 finished)" in output
    records = [
        json.loads(file.read_text()) for file in (tmp_path / "run" / "trials").glob("*/trial.json")
    ]
    # not always all: one may be done before another's worker is up
    used = {record["node"] for record in records}
    assert used <= {host.address for host in (head, *workers)} and len(used) > 1
    desk.check(f"cd {ROOT} && {the(said, 'ray down')} -y > {HOME}/down.log 2>&1", timeout=300)
