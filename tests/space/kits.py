"""The vocabulary of `hp` twice: KerasTuner's own and ours, under one interface, so that one corpus
drives both."""

from collections.abc import Callable, Mapping
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as theirs

from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import KINDS, Hyperparameter


class KerasTuner:
    """keras-tuner as installed."""

    version = keras_tuner.__version__

    def hp(self, values: Mapping[str, Any] | None = None) -> Any:
        hp = keras_tuner.HyperParameters()
        hp.values = dict(values or {})
        return hp

    def trial(self, proposal: Mapping[str, Any]) -> Any:
        return self.hp(proposal)

    def make(self, kind: str, *arguments: Any, **settings: Any) -> Any:
        return getattr(theirs, kind)(*arguments, **settings)

    def at(self, spec: Any, unit: float) -> Any:
        return spec.prob_to_value(unit)

    def unit(self, spec: Any, value: Any) -> float:
        return spec.value_to_prob(value)

    def values(self, spec: Any) -> list[Any]:
        return list(spec.values)

    def grid(self, spec: Any) -> list[Any]:
        return list(spec.values)

    def active(self, hp: Any) -> dict[str, Any]:
        return {spec.name: hp.values[spec.name] for spec in hp.space if hp.is_active(spec)}


class Kerasweep:
    """Ours; `answer` is what settles a value that nobody forced, its default if not given."""

    def __init__(
        self,
        proposal: Mapping[str, Any] | None = None,
        draw: Callable[[Hyperparameter], Any] | None = None,
    ):
        self.proposal, self.draw = proposal, draw

    def hp(self, values: Mapping[str, Any] | None = None) -> Any:
        hp = HyperParameters(self.proposal, self.draw)
        hp.values = dict(values or {})
        return hp

    def trial(self, proposal: Mapping[str, Any]) -> Any:
        return HyperParameters(proposal)

    def make(self, kind: str, *arguments: Any, **settings: Any) -> Any:
        made: list[Hyperparameter] = []
        hp = HyperParameters(draw=lambda spec: made.append(spec) or spec.default)
        getattr(hp, kind)(*arguments, **settings)
        return made[0]

    def at(self, spec: Any, unit: float) -> Any:
        return spec.from_unit(unit)

    def unit(self, spec: Any, value: Any) -> float:
        return spec.to_unit(value)

    def values(self, spec: Any) -> list[Any]:
        return list(spec.values())

    def grid(self, spec: Any) -> list[Any]:
        return list(spec.grid())

    def active(self, hp: Any) -> dict[str, Any]:
        return {spec.name: value for spec, value in hp.requested}


Kit = KerasTuner | Kerasweep
EVERY_KIND = {kind.__name__ for kind in KINDS.values()}


class Heard:
    """An `hp` whose every answer is written down."""

    def __init__(self, hp: Any) -> None:
        self.hp, self.answers = hp, []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.hp, name)
        if name not in EVERY_KIND | {"get"}:
            return found

        def ask(*arguments: Any, **settings: Any) -> Any:
            value = found(*arguments, **settings)
            self.answers.append((name, arguments[0] if arguments else settings["name"], value))
            return value

        return ask

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        self.answers.append(("in", name, name in self.hp))
        return name in self.hp

    def copy(self) -> "Heard":
        copied = Heard(self.hp.copy())
        copied.answers = self.answers
        return copied


# What `except` tells apart.
EXCEPTIONS = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    ZeroDivisionError,
    OverflowError,
)


def outcome(act: Callable[[], Any]) -> tuple[str, Any]:
    """What came back, floats to ten digits, or the kinds of exceptions that catch what was
    raised."""
    try:
        return "returned", _rounded(act())
    except EXCEPTIONS as error:
        return "raised", [kind.__name__ for kind in EXCEPTIONS if isinstance(error, kind)]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {key: _rounded(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(held) for held in value]
    return value
