"""What KerasTuner's vocabulary does, a row a behaviour; each is a function of a kit, or of an
`hp`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PROBABILITIES = (0.0, 0.05, 0.2, 0.25, 0.33, 0.5, 0.51, 0.74, 0.75, 0.9, 0.999)
NEARLY_ONE = 0.9999999999999999


@dataclass(frozen=True)
class Behaviour:
    """`drive` gets the kit, and an `hp` unless `of_hp` is False; `forced`: whether proposals are
    forced on it too."""

    name: str
    drive: Callable[..., Any]
    of_hp: bool = True
    forced: bool = True


BEHAVIOURS: list[Behaviour] = []


def behaviour(*, forced: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(drive: Callable[..., Any]) -> Callable[..., Any]:
        BEHAVIOURS.append(Behaviour(drive.__name__, drive, forced=forced))
        return drive

    return add


def row(name: str, drive: Callable[..., Any]) -> None:
    BEHAVIOURS.append(Behaviour(name, drive, of_hp=False, forced=False))


# Kinds by themselves: default, values, both ways between values and the unit interval.

SPECS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "int": ("Int", ("n", 1, 5), {}),
    "int of one value": ("Int", ("n", 4, 4), {}),
    "int below zero": ("Int", ("n", -5, 5), {}),
    "int with a step": ("Int", ("n", 32, 512), {"step": 32}),
    "int with a step that misses its maximum": ("Int", ("n", 6, 13), {"step": 3}),
    "int with a default": ("Int", ("n", 1, 9), {"default": 4}),
    "int with a default of zero": ("Int", ("n", -3, 9), {"default": 0}),
    "int with a default off its step": ("Int", ("n", 2, 20), {"step": 4, "default": 5}),
    "int with a default out of its bounds": ("Int", ("n", 2, 20), {"default": 50}),
    "int on a log scale": ("Int", ("n", 1, 1000), {"sampling": "log"}),
    "int of one value on a log scale": ("Int", ("n", 7, 7), {"sampling": "log"}),
    "int on a log scale with a step": ("Int", ("n", 2, 32), {"step": 2, "sampling": "log"}),
    "int on a log scale with a step that misses its maximum": (
        "Int",
        ("n", 1, 31),
        {"step": 2, "sampling": "log"},
    ),
    "int on a reversed log scale": ("Int", ("n", 1, 100), {"sampling": "reverse_log"}),
    "int without a sampling": ("Int", ("n", 1, 9), {"sampling": None}),
    "int with a sampling in capitals": ("Int", ("n", 1, 64), {"step": 4, "sampling": "LOG"}),
    "int of floats that are whole": ("Int", ("n", 2.0, 8.0), {"step": 2.0}),
    "float": ("Float", ("x", 0, 1), {}),
    "float of one value": ("Float", ("x", 0.3, 0.3), {}),
    "float below zero": ("Float", ("x", -2.5, 1.5), {}),
    "float with a step": ("Float", ("x", 0.0, 1.0), {"step": 0.25}),
    "float with a step that misses its maximum": ("Float", ("x", 0.5, 9.5), {"step": 4}),
    "float with a default": ("Float", ("x", 0.0, 1.0), {"default": 0.5}),
    "float with a default of zero": ("Float", ("x", -1.0, 1.0), {"default": 0.0}),
    "float with a default off its step": ("Float", ("x", 0.0, 1.0), {"step": 0.25, "default": 0.3}),
    "float on a log scale": ("Float", ("x", 1e-4, 1e-1), {"sampling": "log"}),
    "float on a log scale with a step": (
        "Float",
        ("x", 0.001, 10),
        {"step": 10, "sampling": "log"},
    ),
    "float on a reversed log scale": ("Float", ("x", 0.01, 1.0), {"sampling": "reverse_log"}),
    "float with a sampling in mixed case": ("Float", ("x", 0.01, 1.0), {"sampling": "Reverse_Log"}),
    "float without a sampling": ("Float", ("x", 0.0, 2.0), {"sampling": None}),
    "float of strings that are numbers": ("Float", ("x", "0.5", "1.5"), {}),
    "choice of strings": ("Choice", ("c", ["relu", "tanh", "gelu"]), {}),
    "choice of integers": ("Choice", ("c", [8, 16, 128]), {}),
    "choice of floats": ("Choice", ("c", [0.1, 0.01, 0.001]), {}),
    "choice of booleans": ("Choice", ("c", [True, False]), {}),
    "choice of one value": ("Choice", ("c", ["adam"]), {}),
    "choice of a tuple": ("Choice", ("c", ("a", "b")), {}),
    "choice of a range": ("Choice", ("c", range(3)), {}),
    "choice of the letters of a string": ("Choice", ("c", "ab"), {}),
    "choice with a default": ("Choice", ("c", ["a", "b"]), {"default": "b"}),
    "choice with a default of zero": ("Choice", ("c", [1, 0]), {"default": 0}),
    "choice of floats with an integer for default": ("Choice", ("c", [2.0, 1.0]), {"default": 1}),
    "choice of integers with a float for default": ("Choice", ("c", [2, 1]), {"default": 1.0}),
    "choice of strings with a number for default": ("Choice", ("c", ["2", "1"]), {"default": 1}),
    "choice without an order": ("Choice", ("c", [1, 2]), {"ordered": False}),
    "choice with an order": ("Choice", ("c", [1, 2]), {"ordered": True}),
    "boolean": ("Boolean", ("b",), {}),
    "boolean with a default": ("Boolean", ("b",), {"default": True}),
    "boolean with a number for default": ("Boolean", ("b",), {"default": 1}),
    "fixed string": ("Fixed", ("f", "adam"), {}),
    "fixed integer": ("Fixed", ("f", 3), {}),
    "fixed float": ("Fixed", ("f", 0.5), {}),
    "fixed boolean": ("Fixed", ("f", False), {}),
}
# Said in DIFFERENCES: ranges without a step list other points, steps of floats are counted without
# rounding errors.
LISTED = {
    name
    for name, (kind, _, settings) in SPECS.items()
    if kind not in ("Int", "Float") or settings.get("step")
}

for _name, (_kind, _arguments, _settings) in SPECS.items():

    def _make(
        kit: Any, kind: str = _kind, arguments: Any = _arguments, settings: Any = _settings
    ) -> Any:
        return kit.make(kind, *arguments, **settings)

    row(f"{_name}: default", lambda kit, make=_make: (make(kit).name, make(kit).default))
    row(
        f"{_name}: from the unit interval",
        lambda kit, make=_make: [kit.at(make(kit), p) for p in PROBABILITIES],
    )
    row(
        f"{_name}: to the unit interval",
        lambda kit, make=_make: [kit.unit(make(kit), kit.at(make(kit), p)) for p in PROBABILITIES],
    )
    if _name in LISTED:
        row(
            f"{_name}: the end of the unit interval",
            lambda kit, make=_make: kit.at(make(kit), NEARLY_ONE),
        )
        row(f"{_name}: values", lambda kit, make=_make: kit.values(make(kit)))
    if _kind == "Choice" and _name != "choice of booleans":
        row(f"{_name}: order", lambda kit, make=_make: make(kit).ordered)

for _name, _kind, _arguments, _settings in (
    ("reversed log steps of integers", "Int", ("n", 1, 64), {"step": 4}),
    ("reversed log steps of floats", "Float", ("x", 0.01, 1.0), {"step": 10}),
):
    row(
        f"{_name}: values in order of size",
        lambda kit, kind=_kind, arguments=_arguments, settings=_settings: sorted(
            kit.values(kit.make(kind, *arguments, sampling="reverse_log", **settings))
        ),
    )

# Kinds by themselves: what is refused, and by which kind of exception.

REFUSED: dict[str, tuple[Any, ...]] = {
    "int with a minimum that is no integer": ("Int", ("n", 0.5, 5), {}),
    "int with a maximum that is no integer": ("Int", ("n", 0, 5.5), {}),
    "int with a step that is no integer": ("Int", ("n", 0, 5), {"step": 0.5}),
    "int with a string for a minimum": ("Int", ("n", "a", 5), {}),
    "int with a number in a string for a minimum": ("Int", ("n", "1", 5), {}),
    "int with None for a minimum": ("Int", ("n", None, 5), {}),
    "int with a minimum over its maximum": ("Int", ("n", 6, 5), {}),
    "int with an unknown sampling": ("Int", ("n", 1, 5), {"sampling": "lgo"}),
    "int on a log scale from zero": ("Int", ("n", 0, 5), {"sampling": "log"}),
    "int on a reversed log scale from below zero": (
        "Int",
        ("n", -1, 5),
        {"sampling": "reverse_log"},
    ),
    "int with a log step of one": ("Int", ("n", 1, 5), {"sampling": "log", "step": 1}),
    "int with a reversed log step of one": (
        "Int",
        ("n", 1, 5),
        {"sampling": "reverse_log", "step": 1},
    ),
    "int without bounds": ("Int", ("n",), {}),
    "float with a string for a minimum": ("Float", ("x", "a", 1), {}),
    "float with None for a maximum": ("Float", ("x", 0, None), {}),
    "float with a string for a step": ("Float", ("x", 0, 1), {"step": "a"}),
    "float with a minimum over its maximum": ("Float", ("x", 0.2, 0.1), {}),
    "float with an unknown sampling": ("Float", ("x", 0.1, 1), {"sampling": "normal"}),
    "float on a log scale from zero": ("Float", ("x", 0, 1), {"sampling": "log"}),
    "float on a log scale from below zero": ("Float", ("x", -1, 1), {"sampling": "log"}),
    "float on a reversed log scale from zero": (
        "Float",
        ("x", 0.0, 1),
        {"sampling": "reverse_log"},
    ),
    "float with a log step of one": ("Float", ("x", 0.1, 1), {"sampling": "log", "step": 1}),
    "float with a reversed log step below one": (
        "Float",
        ("x", 0.1, 1),
        {"sampling": "reverse_log", "step": 0.5},
    ),
    "choice of nothing": ("Choice", ("c", []), {}),
    "choice of None": ("Choice", ("c", None), {}),
    "choice of a number": ("Choice", ("c", 5), {}),
    "choice of numbers and strings": ("Choice", ("c", [1, "a"]), {}),
    "choice of integers and floats": ("Choice", ("c", [1, 2.0]), {}),
    "choice of integers and booleans": ("Choice", ("c", [1, True]), {}),
    "choice of lists": ("Choice", ("c", [[1], [2]]), {}),
    "choice of dicts": ("Choice", ("c", [{}, {}]), {}),
    "choice with a default that is none of its strings": (
        "Choice",
        ("c", ["a", "b"]),
        {"default": "z"},
    ),
    "choice with a default that is none of its numbers": ("Choice", ("c", [1, 2]), {"default": 3}),
    "choice with a default of another type": ("Choice", ("c", [1, 2]), {"default": "z"}),
    "choice with an order among strings": ("Choice", ("c", ["s", "m", "l"]), {"ordered": True}),
    "boolean with a string for default": ("Boolean", ("b",), {"default": "yes"}),
    "boolean with None for default": ("Boolean", ("b",), {"default": None}),
    "fixed list": ("Fixed", ("f", [1, 2]), {}),
    "fixed dict": ("Fixed", ("f", {"a": 1}), {}),
    "fixed object": ("Fixed", ("f", object()), {}),
    "fixed nothing at all": ("Fixed", ("f",), {}),
}
for _name, (_kind, _arguments, _settings) in REFUSED.items():

    def _ask(
        kit: Any, kind: str = _kind, arguments: Any = _arguments, settings: Any = _settings
    ) -> Any:
        return getattr(kit.hp(), kind)(*arguments, **settings)

    row(f"refused: {_name}", _ask)


# Asking.


@behaviour()
def every_kind_answers_with_its_value(kit, hp):
    return [
        hp.Int("units", 32, 512, step=32),
        hp.Int("depth", 1, 5, default=3),
        hp.Float("rate", 0, 1),
        hp.Float("lr", 1e-4, 1e-2, sampling="log"),
        hp.Float("decay", 1e-6, 1e-2, step=10, sampling="log"),
        hp.Float("momentum", 0.5, 0.99, sampling="reverse_log"),
        hp.Int("batch", 8, 128, step=2, sampling="log"),
        hp.Int("late", 1, 64, step=4, sampling="reverse_log"),
        hp.Choice("activation", ["relu", "tanh"]),
        hp.Boolean("flip"),
        hp.Fixed("optimizer", "adam"),
    ]


@behaviour()
def arguments_may_be_given_by_name_alone(kit, hp):
    return [
        hp.Int(name="a", min_value=1, max_value=9, step=2, sampling="linear", default=5),
        hp.Float(name="b", min_value=0.1, max_value=0.9, step=0.2, sampling="linear", default=0.5),
        hp.Choice(name="c", values=[1, 2], ordered=True, default=2),
        hp.Boolean(name="d", default=True),
        hp.Fixed(name="e", value=3),
    ]


@behaviour()
def arguments_may_be_given_by_place_alone(kit, hp):
    hp.Boolean("on", True)
    return [
        hp.Int("a", 1, 9, 2, "linear", 5, "on", True),
        hp.Float("b", 0.1, 0.9, 0.2, "linear", 0.5, "on", True),
        hp.Choice("c", [1, 2], True, 2, "on", False),
        hp.Boolean("d", True, "on", True),
        hp.Fixed("e", 3, "on", True),
    ]


@behaviour()
def one_name_has_one_value(kit, hp):
    return [hp.Int("units", 1, 99) for _ in range(3)] + [hp.get("units"), hp["units"]]


@behaviour()
def of_two_registrations_the_first_wins(kit, hp):
    return [hp.Int("n", 1, 5), hp.Int("n", 100, 200), hp.Int("n", 1, 5, default=4), len(hp.space)]


@behaviour()
def of_two_choices_the_first_wins(kit, hp):
    return [
        hp.Choice("c", ["a", "b"]),
        hp.Choice("c", ["y", "z"]),
        hp.Choice("c", ["b", "a"], default="a"),
    ]


@behaviour()
def the_second_registration_must_be_possible_too(kit, hp):
    hp.Int("n", 1, 5)
    return hp.Int("n", 9, 5)


@behaviour()
def a_default_off_its_step_is_answered(kit, hp):
    return [hp.Int("n", 2, 20, step=4, default=5), hp.Float("x", 0, 1, step=0.25, default=0.3)]


@behaviour()
def a_name_need_not_be_a_string(kit, hp):
    return [hp.Int(3, 1, 5), hp.get(3), hp.get("3"), sorted(hp.values)]


@behaviour()
def space_is_in_the_order_of_asking(kit, hp):
    for name in ("c", "a", "b", "c"):
        hp.Int(name, 0, 9)
    return [spec.name for spec in hp.space]


@behaviour()
def space_knows_defaults(kit, hp):
    hp.Int("a", 1, 9, default=4)
    hp.Float("b", 0.5, 1)
    hp.Choice("c", ["x", "y"])
    hp.Boolean("d")
    hp.Fixed("e", 3)
    return [(type(spec).__name__, spec.name, spec.default) for spec in hp.space]


@behaviour()
def values_holds_what_was_asked_for(kit, hp):
    before = dict(hp.values) if not hp.values else {}
    hp.Int("a", 1, 9)
    hp.Boolean("b")
    return before, dict(hp.values)


# Putting values in beforehand.


@behaviour(forced=False)
def a_value_put_in_beforehand_is_answered(kit, hp):
    hp.values["a"] = 3
    return [hp.Int("a", 1, 9), hp.Int("b", 2, 9), dict(hp.values)]


@behaviour(forced=False)
def a_value_put_in_beforehand_counts_whatever_the_bounds(kit, hp):
    hp.values.update({"a": 300, "c": "z", "f": 4})
    return [hp.Int("a", 1, 9), hp.Choice("c", ["x", "y"]), hp.Fixed("f", 1)]


@behaviour(forced=False)
def values_may_be_replaced_as_a_whole(kit, hp):
    hp.values = {"a": 3}
    return [hp.Int("a", 1, 9), hp.Int("b", 2, 9), dict(hp.values)]


@behaviour(forced=False)
def a_value_put_in_beforehand_can_be_got_without_asking(kit, hp):
    hp.values["a"] = 3
    return [hp.get("a"), hp["a"], "a" in hp, len(hp.space)]


@behaviour(forced=False)
def a_value_put_in_afterwards_is_answered(kit, hp):
    hp.Int("a", 1, 9)
    hp.values["a"] = 7
    return [hp.Int("a", 1, 9), hp.get("a")]


@behaviour(forced=False)
def a_value_put_in_decides_what_is_active(kit, hp):
    hp.values["kind"] = "b"
    hp.Choice("kind", ["a", "b"])
    return [
        hp.Int("n", 1, 5, parent_name="kind", parent_values="a"),
        hp.Int("m", 1, 5, parent_name="kind", parent_values="b"),
    ]


@behaviour(forced=False)
def a_parent_that_changes_makes_its_child_inactive(kit, hp):
    hp.Choice("kind", ["a", "b"])
    first = hp.Int("n", 1, 5, parent_name="kind", parent_values="a")
    hp.values["kind"] = "b"
    return [first, hp.Int("n", 1, 5, parent_name="kind", parent_values="a"), hp.get("n")]


@behaviour(forced=False)
def a_value_put_in_under_a_scoped_name_is_answered_in_the_scope(kit, hp):
    hp.values["head/n"] = 4
    with hp.name_scope("head"):
        return [hp.Int("n", 1, 5), hp.get("n")]


@behaviour(forced=False)
def a_parent_put_in_but_never_asked_for_is_unknown(kit, hp):
    hp.values["kind"] = "a"
    return hp.Int("n", 1, 5, parent_name="kind", parent_values="a")


# get, [] and in.


@behaviour()
def get_brackets_and_in_agree(kit, hp):
    hp.Int("n", 1, 5)
    return [hp.get("n"), hp["n"], "n" in hp, "m" in hp]


@behaviour()
def get_of_an_unknown_name(kit, hp):
    return hp.get("n")


@behaviour()
def brackets_of_an_unknown_name(kit, hp):
    return hp["n"]


@behaviour()
def get_has_no_default(kit, hp):
    return hp.get("n", 3)


@behaviour()
def get_of_an_inactive_name(kit, hp):
    hp.Fixed("kind", "a")
    hp.Int("n", 1, 5, parent_name="kind", parent_values=["b"])
    return hp.get("n")


@behaviour()
def brackets_of_an_inactive_name(kit, hp):
    hp.Fixed("kind", "a")
    hp.Int("n", 1, 5, parent_name="kind", parent_values=["b"])
    return hp["n"]


@behaviour()
def an_inactive_name_is_not_in(kit, hp):
    hp.Choice("kind", ["a", "b"])
    hp.Int("n", 1, 5, parent_name="kind", parent_values=["b"])
    return ["n" in hp, "kind" in hp, "m" in hp]


@behaviour()
def get_inside_a_name_scope_is_of_that_scope(kit, hp):
    hp.Int("n", 1, 5)
    with hp.name_scope("head"):
        hp.Int("n", 6, 9)
        inside = [hp.get("n"), "n" in hp, "m" in hp, "head/n" in hp]
    return [*inside, hp.get("n"), hp.get("head/n"), hp["head/n"]]


@behaviour()
def get_inside_a_name_scope_does_not_see_outside(kit, hp):
    hp.Int("n", 1, 5)
    with hp.name_scope("head"):
        return hp.get("n")


@behaviour(forced=False)
def get_inside_and_outside_of_conditional_scopes(kit, hp):
    hp.Choice("a", [1, 2, 3], default=2)
    got = [hp.get("a")]
    with hp.conditional_scope("a", 2):
        hp.Fixed("b", 4)
        got += ["b" in hp, hp.get("a")]
    with hp.conditional_scope("a", [1, 3]):
        hp.Fixed("b", 5)
        got += ["b" in hp, hp.get("a")]
    return [*got, hp.get("b")]


@behaviour()
def within_an_inactive_scope_its_own_cannot_be_got(kit, hp):
    hp.Fixed("kind", "a")
    with hp.conditional_scope("kind", "b"):
        hp.Float("x", -10, 10)
        return hp["x"]


# Names.


@behaviour()
def a_name_scope_goes_before_the_name(kit, hp):
    with hp.name_scope("a"):
        hp.Int("n", 1, 5)
        with hp.name_scope("b"):
            hp.Int("n", 6, 9)
        hp.Int("m", 1, 5)
    hp.Int("n", 10, 15)
    return [(spec.name, hp.get(spec.name)) for spec in hp.space]


@behaviour()
def a_name_scope_ends_where_its_body_raises(kit, hp):
    try:
        with hp.name_scope("head"):
            raise ZeroDivisionError
    except ZeroDivisionError:
        return hp.Int("n", 1, 5), sorted(hp.values)


@behaviour()
def one_name_in_two_name_scopes_is_two(kit, hp):
    found = []
    for scope in ("left", "right"):
        with hp.name_scope(scope):
            found.append(hp.Int("n", 1, 500))
    return found


@behaviour()
def a_scoped_name_may_be_written_out(kit, hp):
    with hp.name_scope("head"):
        inside = hp.Int("n", 1, 500)
    return [inside, hp.Int("head/n", 1, 500), len(hp.space)]


@behaviour()
def a_name_scope_must_be_a_string(kit, hp):
    with hp.name_scope(3):
        return hp.Int("n", 1, 5)


@behaviour()
def an_impossible_request_in_a_scope_leaves_the_scope_clean(kit, hp):
    try:
        with hp.name_scope("head"):
            hp.Int("n", 5, 1)
    except ValueError:
        return hp.Int("n", 1, 5)


# Conditions.


@behaviour()
def a_conditional_scope_gives_none_where_it_is_inactive(kit, hp):
    hp.Choice("optimizer", ["adam", "sgd"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        sgd = [hp.Float("momentum", 0.1, 0.9), hp.Boolean("nesterov")]
    with hp.conditional_scope("optimizer", ["adam"]):
        adam = [
            hp.Float("beta", 0.8, 0.999),
            hp.Int("k", 1, 5),
            hp.Choice("c", [1, 2]),
            hp.Fixed("f", 1),
        ]
    return sgd, adam, [spec.name for spec in hp.space]


@behaviour()
def the_body_of_a_conditional_scope_always_runs(kit, hp):
    ran = []
    hp.Boolean("on")
    for value in (True, False):
        with hp.conditional_scope("on", value):
            ran.append(value)
    return ran


@behaviour()
def asked_again_an_inactive_one_is_still_none(kit, hp):
    hp.Choice("kind", ["a", "b"])
    child = {"parent_name": "kind", "parent_values": ["b"]}
    return [hp.Int("n", 1, 5, **child) for _ in range(3)]


@behaviour()
def every_kind_can_have_a_parent(kit, hp):
    hp.Boolean("deep")
    child = {"parent_name": "deep", "parent_values": [True]}
    return [
        hp.Int("a", 1, 2, **child),
        hp.Float("b", 1, 2, **child),
        hp.Choice("c", [1, 2], **child),
        hp.Boolean("d", **child),
        hp.Fixed("e", 1, **child),
    ]


@behaviour()
def a_parent_may_have_several_values(kit, hp):
    hp.Int("depth", 1, 3)
    return [
        hp.Int("a", 1, 9, parent_name="depth", parent_values=[2, 3]),
        hp.Int("b", 1, 9, parent_name="depth", parent_values=(1, 3)),
        hp.Int("c", 1, 9, parent_name="depth", parent_values=2),
    ]


@behaviour()
def a_parent_may_be_of_any_type(kit, hp):
    hp.Int("i", 1, 2)
    hp.Choice("f", [0.5, 1.5])
    hp.Choice("s", ["a", "b"])
    hp.Boolean("b")
    return [
        hp.Int("of_i", 1, 5, parent_name="i", parent_values=1),
        hp.Int("of_f", 1, 5, parent_name="f", parent_values=[0.5]),
        hp.Int("of_s", 1, 5, parent_name="s", parent_values="a"),
        hp.Int("of_b", 1, 5, parent_name="b", parent_values=False),
    ]


@behaviour()
def parent_values_become_the_type_of_the_first(kit, hp):
    hp.Choice("s", ["1", "2"])
    hp.Int("i", 1, 3)
    return [
        hp.Int("of_s", 1, 5, parent_name="s", parent_values=["2", 1]),
        hp.Int("of_i", 1, 5, parent_name="i", parent_values=[1, 2.7]),
        hp.Int("of_true", 1, 5, parent_name="i", parent_values=[True]),
    ]


@behaviour()
def parent_values_of_another_type_never_hold(kit, hp):
    hp.Int("i", 1, 2)
    return hp.Int("n", 1, 5, parent_name="i", parent_values=["1", "2"])


@behaviour()
def parent_values_must_be_plain(kit, hp):
    hp.Boolean("on")
    return hp.Int("n", 1, 5, parent_name="on", parent_values=[{"a": 1}])


@behaviour()
def a_parent_without_values_is_refused(kit, hp):
    hp.Boolean("on")
    return hp.Int("n", 1, 5, parent_name="on")


@behaviour()
def parent_values_that_cannot_become_the_type_of_the_first(kit, hp):
    hp.Int("i", 1, 2)
    return hp.Int("n", 1, 5, parent_name="i", parent_values=[1, "a"])


@behaviour()
def values_without_a_parent_mean_nothing(kit, hp):
    return [
        hp.Int("n", 1, 5, parent_values=[1]),
        hp.Int("m", 1, 5, parent_name="", parent_values=[1]),
    ]


@behaviour()
def a_parent_must_be_known(kit, hp):
    return hp.Float("momentum", 0, 1, parent_name="optimizer", parent_values=["sgd"])


@behaviour()
def the_parent_of_a_scope_must_be_known(kit, hp):
    with hp.conditional_scope("optimizer", ["sgd"]):
        return "inside"


@behaviour()
def a_parent_is_looked_for_in_its_name_scope(kit, hp):
    with hp.name_scope("head"):
        hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", "b"):
            scoped = hp.Int("n", 1, 5)
        argued = hp.Int("m", 1, 5, parent_name="kind", parent_values="a")
    with hp.conditional_scope("head/kind", "b"):
        outside = hp.Int("k", 1, 5)
    return [scoped, argued, outside, [spec.name for spec in hp.space]]


@behaviour()
def a_parent_outside_the_name_scope_is_unknown_inside(kit, hp):
    hp.Choice("kind", ["a", "b"])
    with hp.name_scope("head"), hp.conditional_scope("kind", "b"):
        return hp.Int("n", 1, 5)


@behaviour()
def a_child_must_not_have_its_parents_name(kit, hp):
    hp.Choice("a", [1, 2, 3], default=3)
    with hp.conditional_scope("a", [1, 3]):
        return hp.Choice("a", [4, 5, 6])


@behaviour()
def a_child_must_not_have_its_parents_name_by_argument_either(kit, hp):
    hp.Int("a", 1, 3)
    return hp.Int("a", 1, 3, parent_name="a", parent_values=1)


@behaviour()
def a_child_may_have_its_parents_name_in_a_name_scope(kit, hp):
    hp.Choice("a", [1, 2, 3])
    with hp.conditional_scope("a", [1, 3]), hp.name_scope("inner"):
        return hp.Choice("a", [4, 5, 6])


@behaviour()
def one_name_may_have_other_bounds_under_another_condition(kit, hp):
    hp.Choice("kind", ["narrow", "wide"])
    with hp.conditional_scope("kind", "narrow"):
        narrow = hp.Int("units", 1, 9)
    with hp.conditional_scope("kind", "wide"):
        wide = hp.Int("units", 100, 900)
    return [narrow, wide, hp.get("units"), len(hp.space)]


@behaviour()
def one_name_may_be_of_another_kind_under_another_condition(kit, hp):
    hp.Choice("kind", ["a", "b"])
    return [
        hp.Int("x", 1, 9, parent_name="kind", parent_values="a"),
        hp.Float("x", 0.1, 0.9, parent_name="kind", parent_values="b"),
        hp.get("x"),
    ]


@behaviour()
def a_name_that_is_active_under_two_conditions_has_one_value(kit, hp):
    hp.Fixed("deep", True)
    return [
        hp.Int("n", 1, 5),
        hp.Int("n", 3, 900, parent_name="deep", parent_values=True),
        len(hp.space),
    ]


@behaviour()
def conditions_in_another_order_are_others(kit, hp):
    hp.Int("i", 1, 3)
    for values in ([1, 2], [2, 1], [1, 2]):
        hp.Int("n", 1, 5, parent_name="i", parent_values=values)
    return [spec.name for spec in hp.space]


@behaviour()
def a_scope_and_an_argument_are_the_same_condition(kit, hp):
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["a"]):
        scoped = hp.Int("n", 1, 500)
    return [scoped, hp.Int("n", 1, 500, parent_name="kind", parent_values="a"), len(hp.space)]


@behaviour()
def nested_scopes_all_have_to_hold(kit, hp):
    hp.Choice("a", [1, 2])
    found = []
    with hp.conditional_scope("a", 1):
        found.append(hp.Choice("b", [3, 4]))
        with hp.conditional_scope("b", 4):
            found.append(hp.Choice("c", [5, 6]))
            found.append(hp.Int("d", 1, 9, parent_name="c", parent_values=6))
    return [*found, [spec.name for spec in hp.space]]


@behaviour()
def nested_scopes_and_name_scopes(kit, hp):
    a = hp.Choice("a", [1, 2, 3], default=3)
    with hp.conditional_scope("a", [1, 3]):
        b = hp.Choice("b", [4, 5, 6])
        with hp.conditional_scope("b", 6):
            c = hp.Choice("c", [7, 8, 9])
            with hp.name_scope("d"):
                e = hp.Choice("e", [10, 11, 12])
                with hp.conditional_scope("e", [11, 12]):
                    f = hp.Boolean("f")
    with hp.conditional_scope("a", 2), hp.name_scope("g"):
        h = hp.Int("h", 0, 10)
    return [a, b, c, e, f, h, [spec.name for spec in hp.space]]


@behaviour()
def a_conditional_scope_ends_where_its_body_raises(kit, hp):
    hp.Boolean("on", default=True)
    try:
        with hp.conditional_scope("on", False):
            raise ZeroDivisionError
    except ZeroDivisionError:
        return hp.Int("n", 1, 5)


# is_active, copy, merge, get_config.


def conditional(hp):
    hp.Choice("kind", ["a", "b"], default="a")
    hp.Int("n", 1, 5, parent_name="kind", parent_values="a")
    hp.Int("m", 1, 5, parent_name="kind", parent_values="b")
    hp.Float("n", 6, 9, parent_name="kind", parent_values="b")


@behaviour()
def is_active_of_names(kit, hp):
    conditional(hp)
    return [hp.is_active(name) for name in ("kind", "n", "m", "unknown")]


@behaviour()
def is_active_of_hyperparameters(kit, hp):
    conditional(hp)
    return [hp.is_active(spec) for spec in hp.space]


@behaviour()
def a_copy_stands_where_the_original_does(kit, hp):
    conditional(hp)
    other = hp.copy()
    return (
        other.values,
        [spec.name for spec in other.space],
        other.Int("m", 1, 5),
        other.get("kind"),
    )


@behaviour(forced=False)
def what_is_asked_of_a_copy_stays_with_it(kit, hp):
    hp.Int("a", 1, 5)
    other = hp.copy()
    other.Int("b", 1, 5)
    other.values["a"] = 5
    return [len(hp.space), len(other.space), "b" in hp, "b" in other]


@behaviour()
def a_copy_has_no_open_scope(kit, hp):
    hp.Boolean("on")
    with hp.name_scope("head"):
        other = hp.copy()
        other.Int("n", 1, 5)
    return sorted(other.values)


@behaviour(forced=False)
def merge_registers_what_another_holds(kit, hp):
    hp.Int("a", 0, 100, default=7)
    other = kit.hp()
    other.Fixed("b", 2)
    other.Boolean("c", default=True)
    hp.merge(other)
    return dict(hp.values), [spec.name for spec in hp.space], hp.get("b")


def _merge_over(kit):
    hp, other = kit.hp(), kit.hp()
    hp.Int("a", 0, 100, default=7)
    other.Int("a", 0, 100, default=9)
    hp.merge(other)
    return dict(hp.values), hp.Int("a", 0, 100)


row("merge overwrites values", _merge_over)


@behaviour(forced=False)
def merge_without_overwriting_keeps_values(kit, hp):
    hp.Int("a", 0, 100, default=7)
    other = kit.hp()
    other.Int("a", 0, 100, default=9)
    other.Int("b", 0, 100, default=3)
    hp.merge(other, overwrite=False)
    return dict(hp.values), [spec.name for spec in hp.space]


@behaviour(forced=False)
def merge_takes_a_list(kit, hp):
    hp.merge([kit.make("Int", "a", 1, 5), kit.make("Fixed", "b", 3)])
    return dict(hp.values)


@behaviour(forced=False)
def merge_leaves_what_is_inactive_without_a_value(kit, hp):
    hp.Int("a", 0, 100, default=7)
    other = kit.hp()
    other.Choice("kind", [True, False], default=True)
    other.Fixed("b", 2, parent_name="kind", parent_values=False)
    hp.merge(other)
    return dict(hp.values), [spec.name for spec in hp.space], "b" in hp


@behaviour()
def a_configuration_comes_back_from_its_config(kit, hp):
    conditional(hp)
    hp.Boolean("flip")
    hp.Fixed("f", 3)
    hp.Float("lr", 1e-4, 1e-2, step=10, sampling="log")
    back = type(hp).from_config(hp.get_config())
    return (
        dict(back.values),
        [spec.name for spec in back.space],
        back.Int("n", 1, 5),
        back.is_active("m"),
    )


@behaviour()
def a_config_names_classes_and_settings(kit, hp):
    conditional(hp)
    hp.Choice("c", [1, 2], ordered=False)
    config = hp.get_config()
    keep = (
        "name",
        "min_value",
        "max_value",
        "step",
        "sampling",
        "values",
        "ordered",
        "value",
        "conditions",
    )
    space = [
        (p["class_name"], {k: v for k, v in p["config"].items() if k in keep})
        for p in config["space"]
    ]
    return space, config["values"]
