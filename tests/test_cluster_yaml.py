"""Ray's cluster launcher takes cluster.yaml, and no open cluster comes of it; what
cluster.local.yaml installs.

No cluster is started here: tests/hosts does.
"""

import copy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.hosts.commands import at_head_of, the

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def written():
    """The file as it stands."""
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


@pytest.fixture(scope="module")
def prepared(written):
    """The file as Ray completes it, which is what Ray checks and uses."""
    return prepare_config(copy.deepcopy(written))


def machines(config, resource):
    return [
        kind for kind in config["available_node_types"].values() if kind["resources"].get(resource)
    ]


def test_ray_accepts_the_file(prepared):
    validate_config(prepared)


def fractional_gpu(config):
    config["available_node_types"]["gpu_worker"]["resources"]["GPU"] = 0.5


def unknown_key(config):
    config["storage"] = "/mnt/runs"


def unknown_head(config):
    config["head_node_type"] = "haed"


def more_workers_than_allowed(config):
    config["available_node_types"]["gpu_worker"]["min_workers"] = config["max_workers"] + 1


@pytest.mark.parametrize(
    ("breaks", "error"),
    [
        (fractional_gpu, ValidationError),
        (unknown_key, ValidationError),
        (unknown_head, ValueError),
        (more_workers_than_allowed, ValueError),
    ],
)
def test_ray_refuses_a_broken_copy(written, breaks, error):
    broken = copy.deepcopy(written)
    breaks(broken)
    with pytest.raises(error):
        validate_config(prepare_config(broken))


def test_gpu_machines_come_on_demand_and_are_bounded(prepared):
    gpu_workers = machines(prepared, "GPU")
    assert gpu_workers, "no node type has a GPU"
    for kind in gpu_workers:
        assert kind["min_workers"] == 0
        assert 0 < kind["max_workers"] <= prepared["max_workers"]
    assert prepared["idle_timeout_minutes"] > 0


def test_the_head_is_no_gpu_machine_and_no_spot_machine(prepared):
    head = prepared["available_node_types"][prepared["head_node_type"]]
    assert head["resources"].get("GPU", 0) == 0
    assert "InstanceMarketOptions" not in head["node_config"]


@pytest.mark.parametrize("node", ["head", "worker"])
def test_every_start_authenticates_by_token(prepared, node):
    starts = [
        command for command in prepared[f"{node}_start_ray_commands"] if "ray start" in command
    ]
    assert starts
    for command in starts:
        assert "RAY_AUTH_MODE=token ray start" in command


def test_a_job_that_is_stopped_has_time_to_save_everything(prepared):
    start = next(
        command for command in prepared["head_start_ray_commands"] if "ray start" in command
    )
    assert "RAY_JOB_STOP_WAIT_TIME_S=110" in start


@pytest.mark.parametrize("file", ["cluster.yaml", "cluster.local.yaml"])
def test_a_job_is_submitted_with_the_token_whichever_terminal_it_is_typed_in(file):
    commands = at_head_of(file)
    assert the(commands, "ray job submit").startswith("RAY_AUTH_MODE=token ray job submit ")
    assert not [command for command in commands if command.startswith("export ")]


def test_the_token_is_mounted_from_its_default_place(prepared):
    assert prepared["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"


def test_the_dashboard_listens_on_loopback_alone(prepared):
    start = next(
        command for command in prepared["head_start_ray_commands"] if "ray start" in command
    )
    assert "--dashboard-host=127.0.0.1" in start


def test_the_repository_is_mounted_without_what_git_ignores(prepared):
    assert prepared["file_mounts"]["/home/ubuntu/kerasweep"] == "."
    assert ".gitignore" in prepared["rsync_filter"]
    assert ".git" in prepared["rsync_exclude"]


def test_nodes_install_extras_that_exist_at_pinned_versions(prepared):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    installs = {
        node: [
            command for command in prepared[f"{node}_setup_commands"] if "pip install" in command
        ]
        for node in ("head", "worker")
    }
    assert all(
        "-c constraints.txt" in command for commands in installs.values() for command in commands
    )
    assert any("[cluster]" in command for command in installs["head"]) and "cluster" in extras
    assert any("[gpu]" in command for command in installs["worker"]) and "gpu" in extras


@pytest.fixture
def set_up(tmp_path):
    """Carry out what cluster.local.yaml sets a machine up with, but that its pip installs nothing;
    what pip was asked.

    Asked to `break`, pip fails.
    """
    config = yaml.safe_load((ROOT / "cluster.local.yaml").read_text())
    home, programs = tmp_path / "home", tmp_path / "programs"
    for folder in (home / "kerasweep", home / ".ray", home / "venv" / "bin", programs):
        folder.mkdir(parents=True)
    for remote, local in config["file_mounts"].items():
        if not local.startswith("~"):
            shutil.copy(ROOT / local, home / remote.removeprefix("~/"))
    (home / ".ray" / "auth_token").touch()
    for tool in ("bash", "cat", "chmod", "cmp", "grep"):  # without nvidia-smi, wherever this is
        (programs / tool).symlink_to(shutil.which(tool))
    (programs / "python3.11").symlink_to(sys.executable)
    (home / "venv" / "bin" / "python").symlink_to(sys.executable)
    pip = home / "venv" / "bin" / "pip"
    pip.write_text(
        f"#!/bin/sh\ntest ! -e {tmp_path}/break || exit 1\necho $@ >> {tmp_path}/asked\n"
    )
    pip.chmod(0o755)

    def run():
        (tmp_path / "asked").write_text("")
        codes = [
            subprocess.run(
                [programs / "bash", "-c", command],
                cwd=home,
                env={"HOME": str(home), "PATH": str(programs)},
                check=False,
            ).returncode
            for command in config["initialization_commands"] + config["setup_commands"]
        ]
        listed = (home / "kerasweep" / "requirements.txt").read_text().splitlines()
        return max(codes), (tmp_path / "asked").read_text(), listed

    return run


def wanted(*extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        *project["dependencies"],
        *(name for extra in extras for name in project["optional-dependencies"][extra]),
    ]


INSTALL = "install -q -c constraints.txt -r requirements.txt\n"


def test_a_machine_of_ones_own_gets_what_pyproject_names_once_and_again_where_that_changed(
    set_up, tmp_path
):
    assert set_up() == (0, INSTALL, wanted("cluster"))
    assert set_up()[:2] == (0, "")
    (tmp_path / "home" / "kerasweep" / "constraints.txt").write_text("ray==2.60.1\n")
    (tmp_path / "break").touch()
    assert set_up()[0] == 1  # and what could not be installed is not taken to be there
    (tmp_path / "break").unlink()
    assert set_up()[:2] == (0, INSTALL) and set_up()[:2] == (0, "")
    assert (tmp_path / "home" / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "home" / ".bashrc").read_text().count("export") == 2


def test_a_machine_of_ones_own_with_a_gpu_gets_cudas_libraries(set_up, tmp_path):
    (tmp_path / "programs" / "nvidia-smi").symlink_to("/bin/true")
    assert set_up() == (0, INSTALL, wanted("cluster", "gpu"))
