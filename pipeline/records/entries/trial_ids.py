"""Trial ids: `t0000`, `t0001`, … in the order in which a search decided on the trials."""


def id_of(number: int) -> str:
    """The id of a trial by its place in the search, from 0. A rerun has the same ones."""
    return f"t{number:04d}"


def number_of(trial: str) -> int:
    """A trial's place in the search."""
    return int(trial.removeprefix("t"))


def sort_key(trial: str) -> tuple[int, str]:
    """What ids are sorted by: `t9999` comes before `t10000`."""
    return len(trial), trial
