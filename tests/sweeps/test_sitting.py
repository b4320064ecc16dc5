"""Which sitting a start of a sweep goes on with, and when it begins a new one."""

import json
import time

import pytest

from pipeline.errors import RequestError
from pipeline.sweeps.conductor import planned, share_s
from pipeline.sweeps.request import Sweep
from pipeline.sweeps.sitting import RETRY_S, Sittings, open_sittings


def after(sitting, status, *, ago_s=0.0, spent_s=0.0):
    """The sitting as it is left, so long ago."""
    for outcome in sitting.outcomes.values():
        outcome.status = status
    sitting.record.spent_s = spent_s
    sitting.save()
    text = (sitting.root / "sweep.json").read_text()
    then = text.replace(f'"seen": {sitting.record.seen}', f'"seen": {time.time() - ago_s}')
    (sitting.root / "sweep.json").write_text(then)


@pytest.mark.parametrize(
    ("status", "ago_s", "spent_s", "goes_on"),
    [
        ("unfinished", 10, 60, True),
        ("unfinished", 30 * 86400, 60, True),  # cut off, however long ago
        ("unfinished", 10, 3600, True),  # says that its time is spent, and ends
        ("unfinished", 2 * RETRY_S, 3600, False),  # the next night, and nothing left to go on with
        ("failed", 10, 60, True),  # a scheduler's retry
        ("failed", 2 * RETRY_S, 60, False),
        ("done", 10, 60, False),
        ("done", 2 * RETRY_S, 60, False),
    ],
)
def test_a_start_goes_on_with_what_was_cut_off_or_has_just_failed(
    sweep, status, ago_s, spent_s, goes_on
):
    asked = sweep()
    sitting = Sittings(asked.directory).begin(asked)
    after(sitting, status, ago_s=ago_s, spent_s=spent_s)
    found = Sittings(asked.directory).gone_on_with(asked)
    assert (found is not None) == goes_on
    says = (
        f"the sweep goes on with {sitting.name}:" if goes_on else "the sweep begins a new sitting:"
    )
    assert f"Experiments: 1, 1 at once; in {asked.directory} {says}" in planned(asked)


def test_a_changed_sweep_begins_a_new_sitting(sweep):
    asked = sweep(trials=3)
    Sittings(asked.directory).begin(asked)
    assert Sittings(asked.directory).gone_on_with(sweep(trials=3)) is not None
    assert Sittings(asked.directory).gone_on_with(sweep(trials=4)) is None
    assert Sittings(asked.directory).gone_on_with(sweep(trials=3, time_budget="2h")) is None


def test_a_sitting_of_an_earlier_version_is_gone_on_with(sweep):
    asked = sweep(fit_plan="looped")
    file = Sittings(asked.directory).begin(asked).root / "sweep.json"
    record = json.loads(file.read_text())
    (settings,) = record["asked"]["experiments"].values()
    settings["execution"] = settings.pop("fit_plan")
    del settings["track"], settings["epoch_timeout_s"]  # there were none yet
    file.write_text(json.dumps(record))

    assert Sittings(asked.directory).gone_on_with(asked) is not None
    assert Sittings(asked.directory).gone_on_with(sweep(fit_plan="plain")) is None


def test_sittings_of_one_second_have_folders_of_their_own_and_keep_their_order(sweep):
    asked = sweep()
    begun = [Sittings(asked.directory).begin(asked).root for _ in range(3)]
    assert len(set(begun)) == 3
    assert [sitting.root for sitting in Sittings(asked.directory).all] == begun


def test_a_sweeps_directory_is_for_one_at_a_time(sweep):
    directory = sweep().directory
    in_use = pytest.raises(
        RequestError, match="must belong to one process; .* is in use by another"
    )
    with open_sittings(directory), in_use, open_sittings(directory):
        pass
    with open_sittings(directory):
        pass


def test_a_directory_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "nightly").write_text("")
    refused = pytest.raises(
        RequestError, match="A sweep's directory must be a folder that can be written to"
    )
    with refused, open_sittings(tmp_path / "nightly"):
        pass


DAMAGE = [
    "",
    "{",
    "[]",
    '{"asked": {"experiments": {}}, "outcomes": {"a": {"status": "perhaps"}}}',
    '{"asked": {"experiments": {}}, "outcomes": {"a": {}}}',
    '{"asked": {}, "outcomes": {}}',
    '{"asked": {"experiments": {"a": 5}}, "outcomes": {"a": {}}}',
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_named_and_what_helps(sweep, damage):
    asked = sweep()
    sitting = Sittings(asked.directory).begin(asked)
    (sitting.root / "sweep.json").write_text(damage)
    with pytest.raises(
        RequestError,
        match="sweep.json must say how far the sitting is; it is damaged: .*begins a new",
    ):
        Sittings(asked.directory)


def test_time_is_divided_evenly_among_what_waits():
    assert share_s(100, waiting=4, parallel=1) == 25
    assert share_s(100, waiting=4, parallel=2) == 50
    assert share_s(100, waiting=3, parallel=2) == 50  # beside one that has begun already
    assert share_s(40, waiting=1, parallel=2) == 40


def test_what_a_sweep_asks_is_plain_data(sweep):
    asked: Sweep = sweep(trials=3)
    assert asked.asked()["experiments"]["digits-mlp"]["trials"] == 3
