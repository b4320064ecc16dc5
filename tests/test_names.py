"""From a name to a file, importing nothing."""

import hashlib
import importlib
import sys
from pathlib import Path

import pytest

from pipeline.errors import RequestError, UserCodeError
from pipeline.names import FOLDERS, HOME, find, folder_of, lasting, registered

RAISES = 'raise RuntimeError("this must not be imported")\n'
LOAD = RAISES + "def load(seed): ...\n"
BUILD = RAISES + "def build(hp, data): ...\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str = LOAD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# Ours.


def test_registered_names_come_with_the_first_line_of_their_docstring() -> None:
    assert set(registered("dataset")) == {"breast_cancer", "diabetes", "digits", "mnist"}
    assert set(registered("search space")) == {"cnn", "mlp", "resnet", "xception"}
    assert registered("search space")["mlp"].startswith("Multilayer perceptron")
    assert all(line.endswith(".") for kind in FOLDERS for line in registered(kind).values())


@pytest.mark.parametrize("kind", list(FOLDERS))
def test_every_registered_name_is_found(kind: str) -> None:
    for name in registered(kind):  # type: ignore[arg-type]
        target = find(kind, name)  # type: ignore[arg-type]

        assert target.file == str(folder_of(target.component) / f"{name}.py")
        assert (target.root, target.module, target.label) == (None, None, name)
        assert target.function == ("load" if kind == "dataset" else "build")
        assert target.located() == (Path(target.file), HOME)


@pytest.mark.parametrize("name", ["_heads", "__init__"])
def test_a_helper_of_ours_is_no_search_space(name: str) -> None:
    with pytest.raises(RequestError, match=f"Unknown search space '{name}'"):
        find("search space", name)


def test_a_dataset_is_no_search_space() -> None:
    with pytest.raises(
        RequestError, match="Unknown search space 'mnist'. Known: cnn, mlp, resnet, xception."
    ):
        find("search space", "mnist")


def test_an_installed_package_called_datasets_cannot_take_ours(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.worker.spaces.loading import load_dataset

    write(here / "site" / "datasets" / "__init__.py", RAISES)
    write(here / "site" / "datasets" / "diabetes.py", RAISES + "def load(seed): return 'theirs'\n")
    monkeypatch.syspath_prepend(str(here / "site"))
    monkeypatch.delitem(sys.modules, "datasets", raising=False)

    target = find("dataset", "diabetes")

    assert target.file == str(HOME / "datasets" / "diabetes.py")
    assert load_dataset(target, 0).name == "diabetes"


def test_one_of_ours_may_be_named_in_full(here: Path) -> None:
    for component, name in (("dataset", "mnist"), ("search space", "mlp")):
        full = f"pipeline.{FOLDERS[component]}.{name}"  # type: ignore[index]
        assert find(component, full) == find(component, name)  # type: ignore[arg-type]
        assert importlib.import_module(full).__file__ == find(component, name).file  # type: ignore[arg-type]


def test_a_file_beside_the_user_does_not_hide_a_name_of_ours(here: Path) -> None:
    write(here / "mnist.py")
    write(here / "mnist" / "__init__.py")

    assert find("dataset", "mnist").file == str(HOME / "datasets" / "mnist.py")
    assert find("dataset", "mnist.py").file == str(here / "mnist.py")


# Files.


@pytest.mark.parametrize("name", ["mine.py", "./mine.py", "sub/../mine.py"])
def test_a_file_is_found_from_here(name: str, here: Path) -> None:
    (here / "sub").mkdir()
    file = write(here / "mine.py")
    target = find("dataset", name)

    assert (target.file, target.root, target.module) == (str(file), str(here), None)
    assert (target.name, target.label, target.function) == (name, "mine", "load")
    assert target.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_absolute_file_and_one_at_home_are_found(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(here / "home" / "mine.py")
    monkeypatch.setenv("HOME", str(here / "home"))

    assert find("dataset", str(file)).file == str(file)
    assert find("dataset", "~/mine.py").file == str(file)


def test_for_a_file_no_installed_package_is_looked_through(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here / "mine.py")
    monkeypatch.setattr("pipeline.names.distributions", lambda: pytest.fail("a scan"))
    for name in ("mine.py", "mine.py:load", str(here / "mine.py"), "./mine.py"):
        assert find("dataset", name).file == str(here / "mine.py")
    with pytest.raises(RequestError, match="there is no file 'none.py'"):
        find("dataset", "none.py")


def test_a_file_may_name_its_function(here: Path) -> None:
    write(here / "mine.py", RAISES + "def small(seed): ...\ndef load(seed): ...\n")

    assert find("dataset", "mine.py:small").function == "small"
    assert find("dataset", "mine.py").function == "load"


def test_a_colon_in_a_folders_name_is_no_function(here: Path) -> None:
    file = write(here / "a:b" / "mine.py")

    assert find("dataset", "a:b/mine.py").file == str(file)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(RequestError) as refused:
        find("dataset", "data/mine.py")

    assert (
        str(refused.value)
        == "A dataset given as a file must exist; there is no file 'data/mine.py'."
    )


@pytest.mark.parametrize("name", ["~nobody/mine.py", "x" * 5000 + ".py", "loop.py"])
def test_a_file_that_cannot_be_is_missing_too(here: Path, name: str) -> None:
    (here / "loop.py").symlink_to("loop.py")

    for means in (name, lasting(name)):
        with pytest.raises(
            RequestError,
            match="A dataset given as a file must exist; there is no file '.{6,120}'.$",
        ):
            find("dataset", means)


@pytest.mark.parametrize("name", ["\0.py", "a/\ud800", "~\0/mine.py"])
def test_what_no_file_can_be_called_is_refused(name: str) -> None:
    for look in (lambda: find("dataset", name), lambda: lasting(name)):
        with pytest.raises(RequestError) as refused:
            look()

        assert str(refused.value) == f"A path must be text that a file can be called; got {name!r}."


def test_a_file_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(
        RequestError, match=r"A dataset must be a file that can be read; \[Errno 5\]"
    ):
        find("dataset", "/proc/self/mem")


def test_what_is_nested_too_deep_is_no_valid_python(here: Path) -> None:
    write(here / "mine.py", "-" * 10**5 + "1")
    with pytest.raises(UserCodeError, match="A dataset must be valid Python; .*mine.py, "):
        find("dataset", "mine.py")


def test_a_folder_is_no_file(here: Path) -> None:
    (here / "data").mkdir()

    with pytest.raises(
        RequestError, match="A dataset given as a file must exist; there is no file 'data/'."
    ):
        find("dataset", "data/")


# Modules.


def test_a_module_is_found_without_importing_it_or_its_parents(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here / "lib" / "parent_pkg" / "__init__.py", RAISES)
    write(here / "lib" / "parent_pkg" / "child" / "__init__.py", RAISES)
    file = write(here / "lib" / "parent_pkg" / "child" / "mine.py", BUILD)
    monkeypatch.syspath_prepend(str(here / "lib"))
    target = find("search space", "parent_pkg.child.mine")

    assert (target.file, target.function) == (str(file), "build")
    assert (target.module, target.root) == ("parent_pkg.child.mine", str(here / "lib"))
    assert not [name for name in sys.modules if name.startswith("parent_pkg")]
    with pytest.raises(RuntimeError, match="this must not be imported"):
        importlib.import_module("parent_pkg")


def test_a_module_and_a_package_of_the_current_folder_are_found(here: Path) -> None:
    module, package = write(here / "solo_module.py"), write(here / "solo_package" / "__init__.py")

    assert (find("dataset", "solo_module").file, find("dataset", "solo_module").root) == (
        str(module),
        str(here),
    )
    assert (find("dataset", "solo_package").file, find("dataset", "solo_package").root) == (
        str(package),
        str(here),
    )


def test_folders_without_an_init_are_packages_too(here: Path) -> None:
    file = write(here / "outer_ns" / "inner_ns" / "mine.py")
    target = find("dataset", "outer_ns.inner_ns.mine")

    assert (target.file, target.root, target.module) == (
        str(file),
        str(here),
        "outer_ns.inner_ns.mine",
    )


def test_the_first_on_the_path_is_found_and_this_folder_comes_before(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("late", "early"):
        write(here / folder / "twice.py")
        monkeypatch.syspath_prepend(str(here / folder))
    assert find("dataset", "twice").file == str(here / "early" / "twice.py")

    monkeypatch.chdir(here / "late")
    assert find("dataset", "twice").file == str(here / "late" / "twice.py")


def test_a_module_may_name_its_function(here: Path) -> None:
    write(here / "mine_pkg" / "space.py", RAISES + "def tiny(hp): ...\n")
    target = find("search space", "mine_pkg.space:tiny")

    assert (target.function, target.module) == ("tiny", "mine_pkg.space")


@pytest.mark.parametrize(
    "name", ["pkg_ns", "pkg_ns.missing", "plain_module.missing", "no.such.module", "a b", "", "."]
)
def test_what_is_no_module_is_unknown(name: str, here: Path) -> None:
    write(here / "pkg_ns" / "mine.py")
    write(here / "plain_module.py")

    with pytest.raises(RequestError) as refused:
        find("dataset", name)

    assert str(refused.value).startswith(
        f"Unknown dataset {name!r}. Known: breast_cancer, diabetes, digits, mnist."
    )


# Unknown names.


def test_unknown_dataset_lists_known_ones() -> None:
    with pytest.raises(RequestError) as refused:
        find("dataset", "mnst")

    assert str(refused.value) == (
        "Unknown dataset 'mnst'. Known: breast_cancer, diabetes, digits, mnist. Did you mean "
        "'mnist'? "
        "A file (my_module.py) or a module on the path (package.module) works too."
    )


def test_unknown_search_space_without_a_near_one_suggests_none() -> None:
    with pytest.raises(RequestError) as refused:
        find("search space", "transformer")

    assert str(refused.value) == (
        "Unknown search space 'transformer'. Known: cnn, mlp, resnet, xception. "
        "A file (my_module.py) or a module on the path (package.module) works too."
    )


def test_a_name_too_long_for_a_file_is_unknown() -> None:
    with pytest.raises(RequestError, match="Unknown dataset"):
        find("dataset", "x" * 5000)
    with pytest.raises(RequestError, match="there is no file"):
        find("dataset", "x" * 5000 + ".py")


# What must be defined.


@pytest.mark.parametrize(
    "text",
    [
        "def load(seed): ...",
        "async def load(seed): ...",
        "class load: ...",
        "load = lambda seed: None",
        "load: object = print",
        "first, load = 1, print",
        "from elsewhere import load",
        "from elsewhere import other as load",
        "import elsewhere.load as load",
        "from elsewhere import *",
        "if True:\n    def load(seed): ...",
        "try:\n    from fast import load\nexcept ImportError:\n    def load(seed): ...",
        "if (load := print): ...",
    ],
)
def test_whatever_defines_the_name_at_the_top_will_do(text: str, here: Path) -> None:
    write(here / "mine.py", text)

    assert find("dataset", "mine.py").function == "load"


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    def load(seed): ...",
        "def f():\n    load = 1",
        "class A:\n    def load(self): ...",
        "class A:\n    load = 1",
        "print(load)",
        "x = [load for load in ()]",
        "import load.other as x",
        "# def load(seed): ...",
        '"""def load(seed): ..."""',
    ],
)
def test_what_is_defined_elsewhere_does_not_count(text: str, here: Path) -> None:
    write(here / "mine.py", text)

    with pytest.raises(RequestError, match="A dataset must define load\\(seed\\); "):
        find("dataset", "mine.py")


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (
            "dataset",
            "def lod(seed): ...\nN = 3\n_x = 1",
            "A dataset must define load(seed); {file} defines N, lod.",
        ),
        ("dataset", "", "A dataset must define load(seed); {file} defines nothing."),
        (
            "search space",
            "import keras",
            "A search space must define build(hp, data) or build_model(hp); {file} defines keras.",
        ),
    ],
)
def test_a_file_without_it_is_refused_with_what_it_has(
    kind: str, text: str, message: str, here: Path
) -> None:
    file = write(here / "mine.py", text)

    with pytest.raises(RequestError) as refused:
        find(kind, "mine.py")  # type: ignore[arg-type]

    assert str(refused.value) == message.format(file=file)


def test_a_function_that_is_not_there_is_refused(here: Path) -> None:
    file = write(here / "mine.py")

    with pytest.raises(RequestError) as refused:
        find("dataset", "mine.py:small")

    assert str(refused.value) == f"A dataset must define small(); {file} defines load."


def test_a_kerastuner_build_model_is_a_search_space_and_build_comes_first(here: Path) -> None:
    write(here / "tuner.py", "def build_model(hp): ...")
    write(here / "both.py", "def build_model(hp): ...\ndef build(hp, data): ...")

    assert find("search space", "tuner.py").function == "build_model"
    assert find("search space", "both.py").function == "build"


def test_a_syntax_error_is_named_by_its_line(here: Path) -> None:
    file = write(here / "mine.py", "def load(seed):\n    return (1,\n")

    with pytest.raises(UserCodeError) as refused:
        find("dataset", "mine.py")

    assert (
        str(refused.value)
        == f"A dataset must be valid Python; {file}, line 2: '(' was never closed."
    )
    assert refused.value.exit_code == 2


def test_a_file_that_is_no_text_is_refused(here: Path) -> None:
    (here / "mine.py").write_bytes(b"x = 1\x00\n")

    with pytest.raises(
        UserCodeError, match="A dataset must be valid Python; .*mine.py, .*null bytes"
    ):
        find("dataset", "mine.py")


# Where another process finds it.


def test_code_that_travelled_is_found_beside_ours(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(here / "pkg" / "mine.py")
    target = find("dataset", "pkg.mine")

    assert target.located() == (file, here)
    monkeypatch.setattr("pipeline.names.HOME", here / "home")
    copy = write(here / "home" / target.staged_as / "pkg" / "mine.py")
    assert target.located() == (copy, here / "home" / target.staged_as)


def test_a_file_is_recorded_by_a_path_that_lasts(here: Path) -> None:
    write(here / "mine.py")
    assert lasting("mine.py") == str(here / "mine.py")
    assert lasting("mine.py:other") == f"{here / 'mine.py'}:other"
    assert lasting("mnist") == "mnist" and lasting("pkg.mine:other") == "pkg.mine:other"
