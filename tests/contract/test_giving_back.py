"""Claims that end without an end of the job: released by their host, or lost with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.job import CANCELLED, DEAD, FAILED, LOST, PENDING, STOPPED
from queuectl.store.base import Held, Settled
from tests.support.work import (
    EXIT_3,
    HOST,
    OTHER,
    claim_and_start,
    claim_one,
    job_of,
    lose,
    put,
    put_many,
    release,
    run_one,
    settle,
    start,
)

if TYPE_CHECKING:
    from queuectl.store.base import Store
    from tests.support.clock import Clock


def test_a_released_claim_is_as_if_it_had_never_been_made(store: Store) -> None:
    """Not a field of the job differs."""
    job_id = put(store)
    before = job_of(store, job_id)
    assert release(store, claim_one(store)) == 1
    assert job_of(store, job_id) == before
    assert store.attempts(job_id) == []


def test_a_released_retry_is_as_it_was(store: Store, clock: Clock) -> None:
    """Failed, with the reason and exit status of its last attempt, due since the same time."""
    job_id = put(store)
    run_one(store, EXIT_3)
    before = job_of(store, job_id)
    clock.advance(5000)
    release(store, claim_one(store))
    after = job_of(store, job_id)
    assert after._replace(next_run_at=None) == before._replace(next_run_at=None)


def test_a_release_after_the_start_takes_the_start_back(store: Store, clock: Clock) -> None:
    """The attempt ends as stopped; neither attempt nor delivery is counted; the run is used."""
    put(store)
    claim = claim_and_start(store)
    clock.advance(700)
    assert release(store, claim) == 1
    job = job_of(store, claim.job_id)
    assert (job.state, job.attempts, job.deliveries, job.runs) == (PENDING, 0, 0, 1)
    (attempt,) = store.attempts(job.id)
    assert (attempt.kind, attempt.reason, attempt.finished_at) == (STOPPED, "stopped", clock.now)
    assert claim_one(store).run == 2


def test_a_release_of_a_started_retry_leaves_it_failed(store: Store, clock: Clock) -> None:
    """Attempts as before, and due at once."""
    put(store)
    run_one(store, EXIT_3)
    clock.advance(2000)
    release(store, claim_and_start(store))
    job = job_of(store, 1)
    assert (job.state, job.attempts, job.runs, job.reason) == (FAILED, 1, 2, "exit 3")
    assert claim_one(store).run == 3


def test_releases_never_bury_a_job(store: Store) -> None:
    """Handing back is not counted, however often."""
    put(store, policy={"max-retries": "0"})
    for turn in range(20):
        claim = claim_one(store)
        if turn % 2:
            start(store, claim)
        assert release(store, claim) == 1
    assert job_of(store, 1).state == PENDING


def test_a_release_counts_only_current_claims(store: Store) -> None:
    """Twice is once; a foreign token is nobody's."""
    put_many(store, 3)
    one, two, three = store.claim(HOST, 3)
    claims = [(one.job_id, one.token), (one.job_id, one.token), (two.job_id, three.token)]
    assert store.release(claims) == 1
    assert store.release([]) == 0
    assert [held.job_id for held in store.held_by(HOST)] == [two.job_id, three.job_id]


def test_a_released_job_that_is_being_cancelled_ends_cancelled(store: Store, clock: Clock) -> None:
    """Nobody else gets it."""
    put(store)
    claim = claim_and_start(store)
    store.cancel([claim.job_id])
    release(store, claim)
    job = job_of(store, claim.job_id)
    assert (job.state, job.reason, job.finished_at) == (CANCELLED, "cancelled", clock.now)
    assert store.claim(OTHER, 1) == []


def test_a_lost_claim_counts_as_a_delivery_only(store: Store) -> None:
    """It is pending again, at once and in its place, with no attempt."""
    first, _ = put_many(store, 2)
    claim = claim_one(store)
    assert lose(store, claim) == Settled(first, PENDING)
    job = job_of(store, first)
    assert (job.attempts, job.deliveries, job.runs, job.token) == (0, 1, 0, None)
    assert store.attempts(first) == []
    assert claim_one(store, OTHER).job_id == first


@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_lost_claims_bury_a_job_after_its_retries_and_three_to_spare(
    store: Store, clock: Clock, max_retries: int
) -> None:
    """More than max-retries + 3 deliveries without an end: one that kills its host ends in the DLQ."""
    put(store, policy={"max-retries": str(max_retries)})
    states = [lose(store, claim_one(store)).state for _ in range(max_retries + 4)]
    assert states == [PENDING] * (max_retries + 3) + [DEAD]
    job = job_of(store, 1)
    assert job.reason == f"claimed {max_retries + 4} times without an end"
    assert (job.finished_at, job.attempts) == (clock.now, 0)


def test_a_lost_retry_stays_failed_with_its_reason(store: Store, clock: Clock) -> None:
    """And is due at once."""
    put(store)
    run_one(store, EXIT_3)
    clock.advance(2000)
    assert lose(store, claim_one(store)).state == FAILED
    job = job_of(store, 1)
    assert (job.reason, job.exit_code, job.attempts, job.deliveries) == ("exit 3", 3, 1, 2)
    assert claim_one(store).job_id == 1


def test_a_lost_claim_whose_start_is_known_is_a_failed_attempt(store: Store, clock: Clock) -> None:
    """A start that arrived in between is not forgotten: the attempt ends as lost, and counts."""
    put(store)
    claim = claim_and_start(store)
    assert lose(store, claim).state == FAILED
    job = job_of(store, claim.job_id)
    assert (job.attempts, job.runs, job.reason) == (1, 1, "worker lost")
    (attempt,) = store.attempts(job.id)
    assert (attempt.kind, attempt.finished_at) == (LOST, clock.now)


def test_a_lost_job_that_is_being_cancelled_ends_cancelled(store: Store) -> None:
    """The host that was asked is gone."""
    put(store)
    claim = claim_one(store)
    store.cancel([claim.job_id])
    assert lose(store, claim).state == CANCELLED


def test_losses_are_answered_one_by_one(store: Store) -> None:
    """A stale token is refused among others."""
    put_many(store, 3)
    claims = store.claim(HOST, 3)
    settle(store, claims[1])
    lost = store.lose([(claim.job_id, claim.token) for claim in claims])
    assert [one.state for one in lost] == [PENDING, None, PENDING]


def test_held_by_tells_what_a_host_has_and_what_has_started(store: Store, clock: Clock) -> None:
    """The run is the one that its start has, or would have."""
    put_many(store, 4)
    waiting, running, ended = store.claim(HOST, 3)
    other = claim_one(store, OTHER)
    at = clock.advance(50)
    start(store, running)
    settle(store, ended)
    assert sorted(store.held_by(HOST)) == [
        Held(waiting.job_id, waiting.token, 1, None),
        Held(running.job_id, running.token, 1, at),
    ]
    assert store.held_by(OTHER) == [Held(other.job_id, other.token, 1, None)]
    assert store.held_by("nobody") == []


def test_held_by_numbers_a_retry_as_its_claim_does(store: Store, clock: Clock) -> None:
    """Claimed and then started, the run is the same."""
    put(store)
    run_one(store, EXIT_3)
    clock.advance(2000)
    claim = claim_one(store)
    assert [held.run for held in store.held_by(HOST)] == [claim.run] == [2]
    start(store, claim)
    assert [held.run for held in store.held_by(HOST)] == [2]
