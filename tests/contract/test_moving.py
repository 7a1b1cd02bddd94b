"""Jobs put to an end of the line: when nothing is ready, when they were not due, and what else that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.work import EXIT_3, ahead_of, claim_all, job_of, put, run_one

if TYPE_CHECKING:
    from queuectl.store.base import Store
    from tests.support.clock import Clock

BOTH = pytest.mark.parametrize("first", [True, False], ids=["first", "last"])


def note(store: Store, job_id: int, *, first: bool) -> str:
    """Move a job, which can be, and return what is said of it."""
    (change,) = store.move([job_id], first=first)
    assert change.done
    return change.note


@BOTH
def test_where_nothing_is_ready_a_delayed_job_is_due(
    store: Store, clock: Clock, first: bool
) -> None:
    """As it would be next to a ready one; with the priority it had."""
    later = put(store, due_at=clock.now + 50_000, priority=3)
    other = put(store, due_at=clock.now + 60_000)
    assert note(store, later, first=first) == "it is due now"
    job = job_of(store, later)
    assert (job.priority, job.next_run_at, job.due_at <= clock.now) == (3, None, True)
    assert claim_all(store) == [later]
    assert job_of(store, other).next_run_at == clock.now + 60_000


@BOTH
def test_several_are_in_the_order_given(store: Store, clock: Clock, first: bool) -> None:
    """The first of them is the line for the others."""
    ids = [put(store, due_at=clock.now + 1000 * (9 - at)) for at in range(4)]
    asked = [ids[2], ids[0], ids[3]]
    assert [change.done for change in store.move(asked, first=first)] == [True] * 3
    clock.advance(5)
    assert claim_all(store) == asked


@BOTH
def test_a_job_that_waits_for_its_retry_is_due(store: Store, clock: Clock, first: bool) -> None:
    """With the attempts it had."""
    job_id = put(store)
    run_one(store, EXIT_3)
    assert note(store, job_id, first=first) == "it is due now"
    assert job_of(store, job_id).attempts == 1
    clock.advance(5)
    assert claim_all(store) == [job_id]


@BOTH
def test_a_held_job_is_due_and_held(store: Store, clock: Clock, first: bool) -> None:
    """It takes its place when it is let go."""
    job_id = put(store, due_at=clock.now + 50_000, paused=True)
    assert note(store, job_id, first=first) == "it is due now"
    assert claim_all(store) == []
    store.hold([job_id], held=False)
    assert claim_all(store) == [job_id]


def test_what_else_changes_is_told(store: Store, clock: Clock) -> None:
    """The priority, and that it is due; nothing where nothing does."""
    put(store)
    high = put(store, priority=5)
    low = put(store, priority=-2)
    assert note(store, high, first=True) == ""
    assert note(store, low, first=False) == ""
    assert note(store, high, first=False) == "its priority is -2 now"
    later = put(store, due_at=clock.now + 50_000)
    assert note(store, later, first=False) == "its priority is -2 now and it is due now"
    assert note(store, later, first=False) == ""


def test_what_is_due_is_ahead_before_a_claim_has_seen_it(store: Store, clock: Clock) -> None:
    """As the claim will."""
    high = put(store, due_at=clock.now + 1000, priority=1)
    job_id = put(store)
    put(store, due_at=clock.now + 1000)
    store.create_queue("closed")
    put(store, due_at=clock.now + 1000, priority=9, queue="closed")
    store.pause_queue("closed", paused=True)
    assert ahead_of(store, job_id) == 0
    clock.advance(1000)
    assert ahead_of(store, job_id) == 1
    assert ahead_of(store, high) == 0
    assert claim_all(store)[:2] == [high, job_id]
