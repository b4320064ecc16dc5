"""The commands that README.md and the launcher's files tell a user to type, so that these are what
is tested."""

import re
import shlex

from tests.hosts.machines import ROOT, RUNS


def of_readme(section):
    """Those of a section's first block."""
    text = (ROOT / "README.md").read_text().split(f"\n## {section}\n")[1]
    block = text.split("```console\n")[1].split("```")[0]
    return [_bare(line.removeprefix("$ ")) for line in block.splitlines()]


def at_head_of(file):
    """Those in the comment that a file begins with: they are indented."""
    head = (ROOT / file).read_text().split("\n\n")[0].replace("\\\n#", "")
    return [
        _bare(line.removeprefix("#   ")) for line in head.splitlines() if line.startswith("#   ")
    ]


def the(commands, words):
    """The one that has these words, which may go on as they like."""
    (command,) = [
        command for command in commands if re.search(rf"(^|\s){re.escape(words)}", command)
    ]
    return command


def share_token(head, *workers):
    """A token, made on the head and handed to the workers, as the README says."""
    said = of_readme("On a cluster")
    head.check(the(said, "ray get-auth-token"))
    token = head.check("cat ~/.ray/auth_token")
    ssh, to, command, *shown = shlex.split(the(said, "ssh"))
    assert (ssh, to, shown) == ("ssh", "WORKER", ["<", "~/.ray/auth_token"])
    for worker in workers:
        worker.check(f"printf %s {token} | bash -c {shlex.quote(command)}")
    assert {host.check("stat -c %a ~/.ray/auth_token") for host in (head, *workers)} == {"600\n"}


def starts(head):
    """What the README starts Ray with: on this head, and on each of its workers."""
    said = of_readme("On a cluster")
    return the(said, "ray start --head"), the(said, "ray start --address=HEAD:6379").replace(
        "HEAD", head.address
    )


def start_ray(head, *workers, token=True, **environment):
    """Ray on the head and then on the workers, as the README says, a CPU each; `environment` is the
    workers'."""
    if token:
        share_token(head, *workers)
    start, join = (
        command if token else command.removeprefix("RAY_AUTH_MODE=token ")
        for command in starts(head)
    )
    head.check(f"{start} --num-cpus=1")
    for worker in workers:
        worker.check(f"{join} --num-cpus=1", **environment)


def search(head, *options, space="tiny", dataset="digits"):
    """The README's command, for a small search, from the checkout; `options` take the place of its
    own."""
    said = the(of_readme("On a cluster"), "--storage /mnt/shared/runs")
    for written, meant in (
        ("HEAD", head.address),
        ("/mnt/shared/runs", RUNS),
        (" mnist ", f" {dataset} "),
    ):
        assert written in said
        said = said.replace(written, meant)
    small = f"--search-space {ROOT}/tests/spaces/{space}.py --trials 3 --max-epochs 3"
    return " ".join((f"cd {ROOT} && {said} {small}", *map(str, options)))


def stop_ray(*hosts):
    """End it on each, as the README says."""
    for host in hosts:
        host.check(the(of_readme("On a cluster"), "ray stop"))


def _bare(line):
    return re.sub(r"\s+# .*", "", line).strip()
