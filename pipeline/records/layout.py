"""The run directory: every file name of a run stands here and nowhere else."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

LAST, BEST = "last.npz", "best.npz"  # of a trial, or of each of its executions: its checkpoints


class Layout:
    """Paths within one run's directory."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.experiment = self.root / "experiment.yaml"
        self.starts = self.root / "starts.json"  # of a search with --start-from
        self.history = self.root / "history.jsonl"
        self.history_table = self.root / "history.csv"
        self.trials_table = self.root / "trials.csv"
        self.summary = self.root / "summary.json"
        self.best = self.root / "best"
        self.best_model = self.best / "model.keras"
        self.best_hyperparameters = self.best / "hyperparameters.json"
        self.best_metrics = self.best / "metrics.json"
        self.best_standardisation = self.best / "standardisation.json"
        self.trials = self.root / "trials"
        self.lock = self.root / ".lock"
        self.engine = self.root / ".engine"  # what Ray writes; never read back, removed at the end

    def trial(self, trial: str) -> Path:
        """Folder of one trial: its record and its checkpoints."""
        return self.trials / trial

    def trial_record(self, trial: str) -> Path:
        """What is known of one trial, but for its reports."""
        return self.trial(trial) / "trial.json"


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file whole or not at all: temporary name, flush, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any) -> None:
    """Write `data` as JSON, whole or not at all."""
    write_whole(path, json.dumps(data, indent=2, allow_nan=False) + "\n")
