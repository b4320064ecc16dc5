"""The hand-written limit: an epoch as one loop that XLA compiles whole, without Keras."""

import itertools

import numpy as np
import tensorflow as tf


class Epochs:
    """A dense classifier trained by Adam, a whole epoch a call.

    Args:
        units: width of each hidden layer.
        x, y: (n, features) float32 and (n,) integer labels 0 to classes - 1.
        classes: how many.
        batch_size: examples a step; the last, partial batch is left out.
    """

    def __init__(self, units, x, y, classes, batch_size, rate=1e-3, seed=0):
        rng = np.random.default_rng(seed)
        widths = [x.shape[1], *units, classes]
        self._weights = []
        for rows, columns in itertools.pairwise(widths):
            limit = (6 / (rows + columns)) ** 0.5
            self._weights.append(
                tf.Variable(rng.uniform(-limit, limit, (rows, columns)).astype("float32"))
            )
            self._weights.append(tf.Variable(np.zeros(columns, "float32")))
        self._first = [tf.Variable(tf.zeros_like(w)) for w in self._weights]
        self._second = [tf.Variable(tf.zeros_like(w)) for w in self._weights]
        self._x, self._y = tf.constant(x), tf.constant(y.astype("int32"))
        self._batch, self._steps, self._rate = batch_size, len(x) // batch_size, rate
        self._done = tf.Variable(0.0)
        self.train = tf.function(self._epoch, jit_compile=True, autograph=False)

    def _logits(self, weights, x):
        for place in range(0, len(weights) - 2, 2):
            x = tf.nn.relu(x @ weights[place] + weights[place + 1])
        return x @ weights[-2] + weights[-1]

    def _epoch(self, order):
        """Train on the examples in `order`, an (n,) int32 tensor; the mean loss."""

        def step(i, t, total, weights, first, second):
            rows = tf.gather(order, tf.range(self._batch) + i * self._batch)
            with tf.GradientTape() as tape:
                tape.watch(weights)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                    tf.gather(self._y, rows), self._logits(weights, tf.gather(self._x, rows))
                )
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, weights)
            t += 1.0
            first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
            second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradients, strict=True)]
            rate = self._rate * tf.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            moved = zip(weights, first, second, strict=True)
            weights = [w - rate * m / (tf.sqrt(v) + 1e-7) for w, m, v in moved]
            return i + 1, t, total + loss, weights, first, second

        held = [
            [tf.identity(v) for v in group] for group in (self._weights, self._first, self._second)
        ]
        state = (0, self._done.read_value(), 0.0, *held)
        _, t, total, *held = tf.while_loop(lambda i, *_: i < self._steps, step, state)
        for group, new in zip((self._weights, self._first, self._second), held, strict=True):
            for variable, value in zip(group, new, strict=True):
                variable.assign(value)
        self._done.assign(t)
        return total / self._steps

    def accuracy(self, x, y):
        """The share of examples that are classified right."""
        return float(np.mean(np.argmax(self._logits(self._weights, tf.constant(x)), 1) == y))
