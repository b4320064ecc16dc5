"""The wheel: what it holds, and a search with it in an environment with another `datasets`.

The environment sees what is installed here, so that nothing is downloaded; ours comes from the
wheel alone.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.environment import Environment, copy_of_sources, wheel_of

ROOT = Path(__file__).parents[2]
OTHER = {
    "pyproject.toml": '[project]\nname = "datasets"\nversion = "5.2"\n',
    "datasets/__init__.py": "def load_dataset():\n    return 'theirs'\n",
    "datasets/digits.py": "raise ImportError('this is the other package')\n",
}
OWN_DATA = """
from datasets import load_dataset
from pipeline.datasets import digits

def load(seed):
    assert load_dataset() == "theirs"
    return digits.load(seed)
"""
OWN_SPACE = """
import keras
from own_sizes import LARGEST
from pipeline.search_spaces import _heads, mlp

fit = mlp.fit

def build(hp, data):
    units = hp.Int("units", 8, LARGEST, step=8)
    layers = [keras.layers.Flatten(), keras.layers.Dense(units, activation="relu")]
    return _heads.compiled(layers, data, _heads.optimizer(hp))
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def contents(wheel):
    with zipfile.ZipFile(wheel) as files:
        return {name: files.read(name) for name in files.namelist()}


def files_in(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of the checkout, as a build writes into the folder that it is given, and its wheel."""
    folder = tmp_path_factory.mktemp("built")
    source = copy_of_sources(folder / "source")
    return source, wheel_of(source, folder / "wheel")


def test_a_wheel_holds_pipeline_alone_and_all_of_it(built):
    source, wheel = built
    held = contents(wheel)
    ours = {
        name if name.startswith("pipeline/") else f"pipeline/{name}": content
        for name, content in files_in(source).items()
        if name.startswith(("pipeline/", "datasets/", "search_spaces/"))
    }
    metadata = {name for name in held if name.startswith("kerasweep-")}
    assert {name: held[name] for name in held.keys() - metadata} == ours
    assert {name.partition("/")[0].rpartition(".")[2] for name in metadata} == {"dist-info"}
    assert {"pipeline/datasets/data/mnist.npz", "pipeline/search_spaces/_heads.py"} <= held.keys()


def test_an_sdist_gives_the_same_wheel(built, tmp_path):
    source, wheel = built
    program = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, check=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as files:
        inside = {name.split("/")[1] for name in files.getnames() if "/" in name}
    assert not {"tests", "benchmarks", "examples"} & inside
    assert contents(wheel_of(sdist, tmp_path / "again")) == contents(wheel)


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """An environment with another package called `datasets`, into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("installed")
    for name, text in OTHER.items():
        (folder / "other" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "other" / name).write_text(text)
    environment = Environment(folder / "environment")
    environment.pip("install", "--no-deps", wheel_of(folder / "other", folder / "others"))
    before = files_in(environment.site)
    assert before["datasets/__init__.py"].decode() == OTHER["datasets/__init__.py"]
    environment.pip("install", "--no-deps", built[1])
    yield environment, before
    environment.pip("uninstall", "-y", "kerasweep")
    assert files_in(environment.site) == before
    assert "theirs" in environment.run(
        "python", "-c", "import datasets; print(datasets.load_dataset())", cwd=folder
    )


def untouched(environment, before):
    """Whether all that was there before the wheel is as it was."""
    now = files_in(environment.site)
    return {name: now.get(name) for name in before} == before


def rows(run):
    with (run / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_wheels_command_searches_in_an_empty_folder_and_the_checkout_goes_on_and_back(
    installed, tmp_path
):
    environment, before = installed
    environment.run("kerasweep", "digits", "--trials", 2, "--max-epochs", 1, cwd=tmp_path)
    (run,) = (tmp_path / "runs").iterdir()
    asked = (run / "experiment.yaml").read_text()
    assert "dataset: digits\n" in asked and "search_space: mlp\n" in asked
    sources = json.loads((run / "summary.json").read_text())["sources"]
    assert {kind: source["name"] for kind, source in sources.items()} == {
        "dataset": "digits",
        "search space": "mlp",
    }
    for place in (environment.site, ROOT, tmp_path):
        assert str(place) not in asked + json.dumps(sources)
    assert [row["status"] for row in rows(run)] == ["finished"] * 2

    def of_the_checkout(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.run", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr
        return json.loads((run / "summary.json").read_text())["sources"]

    assert of_the_checkout("--resume", run, "--trials", 3) == sources
    assert [row["status"] for row in rows(run)] == ["finished"] * 3
    environment.run("kerasweep", "--resume", run, "--trials", 4, cwd=tmp_path)
    assert [row["status"] for row in rows(run)] == ["finished"] * 4
    assert json.loads((run / "summary.json").read_text())["sources"] == sources
    assert untouched(environment, before)


def test_a_sweep_trains_files_beside_it_that_build_on_ours_and_on_the_other_datasets(
    installed, tmp_path
):
    environment, before = installed
    (tmp_path / "own_data.py").write_text(OWN_DATA)
    (tmp_path / "own_sizes.py").write_text("LARGEST = 32\n")
    (tmp_path / "own_space.py").write_text(OWN_SPACE)
    (tmp_path / "night.yaml").write_text(
        "experiments:\n"
        "  - {dataset: own_data.py, search_space: own_space.py, trials: 2, max_epochs: 1}\n"
    )
    environment.run("kerasweep", "night.yaml", cwd=tmp_path)
    (run,) = {table.parent for table in tmp_path.rglob("trials.csv")} - set(
        tmp_path.rglob(".copies")
    )
    assert [row["status"] for row in rows(run)] == ["finished"] * 2
    assert all(int(row["units"]) <= 32 for row in rows(run))
    assert untouched(environment, before)


def test_what_the_wheel_installs_is_what_the_checkout_has(installed, tmp_path):
    environment, _ = installed
    program = (
        "import json; from pipeline import keras_tuner, names, version; "
        "from pipeline.engine.cluster.node_facts import facts; "
        "from pipeline.engine.cluster.shipping import stage; from importlib import metadata; "
        "print(json.dumps([str(names.HOME), names.search_path(), facts()['code'][1], "
        "version.__version__, metadata.version('kerasweep'), stage([])]))"
    )
    home, path, code, ours, recorded, staged = json.loads(
        environment.run("python", "-c", program, cwd=tmp_path)
    )
    try:
        assert (home, path) == (str(environment.site), "")
        from pipeline.engine.cluster.node_facts import facts

        assert code == facts()["code"][1]
        assert ours == recorded
        assert [path.name for path in Path(staged).glob("[!.]*")] == ["pipeline"]
        assert (Path(staged) / "pipeline" / "datasets" / "data" / "mnist.npz").is_file()
    finally:
        shutil.rmtree(staged)
