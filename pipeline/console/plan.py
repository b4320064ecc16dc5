"""The plan of a search in words, and the search space as far as a dry run looked at it."""

from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.console.pictures import pictures_rows
from pipeline.console.printing import print_rows
from pipeline.console.words import duration, short
from pipeline.digest import label
from pipeline.experiment import UNBOUNDED, Experiment
from pipeline.watch import SearchPlan

MOST_NAMES = 60  # characters of class names that are told
PLURAL = {
    "number": "numbers",
    "yes/no": "yes/no",
    "category": "categories",
    "date": "dates",
    "text": "texts",
}


def plan_rows(plan: SearchPlan) -> dict[str, str]:
    """What a search is going to do, by heading."""
    experiment = plan.experiment
    executions = (
        f", {experiment.executions_per_trial} executions each"
        if experiment.executions_per_trial > 1
        else ""
    )
    rows = {
        "dataset": _described(plan.data),
        **pictures_rows(plan.data),
        "search space": f"{label(experiment.search_space)}: "
        + " ".join(f"{spec.name}" for spec, _ in plan.requested)
        + f" (default model: {plan.weights:,} weights)",
        "objective": f"{plan.objective.name}, {plan.objective.direction}imised",
        "search": f"{experiment.searcher} + {experiment.scheduler}, seed {experiment.seed}"
        + (
            f", starting from {short(Path(experiment.start_from))}" if experiment.start_from else ""
        ),
        "budget": f"{_budget(experiment.trials, experiment.max_epochs)}{executions}"
        + (f", {duration(experiment.time_budget_s)}" if experiment.time_budget_s else ""),
        "at once": f"{plan.concurrent} trials, "
        + ("each " if plan.seats == 1 else f"{plan.seats} in each process of ")
        + f"{experiment.cpus_per_trial:g} CPU"
        + (f" and {experiment.gpu_share:g} GPU" if experiment.gpu_share else ""),
    }
    if experiment.folds is not None:
        rows["validation"] = (
            f"{experiment.folds} folds, {plan.data['folds']['by']}: {experiment.repeats} trainings "
            f"a trial{_trainings(experiment)}; then the best is trained on all of it"
        )
    if columns := plan.data.get("columns"):
        rows["target"] = _target(plan.data)
        rows["columns"] = _counted(columns)
    if plan.on_gpus:
        rows["GPU"] = plan.on_gpus
    if plan.left_idle:
        rows["left idle"] = plan.left_idle
    if plan.warnings:
        rows["warning"] = "; ".join(plan.warnings)
    return rows


def _trainings(experiment: Experiment) -> str:
    """How many there will be in all, where that is known."""
    if experiment.trials >= UNBOUNDED:
        return ""
    return f", {experiment.trials * experiment.repeats} at most"


def _budget(trials: int, epochs: int) -> str:
    """How many trials and epochs there will be, as far as that was said."""
    search = "every configuration" if trials >= UNBOUNDED else f"{trials} trials"
    if epochs >= UNBOUNDED:
        return f"{search}, for as many epochs as `fit` trains"
    most = "" if trials >= UNBOUNDED else f": at most {trials * epochs} epochs"
    return f"{search}, at most {epochs} epochs each{most}"


def _described(facts: dict[str, Any]) -> str:
    """A dataset in one line, as far as it is known: data from Python may be of any form."""
    what = (
        [str(facts["shape"] if facts["task"] is None else tuple(facts["shape"]))]
        if facts["shape"]
        else []
    )
    what += [facts["dtype"]] if facts["dtype"] else []
    if facts["range"]:
        low, high = facts["range"]
        what.append(f"in [{low:.4g}, {high:.4g}]")
    task = f"{facts['classes']} classes" if facts["classes"] else facts["task"]
    if 0 < len(called := ", ".join(facts.get("class_names") or ())) <= MOST_NAMES:
        task += f" ({called})"
    names = {"train": "train", "val": "validation", "test": "test"}
    if facts.get("folds"):
        names = {"train": "train and validation", "test": "test"}
    counts = ", ".join(
        f"{facts['counts'][split]} {called}"
        for split, called in names.items()
        if facts["counts"].get(split) is not None
    )
    return (
        f"{facts['name']}: {' '.join(what)}"
        + (f", {task}" if task else "")
        + (f"; {counts}" if counts else "")
    )


def _target(facts: dict[str, Any]) -> str:
    """Describe a table's target and the unit in which it is learnt."""
    scale = facts["target_scale"]
    if scale is None:
        return f"{facts['target']}, a classification"
    return (
        f"{facts['target']}, a regression: mean {scale['mean']:.4g}, std {scale['std']:.4g}; a "
        "search space of ours learns it scaled, which loss is in, and tells it in its unit"
    )


def _counted(columns: list[dict[str, Any]]) -> str:
    """How many columns there are of each kind."""
    kinds = Counter(column["kind"] for column in columns)
    left_out = kinds.pop("left out", 0)
    counted = [f"{count} {PLURAL[kind] if count > 1 else kind}" for kind, count in kinds.items()]
    return ", ".join([*counted, *([f"{left_out} left out"] if left_out else [])])


def describe_columns(columns: list[dict[str, Any]]) -> Table:
    """Each column of a table: what it was taken for, its holes, and how it is encoded."""
    table = Table(box=None, pad_edge=False)
    for name in ("column", "kind", "missing", "encoding"):
        table.add_column(name, no_wrap=True, overflow="ignore")
    for column in columns:
        missing = "" if column["missing"] is None else str(column["missing"])
        table.add_row(Text(column["name"]), column["kind"], missing, Text(column["encoding"]))
    return table


def describe_space(plan: SearchPlan) -> Table:
    """Each hyperparameter with what it may be.

    Those that the default model does not request come last.
    """
    table = Table(box=None, pad_edge=False)
    for name in ("hyperparameter", "type", "values", "default", "decides"):
        table.add_column(name)
    decides = {"model": "the model", "algorithm": "how it is trained", None: "not known"}
    conditional = [(spec, spec.default) for spec in plan.conditional]
    for place, (spec, value) in enumerate([*plan.requested, *conditional]):
        if place == len(plan.requested):
            table.add_row("", "", "", "", "")
            table.add_row("conditional:", "", "", "", "", style="bold")
        plain = spec.to_dict()
        if "options" in plain:
            values = ", ".join(str(v) for v in plain["options"])
        elif "min_value" in plain:
            step = f", step {plain['step']:g}" if plain.get("step") else ""
            values = f"{plain['min_value']:g} to {plain['max_value']:g}{step}, {plain['sampling']}"
        else:
            values = ", ".join(str(v) for v in spec.values() or ())
        role = decides[(plan.roles or {}).get(spec.name)]
        table.add_row(Text(spec.name), spec.kind, Text(values), Text(str(value)), role)
    return table


def show_dry_run(plan: SearchPlan) -> None:
    """The plan, and the space as far as it was looked at."""
    console = Console(highlight=False, soft_wrap=True)
    print_rows(console, plan_rows(plan))
    console.print()
    if columns := plan.data.get("columns"):
        console.print(describe_columns(columns))
        console.print("A column of another kind: --column NAME=KIND; left out: --drop NAME.")
        console.print()
    console.print(describe_space(plan))
    console.print()
    if plan.printed:
        console.print("`build` of the default model printed:")
        console.print(Text(plan.printed.rstrip()))
        console.print()
    console.print("Nothing was trained.")
