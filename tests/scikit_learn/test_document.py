"""What the page for scikit-learn's users shows runs as it stands."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-scikit-learn.md"


@pytest.mark.slow
def test_the_example_of_the_page_runs(in_this_process, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {"__name__": "example"}
    exec(block, names)

    printed = capsys.readouterr().out
    assert printed.startswith("{'dropout_rate': 0.1, 'learning_rate': 0.1} 0.9")
    assert names["search"].n_splits_ == 5


def test_the_table_names_arguments_that_there_are():
    from pipeline import KerasweepSearchCV

    named = set(re.findall(r"`(\w+)=", PAGE.read_text())) | {"max_concurrent", "cpus_per_trial"}
    theirs = {"model", "n_jobs"}
    assert named - theirs <= KerasweepSearchCV().get_params().keys()
