"""A run that is mirrored to an object store: what is there at any time can be gone on with."""

import contextlib
import io
import json
import os
import threading
import time

import numpy as np
import pytest

from pipeline.engine.directory import directory_of
from pipeline.engine.past import Past
from pipeline.errors import RequestError, StorageError
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records import layout as layouts
from pipeline.records.entries.decisions import Decision, read_decisions
from pipeline.records.entries.reports import Report, read_history
from pipeline.records.entries.trials import read_trials
from pipeline.records.layout import write_whole
from pipeline.records.ledger import Ledger
from pipeline.records.opening import opened
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.summary import find_best, remove_summary, summary_of, write_summary
from pipeline.records.outputs.tables import write_tables
from pipeline.records.retention import Retention
from pipeline.records.settings import write_experiment
from pipeline.records.store import lease as leases
from pipeline.records.store import mirror as mirrors
from pipeline.records.store import remote
from pipeline.records.store.mirror import Mirror, is_there
from pipeline.records.store.remote import RemotePath, location
from tests.reopened import counted_reads, mend

ACCURACY = Objective("val_accuracy", "max")


@pytest.fixture
def mirror(bucket, tmp_path, monkeypatch):
    """Mirrors of one run, each in a folder of its own, as of one process after the other."""
    monkeypatch.setattr(leases, "SETTLE_S", 0.0)
    made = []

    def make(*, take=True):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(one := Mirror(location(f"{bucket}/runs/mine"), folder))
        if take:
            (one.home / ".lock").unlink(missing_ok=True)  # of the one before, which has died
            one.acquire(nothing)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def ledger():
    """Ledgers of mirrors' runs."""
    made = []

    def make(mirror):
        made.append(Ledger(mirror.layout))
        return made[-1]

    yield make
    for one in made:
        one.close()


def nothing(text):
    pass


def report(trial, epoch, value=0.5):
    return Report(epoch, value, {"val_accuracy": value}, 1.0, trial=trial, time=1000.0 + epoch)


def search(ledger):
    """What a search of three trials writes, step by step."""
    write_experiment(ledger.layout, "dataset: digits\n")
    yield
    for trial in ("t0000", "t0001", "t0002"):
        ledger.start(trial, {"units": 4})
        yield
        for epoch in (1, 2):
            ledger.report(report(trial, epoch))
            yield
        ledger.end(trial, "finished")
        yield


def brought_back(mirror):
    """What another process finds, once it has put it right as a resume does."""
    mirror.bring_back()
    mend(mirror.layout, lambda text: pytest.fail(text))
    return read_trials(mirror.layout), read_history(mirror.layout)


def finished(mirror, ledger):
    """A mirror of a search that has come to its end, and its ledger."""
    first = mirror()
    kept = ledger(first)
    for _ in search(kept):
        pass
    first.finish()
    return first, kept


def test_what_is_brought_back_is_read_once(mirror, ledger):
    finished(mirror, ledger)
    second = mirror()
    with counted_reads(second.layout.root) as reads:
        second.bring_back()
        with Past(second.layout, lambda text: pytest.fail(text)) as past:
            experiment = past.experiment(time_budget_s=3600)
            past.check_same_search(experiment)
            past.read()
            assert not past.is_complete(experiment) and past.earlier_seconds() > 0
            past.check_budget_left(experiment)
    trials = {f"trials/t000{number}/trial.json": 1 for number in range(3)}
    assert reads == {"experiment.yaml": 1, "history.jsonl": 1, **trials}


def test_what_was_mirrored_is_brought_back(mirror, ledger):
    first, kept = finished(mirror, ledger)
    first.close()
    assert not first.layout.root.exists()
    trials, reports = brought_back(mirror())
    assert trials == kept.trials and reports == kept.reports


def test_it_goes_on_from_what_was_brought_back(mirror, ledger):
    _, kept = finished(mirror, ledger)
    second = mirror()
    brought_back(second)
    kept = ledger(second)
    kept.start("t0003", {})
    kept.report(report("t0003", 1))
    second.finish()
    trials, reports = brought_back(mirror())
    assert list(trials) == ["t0000", "t0001", "t0002", "t0003"] and len(reports) == 7


def test_wherever_its_machine_is_lost_what_is_there_can_be_gone_on_with(
    mirror, ledger, monkeypatch
):
    class Lost(Exception):
        pass

    def write_or_be_lost(path, data):
        nonlocal left
        if left == 0:
            raise Lost
        left -= 1
        write(path, data)

    write, left, found = RemotePath.write_bytes, -1, set()
    for each in range(1, 6):  # so many steps of the search lie between two that are mirrored
        first = mirror()
        kept = ledger(first)
        for number, _ in enumerate(search(kept), start=1):
            if number % each:
                continue
            for left in range(5):  # noqa: B007 - read by `write_or_be_lost`
                monkeypatch.setattr(RemotePath, "write_bytes", write_or_be_lost)
                lost = False
                try:
                    first._pass()
                except Lost:
                    lost = True
                monkeypatch.setattr(RemotePath, "write_bytes", write)
                if (first.home / "experiment.yaml").written():
                    other = mirror(take=False)
                    trials, reports = brought_back(other)
                    found.add((len(trials), len(reports)))
                    assert all(r.trial in trials for r in reports)
                    assert [r.epoch for r in reports if r.trial == "t0000"] == [1, 2][
                        : len(reports)
                    ]
                if not lost:
                    break
        for path in first.home.rglob():
            path.unlink()
    assert {(0, 0), (1, 1), (1, 2), (2, 2), (3, 6)} <= found


def test_wherever_it_is_lost_between_many_trials_none_is_missing(mirror, ledger, monkeypatch):
    """Whatever the order in which the system lists them."""
    states = Mirror._states
    monkeypatch.setattr(
        Mirror, "_states", lambda self: dict(sorted(states(self).items(), reverse=True))
    )
    first = mirror()
    for _ in search(ledger(first)):
        pass
    sent = []
    monkeypatch.setattr(
        RemotePath, "write_bytes", lambda path, data: sent.append(str(path.relative_to(first.home)))
    )
    first._pass()
    trials = [f"trials/t000{number}/trial.json" for number in range(3)]
    assert sent == ["experiment.yaml", "history.jsonl", *trials]


def test_reports_that_come_while_it_is_looked_at_are_there_before_their_trial_is_over(
    mirror, ledger, monkeypatch
):
    first = mirror()
    kept = ledger(first)
    kept.start("t0000", {})
    kept.report(report("t0000", 1))
    first._pass()
    states = Mirror._states

    def states_and_go_on(self):
        found = states(self)
        kept.report(report("t0000", 2))
        kept.end("t0000", "finished")
        return found | {
            path: state for path, state in states(self).items() if path != self.layout.history
        }

    monkeypatch.setattr(Mirror, "_states", states_and_go_on)
    write_experiment(first.layout, "dataset: digits\n")
    first._pass()
    monkeypatch.setattr(Mirror, "_states", states)
    trials, reports = brought_back(mirror())
    assert trials["t0000"].status == "finished" and [r.epoch for r in reports] == [1, 2]


def test_a_checkpoint_ahead_of_what_was_mirrored_is_left_and_it_is_said(mirror, ledger):
    first = mirror()
    kept = ledger(first)
    write_experiment(first.layout, "dataset: digits\n")
    kept.start("t0000", {})
    kept.report(report("t0000", 1))
    first.finish()
    data = io.BytesIO()
    told = {"epoch": 2, "objective": 0.5, "metrics": {}}
    np.savez(data, state=np.array(json.dumps({"epoch": 2, "report": told})))
    (first.home / "trials/t0000/last.npz").write_bytes(data.getvalue())
    second, said = mirror(), []
    second.bring_back()
    mend(second.layout, lambda text: said.append(layouts.at_home(second.layout, text)))
    assert said == [
        f"{first.home}/history.jsonl did not get all reports of t0000; it is trained again from "
        "the start."
    ]
    assert list(first.home.rglob("last.npz")) == []


def test_who_lost_the_run_while_it_is_brought_back_removes_nothing(mirror, ledger):
    first, _ = finished(mirror, ledger)
    (first.home / "trials/t0010/last.npz").write_bytes(b"weights")
    second = mirror()
    (second.home / ".lock").write_bytes(b'{"owner": "another", "host": "there", "process": 7}')
    with pytest.raises(StorageError, match="was taken over by process 7 of there"):
        second.bring_back()
    assert (first.home / "trials/t0010/last.npz").written()


def test_a_trial_that_was_not_recorded_leaves_neither_reports_nor_checkpoints(mirror, ledger):
    first, _ = finished(mirror, ledger)
    for name in ("t0001", "t0002", "t0010"):
        (first.home / f"trials/{name}/last.npz").write_bytes(b"weights")
    (first.home / "trials/t0002/trial.json").unlink()
    trials, reports = brought_back(mirror())
    assert list(trials) == ["t0000", "t0001"] and len(reports) == 4
    assert [path.parent.name for path in first.home.rglob("last.npz")] == ["t0001"]


def test_decisions_come_back_but_for_those_on_trials_that_were_not_recorded(mirror, ledger):
    first = mirror()
    kept = ledger(first)
    for _ in search(kept):
        pass
    paused, stopped, lost = decisions = [
        Decision("t0000", 1, "pause", 1, 1, 1, 0, "It waits."),
        Decision("t0001", 2, "stop", reason="It is bad."),
        Decision("t0002", 1, "stop", reason="It is worse."),
    ]
    assert [kept.decide(decision) for decision in decisions] == [True] * 3
    first.finish()
    (first.home / "trials/t0002/trial.json").unlink()
    second = mirror()
    brought_back(second)
    assert read_decisions(second.layout) == [paused, stopped]
    assert ledger(second).decide(lost)


def test_a_record_that_somebody_removed_is_missed(mirror, ledger):
    first, _ = finished(mirror, ledger)
    (first.home / "trials/t0001/trial.json").unlink()
    with pytest.raises(
        RequestError, match=r"t0001/trial\.json must hold one trial's record; it is missing"
    ):
        brought_back(mirror())


def test_what_is_damaged_there_is_named_where_it_is(mirror, ledger):
    first, _ = finished(mirror, ledger)
    (first.home / "history.jsonl").write_bytes(b"{\n")
    with pytest.raises(
        RequestError, match=f"Each line of {first.home}/history.jsonl must be one report; line 1"
    ):
        second = mirror()
        second.bring_back()
        with layouts.named_by_home(second.layout):
            mend(second.layout, nothing)


def test_it_is_mirrored_by_itself_every_few_seconds(mirror, ledger, monkeypatch):
    monkeypatch.setattr(mirrors, "EVERY_S", 0.2)
    first = mirror()
    kept = ledger(first)
    first.start(kept.fail)
    for _ in search(kept):
        pass
    history = first.home / "history.jsonl"
    until = time.monotonic() + 60
    while not (first.home / "trials/t0002/trial.json").written() and time.monotonic() < until:
        time.sleep(0.1)
    assert history.read_bytes() == first.layout.history.read_bytes()
    with (first.layout.history).open("ab") as file:  # half a line, as it may be read
        file.write(b'{"trial"')
    time.sleep(1)
    assert history.read_bytes().endswith(b"}\n")


@pytest.fixture
def nobody_answers(monkeypatch, bucket):
    """Let the store be where nobody listens, until what is returned is called."""

    def go_to(address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        remote._store.cache_clear()

    def away():
        go_to("http://127.0.0.1:9")
        return lambda: go_to(there)

    there = os.environ["AWS_ENDPOINT_URL"]
    yield away
    go_to(there)


def test_a_store_that_fails_for_a_while_is_waited_for(mirror, ledger, nobody_answers):
    first = mirror()
    for _ in search(ledger(first)):
        pass
    back = threading.Timer(3, nobody_answers())
    back.start()
    first.finish()
    back.join()
    assert len(brought_back(mirror())[1]) == 6


def test_a_store_that_fails_for_long_ends_it_in_one_line(
    mirror, ledger, nobody_answers, monkeypatch
):
    monkeypatch.setattr(mirrors, "EVERY_S", 0.1)
    monkeypatch.setattr(layouts, "PAUSES_S", (0.1, 0.2))
    first = mirror()
    kept = ledger(first)
    write_experiment(first.layout, "dataset: digits\n")
    first.send()
    kept.start("t0000", {})
    nobody_answers()
    first.start(kept.fail)
    until = time.monotonic() + 120
    while kept.fault is None and time.monotonic() < until:
        time.sleep(0.1)
    with pytest.raises(
        StorageError, match=f"^{first.home} could not be written for 0 s: .*--resume {first.home}$"
    ):
        kept.start("t0001", {})
    with pytest.raises(StorageError, match="could not be written"):
        first.finish()


def test_a_store_that_fails_at_the_beginning_leaves_nothing_to_go_on_with(
    mirror, nobody_answers, monkeypatch
):
    monkeypatch.setattr(layouts, "PAUSES_S", (0.1, 0.2))
    first = mirror()
    write_experiment(first.layout, "dataset: digits\n")
    nobody_answers()
    with pytest.raises(
        StorageError, match=f"^{first.home} could not be written for 0 s: .* before is whole\\.$"
    ):
        first.send()


def test_whatever_ends_the_mirroring_is_told(mirror, ledger, monkeypatch):
    def broken(self):
        raise ValueError("what nobody thought of")

    monkeypatch.setattr(mirrors, "EVERY_S", 0.1)
    first, told, states = mirror(), [], Mirror._states
    monkeypatch.setattr(Mirror, "_states", broken)
    first.start(told.append)
    until = time.monotonic() + 60
    while not told and time.monotonic() < until:
        time.sleep(0.1)
    monkeypatch.setattr(Mirror, "_states", states)
    said = (
        "could not be written: ValueError: what nobody thought of. It is as it was last mirrored."
    )
    assert [str(fault) for fault in told] == [f"{first.home} {said}"]


def test_who_lost_the_run_writes_no_more(mirror, ledger, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 0.1)
    first = mirror()
    kept = ledger(first)
    (first.home / ".lock").write_bytes(b'{"owner": "another", "host": "there", "process": 7}')
    for _ in search(kept):
        pass
    time.sleep(1)
    with pytest.raises(StorageError, match="was taken over by process 7 of there"):
        first.finish()
    assert [path.name for path in first.home.rglob()] == [".lock"]


def test_a_name_that_is_taken_meanwhile_is_not_taken_again(mirror, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 1.2)
    first = mirror(take=False)
    first.acquire_new(nothing)
    with pytest.raises(FileExistsError):  # as it makes the run
        mirror(take=False).acquire_new(nothing)
    write_experiment(first.layout, "dataset: digits\n")
    first.send()
    assert is_there(first.home)
    first.close()
    with pytest.raises(FileExistsError):
        mirror(take=False).acquire_new(nothing)


def test_a_name_whose_process_was_killed_before_the_run_was_there_is_free(mirror, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_S", 2.0)
    home = mirror(take=False).home
    for name in (".lock", "starts.json"):
        (home / name).write_bytes(b"{}")
    experiment = Experiment(dataset="digits", storage=str(home.parent), name=home.name)
    assert directory_of(experiment) == home
    again = mirror(take=False)
    again.acquire_new(nothing)
    write_experiment(again.layout, "dataset: digits\n")
    again.send()
    with pytest.raises(
        RequestError, match=f"A new run needs a directory of its own; {home} exists"
    ):
        directory_of(experiment)


def test_it_is_let_go_once(mirror, ledger, bucket):
    first = mirror()
    first.start(ledger(first).fail)
    write_experiment(first.layout, "dataset: digits\n")
    first.close()
    first.layout.experiment.parent.mkdir()
    first.layout.experiment.write_text("another's")
    first.close()
    assert b"digits" in (first.home / "experiment.yaml").read_bytes()


def test_checkpoints_of_ended_trials_are_removed_there_but_the_best(mirror, ledger, monkeypatch):
    monkeypatch.setattr(mirrors, "LATE_S", 1.0)
    first = mirror()
    kept = ledger(first)
    for _ in search(kept):
        pass
    for trial in kept.trials:
        for name in ("best.npz", "last.npz"):
            (first.home / "trials" / trial / "execution-1" / name).write_bytes(b"weights")
    retention = Retention(first.layout, ACCURACY, 1, first.remove)

    def there():
        return sorted(
            str(path.relative_to(first.home / "trials"))
            for path in first.home.rglob()
            if "npz" in str(path)
        )

    for value, trial in enumerate(kept.trials):
        retention.reported(report(trial, 3, value))
        retention.ended(trial)
    first._pass()
    assert len(there()) == 6  # a worker may yet write one
    time.sleep(1.5)
    first._pass()
    assert there() == ["t0002/execution-1/best.npz", "t0002/execution-1/last.npz"]
    retention.conclude(kept.trials.values())
    first.finish()
    assert there() == ["t0002/execution-1/best.npz"]


def test_results_are_read_from_there(mirror, ledger, bucket):
    first = mirror()
    kept = ledger(first)
    for _ in search(kept):
        pass
    with pytest.raises(RequestError, match=f"must have a summary.json; {first.home} has none"):
        Results(first.home)
    write_tables(first.layout, ACCURACY, kept)
    best = find_best(kept.trials, kept.reports, ACCURACY)
    facts = {"objective": "val_accuracy:max"}
    write_summary(
        first.layout,
        summary_of(first.layout, best=best, test=None, trials=kept.trials, epochs=6, **facts),
    )
    write_whole(first.layout.best_model, b"a model")
    first.finish()
    results = Results(f"{bucket}/runs/mine/")
    assert results.directory == first.home and results.best == best
    assert (
        list(results.trials["trial"]) == ["t0000", "t0001", "t0002"] and len(results.history) == 6
    )
    assert results.layout.best_model.read_bytes() == b"a model"
    folder = results.layout.root
    del results
    assert not folder.exists()
    (first.home / "summary.json").write_bytes(b"{")
    with pytest.raises(
        RequestError, match=f"{first.home}/summary.json must say how the run ended; it is damaged"
    ):
        Results(first.home)


def test_wherever_it_is_lost_as_it_is_ended_anew_nothing_there_is_taken_for_damaged(
    mirror, ledger, monkeypatch
):
    first = mirror()
    kept = ledger(first)

    def end():
        remove_summary(first.layout)
        write_tables(first.layout, ACCURACY, kept)
        write_summary(
            first.layout,
            summary_of(
                first.layout,
                best=None,
                test=None,
                trials=kept.trials,
                epochs=len(kept.reports),
                objective=str(ACCURACY),
            ),
        )

    for _ in search(kept):
        pass
    end()
    first.finish()
    assert Results(first.home).summary["epochs"] == 6
    kept.start("t0003", {"units": 8})
    kept.report(report("t0003", 1))
    kept.end("t0003", "finished")
    first.send()
    end()

    write, left, states = RemotePath.write_bytes, 0, []

    def write_or_be_lost(path, data):
        nonlocal left
        if left == 0:
            raise InterruptedError
        left -= 1
        write(path, data)

    monkeypatch.setattr(RemotePath, "write_bytes", write_or_be_lost)
    for each in (0, 1, 1, 1, 1):  # so many objects, and the machine is lost
        left = each
        with contextlib.suppress(InterruptedError):
            first._pass()
        try:
            results = Results(first.home)
        except RequestError as error:
            states.append(str(error).partition(": it still runs")[0])
        else:
            states.append((results.summary["epochs"], results.faults()))
    none = f"A run that ended must have a summary.json; {first.home} has none"
    assert states == [none, none, none, none, (7, [])]


def test_a_folder_that_is_no_run_is_said_to_be_none(bucket):
    assert not opened(f"{bucket}/none").experiment.exists()


def test_the_log_is_sent_once_at_the_end_and_goes_on_in_the_next_process(mirror, ledger):
    first = mirror()
    kept = ledger(first)
    sent = first.home / first.layout.debug_log.name
    first.start(pytest.fail)
    first.layout.debug_log.write_text("the search begins\n")
    for _ in search(kept):
        pass
    first.send()
    first.finish()
    assert sent.written() is None
    with first.layout.debug_log.open("a") as log:
        log.write("the run is over\n")
    first.close()
    assert sent.read_bytes() == b"the search begins\nthe run is over\n"
    second = mirror()
    brought_back(second)
    assert second.layout.debug_log.read_bytes() == sent.read_bytes()


def test_who_only_reads_a_run_is_not_brought_its_log(mirror, ledger):
    first, _ = finished(mirror, ledger)
    log = first.layout.debug_log.name
    for name in (log, f"{log}.1"):
        (first.home / name).write_bytes(b"the search begins\n")
    read = opened(first.home)
    assert read.history.read_bytes() == first.layout.history.read_bytes()
    assert not list(read.root.glob(f"{log}*"))
