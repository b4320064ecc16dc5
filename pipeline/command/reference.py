"""The reference page, from what `--help` and `--list` are made from.

Run: python -m pipeline.command.reference > docs/reference/options.md
"""

from collections.abc import Iterator, Sequence
from typing import Any

import typer.main

from pipeline.command.options import WITHOUT, options
from pipeline.components import PLURAL, listed
from pipeline.run import COMMAND, app


def page() -> str:
    """The page in Markdown: every option, every component of ours."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Options and components"
    yield ""
    yield "Made by `make reference`; do not edit it. The command is"
    yield f"`{COMMAND} DATASET [OPTIONS]`, and `tune(Experiment(...))` takes the same settings."
    yield ""
    yield "## Settings of an experiment"
    yield ""
    yield from _table(
        ("option", "setting", "default", "meaning"),
        [
            (f"`{'`, `'.join(option.flags)}`", f"`{option.field}`", option.default, option.help)
            for option in options()
        ],
    )
    yield ""
    yield f"Without an option: {', '.join(f'`{n}` ({why})' for n, why in WITHOUT.items())}."
    yield ""
    yield "## Options of the command alone"
    yield ""
    yield from _table(("option", "meaning"), _own_options())
    for component, title in PLURAL.items():
        if found := listed(component, installed=False):
            yield ""
            yield f"## {title.capitalize()}"
            yield ""
            yield from _table(("name", ""), [(f"`{each.name}`", each.line) for each in found])


def _own_options() -> list[Sequence[str]]:
    """What the command takes beside the settings."""
    command: Any = typer.main.get_command(app)
    settings = {option.field for option in options()} | WITHOUT.keys()
    return [
        (f"`{'`, `'.join(parameter.opts)}`", parameter.help)
        for parameter in command.params
        if parameter.name not in settings and parameter.name != "help"
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (heads, ["---"] * len(heads), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


if __name__ == "__main__":
    print(page(), end="")
