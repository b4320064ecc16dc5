"""Searchers: they propose configurations and learn from what came of them.

No Ray and no Keras in here. A searcher is a class made from `searcher.Searcher`, in a file of its
own, and a line in `SEARCHERS`. The table holds text: reading it imports nothing.
"""

SEARCHERS: dict[str, str] = {
    "hyperopt": "pipeline.search.hyperopt:HyperOpt",
    "random": "pipeline.search.random:Random",
    "grid": "pipeline.search.grid:Grid",
}
