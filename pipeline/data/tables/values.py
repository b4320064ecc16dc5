"""The values of one column as arrays, which travel to another process and are cut by rows."""

from dataclasses import dataclass

import numpy as np

from pipeline.data.arrays import Array


@dataclass(frozen=True, eq=False)
class Values:
    """Numbers `(n,)`, NaN where one is missing; or numbers that stand for names.

    `array` is float64 `(n,)`; where `names` are given it is int64, a number for each name and -1
    where the value is missing. Of texts, whose rows hold several names each, `ends` `(n,)` says
    where in `array` each row ends.
    """

    array: Array
    names: tuple[str, ...] = ()
    ends: Array | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(self.array if self.ends is None else self.ends)

    def __getitem__(self, rows: Array) -> "Values":
        """Some of the rows, in the order asked for."""
        if self.ends is None:
            return Values(self.array[rows], self.names)
        starts = np.concatenate([[0], self.ends[:-1]])
        sizes = (self.ends - starts)[rows]
        ends = np.cumsum(sizes)
        within = np.arange(sizes.sum()) - np.repeat(ends - sizes, sizes)
        return Values(self.array[np.repeat(starts[rows], sizes) + within], self.names, ends)

    @property
    def missing(self) -> Array:
        """Whether each row's value is missing, `(n,)` bool; a text without a word is."""
        if self.ends is not None:
            empty: Array = np.diff(self.ends, prepend=0) == 0
            return empty
        found: Array = self.array < 0 if self.array.dtype.kind == "i" else np.isnan(self.array)
        return found

    def renumbered(self, names: list[str], otherwise: int) -> Array:
        """`array` by the places of other names; `otherwise` for a name that is not among them."""
        place = {name: number for number, name in enumerate(names)}
        lookup = np.array([place.get(name, otherwise) for name in self.names] + [-1], np.int64)
        found: Array = lookup[self.array]  # -1, what is missing, is the last
        return found
