"""The benchmarks that reach into the program's inside still run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize("side", ["ray", "ours"])
def test_a_side_of_overhead_measures_a_search_of_trials_that_end_well(side):
    small = f"import overhead; overhead.CASES = {{'small': (4, 3, 0.05)}}; overhead.measure({side!r}, 'small')"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))}
    done = subprocess.run(
        [sys.executable, "-c", small], cwd=BENCHMARKS, env=clean, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["seconds"] > 0.3
