"""The command line's options, made from the fields of `Experiment`.

A field's description is its option's help, its default is the one that is shown, its type says what
is read. So a new setting has an option without a line of its own.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import typer
from typer.core import TyperCommand

from pipeline.components import listed
from pipeline.experiment import COMPONENTS, Experiment
from pipeline.names import TABLES
from pipeline.settings_text import seconds_in

# Fields that the command line takes in another way than by an option.
WITHOUT = {"dataset": "the command's argument"}
SHORTER = {"search_space": "--space"}  # a second name of an option


@dataclass(frozen=True)
class Option:
    """An option of the command line, and the setting that it is for.

    `default` is in words where the field's is None.
    """

    field: str
    flags: tuple[str, ...]
    help: str
    default: str
    kind: type  # what is read of the command line: int, float or str
    is_duration: bool = False

    def value(self, given: Any) -> Any:
        """What was given, as `Experiment` takes it.

        Raises:
            RequestError: it is no duration where it has to be one.
        """
        if self.is_duration:
            return seconds_in(self.flags[0], given)
        return _number(given) if self.kind is str and _is_number(self.field) else given


def options() -> list[Option]:
    """An option for each field of `Experiment` that has one, in the order of the fields."""
    return [_option(name) for name in Experiment.model_fields if name not in WITHOUT]


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Experiment`, in place of its last parameter.

    That parameter, `given`, gets the settings that were given, by field.
    """
    made = options()
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "given"]

    def call(**values: Any) -> None:
        given = {
            option.field: option.value(value)
            for option in made
            if (value := values.pop(option.field)) is not None
        }
        command(**values, given=given)

    settings = [
        inspect.Parameter(
            option.field,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                option.kind | None,
                typer.Option(
                    *option.flags,
                    help=f"{option.help} [default: {option.default}]".removesuffix(" [default: ]"),
                    metavar="DURATION" if option.is_duration else None,
                ),
            ],
        )
        for option in made
    ]
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    call.__doc__ = command.__doc__
    call.__signature__ = inspect.Signature([keyword[0], *settings, *keyword[1:]])  # type: ignore[attr-defined]
    return call


class Command(TyperCommand):
    """A command whose help names the components that there are.

    Installed packages are looked through for them only when help is asked for.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        for parameter in self.params:
            component = COMPONENTS.get(parameter.name or "")
            text = getattr(parameter, "help", None)
            names = [each.name for each in listed(component)] if component in TABLES else []
            if names and text:
                known = f" Known: {', '.join(sorted(names))}. [default"
                parameter.help = text.replace(" [default", known)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def _option(name: str) -> Option:
    field = Experiment.model_fields[name]
    is_duration = name.endswith("_s")
    flag = f"--{name.removesuffix('_s') if is_duration else name}".replace("_", "-")
    flags = (flag, SHORTER[name]) if name in SHORTER else (flag,)
    unset = cast(dict[str, Any], field.json_schema_extra or {}).get("unset", "")
    default = unset if field.default is None else _shown(field.default)
    kinds = _types(field.annotation) - {type(None)}
    kind = next(iter(kinds)) if kinds <= {int} or kinds <= {float} else str
    return Option(
        name, flags, field.description or "", default, str if is_duration else kind, is_duration
    )


def _shown(value: Any) -> str:
    return "none" if value == () else f"{value:g}" if isinstance(value, float) else str(value)


def _types(annotation: Any) -> set[type]:
    """The types that a field may have; those of a literal's values too."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _types(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return set().union(*map(_types, get_args(annotation)))
    if origin is Literal:
        return set(map(type, get_args(annotation)))
    return {annotation}


def _is_number(field: str) -> bool:
    return float in _types(Experiment.model_fields[field].annotation)


def _number(text: str) -> float | str:
    """A number, where it is one: `Experiment` knows what else it may be."""
    try:
        return float(text)
    except ValueError:
        return text
