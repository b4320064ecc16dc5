"""Random search: each trial drawn by itself, none twice."""

from pipeline.search.searcher import Searcher
from pipeline.space.configuration import Configuration


class Random(Searcher):
    """Every hyperparameter uniformly on its own scale (logarithmic where it says so)."""

    def propose(self, number: int, attempt: int) -> Configuration:
        """Draw, regardless of what was learnt."""
        return self.random(number, attempt)
