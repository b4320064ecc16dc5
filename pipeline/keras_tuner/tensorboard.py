"""TensorBoard's callback in a trial: a folder of its own, and the trial's values for HParams."""

import os
from typing import Any

from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Float, Hyperparameter, Int, Value


def with_hparams(
    callbacks: list[Any], hp: HyperParameters, trial: str, execution: int
) -> list[Any]:
    """A trial's callbacks, where TensorBoard's writes to `<log_dir>/<trial>/execution<n>`.

    As in KerasTuner, one more tells TensorBoard's HParams the trial's values; on TensorFlow alone,
    which it writes with.
    """
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
    if isinstance(spec, Int) and spec.step == 1:
        return api.IntInterval(spec.min_value, spec.max_value)
    options: list[Value] = list(spec.values() or [])
    if isinstance(spec, Float) and not options:
        return api.RealInterval(spec.min_value, spec.max_value)
    return None if None in options else api.Discrete(options)
