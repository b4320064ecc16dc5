"""What was measured is found again, under what it holds for, and a damaged file does no harm."""

import json
from dataclasses import replace

import pytest

from pipeline.engine.gpus.choice import Measured
from pipeline.engine.gpus.gauge import Gpu
from pipeline.engine.gpus.remembered import KEPT, key_of, recall, remember
from pipeline.names import resolve
from pipeline.objective import Objective
from pipeline.worker.session import Job

FOUND = Measured(812, 81_559, 0.3, {"plain": 9.5, "compiled": 20.0}, {1: 20.0, 2: 31.0})
GPU = Gpu("NVIDIA H200", "a0", 81_559, "n", {"keras": "3.15", "backend": "jax", "jax": "0.9"})
FACTS = {"shape": [28, 28, 1], "dtype": "float32", "classes": 10, "task": "classification"}


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kerasweep" / "gpus.json"


def test_it_is_found_again_and_the_oldest_make_room(file):
    assert recall("mine") is None and not file.exists()
    remember("mine", FOUND)
    assert recall("mine") == FOUND and recall("another") is None
    for number in range(KEPT):
        remember(str(number), replace(FOUND, peak_mib=number))
    assert recall("mine") is None and recall("0").peak_mib == 0
    assert len(json.loads(file.read_text())) == KEPT
    assert [path.name for path in file.parent.iterdir()] == ["gpus.json"], "written whole"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "\x00",
        '{"mine": 3}',
        '{"mine": {"measured": {"peak_mib": "many", "total_mib": 1}}}',
        '{"mine": {"measured": {"peak_mib": 1, "total_mib": 1, "rates": {"1": 0}}}}',
        '{"mine": {"measured": {"peak_mib": 1, "total_mib": 1, "rates": {"2": 5}}}}',
        '{"mine": {"measured": {"peak_mib": 1, "total_mib": 1, "plans": {"plain": NaN}}}}',
    ],
)
def test_what_is_damaged_is_ignored_and_written_anew(text, file):
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert recall("mine") is None
    remember("mine", FOUND)
    assert recall("mine") == FOUND


def test_where_nothing_can_be_written_it_is_not_kept(file):
    file.parent.parent.mkdir()
    file.parent.write_text("a file where a folder should be")
    remember("mine", FOUND)
    assert recall("mine") is None


def test_it_holds_for_that_gpu_backend_family_shape_and_way_to_train(tmp_path):
    job = Job("t0000", {}, 0, 9, Objective("val_loss", "min"), tmp_path)
    space = resolve("search space", "mlp")

    def key(gpu=GPU, source=space, facts=FACTS, task=job, cpus=1.0, most=4):
        return key_of(gpu, source, facts, task, cpus, most)

    (tmp_path / "mlp.py").write_text("def build(hp, data):\n    pass\n")
    others = [
        key(replace(GPU, name="NVIDIA L4")),
        key(replace(GPU, on=GPU.on | {"jax": "0.10"})),
        key(source=resolve("search space", str(tmp_path / "mlp.py"))),
        key(source=lambda hp: None),
        key(facts=FACTS | {"shape": [32, 32, 3]}),
        key(task=replace(job, repeats=5, folds=5)),
        key(task=replace(job, fit_plan="plain")),
        key(cpus=2),
        key(most=2),
    ]
    assert len({key(), *others}) == 10
    assert key() == key(task=replace(job, seed=7, max_epochs=3))
    said = (
        "NVIDIA H200 81559 MiB; jax 0.9, keras 3.15; mlp:build",
        "; [28, 28, 1], float32, 10, classification, None; ",
    )
    assert all(part in key() for part in said)
    assert str(tmp_path) not in "".join(others), "no paths"
