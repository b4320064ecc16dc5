"""`ray up` with cluster.local.yaml, then `ray job submit` from the repository."""

import importlib.util
import json
import os
import re
import shutil
import time

import pytest
import yaml

from tests.hosts.machines import HOME, ROOT, RUNS, TOKEN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        importlib.util.find_spec("opencensus") is None, reason="Ray's job server is not installed: make cluster"
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


def let_in(host, key):
    """Start sshd for who has the key, and say that what cluster.local.yaml would install is there."""
    host.check("ssh-keygen -q -t ed25519 -N '' -f host_key && mkdir -m 700 .ssh /run/sshd")
    host.check(f"echo '{key}' > .ssh/authorized_keys; echo '{SSHD}' > sshd_config; $(which sshd) -f {HOME}/sshd_config")
    host.check('ln -s "$(dirname "$(dirname "$(which python)")")" venv')
    installed = "".join((ROOT / name).read_text() for name in ("pyproject.toml", "constraints.txt"))
    host.check(f"mkdir kerasweep; cat > kerasweep/installed <<'END'\n{installed}END")


def started(head):
    """How many nodes the launcher has started, busy or idle."""
    return sum(
        map(int, re.findall(r"^ (\d+) local\.cluster\.node$", head.check("bash -lic 'ray status'"), re.MULTILINE))
    )


def test_a_job_is_submitted_to_a_cluster_that_the_launcher_started_over_ssh(make_hosts, tmp_path):
    hosts = make_hosts("desk", "head", "worker1", "worker2", shared=tmp_path)
    desk, head, *workers = hosts.all
    key = desk.check("mkdir -m 700 .ssh; ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519; cat .ssh/*.pub").strip()
    for host in (head, *workers):
        let_in(host, key)
    config = yaml.safe_load((ROOT / "cluster.local.yaml").read_text())
    config["provider"] |= {"head_ip": head.address, "worker_ips": [worker.address for worker in workers]}
    config["auth"]["ssh_user"] = "root"
    desk.check(f"cat > cluster.local.yaml <<'END'\n{yaml.safe_dump(config)}END")
    desk.check(f"mkdir -m 700 .ray && (umask 077; echo -n {TOKEN} > .ray/auth_token)")

    known = {"RAY_AUTH_MODE": "token"}
    desk.check(f"cd {ROOT} && ray up -y {HOME}/cluster.local.yaml > {HOME}/up.log 2>&1", timeout=600, **known)
    until = time.monotonic() + 400
    while started(head) < 3:  # one after the other
        assert time.monotonic() < until, head.check("cat /tmp/ray/session_latest/logs/monitor.*")
        time.sleep(2)
    desk.start(f"ray dashboard {HOME}/cluster.local.yaml", **known)
    until = time.monotonic() + 60
    while desk.run("bash -c '</dev/tcp/localhost/8265'")[0]:
        assert time.monotonic() < until
        time.sleep(0.5)

    search = f"python -m pipeline.run digits --search-space tests/spaces/tiny.py --storage {RUNS} --name run"
    submit = "ray job submit --address http://localhost:8265 --working-dir . --"
    output = desk.check(
        f"cd {ROOT} && {submit} {search} --address auto --trials 3 --max-epochs 1 --cpus-per-trial {os.cpu_count()}",
        timeout=600,
        **known,
    )
    assert "trials           3 (3 finished)" in output
    records = [json.loads(file.read_text()) for file in (tmp_path / "run" / "trials").glob("*/trial.json")]
    used = {record["node"] for record in records}  # not always all: one may be done before another's worker is up
    assert used <= {host.address for host in (head, *workers)} and len(used) > 1
    desk.check(f"ray down -y {HOME}/cluster.local.yaml > {HOME}/down.log 2>&1", timeout=300, **known)
