"""`best/README.md`: a model card in the form of Hugging Face's hub, filled from the records."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from pipeline.objective import Objective
from pipeline.records.outputs.model_check import ModelCheck
from pipeline.records.outputs.scores import Baseline, scaled_loss_in_words, scores_in_words

# The hub's names of what a model is for, by what it takes and what it tells.
PIPELINE_TAGS: dict[tuple[str | None, str | None], str] = {
    ("table", "classification"): "tabular-classification",
    ("table", "regression"): "tabular-regression",
    ("pictures", "classification"): "image-classification",
}
SPLITS = {"train": "train", "val": "validate", "test": "are kept for the test"}
MOST_NAMES = 20  # classes that are named


def model_card(summary: Mapping[str, Any], takes: str | None) -> str:
    """The card of a run's best model.

    Args:
        summary: what `summary.json` holds.
        takes: table, pictures or arrays; None where only the search space's own `fit` knows.
    """
    data = summary["data"]
    head = {
        "library_name": "keras",
        "license": "other",
        "license_name": data["licence"] or "not stated",
        "tags": ["kerasweep", "keras"],
        "metrics": list(summary["scores"].get("test", {})) or list(summary["test"] or {}),
    }
    if tag := PIPELINE_TAGS.get((takes, data["task"])):
        head["pipeline_tag"] = tag
    sections = {
        f"The best model of a search on {data['name']}": _purpose(data),
        "Use": _use(takes),
        "Data": _data(summary, data),
        "Search": _search(summary),
        "Evaluation": _evaluation(summary),
        "Limits": _limits(summary, data),
    }
    text = "\n".join(
        f"{'#' * (1 if place == 0 else 2)} {heading}\n\n{body}\n"
        for place, (heading, body) in enumerate(sections.items())
    )
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n{text}"


def _purpose(data: Mapping[str, Any]) -> str:
    what = {"classification": "a class", "regression": "a number", None: "what it was trained on"}
    target = f" of `{data['target']}`" if data.get("target") else ""
    return f"A Keras model that predicts {what[data['task']]}{target}." + _classes(data)


def _classes(data: Mapping[str, Any]) -> str:
    names = data.get("class_names")
    if not names:
        return f" It has {data['classes']} classes." if data["classes"] else ""
    listed = ", ".join(f"`{name}`" for name in names[:MOST_NAMES])
    return f" Its {len(names)} classes are {listed}{', …' * (len(names) > MOST_NAMES)}."


def _use(takes: str | None) -> str:
    alone = 'Keras opens it: `keras.saving.load_model("model.keras")`.'
    if takes is None:
        return alone
    given = {
        "table": '"rows.csv"  # or a DataFrame with the columns that it was trained on',
        "pictures": '"picture.png"  # or a list of paths, or a folder',
        "arrays": "x  # an array of examples",
    }
    return (
        "```python\nimport pipeline  # of the package kerasweep\n\n"
        'model = pipeline.load_model(".")\n'
        f"model.predict({given[takes].replace('  #', ')  #', 1)}\n```\n\n"
        f"{alone} Then `preprocessing.json` says what it takes. `uvicorn serve:app` serves it "
        "(`pip install 'kerasweep[serve]'`)."
    )


def _data(summary: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    examples = dict(data["counts"])
    if _is_refit(summary):  # it learnt from the validation examples too
        examples |= {"train": summary["refit_examples"], "val": None}
    counts = ", ".join(
        f"{count:,} {SPLITS[split]}" for split, count in examples.items() if count is not None
    )
    sums = data.get("files_sha256") or {"the arrays": data["arrays_sha256"]}
    rows = {
        "Name": data["name"],
        "Source": data["source"] or "not stated",
        "Licence": data["licence"] or "not stated",
        "Examples": counts or "not known",
    } | {f"SHA-256 of {called}": f"`{found}`" for called, found in sums.items()}
    return "\n".join(f"- {heading}: {value}" for heading, value in rows.items())


def _is_refit(summary: Mapping[str, Any]) -> bool:
    """Whether the model that was saved learnt from the validation examples too."""
    return bool(summary["saved"] == "refit")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _search(summary: Mapping[str, Any]) -> str:
    best, counts = summary["best"], summary["trials"]
    objective = Objective.parse(summary["objective"])
    values = "\n".join(f"| `{name}` | {value} |" for name, value in best["hyperparameters"].items())
    saved = (
        "trained anew on training and validation examples for "
        f"{_counted(summary['refit_epochs'], 'epoch')}"
        if _is_refit(summary)
        else f"of epoch {best['epoch']} of trial {best['trial']}"
    )
    versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    tried = _counted(counts["total"], "configuration")
    tried += " was" if counts["total"] == 1 else " were"
    took = f"{_counted(summary['epochs'], 'epoch')} and {summary['wall_clock_s']:,.0f} s"
    return (
        f"{tried} tried in {took}; {objective.name} was {objective.direction}imised. The model is "
        f"{saved}.\n\n| hyperparameter | value |\n|---|---|\n{values}\n\nVersions: {versions}."
    )


def _evaluation(summary: Mapping[str, Any]) -> str:
    objective = Objective.parse(summary["objective"])
    lines = [f"- {objective.name}: {summary['best']['objective']:.5g}"]
    if summary.get("folds"):
        lines[0] += f", the mean of {len(summary['folds'])} folds (± {summary['spread']:.3g})"
    for split, scores in summary["scores"].items():
        lines.append(f"- {split}: {scores_in_words(scores)}")
    if not summary["scores"] and summary["test"]:
        told = ", ".join(f"{name} {value:.5g}" for name, value in summary["test"].items())
        lines.append(f"- test: {told}")
    if scale := summary.get("loss_target_divided_by"):
        lines.append(f"- loss: {scaled_loss_in_words(scale)}")
    if summary["baseline"]:
        lines.append(f"- baseline: {Baseline(**summary['baseline'])}")
    if summary["check"]:
        check = ModelCheck(**summary["check"])
        lines.append(f"- the {'models of the folds' if check.folds else 'saved model'}, {check}")
    if _is_refit(summary):
        lines.append(
            "- the saved model could be compared with nothing: it learnt from the validation "
            "examples too"
        )
    return "\n".join(lines)


def _limits(summary: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    refit = _is_refit(summary)
    learnt = summary["refit_examples"] if refit else data["counts"]["train"]
    whose = "Its configuration's" if refit else "Its"
    believed = (
        "the test score is the one to believe" if summary["test"] else "there was no test split"
    )
    limits: Sequence[str] = [
        f"It learnt from {'examples' if learnt is None else _counted(learnt, 'example')}, and "
        "answers as if all others were like them.",
        f"{whose} validation score chose it among others, so that it is too good by some; "
        f"{believed}.",
    ]
    if summary["baseline"]:
        doubt = Baseline(**summary["baseline"]).doubt()
        limits = [*limits, *([doubt] if doubt else [])]
    return "\n".join(f"- {limit}" for limit in limits)
