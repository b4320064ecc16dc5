"""Random search: each trial drawn by itself, none twice."""

from typing import ClassVar

from pipeline.search.searcher import Searcher
from pipeline.space.configuration import Configuration


class Random(Searcher):
    """Random search: each hyperparameter uniformly on its own scale, nothing learnt."""

    learns: ClassVar[bool] = False

    def propose(self, number: int, attempt: int) -> Configuration:
        """Draw, regardless of what was learnt."""
        return self.random(number, attempt)
