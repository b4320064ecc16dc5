"""The command line: `python -m pipeline.run mnist`. Parses, calls, prints; no defaults of its own, no Ray, no Keras."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from pipeline.errors import Interrupted, KerasweepError, RequestError, one_line, quoted
from pipeline.experiment import Experiment

COMMAND = "python -m pipeline.run"
Field = Experiment.model_fields

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _option(text: str, name: str | None = None) -> Any:
    """An option whose default is `Experiment`'s; it is left unset here and shown in the help."""
    default = "" if name is None or Field[name].default is None else f" [default: {Field[name].default}]"
    return typer.Option(help=text + default)


@app.command()
def command(
    dataset: Annotated[
        str | None, typer.Argument(help="A dataset's name, a .py file, a module, or an experiment.yaml.")
    ] = None,
    search_space: Annotated[
        str | None,
        typer.Option("--search-space", "--space", help="A search space's name, a .py file, a module, module:function."),
    ] = None,
    objective: Annotated[
        str | None, _option("Metric to optimise: NAME, or NAME:min or NAME:max. [default: val_accuracy or val_loss]")
    ] = None,
    searcher: Annotated[str | None, _option("hyperopt, random or grid.", "searcher")] = None,
    scheduler: Annotated[
        str | None, _option("asha, asha-stopping, hyperband, median, pbt or none.", "scheduler")
    ] = None,
    trials: Annotated[int | None, _option("Configurations to try.", "trials")] = None,
    max_epochs: Annotated[int | None, _option("Epochs of a trial, at most.", "max_epochs")] = None,
    executions_per_trial: Annotated[
        int | None, _option("Trainings of a configuration, whose mean counts.", "executions_per_trial")
    ] = None,
    time_budget: Annotated[str | None, _option("End the search after so long: 90s, 10m, 8h.")] = None,
    epoch_timeout: Annotated[
        str | None,
        _option(
            "A trial without a report for so long hangs: it is ended and tried once more. "
            "[default: 20 times the longest epoch so far, at least 5m]"
        ),
    ] = None,
    grace_epochs: Annotated[int | None, _option("Stop no trial before.", "grace_epochs")] = None,
    reduction_factor: Annotated[
        float | None, _option("Of asha and hyperband: one trial in so many goes on.", "reduction_factor")
    ] = None,
    perturbation_interval: Annotated[
        int | None, _option("Of pbt: epochs of a generation.", "perturbation_interval")
    ] = None,
    cpus_per_trial: Annotated[float | None, _option("CPUs of a trial.", "cpus_per_trial")] = None,
    gpus_per_trial: Annotated[
        float | None, _option("GPUs of a trial; a share like 0.25 packs several on one.", "gpus_per_trial")
    ] = None,
    execution: Annotated[
        str | None, _option("How a trial's steps are carried out: auto, plain, looped or compiled.", "execution")
    ] = None,
    max_concurrent: Annotated[int | None, _option("Trials at once, at most. [default: what fits]")] = None,
    keep_models: Annotated[int | None, _option("Trials whose best weights are kept.", "keep_models")] = None,
    cpus: Annotated[int | None, _option("CPUs to use of this machine. [default: all]")] = None,
    gpus: Annotated[int | None, _option("GPUs to use of this machine. [default: all]")] = None,
    address: Annotated[str | None, _option("HOST:PORT of a running Ray cluster, or auto.")] = None,
    start_from: Annotated[
        str | None, _option("First try the configurations of a JSON list, or the best of an earlier run's directory.")
    ] = None,
    seed: Annotated[int | None, _option("Of the search, the splits and each trial.", "seed")] = None,
    storage: Annotated[str | None, _option("Folder of the run directories.", "storage")] = None,
    name: Annotated[str | None, _option("Name of the run's directory. [default: dataset, space and time]")] = None,
    resume: Annotated[str | None, _option("Go on with the run in this directory; --trials extends it.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, train nothing.")
    ] = False,
    inline: Annotated[bool, typer.Option("--inline", help="Run one trial in this process, for debugging.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Name what there is to choose from.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result only.")] = False,
) -> None:
    """Search for the hyperparameters of a Keras model, on Ray."""
    settings = {
        "search_space": search_space, "objective": objective, "searcher": searcher, "scheduler": scheduler,
        "trials": trials, "max_epochs": max_epochs, "executions_per_trial": executions_per_trial,
        "time_budget_s": _seconds("--time-budget", time_budget),
        "epoch_timeout_s": _seconds("--epoch-timeout", epoch_timeout), "keep_models": keep_models,
        "perturbation_interval": perturbation_interval,
        "grace_epochs": grace_epochs, "reduction_factor": reduction_factor, "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial, "execution": execution,
        "max_concurrent": max_concurrent, "cpus": cpus, "gpus": gpus,
        "address": address, "start_from": start_from, "seed": seed, "storage": storage, "name": name,
    }  # fmt: skip
    given = {key: value for key, value in settings.items() if value is not None}
    if resume is not None and (dry_run or inline or list_all):
        raise RequestError("--resume goes on with a run; it cannot be combined with --dry-run, --inline or --list.")
    if list_all:
        from pipeline.console import show_list

        show_list()
    elif inline:
        _inline(_experiment(dataset, given))
    elif dry_run:
        from pipeline.console import Display, show_dry_run
        from pipeline.engine import tuning

        show_dry_run(tuning.dry_run(_experiment(dataset, given), Display(quiet=quiet)))
    else:
        _search(dataset, given, resume, quiet)


def _search(dataset: str | None, given: dict[str, Any], resume: str | None, quiet: bool) -> None:
    from pipeline.engine import tuning
    from pipeline.engine.resume import resumed
    from pipeline.engine.watch import Interruption

    interruption = Interruption()
    with _signals(interruption):
        if resume is not None:
            given |= {"dataset": dataset} if dataset is not None else {}
            experiment = resumed(resume, **given)
        else:
            experiment = _experiment(dataset, given)
        from pipeline.console import Display, show_result

        run = tuning.tune(experiment, resume=resume, watcher=Display(quiet=quiet), interruption=interruption)
        show_result(run, quiet=quiet, command=COMMAND)
    if interruption.signal is not None:
        raise typer.Exit(128 + interruption.signal)


def _experiment(dataset: str | None, given: dict[str, Any]) -> Experiment:
    if dataset is None:
        raise RequestError(f"A dataset must be given: {COMMAND} mnist. What there is: {COMMAND} --list")
    if dataset.endswith((".yaml", ".yml")):
        if not os.path.isfile(dataset):
            raise RequestError(f"An experiment file must exist; there is no file {quoted(dataset)}.")
        try:
            text = Path(dataset).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise RequestError(f"{dataset} must be text that can be read; {one_line(str(error))}.") from error
        # Its name is that of the run it came from; asked again, it is a run of its own.
        return Experiment.from_yaml(text, dataset).changed(**{"name": None} | given)
    return Experiment.checked(dataset=dataset, **given)


def _seconds(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise RequestError(f"{option} must be a duration like 90s, 10m or 1h30m; got {quoted(text)}.")
    return float(sum(float(number) * units[unit] for number, unit in parts))


def _inline(experiment: Experiment) -> None:
    if experiment.start_from is not None:
        raise RequestError("--inline trains one random configuration; it cannot be combined with --start-from.")
    from pipeline.console import show_inline
    from pipeline.inline import run_inline

    run_inline(experiment, show_inline)


@contextmanager
def _signals(interruption: Any) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the search cleanly, the second at once."""

    def handle(number: int, _frame: Any) -> None:
        if interruption.signal is not None:
            os._exit(128 + number)
        interruption.signal = number
        if not interruption.graceful:
            raise Interrupted(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
        from pipeline.console import print_error

        print_error(f"{error} Nothing was recorded.")
        sys.exit(error.exit_code)
    except TyperException as error:
        from pipeline.console import print_error

        line = one_line(getattr(error, "format_message", error.__str__)())
        print_error(f"{line} See {COMMAND} --help.")
        sys.exit(2)
    except KerasweepError as error:
        from pipeline.console import print_error

        print_error(str(error), getattr(error, "user_traceback", ""))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
