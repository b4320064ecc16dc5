"""`Experiment`: everything that one search is asked to do; every setting, its default and its check."""

import hashlib
import inspect
import re
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import yaml
from pydantic import BaseModel, ConfigDict, Field, SkipValidation, ValidationError, field_validator, model_validator

from pipeline.data import Dataset
from pipeline.digest import sha256
from pipeline.errors import RequestError, unknown
from pipeline.fit_data import FitData
from pipeline.objective import Objective

# Named here and not imported: to know the names must cost neither Ray nor hyperopt. Tests compare them.
SEARCHERS = {
    "hyperopt": "Bayesian search: hyperopt's TPE, after a random start",
    "random": "each configuration drawn by itself",
    "grid": "every configuration, continuous ranges at ten points",
}
SCHEDULERS = {
    "asha": "asynchronous successive halving: the best of each rung go on, the others wait",
    "asha-stopping": "Ray's: a trial that is not among the best when it comes to a rung is stopped",
    "hyperband": "synchronous Hyperband: pauses trials and halves whole brackets",
    "pbt": "population based training: the worst take over from the best, and change how they are trained",
    "median": "stops a trial whose best is below the median of the others",
    "none": "every trial runs to its end",
}

Positive = Annotated[int, Field(gt=0)]
UNBOUNDED = 10**6  # trials or epochs: whoever asks for so many means all that there are


class Builder(Protocol):
    """A search space given as an object: a module, or an instance such as a KerasTuner HyperModel."""

    @property
    def build(self) -> Callable[..., Any]:
        """`build(hp, data)` or `build(hp)`."""


class Experiment(BaseModel):
    """What to search for, how, and with what. Immutable; `to_yaml` and `from_yaml` are a round trip."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)

    dataset: Annotated[str | Dataset | FitData | Callable[..., Any], SkipValidation]
    search_space: Annotated[str | Callable[..., Any] | Builder, SkipValidation] = "mlp"
    objective: str | None = None  # None: val_accuracy, or val_loss for regression
    searcher: str = "hyperopt"
    scheduler: str = "asha"
    trials: Positive = 20
    max_epochs: Positive = 10
    executions_per_trial: Positive = 1  # trainings of each configuration, from different seeds, whose mean counts
    time_budget_s: Annotated[float, Field(gt=0)] | None = None
    grace_epochs: Positive = 1  # no trial is stopped before
    reduction_factor: Annotated[float, Field(gt=1)] = 3  # of asha and hyperband: one in so many goes on
    perturbation_interval: Positive = 2  # of pbt: epochs of a generation
    cpus_per_trial: Annotated[float, Field(gt=0)] = 1
    gpus_per_trial: Annotated[float, Field(ge=0)] = 0
    execution: Literal["auto", "plain", "looped", "compiled"] = "auto"  # how a trial's steps are carried out
    max_concurrent: Positive | None = None  # None: what the cluster holds
    max_retries_per_trial: Annotated[int, Field(ge=0)] = 0  # where user code raised
    max_consecutive_failed_trials: Positive = 3  # failed in the same way, then the run ends
    keep_models: Positive = 10  # of so many trials the best weights are kept
    cpus: Positive | None = None  # of a cluster started here; None: all that the machine has
    gpus: Annotated[int, Field(ge=0)] | None = None
    address: str | None = None
    start_from: str | None = None  # a JSON list of configurations to try first, or an earlier run's directory
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    storage: str = "runs"
    name: str | None = None  # of the run's directory; None: dataset, space and time

    @field_validator("dataset")
    @classmethod
    def _possible_dataset(cls, given: Any) -> Any:
        if not isinstance(given, str | Dataset | FitData) and not callable(given):
            came = reprlib.repr(given)
            raise ValueError(f"dataset must be a name, a Dataset or a function that loads one; got {came}.")
        return given

    @field_validator("search_space")
    @classmethod
    def _possible_search_space(cls, given: Any) -> Any:
        if not isinstance(given, str) and not callable(getattr(given, "build", given)):
            came = reprlib.repr(given)
            raise ValueError(
                f"search_space must be a name, a function build(hp, data) or an object with one; got {came}."
            )
        return given

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise RequestError(" ".join(_sentence(fault) for fault in error.errors())) from error

    @field_validator("searcher")
    @classmethod
    def _known_searcher(cls, name: str) -> str:
        if name not in SEARCHERS:
            raise ValueError(unknown("searcher", name, SEARCHERS))
        return name

    @field_validator("scheduler")
    @classmethod
    def _known_scheduler(cls, name: str) -> str:
        if name not in SCHEDULERS:
            raise ValueError(unknown("scheduler", name, SCHEDULERS))
        return name

    @field_validator("objective")
    @classmethod
    def _known_objective(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                Objective.parse(text)
            except RequestError as error:
                raise ValueError(str(error)) from error
        return text

    @field_validator("cpus_per_trial")
    @classmethod
    def _whole_cpus(cls, share: float) -> float:
        if share > 1 and share != int(share):
            raise ValueError(f"cpus_per_trial above 1 must be whole; got {share:g}.")
        return share

    @field_validator("gpus_per_trial")
    @classmethod
    def _possible_share(cls, share: float) -> float:
        if share > 1 and share != int(share):
            raise ValueError(f"gpus_per_trial must be a share of one GPU (0.25, 0.5) or a whole number; got {share:g}.")
        return share

    @field_validator("address")
    @classmethod
    def _joinable(cls, address: str | None) -> str | None:
        if address is None or address == "auto" or re.fullmatch(r"[\w.\-\[\]:]+:\d+", address):
            return address
        if address.startswith(("ray://", "http://", "https://")):
            raise ValueError(
                f"--address must be HOST:PORT of a cluster that this host belongs to; got {address!r}. From "
                "elsewhere: ray job submit --address http://HOST:8265 --working-dir . -- "
                "python -m pipeline.run … --address auto"
            )
        raise ValueError(f"--address must be HOST:PORT or auto; got {address!r}.")

    @field_validator("storage")
    @classmethod
    def _a_folder(cls, path: str) -> str:
        if "://" in path or not path:
            raise ValueError(f"storage must be a folder that every node sees; got {path!r}.")
        return path

    @field_validator("name")
    @classmethod
    def _one_folder(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"\w([\w.\- ]*[\w.\-])?", name):
            raise ValueError(
                f"name must be one folder's name (letters, digits, '.', '_', '-', spaces between); got {name!r}."
            )
        return name

    @model_validator(mode="after")
    def _grace_within_epochs(self) -> "Experiment":
        if self.grace_epochs > self.max_epochs:
            raise ValueError(f"grace_epochs must not exceed max_epochs; got {self.grace_epochs} and {self.max_epochs}.")
        return self

    @classmethod
    def checked(cls, **settings: Any) -> "Experiment":
        """Build one, with all faults in one error.

        Raises:
            RequestError: any setting is unknown or impossible.
        """
        return cls(**settings)

    def changed(self, **settings: Any) -> "Experiment":
        """The same with other settings, checked again."""
        return self.checked(**{name: getattr(self, name) for name in type(self).model_fields} | settings)

    def to_yaml(self) -> str:
        """Plain YAML. Objects are recorded by qualified name and hash, and cannot be read back."""
        plain = {name: getattr(self, name) for name in type(self).model_fields}
        for name in ("dataset", "search_space"):
            if not isinstance(plain[name], str):
                plain[name] = fingerprint(plain[name])
        return yaml.safe_dump(plain, sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str, source: str) -> "Experiment":
        """Read what `to_yaml` wrote, or a person.

        Raises:
            RequestError: it is not YAML, not a mapping, or its settings are wrong; the message names `source`.
        """
        try:
            plain = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RequestError(f"{source} must be YAML; {' '.join(str(error).split())}") from error
        if not isinstance(plain, dict) or not all(isinstance(key, str) for key in plain):
            raise RequestError(f"{source} must hold settings, one a line (dataset: mnist); got {text.strip()[:60]!r}.")
        for name in ("dataset", "search_space"):
            if isinstance(plain.get(name), dict):
                what = plain[name].get("object", "an object")
                raise RequestError(
                    f"The {name.replace('_', ' ')} of {source} was a Python object ({what}) and not a name; "
                    f"resume it from Python: tune(Experiment(…), resume=…)."
                )
        try:
            return cls.checked(**plain)
        except RequestError as error:
            raise RequestError(f"{source}: {error}") from error


def fingerprint(thing: Any) -> dict[str, Any]:
    """Qualified name and SHA-256 of a dataset or a search space: of its arrays, or of its source and its settings."""
    if isinstance(thing, FitData):
        return {"object": thing.name, "sha256": thing.sha256(), "inputs": thing.inputs()}
    if isinstance(thing, Dataset):
        digest = hashlib.sha256()
        for array in (thing.x_train, thing.y_train, thing.x_val, thing.y_val, thing.x_test, thing.y_test):
            digest.update(array.tobytes())
        return {"object": thing.name, "sha256": digest.hexdigest()}
    distinctive = getattr(thing, "distinctive", thing)
    thing = getattr(thing, "original", thing)  # what wraps a model family for us does not name it
    where = thing if hasattr(thing, "__qualname__") or inspect.ismodule(thing) else type(thing)
    name = where.__name__ if inspect.ismodule(where) else f"{where.__module__}.{where.__qualname__}"
    return {"object": name, "sha256": sha256(distinctive)}


def label(thing: str | Any) -> str:
    """A short name for a dataset or a search space, fit for a directory or a table."""
    thing = getattr(thing, "original", thing)
    if isinstance(thing, Dataset | FitData):
        name = thing.name
    elif isinstance(thing, str):
        path = thing.partition(":")[0]
        name = Path(path).stem if path.endswith(".py") else path.rpartition(".")[2]
    else:
        name = getattr(thing, "__name__", type(thing).__name__)
    return re.sub(r"[^\w.-]+", "_", name).strip("_.") or "object"  # a name with a slash, a <lambda>


def _sentence(fault: Any) -> str:
    """One of pydantic's faults in our words."""
    message, came = str(fault["msg"]), fault.get("input")
    where = ".".join(str(part) for part in fault["loc"][:1])
    if fault["type"] == "value_error":
        return message.removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return unknown("setting", where, Experiment.model_fields)
    if fault["type"] == "missing":
        return f"{where} must be given."
    if fault["type"].startswith(("greater_than", "less_than")):
        bound = message.removeprefix("Input should be ")
        return f"{where} must be {bound}; got {came}."
    return f"{where}: {message[0].lower()}{message[1:]}; got {came!r}."
