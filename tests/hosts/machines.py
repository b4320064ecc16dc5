"""Hosts on this machine, in namespaces: each has its own address, name, processes, home, `/tmp` and
storage.

A host lives as long as its first process, which the kernel ends with the thread that made it:
whatever ends a test, nothing is left of its hosts.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
HOME, RUNS = "/mnt/home", "/mnt/runs"  # on every host

# What a host has of the machine's is put aside, and back once the rest is out of sight.
BOOT = """
set -e
mount -t tmpfs none /mnt
mkdir -p /mnt/home /mnt/runs /mnt/kept
cp -r /etc/skel/. /mnt/home
sed 's|^root:.*|root:x:0:0:root:/mnt/home:/bin/bash|' /etc/passwd > /mnt/passwd
mount --bind /mnt/passwd /etc/passwd
test -z "$SHARED" || mount --bind "$SHARED" /mnt/runs
number=0
for path in "$@"; do number=$((number + 1)); mkdir /mnt/kept/$number; mount --bind "$path" /mnt/kept/$number; done
mount -t tmpfs none /tmp
mount -t tmpfs none /dev/shm
mount -t tmpfs none /run
mount -t tmpfs none "$CHECKOUT" 2> /dev/null || mkdir -p "$CHECKOUT"
number=0
for path in "$@"; do number=$((number + 1)); mkdir -p "$path"; mount --bind /mnt/kept/$number "$path"; done
chmod 1777 /tmp /dev/shm
hostname "$NAME"
ip link set lo up
echo up
sleep infinity &
wait  # also for orphans, which `ray stop` takes to live as long as they are zombies
"""


def missing():
    """What hosts cannot be made without, if it is not there."""
    if os.geteuid() != 0:
        return "hosts need root"
    for program in ("ip", "unshare", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            return f"hosts need {program}: apt-get install iproute2 util-linux"
    tried = subprocess.run(
        ["unshare", "-mnpiu", "--fork", "--mount-proc", "true"], capture_output=True, text=True
    )
    return f"hosts need namespaces: {tried.stderr.strip()}" if tried.returncode else None


class Host:
    """One machine: `run` carries out a shell command on it."""

    def __init__(self, name, address, *, shared=None, checkout=False):
        self.name, self.address = name, address
        self._started = []
        kept = [str(ROOT), sys.prefix] if checkout else [sys.prefix]
        boot = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "-mnpiu",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        self._first = subprocess.Popen(
            [*boot, "sh", "-c", BOOT, "sh", *kept],
            env={**os.environ, "SHARED": str(shared or ""), "CHECKOUT": str(ROOT), "NAME": name},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._first.stdout.readline() != "up\n":
            raise RuntimeError(f"{name} did not start: {self._first.stderr.read()}")
        self.pid = psutil.Process(self._first.pid).children()[0].pid

    def start(self, command, **environment):
        """Start a command, in the home or wherever it goes from there."""
        known = {
            "HOME": HOME,
            "PATH": f"{sys.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
        }
        process = subprocess.Popen(
            ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", "-i", "-u", "env", "-i"]
            + [f"{name}={value}" for name, value in (known | environment).items()]
            + ["bash", "-c", f"cd {HOME}; {command}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, command, timeout=180, **environment):
        """Run it to its end: exit code, output, errors."""
        process = self.start(command, **environment)
        output, errors = process.communicate(timeout=timeout)
        return process.returncode, output, errors

    def check(self, command, timeout=180, **environment):
        """The output of a command that has to succeed."""
        code, output, errors = self.run(command, timeout, **environment)
        assert code == 0, f"{self.name}: {command}\n{output}\n{errors}"
        return output

    def end(self):
        """End every process of the host at once, as when it loses power."""
        for process in (self._first, *self._started):
            process.kill()
            process.communicate()


class Hosts:
    """Machines in one network, and in no other. The first has the checkout, and the others have
    none."""

    def __init__(self, *names, shared=None):
        self.all = []
        try:
            for number, name in enumerate(names, start=1):
                self.all.append(
                    Host(name, f"10.77.0.{number}", shared=shared, checkout=number == 1)
                )
            self._connect()
        except BaseException:
            self.end()
            raise

    def __getitem__(self, name):
        return next(host for host in self.all if host.name == name)

    def _connect(self):
        first = self.all[0]
        self._at_first("ip link add lan type bridge")
        for host in self.all:
            if host is first:
                device = "lan"
            else:
                device, port = "eth0", f"to-{host.name}"
                self._at_first(f"ip link add {port} type veth peer name {device} netns {host.pid}")
                self._at_first(f"ip link set {port} master lan up")
            host.check(f"ip addr add {host.address}/24 dev {device} && ip link set {device} up")
            # Leads nowhere. Ray asks which address it would go out from.
            host.check(f"ip route add default dev {device}")

    def _at_first(self, command):
        """In the network of the first, and not among its processes: it does not see the others'."""
        subprocess.run(
            ["nsenter", "-t", str(self.all[0].pid), "-n", *shlex.split(command)], check=True
        )

    def end(self):
        """End them all."""
        for host in reversed(self.all):
            host.end()
