"""What can be known to be impossible before Ray is started: where a run would be written, and what it needs."""

import os
import platform
import time
from pathlib import Path

from pipeline.errors import RequestError, one_line
from pipeline.experiment import Experiment, label


def directory_of(experiment: Experiment) -> Path:
    """The directory of a new run: the name asked for, or one of dataset, search space and time that is free.

    Raises:
        RequestError: the name asked for is taken.
    """
    storage = Path(os.path.expanduser(experiment.storage))
    if experiment.name is not None:
        root = storage / experiment.name
        if os.path.lexists(root):
            raise RequestError(
                f"A new run needs a directory of its own; {root} exists. Go on with it by --resume {root}, or choose "
                "another --name."
            )
        return root
    stem = f"{label(experiment.dataset)}-{label(experiment.search_space)}-{time.strftime('%Y%m%d-%H%M%S')}"
    root, number = storage / stem, 1
    while os.path.lexists(root):
        number += 1
        root = storage / f"{stem}-{number}"
    return root


def check_writable(root: Path) -> None:
    """Try to write where the run will be, and leave nothing behind.

    Raises:
        RequestError: it cannot be written to.
    """
    made = []
    try:
        for folder in reversed([root, *root.parents]):
            if not folder.exists():
                folder.mkdir()
                made.append(folder)
        probe = root / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RequestError(
            f"The storage path must be a folder that can be written to; {one_line(f'{root.parent}: {error}')}."
        ) from error
    finally:
        for folder in reversed(made):
            folder.rmdir()


def check_local(experiment: Experiment) -> None:
    """Check that what may be used of this machine holds one trial.

    Raises:
        RequestError: it does not.
    """
    if experiment.gpus is not None and experiment.gpus_per_trial > experiment.gpus:
        raise RequestError(
            f"A trial must fit on one node; it needs {experiment.gpus_per_trial:g} GPU, and {experiment.gpus} may be "
            "used."
        )
    if experiment.cpus is not None:
        if experiment.cpus_per_trial > experiment.cpus:
            raise RequestError(
                f"A trial must fit on one node; it needs {experiment.cpus_per_trial:g} CPU, and {experiment.cpus} may "
                "be used."
            )
        return
    has = len(os.sched_getaffinity(0))
    if experiment.cpus_per_trial > has:
        raise RequestError(
            f"A trial must fit on one node; it needs {experiment.cpus_per_trial:g} CPU, and this machine has {has}."
        )


def processor() -> str:
    """The name of this machine's processor, as far as it tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
