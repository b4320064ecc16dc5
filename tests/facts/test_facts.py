"""A fact is a file: its name, its first line and what it measures."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import facts
from pipeline.facts import Value, described, measured


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Add a fact in a folder of its own: `add("parameters", "model.count_params()")`."""
    monkeypatch.setattr(facts, "__path__", [str(tmp_path)])
    before = set(sys.modules)

    def add(name: str, value: str) -> None:
        text = (
            f'"""What {name} is.\n\nAnd more.\n"""\n\n\ndef measure(model):\n    return {value}\n'
        )
        (tmp_path / f"{name}.py").write_text(text)

    yield add
    for name in set(sys.modules) - before:
        if name.startswith("pipeline.facts."):
            del sys.modules[name]


def test_facts_are_described_in_the_order_of_their_names_and_nothing_is_imported(
    add: Callable[[str, str], None],
) -> None:
    add("b", "1 / 0")
    add("a", "1 / 0")
    add("_ours", "1 / 0")

    assert list(described().items()) == [("a", "What a is."), ("b", "What b is.")]
    assert "pipeline.facts.a" not in sys.modules


@pytest.mark.parametrize(
    ("value", "recorded"),
    [
        ("len(model)", 3),
        ("0.5", 0.5),
        ("True", True),
        ("'dense'", "dense"),
        ("None", None),
        ("float('nan')", None),
        ("__import__('numpy').float64(2)", 2.0),
    ],
)
def test_a_fact_is_measured_as_a_plain_value(
    add: Callable[[str, str], None], value: str, recorded: Value
) -> None:
    add("fact", value)

    found = measured("abc")

    assert found == {"fact": recorded} and type(found["fact"]) is type(recorded)


def test_a_fact_that_is_no_plain_value_is_named(add: Callable[[str, str], None]) -> None:
    add("layers", "[1, 2]")

    with pytest.raises(TypeError) as refused:
        measured("abc")
    assert str(refused.value) == (
        "The fact 'layers' must be a number, a text, a boolean or None; got [1, 2]."
    )
