"""The command line: `python -m pipeline.run mnist`.

Parses, calls, prints; no defaults of its own, no Ray, no Keras.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from pipeline.errors import Interrupted, KerasweepError, RequestError, one_line, quoted
from pipeline.experiment import Experiment, seconds_in

COMMAND = "python -m pipeline.run"
FILES = (".yaml", ".yml")
Field = Experiment.model_fields

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _option(text: str, name: str | None = None) -> Any:
    """An option whose default is `Experiment`'s; it is left unset here and shown in the help."""
    default = (
        "" if name is None or Field[name].default is None else f" [default: {Field[name].default}]"
    )
    return typer.Option(help=text + default)


@app.command()
def command(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="A dataset's name, a .py file, a module, an experiment.yaml or a sweep.yaml."
        ),
    ] = None,
    search_space: Annotated[
        str | None,
        typer.Option(
            "--search-space",
            "--space",
            help="A search space's name, a .py file, a module, module:function.",
        ),
    ] = None,
    objective: Annotated[
        str | None,
        _option(
            "Metric to optimise: NAME, or NAME:min or NAME:max. [default: val_accuracy or val_loss]"
        ),
    ] = None,
    searcher: Annotated[str | None, _option("hyperopt, random or grid.", "searcher")] = None,
    scheduler: Annotated[
        str | None, _option("asha, asha-stopping, hyperband, median, pbt or none.", "scheduler")
    ] = None,
    trials: Annotated[int | None, _option("Configurations to try.", "trials")] = None,
    max_epochs: Annotated[int | None, _option("Epochs of a trial, at most.", "max_epochs")] = None,
    executions_per_trial: Annotated[
        int | None,
        _option("Trainings of a configuration, whose mean counts.", "executions_per_trial"),
    ] = None,
    time_budget: Annotated[
        str | None, _option("End the search after so long: 90s, 10m, 8h.")
    ] = None,
    epoch_timeout: Annotated[
        str | None,
        _option(
            "A trial without a report for so long hangs: it is ended and tried once more. "
            "[default: 20 times the longest epoch so far, at least 5m; 6h before the first]"
        ),
    ] = None,
    grace_epochs: Annotated[int | None, _option("Stop no trial before.", "grace_epochs")] = None,
    reduction_factor: Annotated[
        float | None,
        _option("Of asha and hyperband: one trial in so many goes on.", "reduction_factor"),
    ] = None,
    perturbation_interval: Annotated[
        int | None, _option("Of pbt: epochs of a generation.", "perturbation_interval")
    ] = None,
    cpus_per_trial: Annotated[float | None, _option("CPUs of a trial.", "cpus_per_trial")] = None,
    gpus_per_trial: Annotated[
        str | None,
        _option(
            "GPUs of a trial; a share like 0.25 packs several on one; auto: as many as fit. "
            "[default: 0]"
        ),
    ] = None,
    fit_plan: Annotated[
        str | None,
        _option(
            "How a trial's steps are carried out: auto, plain, looped or compiled.", "fit_plan"
        ),
    ] = None,
    max_concurrent: Annotated[
        int | None, _option("Trials at once, at most. [default: what fits]")
    ] = None,
    keep_models: Annotated[
        int | None, _option("Trials whose best weights are kept.", "keep_models")
    ] = None,
    cpus: Annotated[int | None, _option("CPUs to use of this machine. [default: all]")] = None,
    gpus: Annotated[int | None, _option("GPUs to use of this machine. [default: all]")] = None,
    address: Annotated[str | None, _option("HOST:PORT of a running Ray cluster, or auto.")] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Join a cluster, too, that lets in whoever reaches it."),
    ] = False,
    start_from: Annotated[
        str | None,
        _option(
            "First try the configurations of a JSON list, or the best of an earlier run's "
            "directory."
        ),
    ] = None,
    seed: Annotated[
        int | None, _option("Of the search, the splits and each trial.", "seed")
    ] = None,
    storage: Annotated[
        str | None, _option("Folder of the run directories; or s3://… or gs://….", "storage")
    ] = None,
    name: Annotated[
        str | None, _option("Name of the run's directory. [default: dataset, space and time]")
    ] = None,
    track: Annotated[
        str | None,
        _option("Trackers that are told how it goes: NAME, module:Class; several by commas."),
    ] = None,
    resume: Annotated[
        str | None, _option("Go on with the run in this directory; --trials extends it.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, train nothing.")
    ] = False,
    inline: Annotated[
        bool, typer.Option("--inline", help="Run one trial in this process, for debugging.")
    ] = False,
    list_all: Annotated[
        bool, typer.Option("--list", help="Name what there is to choose from.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result only.")] = False,
) -> None:
    """Search for the hyperparameters of a Keras model, on Ray."""
    settings = {
        "search_space": search_space,
        "objective": objective,
        "searcher": searcher,
        "scheduler": scheduler,
        "trials": trials,
        "max_epochs": max_epochs,
        "executions_per_trial": executions_per_trial,
        "time_budget_s": _seconds("--time-budget", time_budget),
        "epoch_timeout_s": _seconds("--epoch-timeout", epoch_timeout),
        "keep_models": keep_models,
        "perturbation_interval": perturbation_interval,
        "grace_epochs": grace_epochs,
        "reduction_factor": reduction_factor,
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": _number(gpus_per_trial),
        "fit_plan": fit_plan,
        "max_concurrent": max_concurrent,
        "cpus": cpus,
        "gpus": gpus,
        "address": address,
        "start_from": start_from,
        "seed": seed,
        "storage": storage,
        "name": name,
        "track": track,
    }
    given = {key: value for key, value in settings.items() if value is not None}
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
        _conduct(sweep, dry_run, insecure, quiet)
    elif inline:
        _inline(_experiment(dataset, given))
    elif dry_run:
        _plan(dataset, given, insecure, quiet)
    else:
        _search(dataset, given, resume, insecure, quiet)


def _plan(dataset: str | None, given: dict[str, Any], insecure: bool, quiet: bool) -> None:
    from pipeline.console.display import Display
    from pipeline.console.plan import show_dry_run
    from pipeline.engine import tuning
    from pipeline.watch import Interruption

    interruption, display = Interruption(), Display(quiet=quiet)
    with _signals(interruption):
        plan = tuning.dry_run(
            _experiment(dataset, given), [display], interruption=interruption, insecure=insecure
        )
    show_dry_run(plan)


def _search(
    dataset: str | None, given: dict[str, Any], resume: str | None, insecure: bool, quiet: bool
) -> None:
    from pipeline.engine import tuning
    from pipeline.engine.past import resumed
    from pipeline.watch import Interruption

    interruption = Interruption()
    with _signals(interruption):
        if resume is not None:
            given |= {"dataset": dataset} if dataset is not None else {}
            experiment = resumed(resume, **given)
        else:
            experiment = _experiment(dataset, given)
        from pipeline.console.display import Display
        from pipeline.console.result import show_result

        run = tuning.tune(
            experiment,
            resume=resume,
            watchers=[Display(quiet=quiet)],
            interruption=interruption,
            insecure=insecure,
        )
        show_result(run, quiet=quiet, command=COMMAND)
    if interruption.signal is not None:
        raise typer.Exit(128 + interruption.signal)


def _experiment(dataset: str | None, given: dict[str, Any]) -> Experiment:
    if dataset is None:
        raise RequestError(
            f"A dataset must be given: {COMMAND} mnist. What there is: {COMMAND} --list"
        )
    if dataset.endswith(FILES):
        # Its name is that of the run it came from; asked again, it is a run of its own.
        return Experiment.from_yaml(_text(dataset), dataset).changed(**{"name": None} | given)
    return Experiment.checked(dataset=dataset, **given)


def _text(file: str) -> str:
    if not os.path.isfile(file):
        raise RequestError(f"An experiment file must exist; there is no file {quoted(file)}.")
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{file} must be text that can be read; {one_line(str(error))}."
        ) from error


def _sweep(dataset: str | None, given: dict[str, Any]) -> Any:
    """What a sweep file asks for; None where there is none."""
    if dataset is None or not dataset.endswith(FILES):
        return None
    from pipeline.sweeps.request import read_sweep

    return read_sweep(_text(dataset), dataset, given)


def _conduct(sweep: Any, dry_run: bool, insecure: bool, quiet: bool) -> None:
    from pipeline.console.printing import print_plain
    from pipeline.sweeps.conductor import conduct, planned
    from pipeline.watch import Interruption

    if dry_run:
        print_plain(planned(sweep))
        return
    interruption = Interruption()
    with _signals(interruption):
        say = (lambda line: None) if quiet else print_plain
        table, failed = conduct(sweep, say, interruption, ["--insecure"] if insecure else [])
    print_plain(table)
    if interruption.signal is not None:
        raise typer.Exit(128 + interruption.signal)
    if failed:
        raise typer.Exit(1)


def _number(text: str | None) -> float | str | None:
    """A number, where it is one: `Experiment` knows what else it may be."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _seconds(option: str, text: str | None) -> float | None:
    return None if text is None else seconds_in(option, text)


def _inline(experiment: Experiment) -> None:
    if experiment.start_from is not None:
        raise RequestError(
            "--inline trains one random configuration; it cannot be combined with --start-from."
        )
    from pipeline.console.display import InlineDisplay
    from pipeline.inline import run_inline

    run_inline(experiment, [InlineDisplay()])


@contextmanager
def _signals(interruption: Any) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the search cleanly, the second at once.

    What a sweep passes on is no second one: whoever stops a job sends a signal to each of its
    processes (Ray, a terminal), and each search of a sweep gets it twice.
    """
    from pipeline.watch import PASSED_ON

    asked = False

    def handle(number: int, _frame: Any) -> None:
        nonlocal asked
        if number != PASSED_ON:
            if asked:
                os._exit(128 + number)
            asked = True
        if interruption.signal is None:
            interruption.signal = int(signal.SIGTERM) if number == PASSED_ON else number
            if not interruption.graceful:
                raise Interrupted(interruption.signal)

    before = {
        number: signal.signal(number, handle)
        for number in (signal.SIGINT, signal.SIGTERM, PASSED_ON)
    }
    try:
        yield
    except Exception:  # Ray's compiled code makes a SystemError of what is raised within it (2.60)
        if interruption.signal is None or interruption.graceful:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if interruption.signal is not None and not interruption.graceful:
        raise Interrupted(interruption.signal)


def main() -> None:
    """Run the command line; the exit code says how it went (`errors`)."""
    # Workers find our packages where this process does, wherever it was started.
    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        code = app(standalone_mode=False)
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
