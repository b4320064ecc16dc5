"""`Experiment`: everything that one search is asked to do.

Every setting, its default and its check.
"""

import hashlib
import inspect
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, cast

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SkipValidation,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.data.dataset import Dataset
from pipeline.data.fit_data import FitData
from pipeline.digest import sha256
from pipeline.errors import LONGEST, RequestError, all_unknown, one_line, quoted
from pipeline.names import Component, find
from pipeline.objective import Objective
from pipeline.records.remote import check_address

# of anything that is counted or timed: far beyond it clocks and Ray's counters overflow
MOST = 10**9
Positive = Annotated[int, Field(gt=0, le=MOST)]
NotNegative = Annotated[int, Field(ge=0, le=MOST)]
Seconds = Annotated[float, Field(gt=0, le=MOST)]
LEAST_SHARE = 0.0001  # of a CPU or GPU: finer Ray does not count
LARGEST_FILE = 2**18  # characters; an experiment has some 1000
UNBOUNDED = 10**6  # trials or epochs: whoever asks for so many means all that there are


class Builder(Protocol):
    """A search space given as an object.

    A module, or an instance such as a KerasTuner HyperModel.
    """

    @property
    def build(self) -> Callable[..., Any]:
        """`build(hp, data)` or `build(hp)`."""


class Experiment(BaseModel):
    """What to search for, how, and with what.

    Immutable; `to_yaml` and `from_yaml` are a round trip.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # it may hold a secret
    )

    dataset: Annotated[str | Dataset | FitData | Callable[..., Any], SkipValidation]
    search_space: Annotated[str | Callable[..., Any] | Builder, SkipValidation] = "mlp"
    objective: str | None = None  # None: val_accuracy, or val_loss for regression
    searcher: str = "hyperopt"
    scheduler: str = "asha"
    trials: Positive = 20
    max_epochs: Positive = 10
    # trainings of each configuration, from different seeds, whose mean counts
    executions_per_trial: Positive = 1
    time_budget_s: Seconds | None = None
    epoch_timeout_s: Seconds | None = None  # silent for longer, a trial hangs; None: learnt
    grace_epochs: Positive = 1  # no trial is stopped before
    # of asha and hyperband: one in so many goes on
    reduction_factor: Annotated[float, Field(ge=1.1, le=MOST)] = 3
    perturbation_interval: Positive = 2  # of pbt: epochs of a generation
    cpus_per_trial: Annotated[float, Field(gt=0, le=MOST)] = 1
    # auto: a share that memory allows
    gpus_per_trial: Annotated[float, Field(ge=0, le=MOST)] | Literal["auto"] = 0.0
    # how a trial's steps are carried out
    fit_plan: Literal["auto", "plain", "looped", "compiled"] = "auto"
    max_concurrent: Positive | None = None  # None: what the cluster holds
    max_retries_per_trial: NotNegative = 0  # where user code raised
    max_consecutive_failed_trials: Positive = 3  # failed in the same way, then the run ends
    keep_models: Positive = 10  # of so many trials the best weights are kept
    cpus: Positive | None = None  # of a cluster started here; None: all that the machine has
    gpus: NotNegative | None = None
    address: str | None = None
    # a JSON list of configurations to try first, or an earlier run's directory
    start_from: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    storage: str = "runs"
    name: str | None = None  # of the run's directory; None: dataset, space and time
    track: tuple[str, ...] = ()  # trackers that are told how it goes

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, bool):  # else True counts as 1
            raise ValueError(f"{info.field_name} must not be a truth value; got {given}.")
        return given

    @field_validator("*")
    @classmethod
    def _one_line(cls, given: Any, info: ValidationInfo) -> Any:
        # What cannot be written down, or called so in a file system.
        if isinstance(given, str) and any(
            unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in given
        ):
            raise ValueError(f"{info.field_name} must be one line of text; got {quoted(given)}.")
        return given

    @field_validator("dataset")
    @classmethod
    def _possible_dataset(cls, given: Any) -> Any:
        if not isinstance(given, str | Dataset | FitData) and not callable(given):
            raise ValueError(
                "dataset must be a name, a Dataset or a function that loads one; got "
                f"{quoted(given)}."
            )
        return given

    @field_validator("search_space")
    @classmethod
    def _possible_search_space(cls, given: Any) -> Any:
        if not isinstance(given, str) and not callable(getattr(given, "build", given)):
            raise ValueError(
                "search_space must be a name, a function build(hp, data) or an object with one; "
                f"got {quoted(given)}."
            )
        return given

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise RequestError(" ".join(_sentences(error.errors()))) from error

    @field_validator("searcher", "scheduler")
    @classmethod
    def _known_component(cls, name: str, info: ValidationInfo) -> str:
        try:
            find(cast(Component, info.field_name), name)
        except RequestError as error:
            raise ValueError(str(error)) from error
        return name

    @field_validator("track", mode="before")
    @classmethod
    def _separate_trackers(cls, given: Any) -> Any:
        if isinstance(given, str):  # as on the command line: a,b
            return tuple(name for name in given.split(",") if name)
        if not isinstance(given, list | tuple) or not all(isinstance(n, str) for n in given):
            raise ValueError(f"track must be names of trackers; got {quoted(given)}.")
        return tuple(given)

    @field_validator("track")
    @classmethod
    def _known_trackers(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"track must name each tracker once; got {quoted(name)} twice.")
            try:
                find("tracker", name)
            except RequestError as error:
                raise ValueError(str(error)) from error
        return names

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

    @field_validator("cpus_per_trial", "gpus_per_trial")
    @classmethod
    def _countable_share(cls, share: Any, info: ValidationInfo) -> float:
        if share != "auto" and 0 < share < LEAST_SHARE:
            raise ValueError(
                f"{info.field_name} must be at least {LEAST_SHARE:g}, if not 0; got {share:g}."
            )
        return share

    @field_validator("gpus_per_trial")
    @classmethod
    def _possible_share(cls, share: Any) -> Any:
        if share != "auto" and share > 1 and share != int(share):
            raise ValueError(
                "gpus_per_trial must be a share of one GPU (0.25, 0.5) or a whole number; got "
                f"{share:g}."
            )
        return share

    @field_validator("address")
    @classmethod
    def _joinable(cls, address: str | None) -> str | None:
        if address is None or address == "auto" or re.fullmatch(r"[\w.\-\[\]:]+:\d+", address):
            return address
        if address.startswith(("ray://", "http://", "https://")):
            raise ValueError(
                "--address must be HOST:PORT of a cluster that this host belongs to; got "
                f"{quoted(address)}. From "
                "elsewhere: ray job submit --address http://HOST:8265 --working-dir . -- "
                "python -m pipeline.run … --address auto"
            )
        raise ValueError(f"--address must be HOST:PORT or auto; got {quoted(address)}.")

    @field_validator("start_from")
    @classmethod
    def _readable(cls, path: str | None) -> str | None:
        if path is not None and "://" in path:  # not quoted: it may hold a secret
            raise ValueError(
                "--start-from must be a JSON file or the directory of a run on a file system; what "
                "is in an object "
                "store must be copied first."
            )
        return path

    @field_validator("storage")
    @classmethod
    def _a_folder(cls, path: str) -> str:
        if not path:
            raise ValueError(f"storage must be a folder that every node sees; got {quoted(path)}.")
        if "://" in path:
            try:
                check_address(path, "storage")
            except RequestError as error:
                raise ValueError(str(error)) from error
        return path

    @field_validator("name")
    @classmethod
    def _one_folder(cls, name: str | None) -> str | None:
        if name is None:
            return name
        if not re.fullmatch(r"\w([\w.\- ]*[\w.\-])?", name):
            raise ValueError(
                "name must be one folder's name (letters, digits, '.', '_', '-', spaces between); "
                f"got {quoted(name)}."
            )
        if len(name.encode()) > 255:  # more is too long on Linux
            raise ValueError(
                f"name must be one folder's name, of at most 255 bytes; got {quoted(name)}."
            )
        return name

    @model_validator(mode="after")
    def _grace_within_epochs(self) -> "Experiment":
        if self.grace_epochs > self.max_epochs:
            raise ValueError(
                f"grace_epochs must not exceed max_epochs; got {self.grace_epochs} and "
                f"{self.max_epochs}."
            )
        return self

    @model_validator(mode="after")
    def _brackets_that_grow(self) -> "Experiment":
        # Ray cuts rungs to whole epochs: by less than 2, one epoch grows to one, where its
        # HyperBand waits for ever.
        if self.scheduler == "hyperband" and self.reduction_factor < 2:
            raise ValueError(
                f"reduction_factor must be at least 2 for hyperband; got {self.reduction_factor:g}."
            )
        return self

    @property
    def gpu_share(self) -> float:
        """GPUs of a trial as a number: until it is known how many share one, a whole one."""
        return 1.0 if self.gpus_per_trial == "auto" else self.gpus_per_trial

    @model_validator(mode="after")
    def _population_on_a_file_system(self) -> "Experiment":
        # Its trials go on with one another's checkpoints: none may be ahead of the records when
        # they are brought back.
        if self.scheduler == "pbt" and "://" in self.storage:
            raise ValueError(
                f"scheduler pbt must have its storage on a file system; got {quoted(self.storage)}."
            )
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
        return self.checked(
            **{name: getattr(self, name) for name in type(self).model_fields} | settings
        )

    def to_yaml(self) -> str:
        """Plain YAML. Objects are recorded by qualified name and hash, and cannot be read back."""
        plain = {name: getattr(self, name) for name in type(self).model_fields}
        for name in ("dataset", "search_space"):
            if not isinstance(plain[name], str):
                plain[name] = fingerprint(plain[name])
        plain["track"] = list(self.track)
        return yaml.safe_dump(plain, sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str, source: str) -> "Experiment":
        """Read what `to_yaml` wrote, or a person.

        Raises:
            RequestError: it is not YAML, not a mapping, or its settings are wrong; the message
                names `source`.
        """
        plain = settings_in(text, source)
        for name in ("dataset", "search_space"):
            if isinstance(plain.get(name), dict):
                what = plain[name].get("object")
                what = one_line(what, LONGEST) if isinstance(what, str) else "an object"
                raise RequestError(
                    f"The {name.replace('_', ' ')} of {source} was a Python object ({what}) and "
                    "not a name; "
                    f"resume it from Python: tune(Experiment(…), resume=…)."
                )
        try:
            return cls.checked(**plain)
        except RequestError as error:
            raise RequestError(f"{source}: {error}") from error


def settings_in(text: str, source: str) -> dict[str, Any]:
    """What a file of settings holds, not checked any further.

    Raises:
        RequestError: it is not YAML, or not a mapping; the message names `source`.
    """
    if len(text) > LARGEST_FILE:
        raise RequestError(
            f"{source} must hold settings, one a line (dataset: mnist); it has {len(text):,} "
            "characters."
        )
    try:
        plain = yaml.load(text, _Loader)
    # PyYAML lets out what Python raises of a date that cannot be, of deep nesting
    except Exception as error:
        what = "" if isinstance(error, yaml.YAMLError) else "a value cannot be read: "
        raise RequestError(f"{source} must be YAML; {what}{one_line(str(error))}") from error
    if not isinstance(plain, dict) or not all(isinstance(key, str) for key in plain):
        raise RequestError(
            f"{source} must hold settings, one a line (dataset: mnist); got {text.strip()[:60]!r}."
        )
    return plain


def seconds_in(name: str, text: str) -> float:
    """How long a duration is: 90s, 10m, 1h30m.

    Raises:
        RequestError: it is none; the message begins with `name`.
    """
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise RequestError(f"{name} must be a duration like 90s, 10m or 1h30m; got {quoted(text)}.")
    return float(sum(float(number) * units[unit] for number, unit in parts))


def fingerprint(thing: Any) -> dict[str, Any]:
    """Qualified name and SHA-256 of a dataset or a search space.

    Of its arrays, or of its source and its settings.
    """
    if isinstance(thing, FitData):
        return {"object": thing.name, "sha256": thing.sha256(), "inputs": thing.inputs()}
    if isinstance(thing, Dataset):
        digest = hashlib.sha256()
        for array in (
            thing.x_train,
            thing.y_train,
            thing.x_val,
            thing.y_val,
            thing.x_test,
            thing.y_test,
        ):
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
    plain = re.sub(r"[^\w.-]+", "_", name).strip("_.")  # a name with a slash, a <lambda>
    # two and the time are one folder's name
    return plain.encode()[:100].decode(errors="ignore") or "object"


class _Loader(yaml.SafeLoader):
    """YAML without merging (`<<`).

    A few lines that merge each other ask for more memory than there is.
    """

    def flatten_mapping(self, node: Any) -> None:
        """Leave the key: no value can be made of it."""


def _sentences(faults: Sequence[Any]) -> list[str]:
    """Pydantic's faults in our words."""
    surplus = [str(fault["loc"][0]) for fault in faults if fault["type"] == "extra_forbidden"]
    # Of what may be a number or "auto" it is enough to say what is wrong with the number.
    told = [
        f for f in faults if f["type"] != "extra_forbidden" and f["loc"][1:] != ("literal['auto']",)
    ]
    lines = [_sentence(fault) for fault in told]
    return [*lines, all_unknown("setting", surplus, Experiment.model_fields)] if surplus else lines


def _sentence(fault: Any) -> str:
    message, came = str(fault["msg"]), fault.get("input")
    where = ".".join(str(part) for part in fault["loc"][:1])
    if fault["type"] == "value_error":
        return message.removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{where} must be given."
    if where == "gpus_per_trial" and fault["type"] in ("float_parsing", "float_type"):
        return f"gpus_per_trial must be a number or auto; got {quoted(came)}."
    if fault["type"].startswith(("greater_than", "less_than")):
        bound = message.removeprefix("Input should be ")
        return f"{where} must be {bound}; got {quoted(came)}."
    return f"{where}: {message[0].lower()}{message[1:]}; got {quoted(came)}."
