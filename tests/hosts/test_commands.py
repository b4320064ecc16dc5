"""The README's section on clusters leads from hosts with nothing on them to a search, and back."""

import shlex

from tests.hosts.commands import of_readme
from tests.hosts.machines import ROOT


def test_the_section_has_a_command_for_each_step_in_their_order():
    steps = [
        "make venv && . .venv/bin/activate",
        "ray get-auth-token --generate",
        "ssh WORKER",
        "RAY_AUTH_MODE=token ray start --head",
        "RAY_AUTH_MODE=token ray start --address=HEAD:6379",
        "python -m pipeline.run",
        "python -m pipeline.run",
        "ray stop",
    ]
    said = of_readme("On a cluster")
    assert [command[: len(step)] for command, step in zip(said, steps, strict=True)] == steps
    assert "\nvenv:" in (ROOT / "Makefile").read_text()


def test_the_two_searches_differ_in_where_their_runs_are_kept_alone():
    shared, remote = (
        shlex.split(line) for line in of_readme("On a cluster") if "pipeline.run" in line
    )
    assert shared[:-1] == remote[:-1] and shared[-2] == "--storage"
    assert shared[-1].startswith("/") and remote[-1].startswith("s3://")
