"""Grid search: every configuration, depth first.

Continuous ranges at ten points, as in KerasTuner.
"""

from collections.abc import Iterator
from typing import ClassVar

from pipeline.search.searcher import Searcher
from pipeline.search.tried import TriedConfigurations
from pipeline.space.configuration import Configuration


class Grid(Searcher):
    """Grid search: every configuration once, depth first, continuous ranges at ten points."""

    learns: ClassVar[bool] = False
    fills_with_first: ClassVar[bool] = True

    _walked: Iterator[Configuration] | None = None
    _names = 0

    def choose(self, number: int, tried: TriedConfigurations) -> Configuration | None:
        """The next of the walk that was not tried.

        The walk starts anew where `fit` has made the space grow.
        """
        if self._walked is None or len(self.space.by_fit) != self._names:
            self._walked, self._names = self.space.everything(), len(self.space.by_fit)
        return next((c for c in self._walked if c not in tried), None)
