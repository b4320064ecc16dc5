"""Splits that are given, and those that are cut because they are not."""

from dataclasses import replace
from typing import Any, TypeVar

from pipeline.data.arrays import Task, as_inputs, as_targets, check_lengths
from pipeline.data.dataset import SPLITS, Dataset
from pipeline.data.request import CUT

Kind = TypeVar("Kind", bound=Dataset)

Pair = tuple[Any, Any]


def with_splits(
    kind: type[Kind],
    name: str,
    parts: dict[str, Pair],
    seed: int,
    *,
    task: Task | None = None,
    classes: int | None = None,
    test: float = CUT,
) -> Kind:
    """A dataset of the splits that there are; what is missing is cut from the training split.

    Args:
        kind: of the dataset.
        name: what messages and records call it.
        parts: inputs and targets by split, `train` among them.
        seed: decides which example goes where.
        task: from the targets when not given.
        classes: one more than the largest label when not given.
        test: a fraction of the examples that are cut.

    Raises:
        RequestError: the arrays cannot be used.
    """
    facts: dict[str, Any] = {"task": task, "classes": classes}
    train = parts["train"]
    if "val" in parts and "test" in parts:
        pairs = [parts[split] for split in SPLITS]
        inputs = [as_inputs(name, x) for x, _ in pairs]
        targets, task, classes, class_names = as_targets(name, [y for _, y in pairs], task, classes)
        arrays: dict[str, Any] = {}
        for split, x, y in zip(SPLITS, inputs, targets, strict=True):
            check_lengths(name, x, y)
            arrays |= {f"x_{split}": x, f"y_{split}": y}
        return kind(name=name, **arrays, task=task, classes=classes, class_names=class_names)
    if "test" in parts:
        return kind.with_test(name, train, parts["test"], seed, val=CUT, **facts)  # type: ignore[return-value]
    if "val" in parts:
        cut = kind.with_test(name, train, parts["val"], seed, val=test, **facts)
        return replace(  # type: ignore[return-value]
            cut, x_val=cut.x_test, y_val=cut.y_test, x_test=cut.x_val, y_test=cut.y_val
        )
    return kind.split(name, *train, seed, val=CUT, test=test, **facts)  # type: ignore[return-value]
