"""Which share of the trials TPE should take for good: proposals on a known noisy conditional
function, several seeds.

Run:  python benchmarks/tpe_share.py

No model is trained. Writes `results/<date>-tpe-share.json`: for each share the mean loss of the
best proposal and of the second half of the proposals.
"""

import math
import sys
from pathlib import Path

import numpy as np
import recording

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.objective import Objective
from pipeline.search import hyperopt
from pipeline.search.random import Random
from pipeline.space.hyperparameters import HyperParameters

SEEDS = 12


def loss(hp):
    layers = hp.Int("num_layers", 1, 5)
    activation = hp.Choice("activation", ["relu", "tanh"])
    dropout = hp.Float("dropout", 0, 0.5, step=0.1)
    units = [hp.Int(f"units_{i}", 32, 512, step=32) for i in range(layers)]
    optimizer = hp.Choice("optimizer", ["adam", "sgd", "rmsprop"])
    rate = math.log10(hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"))
    best_rate = {"adam": -3, "rmsprop": -3.1, "sgd": -1.5}[optimizer]
    narrow = max(0, (200 - np.mean(units)) / 200)
    return (
        0.02
        + 0.02 * (rate - best_rate) ** 2
        + 0.01 * (activation == "tanh")
        + 0.004 * abs(layers - 2)
        + 0.01 * narrow
        + 0.05 * (dropout - 0.2) ** 2
    )


def trace(proposal, fill):
    rng = np.random.default_rng(fill if isinstance(fill, int) else 0)
    hp = HyperParameters(
        proposal, lambda spec: spec.default if fill == "default" else spec.random(rng)
    )
    loss(hp)
    return hp.requested


def search(kind, seed, trials):
    if kind != "random":
        # 0.05 is one trial of 20 and three of 60: hyperopt's own default is one and two
        hyperopt.GOOD_SHARE = kind
    searcher = (Random if kind == "random" else hyperopt.HyperOpt)(
        seed=seed, objective=Objective("val_loss", "min"), trials=trials, trace=trace
    )
    rng = np.random.default_rng(seed)
    values = []
    for number in range(trials):
        configuration = searcher.ask(str(number))
        values.append(loss(HyperParameters(configuration)) * math.exp(rng.normal(0, 0.05)))
        searcher.tell_report(str(number), 1, values[-1])
        searcher.tell_end(str(number))
    return min(values[1:]), float(np.mean(values[trials // 2 :]))


def main():
    rows = []
    for trials in (20, 60):
        for kind in ("random", 0.05, 0.15, 0.25, 0.35):
            found = np.array([search(kind, seed, trials) for seed in range(SEEDS)])
            best, later = (round(float(v), 4) for v in found.mean(axis=0))
            rows.append({"trials": trials, "share": kind, "best": best, "second_half": later})
            print(rows[-1], flush=True)
    recording.write(
        "tpe-share", __doc__.partition("\n")[0], "hyperopt", "numpy", seeds=SEEDS, rows=rows
    )


if __name__ == "__main__":
    main()
