"""The result of a run in words."""

import textwrap
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.console.printing import print_rows
from pipeline.console.words import duration, in_one_line, short
from pipeline.objective import Objective
from pipeline.records.layout import at_home
from pipeline.records.outputs.model_check import ModelCheck
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.scores import Baseline, scaled_loss_in_words, scores_in_words
from pipeline.records.store.remote import location


def show_result(run: Results, *, quiet: bool, command: str) -> None:
    """Print the best hyperparameters, validation and test score, and where everything is."""
    console = Console(highlight=False, soft_wrap=True)
    summary = run.summary
    counts = summary["trials"]
    if not quiet:
        console.print()
    print_rows(console, result_rows(run))
    if summary.get("exhausted"):
        console.print(
            f"The search space is exhausted: it has no more than {counts['total']} configurations."
        )
    if summary.get("interrupted") or counts["unfinished"]:
        console.print(Text(f"Go on with: {command} --resume {short(run.directory)}"))


def _spread(summary: Mapping[str, Any]) -> str:
    """The standard deviation over folds, where there are folds."""
    spread, folds = summary.get("spread"), (summary.get("check") or {}).get("folds")
    return f" ± {spread:.2g} over {folds} folds" if spread is not None and folds else ""


def _where_the_model_is(run: Results) -> str:
    model = run.layout.best_model
    model = model if model.is_file() else model.with_suffix(".weights.h5")
    return short(location(at_home(run.layout, str(model))))


def result_text(run: Results) -> str:
    """The same in lines of 80 characters; what has no space in it, such as a path, is not cut."""
    lines = [
        textwrap.fill(
            f"{heading:<15}  {text}",
            80,
            subsequent_indent=" " * 17,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for heading, text in result_rows(run).items()
    ]
    return "\n".join(lines)


def result_rows(run: Results) -> dict[str, str]:
    """What came out of a run, by heading."""
    summary, best = run.summary, run.best
    counts = summary["trials"]
    ended = ", ".join(
        f"{counts[s]} {s}" for s in ("finished", "stopped", "failed", "unfinished") if counts[s]
    )
    took = duration(summary.get("wall_clock_s", 0))
    rows = {"trials": f"{counts['total']} ({ended}), {summary['epochs']} epochs in {took}"}
    if counts.get("duplicate"):
        rows["duplicates"] = f"{counts['duplicate']}, ended at their first report and not counted"
    if summary.get("fit_plans"):
        rows["fit plans"] = "; ".join(
            f"{count} {plan}" for plan, count in summary["fit_plans"].items()
        )
    if best is None:
        rows["best trial"] = "none reported a finite objective"
    else:
        rows["best trial"] = f"{best.trial}, epoch {best.epoch}"
        objective = Objective.parse(summary["objective"])
        rows["objective"] = (
            f"{objective.name} {best.objective:.5g}{_spread(summary)}, {objective.direction}imised"
        )
        rows["hyperparameters"] = in_one_line(best.hyperparameters)
        rows |= {
            split: in_one_line(summary[split])
            for split in ("validation", "test")
            if summary.get(split)
        }
        for split, scores in summary.get("scores", {}).items():
            rows[f"{split} scores"] = scores_in_words(scores)
        if scale := summary.get("loss_target_divided_by"):
            rows["loss"] = scaled_loss_in_words(scale)
        if summary.get("baseline"):
            if why := summary.get("no_scores"):
                rows["test scores"] = f"none: {why}"
            baseline = Baseline(**summary["baseline"])
            rows["baseline"] = str(baseline)
            if baseline.doubt():
                rows["beaten"] = baseline.doubt()
        if summary.get("check"):
            rows["check"] = str(ModelCheck(**summary["check"]))
        if summary.get("saved") == "refit" and not summary.get("no_model"):
            epochs = summary["refit_epochs"]
            rows["saved"] = (
                "trained anew on training and validation data, "
                f"{epochs} epoch{'s' * (epochs > 1)}; no validation score can be compared with it"
            )
        rows["model"] = summary.get("no_model") or _where_the_model_is(run)
    rows["records"] = short(run.directory)
    return rows
