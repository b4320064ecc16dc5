"""A number that is an input of a program, where Keras takes it for a number in Python.

Keras tests some settings in Python, such as whether a dropout rate is above 0. A `Number` answers
that, and is a traced value to whatever computes with it.
"""

from typing import Any


class Number:
    """A number that differs between the models of a group.

    It has two float32 parts, whose sum is the number: `1 - beta_2` of a beta_2 near 1 would lose
    four digits else.

    Args:
        high: the number as float32, traced.
        low: what that rounded away, traced.
        is_zero: of all models of the group; `is_one` as well.
    """

    shape = ()
    ndim = 0
    __hash__ = None  # type: ignore[assignment]  # it stands for several values

    def __init__(self, high: Any, low: Any, is_zero: bool, is_one: bool) -> None:
        self.high, self.low = high, low
        self._is_zero, self._is_one = is_zero, is_one

    def __jax_array__(self) -> Any:
        """What JAX computes with."""
        return self.high

    @property
    def dtype(self) -> Any:
        """The traced value's."""
        return self.high.dtype

    def __bool__(self) -> bool:
        return not self._is_zero

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | float) and other in (0, 1):
            return self._is_one if other else self._is_zero
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __gt__(self, other: object) -> bool:
        # None of the settings may be negative.
        return not self._is_zero if other == 0 else NotImplemented

    def __add__(self, other: Any) -> Any:
        return self.high + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return (self.high - other) + self.low

    def __rsub__(self, other: Any) -> Any:
        return (other - self.high) - self.low

    def __mul__(self, other: Any) -> Any:
        return self.high * other

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self.high / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / self.high

    def __pow__(self, other: Any) -> Any:
        return self.high**other
