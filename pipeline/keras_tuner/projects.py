"""Folders of projects that KerasTuner itself made."""

from pathlib import Path

MADE = "oracle.json"  # KerasTuner's own record of a search (1.4.8)


def is_of_kerastuner(folder: Path) -> bool:
    """Whether a folder holds a project of KerasTuner's."""
    return (folder / MADE).is_file()


def set_aside(folder: Path) -> Path:
    """Rename it, so that nothing in it is lost; what it is called then."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.keras-tuner-{number}")).exists():
        number += 1
    return folder.rename(aside)
