"""How sure a score is: percentile intervals of its values on resamples of the examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.records.outputs.scores import Score
from pipeline.worker.scoring.class_scores import ClassScores
from pipeline.worker.scoring.number_scores import NumberScores

RESAMPLES, LEAST = 1000, 100
WITHIN = (2.5, 97.5)  # per cent: an interval of 95
BLOCK = 100_000  # examples of resamples at once: they stay in a processor's cache
# Examples of all resamples, times how often each is put in order: about a second and a half of one
# CPU (AMD EPYC). What takes more has fewer resamples.
MOST_WORK = 10**8

Scores = ClassScores | NumberScores


def scored(scores: Scores, seed: int) -> dict[str, Score]:
    """Each score with its interval of 95 %.

    A resample on which a score is not defined, such as one without any example of a class, does
    not count for it.
    """
    values = {name: float(v[0]) for name, v in scores(np.ones((1, scores.examples), int)).items()}
    resamples = MOST_WORK // (scores.examples * scores.columns)
    names, unsure = scores.names, ""
    if resamples < LEAST:  # without what has to be put in order
        names = tuple(name for name in names if name != "roc_auc")
        unsure = "no interval: there are too many examples and classes"
        resamples = MOST_WORK // scores.examples
    resamples = min(RESAMPLES, max(LEAST, resamples))
    drawn = _drawn(scores, names, resamples, seed)
    found = {}
    for name, value in values.items():
        if not np.isfinite(value):
            found[name] = Score(None, reason=scores.undefined(name))
        elif name not in drawn or np.isnan(drawn[name]).all():
            found[name] = Score(value, reason=unsure)
        else:
            low, high = np.nanpercentile(drawn[name], WITHIN)
            found[name] = Score(value, float(low), float(high))
    return found


def _drawn(scores: Scores, names: Sequence[str], resamples: int, seed: int) -> dict[str, Any]:
    """Each score on each resample."""
    rng, n = np.random.default_rng(seed), scores.examples
    blocks, size = [], max(1, BLOCK // n)
    for start in range(0, resamples, size):
        count = min(size, resamples - start)
        rows = rng.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        weights = np.bincount(rows.ravel(), minlength=count * n).reshape(count, n)
        blocks.append(scores(weights, names))
    return {name: np.concatenate([block[name] for block in blocks]) for name in names}
