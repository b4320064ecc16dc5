"""One trial: build the model, fit it, report each epoch, keep the best, go on from where it was.

`train` knows nothing of where it runs; it talks to the `Session` that it is handed.
"""

import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from pipeline.data.fit_data import Data, FitData
from pipeline.errors import RequestError, StorageError
from pipeline.space.hyperparameters import HyperParameters, filling
from pipeline.space.specs import Hyperparameter, Value
from pipeline.worker.backends.known import current
from pipeline.worker.devices.parallel import on_devices
from pipeline.worker.faults import Failure, classify
from pipeline.worker.fitting.class_weights import class_weights
from pipeline.worker.fitting.fit import planned_fit
from pipeline.worker.fused.company import Company
from pipeline.worker.present import any_trains, taking_part
from pipeline.worker.scoring.at_epochs import add_scores
from pipeline.worker.session import Job, SearchSpace, Session
from pipeline.worker.training.checkpoints import Checkpoints, State
from pipeline.worker.training.progress import TrialProgress


@dataclass(frozen=True)
class Ending:
    """How `train` ended by itself: `failure` is None where `fit` came to its end."""

    failure: Failure | None = None


def train(
    job: Job,
    space: SearchSpace,
    data: Data,
    session: Session,
    *,
    company: Company | None = None,
    unwrapped: bool = False,
) -> Ending:
    """Carry out one training to its end.

    Args:
        job: the trial.
        space: the model family.
        data: the train and validation splits are used, those of the job's fold where it has folds;
            the test split is not looked at.
        session: is told every epoch.
        company: others that it may be carried out together with.
        unwrapped: let an exception of user code through, for debugging.

    Returns:
        How it ended.

    Raises:
        Stopped: the session ended it.
        StorageError: its checkpoints cannot be read.
    """
    try:
        if not any_trains():  # it forgets what other threads have of Keras too
            keras.utils.clear_session(free_memory=True)
        seed = training_seed(job)
        current().set_random_seed(seed)
        with taking_part(job), on_devices(job.devices) as building:
            return _train(job, space, data.fold(job.fold), session, seed, building, company)
    except StorageError:  # nobody's fault: it is tried again, in another worker
        raise
    except Exception as error:
        if unwrapped:
            raise
        return Ending(classify(error))


def _train(
    job: Job,
    space: SearchSpace,
    data: Data,
    session: Session,
    seed: int,
    building: Callable[[], AbstractContextManager[Any]],
    company: Company | None,
) -> Ending:
    hp = hyperparameters(job)
    with building():
        model = build(space, hp, data)
        checkpoints = Checkpoints(job.directory, keep_spare=job.keep_spare)
        progress = TrialProgress(
            job, hp, checkpoints, session, given=None if space.fit is None else model
        )
        add_scores(progress, job.objective, data)
        progress.warning = checkpoints.mend()
        state = checkpoints.last_state()
        if state is not None and _can_go_on(state, job, space):
            whole = checkpoints.restore(
                with_weights(model, data, state.build), progress.configuration
            )
            progress.restore(whole or state)
    if not progress.ended and progress.epoch < job.max_epochs:
        fit = space.fit or plain_fit
        arguments, named = data.fit_arguments()
        named |= class_weights(job.class_weight, data)
        if isinstance(data, FitData) and data.alike:
            progress.alike = arguments[0]
        with planned_fit(
            model,
            seed,
            progress,
            job.fit_plan,
            building,
            validation_data=named.get("validation_data"),
            seeded=seed,
            company=company,
            initial_epoch=progress.epoch,
            verbose=0,
        ):
            returned = fit(
                hp,
                model,
                *arguments,
                **named,
                callbacks=[progress],
                initial_epoch=progress.epoch,
                epochs=job.max_epochs,
                verbose=0,
            )
        progress.returned(model, returned)
    if progress.saved_epoch < progress.epoch:
        progress.save()
    return Ending()


def _can_go_on(state: State, job: Job, space: SearchSpace) -> bool:
    """Whether a trial can go on from this state, or only its `fit` knows how: then it begins anew.

    So it is where `fit` trains in a loop of its own, or in several calls; and where all epochs were
    trained, but what it returns was not reported yet. Weights that may have been another trial's
    are not come to again, so these stay.
    """
    if state.calls != 1:
        return False
    trained = state.ended or state.epoch >= job.max_epochs
    return space.fit is None or not trained or state.returned or job.keep_spare


def training_seed(job: Job) -> int:
    """The seed of a training's Keras: of weights, data order and dropout."""
    words = [job.seed, zlib.crc32(job.trial.encode())] + [job.repeat] * (job.repeat > 0)
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def hyperparameters(job: Job) -> HyperParameters:
    """The `hp` of a trial: the proposal, and draws of its own for what nobody has met yet.

    Alike in each repeat.
    """
    seed = training_seed(replace(job, repeat=0))

    def draw(spec: Hyperparameter) -> Value:
        return spec.random(np.random.default_rng([seed, zlib.crc32(spec.name.encode())]))

    return HyperParameters(job.configuration, filling(job.fill, draw))


def build(space: SearchSpace, hp: HyperParameters, data: Data) -> Any:
    """Build a model, compiled unless the search space trains it in a `fit` of its own.

    Raises:
        RequestError: what `build` returns is no such Keras model.
    """
    model = space.build(hp, data)
    where = f"`build` of search space {space.name!r}"
    if not isinstance(model, keras.Model):
        raise RequestError(
            f"{where} must return a keras.Model; it returned {type(model).__name__}."
        )
    if not model.compiled and space.fit is None:
        raise RequestError(f"{where} must return a compiled model; call model.compile(…) in it.")
    return model


def plain_fit(hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
    """The `fit` of a search space that has none."""
    return model.fit(*args, **kwargs)


def with_weights(model: Any, data: Data, shapes: dict[str, Any] | None = None) -> Any:
    """The model with its weights: a subclassed one has none before it was called.

    `shapes` are those that it was built with before, which a `fit` of one's own may have made of
    the data's.
    """
    if not model.built and shapes:
        model.build_from_config(shapes)
    if not model.built and _is_whole(model):
        model.built = True  # what Keras asks for before it saves or counts them
    if model.built and has_own(model, "build") and not _parts_are_built(model):
        with suppress(Exception):  # it may be trained on other inputs than `fit`'s
            model(data.first_inputs())
    if not model.built:
        try:
            model(data.first_inputs())
        except Exception as error:
            if not has_own(model, "train_step"):
                raise
            raise RequestError(
                "A model with a train_step of its own must have its weights before it is trained: "
                "begin each of its parts with a keras.Input, or give it a call that takes the "
                f"inputs; {type(model).__name__}'s call raised {type(error).__name__}."
            ) from error
    return model


def has_own(model: Any, method: str) -> bool:
    """Whether a method of the model is the user's own."""
    return not getattr(type(model), method).__module__.startswith("keras.")


def _is_whole(model: Any) -> bool:
    """Whether a model that trains in its own way has all weights, though it was never called.

    Its `call`, if it has one, need not take the training inputs: a generator's takes noise.
    """
    own = has_own(model, "train_step") and not has_own(model, "build")
    return own and _parts_are_built(model)


def _parts_are_built(model: Any) -> bool:
    """Whether each layer has its weights, and there are layers.

    A `build` of one's own may make layers, which only their first call builds.
    """
    parts = list(model._flatten_layers(include_self=False))
    return bool(parts) and all(layer.built for layer in parts)
