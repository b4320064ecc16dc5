"""KerasTuner's `SklearnTuner`: models of scikit-learn, each trial cross-validated.

Its models are kept as skops writes them: a zip archive that says what it is made of, and of which
nothing but known classes is made when it is read.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import RequestError
from pipeline.keras_tuner.oracle import Trial
from pipeline.keras_tuner.tuners import Tuner

MODEL = "model.skops"


class SklearnTuner(Tuner):
    """Tunes models of scikit-learn.

    Args:
        oracle: what to search by; its objective is Objective("score", "max").
        hypermodel: `build_model(hp)`, or a HyperModel, which returns an estimator.
        scoring: a scorer of scikit-learn's; None for the estimator's own score.
        metrics: functions of targets and predictions, which are recorded too.
        cv: a splitter; None for five shuffled folds.
        kwargs: the rest of `Tuner`'s.

    Attributes:
        trusted: names of classes, beside scikit-learn's, that `get_best_models` may make.

    Raises:
        RequestError: skops is not installed, or an argument cannot be honoured.
    """

    trusted: Sequence[str] = ()

    def __init__(
        self,
        oracle: Any,
        hypermodel: Any,
        scoring: Any = None,
        metrics: Callable[..., float] | Sequence[Callable[..., float]] | None = None,
        cv: Any = None,
        **kwargs: Any,
    ) -> None:
        if find_spec("skops") is None:
            raise RequestError(
                "SklearnTuner needs skops, which keeps models without pickle: "
                "pip install 'kerasweep[sklearn]'."
            )
        super().__init__(hypermodel, oracle=oracle, **kwargs)
        from sklearn.model_selection import KFold

        self.scoring = scoring
        given: Any = metrics or []
        self.metrics: list[Any] = list(given) if isinstance(given, list | tuple) else [given]
        self.cv = cv or KFold(5, shuffle=True, random_state=1)

    def search(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> None:
        """Search.

        Args:
            X: what estimators are fitted to, an array or a frame.
            y: their targets.
            sample_weight: `(n,)`, for estimators that take it.
            groups: `(n,)`, for a splitter that goes by them.
        """
        more = {"sample_weight": sample_weight, "groups": groups}
        super().search(X, y, **{name: value for name, value in more.items() if value is not None})

    def run_trial(
        self, trial: Any, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> dict[str, float]:
        """Cross-validate one configuration; what is kept is the last fold's model."""
        from sklearn.utils import _safe_indexing

        found: dict[str, list[float]] = defaultdict(list)
        for train, test in self.cv.split(X, y, groups):
            model = self.hypermodel.build(trial.hyperparameters)
            weights = [
                {} if sample_weight is None else {"sample_weight": sample_weight[rows]}
                for rows in (train, test)
            ]
            takes = "sample_weight" in inspect.signature(model.fit).parameters
            model.fit(
                _safe_indexing(X, train), _safe_indexing(y, train), **weights[0] if takes else {}
            )
            held_out = _safe_indexing(X, test), _safe_indexing(y, test)
            score = self._score(model, held_out, weights[1])
            found["score"].append(score)
            if self.metrics:
                predicted = model.predict(held_out[0])
                for metric in self.metrics:
                    value = metric(held_out[1], predicted, **weights[1])
                    found[metric.__name__].append(value)
        self.save_model(trial.trial_id, model)
        return {name: float(np.mean(values)) for name, values in found.items()}

    def _score(self, model: Any, held_out: tuple[Any, Any], weight: dict[str, Any]) -> float:
        if self.scoring is None:
            return float(model.score(*held_out, **weight))
        return float(self.scoring(model, *held_out, **weight))

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """Write a trial's model into its folder."""
        from skops import io

        io.dump(model, Path(self.get_trial_dir(trial_id)) / MODEL)

    def load_model(self, trial: Trial) -> Any:
        """Read a trial's model.

        Raises:
            RequestError: it is not there, or holds something of a class that is not known.
        """
        from skops import io

        path = Path(self.get_trial_dir(trial.trial_id)) / MODEL
        if not path.is_file():
            raise RequestError(f"{trial.trial_id} must have its model in {path}; it is missing.")
        held = io.get_untrusted_types(file=path)
        # skops leaves out those that are compiled, such as a forest's trees
        known = [name for name in held if name.startswith("sklearn.") or name in self.trusted]
        if unknown := sorted(set(held) - set(known)):
            raise RequestError(
                f"{path} must hold scikit-learn's classes alone to be read; it holds "
                f"{', '.join(unknown)}. Where you trust them: tuner.trusted = {unknown!r}."
            )
        return io.load(path, trusted=known)
