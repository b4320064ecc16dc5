"""Names of datasets and search spaces: found or refused, and nothing is imported for it."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.names import FOLDERS, Source, find, lasting
from tests.properties.inputs import changed, outcome, texts, tried, unchanged

pytestmark = pytest.mark.slow

MODULE = '''"""A module that must not run."""

import sys

open("it-ran", "w")


def load(seed: int = 0) -> list[int]:
    """Return something."""
    return [seed for _ in range(3)]


build = lambda hp: hp  # noqa: E731
'''

kinds = st.sampled_from(sorted(FOLDERS))
parts = st.sampled_from(
    [
        "mnist",
        "os",
        "path",
        "json",
        "xml",
        "dom",
        "keras",
        "tensorflow",
        "ray",
        "this",
        "site",
        "_",
        "",
    ]
)
names = (
    texts
    | st.lists(parts, min_size=1, max_size=4).map(".".join)
    | st.lists(parts, min_size=1, max_size=4).map("/".join)
    | st.builds("{}{}:{}".format, parts, st.sampled_from([".py", ""]), texts)
)


@given(kind=kinds, name=names)
@example(kind="dataset", name="\0.py")
@example(kind="dataset", name="\ud800.py")
@example(kind="dataset", name="~nobody/x.py")
@example(kind="dataset", name="loop.py")
@example(kind="dataset", name="/proc/self/mem")
@example(kind="search space", name="x" * 10**6)
@tried
def test_any_name_is_found_or_refused_and_nothing_is_imported(
    here: Path, kind: str, name: str
) -> None:
    loop = here / "loop.py"
    if not loop.is_symlink():
        loop.symlink_to(loop)
    before = set(sys.modules)
    with unchanged(here):
        target = outcome(lambda: find(kind, name))
        last = outcome(lambda: lasting(name))
    assert set(sys.modules) == before
    if isinstance(target, Source):
        assert Path(target.file).is_file()
        assert outcome(lambda: find(kind, last)).file == target.file


@given(text=changed(MODULE) | texts)
@example(text="-" * 10**5 + "1")
@example(text="(" * 1000)
@example(text="\0")
@example(text="# coding: nothing")
@example(text="\n".join(f"name_{number} = {number}" for number in range(1000)))
@tried
def test_any_module_is_found_or_refused_and_not_run(here: Path, text: str) -> None:
    (here / "module.py").write_bytes(text.encode(errors="surrogatepass"))
    with unchanged(here):
        outcome(lambda: find("dataset", "module.py"))
        outcome(lambda: find("search space", "module:build"))


@pytest.mark.parametrize("what", ["folder", "fifo", "nobody's"])
def test_what_is_no_file_to_read_is_refused(here: Path, what: str) -> None:
    path = here / "it.py"
    match what:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)  # whoever opens it waits for ever
        case _:
            path = Path("/proc/self/mem")
    assert isinstance(outcome(lambda: find("dataset", str(path))), Exception)
