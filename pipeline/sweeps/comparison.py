"""Each experiment of a sitting beside what it came to in the one before.

Better, worse, or the same within noise.
"""

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Literal

from scipy.special import stdtrit

from pipeline.errors import RequestError
from pipeline.objective import SHARES, Objective
from pipeline.records.outputs.results import Results
from pipeline.sweeps.sitting import Outcome, Sitting

# Two sittings that do not differ are called different once in twenty comparisons.
CONFIDENCE = 0.95
FEWEST = 3  # earlier values that a spread is taken of
Verdict = Literal["better", "worse", "same", "new", "unknown"]


@dataclass(frozen=True)
class Value:
    """What a search came to: a metric of its best model, on so many examples if that is known."""

    metric: str
    direction: Literal["min", "max"]
    value: float
    examples: int | None


@dataclass(frozen=True)
class Row:
    """One experiment of a sitting, and the same in the last earlier one where it was done.

    `noise` is how far both may lie apart by chance, None if that is not known; `changed` are the
    settings that are not what they were.
    """

    experiment: str
    status: str
    verdict: Verdict | None  # None where it is not done
    error: str | None = None
    now: Value | None = None
    before: Value | None = None
    sitting: str | None = None
    noise: float | None = None
    changed: tuple[str, ...] = ()


def value_of(results: Results) -> Value | None:
    """The objective's metric on the test split where it was measured there, else the objective.

    On the validation split the best of many trials was chosen, so that its value there is flattered
    by luck; the test split had no say.
    """
    if results.best is None:
        return None
    objective = Objective.parse(results.summary["objective"])
    counts = results.summary.get("examples") or {}
    name = objective.name.removeprefix("val_")
    tested = (
        (results.summary["test"] or {}).get(name) if objective.name.startswith("val_") else None
    )
    if tested is not None:
        return Value(f"test {name}", objective.direction, tested, counts.get("test"))
    examples = counts.get("val") if objective.name.startswith("val_") else None
    return Value(objective.name, objective.direction, results.best.objective, examples)


def noise(now: Value, before: Value, earlier: list[float]) -> float | None:
    """How far two values may lie apart by chance, at 95 %; None if that cannot be told.

    A share of n examples is binomial. Of two shares p, each taken as if it had one hit and one miss
    more (Agresti and Caffo, The American Statistician 54, 2000; so that 100 % is not taken for
    certain), the difference lies within 1.96 √(p₁(1-p₁)/(n₁+2) + p₂(1-p₂)/(n₂+2)). Two models are
    measured on the same examples and err on many of them together, so this is on the safe side.

    Of any other metric nothing is known but what the sweep came to before, under the same settings:
    of k such values with the standard deviation s, two draws lie within t(k-1) s √2 of each other,
    t being Student's. That takes three sittings; and where all of them came to the same it says
    nothing of one that did not.

    Args:
        now: what it came to.
        before: what it is compared with.
        earlier: values of all earlier sittings under the same settings, `before` among them.
    """
    pair = (now, before)
    if now.metric.split()[-1].removeprefix("val_") in SHARES and all(
        v.examples and 0 <= v.value <= 1 for v in pair
    ):
        variance = 0.0
        for each in pair:
            n = int(each.examples or 0) + 2
            share = (each.value * (n - 2) + 1) / n
            variance += share * (1 - share) / n
        return statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(variance)
    if len(earlier) < FEWEST:
        return None
    spread = statistics.stdev(earlier)
    if spread == 0:
        return 0.0 if now.value == before.value else None
    return float(stdtrit(len(earlier) - 1, (1 + CONFIDENCE) / 2)) * spread * math.sqrt(2)


def compare(sitting: Sitting, earlier: list[Sitting]) -> list[Row]:
    """A row an experiment; `earlier` are the sittings before, the oldest first."""
    return [_row(name, outcome, sitting, earlier) for name, outcome in sitting.outcomes.items()]


def _row(name: str, outcome: Outcome, sitting: Sitting, earlier: list[Sitting]) -> Row:
    if outcome.status != "done":
        return Row(name, outcome.status, None, outcome.error)
    now = _done(sitting, name)
    past = [(s, value) for s in earlier if (value := _done(s, name)) is not None]
    if now is None or not past:
        return Row(name, "done", "unknown" if now is None else "new", now=now)
    last, before = past[-1]
    asked, asked_before = sitting.settings(name), last.settings(name)
    changed = tuple(
        sorted(k for k in asked.keys() | asked_before.keys() if asked.get(k) != asked_before.get(k))
    )
    margin, verdict = None, "unknown"
    if (now.metric, now.direction) == (before.metric, before.direction):
        alike = [
            v.value
            for s, v in past
            if s.settings(name) == asked_before and v.metric == before.metric
        ]
        margin = noise(now, before, alike)
        verdict = _verdict(now, before, margin)
    return Row(name, "done", verdict, None, now, before, last.name, margin, changed)  # type: ignore[arg-type]


def _done(sitting: Sitting, name: str) -> Value | None:
    """What an experiment came to in a sitting.

    None where it was not done, or has no readable result.
    """
    if name not in sitting.outcomes or sitting.outcomes[name].status != "done":
        return None
    try:
        return value_of(Results(sitting.run(name).root))
    except RequestError:
        return None


def _verdict(now: Value, before: Value, margin: float | None) -> Verdict:
    if margin is None:
        return "unknown"
    gain = now.value - before.value if now.direction == "max" else before.value - now.value
    if abs(gain) <= margin:
        return "same"
    return "better" if gain > 0 else "worse"


def table(title: str, rows: list[Row]) -> str:
    """The comparison in Markdown, its columns aligned so that it can be read as text too."""
    head = ["experiment", "metric", "now", "before", "noise", "outcome"]
    cells = [head, *([_escaped(cell) for cell in _cells(row)] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    cells.insert(1, ["-" * width for width in widths])
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    return "\n".join([f"# {title}", "", *lines]) + "\n"


def _cells(row: Row) -> list[str]:
    shown = {
        None: row.status,
        "same": "the same within noise",
        "unknown": "noise not known",
        "new": "new",
    }
    outcome = shown.get(row.verdict, str(row.verdict)) + (f": {row.error}" if row.error else "")
    if row.verdict == "unknown" and row.now is None:
        outcome = "no result"
    elif row.verdict == "unknown" and row.before and row.before.metric != row.now.metric:  # type: ignore[union-attr]
        outcome = f"not comparable: {row.before.metric} before"
    if row.changed:
        outcome += f" (not the same {', '.join(row.changed)})"
    return [
        row.experiment,
        row.now.metric if row.now else "",
        f"{row.now.value:.5g}" if row.now else "",
        f"{row.before.value:.5g} ({row.sitting})" if row.before else "",
        f"± {row.noise:.2g}" if row.noise is not None else "",
        outcome,
    ]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def write_comparison(sitting: Sitting, title: str, rows: list[Row]) -> str:
    """Write both files; the Markdown is returned."""
    text = table(title, rows)
    sitting.write(
        sitting.comparison, {"sitting": sitting.name, "experiments": [asdict(row) for row in rows]}
    )
    sitting.write(sitting.comparison_table, text)
    return text
