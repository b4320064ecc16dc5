"""Arrays that are given in place of a dataset."""

from typing import Any

import numpy as np

from pipeline.data.arrays import as_inputs, as_targets, check_lengths
from pipeline.data.dataset import form_of, kind_of
from pipeline.errors import RequestError


class Arrays:
    """`(x, y)` or `((x_train, y_train), (x_test, y_test))`, as the `load` of a dataset returns it.

    Raises:
        RequestError: it is neither, or the arrays cannot be used.
    """

    __name__ = "arrays"  # what messages and records call them

    def __init__(self, given: Any) -> None:
        form = form_of(given)
        if form is None:
            raise RequestError(
                "dataset must be a name, a Dataset, a function that loads one, (x, y) or "
                f"((x_train, y_train), (x_test, y_test)); got {kind_of(given)}."
            )
        pairs = given if form == "with test" else [given]
        inputs = [as_inputs(self.__name__, x) for x, _ in pairs]
        targets, _, _, names = as_targets(self.__name__, [y for _, y in pairs], None, None)
        if names is not None:  # which are to be known where a dataset is made of them
            targets = [np.array(names)[labels] for labels in targets]
        self.pairs = tuple(zip(inputs, targets, strict=True))
        for x, y in self.pairs:
            check_lengths(self.__name__, x, y)

    def __call__(self) -> Any:
        """What a `load` returns."""
        return self.pairs if len(self.pairs) == 2 else self.pairs[0]
