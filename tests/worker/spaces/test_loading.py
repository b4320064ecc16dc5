"""Users' files, modules, functions and objects become search spaces and datasets; ours are never
mistaken."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline import names
from pipeline.errors import RequestError, UserCodeError
from pipeline.worker.spaces.loading import load_dataset, load_search_space


@pytest.fixture(autouse=True)
def as_before(monkeypatch, tmp_path):
    """Each test has its own folder as the current one, and leaves nothing imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def space(name):
    return load_search_space(names.find("search space", name))


def data(name, seed=0):
    return load_dataset(names.find("dataset", name), seed)


# Search spaces.


def test_a_users_file_may_import_its_neighbours(tmp_path):
    write(tmp_path / "mine" / "neighbour.py", "WIDTH = 5\n")
    write(
        tmp_path / "mine" / "family.py",
        "import neighbour\ndef build(hp, data): return neighbour.WIDTH, hp, data\ndef fit(hp, "
        "model): return hp\n",
    )

    family = space("mine/family.py")

    assert family.name == "mine/family.py"
    assert family.build("hp", "data") == (5, "hp", "data")
    assert family.fit("hp", None) == "hp"


def test_a_dotted_package_with_relative_imports(tmp_path):
    write(tmp_path / "plants" / "__init__.py", "")
    write(tmp_path / "plants" / "soil.py", "DEPTH = 3\n")
    write(
        tmp_path / "plants" / "trees.py",
        "from .soil import DEPTH\n\ndef build(hp, data):\n    return DEPTH\n",
    )

    family = space("plants.trees")

    assert family.build(None, None) == 3
    assert family.fit is None


def test_a_function_of_a_module_by_name(tmp_path):
    write(
        tmp_path / "several.py",
        "def wide(hp, data):\n    return 'wide'\n\ndef build(hp, data):\n    return 'build'\n",
    )

    assert space("several:wide").build(None, None) == "wide"
    assert space("several.py:wide").build(None, None) == "wide"
    assert space("several").build(None, None) == "build"


def test_a_kerastuner_build_model_takes_hp_alone(tmp_path):
    write(tmp_path / "tuner.py", "def build_model(hp):\n    return ['model', hp]\n")

    assert space("tuner.py").build("hp", "data") == ["model", "hp"]


@pytest.mark.parametrize(
    ("build", "given"),
    [
        (lambda hp, data: data, "data"),
        (lambda hp, data=None: data, "data"),
        (lambda hp, arrays: arrays, "data"),
        (lambda *args: args[1], "data"),
        (lambda hp, width=3: width, 3),
        (lambda hp, **settings: settings, {}),
    ],
    ids=["data", "data with a default", "another name", "any", "no data", "only keywords"],
)
def test_data_is_given_to_a_build_that_asks_for_it(build, given):
    assert load_search_space(build).build("hp", "data") == given


def test_a_hypermodel_object_brings_build_and_fit():
    class Family:
        def build(self, hp):
            return ["model", hp]

        def fit(self, hp, model, *args, **kwargs):
            return model, args, kwargs

    family = load_search_space(Family())

    assert family.name == "Family"
    assert family.build("hp", "data") == ["model", "hp"]
    assert family.fit("hp", "model", 1, epochs=2) == ("model", (1,), {"epochs": 2})


def test_a_function_is_a_search_space():
    def my_family(hp, data):
        return data

    assert (load_search_space(my_family).name, load_search_space(my_family).fit) == (
        "my_family",
        None,
    )


@pytest.mark.parametrize("name", ["broken.py", "broken"], ids=["file", "module"])
def test_a_failing_import_shows_the_users_traceback_alone(name, tmp_path):
    write(
        tmp_path / "broken.py",
        "def build(hp, data): ...\n\ndef prepare():\n    return {}['width']\n\nprepare()\n",
    )

    with pytest.raises(UserCodeError) as failure:
        space(name)

    assert (
        str(failure.value) == f"The search space {name!r} must import; it raised KeyError: 'width'"
    )
    told = failure.value.user_traceback.splitlines()
    assert told[0] == "Traceback (most recent call last):"
    assert [line.strip() for line in told if line.startswith("  File")] == [
        f'File "{tmp_path}/broken.py", line 6, in <module>',
        f'File "{tmp_path}/broken.py", line 4, in prepare',
    ]
    assert told[-1] == "KeyError: 'width'"


def test_a_failed_import_is_tried_anew(tmp_path):
    write(tmp_path / "late.py", "import not_there_yet\n\ndef build(hp, data):\n    return 1\n")
    with pytest.raises(UserCodeError, match="No module named 'not_there_yet'"):
        space("late.py")

    write(tmp_path / "not_there_yet.py", "")

    import importlib

    importlib.invalidate_caches()
    assert space("late.py").build(None, None) == 1


def test_a_name_that_is_no_function_is_refused(tmp_path):
    write(tmp_path / "value.py", "build = 5\n")

    with pytest.raises(
        RequestError, match=r"The search space 'value.py' must define a function build\(\)."
    ):
        space("value.py")


def test_a_foreign_package_does_not_take_the_place_of_ours(tmp_path):
    """Hugging Face's package is called `datasets` too."""
    for package, entry in (("datasets", "digits"), ("search_spaces", "mlp")):
        write(tmp_path / package / "__init__.py", "raise ImportError('the foreign one')\n")
        write(tmp_path / package / f"{entry}.py", "raise ImportError('the foreign one')\n")
        sys.modules[package] = SimpleNamespace(__path__=[], foreign=True)
    sys.path.insert(0, str(tmp_path))
    try:
        assert data("digits").name == "digits"
        assert space("mlp").fit is not None
        assert sys.modules["datasets"].foreign
    finally:
        del sys.modules["datasets"], sys.modules["search_spaces"]


def test_two_files_of_one_name_are_two(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder / "family.py", f"def build(hp, data):\n    return {folder!r}\n")

    assert [space(f"{folder}/family.py").build(None, None) for folder in "ab"] == ["a", "b"]


# Datasets.

PAIR = "import numpy as np\nx, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 2\n"


def test_a_load_without_arguments(tmp_path):
    write(tmp_path / "pair.py", PAIR + "def load():\n    return x, y\n")

    loaded = data("pair.py", seed=3)

    assert (loaded.name, loaded.classes, loaded.counts) == (
        "pair",
        2,
        {"train": 18, "val": 6, "test": 6},
    )
    assert (loaded.x_train == data("pair.py", seed=3).x_train).all()
    assert not (loaded.x_train == data("pair.py", seed=4).x_train).all()


def test_a_load_that_takes_a_seed_gets_it(tmp_path):
    write(tmp_path / "seeded.py", PAIR + "def load(seed):\n    return x + 100 * seed, y\n")

    assert data("seeded.py", seed=7).x_train.min() >= 700


@pytest.mark.parametrize(
    ("load", "given"),
    [
        (lambda path="mnist.npz": path, "mnist.npz"),  # keras.datasets.mnist.load_data
        (lambda *, n_class=10: n_class, 10),  # sklearn.datasets.load_digits
        (lambda seed=1: seed, 7),
        (lambda number: number, 7),
    ],
    ids=["path", "keyword", "seed with a default", "any name"],
)
def test_a_seed_is_given_only_where_one_is_asked_for(load, given):
    got = []

    def noting(*args, **kwargs):
        got.append(load(*args, **kwargs))
        return np.arange(60.0).reshape(30, 2), np.arange(30) % 2

    import inspect

    noting.__signature__ = inspect.signature(load)
    load_dataset(noting, 7)

    assert got == [given]


def test_a_dataset_object_is_taken_as_it_is():
    digits = data("digits")

    assert load_dataset(digits, 5) is digits


def test_a_failing_load_shows_the_users_traceback_alone(tmp_path):
    write(tmp_path / "absent.py", "def load():\n    return open('not_there.csv')\n")

    with pytest.raises(UserCodeError) as failure:
        data("absent.py")

    assert str(failure.value).startswith("Dataset 'absent' must load; it raised FileNotFoundError:")
    assert "in load\n" in failure.value.user_traceback
    assert "pipeline/worker" not in failure.value.user_traceback


def test_what_is_no_dataset_is_refused_with_what_is_possible(tmp_path):
    write(tmp_path / "wrong.py", "def load():\n    return 'mnist'\n")

    with pytest.raises(RequestError) as refused:
        data("wrong.py")

    assert str(refused.value) == (
        "The load of dataset 'wrong' must return a pipeline.data.Dataset, "
        "((x_train, y_train), (x_test, y_test)) or (x, y); got a str."
    )


def test_a_loads_own_refusal_comes_through(tmp_path):
    write(
        tmp_path / "picky.py",
        "from pipeline.errors import RequestError\ndef load():\n    raise RequestError('no')\n",
    )

    with pytest.raises(RequestError, match="^no$") as refused:
        data("picky.py")
    assert not isinstance(refused.value, UserCodeError)
