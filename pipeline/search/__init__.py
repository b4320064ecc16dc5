"""Searchers: they propose configurations and learn from what came of them.

No Ray and no Keras in here.

A searcher is a class in a file of this package, named in `SEARCHERS`.
"""

from pipeline.search.grid import Grid
from pipeline.search.random import Random
from pipeline.search.searcher import Searcher
from pipeline.search.tpe import HyperOpt

SEARCHERS: dict[str, type[Searcher]] = {"random": Random, "grid": Grid, "hyperopt": HyperOpt}
