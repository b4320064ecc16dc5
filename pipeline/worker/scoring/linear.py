"""Logistic and ridge regression with scikit-learn's solutions.

scikit-learn itself takes 0.7 s of CPU to be imported, at the end of every search; these take a
hundredth of that on small data, and stop after a bounded amount of work on large.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TOLERANCE = 1e-4  # of the largest part of the gradient, as scikit-learn's
NEWTON_STEPS = 100


def ridge(x: Array, y: Array, penalty: float = 1.0) -> Callable[[Array], Array]:
    """A linear regression with a penalty on the squares of its weights.

    Args:
        x: `(n, features)`.
        y: `(n, targets)`.
        penalty: as `sklearn.linear_model.Ridge(alpha=1.0)`.

    Returns:
        Predicts `(m, targets)` of `(m, features)`.
    """
    mean, offset = x.mean(axis=0), y.mean(axis=0)
    centred = x - mean
    gram = centred.T @ centred + penalty * np.eye(x.shape[1], dtype=x.dtype)
    weights = np.linalg.solve(gram, centred.T @ (y - offset))

    def predicted(given: Array) -> Array:
        values: Array = (given - mean) @ weights + offset
        return values

    return predicted


def logistic(
    x: Array, labels: Array, classes: int, passes: int = 10**6, penalty: float = 1.0
) -> Callable[[Array], Array]:
    """A logistic regression, multinomial for more than two classes, fitted by Newton's method.

    Args:
        x: `(n, features)`.
        labels: `(n,)` in 0..classes-1.
        classes: how many there are.
        passes: so often it goes through the data at most, whether it has converged or not.
        penalty: as `sklearn.linear_model.LogisticRegression(C=1.0)`.

    Returns:
        Gives probabilities `(m, classes)` of `(m, features)`.
    """
    x = np.hstack([x, np.ones((len(x), 1), x.dtype)])
    wanted = np.eye(classes, dtype=x.dtype)[labels]
    weights = np.zeros((x.shape[1], classes), x.dtype)
    # of two classes scikit-learn has one set of weights, of which each of ours is a half
    shrinking = np.full((x.shape[1], 1), penalty * (2 if classes == 2 else 1), x.dtype)
    shrinking[-1] = 0  # the intercept

    def loss(at: Array) -> float:
        scores = x @ at
        top = scores.max(axis=1)
        total = np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top
        own = np.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
        return float((total - own).sum(dtype=np.float64) + (shrinking * at**2).sum() / 2)

    value = loss(weights)
    for _ in range(NEWTON_STEPS):
        chances = _softmax(x @ weights)
        gradient = x.T @ (chances - wanted) + shrinking * weights

        def curved(along: Array, chances: Array = chances) -> Array:
            slope = chances * (x @ along)
            turned = x.T @ (slope - chances * slope.sum(axis=1, keepdims=True))
            found: Array = turned + shrinking * along
            return found

        passes -= 2
        if abs(gradient).max() <= TOLERANCE or passes < 2:
            break
        step, used = _conjugate_gradients(curved, -gradient, passes - 2)
        passes -= used
        length = 1.0
        while (found := loss(weights + length * step)) > value and length > 1e-4:
            length, passes = length / 2, passes - 1
        if found >= value:  # as near as rounding lets it come
            break
        weights, value = weights + length * step, found
    fitted = weights
    return lambda given: _softmax(given @ fitted[:-1] + fitted[-1])


def _conjugate_gradients(
    curved: Callable[[Array], Array], wanted: Array, most: int
) -> tuple[Array, int]:
    """Solve `curved(step) = wanted` nearly; the step, and how many products it took."""
    step, left = np.zeros_like(wanted), wanted.copy()
    along, size = left, float((left * left).sum())
    near, products = size * min(0.25, size**0.5) ** 2, 0
    while size > near and products < most:
        turned = curved(along)
        products += 1
        bend = float((along * turned).sum())
        if bend <= 0:
            break
        step = step + size / bend * along
        left = left - size / bend * turned
        size, before = float((left * left).sum()), size
        along = left + size / before * along
    return step, products


def _softmax(scores: Array) -> Array:
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Array = exponents / exponents.sum(axis=1, keepdims=True)
    return found
