"""`Experiment`: everything that one search is asked to do.

Every setting with its description, its default and its check, and the round trip through YAML. It
is one idea, and long because there are many settings: each has some ten lines here, and none
anywhere else.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

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

from pipeline.data.batches import TO_SEARCH, named
from pipeline.data.dataset import Dataset, kind_of
from pipeline.data.files.data_file import DataFile, is_data_file
from pipeline.data.fit_data import FitData
from pipeline.data.given import Arrays
from pipeline.data.request import KINDS, DataRequest, image_size_of
from pipeline.digest import fingerprint
from pipeline.errors import LONGEST, RequestError, UserCodeError, all_unknown, one_line, quoted
from pipeline.names import Component, find, registered, resolve
from pipeline.objective import Objective
from pipeline.records.layout import UNFINISHED, is_folder_name
from pipeline.records.store.remote import check_address
from pipeline.schedulers.scheduler import scheduler_class
from pipeline.settings_text import settings_in

# of anything that is counted or timed: far beyond it clocks and Ray's counters overflow
LARGEST = 10**9
Positive = Annotated[int, Field(gt=0, le=LARGEST)]
NotNegative = Annotated[int, Field(ge=0, le=LARGEST)]
Seconds = Annotated[float, Field(gt=0, le=LARGEST)]
LEAST_SHARE = 0.0001  # of a CPU or GPU: finer Ray does not count
UNBOUNDED = 10**6  # trials or epochs: whoever asks for so many means all that there are

# What a setting names.
COMPONENTS: dict[str, Component] = {
    "dataset": "dataset",
    "search_space": "search space",
    "searcher": "searcher",
    "scheduler": "scheduler",
    "track": "tracker",
}


# What is asked of data in files alone.
OF_FILES = ("target", "drop", "column", "task", "test", "image_size", "group", "time")


def _left_open(means: str, description: str) -> Any:
    """A setting that is None unless it is given; `means` says what holds then."""
    return Field(default=None, description=description, json_schema_extra={"unset": means})


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

    dataset: Annotated[str | Dataset | FitData | Callable[..., Any], SkipValidation] = Field(
        description="A dataset's name, a table (CSV, TSV, Parquet, Feather), a folder of pictures, "
        "an .npz or .npy file, a .py file, a module, an experiment.yaml or a sweep.yaml."
    )
    search_space: Annotated[Any, SkipValidation] = Field(
        default="mlp",
        description="A search space's name, a .py file, a module, module:function; cnn for "
        "pictures in files.",
    )
    objective: str | None = _left_open(
        "val_accuracy or val_loss", "Metric to optimise: NAME, or NAME:min or NAME:max."
    )
    searcher: str = Field(
        default="hyperopt",
        description="Proposes configurations: a name, module:Class or file.py:Class.",
    )
    scheduler: str = Field(
        default="asha",
        description="Decides which trials go on: a name, module:Class or file.py:Class.",
    )
    trials: Positive = Field(default=20, description="Configurations to try.")
    max_epochs: Positive = Field(default=10, description="Epochs of a trial, at most.")
    executions_per_trial: Positive = Field(
        default=1,
        description="Trainings of each configuration, from different seeds, whose mean counts.",
    )
    time_budget_s: Seconds | None = _left_open(
        "no limit", "End the search after so long: 90s, 10m, 8h."
    )
    epoch_timeout_s: Seconds | None = _left_open(
        "20 times the longest epoch so far, at least 5m; 6h before the first",
        "A trial without a report for so long hangs: it is ended and tried once more.",
    )
    grace_epochs: Positive = Field(
        default=1, description="asha, asha-stopping and median: stop no trial before this epoch."
    )
    reduction_factor: Annotated[float, Field(ge=1.1, le=LARGEST)] = Field(
        default=3,
        description="asha, asha-stopping and hyperband: one trial in so many goes on.",
    )
    perturbation_interval: Positive = Field(default=2, description="pbt: epochs of a generation.")
    cpus_per_trial: Annotated[float, Field(gt=0, le=LARGEST)] = Field(
        default=1, description="CPUs of a trial."
    )
    gpus_per_trial: Annotated[float, Field(ge=0, le=LARGEST)] | Literal["auto"] | None = _left_open(
        "auto where the cluster has a GPU, else 0",
        "GPUs of a trial: a share like 0.25 packs several on one, auto as many as are fastest; 0 "
        "keeps to CPUs.",
    )
    backend: str | None = _left_open(
        "what the environment says, as Keras reads it",
        "Keras's backend. auto takes one that carries out trainings together, where that pays.",
    )
    fit_plan: Literal["auto", "plain", "looped", "compiled", "fused"] = Field(
        default="auto",
        description="How a trial's steps are carried out: auto, plain, looped, compiled or fused.",
    )
    max_concurrent: Positive | None = _left_open("what fits", "Trials at once, at most.")
    max_retries_per_trial: NotNegative = Field(
        default=0, description="Further tries of a trial whose user code raised."
    )
    max_consecutive_failed_trials: Positive = Field(
        default=3,
        description="Trials in a row that fail in the same way, after which the search ends.",
    )
    keep_models: Positive = Field(default=10, description="Trials whose best weights are kept.")
    cpus: Positive | None = _left_open("all", "CPUs to use of this machine.")
    gpus: NotNegative | None = _left_open("all", "GPUs to use of this machine.")
    address: str | None = _left_open(
        "this machine alone", "HOST:PORT of a running Ray cluster, or auto."
    )
    start_from: str | None = _left_open(
        "nothing",
        "First try the configurations of a JSON list, or the best of an earlier run's directory.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        default=0, description="Of the search, the splits and each trial."
    )
    storage: str = Field(
        default="runs", description="Folder of the run directories; or s3://… or gs://…."
    )
    name: str | None = _left_open("dataset, space and time", "Name of the run's directory.")
    track: tuple[str, ...] = Field(
        default=(),
        description="Trackers that are told how it goes: a name, module:Class or file.py:Class; "
        "several by commas.",
    )
    target: str | None = _left_open(
        "none", "Data in files: the column, or array, that is to be predicted."
    )
    drop: tuple[str, ...] = Field(
        default=(), description="Tables: columns that are left out; several by commas."
    )
    column: tuple[str, ...] = Field(
        default=(),
        description="Tables: what a column is, NAME=KIND (number, yes/no, category, date, text, "
        "identifier); several by commas.",
    )
    task: Literal["classification", "regression"] | None = _left_open(
        "what the target says", "Data in files: classification or regression."
    )
    test: str | None = _left_open(
        "0.2", "Data in files: a file of test examples, or the fraction that is kept for the test."
    )
    image_size: str | None = _left_open(
        "the median", "Pictures: height and width that all are resized to, 64 or 48x64."
    )
    folds: Annotated[int, Field(ge=2, le=LARGEST)] | None = _left_open(
        "one validation split",
        "Trainings of each trial, each validated on another part of the data; their mean counts.",
    )
    group: str | None = _left_open(
        "none", "Tables: examples of one value of this column stay in one fold, and in one split."
    )
    time: str | None = _left_open(
        "none", "Tables: what is validated or tested is later, by this column, than what trained."
    )
    class_weight: Literal["balanced"] | None = _left_open(
        "each example counts alike", "balanced: each class counts alike in training."
    )

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
        if isinstance(given, tuple):
            try:
                return Arrays(given)
            except RequestError as error:
                raise ValueError(str(error)) from error
        if not isinstance(given, str | Dataset | FitData) and not callable(given):
            got = quoted(given) if isinstance(given, int | float) else kind_of(given)
            instead = f" {TO_SEARCH}." if named(given) else ""
            if isinstance(given, list) and len(given) == 2:
                instead = " Give a tuple: (x, y)."
            raise ValueError(
                "dataset must be a name, a Dataset, a function that loads one or arrays (x, y); "
                f"got {got}.{instead}"
            )
        return given

    @model_validator(mode="before")
    @classmethod
    def _fitting_search_space(cls, settings: Any) -> Any:
        """Where none is given, the one for such data."""
        if "search_space" in settings:
            return settings
        return settings | {"search_space": fitting_search_space(settings)}

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
        """Check the settings; what is wrong with any of them comes in one error.

        Raises:
            RequestError: a setting is unknown or impossible.
        """
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise RequestError(" ".join(_sentences(error.errors()))) from error

    @field_validator("searcher", "scheduler")
    @classmethod
    def _known_component(cls, name: str, info: ValidationInfo) -> str:
        try:
            find(COMPONENTS[str(info.field_name)], name)
        except RequestError as error:
            raise ValueError(str(error)) from error
        return name

    @field_validator("column")
    @classmethod
    def _known_kinds(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for part in given:
            name, _, kind = part.rpartition("=")
            if not name or kind not in KINDS:
                raise ValueError(
                    f"column must be NAME=KIND, with one of the kinds {', '.join(KINDS)}; got "
                    f"{quoted(part)}."
                )
        return given

    @field_validator("test", mode="before")
    @classmethod
    def _test_split(cls, given: Any) -> Any:
        return str(given) if isinstance(given, int | float) else given

    @field_validator("image_size")
    @classmethod
    def _possible_size(cls, given: str | None) -> str | None:
        try:
            image_size_of(given)
        except RequestError as error:
            raise ValueError(str(error)) from error
        return given

    @field_validator("track", "drop", "column", mode="before")
    @classmethod
    def _separate_names(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, str):  # as on the command line: a,b
            return tuple(name for name in given.split(",") if name)
        if not isinstance(given, list | tuple) or not all(isinstance(n, str) for n in given):
            of = "trackers" if info.field_name == "track" else "columns"
            raise ValueError(f"{info.field_name} must be names of {of}; got {quoted(given)}.")
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
    def _countable_share(cls, share: Any, info: ValidationInfo) -> Any:
        if share not in ("auto", None) and 0 < share < LEAST_SHARE:
            raise ValueError(
                f"{info.field_name} must be at least {LEAST_SHARE:g}, if not 0; got {share:g}."
            )
        return share

    @field_validator("gpus_per_trial")
    @classmethod
    def _possible_share(cls, share: Any) -> Any:
        if share not in ("auto", None) and share > 1 and share != int(share):
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
        if not is_folder_name(name):
            raise ValueError(
                f"name must be one folder's name (no '/', not '.' or '..', not {UNFINISHED}…, "
                f"which a run is called while it is made); got {quoted(name)}."
            )
        if len(name.encode()) > 255:  # more is too long on Linux
            raise ValueError(
                f"name must be one folder's name, of at most 255 bytes; got {quoted(name)}."
            )
        return name

    @model_validator(mode="after")
    def _name_for_an_object_store(self) -> "Experiment":
        remote = "://" in self.storage and self.name is not None
        if remote and not re.fullmatch(r"\w([\w.\- ]*[\w.\-])?", self.name or ""):
            raise ValueError(
                "name must be of letters, digits, '.', '_', '-', and spaces between, in an object "
                f"store; got {quoted(self.name)}."
            )
        return self

    @model_validator(mode="after")
    def _grace_within_epochs(self) -> "Experiment":
        if self.grace_epochs > self.max_epochs:
            raise ValueError(
                f"grace_epochs must not exceed max_epochs; got {self.grace_epochs} and "
                f"{self.max_epochs}."
            )
        return self

    @model_validator(mode="after")
    def _possible_for_the_scheduler(self) -> "Experiment":
        try:
            scheduler_class(self.scheduler).check(self)
        except UserCodeError:  # with the user's traceback
            raise
        except RequestError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _settings_of_files(self) -> "Experiment":
        fields = type(self).model_fields
        given = [n for n in OF_FILES if getattr(self, n) != fields[n].default]
        if given and not self.has_data_file:
            raise ValueError(
                f"{given[0]} is for data in files (customers.csv, photos/, data.npz); from Python, "
                "pipeline.table and pipeline.images take it."
            )
        return self

    @property
    def has_data_file(self) -> bool:
        """Whether the dataset is named by a file of data, or by a folder."""
        return isinstance(self.dataset, str) and _is_file_of_data(self.dataset)

    def resolved_dataset(self) -> Any:
        """Where the dataset is defined, or what makes it, or itself.

        Raises:
            RequestError: nothing is called so.
        """
        if isinstance(self.dataset, DataFile):
            return replace(self.dataset, storage=self.storage)
        if not self.has_data_file:
            return resolve("dataset", self.dataset)
        return DataFile(str(self.dataset), self.data_request(), self.storage)

    def data_request(self) -> DataRequest:
        """What is asked of data in files."""
        return DataRequest(
            target=self.target,
            drop=self.drop,
            kinds={n: kind for n, _, kind in (part.rpartition("=") for part in self.column)},
            task=self.task,
            test=self.test if self.test is None else _fraction(self.test),
            image_size=image_size_of(self.image_size),
            group=self.group,
            time=self.time,
        )

    @property
    def gpu_share(self) -> float:
        """GPUs of a trial as a number.

        A whole one until it is known how many share one, none until it is known whether there is
        one to be used.
        """
        return 1.0 if self.gpus_per_trial == "auto" else self.gpus_per_trial or 0.0

    @property
    def repeats(self) -> int:
        """Trainings of each trial."""
        return self.executions_per_trial * (self.folds or 1)

    @property
    def at_once(self) -> int:
        """Trials that may run at once, were there a place for all."""
        return min(self.trials, self.max_concurrent or self.trials)

    @property
    def epochs_in_all(self) -> int:
        """Epochs of all trainings of all trials, at most."""
        return self.trials * self.repeats * self.max_epochs

    def changed(self, **settings: Any) -> "Experiment":
        """The same with other settings, checked again."""
        return type(self)(
            **{name: getattr(self, name) for name in type(self).model_fields} | settings
        )

    def to_yaml(self) -> str:
        """Plain YAML. Objects are recorded by qualified name and hash, and cannot be read back."""
        plain = {name: getattr(self, name) for name in type(self).model_fields}
        for name in ("dataset", "search_space"):
            if not isinstance(plain[name], str):
                plain[name] = fingerprint(plain[name])
        for name in ("track", "drop", "column"):
            plain[name] = list(plain[name])
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
            return cls(**plain)
        except RequestError as error:
            raise RequestError(f"{source}: {error}") from error


def fitting_search_space(settings: Mapping[str, Any]) -> str:
    """The search space of an experiment with such settings, not yet checked, that names none."""
    dataset, drop = settings.get("dataset"), settings.get("drop", ())
    if isinstance(dataset, str) and _is_file_of_data(dataset):
        drop = drop.split(",") if isinstance(drop, str) else drop
        left_out = tuple(drop) if isinstance(drop, list | tuple) else ()
        dataset = DataFile(dataset, DataRequest(target=settings.get("target"), drop=left_out))
    if isinstance(dataset, DataFile):
        return dataset.search_space
    return str(Experiment.model_fields["search_space"].default)


def _is_file_of_data(name: str) -> bool:
    """Whether a dataset's name means data in files, and is not one of ours."""
    return is_data_file(name) and name not in registered("dataset")


def _fraction(text: str) -> str | float:
    """A number, where it is one; else the name of a file."""
    try:
        return float(text)
    except ValueError:
        return text


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
