"""TensorBoard's callback in a trial: a folder of its own, and the trial's values for HParams."""

import os
from typing import Any

from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Float, Hyperparameter, Int

MOST_OPTIONS = 1_000  # that HParams lists one by one


def with_hparams(
    callbacks: list[Any], hp: HyperParameters, trial: str, execution: int
) -> list[Any]:
    """A trial's callbacks, where TensorBoard's writes to `<log_dir>/<trial>/execution<n>`.

    As in KerasTuner, one more tells TensorBoard's HParams the trial's values; on TensorFlow alone,
    which it writes with. The check before a search has no trial, and nothing is added there: that
    callback writes a file as soon as it is made.
    """
    if not trial:
        return callbacks
    added: list[Any] = []
    for callback in callbacks:
        if type(callback).__name__ == "TensorBoard":
            folder = os.path.join(str(callback.log_dir), trial, f"execution{execution}")
            callback.log_dir = folder
            added += _hparams(hp, folder, trial)
    return [*callbacks, *added]


def _hparams(hp: HyperParameters, folder: str, trial: str) -> list[Any]:
    from pipeline.worker.backends.known import current

    if not current().writes_hparams:
        return []
    try:
        from tensorboard.plugins.hparams import api
    except ImportError:  # TensorBoard is not installed, and its callback says so
        return []
    values = {
        api.HParam(spec.name, _domain(spec, api)): value
        for spec, value in hp.requested
        if _domain(spec, api) is not None
    }
    return [api.KerasCallback(folder, values, trial_id=trial)]


def _domain(spec: Hyperparameter, api: Any) -> Any:
    """What HParams shows as possible; None for what it cannot hold."""
    if isinstance(spec, Int | Float):
        step = spec.step if isinstance(spec, Float) or spec.step != 1 else None
        linear = spec.sampling == "linear"
        if step is None or (linear and (spec.max_value - spec.min_value) / step > MOST_OPTIONS):
            interval = api.IntInterval if isinstance(spec, Int) else api.RealInterval
            return interval(spec.min_value, spec.max_value)
    options = list(spec.values() or [])
    return None if not options or None in options else api.Discrete(options)
