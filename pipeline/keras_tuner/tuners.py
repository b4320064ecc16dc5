"""KerasTuner's tuners: its arguments, our search.

`RandomSearch`, `GridSearch` and `BayesianOptimization` train every trial to its end, as there;
`scheduler="asha"` lets them stop poor ones early. `Hyperband` pauses and goes on with a trial where
KerasTuner starts it anew.

One idea: the long file is KerasTuner's own list of arguments, said for each tuner.
"""

import inspect
import shutil
from collections import Counter
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.data.fit_data import FitData
from pipeline.errors import RequestError, unknown
from pipeline.experiment import UNBOUNDED, Experiment
from pipeline.keras_tuner.arguments import (
    NOT_HONOURED,
    OPENED_LATER,
    as_hyperparameters,
    as_objective,
    not_offered,
    of_search,
    refuse,
    refuse_hooks,
    warn_of_left_behind,
    warn_of_process,
    warn_of_whole_trials,
)
from pipeline.keras_tuner.hypermodel import (
    FunctionModel,
    HyperModelSpace,
    own_fit,
    portable,
    restored,
)
from pipeline.keras_tuner.oracle import Oracle, Trial, print_trial
from pipeline.keras_tuner.oracles import Rungs, SearchOracle, check_oracle
from pipeline.keras_tuner.projects import is_of_kerastuner, set_aside
from pipeline.keras_tuner.run_trial import HOOKS, RunTrialSpace, TrialRunner
from pipeline.objective import MultiObjective
from pipeline.records.entries.reports import Report, read_history
from pipeline.records.entries.trials import COUNTED, TrialRecord, read_trials
from pipeline.records.layout import Layout
from pipeline.records.outputs.summary import BestEpoch, ranking
from pipeline.records.settings import read_settings
from pipeline.space.hyperparameters import HyperParameters, Requested
from pipeline.space.specs import Fixed, Hyperparameter, Value
from pipeline.watch import Watcher
from pipeline.worker.devices import cuda


class Tuner(TrialRunner):
    """What all tuners share.

    Args:
        hypermodel: `build_model(hp)`, or a HyperModel.
        objective: a metric's name, or an `Objective`. None minimises the number that the
            hypermodel's `fit` returns.
        seed: of the search and each trial; None draws one, which the run's `experiment.yaml` holds.
        hyperparameters: hyperparameters that win over those of the same name in the model.
        tune_new_entries: whether hyperparameters that are not among them are tuned, else they stay
            at their defaults.
        allow_new_entries: whether the model may ask for such.
        max_retries_per_trial: so often a trial whose code raised is tried again, from its last
            checkpoint. Whose worker dies goes on in any case.
        max_consecutive_failed_trials: so many trials in a row that fail in the same way end the
            search.
        oracle: what to search by, in place of this class's way; its arguments win.
        executions_per_trial: trainings from different seeds; their mean is the trial's objective.
        max_model_size: a model with more weights is a failed trial.
        optimizer: compiled into each model in place of its own.
        loss: likewise.
        metrics: likewise.
        directory: where the project is kept.
        project_name: its folder there. A project that exists is gone on with.
        overwrite: remove a project that exists.
        keep_models: so many trials' best weights are kept for `get_best_models`.
        scheduler: what stops poor trials early: asha, asha-stopping, hyperband, median, pbt or
            none.
        cpus_per_trial: CPUs, and so threads, of a trial.
        gpus_per_trial: GPUs of a trial; 0.25 puts four on one, "auto" as many as are fastest, 0
            keeps to CPUs; None is auto where there is a GPU.
        max_concurrent: trials at once, at most.
        address: HOST:PORT of a Ray cluster, or "auto".

    Raises:
        RequestError: an argument cannot be honoured; one line says which and why.
    """

    searcher: str = "random"
    default_scheduler: str = "none"
    _rungs: Rungs | None = None

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        oracle: SearchOracle | None = None,
        executions_per_trial: int = 1,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
        keep_models: int = 10,
        scheduler: str | None = None,
        cpus_per_trial: float = 1,
        gpus_per_trial: float | Literal["auto"] | None = None,
        max_concurrent: int | None = None,
        address: str | None = None,
        **others: Any,
    ) -> None:
        refuse(
            others,
            (
                n
                for n in inspect.signature(Tuner.__init__).parameters
                if n not in ("self", "others")
            ),
        )
        refuse_hooks(type(self))
        if isinstance(hypermodel, SearchOracle):  # KerasTuner's Tuner takes it first
            oracle, hypermodel, objective = hypermodel, objective, None
        if oracle is not None:
            check_oracle(oracle)
            self.searcher, self.default_scheduler = oracle.searcher, oracle.scheduler
            self._rungs = oracle.rungs
            objective, max_trials, seed = oracle.objective, oracle.max_trials, oracle.seed
            hyperparameters = oracle.hyperparameters
            tune_new_entries, allow_new_entries = oracle.tune_new_entries, oracle.allow_new_entries
            max_retries_per_trial = oracle.max_retries_per_trial
            max_consecutive_failed_trials = oracle.max_consecutive_failed_trials
        own = [
            name
            for name in ("run_trial", *HOOKS)
            if getattr(type(self), name) is not getattr(Tuner, name)
        ]
        self._runs_trials = bool(own)
        if hasattr(hypermodel, "trainable_weights"):
            raise RequestError(
                "hypermodel must be build_model(hp) or a HyperModel; got a model, "
                f"{type(hypermodel).__name__}. Write a function that builds it, and asks hp."
            )
        if not callable(getattr(hypermodel, "build", hypermodel)) and (
            hypermodel is not None or not self._runs_trials
        ):
            raise RequestError(
                f"hypermodel must be build_model(hp) or a HyperModel; got {hypermodel!r}."
            )
        whole = hypermodel is None or hasattr(hypermodel, "build")
        self.hypermodel = hypermodel if whole else FunctionModel(hypermodel)
        self.objective = as_objective(objective)
        given = as_hyperparameters(hyperparameters)
        self._executions = executions_per_trial
        self._given = {
            "max_model_size": max_model_size,
            "optimizer": portable(optimizer),
            "loss": portable(loss),
            "metrics": portable(metrics),
        } | dict.fromkeys(NOT_HONOURED)
        self._space = (
            partial(RunTrialSpace, tuner=self, executions=executions_per_trial)
            if self._runs_trials
            else HyperModelSpace
        )(
            self.hypermodel,
            given=list(given.space),
            values=dict(given.values),
            tune_new=tune_new_entries,
            allow_new=allow_new_entries,
            max_model_size=max_model_size,
            compiling={
                name: self._given[name]
                for name in ("optimizer", "loss", "metrics")
                if self._given[name] is not None
            },
            summed=self.objective if isinstance(self.objective, MultiObjective) else None,
        )
        self._data: FitData | None = None
        if "://" in str(directory):
            raise RequestError(
                "directory must be on a file system: a tuner reads its trials' weights there. What "
                "keeps runs in an "
                "object store is python -m pipeline.run … --storage s3://BUCKET/PREFIX."
            )
        self._directory, self._project_name = directory or ".", project_name or "untitled_project"
        self._layout = Layout(Path(self._directory).expanduser() / self._project_name)
        self._check_folder(overwrite)
        self._settings: dict[str, Any] = {
            "objective": str(self.objective),
            "searcher": self.searcher,
            "trials": UNBOUNDED if max_trials is None else max_trials,
            "scheduler": scheduler or self.default_scheduler,
            "executions_per_trial": executions_per_trial,
            "max_retries_per_trial": max_retries_per_trial,
            "max_consecutive_failed_trials": max_consecutive_failed_trials,
            "keep_models": keep_models,
            "seed": self._seed(seed),
            "cpus_per_trial": cpus_per_trial,
            "gpus_per_trial": gpus_per_trial,
            "max_concurrent": max_concurrent,
            "address": address,
            "storage": str(self._layout.root.parent),
            "name": self._layout.root.name,
        }
        if self._runs_trials:
            warn_of_whole_trials(self._settings["scheduler"], own[0])
            # `run_trial` is called once, and trains as often as it likes
            self._settings |= {"scheduler": "none", "executions_per_trial": 1}
        # All that can be known to be wrong is said here, and not after the data was prepared.
        Experiment(dataset="", search_space=self._space, **self._settings)

    @property
    def project_dir(self) -> str:
        """The run's directory."""
        return str(self._layout.root)

    @property
    def directory(self) -> str | Path:
        """Where the project is kept, as it was given."""
        return self._directory

    @property
    def project_name(self) -> str:
        """Its folder there."""
        return self._project_name

    @property
    def executions_per_trial(self) -> int:
        """Trainings from different seeds, whose mean is a trial's objective."""
        return self._executions

    @property
    def oracle(self) -> Any:
        """What the search has found out so far, to be looked at; within a trial, its own."""
        if self.running is not None:
            return self.running.oracle
        trials = int((self._settings | self._length(None))["trials"])
        most = None if trials >= UNBOUNDED else trials
        return Oracle(self.objective, most, self._records, self._met_hp, self._beside)

    def reload(self) -> None:
        """Nothing is to be done: what is asked for is read from the project's folder.

        Raises:
            RequestError: there is no such project.
        """
        self._check_searched()

    def save(self) -> None:
        """Nothing is to be done: what a search finds out is recorded as it goes."""

    def __getattr__(self, name: str) -> Any:
        """What the tuner was given, unless a class of the user's own has set it."""
        given = vars(self).get("_given", {})
        if name in given:
            return restored(given[name])
        if name.startswith("_"):
            raise AttributeError(name)
        offered = [each for each in (*dir(type(self)), *given) if not each.startswith("_")]
        raise AttributeError(unknown("part of a tuner here", name, offered))

    def _records(self) -> tuple[dict[str, TrialRecord], list[Report]]:
        if not self._layout.experiment.is_file():
            return {}, []
        # the reports first: of a search that goes on, each is then of a trial that is known
        reports = read_history(self._layout)
        return read_trials(self._layout), reports

    def _met_hp(self) -> HyperParameters:
        """What the default model asks for, and trials have asked for."""
        met = {spec.identity: spec for spec in self._met()}
        if self._space.tune_new:
            asked = (spec for record in self._records()[0].values() for spec, _ in record.asked)
            met |= {spec.identity: spec for spec in asked if spec.identity not in met}
        return HyperParameters.holding([(spec, spec.default) for spec in met.values()])

    def _beside(self, trials: Sequence[str], trial: str, epochs: int) -> dict[str, Value]:
        """What a trial's values hold in KerasTuner beside what it requested: Hyperband's rungs.

        Args:
            trials: the ids of all, in order.
            trial: one of them.
            epochs: that it was trained for.
        """
        if self._rungs is None:
            return {}
        if self._runs_trials:  # each is trained to its end
            return self._rungs.whole()
        return self._rungs.reached(trials.index(trial), epochs)

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Search.

        The arguments are those of Keras's `fit`, and what the hypermodel's `fit` takes beyond them.

        Arrays travel to each node once, a `tf.data.Dataset` as its graph; one that calls Python
        code is read once. In place of a generator give a function without arguments that makes it.

        Raises:
            RequestError: an argument cannot be honoured, or the model cannot be built or trained on
                the data.
            ProgramError: trial after trial failed in the same way.
        """
        from pipeline.engine.cluster.shipping import check_sendable
        from pipeline.engine.tuning import tune

        experiment, verbose = self._experiment(*of_search(self._receiver(), fit_args, fit_kwargs))
        for callback in self._space.callbacks:
            check_sendable("callback", callback, OPENED_LATER)
            warn_of_left_behind(callback)
        for name, value in self._space.fitting.items():
            check_sendable(f"argument {name} of search", value)
        if isinstance(self._space, RunTrialSpace):
            for name, value in self._space.own.items():
                check_sendable(f"tuner's attribute {name}", value)
        past = self._layout.root if self._layout.experiment.is_file() else None
        if past is not None:
            self._check_same(experiment)
        elif self._layout.root.is_dir():
            self._layout.root.rmdir()  # made beforehand; it is empty
        self.on_search_begin()
        tune(experiment, resume=past, quiet=not verbose, watchers=self._watchers())
        self.on_search_end()

    def on_search_begin(self) -> None:
        """Called before the first trial."""

    def on_search_end(self) -> None:
        """Called after the last trial."""

    def on_trial_end(self, trial: Trial) -> None:
        """Called in the script's own process once a trial is over.

        What it raises is told and ends nothing.
        """

    def _watchers(self) -> list[Watcher]:
        own = type(self).on_trial_end is not Tuner.on_trial_end
        return [_TellingOfEnds(self)] if own else []

    @property
    def remaining_trials(self) -> int | None:
        """How many trials are left to be tried; None where all configurations will be."""
        trials = int((self._settings | self._length(None))["trials"])
        if trials >= UNBOUNDED:
            return None
        done = read_trials(self._layout).values() if self._layout.experiment.is_file() else ()
        return max(0, trials - sum(record.status in COUNTED for record in done))

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
        """The best trials' hyperparameters, the best first: what each requested, and no other.

        Where a trial's values changed on the way, those in force at its best epoch.
        """
        best = self._best(num_trials)
        trials, reports = self._records()
        others = [pair for record in trials.values() for pair in record.asked]
        epochs = Counter(report.trial for report in reports)
        return [
            HyperParameters.holding(
                _requested(found, [*record.asked, *others]),
                self._beside(list(trials), found.trial, epochs[found.trial]),
            )
            for found, record in best
        ]

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """The best trials' models with the weights of their best epochs, the best first.

        Imports Keras.

        Raises:
            RequestError: the weights of so many trials were not kept.
        """
        best = self._best(num_models)
        kept = self._settings["keep_models"]
        if len(best) > kept and type(self).load_model is Tuner.load_model:
            raise RequestError(
                f"get_best_models can return {kept} models, as many as keep_models; got "
                f"{num_models}."
            )
        trials = self.oracle.trials
        return [self.load_model(trials[found.trial]) for found, _ in best]

    def load_model(self, trial: Trial) -> Any:
        """A trial's model with the weights of its best epoch.

        A tuner whose `run_trial` keeps models in its own way may read them here in its own way.

        Raises:
            RequestError: its weights were not kept, or it has none.
        """
        from pipeline.worker.session import Job
        from pipeline.worker.spaces.loading import load_search_space
        from pipeline.worker.training.checkpoints import Checkpoints
        from pipeline.worker.training.evaluate import trained
        from pipeline.worker.training.repeats import directories

        found = next((best for best, _ in self._best() if best.trial == trial.trial_id), None)
        if found is None:
            raise RequestError(f"{trial.trial_id} has no model: it has no score.")
        self._check_same_build()
        job = Job(
            found.trial,
            found.hyperparameters,
            0,
            found.epoch,
            self.objective,
            self._layout.trial(found.trial),
            "default",
            self._settings["executions_per_trial"],
        )
        if not any(Checkpoints(directory).best_state() for directory in directories(job)):
            raise RequestError(
                f"The weights of trial {found.trial} were not kept; a search with a larger "
                "keep_models keeps them."
            )
        model, state = trained(job, load_search_space(self._space), self._known_data())
        if state.no_model:
            raise RequestError(f"{found.trial} has no model: {state.no_model}.")
        return model

    def search_space_summary(self, extended: bool = False) -> None:
        """Print what may be tuned, as far as the default model shows it and trials have asked.

        `extended` changes nothing, as in KerasTuner.
        """
        met = self._met_hp().space
        print("Search space summary")
        print(f"Default search space size: {len(met)}")
        for spec in met:
            config = spec.get_config()
            if "default" in config:
                config["default"] = spec.default
            print(f"{config.pop('name')} ({type(spec).__name__})\n{config}")

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials: what each requested, and its score."""
        best = self._best(num_trials)
        print("Results summary")
        print(f"Results in {self.project_dir}")
        print(f"Showing {len(best)} best trials")
        print(f'Objective(name="{self.objective.name}", direction="{self.objective.direction}")')
        for (found, _), hp in zip(best, self.get_best_hyperparameters(num_trials), strict=True):
            print()
            print_trial(found.trial, hp.values, found.objective)

    # How a search is made of this.

    def _met(self) -> list[Hyperparameter]:
        """What may be tuned: what was given, and what the default model asks for beside that."""
        given = {spec.identity: spec for spec in self._space.given}
        met = self._met_by_default() if self._space.tune_new else []
        return list((given | {s.identity: s for s in met if s.identity not in given}).values())

    def _met_by_default(self) -> list[Hyperparameter]:
        data = self._known_data()
        gpus = self._settings["gpus_per_trial"]
        # Keras is the caller's already
        if gpus == 0 or (gpus is None and not cuda.has_driver()):
            from pipeline.worker.spaces import reveal
            from pipeline.worker.spaces.loading import load_search_space

            return reveal.met(load_search_space(self._space), data)
        # Built here, a model would take the GPU from the trials for as long as this process lives.
        from pipeline.engine.tuning import met_by_default

        return met_by_default(Experiment(dataset=data, search_space=self._space, **self._settings))

    def _known_data(self) -> FitData:
        """The data of `search`.

        Of a project that was searched by another process, what its inputs were like.
        """
        if self._data is not None:
            return self._data
        inputs = None
        if self._layout.experiment.is_file():
            inputs = read_settings(self._layout)["dataset"].get("inputs")
        return FitData.like(self._layout.root.name, inputs)

    def _check_searched(self) -> None:
        if not self._layout.experiment.is_file():
            raise RequestError(
                f"There must be results to read; {self.project_dir} has none. Call search first."
            )

    def _best(self, count: int | None = None) -> list[tuple[BestEpoch, TrialRecord]]:
        self._check_searched()
        trials, reports = self._records()
        return [
            (best, trials[best.trial]) for best in ranking(trials, reports, self.objective)[:count]
        ]

    def _seed(self, seed: int | None) -> int:
        if seed is None and self._layout.experiment.is_file():  # gone on with
            seed = int(read_settings(self._layout)["seed"])
        return int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed

    def _check_folder(self, overwrite: bool) -> None:
        """Remove the project where it is to be overwritten, and nothing else that is there."""
        root = self._layout.root
        if self._layout.experiment.is_file():
            if overwrite:
                shutil.rmtree(root)
        elif is_of_kerastuner(root):
            if not overwrite:
                raise RequestError(
                    f"{root} is a project that KerasTuner itself made, and cannot be gone on with "
                    "here. overwrite=True sets it aside; another project_name leaves it alone."
                )
            set_aside(root)
        elif root.exists() and not (root.is_dir() and not any(root.iterdir())):
            raise RequestError(
                f"directory and project_name must name a tuner's project, or nothing yet; {root} "
                "is something else."
            )

    def _check_same(self, experiment: Experiment) -> None:
        from pipeline.engine.same_search import check_same_search

        try:
            check_same_search(experiment, self._layout, read_settings(self._layout))
        except RequestError as error:
            raise RequestError(
                f"{error} To start anew: overwrite=True, or another project_name."
            ) from None

    def _check_same_build(self) -> None:
        recorded = read_settings(self._layout).get("search_space", {}).get("build")
        if recorded not in (None, self._space.original_sha256):
            raise RequestError(
                f"get_best_models needs the hypermodel that was searched with; {self.project_dir} "
                "has another. To start anew: overwrite=True, or another project_name."
            )

    def _experiment(
        self, given: dict[str, Any], by_name: tuple[str, ...]
    ) -> tuple[Experiment, Any]:
        receiver = self._receiver()
        if given.get("x") is None and receiver is None:
            raise RequestError("search must be given x, as Keras's fit is; it got none.")
        names = ["x", "y", "sample_weight", "validation_split", "validation_data"]
        if receiver is not None:
            names.remove("validation_split")  # it may look at x before it is cut
        data = {name: given.pop(name) for name in names if given.get(name) is not None}
        callbacks = given.pop("callbacks", None) or []
        epochs, verbose = given.pop("epochs", None), given.pop("verbose", "auto")
        self._data = FitData.of(self._layout.root.name, **data, as_given=receiver is not None)
        space = self._space
        space.callbacks = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
        space.fitting = given
        settings = self._settings | self._length(epochs)
        space.by_name = by_name
        space.passed = tuple(
            name
            for name, told in (
                ("epochs", settings["max_epochs"] != UNBOUNDED),
                ("verbose", verbose != "auto"),
            )
            if told
        )
        return Experiment(dataset=self._data, search_space=space, **settings), verbose

    def _length(self, epochs: int | None) -> dict[str, Any]:
        """How many epochs a trial has, and how many trials there are."""
        if self._rungs is not None:
            return self._rungs.settings()
        if epochs is None:
            return {"max_epochs": 1 if self._receiver() is None else UNBOUNDED}
        return {"max_epochs": epochs}

    def _receiver(self) -> list[inspect.Parameter] | None:
        """Parameters of the user's own code that takes what `search` is given; None for Keras's."""
        if self._runs_trials:
            return list(inspect.signature(self.run_trial).parameters.values())[1:]
        if own_fit(self.hypermodel):
            return list(inspect.signature(self.hypermodel.fit).parameters.values())[2:]
        return None


class _TellingOfEnds(Watcher):
    """Tells a tuner of the end of each trial."""

    def __init__(self, tuner: Tuner) -> None:
        self._tuner = tuner

    def ended(self, record: TrialRecord) -> None:
        """A trial is over."""
        if record.status in COUNTED:
            self._tuner.on_trial_end(self._tuner.oracle.get_trial(record.trial))


def _requested(found: BestEpoch, known: Requested) -> Requested:
    """The values in force at a trial's best epoch, each with the first `known` one that it fits."""
    values = found.hyperparameters
    requested = []
    for name, value in values.items():
        fitting = (
            spec
            for spec, _ in known
            if spec.name == name
            and all(values.get(parent) in allowed for parent, allowed in spec.conditions)
        )
        requested.append((next(fitting, Fixed(name=name, constant=value)), value))
    return requested


def __getattr__(name: str) -> Any:
    if name == "SklearnTuner":  # which is made of what is here
        return import_module("pipeline.keras_tuner.sklearn_tuner").SklearnTuner
    not_offered(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class RandomSearch(Tuner):
    """Each trial drawn by itself, none twice; the first is the defaults."""

    searcher = "random"


class GridSearch(Tuner):
    """Every configuration, once; continuous ranges at ten points.

    `max_trials` None tries them all.
    """

    searcher = "grid"

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(hypermodel, objective, max_trials, *args, **kwargs)


class BayesianOptimization(Tuner):
    """hyperopt's TPE, where KerasTuner has a Gaussian process.

    `num_initial_points`, `alpha`, `beta` are that one's: they are warned of, and change nothing.
    """

    searcher = "hyperopt"

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        warn_of_process(num_initial_points, alpha, beta)
        super().__init__(hypermodel, objective, max_trials, *args, **kwargs)


class Hyperband(Tuner):
    """Hyperband, its brackets filled with random configurations.

    How many trials there are follows from its arguments.

    Args:
        hypermodel: see `Tuner`.
        objective: see `Tuner`.
        max_epochs: of the trials that come through to the last rung.
        factor: one trial in so many goes on at each rung.
        hyperband_iterations: how often all brackets are gone through.
        args: the rest of `Tuner`'s, from `seed` on.
        kwargs: likewise.
    """

    default_scheduler = "hyperband"

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_epochs: int = 100,
        factor: float = 3,
        hyperband_iterations: int = 1,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("max_trials") is not None:
            raise RequestError(
                "Hyperband has no max_trials: how many trials there are follows from max_epochs, "
                f"factor and hyperband_iterations; got max_trials={kwargs['max_trials']!r}."
            )
        self._rungs = Rungs(max_epochs, factor, hyperband_iterations)
        super().__init__(hypermodel, objective, 1, *args, **kwargs)
