"""`KerasweepSearchCV`: scikit-learn's searches with our engine in them."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import ClassifierTags, RegressorTags, Tags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from pipeline.data.arrays import Task
from pipeline.errors import EstimatorError, quoted
from pipeline.scikit_learn.estimators import checked, estimator_class, trained
from pipeline.scikit_learn.examples import Examples
from pipeline.scikit_learn.results import cv_results
from pipeline.scikit_learn.searching import searched
from pipeline.scikit_learn.targets import task_of


def _refitted(attribute: str) -> Callable[["KerasweepSearchCV"], bool]:
    """Whether a search has a method of its best estimator's."""

    def there(search: "KerasweepSearchCV") -> bool:
        if not search.refit:
            raise AttributeError(
                f"{attribute} needs the best configuration trained on all examples; refit is False."
            )
        getattr(getattr(search, "best_estimator_", estimator_class(search._task)), attribute)
        return True

    return there


class KerasweepSearchCV(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Search for the parameters of a Keras model, each candidate cross-validated, on our engine.

    Takes the place of `GridSearchCV` and `RandomizedSearchCV`: candidates train side by side, poor
    ones are stopped early, and a search can be gone on with.

    Args:
        build: `create_model(learning_rate=0.001, …)`, which returns a compiled model; or
            `build(hp)`, `build(hp, data)`, or the name of a search space, which say by themselves
            what may be tried.
        param_distributions: of a function of keyword arguments, from each parameter's name to a
            list or a distribution of scipy; or a list of such dictionaries. `batch_size` and
            `epochs` among them are for Keras's `fit`, and reach the function too if it has them.
        n_iter: so many candidates. None tries every one of a grid of lists, else 10.
        max_epochs: of each candidate. None takes the largest of `epochs` among the parameters, and
            else 10; a candidate with fewer `epochs` ends there.
        cv: None for five folds, a number of folds, a splitter, or pairs of train and test rows; as
            of `GridSearchCV`.
        scoring: a name of scikit-learn's, or a scorer; None for accuracy or R².
        refit: whether the best candidate is trained on all examples, for as many epochs as it had;
            or a function that is given `cv_results_` and returns which one is.
        use_best_epoch: score a candidate by the epoch with the best mean, and not by the last.
        searcher: what proposes candidates: grid, random, hyperopt. None takes grid where every one
            is tried, else hyperopt.
        scheduler: what stops poor candidates early: asha, asha-stopping, hyperband, median or none.
            Without, a training is Keras's own `fit`, as in a loop by hand.
        task: classification or regression; None takes real numbers of more than two values for a
            regression, and anything else for classes.
        fit_params: further arguments of Keras's `fit`: batch_size, callbacks, class_weight and
            the like.
        random_state: of the search and of each training.
        max_concurrent: candidates at once, at most.
        cpus_per_trial: CPUs of a candidate.
        gpus_per_trial: GPUs of a candidate; None uses those that there are, 0 keeps to CPUs.
        storage: where the records are kept; None keeps none.
        name: of the run's directory there.
        resume: go on with the run of this name, if there is one.
        verbose: show how it goes.

    Attributes:
        best_estimator_, best_params_, best_score_, best_index_, cv_results_, n_splits_, scorer_,
        classes_, n_features_in_, refit_epochs_: as of `GridSearchCV`; `cv_results_` has `epochs`
        and `stopped` beside. Candidates that were stopped rank below those that were not.
        history_: a frame with a row for each epoch of each candidate.
    """

    def __init__(
        self,
        build: Any = None,
        param_distributions: Any = None,
        *,
        n_iter: int | None = None,
        max_epochs: int | None = None,
        cv: Any = None,
        scoring: Any = None,
        refit: Any = True,
        use_best_epoch: bool = False,
        searcher: str | None = None,
        scheduler: str = "asha",
        task: Task | None = None,
        fit_params: Mapping[str, Any] | None = None,
        random_state: Any = 0,
        max_concurrent: int | None = None,
        cpus_per_trial: float = 1,
        gpus_per_trial: float | Literal["auto"] | None = None,
        storage: str | None = None,
        name: str | None = None,
        resume: bool = False,
        verbose: bool = False,
    ) -> None:
        self.build = build
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.max_epochs = max_epochs
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.use_best_epoch = use_best_epoch
        self.searcher = searcher
        self.scheduler = scheduler
        self.task = task
        self.fit_params = fit_params
        self.random_state = random_state
        self.max_concurrent = max_concurrent
        self.cpus_per_trial = cpus_per_trial
        self.gpus_per_trial = gpus_per_trial
        self.storage = storage
        self.name = name
        self.resume = resume
        self.verbose = verbose

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Search, and train the best candidate on all examples.

        Args:
            X: examples `(n, …)`, numbers: an array, or a frame.
            y: class labels of any kind `(n,)`; or numbers, `(n,)` or `(n, k)`.
            groups: `(n,)`, for a splitter that goes by them.

        Raises:
            EstimatorError: something cannot be right. It is a ValueError, too.
            ProgramError: every candidate failed.
        """
        arrays = checked(self, X, y, self.task)
        task = self._found_task = task_of(arrays[1], self.task)
        examples = Examples.of(*arrays, task)
        splitter = check_cv(self.cv, arrays[1], classifier=task == "classification")
        rows = np.arange(len(arrays[0]))
        parts = [(rows[a], rows[b]) for a, b in splitter.split(*arrays, groups)]
        self.scorer_ = self._scorer(task)
        seed = self._seed()
        found, self.history_ = searched(self, examples, parts, seed)
        self._epochs, self.cv_results_ = [one.epochs for one in found], cv_results(found)
        self.n_splits_ = len(parts)
        self._choose()
        if examples.classes is not None:
            self.classes_ = examples.classes
        if self.refit:
            self._train(X, y, task, seed)
        return self

    @available_if(_refitted("predict"))  # type: ignore[untyped-decorator]
    def predict(self, X: Any) -> Any:
        """The best estimator's classes or values."""
        check_is_fitted(self)
        return self.best_estimator_.predict(X)

    @available_if(_refitted("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """The best estimator's likelihoods `(n, classes)`, in the order of `classes_`."""
        check_is_fitted(self)
        return self.best_estimator_.predict_proba(X)

    @available_if(_refitted("score"))  # type: ignore[untyped-decorator]
    def score(self, X: Any, y: Any) -> float:
        """The score of the best estimator, by `scoring`."""
        check_is_fitted(self)
        return float(self.scorer_(self.best_estimator_, X, y))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "cv_results_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.estimator_type = "classifier" if self._task == "classification" else "regressor"
        if tags.estimator_type == "classifier":
            tags.classifier_tags = ClassifierTags()
        else:
            tags.regressor_tags = RegressorTags()
            tags.target_tags.multi_output = True
        return tags

    @property
    def _task(self) -> Task:
        """What it is for, as far as that is known before it has seen targets."""
        return self.task or getattr(self, "_found_task", None) or "classification"

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _scorer(self, task: Task) -> Any:
        if (
            self.scoring is not None
            and not isinstance(self.scoring, str)
            and not callable(self.scoring)
        ):
            raise EstimatorError(
                "scoring must be the name of one score, a scorer or None; got "
                f"{quoted(self.scoring)}."
            )
        return check_scoring(estimator_class(task)(), scoring=self.scoring)

    def _choose(self) -> None:
        """Take the best candidate, or the one that `refit` says."""
        if callable(self.refit):
            self.best_index_ = self.refit(self.cv_results_)
            if not isinstance(self.best_index_, int | np.integer) or not (
                0 <= self.best_index_ < len(self._epochs)
            ):
                raise EstimatorError(
                    f"refit must return the place of a candidate, from 0 to "
                    f"{len(self._epochs) - 1}; it returned {quoted(self.best_index_)}."
                )
        else:
            self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
            self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.best_params_ = self.cv_results_["params"][self.best_index_]

    def _train(self, X: Any, y: Any, task: Task, seed: int) -> None:
        began = time.perf_counter()
        self.refit_epochs_ = self._epochs[self.best_index_]
        self.best_estimator_ = trained(
            task,
            X,
            y,
            self.build,
            self.best_params_,
            epochs=self.refit_epochs_,
            fitting=self.fit_params,
            random_state=seed,
        )
        self.refit_time_ = time.perf_counter() - began
