"""What `example_space` requests, asked for without Keras: for benchmarks that train nothing, or
draw ahead."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.space.hyperparameters import HyperParameters, filling


def drawn(rng, proposal=(), fill="random"):
    """What is requested, in order, under a proposal; the rest as `fill` says, at random from
    `rng`."""
    hp = HyperParameters(dict(proposal), filling(fill, lambda spec: spec.random(rng)))
    for i in range(hp.Int("num_layers", 1, 5)):
        hp.Int(f"units_{i}", 32, 512, step=32)
    hp.Choice("optimizer", ["adam", "sgd", "rmsprop"])
    hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    return hp.requested


def trace(proposal, fill):
    """The same as a searcher asks for it."""
    return drawn(np.random.default_rng(fill if isinstance(fill, int) else 0), proposal, fill)
