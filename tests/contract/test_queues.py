"""Queues: what is changed about them, how they go, how they halt, what their jobs inherit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.errors import NoSuchQueue, Refused
from queuectl.job import PENDING
from queuectl.store.base import Rate
from tests.support.work import (
    EXIT_3,
    HOST,
    claim_all,
    claim_one,
    job_of,
    lose,
    put,
    put_many,
    run_one,
)

if TYPE_CHECKING:
    from queuectl.store.base import QueueInfo, Store
    from tests.support.clock import Clock

NO_RETRY = {"max-retries": "0"}


def queue_of(store: Store, name: str) -> QueueInfo:
    """Return a queue that must be there."""
    (found,) = [queue for queue in store.queues() if queue.name == name]
    return found


def test_a_queue_is_made_with_its_bounds_or_left_as_it_is(store: Store) -> None:
    """Nothing of a second try is taken over."""
    assert store.create_queue("q", limit=2, rate=Rate(5, 1000), pull=True)
    assert not store.create_queue("q")
    queue = queue_of(store, "q")
    assert (queue.limit, queue.rate, queue.pull) == (2, Rate(5, 1000), True)
    assert (queue.paused, queue.paused_why, queue.deaths, queue.open_at) == (False, None, 0, None)


def test_bounds_can_be_changed_one_by_one(store: Store) -> None:
    """And taken back; they hold from the next claim on."""
    store.create_queue("q")
    ids = put_many(store, 5, queue="q")
    store.change_queue("q", {"limit": 1})
    assert [claim.job_id for claim in store.claim(HOST, 9)] == ids[:1]
    store.change_queue("q", {"limit": 3})
    assert [claim.job_id for claim in store.claim(HOST, 9)] == ids[1:3]
    store.change_queue("q", {"rate": Rate(1, 1000), "pull": True})
    queue = queue_of(store, "q")
    assert (queue.limit, queue.rate, queue.pull) == (3, Rate(1, 1000), True)
    store.change_queue("q", {"limit": None, "rate": None, "pull": False})
    assert claim_all(store) == ids[3:]
    with pytest.raises(NoSuchQueue, match="did you mean q"):
        store.change_queue("qq", {"limit": 1})


def test_a_faster_rate_does_not_wait_for_the_slower_one(store: Store, clock: Clock) -> None:
    """What it closed opens when the new one says."""
    store.create_queue("q", rate=Rate(1, 3_600_000))
    ids = put_many(store, 2, queue="q")
    claim_one(store)
    store.change_queue("q", {"rate": Rate(1, 1000)})
    assert queue_of(store, "q").open_at == clock.now + 1000
    clock.advance(1000)
    assert claim_all(store) == ids[1:]


def test_an_empty_queue_can_be_removed_with_its_settings(store: Store) -> None:
    """A later one of that name has none of them."""
    store.create_queue("q", limit=1)
    store.set("max-retries", "7", "q")
    job_id = put(store, queue="q")
    with pytest.raises(Refused, match="has a job"):
        store.remove_queue("q")
    put(store, queue="q")
    with pytest.raises(Refused, match="has 2 jobs"):
        store.remove_queue("q")
    run_one(store)
    store.remove([job_id, job_id + 1])
    store.remove_queue("q")
    with pytest.raises(NoSuchQueue):
        put(store, queue="q")
    assert store.create_queue("q")
    assert (store.settings("q"), queue_of(store, "q").limit) == ({}, None)
    job = put(store, queue="q")
    assert job_of(store, job).max_retries == 3
    assert claim_all(store) == [job]


@pytest.mark.parametrize("name", ["default", "hooks"])
def test_some_queues_are_always_there(store: Store, name: str) -> None:
    """They cannot be removed."""
    with pytest.raises(Refused):
        store.remove_queue(name)
    with pytest.raises(NoSuchQueue):
        store.remove_queue(name + "x")


def test_a_queue_halts_itself_when_too_many_of_its_jobs_died(store: Store) -> None:
    """It says why, and counts anew when it is resumed."""
    store.create_queue("q")
    store.set("halt-on", "2", "q")
    put_many(store, 5, queue="q", policy=NO_RETRY)
    run_one(store, EXIT_3)
    queue = queue_of(store, "q")
    assert (queue.paused, queue.deaths) == (False, 1)
    run_one(store, EXIT_3)
    queue = queue_of(store, "q")
    assert (queue.paused, queue.paused_why, queue.deaths) == (
        True, "2 jobs died (halt-on 2)", 2,
    )  # fmt: skip
    assert store.claim(HOST, 9) == []
    store.pause_queue("q", paused=False)
    queue = queue_of(store, "q")
    assert (queue.paused, queue.paused_why, queue.deaths) == (False, None, 0)
    run_one(store, EXIT_3)
    assert not queue_of(store, "q").paused


def test_a_lost_host_is_a_death_too(store: Store) -> None:
    """When it was the last the job had."""
    store.set("halt-on", "1", "default")
    put(store, policy=NO_RETRY)
    while store.counts()[PENDING]:
        lose(store, claim_one(store))
    assert queue_of(store, "default").paused_why == "1 job died (halt-on 1)"


def test_failures_and_other_queues_do_not_halt(store: Store) -> None:
    """Only deaths in the queue itself."""
    store.create_queue("q")
    store.set("halt-on", "1", "q")
    put(store, queue="q")
    run_one(store, EXIT_3)
    put(store, policy=NO_RETRY)
    run_one(store, EXIT_3)
    assert not queue_of(store, "q").paused
    assert queue_of(store, "default").deaths == 1


def test_who_pauses_a_queue_gives_no_reason(store: Store) -> None:
    """Nobody has to explain."""
    store.pause_queue("default", paused=True)
    assert (queue_of(store, "default").paused, queue_of(store, "default").paused_why) == (
        True,
        None,
    )


def test_a_paused_queue_takes_new_kinds_of_jobs_without_running_them(store: Store) -> None:
    """Also those it never had before."""
    store.pause_queue("default", paused=True)
    job_id = put(store, needs={"slots": 2})
    assert store.claim(HOST, 9) == []
    store.pause_queue("default", paused=False)
    assert [claim.job_id for claim in store.claim(HOST, 9)] == [job_id]


def test_a_queue_says_the_priority_of_jobs_that_leave_it_open(store: Store) -> None:
    """Their own wins, also 0; jobs that are there keep theirs."""
    old = put(store)
    store.set("priority", "5", "default")
    new, own = put(store), put(store, priority=0)
    assert [job_of(store, job_id).priority for job_id in (old, new, own)] == [0, 5, 0]
    assert claim_all(store) == [new, old, own]


def test_a_message_is_kept_with_its_job(store: Store) -> None:
    """To the byte, and given to who runs it."""
    job_id = put(store, "convert", message="a \udcff.wav")
    assert job_of(store, job_id).message == "a \udcff.wav"
    assert claim_one(store).message == "a \udcff.wav"
