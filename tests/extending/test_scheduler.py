"""A scheduler is added by one file, and by one line or an installed package: the rest follows."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.components import OURS, Listed, listed
from pipeline.errors import RequestError, UserCodeError
from pipeline.experiment import Experiment
from pipeline.schedulers import SCHEDULERS
from pipeline.schedulers.scheduler import scheduler_class
from pipeline.testing.schedulers import check_scheduler

HALFWAY = '''"""Half of the trials stop at half of their epochs."""

from pipeline.schedulers.scheduler import Decision, Scheduler


class Halfway(Scheduler):
    """Every second trial stops at half of its epochs."""

    bound_to_epochs = True

    @classmethod
    def check(cls, experiment):
        if experiment.max_epochs % 2:
            raise ValueError(f"max_epochs must be even for halfway; got {experiment.max_epochs}.")

    @classmethod
    def rungs(cls, experiment):
        return (experiment.max_epochs // 2,)

    def reported(self, trial, epoch, objective):
        odd, half = int(trial[1:]) % 2, self.context.experiment.max_epochs // 2
        if odd and epoch == half:
            return Decision(trial, epoch, "stop", rung=half, reason="Its number is odd.")
        return Decision(trial, epoch, "continue")
'''


@pytest.fixture
def halfway(component_package: Any) -> Any:
    """A package that adds the scheduler `halfway`."""
    return component_package("halfway", HALFWAY, schedulers="Halfway")


def test_a_packages_scheduler_is_listed_and_a_refusal_names_it(
    cli: Any, halfway: Any, tmp_path: Path
) -> None:
    code, output, _ = cli("--list", PYTHONPATH=halfway.path)
    lines = " ".join(output.split())
    assert code == 0
    assert "halfway Every second trial stops at half of its epochs." in lines
    assert "[kerasweep-halfway]" in lines

    _, output, _ = cli("--help", PYTHONPATH=halfway.path)
    assert "asha, asha-stopping, halfway, hyperband, median, none, pbt" in " ".join(output.split())

    code, _, errors = cli("digits", "--scheduler", "halfwy", cwd=tmp_path, PYTHONPATH=halfway.path)
    assert code == 2 and "halfway, hyperband, median, none, pbt. Did you mean 'halfway'?" in errors


def test_what_it_cannot_do_is_refused_in_its_own_words(halfway: Any) -> None:
    with pytest.raises(RequestError, match="^max_epochs must be even for halfway; got 3.$"):
        Experiment(dataset="digits", scheduler="halfway", max_epochs=3)


def test_one_file_and_one_line_make_a_scheduler_of_ours(component_of_ours: Any) -> None:
    component_of_ours("halfway", HALFWAY, SCHEDULERS, "Halfway")

    line = "Every second trial stops at half of its epochs."
    assert Listed("halfway", line, OURS) in listed("scheduler")
    assert Experiment(dataset="digits", scheduler="halfway").scheduler == "halfway"
    check_scheduler(scheduler_class("halfway"), scheduler="halfway", max_epochs=10)


def test_a_scheduler_of_a_file_is_used_and_one_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(HALFWAY + "\n\nclass Other:\n    ...\n")
    assert Experiment(dataset="digits", scheduler=f"{file}:Halfway").max_epochs == 10
    with pytest.raises(RequestError, match=r"A scheduler must be a class made from pipeline\.sch"):
        Experiment(dataset="digits", scheduler=f"{file}:Other")
    with pytest.raises(RequestError, match="A scheduler must be named with its class, as my_modul"):
        Experiment(dataset="digits", scheduler=str(file))
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0\n\n\nclass Mine:\n    ...\n")
    with pytest.raises(UserCodeError, match=r"must import; it raised ZeroDivisionError"):
        Experiment(dataset="digits", scheduler=f"{broken}:Mine")
