"""Who has a run in an object store, when several processes would."""

import json
import re
import threading
import time

import pytest

from pipeline.errors import RequestError, StorageError
from pipeline.records.store import lease as leases
from pipeline.records.store.lease import Lease
from pipeline.records.store.remote import location

BEAT_S, LEASE_S = 1.2, 6.0  # a store counts whole seconds


@pytest.fixture
def place(bucket, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", BEAT_S)
    monkeypatch.setattr(leases, "LEASE_S", LEASE_S)
    monkeypatch.setattr(leases, "SETTLE_S", 0.5)
    return location(f"{bucket}/mine/.lock")


@pytest.fixture
def lease(place):
    made = []

    def make():
        made.append(Lease(place, place.parent))
        return made[-1]

    yield make
    for one in made:
        one.release()


def nothing(text):
    pass


def left_behind(place):
    """As by a process that was killed."""
    place.write_bytes(json.dumps({"owner": "somebody", "host": "there", "process": 7}).encode())


def test_one_that_is_free_is_taken_at_once_and_let_go(place, lease):
    for _ in range(2):
        one = lease()
        said = []
        one.acquire(said.append)
        assert json.loads(place.read_bytes()).keys() == {"owner", "host", "process"}
        one.check()
        one.release()
        assert place.written() is None and said == []


def test_a_second_process_is_refused_while_the_first_lives(place, lease):
    lease().acquire(nothing)
    time.sleep(LEASE_S)  # only who is heard of keeps it
    said = []
    with pytest.raises(
        RequestError,
        match=f"must belong to one process; {place.parent} is in use by another, process",
    ):
        lease().acquire(said.append)
    assert len(said) == 1 and re.fullmatch(
        r"waiting up to \d s, to see whether process \d+ of .* still has .*", said[0]
    )


@pytest.mark.slow
def test_that_of_a_dead_process_is_taken_once_it_would_have_been_renewed(place, lease):
    left_behind(place)
    began, said = time.monotonic(), []
    lease().acquire(said.append)
    assert time.monotonic() - began > LEASE_S - 2
    assert "whether process 7 of there still has" in said[0]


@pytest.mark.slow
def test_one_that_is_long_dead_is_not_waited_for(place, lease):
    left_behind(place)
    time.sleep(LEASE_S + 1)
    lease().acquire(lambda text: pytest.fail(text))


def test_of_two_that_take_it_at_once_one_gets_it(place, lease):
    outcomes = []

    def acquire(one):
        try:
            one.acquire(nothing)
            outcomes.append("taken")
        except RequestError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=acquire, args=[lease()]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("taken") == 1 and "is in use by another" in "".join(outcomes)


@pytest.mark.slow
def test_one_that_another_takes_while_its_age_is_found_out_is_left_to_it(place, lease, monkeypatch):
    left_behind(place)
    time.sleep(LEASE_S + 1)
    outwait = Lease._outwait

    def outwait_and_be_late(*given):
        outwait(*given)
        place.write_bytes(b'{"owner": "another", "host": "here", "process": 8}')

    monkeypatch.setattr(Lease, "_outwait", outwait_and_be_late)
    with pytest.raises(RequestError, match="is in use by another, process 8 of here"):
        lease().acquire(nothing)
    assert json.loads(place.read_bytes())["owner"] == "another"


def test_one_whose_taking_is_interrupted_is_let_go(place, lease, monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lease().acquire(nothing)
    assert place.written() is None


def test_who_was_frozen_learns_that_another_has_it(place, lease, monkeypatch):
    one = lease()
    one.acquire(nothing)
    one.check()
    left_behind(place)  # as by another that took it over
    until = time.monotonic() + 20
    with pytest.raises(
        StorageError,
        match=r"mine was taken over by process 7 of there, as this process was not heard",
    ):
        while time.monotonic() < until:
            one.check()
            time.sleep(0.1)
    one.release()
    assert json.loads(place.read_bytes())["owner"] == "somebody"
