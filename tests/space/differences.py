"""Where ours differs from KerasTuner on purpose: what, and why. Each is shown really to differ."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Difference:
    name: str
    reason: str
    drive: Callable[[Any], Any]  # of a kit


def _nested_parents(kit: Any) -> Any:
    hp = kit.hp()
    hp.Fixed("a", 1)
    hp.Fixed("b", 1)
    with hp.conditional_scope("a", 1), hp.conditional_scope("b", 1):
        return hp.Int("n", 1, 5)


def _late_parent(kit: Any) -> Any:
    hp = kit.hp()
    hp.Choice("kind", ["a", "b"])
    child = {"parent_name": "kind", "parent_values": "b"}
    hp.Int("n", 1, 5, **child)
    hp.values["kind"] = "b"
    return hp.Int("n", 1, 5, **child)


def _got_unasked(kit: Any) -> Any:
    return kit.trial({"n": 3}).get("n")


def _two_kinds(kit: Any) -> Any:
    hp = kit.hp()
    hp.Int("n", 1, 5)
    return hp.Float("n", 0.0, 1.0)


def _parents_of_a_set(kit: Any) -> Any:
    hp = kit.hp()
    hp.Int("i", 1, 3)
    return hp.Int("n", 1, 5, parent_name="i", parent_values={1, 2})


def _asked_about_unknown(kit: Any) -> Any:
    hp = kit.hp()
    hp.is_active("n")
    return hp.get("n")


def _merged_twice(kit: Any) -> Any:
    hp = kit.hp()
    hp.Int("a", 1, 5)
    hp.merge(hp.copy())
    return len(hp.space)


def _warned(kit: Any) -> Any:
    hp = kit.hp()
    hp.Int("n", 1, 5)
    hp.Int("n", 1, 9)
    return hp.warnings


DIFFERENCES = [
    Difference(
        "a step reaches the maximum in spite of rounding",
        "KerasTuner's documentation promises 0, 0.2 … 1.0; it counts 1.0 // 0.2 = 4 steps and "
        "leaves out the last",
        lambda kit: kit.values(kit.make("Float", "x", 0, 1, step=0.2))[-1],
    ),
    Difference(
        "steps of floats are rounded to twelve digits",
        "0.1 + 2 · 0.1 is 0.3 for whoever reads a table, not 0.30000000000000004",
        lambda kit: str(kit.values(kit.make("Float", "x", 0.1, 0.9, step=0.1))[2]),
    ),
    Difference(
        "reversed log steps rise with the unit interval",
        "they do without a step, and a searcher takes neighbours on the interval for neighbours; "
        "the values are equal",
        lambda kit: [
            kit.at(kit.make("Int", "n", 1, 64, step=4, sampling="reverse_log"), p)
            for p in (0.1, 0.9)
        ],
    ),
    Difference(
        "no value exceeds its maximum",
        "KerasTuner's scale of integers ends one above; at the very end of the unit interval it "
        "rounds up to that",
        lambda kit: kit.at(kit.make("Int", "n", 7, 7, sampling="log"), 0.9999999999999999),
    ),
    Difference(
        "a linear Int has steps of one however its sampling is written",
        "KerasTuner forgets them for 'LINEAR', and then has zero twice as often as its neighbours",
        lambda kit: [
            kit.at(kit.make("Int", "n", -2, 2, sampling="LINEAR"), p)
            for p in (0.1, 0.3, 0.5, 0.7, 0.9)
        ],
    ),
    Difference(
        "a value off its step has the nearest step's place on the unit interval",
        "KerasTuner takes the one below, or a place between two on a log scale",
        lambda kit: kit.unit(kit.make("Int", "n", 0, 100, step=10), 19),
    ),
    Difference(
        "a continuous grid holds its bounds",
        "ten points as in KerasTuner, but the user named the bounds as values to try",
        lambda kit: min(kit.grid(kit.make("Float", "x", 0, 1))),
    ),
    Difference(
        "a value that a Choice names twice counts once",
        "a grid would train the same configuration twice",
        lambda kit: kit.values(kit.make("Choice", "c", [1, 2, 1])),
    ),
    Difference(
        "a Choice of booleans answers with booleans",
        "KerasTuner turns them into 1 and 0, which are equal, but no longer `is True`",
        lambda kit: type(kit.hp().Choice("c", [True, False])).__name__,
    ),
    Difference(
        "booleans of a Choice have no order",
        "a searcher must not take them for numbers",
        lambda kit: kit.make("Choice", "c", [True, False]).ordered,
    ),
    Difference(
        "None may be among the values of a Choice, and is then its default",
        "KerasTuner's documentation says so; its code raises TypeError",
        lambda kit: kit.hp().Choice("regularizer", ["l1", None]),
    ),
    Difference(
        "None may be fixed",
        "it may be chosen, so it may be pinned",
        lambda kit: kit.hp().Fixed("regularizer", None),
    ),
    Difference(
        "the values of a Choice may be any iterable",
        "its meaning is clear, and KerasTuner's TypeError does not say what is wrong",
        lambda kit: kit.hp().Choice("c", {"a": 1, "b": 2}),
    ),
    Difference(
        "NumPy's numbers are numbers",
        "KerasTuner refuses all but NumPy's float64, by a TypeError that looks at Python's types",
        lambda kit: [kit.hp().Choice("c", np.arange(3, 6)), kit.hp().Fixed("f", np.float32(0.5))],
    ),
    Difference(
        "a linear step must be above zero",
        "KerasTuner divides by it later, in the midst of a search",
        lambda kit: kit.hp().Int("n", 1, 5, step=0),
    ),
    Difference(
        "bounds must be finite",
        "KerasTuner takes them and later draws NaN",
        lambda kit: kit.hp().Float("x", 0, float("inf")),
    ),
    Difference(
        "an infinite bound of an Int is a ValueError",
        "KerasTuner lets Python's OverflowError through, which names no hyperparameter",
        lambda kit: kit.hp().Int("n", 0, float("inf")),
    ),
    Difference(
        "a sampling that is no string is a ValueError",
        "KerasTuner lets an AttributeError through, which names no hyperparameter",
        lambda kit: kit.hp().Float("x", 0, 1, sampling=3),
    ),
    Difference(
        "a parent without any values is a ValueError",
        "KerasTuner lets an IndexError through, which names no hyperparameter",
        lambda kit: [
            hp := kit.hp(),
            hp.Boolean("a"),
            hp.Int("n", 1, 5, parent_name="a", parent_values=[]),
        ][2],
    ),
    Difference(
        "parent values may be any iterable",
        "its meaning is clear; KerasTuner takes a set for a single value",
        _parents_of_a_set,
    ),
    Difference(
        "scopes may be nested whose parents are independent",
        "KerasTuner looks for a parent only under the very conditions of the scope around, and "
        "calls it not defined",
        _nested_parents,
    ),
    Difference(
        "a hyperparameter whose parent changes after it was met is answered",
        "KerasTuner raises KeyError, for it gives a value only where it registers",
        _late_parent,
    ),
    Difference(
        "what is proposed is no value until it is asked for",
        "in KerasTuner a trial's values are all there at once; a model that reads one unasked "
        "would depend on what it "
        "did not request (what the user gave beforehand can be got: that counts as asking)",
        _got_unasked,
    ),
    Difference(
        "one name is of one kind",
        "KerasTuner answers with the first one's value, an Int where a Float was asked for",
        _two_kinds,
    ),
    Difference(
        "what is ignored is said",
        "KerasTuner silently ignores the second of two bounds",
        _warned,
    ),
    Difference(
        "asking whether an unknown name is active leaves no trace",
        "in KerasTuner `get` then calls it inactive (ValueError) instead of unknown (KeyError)",
        _asked_about_unknown,
    ),
    Difference(
        "merging what is there leaves one of it",
        "KerasTuner lists it twice in `space`",
        _merged_twice,
    ),
    Difference(
        "no protobuf",
        "Ray carries what is said; `get_config` is the exchange format",
        lambda kit: kit.hp().to_proto(),
    ),
    Difference(
        "no ensure_active_values",
        "only what is requested has a value, so there is nothing to fill in or to take away",
        lambda kit: kit.hp().ensure_active_values(),
    ),
    Difference(
        "no lists of scopes entered",
        "KerasTuner's tuner builds until each scope was active; here branches are met as trials "
        "take them",
        lambda kit: kit.hp().active_scopes,
    ),
    Difference(
        "a draw takes a generator, not a seed",
        "NumPy's generators are seeded from several numbers: those of the search, the trial and "
        "the attempt",
        lambda kit: kit.make("Boolean", "b").random_sample(0) in (True, False),
    ),
]
