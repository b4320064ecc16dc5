"""A sweep file: its experiments, and what is refused of it."""

import os

import pytest

from pipeline.errors import RequestError
from pipeline.sweeps.request import read_sweep


def read(text, source="nightly.yaml", **given):
    return read_sweep(text, source, given)


def test_a_matrix_is_every_combination_under_the_defaults():
    sweep = read(
        "defaults: {trials: 40}\n"
        "matrix:\n  dataset: [mnist, digits]\n  search_space: [mlp, cnn]\n  objective: "
        "[val_accuracy, 'val_loss:min']\n"
    )
    assert list(sweep.experiments) == [
        "mnist-mlp-val_accuracy",
        "mnist-mlp-val_loss_min",
        "mnist-cnn-val_accuracy",
        "mnist-cnn-val_loss_min",
        "digits-mlp-val_accuracy",
        "digits-mlp-val_loss_min",
        "digits-cnn-val_accuracy",
        "digits-cnn-val_loss_min",
    ]
    last = sweep.experiments["digits-cnn-val_loss_min"]
    assert (last.dataset, last.search_space, last.objective, last.trials) == (
        "digits",
        "cnn",
        "val_loss:min",
        40,
    )


def test_experiments_are_listed_beside_a_matrix_and_may_have_a_name():
    sweep = read(
        "defaults: {dataset: digits, trials: 5}\n"
        "matrix: {seed: [0, 1], searcher: random}\n"
        "experiments:\n- {objective: val_loss, trials: 7}\n- {name: large, max_epochs: 30}\n"
    )
    assert list(sweep.experiments) == [
        "digits-mlp-seed-0-random",
        "digits-mlp-seed-1-random",
        "digits-mlp",
        "large",
    ]
    assert (
        sweep.experiments["digits-mlp"].trials == 7 and sweep.experiments["large"].max_epochs == 30
    )


def test_the_sweep_has_a_name_a_folder_and_a_budget_of_its_own(tmp_path):
    text = f"storage: {tmp_path}\ntime_budget: 1h30m\nparallel: 2\nmatrix: {{dataset: [digits, mnist]}}\n"
    sweep = read(text)
    assert (
        sweep.directory == tmp_path / "nightly"
        and sweep.time_budget_s == 5400
        and sweep.parallel == 2
    )
    sweep = read(f"name: mine\n{text}", name="yours", time_budget_s=60.0, trials=3)
    assert sweep.name == "yours" and sweep.time_budget_s == 60
    assert [experiment.trials for experiment in sweep.experiments.values()] == [3, 3]
    assert [experiment.time_budget_s for experiment in sweep.experiments.values()] == [None, None]


def test_experiments_side_by_side_divide_a_machine_and_share_a_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    text = "parallel: 2\nmatrix: {dataset: [digits, mnist, diabetes]}\n"
    half = max(1, len(os.sched_getaffinity(0)) // 2)
    assert [each.cpus for each in read(text).experiments.values()] == [half] * 3
    assert [each.gpus_per_trial for each in read(text).experiments.values()] == [0] * 3
    alone = read("matrix: {dataset: [digits, mnist]}").experiments.values()
    assert [each.gpus_per_trial for each in alone] == [None] * 2, "its GPUs are not divided"
    assert [each.cpus for each in read(f"{text}defaults: {{cpus: 1}}").experiments.values()] == [
        1
    ] * 3
    assert [
        each.cpus for each in read(f"{text}defaults: {{address: auto}}").experiments.values()
    ] == [None] * 3
    assert read("parallel: 9\nexperiments: [{dataset: digits}]").parallel == 1
    monkeypatch.setenv("RAY_ADDRESS", "local")  # as Ray has it: no cluster
    assert [each.cpus for each in read(text).experiments.values()] == [half] * 3
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert [each.cpus for each in read(text).experiments.values()] == [None] * 3


def test_what_is_left_open_is_as_if_it_were_not_there():
    sweep = read(
        "name:\nstorage:\ntime_budget:\nparallel:\ndefaults:\nmatrix: {dataset: "
        "digits}\nexperiments:\n"
    )
    assert (sweep.name, sweep.time_budget_s, sweep.parallel) == ("nightly", None, 1)


def test_a_file_of_one_experiment_is_no_sweep():
    assert read("dataset: mnist\ntrials: 3\n") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "defaults: {dataset: mnist}",
            "A sweep must have from 1 to 1,000 experiments, below matrix or experiments; g",
        ),
        (
            f"matrix: {{seed: {list(range(40))}, trials: {list(range(40))}}}",
            "from 1 to 1,000 experiments, below matri",
        ),
        ("matrix: {dataset: []}", "matrix must have values of each setting; 'dataset' has none."),
        ("matrix: [mnist]", "matrix must hold settings, one a line (trials: 40); got ['mnist']."),
        ("experiments: mnist", "experiments must be a list of settings; got 'mnist'."),
        (
            "experiments: [mnist]",
            "experiment 1 must hold settings, one a line (trials: 40); got 'mnist'.",
        ),
        (
            "trials: 4\nmatrix: {dataset: mnist}",
            "Unknown key 'trials'. Known: defaults, experiments, matrix, name, pa",
        ),
        (
            "trials: 4\nmatrix: {dataset: mnist}",
            "Settings of all experiments belong below defaults.",
        ),
        ("parallel: 0\nmatrix: {dataset: mnist}", "parallel must be from 1 to 64; got 0."),
        ("parallel: true\nmatrix: {dataset: mnist}", "parallel must be from 1 to 64; got True."),
        (
            "time_budget: soon\nmatrix: {dataset: mnist}",
            "time_budget must be a duration like 90s, 10m or 1h30m; got '",
        ),
        (
            "time_budget: 0\nmatrix: {dataset: mnist}",
            "time_budget_s must be greater than 0; got 0.0.",
        ),
        (
            "storage: s3://b\nmatrix: {dataset: mnist}",
            "storage must be a folder, for a sweep; got 's3://b'.",
        ),
        ("name: a/b\nmatrix: {dataset: mnist}", "name must be one folder's name"),
        (
            "defaults: {storage: x}\nmatrix: {dataset: mnist}",
            "storage is the sweep's: it must stand at the file's top",
        ),
        (
            "matrix: {dataset: [mnst, digits]}",
            "Unknown dataset 'mnst'. Known: breast_cancer, diabetes, digits, mnist.",
        ),
        (
            "matrix: {dataset: [mnist, 5]}",
            "dataset must be a name, a Dataset, a function that loads one or arrays (x, y); got 5. (in",
        ),
        ("matrix: {search_space: mlp}", "dataset must be given. (NoneType-mlp)"),
        (
            "experiments: [{name: a/b, dataset: mnist}]",
            "name must be one folder's name (no '/', not '.'",
        ),
        (
            f"experiments: [{{name: {'x' * 201}, dataset: mnist}}]",
            "an experiment's name must have at most 200 bytes",
        ),
        (
            "matrix: {dataset: mnist, seed: [1, 1]}",
            "each experiment must have a name of its own; below experiments it",
        ),
        ("matrix: {dataset: mnist, cpus_per_trial: 999}", "it needs 999 CPU, and this machine has"),
        (
            "parallel: 2\ndefaults: {gpus_per_trial: 1}\nmatrix: {dataset: [mnist, digits]}",
            "parallel must be 1 where",
        ),
    ],
)
def test_a_wrong_sweep_is_refused_before_anything_starts(text, says, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(RequestError) as refused:
        read(text)
    message = str(refused.value)
    assert message.startswith("nightly.yaml: ") and says in message and "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_many_experiments_is_said_once_and_several_faults_together():
    with pytest.raises(RequestError) as refused:
        read("defaults: {trials: 0}\nmatrix: {dataset: [mnist, digits], seed: [0, 1, 2]}")
    assert str(refused.value) == (
        "nightly.yaml: trials must be greater than 0; got 0. (mnist-mlp-seed-0, mnist-mlp-seed-1, "
        "mnist-mlp-seed-2 and "
        "3 more)"
    )
    with pytest.raises(RequestError) as refused:
        read("matrix: {dataset: [mnist], trials: [0, -1, 5]}")
    assert "got 0. (mnist-mlp-trials-0) " in str(
        refused.value
    ) and "got -1. (mnist-mlp-trials--1)" in str(refused.value)


def test_the_storage_of_a_sweep_must_be_a_folder_that_can_be_written_to():
    with pytest.raises(
        RequestError, match="The storage path must be a folder that can be written to"
    ):
        read("storage: /proc/nowhere\nmatrix: {dataset: digits}")


def test_files_are_looked_for_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def load(): ...\n")
    monkeypatch.chdir(tmp_path)
    assert list(read("matrix: {dataset: [./mine.py]}").experiments) == ["mine-mlp"]
    monkeypatch.chdir("/")
    with pytest.raises(RequestError, match="there is no file '/mine.py'. \\(mine-mlp\\)"):
        read(f"storage: {tmp_path}\nmatrix: {{dataset: [./mine.py]}}")
