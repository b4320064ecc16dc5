"""The command line: `python -m pipeline.run mnist`.

Parses, calls, prints; no defaults of its own, no Ray, no Keras.
"""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from pipeline.command.options import Command, with_options
from pipeline.errors import Interrupted, KerasweepError, RequestError, one_line, quoted
from pipeline.experiment import Experiment

if TYPE_CHECKING:
    from pipeline.sweeps.request import Sweep

COMMAND = "python -m pipeline.run"
SETTINGS_FILES = (".yaml", ".yml")
# What may stand in a dataset's place: it works on a run that ended.
COMMANDS = {
    "predict": "pipeline.command.predict",
    "export": "pipeline.command.export",
}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _flag(name: str, text: str) -> Any:
    return typer.Option(name, help=text)


@app.command(cls=Command)
@with_options
def command(
    *,
    dataset: Annotated[
        str | None, typer.Argument(help=Experiment.model_fields["dataset"].description)
    ] = None,
    insecure: Annotated[
        bool, _flag("--insecure", "Join a cluster, too, that lets in whoever reaches it.")
    ] = False,
    resume: Annotated[
        str | None, _flag("--resume", "Go on with the run in this directory; --trials extends it.")
    ] = None,
    dry_run: Annotated[
        bool, _flag("--dry-run", "Check everything, print the plan, train nothing.")
    ] = False,
    inline: Annotated[
        bool, _flag("--inline", "Run one trial in this process, for debugging.")
    ] = False,
    list_all: Annotated[bool, _flag("--list", "Name what there is to choose from.")] = False,
    quiet: Annotated[bool, _flag("--quiet", "Print the result only.")] = False,
    given: dict[str, Any],
) -> None:
    """Search for the hyperparameters of a Keras model, on Ray."""
    if resume is not None and (dry_run or inline or list_all):
        raise RequestError(
            "--resume goes on with a run; it cannot be combined with --dry-run, --inline or --list."
        )
    sweep = None if list_all or resume is not None else _sweep(dataset, given)
    if sweep is not None and inline:
        raise RequestError(f"--inline trains one trial of one experiment; {dataset} is a sweep.")
    if list_all:
        from pipeline.console.listing import show_list

        show_list()
    elif sweep is not None:
        _conduct(sweep, dry_run=dry_run, insecure=insecure, quiet=quiet)
    elif inline:
        _inline(_experiment(dataset, given))
    elif dry_run:
        _plan(dataset, given, insecure=insecure, quiet=quiet)
    else:
        _search(dataset, given, resume=resume, insecure=insecure, quiet=quiet)


def _plan(dataset: str | None, given: dict[str, Any], *, insecure: bool, quiet: bool) -> None:
    from pipeline.console.plan import show_dry_run
    from pipeline.engine import tuning
    from pipeline.watch import Interruption, stopped_by_signals

    interruption = Interruption()
    with stopped_by_signals(interruption):
        plan = tuning.dry_run(
            _experiment(dataset, given), quiet=quiet, interruption=interruption, insecure=insecure
        )
    show_dry_run(plan)


def _search(
    dataset: str | None, given: dict[str, Any], *, resume: str | None, insecure: bool, quiet: bool
) -> None:
    from pipeline.engine.imports import quick_imports

    with quick_imports():
        from pipeline.engine import tuning
    from pipeline.watch import Interruption, stopped_by_signals

    interruption = Interruption()
    with stopped_by_signals(interruption):
        from pipeline.console.result import show_result

        how: dict[str, Any] = {
            "quiet": quiet,
            "interruption": interruption,
            "insecure": insecure,
        }
        if resume is not None:
            run = tuning.go_on(resume, {"dataset": dataset} | given, **how)
        else:
            run = tuning.tune(_experiment(dataset, given), **how)
        show_result(run, quiet=quiet, command=COMMAND)
    if interruption.signal is not None:
        raise typer.Exit(128 + interruption.signal)


def _experiment(dataset: str | None, given: dict[str, Any]) -> Experiment:
    if dataset is None:
        raise RequestError(
            f"A dataset must be given: {COMMAND} mnist. What there is: {COMMAND} --list"
        )
    if dataset.endswith(SETTINGS_FILES):
        # Its name is that of the run it came from; asked again, it is a run of its own.
        return Experiment.from_yaml(_text(dataset), dataset).changed(**{"name": None} | given)
    return Experiment(dataset=dataset, **given)


def _text(file: str) -> str:
    if not os.path.isfile(file):
        raise RequestError(f"An experiment file must exist; there is no file {quoted(file)}.")
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{file} must be text that can be read; {one_line(str(error))}."
        ) from error


def _sweep(dataset: str | None, given: dict[str, Any]) -> "Sweep | None":
    """What a sweep file asks for; None where there is none."""
    if dataset is None or not dataset.endswith(SETTINGS_FILES):
        return None
    from pipeline.sweeps.request import read_sweep

    return read_sweep(_text(dataset), dataset, given)


def _conduct(sweep: "Sweep", *, dry_run: bool, insecure: bool, quiet: bool) -> None:
    from pipeline.console.printing import print_plain
    from pipeline.sweeps.conductor import conduct, planned
    from pipeline.watch import Interruption, stopped_by_signals

    if dry_run:
        print_plain(planned(sweep))
        return
    interruption = Interruption()
    with stopped_by_signals(interruption):
        say = (lambda line: None) if quiet else print_plain
        table, failed = conduct(sweep, say, interruption, ["--insecure"] if insecure else [])
    print_plain(table)
    if interruption.signal is not None:
        raise typer.Exit(128 + interruption.signal)
    if failed:
        raise typer.Exit(1)


def _inline(experiment: Experiment) -> None:
    if experiment.start_from is not None:
        raise RequestError(
            "--inline trains one random configuration; it cannot be combined with --start-from."
        )
    from pipeline.console.display import InlineDisplay
    from pipeline.inline import run_inline

    run_inline(experiment, [InlineDisplay()])


def main() -> None:
    """Run the command line; the exit code says how it went (`errors`)."""
    # Workers find our packages where this process does, wherever it was started.
    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:
        sys.path.insert(0, root)
    program = app
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        program = import_module(COMMANDS[sys.argv.pop(1)]).app
    try:
        code = program(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except typer.Abort:
        sys.exit(130)
    except Interrupted as error:
        from pipeline.console.printing import print_error

        print_error(f"{error} Nothing was recorded.")
        sys.exit(error.exit_code)
    except TyperException as error:
        from pipeline.console.printing import print_error

        line = one_line(getattr(error, "format_message", error.__str__)())
        print_error(f"{line} See {COMMAND} --help.")
        sys.exit(2)
    except KerasweepError as error:
        from pipeline.console.printing import print_error

        rows = getattr(error, "rows", ())
        print_error(
            str(error.args[0]) if rows else str(error), getattr(error, "user_traceback", ""), rows
        )
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
