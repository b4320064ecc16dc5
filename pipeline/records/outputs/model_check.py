"""Whether the saved model is the one that was scored: how that was checked, and what came of it."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

ABSOLUTE = 1e-7  # two numbers so close are equal in float32, whatever they are
EQUAL = "measured again, and equal to what was recorded"


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
    """

    result: Literal["equal", "different", "not compared"]
    metric: str
    recorded: float
    measured: float | None
    tolerance: float
    reason: str = ""

    @classmethod
    def of(
        cls,
        metric: str,
        recorded: float,
        measured: float | None,
        tolerance: float,
        incomparable: str = "",
    ) -> "ModelCheck":
        """Compare two numbers; `incomparable` says why another one proves nothing."""
        if measured is not None and math.isclose(
            measured, recorded, rel_tol=tolerance, abs_tol=ABSOLUTE
        ):
            return cls("equal", metric, recorded, measured, tolerance)
        if measured is None or incomparable:
            reason = incomparable or "it could not be measured"
            return cls("not compared", metric, recorded, measured, tolerance, reason)
        reason = (
            "So it is of a model that draws random numbers outside of training, that keeps a state "
            "from batch to batch, or whose get_config leaves something out."
        )
        return cls("different", metric, recorded, measured, tolerance, reason)

    def plain(self) -> dict[str, Any]:
        """As `summary.json` has it."""
        return asdict(self)

    def __str__(self) -> str:
        """As the closing lines have it."""
        if self.result == "equal":
            return EQUAL
        if self.result == "not compared":
            return f"not compared with what was recorded: {self.reason}"
        apart = abs(self.measured - self.recorded) if self.measured is not None else math.nan
        relative = apart / abs(self.recorded) if self.recorded else math.inf
        return (
            f"{self.metric} is {self.measured:.6g}, and {self.recorded:.6g} was recorded: "
            f"{relative:.1g} apart, where {self.tolerance:g} is allowed. {self.reason}"
        )
