"""Whether a finished search is whole, and the same as if nothing had happened to it; from its plain
files alone."""

import csv
import json
import math
from collections import Counter

import numpy as np

# How every search is asked to go.
TRIALS, MAX_EPOCHS = 7, 4
OBJECTIVE, REDUCTION_FACTOR = "val_loss", 2
# What follows from that, or is the default.
BRACKETS = (3, 3, 4)  # trials of each of Hyperband's
# of population based training: epochs of a generation, the part of it that is replaced
INTERVAL, QUANTILE = 2, 0.25

# relative: a trial that goes on from a checkpoint adds up in another order at most
TOLERANCE = 1e-5
COUNTED = ("finished", "stopped")


class Records:
    """What a run directory says, in the order of its coming."""

    def __init__(self, run):
        self.run = run
        self.reports = [
            json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()
        ]
        self.summary = json.loads((run / "summary.json").read_text())
        with (run / "trials.csv").open() as file:
            self.table = list(csv.DictReader(file))
        with (run / "history.csv").open() as file:
            self.history = list(csv.DictReader(file))
        paths = sorted((run / "trials").glob("*/trial.json"), key=lambda path: path.parent.name)
        self.trials = {path.parent.name: json.loads(path.read_text()) for path in paths}
        self.curves = {trial: {} for trial in self.trials}
        for report in self.reports:
            self.curves[report["trial"]][report["epoch"]] = report

    def values(self, trial):
        """Its objective after each epoch."""
        return {epoch: report["objective"] for epoch, report in self.curves[trial].items()}

    def configuration(self, trial):
        """What it requested, and how that changed on the way."""
        record = self.trials[trial]
        requested = {item["name"]: item["value"] for item in record["requested"] or ()}
        return json.dumps([requested, record["changes"]], sort_keys=True)

    def counted(self):
        return [trial for trial, record in self.trials.items() if record["status"] in COUNTED]


def problems(run, search, undisturbed=None):
    """All that is wrong, a line each.

    Args:
        run: the directory of the finished search.
        search: how it searched.
        undisturbed: the directory of the same search, left alone.
    """
    records = Records(run)
    found = [*_whole(records), *_left_over(run), *DECISIONS[search.scheduler](records)]
    if undisturbed is not None:
        found += _same(records, Records(undisturbed), search)
    return found


def _whole(records):
    told = Counter((report["trial"], report["epoch"]) for report in records.reports)
    for (trial, epoch), times in told.items():
        if times > 1:
            yield f"{trial} has epoch {epoch} {times} times"
    for trial, record in records.trials.items():
        epochs, status = sorted(records.curves[trial]), record["status"]
        if epochs != list(range(1, len(epochs) + 1)):
            yield f"{trial} has the epochs {epochs}"
        most = {"finished": [MAX_EPOCHS], "stopped": range(1, MAX_EPOCHS), "duplicate": [0]}
        if len(epochs) not in most.get(status, ()):
            yield f"{trial} is {status} after {len(epochs)} epochs: {record['error']}"
    if len(records.counted()) != TRIALS:
        yield f"{TRIALS} trials were asked for, there are {len(records.counted())}"
    configurations = Counter(map(records.configuration, records.counted()))
    if max(configurations.values(), default=1) > 1:
        yield "a configuration was tried twice"
    yield from _told_alike(records)


def _told_alike(records):
    """The tables and the summary say what the records say."""
    if [(row["trial"], int(row["epoch"])) for row in records.history] != [
        (report["trial"], report["epoch"]) for report in records.reports
    ]:
        yield "history.csv is not history.jsonl"
    if [(row["trial"], row["status"], int(row["epochs"])) for row in records.table] != [
        (trial, record["status"], len(records.curves[trial]))
        for trial, record in records.trials.items()
    ]:
        yield "trials.csv says something else than the records"
    summary, best = records.summary, min(records.reports, key=lambda report: report["objective"])
    if summary["epochs"] != len(records.reports) or summary["trials"]["total"] != len(
        records.counted()
    ):
        yield "summary.json counts something else than there is"
    if summary["trials"]["unfinished"] or summary["interrupted"]:
        yield "summary.json says that it is not finished"
    if summary["best"]["objective"] != best["objective"]:
        yield f"the best is {summary['best']}, and there is {best}"
    if not all(math.isfinite(value) for value in (summary["test"] or {"": math.nan}).values()):
        yield f"the best model was not measured: {summary['test']}"
    # What was measured is the model of the best epoch, and not of another.
    if not math.isclose(summary["validation"]["loss"], best["objective"], rel_tol=1e-4):
        yield f"the best model's loss is {summary['validation']['loss']}, its record says {best['objective']}"


def _left_over(run):
    """No temporary file is left, of ours or of Ray's."""
    for path in run.rglob("*"):
        if path.name.startswith(".") and path not in (run / ".lock", run / ".copies"):
            yield f"{path.relative_to(run)} is left"
        if path.name == "last.npz":
            yield f"{path.relative_to(run)} is left of a trial that is over"


def _same(records, alone, search):
    """The same as the undisturbed search, as far as that is promised."""
    shared = [
        t
        for t in records.trials
        if t in alone.trials and records.configuration(t) == alone.configuration(t)
    ]
    if not shared:
        yield "no trial is one of the undisturbed search"
    for trial in shared:
        for epoch in records.curves[trial].keys() & alone.curves[trial].keys():
            ours, theirs = (each.curves[trial][epoch]["metrics"] for each in (records, alone))
            if ours.keys() != theirs.keys() or not np.allclose(
                [ours[name] for name in theirs], list(theirs.values()), rtol=TOLERANCE, atol=0
            ):
                yield f"{trial}, epoch {epoch}: {ours}; undisturbed: {theirs}"
    one_by_one = search.concurrent == 1
    if one_by_one or search.searcher != "hyperopt":
        sets = [{each.configuration(t) for t in each.counted()} for each in (records, alone)]
        if sets[0] != sets[1]:
            yield f"other configurations than undisturbed: {sets[0] ^ sets[1]}"
    # What a generation or a bracket decides follows from all of its reports, in whatever order they
    # came.
    if one_by_one or (
        search.searcher != "hyperopt" and search.scheduler in ("pbt", "hyperband", "none")
    ):
        yield from _same_table(records.table, alone.table)


def _same_table(ours, theirs):
    if len(ours) != len(theirs):
        yield f"trials.csv has {len(ours)} rows; undisturbed {len(theirs)}"
    for row, other in zip(ours, theirs, strict=False):
        for column in other.keys() - {"seconds"}:
            if row.get(column) != other[column] and not _close(row.get(column), other[column]):
                yield f"trials.csv, {row['trial']}, {column}: {row.get(column)!r}; undisturbed: {other[column]!r}"


def _close(one, other):
    try:
        return math.isclose(float(one), float(other), rel_tol=TOLERANCE)
    except (TypeError, ValueError):
        return False


# Each scheduler's decisions, by rules written down here anew. What follows is for an objective that
# is minimised.


def _to_the_end(records):
    for trial in records.counted():
        if len(records.curves[trial]) != MAX_EPOCHS:
            yield f"{trial} was stopped, and there is no scheduler"


def _promoted(records):
    """Of those that come to a rung one in so many is let on, the best; in the end the best in any
    case."""
    rung = 1
    while 2 * rung <= MAX_EPOCHS:
        order = [report["trial"] for report in records.reports if report["epoch"] == rung]
        come, may, let_on = {}, set(), set()
        for report in records.reports:
            trial = report["trial"]
            if report["epoch"] == rung + 1:
                let_on.add(trial)
                if trial not in may:
                    yield f"{trial} was let on at epoch {rung}, and was at no time among the best there"
            if report["epoch"] == rung:
                come[trial] = report["objective"]
            ranked = sorted(come, key=lambda name: (come[name], order.index(name)))
            may |= set(ranked[: int(len(come) / REDUCTION_FACTOR)])
            may |= set(ranked[:1]) if len(come) == len(order) else set()  # nobody else comes
        most = int(len(order) / REDUCTION_FACTOR)
        if not most <= len(let_on) <= most + 1:
            yield f"{len(let_on)} of {len(order)} were let on at epoch {rung}"
        rung *= REDUCTION_FACTOR


def _stopped_at_rungs(records):
    """A trial goes on where it is not worse than the percentile of those that came to the rung
    before it."""
    rung = 1
    while rung < MAX_EPOCHS:
        before = []
        for report in records.reports:
            if report["epoch"] == rung:
                bar = np.percentile(before, 100 / REDUCTION_FACTOR) if before else math.inf
                stops, trial = report["objective"] > bar, report["trial"]
                if stops != (len(records.curves[trial]) == rung):
                    yield f"{trial} was to {'stop' if stops else 'go on'} at epoch {rung}, after {before}"
                before.append(report["objective"])
        rung *= REDUCTION_FACTOR


def _below_the_median(records):
    """Stopped is who is worse, at its best, than the median of the others' means; three of them at
    least."""
    for trial in records.counted():
        values, last = records.values(trial), len(records.curves[trial])
        if last == MAX_EPOCHS:
            continue
        others = {}
        for report in records.reports:
            if (report["trial"], report["epoch"]) == (trial, last):
                break
            others.setdefault(report["trial"], []).append(report["objective"])
        others = [told for other, told in others.items() if other != trial and len(told) >= last]
        # Ray counts a trial's last epoch once more when it ends, which is not in the records.
        means = [min(np.mean(told[:last]), np.mean([*told[:last], told[-1]])) for told in others]
        if len(means) < 3 or min(values.values()) <= np.median(means):
            yield f"{trial} was stopped at epoch {last}, where the means of the others were {means}"


def _halved(records):
    """Who ends at a rung of a bracket is the worst of those that came to it."""
    members = records.counted()
    for size in BRACKETS:
        bracket, members = members[:size], members[size:]
        for rung in range(1, MAX_EPOCHS):
            at = {
                trial: records.values(trial)[rung]
                for trial in bracket
                if len(records.curves[trial]) >= rung
            }
            ended = [value for trial, value in at.items() if len(records.curves[trial]) == rung]
            went_on = [value for trial, value in at.items() if len(records.curves[trial]) > rung]
            if ended and (not went_on or max(went_on) > min(ended)):
                yield f"at epoch {rung} trials with {ended} ended, and those with {went_on} went on"


def _taken_over(records):
    """At a boundary some of the worst take over from some of the best; all are trained to the
    end."""
    yield from _to_the_end(records)
    for trial, record in records.trials.items():
        for change in record["changes"]:
            boundary, source = change["epoch"], change["from"]
            if boundary % INTERVAL:
                yield f"{trial} took over from {source} after epoch {boundary}, which is no boundary"
                continue
            at = {name: records.values(name)[boundary] for name in records.counted()}
            ranked = sorted(at, key=at.get)
            count = round(len(ranked) * QUANTILE)
            if source not in ranked[:count] or trial not in ranked[-count:]:
                yield f"{trial} took over from {source} after epoch {boundary}, where the order was {ranked}"


DECISIONS = {
    "asha": _promoted,
    "asha-stopping": _stopped_at_rungs,
    "hyperband": _halved,
    "median": _below_the_median,
    "pbt": _taken_over,
    "none": _to_the_end,
}
