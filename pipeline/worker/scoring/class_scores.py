"""The scores of a classification, of as many weightings of its examples as are wanted at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import quoted

Array = NDArray[Any]


class ClassScores:
    """Accuracy, balanced accuracy, macro F1 and ROC-AUC, with scikit-learn's values.

    Args:
        true: labels `(n,)` in 0..classes-1.
        chances: `(n, classes)`: the larger, the likelier the class; the largest is predicted.
        class_names: what the labels are called, for messages; their numbers if None.
    """

    names: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc")

    def __init__(
        self, true: Array, chances: Array, class_names: Sequence[str] | None = None
    ) -> None:
        self.true, self.chances, self.class_names = true, chances, class_names
        self.classes = chances.shape[1]
        self.predicted = chances.argmax(axis=1)

    @property
    def examples(self) -> int:
        """How many there are."""
        return len(self.true)

    @property
    def columns(self) -> int:
        """How often a weighting's examples are put in order: once a class that is ranked."""
        return len(self._ranked)

    def __call__(self, weights: Array, only: Sequence[str] = names) -> dict[str, Array]:
        """Each score under each weighting.

        Args:
            weights: `(k, n)` integers: how often each example counts; 1 for the score itself.
            only: the names that are wanted.

        Returns:
            `(k,)` by name; NaN where it is not defined.
        """
        found = self._counted(weights) if set(only) - {"roc_auc"} else {}
        if "roc_auc" in only:
            found["roc_auc"] = np.mean([self._area(c, weights) for c in self._ranked], axis=0)
        return {name: found[name] for name in only}

    def undefined(self, name: str) -> str:
        """Why a score has no value."""
        missing = sorted(set(range(self.classes)) - set(self.true.tolist()))
        if name != "roc_auc" or not missing:
            return "it is not defined on these examples"
        label = missing[0]
        name = str(label) if self.class_names is None else quoted(self.class_names[label])
        return f"no example is of class {name}"

    def _counted(self, weights: Array) -> dict[str, Array]:
        hits = weights * (self.true == self.predicted)
        hit, support = self._by_label(hits, self.true), self._by_label(weights, self.true)
        named = self._by_label(weights, self.predicted)
        met = support + named
        return {
            "accuracy": hits.sum(axis=1) / weights.sum(axis=1),
            "balanced_accuracy": _mean(hit, support),
            "f1_macro": _mean(2 * hit, met),
        }

    @property
    def _ranked(self) -> range:
        """The classes that are each held against all others; of two one says it all."""
        return range(1, 2) if self.classes == 2 else range(self.classes)

    def _by_label(self, weights: Array, labels: Array) -> Array:
        """The sum of the weights of each class: `(k, classes)`."""
        order = np.argsort(labels, kind="stable")
        met, starts = np.unique(labels[order], return_index=True)
        sums = np.zeros((len(weights), self.classes))
        sums[:, met] = np.add.reduceat(weights[:, order], starts, axis=1)
        return sums

    @cached_property
    def _rankings(self) -> dict[int, "_Ranking"]:
        return {}

    def _area(self, label: int, weights: Array) -> Array:
        if label not in self._rankings:
            self._rankings[label] = _Ranking.of(self.chances[:, label], self.true == label)
        return self._rankings[label].area(weights)


@dataclass(frozen=True)
class _Ranking:
    """Examples from the least likely of a class on, and where those of the class are.

    Of each of these: how many examples, and how many of its own class, come before all that are
    as likely, and how many with them.
    """

    order: Array
    own: Array
    before: Array
    upto: Array
    own_before: Array
    own_upto: Array

    @classmethod
    def of(cls, likelihood: Array, own: Array) -> "_Ranking":
        order = np.argsort(likelihood, kind="stable")
        ranked, at = likelihood[order], np.flatnonzero(own[order])
        before, upto = (np.searchsorted(ranked, ranked[at], side) for side in ("left", "right"))
        counts = np.concatenate([[0], np.cumsum(own[order])])
        return cls(order, at, before, upto, counts[before], counts[upto])

    def area(self, weights: Array) -> Array:
        """The area under the curve: the share of pairs in the right order, those alike by half."""
        ranked = weights[:, self.order]
        own = ranked[:, self.own]
        sums, own_sums = _running(ranked), _running(own)
        before = sums[:, self.before] - own_sums[:, self.own_before]
        upto = sums[:, self.upto] - own_sums[:, self.own_upto]
        pairs = own_sums[:, -1].astype(np.float64) * (sums[:, -1] - own_sums[:, -1])
        with np.errstate(invalid="ignore"):
            found: Array = np.einsum("ij,ij->i", own, before + upto, dtype=np.float64) / 2 / pairs
        return found


def _running(weights: Array) -> Array:
    """The sum of the first 0, 1, … n of each row."""
    sums = np.zeros((len(weights), weights.shape[1] + 1), np.int64)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _mean(parts: Array, wholes: Array) -> Array:
    """The mean of the shares of each row, over what there is."""
    shares = np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0)
    mean: Array = shares.sum(axis=1) / (wholes > 0).sum(axis=1)
    return mean
