"""Checksums of what users give: other where something differs that counts, the same in another
process."""

import datetime
import functools
from pathlib import Path

import numpy as np
import pytest

from pipeline.digest import sha256


def typed(text):
    names = {"__name__": "__main__"}
    exec(text, names)  # as in an interpreter: there is no source
    return names["thing"]


class Slotted:
    __slots__ = ("value",)


class Settings:
    def __init__(self, **settings):
        vars(self).update(settings)


@pytest.mark.parametrize(
    "make",
    [
        lambda k: k,
        lambda k: float(k),
        lambda k: str(k),
        lambda k: [k],
        lambda k: {"a": k},
        lambda k: {k, "b"},
        lambda k: np.full(3, k),
        lambda k: np.zeros(3, f"float{32 + 32 * k}"),
        lambda k: np.zeros((2 + k, 3 - k)),
        lambda k: np.array([[k, "a"], [None]][: 2 - k], object),
        lambda k: Path(f"data{k}.csv"),
        lambda k: datetime.date(2024, 1, 1 + k),
        lambda k: Settings(depth=k),
        lambda k: Settings(inner=[Settings(a=k)]),
        lambda k: functools.partial(max, k),
        lambda k: (np.sum, np.mean)[k],
        lambda k: lambda: k,
        lambda k: Settings(a=k).__init__,
        lambda k: typed(f"def thing():\n    return lambda: {k}"),
        lambda k: typed(f"def thing(width={k}):\n    return width"),
        lambda k: typed(f"class thing:\n    def build(self):\n        return [{k} for _ in 'ab']"),
        lambda k: typed(
            f"class thing:\n    def build(self, x):\n        return x in {{'a', 'b', {k}}}"
        )(),
    ],
)
def test_what_is_made_alike_has_one_checksum_and_what_is_not_has_another(make):
    assert sha256(make(0)) == sha256(make(0)) != sha256(make(1))


def test_the_order_of_a_dict_means_nothing_and_that_of_a_list_does():
    assert sha256({"a": 1, "b": [2]}) == sha256({"b": [2], "a": 1})
    assert sha256(["a", "b"]) != sha256(["b", "a"])


def test_a_thing_may_hold_itself():
    def around(value):
        thing = Settings(value=value)
        thing.me, thing.others = thing, [{"me": thing}]
        return thing

    assert sha256(around(1)) == sha256(around(1)) != sha256(around(2))


def test_what_is_held_in_many_places_is_looked_into_once():
    thing = [np.ones(3)]
    for _ in range(60):
        thing = [thing, thing]
    assert sha256(thing) == sha256(thing)


def test_what_cannot_be_looked_into_counts_by_its_class():
    assert sha256(object()) == sha256(object()) != sha256(Slotted()) == sha256(Slotted())
