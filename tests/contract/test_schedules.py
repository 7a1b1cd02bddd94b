"""Schedules and notes: small things that are as durable as jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.errors import NoSuchQueue
from queuectl.job import NewJob
from queuectl.store.base import Filter, Schedule
from tests.support.work import job_of, put

if TYPE_CHECKING:
    from queuectl.store.base import Store
    from tests.support.clock import Clock

NIGHTLY = Schedule("nightly", "0 3 * * *", "Europe/Berlin", "skip", "one", b"\x00job\xff", None)
TICK = [NewJob("tick", schedule="nightly")]


def the_schedule(store: Store) -> Schedule:
    """Return the one schedule."""
    (found,) = store.schedules()
    return found


def test_a_schedule_is_written_read_and_removed(store: Store) -> None:
    """Every field of it; writing it again replaces it."""
    full = NIGHTLY._replace(next_at=5, paused=True, last_at=4, last_job=3, note="n")
    store.put_schedule(full)
    store.put_schedule(NIGHTLY._replace(name="a"))
    assert store.schedules() == [NIGHTLY._replace(name="a"), full]
    store.put_schedule(NIGHTLY)
    assert store.schedules()[1] == NIGHTLY
    assert (store.remove_schedule("a"), store.remove_schedule("a")) == (True, False)
    assert store.schedules() == [NIGHTLY]


def test_next_due_tells_of_schedules(store: Store, clock: Clock) -> None:
    """Of those that are not paused; of whatever is first."""
    assert store.next_due() is None
    store.put_schedule(NIGHTLY._replace(next_at=clock.now + 500))
    assert store.next_due() == clock.now + 500
    put(store, due_at=clock.now + 400)
    assert store.next_due() == clock.now + 400
    store.put_schedule(NIGHTLY._replace(next_at=clock.now + 300, paused=True))
    assert store.next_due() == clock.now + 400


def test_a_schedule_fires_once(store: Store, clock: Clock) -> None:
    """The second who tries at that time does nothing."""
    store.put_schedule(NIGHTLY._replace(next_at=clock.now))
    ids = store.fire("nightly", clock.now, clock.now + 1000, TICK, None)
    assert ids is not None
    assert store.fire("nightly", clock.now, clock.now + 1000, TICK, None) is None
    assert the_schedule(store) == NIGHTLY._replace(
        next_at=clock.now + 1000, last_at=clock.now, last_job=ids[0]
    )
    assert [job.id for job in store.jobs(Filter(schedule="nightly"))] == ids
    assert job_of(store, ids[0]).schedule == "nightly"


@pytest.mark.parametrize("why", ["paused", "changed", "removed"])
def test_what_is_not_as_it_was_does_not_fire(store: Store, clock: Clock, why: str) -> None:
    """Nothing is enqueued."""
    store.put_schedule(NIGHTLY._replace(next_at=clock.now, paused=why == "paused"))
    if why == "removed":
        store.remove_schedule("nightly")
    due = clock.now - 1 if why == "changed" else clock.now
    assert store.fire("nightly", due, None, TICK, None) is None
    assert store.count(Filter()) == 0


def test_a_fire_may_make_no_job_and_say_why(store: Store, clock: Clock) -> None:
    """The last job it made stays known."""
    store.put_schedule(NIGHTLY._replace(next_at=clock.now, last_job=7))
    assert store.fire("nightly", clock.now, None, [], "skipped: job 7 was still running") == []
    found = the_schedule(store)
    assert (found.next_at, found.last_job) == (None, 7)
    assert found.note == "skipped: job 7 was still running"


def test_a_fire_that_cannot_enqueue_changes_nothing(store: Store, clock: Clock) -> None:
    """It is due as before."""
    store.put_schedule(NIGHTLY._replace(next_at=clock.now))
    with pytest.raises(NoSuchQueue):
        store.fire("nightly", clock.now, None, [NewJob("x", queue="gone")], None)
    assert the_schedule(store).next_at == clock.now


def test_a_unique_job_that_is_there_is_not_the_schedules(store: Store, clock: Clock) -> None:
    """It made none."""
    there = put(store, unique="k")
    store.put_schedule(NIGHTLY._replace(next_at=clock.now))
    assert store.fire("nightly", clock.now, None, [NewJob("x", unique="k")], None) == [there]
    assert the_schedule(store).last_job is None


# ---- notes -------------------------------------------------------------------------------------


def test_a_note_is_kept_replaced_and_forgotten(store: Store) -> None:
    """Bytes under a name."""
    assert store.note("a") is None
    store.put_note("a", b"\x00\xff")
    store.put_note("a", b"")
    store.put_note("b", b"2")
    assert (store.note("a"), store.note("b")) == (b"", b"2")
    store.put_note("a", None)
    store.put_note("a", None)
    assert (store.note("a"), store.note("b")) == (None, b"2")


def test_a_note_is_written_with_the_jobs_or_not_at_all(store: Store) -> None:
    """Who reads a file line by line enqueues each line once."""
    with store.transaction():
        put(store)
        store.put_note("spool/x", b"1")
    with pytest.raises(KeyError), store.transaction():
        put(store)
        store.put_note("spool/x", b"2")
        raise KeyError
    assert (store.note("spool/x"), store.count(Filter())) == (b"1", 1)


def test_old_notes_of_a_kind_can_be_pruned(store: Store, clock: Clock) -> None:
    """By when they were put last, and how their names begin, to the letter."""
    for name in ("request/1", "request/2", "request%", "spool/1"):
        store.put_note(name, b"")
    clock.advance(1000)
    store.put_note("request/2", b"")
    assert store.prune_notes("request/", clock.now) == 1
    found = [store.note(name) for name in ("request/1", "request/2", "request%", "spool/1")]
    assert found == [None, b"", b"", b""]
