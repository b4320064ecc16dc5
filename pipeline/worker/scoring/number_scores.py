"""The scores of a regression, of as many weightings of its examples as are wanted at once."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ROUNDING = 1e-14  # of a mean square, relative to what it was made of


class NumberScores:
    """MAE, RMSE and R², with scikit-learn's values: of several targets the mean.

    Args:
        true: `(n,)` or `(n, targets)`.
        predicted: likewise.
    """

    names: ClassVar[tuple[str, ...]] = ("mae", "rmse", "r2")
    columns = 1

    def __init__(self, true: Array, predicted: Array) -> None:
        self.true, self.predicted = (
            part.reshape(len(part), -1).astype(np.float64) for part in (true, predicted)
        )
        self._error = self.predicted - self.true
        # around its mean, or the squares of large numbers would leave no digits to the variance
        self._centred = self.true - self.true.mean(axis=0)

    @property
    def examples(self) -> int:
        """How many there are."""
        return len(self.true)

    def __call__(self, weights: Array, only: Sequence[str] = names) -> dict[str, Array]:
        """Each score under each weighting; see `ClassScores`."""
        total = weights.sum(axis=1, keepdims=True)

        def mean(values: Array) -> Array:
            found: Array = weights @ values / total
            return found

        squared = mean(self._error**2)
        whole, offset = mean(self._centred**2), mean(self._centred) ** 2
        variance = np.where(whole - offset > ROUNDING * whole, whole - offset, 0.0)
        constant = np.where(squared == 0, 1.0, 0.0)
        explained = 1 - np.divide(squared, variance, out=1 - constant, where=variance > 0)
        found = {
            "mae": mean(abs(self._error)).mean(axis=1),
            "rmse": np.sqrt(squared).mean(axis=1),
            "r2": explained.mean(axis=1) if self.examples > 1 else np.full(len(weights), np.nan),
        }
        return {name: found[name] for name in only}

    def undefined(self, name: str) -> str:
        """Why a score has no value."""
        return "it needs two examples" if name == "r2" else "the predictions are not finite"
