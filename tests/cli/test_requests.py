"""Bad input on the command line: one line, exit code 2, at once, and nothing left behind."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def spent_s():
    """The processor's time, in seconds, of the commands that ended so far: unlike the clock's it is
    no neighbour's."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["mnst"],
            "Unknown dataset 'mnst'. Known: breast_cancer, diabetes, digits, mnist. Did you mean "
            "'mnist'?",
        ),
        (
            ["mnist", "--search-space", "mlpp"],
            "Unknown search space 'mlpp'. Known: cnn, mlp, resnet, xception.",
        ),
        (
            ["mnist", "--searcher", "hyperop"],
            "Unknown searcher 'hyperop'. Known: grid, hyperopt, random. Did you mean",
        ),
        (
            ["mnist", "--scheduler", "ash"],
            "Unknown scheduler 'ash'. Known: asha, asha-stopping, hyperband, median, none, pbt. "
            "Did you",
        ),
        (["mnist", "--trials", "0"], "trials must be greater than 0; got 0."),
        (["mnist", "--trials", "-3"], "trials must be greater than 0; got -3."),
        (
            ["mnist", "--trials", "many"],
            "Invalid value for '--trials': Input should be a valid integer",
        ),
        (["mnist", "--max-epochs", "0"], "max_epochs must be greater than 0; got 0."),
        (["mnist", "--cpus-per-trial", "0"], "cpus_per_trial must be greater than 0; got 0"),
        (["mnist", "--cpus-per-trial", "999"], "it needs 999 CPU, and this machine has"),
        (["mnist", "--cpus", "2", "--cpus-per-trial", "4"], "it needs 4 CPU, and 2 may be used."),
        (["mnist", "--gpus", "1", "--gpus-per-trial", "2"], "it needs 2 GPU, and 1 may be used."),
        (
            ["mnist", "--storage", "ftp://host"],
            "storage must be a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX; got",
        ),
        (
            ["--resume", ".", "--dry-run"],
            "--resume goes on with a run; it cannot be combined with --dry-run",
        ),
        (
            ["mnist", "--gpus-per-trial", "1.5"],
            "a share of one GPU (0.25, 0.5) or a whole number; got 1.5.",
        ),
        (
            ["mnist", "--gpus-per-trial", "many"],
            "gpus_per_trial must be a number or auto; got 'many'.",
        ),
        (
            ["mnist", "--gpus-per-trial", "-1"],
            "gpus_per_trial must be greater than or equal to 0; got -1",
        ),
        (
            ["mnist", "--objective", "val_acuracy"],
            "write val_acuracy:min or val_acuracy:max. Did you mean",
        ),
        (
            ["mnist", "--time-budget", "soon"],
            "--time-budget must be a duration like 90s, 10m or 1h30m; got 'soon'.",
        ),
        (
            ["mnist", "--epoch-timeout", "x"],
            "--epoch-timeout must be a duration like 90s, 10m or 1h30m; got 'x'.",
        ),
        (
            ["mnist", "--storage", "/proc/nowhere"],
            "The storage path must be a folder that can be written to",
        ),
        (["mnist", "--address", "ray://host:10001"], "ray job submit --address http://HOST:8265"),
        (["mnist", "--no-such-flag"], "No such option: --no-such-flag"),
        (["missing.yaml"], "An experiment file must exist; there is no file 'missing.yaml'."),
        (["x" * 300 + ".yaml"], "An experiment file must exist; there is no file 'xxx"),
        (
            ["mnist", "--storage", "x" * 300],
            "The storage path must be a folder that can be written to",
        ),
        (["mnist", "--start-from", "x" * 300], "must be a JSON file or the directory of a run; "),
        (["--resume", "x" * 300], "A run must be a directory with an experiment.yaml; xxx"),
        (["missing.py"], "A dataset given as a file must exist; there is no file '/"),
        (
            ["--resume", "nowhere"],
            "A run must be a directory with an experiment.yaml; nowhere does not exist.",
        ),
        (
            ["--resume", "."],
            "A run must be a directory with an experiment.yaml; . has no experiment.yaml, and nothing else.",
        ),
        ([], "A dataset must be given"),
    ],
)
def test_a_wrong_request_is_one_line_within_three_seconds(cli, tmp_path, arguments, says):
    before = spent_s()
    code, output, errors = cli(*arguments, cwd=tmp_path)
    assert code == 2
    assert output == "" and errors.count("\n") == 1
    assert says in errors
    assert spent_s() - before < 3
    assert list(tmp_path.iterdir()) == []


def test_all_faults_of_a_request_come_at_once(cli, tmp_path):
    _, _, errors = cli("mnist", "--trials", "0", "--scheduler", "ash", cwd=tmp_path)
    assert "trials must be" in errors and "Unknown scheduler" in errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["mnist", "--storage", "s3://no-such-bucket/runs"],
            "s3://no-such-bucket/runs must be in an object store",
        ),
        (
            ["mnist", "--storage", "s3://somebody:hidden@bucket/runs"],
            "storage must hold no credentials and no options",
        ),
        (
            ["--resume", "s3://no-such-bucket/runs/mine"],
            "s3://no-such-bucket/runs/mine has no experiment.yaml.",
        ),
        (
            ["--resume", "s3://bucket/runs/mine?secret_key=hidden"],
            "must hold no credentials and no options",
        ),
    ],
)
def test_an_object_store_that_cannot_be_used_is_one_line(cli, bucket, arguments, says):
    code, output, errors = cli(*arguments)
    assert code == 2 and output == "" and errors.count("\n") == 1
    assert says in errors and "hidden" not in errors


def test_an_experiment_that_is_no_text_is_refused(cli, tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"\xff")
    code, _, errors = cli("mine.yaml", cwd=tmp_path)
    assert (
        code == 2
        and "mine.yaml must be text that can be read; 'utf-8' codec can't decode" in errors
    )


def test_a_search_space_without_build_is_refused(cli, tmp_path):
    (tmp_path / "space.py").write_text("def biuld(hp, data):\n    pass\n")
    code, _, errors = cli("digits", "--search-space", "space.py", cwd=tmp_path)
    assert code == 2
    assert (
        "A search space must define build(hp, data) or build_model(hp)" in errors
        and "defines biuld" in errors
    )


def test_an_existing_run_directory_is_not_taken(cli, tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    code, _, errors = cli("digits", "--name", "mine", cwd=tmp_path)
    assert code == 2 and "--resume runs/mine" in errors
    assert list((tmp_path / "runs" / "mine").iterdir()) == []


def test_a_setting_that_would_make_a_resumed_run_another_search_is_refused(cli, tmp_path):
    (tmp_path / "experiment.yaml").write_text("dataset: digits\n")
    code, _, errors = cli("--resume", ".", "--searcher", "grid", cwd=tmp_path)
    assert code == 2 and "A resumed run keeps its searcher. What may change: " in errors


def test_the_command_line_loads_no_backend_and_is_quick():
    before = spent_s()
    names = "('keras', 'tensorflow', 'jax', 'torch', 'ray')"
    code = f"import sys, pipeline.run; print([m for m in {names} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert spent_s() - before < 3


def test_list_names_what_there_is(cli):
    code, output, _ = cli("--list")
    assert code == 0
    for name in (
        "mnist",
        "digits",
        "breast_cancer",
        "diabetes",
        "mlp",
        "cnn",
        "hyperopt",
        "grid",
        "asha",
        "median",
    ):
        assert f"  {name} " in output


def test_help_shows_the_defaults_of_an_experiment(cli):
    _, output, _ = cli("--help")
    text = " ".join(output.split())
    assert "[default: hyperopt]" in text and "[default: 20]" in text and "[default: asha]" in text


@pytest.mark.slow
def test_dry_run_shows_the_kind_of_what_only_other_configurations_request(cli, tmp_path):
    (tmp_path / "space.py").write_text(
        "import keras\n\n"
        "def build_model(hp):\n"
        "    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten()]\n"
        "    for i in range(hp.Int('deep', 0, 2)):\n"
        "        layers.append(keras.layers.Dense(hp.Int(f'units_{i}', 4, 8)))\n"
        "    model = keras.Sequential([*layers, keras.layers.Dense(10, activation='softmax')])\n"
        "    rate = hp.Float('rate', 0.1, 0.2) if hp.Boolean('tuned') else 0.1\n"
        "    model.compile(keras.optimizers.SGD(rate), 'sparse_categorical_crossentropy', "
        "metrics=['accuracy'])\n"
        "    return model\n"
    )
    code, output, errors = cli(
        "digits", "--search-space", "space.py", "--dry-run", "--cpus", 1, cwd=tmp_path
    )
    assert code == 0, errors
    default, _, conditional = output.partition("conditional:")
    assert (
        "deep " in default
        and "tuned " in default
        and "units_" not in default.partition("decides")[2]
    )
    kinds = {
        line.split()[0]: " ".join(line.split()[-4:])
        for line in conditional.splitlines()
        if "linear" in line
    }
    assert kinds.keys() == {"units_0", "units_1", "rate"}
    assert kinds["rate"].endswith("how it is trained")
    assert kinds["units_0"].endswith("the model") and kinds["units_1"].endswith("the model")
