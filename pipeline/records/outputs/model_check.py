"""Whether the saved model is the one that was scored: how that was checked, and what came of it."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

ABSOLUTE = 1e-7  # two numbers so close are equal in float32, whatever they are
EQUAL = "measured again, and equal to what was recorded"
OF_FOLDS = " (the mean of the models of {} folds)"
# Why a small difference says nothing of the model.
ON_A_GPU = "it was trained on a GPU, which may multiply float32 in 10 bits, and measured on the CPU"
NOT_FINITE = "Measured again, it is no finite number."
LIKELY = (
    "Likely the model draws random numbers outside of training, keeps a state from batch to batch, "
    "has a get_config that leaves something out, or a callback changes its weights for validation."
)


@dataclass(frozen=True)
class ModelCheck:
    """The saved model's metric, measured again, beside the one that was recorded.

    Args:
        result: "equal" within `tolerance`; "different"; or "not compared".
        metric: the objective's name.
        recorded: what the model's epoch reported.
        measured: of the validation split; None where it could not be measured.
        tolerance: the largest relative difference of equal numbers.
        reason: why they were not compared, or are different.
        unread: why it is not the model as its file gives it back that was measured.
        folds: of how many folds it is the mean of their models; 0 where it is the saved model's.
    """

    result: Literal["equal", "different", "not compared"]
    metric: str
    recorded: float
    measured: float | None
    tolerance: float
    reason: str = ""
    unread: str = ""
    folds: int = 0

    @classmethod
    def of(
        cls,
        metric: str,
        recorded: float,
        measured: float | None,
        tolerance: float,
        incomparable: str = "",
        unread: str = "",
        folds: int = 0,
    ) -> "ModelCheck":
        """Compare two numbers; `incomparable` says why another one proves nothing.

        `measured` is NaN where the metric is not finite.
        """

        def found(result: Literal["equal", "different", "not compared"], why: str) -> "ModelCheck":
            finite = None if measured is None or math.isnan(measured) else measured
            return cls(result, metric, recorded, finite, tolerance, why, unread, folds)

        if measured is not None and math.isclose(
            measured, recorded, rel_tol=tolerance, abs_tol=ABSOLUTE
        ):
            return found("equal", "")
        if measured is None or incomparable:
            return found("not compared", incomparable or "it could not be measured")
        return found("different", NOT_FINITE if math.isnan(measured) else LIKELY)

    def plain(self) -> dict[str, Any]:
        """As `summary.json` has it."""
        return asdict(self)

    def __str__(self) -> str:
        """As the closing lines have it."""
        before = f" (before it was saved: {self.unread})" if self.unread else ""
        before += OF_FOLDS.format(self.folds) if self.folds else ""
        if self.result == "equal":
            return EQUAL + before
        if self.result == "not compared":
            return f"not compared with what was recorded: {self.reason}"
        if self.measured is None:
            return f"{self.metric} was recorded as {self.recorded:.6g}. {self.reason}{before}"
        apart = abs(self.measured - self.recorded)
        relative = apart / abs(self.recorded) if self.recorded else math.inf
        return (
            f"{self.metric} is {self.measured:.6g}, and {self.recorded:.6g} was recorded: "
            f"{relative:.1g} apart, where {self.tolerance:g} is allowed. {self.reason}{before}"
        )
