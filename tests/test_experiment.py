"""Every setting: its default, its check, its trip through YAML."""

import re
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

from pipeline.data.dataset import Dataset
from pipeline.data.files.data_file import DataFile
from pipeline.data.request import DataRequest
from pipeline.digest import fingerprint, label
from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.schedulers import SCHEDULERS
from pipeline.search import SEARCHERS


def build(hp: Any, data: Any) -> None:
    """A search space."""


def other_build(hp: Any, data: Any) -> int:
    return 1


class Model:
    """A search space as KerasTuner's HyperModel is one."""

    def build(self, hp: Any) -> None: ...


def dataset(name: str = "mine", first: float = 0.0) -> Dataset:
    x = np.arange(50, dtype=np.float32)[:, None] + first
    return Dataset.split(name, x, np.arange(50) % 2, 0)


def refusal(**settings: Any) -> str:
    with pytest.raises(RequestError) as refused:
        Experiment(**{"dataset": "mnist"} | settings)
    return str(refused.value)


# Defaults.


def test_the_defaults_are_the_documented_ones() -> None:
    settings = Experiment(dataset="mnist").model_dump()

    assert settings == {
        "dataset": "mnist",
        "search_space": "mlp",
        "objective": None,
        "searcher": "hyperopt",
        "scheduler": "asha",
        "trials": 20,
        "max_epochs": 10,
        "time_budget_s": None,
        "grace_epochs": 1,
        "reduction_factor": 3,
        "cpus_per_trial": 1,
        "gpus_per_trial": None,
        "max_concurrent": None,
        "cpus": None,
        "gpus": None,
        "address": None,
        "seed": 0,
        "storage": "runs",
        "name": None,
        "executions_per_trial": 1,
        "keep_models": 10,
        "start_from": None,
        "max_consecutive_failed_trials": 3,
        "max_retries_per_trial": 0,
        "target": None,
        "drop": (),
        "column": (),
        "task": None,
        "test": None,
        "image_size": None,
        "folds": None,
        "group": None,
        "time": None,
        "class_weight": None,
        "perturbation_interval": 2,
        "backend": None,
        "fit_plan": "auto",
        "epoch_timeout_s": None,
        "track": (),
    }


def test_the_defaults_pass_their_own_checks() -> None:
    plain = Experiment(dataset="mnist").model_dump()

    assert Experiment(**plain) == Experiment(dataset="mnist")


def test_an_experiment_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Experiment(dataset="mnist").trials = 3  # type: ignore[misc]


def test_changed_makes_another_and_checks_it() -> None:
    first = Experiment(dataset="mnist", trials=5)
    second = first.changed(trials=40, seed=1)

    assert (first.trials, second.trials, second.seed, second.dataset) == (5, 40, 1, "mnist")
    with pytest.raises(RequestError, match="trials must be greater than 0; got 0."):
        first.changed(trials=0)
    with pytest.raises(RequestError, match="Unknown setting 'trails'."):
        first.changed(trails=3)


# The registries.


def test_each_name_is_of_a_scheduler_of_its_own() -> None:
    from pipeline.schedulers.scheduler import scheduler_class

    made = {scheduler_class(name) for name in SCHEDULERS}
    assert len(made) == len(SCHEDULERS), "two names of one scheduler"


@pytest.mark.parametrize("name", [*SEARCHERS])
def test_every_searcher_can_be_asked_for(name: str) -> None:
    assert Experiment(dataset="mnist", searcher=name).searcher == name


# Refusals.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"searcher": "gird"},
            "Unknown searcher 'gird'. Known: grid, hyperopt, random. Did you mean 'grid'?",
        ),
        (
            {"scheduler": "ash"},
            "Unknown scheduler 'ash'. Known: asha, asha-stopping, hyperband, median, none, pbt. "
            "Did you mean 'asha'?",
        ),
        ({"searcher": "zzz"}, "Unknown searcher 'zzz'. Known: grid, hyperopt, random."),
        ({"searcher": None}, "searcher: input should be a valid string; got None."),
        ({"trials": 0}, "trials must be greater than 0; got 0."),
        ({"trials": -3}, "trials must be greater than 0; got -3."),
        (
            {"trials": "x"},
            "trials: input should be a valid integer, unable to parse string as an integer; got "
            "'x'.",
        ),
        (
            {"trials": 2.5},
            "trials: input should be a valid integer, got a number with a fractional part; got 2.5.",
        ),
        ({"max_epochs": 0}, "max_epochs must be greater than 0; got 0."),
        ({"time_budget_s": 0}, "time_budget_s must be greater than 0; got 0."),
        (
            {"time_budget_s": float("inf")},
            "time_budget_s: input should be a finite number; got inf.",
        ),
        ({"epoch_timeout_s": 0}, "epoch_timeout_s must be greater than 0; got 0."),
        ({"grace_epochs": 0}, "grace_epochs must be greater than 0; got 0."),
        ({"grace_epochs": 11}, "grace_epochs must not exceed max_epochs; got 11 and 10."),
        (
            {"scheduler": "hyperband", "reduction_factor": 1.9},
            "reduction_factor must be at least 2 for hyperband; got 1.9.",
        ),
        ({"reduction_factor": 1}, "reduction_factor must be greater than or equal to 1.1; got 1."),
        (
            {"reduction_factor": 1.0000001},
            "reduction_factor must be greater than or equal to 1.1; got 1.0000001.",
        ),
        ({"trials": True}, "trials must not be a truth value; got True."),
        ({"cpus_per_trial": False}, "cpus_per_trial must not be a truth value; got False."),
        ({"trials": 10**9 + 1}, "trials must be less than or equal to 1000000000; got 1000000001."),
        ({"seed": 10**5000}, "seed must be less than 4294967296; got an integer of 16610 bits."),
        (
            {"time_budget_s": 1e300},
            "time_budget_s must be less than or equal to 1000000000; got 1e+300.",
        ),
        ({"cpus_per_trial": 1e-5}, "cpus_per_trial must be at least 0.0001, if not 0; got 1e-05."),
        ({"gpus_per_trial": 1e-5}, "gpus_per_trial must be at least 0.0001, if not 0; got 1e-05."),
        ({"storage": "a\0b"}, "storage must be one line of text; got 'a\\x00b'."),
        ({"dataset": "a\nb"}, "dataset must be one line of text; got 'a\\nb'."),
        ({"start_from": "\ud800"}, "start_from must be one line of text; got '\\ud800'."),
        (
            {"name": "x" * 256},
            f"name must be one folder's name, of at most 255 bytes; got '{'x' * 57}...{'x' * 58}'.",
        ),
        ({"cpus_per_trial": 0}, "cpus_per_trial must be greater than 0; got 0."),
        ({"cpus_per_trial": -1}, "cpus_per_trial must be greater than 0; got -1."),
        ({"cpus_per_trial": 1.5}, "cpus_per_trial above 1 must be whole; got 1.5."),
        (
            {"cpus_per_trial": float("inf")},
            "cpus_per_trial: input should be a finite number; got inf.",
        ),
        ({"gpus_per_trial": -0.5}, "gpus_per_trial must be greater than or equal to 0; got -0.5."),
        (
            {"gpus_per_trial": 1.5},
            "gpus_per_trial must be a share of one GPU (0.25, 0.5) or a whole number; got 1.5.",
        ),
        ({"gpus_per_trial": "many"}, "gpus_per_trial must be a number or auto; got 'many'."),
        ({"gpus_per_trial": [1]}, "gpus_per_trial must be a number or auto; got [1]."),
        (
            {"gpus_per_trial": float("nan")},
            "gpus_per_trial: input should be a finite number; got nan.",
        ),
        ({"max_concurrent": 0}, "max_concurrent must be greater than 0; got 0."),
        ({"executions_per_trial": 0}, "executions_per_trial must be greater than 0; got 0."),
        ({"keep_models": 0}, "keep_models must be greater than 0; got 0."),
        ({"perturbation_interval": 0}, "perturbation_interval must be greater than 0; got 0."),
        (
            {"fit_plan": "fast"},
            "fit_plan: input should be 'auto', 'plain', 'looped', 'compiled' or 'fused'; got 'fast'.",
        ),
        ({"cpus": 0}, "cpus must be greater than 0; got 0."),
        ({"gpus": -1}, "gpus must be greater than or equal to 0; got -1."),
        ({"seed": -1}, "seed must be greater than or equal to 0; got -1."),
        ({"seed": 2**32}, "seed must be less than 4294967296; got 4294967296."),
        (
            {"objective": "loss:up"},
            "An objective must be NAME, NAME:min or NAME:max; got 'loss:up'.",
        ),
        (
            {"objective": "val_acc_uracy"},
            "The direction of objective 'val_acc_uracy' is not known; write val_acc_uracy:min or "
            "val_acc_uracy:max. "
            "Did you mean 'val_accuracy'?",
        ),
        ({"address": "somewhere"}, "--address must be HOST:PORT or auto; got 'somewhere'."),
        (
            {"address": "ray://head:10001"},
            "--address must be HOST:PORT of a cluster that this host belongs to; got "
            "'ray://head:10001'. "
            "From elsewhere: ray job submit --address http://HOST:8265 --working-dir . -- "
            "python -m pipeline.run … --address auto",
        ),
        (
            {"address": "http://head:8265"},
            "--address must be HOST:PORT of a cluster that this host belongs to; got "
            "'http://head:8265'. "
            "From elsewhere: ray job submit --address http://HOST:8265 --working-dir . -- "
            "python -m pipeline.run … --address auto",
        ),
        (
            {"name": "a/b"},
            "name must be one folder's name (no '/', not '.' or '..', not .new-run-…, which a run "
            "is called while it is made); got 'a/b'.",
        ),
        (
            {"name": ".."},
            "name must be one folder's name (no '/', not '.' or '..', not .new-run-…, which a run "
            "is called while it is made); got '..'.",
        ),
        (
            {"name": ""},
            "name must be one folder's name (no '/', not '.' or '..', not .new-run-…, which a run "
            "is called while it is made); got ''.",
        ),
        (
            {"name": ".new-run-a"},
            "name must be one folder's name (no '/', not '.' or '..', not .new-run-…, which a run "
            "is called while it is made); got '.new-run-a'.",
        ),
        (
            {"name": "lr=0.01", "storage": "s3://bucket/runs"},
            "name must be of letters, digits, '.', '_', '-', and spaces between, in an object "
            "store; got 'lr=0.01'.",
        ),
        (
            {"dataset": 3},
            "dataset must be a name, a Dataset, a function that loads one or arrays (x, y); got 3.",
        ),
        (
            {"search_space": 3},
            "search_space must be a name, a function build(hp, data) or an object with one; got 3.",
        ),
        (
            {"trails": 3},
            f"Unknown setting 'trails'. Known: {', '.join(sorted(Experiment.model_fields))}. Did "
            "you mean 'trials'?",
        ),
    ],
)
def test_an_impossible_setting_is_refused_in_one_line(
    settings: dict[str, Any], message: str
) -> None:
    assert refusal(**settings) == message


@pytest.mark.parametrize(
    "settings",
    [
        {"gpus_per_trial": 0.25},
        {"gpus_per_trial": 2},
        {"cpus_per_trial": 0.5},
        {"cpus_per_trial": 4},
        {"address": "auto"},
        {"address": "10.0.0.1:6379"},
        {"address": "[::1]:6379"},
        {"address": "head-1.net:6379"},
        {"grace_epochs": 10},
        {"reduction_factor": 2.5},
        {"seed": 2**32 - 1},
        {"name": "2026-01-01_a.b"},
        {"name": "my project"},
        {"objective": "val_auc"},
        {"objective": "mine:max"},
        {"time_budget_s": 0.5},
        {"gpus": 0},
    ],
    ids=str,
)
def test_a_possible_setting_is_taken_as_it_is(settings: dict[str, Any]) -> None:
    experiment = Experiment(dataset="mnist", **settings)

    assert {name: getattr(experiment, name) for name in settings} == settings


def test_a_dataset_must_be_given() -> None:
    with pytest.raises(RequestError, match=r"^dataset must be given\.$"):
        Experiment()


def test_a_value_that_would_never_end_is_shown_in_part() -> None:
    nested: list[Any] = [0] * 10
    for _ in range(9):
        nested = [nested] * 10  # small, and 10**10 items long where it is written out

    assert len(refusal(trials=nested)) < 500
    assert len(refusal(dataset=nested)) < 500


def test_many_unknown_settings_are_told_in_one_sentence() -> None:
    message = refusal(**{f"setting_{number}": 1 for number in range(100)})

    assert message.startswith("Unknown settings 'setting_0', ") and message.count("Known:") == 1
    assert "'setting_11' and 88 more. Known: address, " in message


def test_all_faults_come_in_one_error() -> None:
    message = refusal(
        trials=0, max_epochs=-1, searcher="gird", trails=3, gpus_per_trial=1.5, name="a/b"
    )

    for part in (
        "trials must be greater than 0; got 0.",
        "max_epochs must be greater than 0; got -1.",
        "Unknown searcher 'gird'. Known: grid, hyperopt, random. Did you mean 'grid'?",
        "Unknown setting 'trails'.",
        "gpus_per_trial must be a share of one GPU",
        "name must be one folder's name",
    ):
        assert part in message


# Objects in place of names.


@pytest.mark.parametrize(
    "space", [build, Model(), Model().build, sys.modules[__name__], lambda hp: None]
)
def test_a_search_space_may_be_a_function_or_an_object_with_build(space: Any) -> None:
    assert Experiment(dataset="mnist", search_space=space).search_space is space


@pytest.mark.parametrize("made", [dataset(), dataset])
def test_a_dataset_may_be_an_object_or_a_function(made: Any) -> None:
    assert Experiment(dataset=made).dataset is made


def test_a_function_is_recorded_by_its_qualified_name_and_a_hash_of_its_source() -> None:
    recorded = fingerprint(build)

    assert recorded["object"] == f"{__name__}.build"
    assert re.fullmatch("[0-9a-f]{64}", recorded["sha256"])
    assert fingerprint(build) == recorded
    assert fingerprint(other_build)["sha256"] != recorded["sha256"]


def test_objects_and_modules_are_recorded_by_where_they_are_defined() -> None:
    assert fingerprint(Model())["object"] == f"{__name__}.Model"
    assert fingerprint(Model)["object"] == f"{__name__}.Model"
    assert fingerprint(sys.modules[__name__])["object"] == __name__
    assert fingerprint(Model()) == fingerprint(Model())


def test_a_function_without_source_is_told_from_another_by_its_code() -> None:
    def typed(text: str) -> Any:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(text, names)  # as in an interpreter
        return names["build"]

    one, same, other = (typed(f"def build(hp):\n    return {n}") for n in (1, 1, 2))

    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one)["sha256"] != fingerprint(other)["sha256"]


def test_a_dataset_is_recorded_by_its_arrays() -> None:
    assert fingerprint(dataset()) == fingerprint(dataset())
    assert fingerprint(dataset())["object"] == "mine"
    assert fingerprint(dataset())["sha256"] != fingerprint(dataset(first=1.0))["sha256"]


@pytest.mark.parametrize(
    ("thing", "short"),
    [
        ("mnist", "mnist"),
        ("path/to/my_data.py", "my_data"),
        ("my_data.py:load", "my_data"),
        ("a.b.c", "c"),
        ("a.b.c:load", "c"),
        ("with space.py", "with_space"),
        (build, "build"),
        (Model(), "Model"),
        (lambda hp: None, "lambda"),
        (dataset("a/b"), "a_b"),
        (dataset("../x"), "x"),
        (dataset("…"), "object"),
        ("x" * 300 + ".py", "x" * 100),
    ],
)
def test_a_label_is_short_and_fit_for_a_folder(thing: Any, short: str) -> None:
    assert label(thing) == short


# YAML.


def test_a_setting_is_read_under_the_name_that_it_had_in_earlier_versions() -> None:
    read = Experiment.from_yaml("dataset: mnist\nexecution: looped\n", "experiment.yaml")

    assert read == Experiment(dataset="mnist", fit_plan="looped")
    with pytest.raises(RequestError, match="Unknown setting 'execution'"):
        Experiment(dataset="mnist", execution="looped")


def test_an_experiment_comes_back_from_yaml() -> None:
    experiment = Experiment(
        dataset="customers.csv",
        target="churned",
        drop="a,b",
        column=["age=number", "a=b=date"],
        task="classification",
        test=0.3,
        image_size="48x64",
        folds=5,
        group="customer",
        time="day",
        class_weight="balanced",
        search_space="my.space:tiny",
        objective="mine:max",
        searcher="grid",
        scheduler="median",
        trials=3,
        max_epochs=4,
        time_budget_s=90.5,
        grace_epochs=2,
        reduction_factor=2.5,
        backend="jax",
        cpus_per_trial=0.5,
        gpus_per_trial=0.25,
        max_concurrent=2,
        cpus=4,
        gpus=1,
        address="auto",
        seed=7,
        storage="elsewhere",
        name="mine",
        start_from="good.json",
        epoch_timeout_s=30,
    )
    changed = [
        n
        for n in Experiment.model_fields
        if n != "dataset" and getattr(experiment, n) in (None, "mlp", 20)
    ]

    assert changed == []  # every setting is tried
    assert Experiment.from_yaml(experiment.to_yaml(), "experiment.yaml") == experiment


def test_yaml_holds_every_setting_in_order() -> None:
    assert list(yaml.safe_load(Experiment(dataset="mnist").to_yaml())) == list(
        Experiment.model_fields
    )


def test_yaml_may_hold_only_what_differs() -> None:
    read = Experiment.from_yaml("dataset: mnist\ntrials: 5\n", "mine.yaml")

    assert read == Experiment(dataset="mnist", trials=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset: [", r"mine\.yaml must be YAML; while parsing a flow .* line 1, column 11"),
        (
            "- mnist",
            r"mine\.yaml must hold settings, one a line \(dataset: mnist\); got '- mnist'\.",
        ),
        ("", r"mine\.yaml must hold settings, one a line \(dataset: mnist\); got ''\."),
        ("1: 2", r"mine\.yaml must hold settings, one a line \(dataset: mnist\); got '1: 2'\."),
        ("trials: 3", r"mine\.yaml: dataset must be given\."),
        ("dataset: mnist\ntrials: 0", r"mine\.yaml: trials must be greater than 0; got 0\."),
        ("dataset: mnist\ntrails: 3", r"mine\.yaml: Unknown setting 'trails'\. .*"),
        (
            "dataset: 2026-13-45",
            r"mine\.yaml must be YAML; a value cannot be read: month must be in 1\.\.12$",
        ),
        (
            "[" * 3000,
            r"mine\.yaml must be YAML; a value cannot be read: maximum recursion depth exceeded",
        ),
        (
            "a: &a {x: 1}\nb: {<<: [*a, *a]}",
            r"mine\.yaml must be YAML; could not .* 'tag:yaml.org,2002:merge'",
        ),
        (
            "#" * 300000,
            r"mine\.yaml must hold settings, one a line \(dataset: mnist\); it has 300,000 "
            r"characters\.",
        ),
        (
            "dataset: !!python/object:os.system {}",
            r"mine\.yaml must be YAML; could not determine a constructor .*",
        ),
    ],
)
def test_what_is_no_experiment_is_refused_by_its_file(text: str, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        Experiment.from_yaml(text, "mine.yaml")

    assert re.match(message, str(refused.value))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"dataset": dataset()}, "The dataset of mine.yaml was a Python object (mine)"),
        (
            {"dataset": "mnist", "search_space": build},
            f"The search space of mine.yaml was a Python object ({__name__}.build)",
        ),
    ],
)
def test_an_object_is_recorded_but_cannot_be_read_back(settings: dict[str, Any], what: str) -> None:
    text = Experiment(**settings).to_yaml()

    with pytest.raises(RequestError) as refused:
        Experiment.from_yaml(text, "mine.yaml")

    assert str(refused.value) == (
        f"{what} and not a name; resume it from Python: tune(Experiment(…), resume=…)."
    )


def test_arrays_are_a_dataset_that_records_call_so() -> None:
    x, y = np.arange(50.0)[:, None], np.arange(50) % 2
    experiment = Experiment(dataset=(x, y), seed=3)
    recorded = yaml.safe_load(experiment.to_yaml())["dataset"]

    assert recorded == fingerprint(experiment.dataset) and recorded["object"] == "arrays"
    assert experiment.changed(trials=3).dataset is experiment.dataset
    assert refusal(dataset=(x, y[1:])).startswith("Dataset 'arrays': x and y must be of one length")
    assert refusal(dataset=(x, y, y)) == (
        "dataset must be a name, a Dataset, a function that loads one, (x, y) or "
        "((x_train, y_train), (x_test, y_test)); got a tuple of 3 (ndarray, ndarray, ndarray)."
    )
    must = "dataset must be a name, a Dataset, a function that loads one or arrays (x, y); got "
    assert refusal(dataset=[x, y]) == (
        f"{must}a list of 2 (ndarray, ndarray). Give a tuple: (x, y)."
    )
    assert refusal(dataset=x) == f"{must}a ndarray."
    assert refusal(dataset=keras.utils.PyDataset()) == (
        f"{must}a PyDataset. In its place: tuner.search(train, validation_data=val) of "
        "pipeline.keras_tuner."
    )


# Data in files.


def test_what_is_asked_of_data_in_files_is_told_to_what_reads_them() -> None:
    asked = Experiment(
        dataset="customers.csv", target="y", drop="a,b", column="a=b=date", test="0.3", group="g"
    )

    assert asked.resolved_dataset() == DataFile(
        "customers.csv",
        DataRequest(target="y", drop=("a", "b"), kinds={"a=b": "date"}, test=0.3, group="g"),
    )
    assert asked.changed(test="held_out.csv").data_request().test == "held_out.csv"
    assert Experiment(dataset="photos/", image_size="48x64").data_request().image_size == (48, 64)
    assert Experiment(dataset="photos/", image_size="32").data_request().image_size == (32, 32)


def test_a_dataset_of_ours_is_no_file_of_the_same_name(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)

    assert not Experiment(dataset="mnist").has_data_file
    assert (
        Experiment(dataset="pictures").has_data_file
        and Experiment(dataset="./mnist/").has_data_file
    )


@pytest.mark.parametrize("field", ["target", "drop", "task", "test", "image_size", "group", "time"])
def test_what_is_asked_of_files_is_refused_of_other_data(field: str) -> None:
    given = {"task": "regression", "image_size": "32"}.get(field, "a")

    assert f"{field} is for data in files (customers.csv, photos/, data.npz)" in refusal(
        **{field: given}
    )


def test_kinds_and_sizes_that_cannot_be_are_refused() -> None:
    assert "column must be NAME=KIND, with one of the kinds number, yes/no, category, date" in (
        refusal(dataset="a.csv", column="age=ordinal")
    )
    assert "got 'age'." in refusal(dataset="a.csv", column="age")
    assert "image_size must be a number of pixels, HEIGHTxWIDTH (64, 48x64)" in (
        refusal(dataset="photos/", image_size="0x3")
    )
    assert "drop must be names of columns; got 3." in refusal(dataset="a.csv", drop=3)
    assert "folds must be greater than or equal to 2; got 1." in refusal(folds=1)
