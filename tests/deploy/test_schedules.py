"""The cron line and the systemd units: what they call is there, and systemd accepts them."""

import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def dry_run(cli, words, tmp_path):
    """Carry a command's words out in a checkout, but for the searches."""
    python, dash, module, *arguments = words
    assert python.endswith(".venv/bin/python") and (dash, module) == ("-m", "pipeline.run")
    code, output, errors = cli(*arguments, "--dry-run", "--storage", tmp_path, cwd=ROOT)
    assert code == 0, errors
    assert "Experiments: 5, 1 at once" in output


def unit(name):
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read(DEPLOY / name)
    return parser


def test_the_cron_line_calls_the_sweep(cli, tmp_path):
    (line,) = [
        line for line in (DEPLOY / "crontab").read_text().splitlines() if not line.startswith("#")
    ]
    *times, command = line.split(maxsplit=5)
    assert len(times) == 5 and all(re.fullmatch(r"\*|\d+", time) for time in times)
    assert "%" not in command  # cron would end the line there
    assert shlex.split(command)[:3] == ["cd", "$HOME/kerasweep", "&&"]
    dry_run(cli, shlex.split(command)[3:], tmp_path)


def test_the_service_calls_the_sweep(cli, tmp_path):
    service = unit("kerasweep.service")["Service"]
    assert service["ExecStart"].startswith(f"{service['WorkingDirectory']}/.venv/bin/python ")
    dry_run(cli, shlex.split(service["ExecStart"]), tmp_path)


def test_a_service_that_is_stopped_saves_everything_and_has_not_failed():
    service = unit("kerasweep.service")["Service"]
    assert service["KillMode"] == "mixed" and "143" in service["SuccessExitStatus"].split()
    assert service["RestartPreventExitStatus"] == "2"


def test_systemd_accepts_both(tmp_path):
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not on this machine: apt-get install systemd")
    for name in ("kerasweep.service", "kerasweep.timer"):
        # That the interpreter is where it says, systemd looks at too.
        text = (DEPLOY / name).read_text().replace("%h/kerasweep/.venv/bin/python", sys.executable)
        (tmp_path / name).write_text(text.replace("%h/kerasweep", str(tmp_path)))
    units = [tmp_path / "kerasweep.service", tmp_path / "kerasweep.timer"]
    done = subprocess.run(
        [tool, "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "kerasweep" not in done.stderr, done.stderr
    (tmp_path / "kerasweep.service").write_text(
        units[0].read_text().replace("KillMode=mixed", "KilMode=mixed")
    )
    done = subprocess.run(
        [tool, "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert "KilMode" in done.stderr
