"""What is said of a cluster's nodes; tests/hosts asks real ones."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import Experiment
from pipeline.engine.cluster import node_facts, nodes
from pipeline.engine.cluster.node_facts import DRIVER, _gpus, answer, facts, findings
from pipeline.engine.cluster.nodes import Newcomers, _packed, _probe, _unseen
from pipeline.engine.cluster.shipping import LEFT_OUT, OUR_FOLDERS
from pipeline.errors import RequestError
from pipeline.names import FOLDERS, HOME, PACKAGE, folder_of


@pytest.fixture
def probe(tmp_path):
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe" / DRIVER).write_text(DRIVER)
    return tmp_path / "probe"


def found(said, gpu_share=0.0):
    return [fault for fault, _ in findings(said, facts(), gpu_share)]


def test_nothing_is_found_where_all_is_as_here(probe):
    assert found(answer(str(probe), "node", 0)) == []
    assert (probe / "node").read_text() == "node"


def test_storage_that_cannot_be_read_or_written_is_found(probe):
    place = probe.parent
    assert found(answer(str(place / "elsewhere"), "node", 0)) == [
        f"storage {place}: No such file or directory"
    ]
    assert found(answer(str(probe), "no/node", 0)) == [
        f"storage {place}: No such file or directory"
    ]
    (probe / DRIVER).write_text("other")
    assert found(answer(str(probe), "node", 0)) == [
        f"storage {place}: another file is in the place of this one's"
    ]


def test_storage_that_each_host_has_for_itself_is_found(probe):
    said = answer(str(probe), "node", 0)
    assert _unseen(probe / "node", "node") is None
    (probe / "node").unlink()  # as if it lay on the node alone
    said["storage"] = _unseen(probe / "node", "node")
    assert found(said) == [f"storage {probe.parent}: what is written there is not seen here"]


def test_other_versions_other_code_and_a_backend_that_is_missing_are_found(probe, tmp_path):
    for ours in OUR_FOLDERS:
        shutil.copytree(ours, tmp_path / "other" / ours.name, ignore=LEFT_OUT)
    other = tmp_path / "other" / "pipeline"
    with (tmp_path / "other" / "datasets" / "digits.py").open("a") as file:
        file.write("# as of another day\n")
    (tmp_path / "other" / "numpy-1.0.dist-info").mkdir()
    (tmp_path / "other" / "numpy-1.0.dist-info" / "METADATA").write_text(
        "Name: numpy\nVersion: 1.0"
    )
    program = (
        "import json; from pipeline.engine.cluster.node_facts import answer; "
        f"print(json.dumps(answer({str(probe)!r}, 'n', 0)))"
    )
    path = os.pathsep.join((str(tmp_path / "other"), str(HOME)))
    said = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": path, "KERAS_BACKEND": "no_backend"},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    ).stdout
    assert found(json.loads(said)) == [
        f"numpy 1.0, here {facts()['versions']['numpy']}",
        "KERAS_BACKEND=no_backend, and no no_backend",
        f"`pipeline` is {other}, other code than here",
    ]
    said = json.loads(said)
    del said["versions"]["keras"]
    assert f"keras is missing, here {facts()['versions']['keras']}" in found(said)


def test_a_backend_built_for_other_devices_or_installed_under_another_name_is_the_same_one(
    probe, monkeypatch
):
    monkeypatch.setattr(
        node_facts, "version", lambda package: {"tensorflow": "2.21.0+cu130"}.get(package, "1.0")
    )
    here = facts()
    assert here["versions"]["tensorflow"] == "2.21.0"
    said = answer(str(probe), "node", 0)
    del said["versions"]["tensorflow"]  # tensorflow-cpu, whose module is there
    assert list(findings(said, here, 0)) == []
    said["versions"]["tensorflow"] = "2.19.0"
    assert [fault for fault, _ in findings(said, here, 0)] == ["tensorflow 2.19.0, here 2.21.0"]


def test_code_that_a_node_finds_by_a_link_is_its_own(probe, tmp_path):
    (tmp_path / "link").symlink_to(HOME)
    program = "import json; from pipeline.engine.cluster.node_facts import facts; print(json.dumps(facts()))"
    said = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "link")},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    ).stdout
    assert found(answer(str(probe), "node", 0) | json.loads(said)) == []


def test_code_that_a_node_has_installed_is_its_own_and_another_datasets_is_no_fault(
    probe, tmp_path
):
    site = tmp_path / "site"
    shutil.copytree(PACKAGE, site / "pipeline", ignore=LEFT_OUT)
    for component, name in FOLDERS.items():  # as a wheel has them
        shutil.copytree(folder_of(component), site / "pipeline" / name, ignore=LEFT_OUT)
    (site / "datasets").mkdir()
    (site / "datasets" / "__init__.py").touch()
    program = "import json; from pipeline.engine.cluster.node_facts import facts; print(json.dumps(facts()))"
    said = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    ).stdout
    assert json.loads(said)["code"][0] == str(site / "pipeline")
    assert found(answer(str(probe), "node", 0) | json.loads(said)) == []


def test_a_probe_lies_beside_a_run_that_is_not_there_yet_and_leaves_nothing_behind(tmp_path):
    left, young = (f".probe-{time.time() - ago_s:.0f}-{'0' * 16}" for ago_s in (4000, 3000))
    for name in (left, young, ".probe-mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / DRIVER).touch()
    with _probe(tmp_path / "run") as there:
        assert there.parent == tmp_path and found(answer(str(there), "node", 0)) == []
    # what a killed one left is gone
    assert {path.name for path in tmp_path.iterdir()} == {young, ".probe-mine"}
    with _probe(tmp_path / "deeper" / "run") as there:
        assert there.parent == tmp_path / "deeper"
    assert not (tmp_path / "deeper").exists()


def test_a_place_that_this_host_cannot_write_to_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "run", Path("/proc/nowhere/run")):
        with pytest.raises(RequestError) as refused, _probe(place):
            pass
        line = str(refused.value)
        assert (
            line.startswith("The storage path must be a folder that can be written to; ")
            and "\n" not in line
        )


@pytest.mark.parametrize(
    ("gpus", "share", "faults"),
    [
        ([(23_000, 24_000)], 1, []),
        ([(21_000, 24_000)], 0.5, []),
        (
            [(23_000, 24_000), (11_500, 24_000)],
            0.5,
            ["GPU 1: 11500 of 24000 MiB are free, 2 trials need 20520"],
        ),
        ([(2_000, 24_000)], 1, ["GPU 0: 2000 of 24000 MiB are free, a trial needs 12000"]),
        ("Ray counts 2, the driver 1", 1, ["GPUs: Ray counts 2, the driver 1"]),
    ],
)
def test_gpus_that_do_not_answer_or_have_too_little_free_memory_are_found(
    probe, gpus, share, faults
):
    packed = _packed(Experiment(dataset="digits", gpus_per_trial=share), {"CPU": 8, "GPU": 2})
    said = answer(str(probe), "node", 0) | {"gpus": gpus}
    assert [fault for fault, _ in findings(said, facts(), share, packed)] == faults


def test_no_more_trials_share_a_gpu_than_there_are_cpus_for_or_were_asked_for():
    def packed(cpus, **settings):
        return _packed(
            Experiment(dataset="digits", gpus_per_trial=0.125, **settings), {"CPU": cpus, "GPU": 1}
        )

    assert [packed(16), packed(4), packed(4, cpus_per_trial=2), packed(16, max_concurrent=3)] == [
        8,
        4,
        2,
        3,
    ]
    assert packed(0) == 1


def test_storage_that_is_an_object_store_is_let_in_host_by_host(probe):
    said = answer(str(probe), "node", 0) | {"storage": "access denied", "place": "s3://bucket/runs"}
    assert list(findings(said, facts(), 0)) == [
        (
            "storage s3://bucket/runs: access denied",
            "let that host into it: by a role of its own, or by variables that are set for its "
            "`ray start`",
        )
    ]


def test_only_the_gpus_that_ray_gives_away_are_asked(monkeypatch):
    class Driver:
        NVMLError = RuntimeError
        nvmlInit = nvmlDeviceGetHandleByUUID = staticmethod(lambda *_: None)
        nvmlDeviceGetCount = staticmethod(lambda: 8)
        nvmlDeviceGetHandleByIndex = staticmethod(lambda number: number)

        @staticmethod
        def nvmlDeviceGetMemoryInfo(number):
            return SimpleNamespace(free=number * 2**20, total=9 * 2**20)

    monkeypatch.setitem(sys.modules, "pynvml", Driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert _gpus(2) == [(0, 9), (1, 9)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert _gpus(2) == [(5, 9), (7, 9)] and _gpus(3) == "Ray counts 3, the driver 2"


def test_nodes_that_come_later_are_asked_and_ended_for_if_they_are_unfit_twice(
    monkeypatch, tmp_path
):
    here = {"NodeManagerAddress": "10.0.0.1", "NodeManagerHostname": "here"}
    there, asked, told, fit = here | {"NodeManagerHostname": "there"}, [], [], {"here"}
    alive, answers = {"here": here, "new": there}, []
    monkeypatch.setattr(nodes, "AGAIN_S", 0.0)
    monkeypatch.setattr(nodes, "_alive", lambda: alive)
    monkeypatch.setattr(
        nodes, "_found", lambda nodes, *_: (asked.append(list(nodes)), answers.pop(0))[1]
    )
    newcomers = Newcomers(Experiment(dataset="digits"), tmp_path / "run", fit, told.append)

    def ask():
        newcomers.ask_new()
        if newcomers._thread is not None:
            newcomers._thread.join(10)

    silent = ({}, {"new": [("no answer within 60 s", "wait")]})
    bad = ({"new": [("storage /runs: not there", "mount it")]}, {})
    answers += [silent, bad, bad]
    for _ in range(2):
        ask()
    assert asked == [["new"]] * 2 and told == [] and fit == {"here"}
    ask()
    assert told[0].rows == [("10.0.0.1 there", "storage /runs: not there", "mount it")]
    answers.append(({"new": []}, {}))
    ask()
    ask()  # asked once more, and then never
    assert len(asked) == 4 and len(told) == 1 and fit == {"here", "new"}
    alive["broken"] = there
    answers.append(None)  # as where Ray or the storage fails: the search goes on
    ask()
    assert len(told) == 1 and list(tmp_path.iterdir()) == []
    asked.clear()
    with newcomers:
        pass
    ask()
    assert asked == []  # it is over
