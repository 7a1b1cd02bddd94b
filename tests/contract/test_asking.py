"""What people ask for: cancel, retry, remove, prune, and wishes to the host of a running job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from queuectl.job import CANCELLED, COMPLETED, DEAD, FAILED, PENDING, PROCESSING, Output
from queuectl.store.base import Changed, Filter
from tests.support.work import (
    EXIT_0,
    EXIT_3,
    HOST,
    OTHER,
    claim_all,
    claim_and_start,
    claim_one,
    job_of,
    lose,
    put,
    put_many,
    run_one,
    settle,
)

if TYPE_CHECKING:
    from pathlib import Path

    from queuectl.job import State
    from queuectl.store.base import Store
    from tests.support.clock import Clock

#: ids that no job can have
NOBODY = (0, -1, 10**6, 2**63 - 1, 2**63, 2**64 + 1, -(2**70))


def put_in(store: Store, state: State, **fields: Any) -> int:
    """Put a job in a state of the choosing, by what leads there."""
    policy = {"max-retries": "0" if state == DEAD else "3"}
    job_id = put(store, priority=100, policy=policy, **fields)
    if state == CANCELLED:
        store.cancel([job_id])
    elif state == PROCESSING:
        claim_and_start(store)
    elif state != PENDING:
        run_one(store, EXIT_0 if state == COMPLETED else EXIT_3)
    assert job_of(store, job_id).state == state
    return job_id


# ---- cancel ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [PENDING, FAILED])
def test_a_waiting_job_is_cancelled_at_once(store: Store, clock: Clock, state: State) -> None:
    """It stays listed and is never run."""
    job_id = put_in(store, state)
    at = clock.advance(10)
    assert store.cancel([job_id]) == [Changed(job_id, done=True, state=CANCELLED)]
    job = job_of(store, job_id)
    assert (job.state, job.reason, job.finished_at) == (CANCELLED, "cancelled", at)
    assert (job.next_run_at, job.cancel_requested) == (None, False)
    clock.advance(10**9)
    assert store.claim(HOST, 1) == []


@pytest.mark.parametrize("state", [COMPLETED, DEAD, CANCELLED])
def test_a_final_job_cannot_be_cancelled(store: Store, state: State) -> None:
    """The answer says why, and nothing changes."""
    job_id = put_in(store, state)
    before = job_of(store, job_id)
    assert store.cancel([job_id]) == [
        Changed(job_id, done=False, why=f"already {state}", state=state)
    ]
    assert job_of(store, job_id) == before


@pytest.mark.parametrize(("now", "kind"), [(False, "cancel"), (True, "cancel-now")])
def test_cancelling_a_running_job_asks_its_host(store: Store, now: bool, kind: str) -> None:
    """The state stays processing until the host has ended it."""
    job_id = put_in(store, PROCESSING)
    assert store.cancel([job_id], now=now) == [Changed(job_id, done=True, state=PROCESSING)]
    job = job_of(store, job_id)
    assert (job.state, job.cancel_requested) == (PROCESSING, True)
    (wish,) = store.take_wishes(HOST)
    assert (wish.job_id, wish.token, wish.kind) == (job_id, job.token, kind)


def test_cancelling_a_claimed_job_asks_its_host(store: Store) -> None:
    """It may be starting it at this moment."""
    put(store)
    claim = claim_one(store)
    assert store.cancel([claim.job_id])[0].done
    job = job_of(store, claim.job_id)
    assert (job.state, job.cancel_requested) == (PENDING, True)
    assert [wish.kind for wish in store.take_wishes(HOST)] == ["cancel"]


def test_a_cancel_that_lost_against_the_end_leaves_nothing_behind(store: Store) -> None:
    """A fresh start of the job is not cancelled by an old request."""
    put(store)
    claim = claim_and_start(store)
    store.cancel([claim.job_id])
    settle(store, claim, EXIT_0)
    store.retry([claim.job_id])
    assert run_one(store, EXIT_3).state == FAILED


def test_ids_are_answered_one_by_one(store: Store) -> None:
    """What cannot be done does not stop the rest."""
    done, pending = put_in(store, COMPLETED), put(store)
    answers = store.cancel([done, 999, pending])
    assert [(answer.job_id, answer.done) for answer in answers] == [
        (done, False), (999, False), (pending, True),
    ]  # fmt: skip
    assert answers[1] == Changed(999, done=False, why="does not exist")


@pytest.mark.parametrize("verb", ["cancel", "retry", "remove"])
@pytest.mark.parametrize("job_id", NOBODY)
def test_an_id_that_no_job_has_is_answered_and_changes_nothing(
    store: Store, verb: str, job_id: int
) -> None:
    """Also one that no integer column could hold."""
    put(store)
    assert getattr(store, verb)([job_id]) == [Changed(job_id, done=False, why="does not exist")]
    assert store.wish([job_id], "signal") == [Changed(job_id, done=False, why="does not exist")]
    assert store.get(job_id) is None
    assert store.attempts(job_id) == []
    assert store.output(job_id, 1) is None
    assert store.counts()[PENDING] == 1


# ---- retry -------------------------------------------------------------------------------------


def test_retry_makes_a_failed_job_due_now(store: Store, clock: Clock) -> None:
    """Attempts and reason stay: the budget is not reset."""
    job_id = put_in(store, FAILED)
    at = clock.advance(10)
    assert store.retry([job_id]) == [Changed(job_id, done=True, state=FAILED)]
    job = job_of(store, job_id)
    assert (job.state, job.attempts, job.reason) == (FAILED, 1, "exit 3")
    assert (job.due_at, job.next_run_at) == (at, None)
    assert claim_one(store).run == 2


@pytest.mark.parametrize("state", [DEAD, CANCELLED, COMPLETED])
def test_retry_of_a_final_job_is_a_fresh_start(store: Store, clock: Clock, state: State) -> None:
    """Pending, attempts 0, due now; id, policy and history stay."""
    job_id = put_in(store, state)
    before, history = job_of(store, job_id), store.attempts(job_id)
    at = clock.advance(10)
    assert store.retry([job_id]) == [Changed(job_id, done=True, state=PENDING)]
    job = job_of(store, job_id)
    assert (job.state, job.attempts, job.deliveries, job.due_at) == (PENDING, 0, 0, at)
    assert (job.finished_at, job.next_run_at) == (None, None)
    assert (job.runs, job.policy, job.max_retries) == (
        before.runs, before.policy, before.max_retries,
    )  # fmt: skip
    assert store.attempts(job_id) == history
    assert claim_one(store).run == before.runs + 1


def test_a_fresh_start_has_all_its_retries_again(store: Store, clock: Clock) -> None:
    """And its deliveries; runs go on."""
    job_id = put(store, policy={"max-retries": "1"})
    for _ in range(2):
        states = []
        for _ in range(2):
            states.append(run_one(store, EXIT_3).state)
            clock.advance(10**6)
        assert states == [FAILED, DEAD]
        store.retry([job_id])
    assert [attempt.run for attempt in store.attempts(job_id)] == [1, 2, 3, 4]


def test_a_job_buried_by_lost_claims_can_be_started_afresh(store: Store) -> None:
    """Its deliveries start from nothing too."""
    job_id = put(store, policy={"max-retries": "0"})
    for _ in range(4):
        lose(store, claim_one(store))
    assert job_of(store, job_id).state == DEAD
    store.retry([job_id])
    assert lose(store, claim_one(store)).state == PENDING


def test_a_fresh_start_keeps_the_standard_input(store: Store) -> None:
    """The payload belongs to the job, not to its first run."""
    job_id = put(store, stdin=b"in")
    run_one(store)
    store.retry([job_id])
    assert claim_one(store).stdin == b"in"


def test_retry_of_a_pending_job_is_refused(store: Store) -> None:
    """It has not been run yet."""
    job_id = put(store)
    assert store.retry([job_id]) == [
        Changed(job_id, done=False, why="has not been run yet", state=PENDING)
    ]


def test_retry_of_a_job_that_a_host_has_is_refused(store: Store) -> None:
    """Started or only claimed."""
    put_many(store, 2)
    running = claim_and_start(store)
    claimed = claim_one(store)
    answers = store.retry([running.job_id, claimed.job_id])
    assert [answer.done for answer in answers] == [False, False]
    assert job_of(store, running.job_id).state == PROCESSING


def test_retry_of_a_named_job_is_refused_while_another_has_the_name(store: Store) -> None:
    """The answer says which."""
    old = put(store, name="nightly")
    run_one(store)
    new = put(store, name="nightly")
    (answer,) = store.retry([old])
    assert (answer.done, answer.state) == (False, COMPLETED)
    assert answer.why == f"its name is taken by job {new}"
    store.cancel([new])
    assert store.retry([old])[0].done


def test_of_two_jobs_with_a_name_one_is_retried(store: Store) -> None:
    """The second of the same request finds the name taken."""
    ids = []
    for _ in range(2):
        ids.append(put(store, name="nightly"))
        run_one(store)
    assert [answer.done for answer in store.retry(ids)] == [True, False]


def test_a_held_job_stays_held_when_it_is_retried(store: Store) -> None:
    """Only `resume` lets it go."""
    job_id = put(store, paused=True)
    store.cancel([job_id])
    store.retry([job_id])
    assert job_of(store, job_id).state == PENDING
    assert store.claim(HOST, 1) == []


# ---- remove and prune --------------------------------------------------------------------------


@pytest.mark.parametrize("state", [PENDING, FAILED, COMPLETED, DEAD, CANCELLED])
def test_remove_deletes_a_job_with_all_that_belongs_to_it(store: Store, state: State) -> None:
    """History, output and name go with it."""
    kept = put(store)
    job_id = put_in(store, state, name="gone", stdin=b"x")
    assert store.remove([job_id]) == [Changed(job_id, done=True, state=state)]
    assert store.get(job_id) is None
    assert store.attempts(job_id) == []
    assert store.id_of_name("gone") is None
    assert [job.id for job in store.jobs(Filter())] == [kept]
    put(store, name="gone")


def test_remove_deletes_the_output(store: Store, tmp_path: Path) -> None:
    """What is in the store, and the file that is not."""
    file = tmp_path / "1-1"
    file.write_bytes(b"much")
    put_many(store, 2)
    run_one(store, EXIT_0._replace(output=Output(b"", b"", str(file), 4)))
    run_one(store, EXIT_0._replace(output=Output(b"few", b"", None, 3)))
    store.remove([1, 2])
    assert store.output(1, 1) is None
    assert store.output(2, 1) is None
    assert not file.exists()


def test_a_job_that_a_host_has_is_not_removed(store: Store) -> None:
    """Started or only claimed."""
    put_many(store, 2)
    running = claim_and_start(store)
    claimed = claim_one(store)
    answers = store.remove([running.job_id, claimed.job_id])
    assert [answer.done for answer in answers] == [False, False]
    assert "running" in answers[0].why
    assert settle(store, running).state == COMPLETED


def test_removing_twice_finds_nothing_the_second_time(store: Store) -> None:
    """In one request, too."""
    job_id = put(store)
    assert [answer.done for answer in store.remove([job_id, job_id])] == [True, False]


def test_prune_deletes_final_jobs_that_finished_before_a_time(store: Store, clock: Clock) -> None:
    """Not at it, not after it, and no others."""
    old = put_in(store, COMPLETED)
    at = clock.advance(1000)
    new = put_in(store, COMPLETED)
    dead = put_in(store, DEAD)
    waiting = put(store)
    assert store.prune((COMPLETED,), at) == 1
    assert [job.id for job in store.jobs(Filter())] == [new, dead, waiting]
    assert store.get(old) is None


def test_prune_takes_only_the_states_it_is_told(store: Store) -> None:
    """Several at once; none, nothing."""
    ids = {state: put_in(store, state) for state in (COMPLETED, CANCELLED, DEAD)}
    assert store.prune((), None) == 0
    assert store.prune((COMPLETED, CANCELLED), None) == 2
    assert [job.id for job in store.jobs(Filter())] == [ids[DEAD]]


def test_prune_never_takes_a_job_that_is_not_final(store: Store) -> None:
    """Whatever it is told."""
    for state in (FAILED, PROCESSING, PENDING):
        put_in(store, state)
    assert store.prune((PENDING, FAILED, PROCESSING), None) == 0
    assert store.count(Filter()) == 3


def test_prune_takes_the_oldest_first_and_no_more_than_told(store: Store, clock: Clock) -> None:
    """So it can be done in small steps."""
    ids = []
    for _ in range(5):
        ids.append(put_in(store, COMPLETED))
        clock.advance(10)
    assert store.prune((COMPLETED,), None, 2) == 2
    assert [job.id for job in store.jobs(Filter())] == ids[2:]
    assert store.prune((COMPLETED,), None, 9) == 3
    assert store.prune((COMPLETED,), None, 9) == 0


def test_prune_deletes_history_and_output(store: Store, tmp_path: Path) -> None:
    """Like remove."""
    file = tmp_path / "1-1"
    file.write_bytes(b"much")
    put(store)
    run_one(store, EXIT_0._replace(output=Output(b"", b"", str(file), 4)))
    store.prune((COMPLETED,), None)
    assert store.attempts(1) == []
    assert not file.exists()


# ---- wishes ------------------------------------------------------------------------------------


def test_a_wish_reaches_the_host_of_a_running_job(store: Store) -> None:
    """Once, in order, with its payload."""
    job_id = put_in(store, PROCESSING)
    store.wish([job_id], "signal", b"USR1")
    answers = store.wish([job_id], "send", b"yes\n\x00")
    assert answers == [Changed(job_id, done=True, state=PROCESSING)]
    token = job_of(store, job_id).token
    assert store.take_wishes(OTHER) == []
    wishes = store.take_wishes(HOST)
    assert [(wish.job_id, wish.token, wish.kind, wish.payload) for wish in wishes] == [
        (job_id, token, "signal", b"USR1"), (job_id, token, "send", b"yes\n\x00"),
    ]  # fmt: skip
    assert wishes[0].id < wishes[1].id
    assert store.take_wishes(HOST) == []


@pytest.mark.parametrize("state", [PENDING, FAILED, COMPLETED, DEAD, CANCELLED])
def test_a_job_that_is_not_running_grants_no_wish(store: Store, state: State) -> None:
    """The answer says why."""
    job_id = put_in(store, state)
    assert store.wish([job_id], "pause") == [
        Changed(job_id, done=False, why="is not running", state=state)
    ]
    assert store.take_wishes(HOST) == []


def test_wishes_go_to_each_jobs_own_host(store: Store) -> None:
    """One request, several hosts."""
    put_many(store, 2)
    mine, other = claim_and_start(store), claim_and_start(store, OTHER)
    store.wish([mine.job_id, other.job_id], "pause")
    assert [wish.job_id for wish in store.take_wishes(HOST)] == [mine.job_id]
    assert [wish.job_id for wish in store.take_wishes(OTHER)] == [other.job_id]


def test_a_wish_names_the_claim_it_was_meant_for(store: Store) -> None:
    """A host that runs the job again can tell that it is not meant."""
    put(store)
    claim = claim_and_start(store)
    store.wish([claim.job_id], "signal", b"9")
    settle(store, claim, EXIT_0)
    store.retry([claim.job_id])
    again = claim_and_start(store)
    (wish,) = store.take_wishes(HOST)
    assert wish.token == claim.token != again.token


def test_edits_of_a_claimed_jobs_neighbours_leave_it_alone(store: Store) -> None:
    """Everything else can be cancelled, removed and retried around it."""
    put_many(store, 4)
    claim = claim_and_start(store)
    store.cancel([2])
    store.remove([3])
    assert claim_all(store) == [4]
    assert settle(store, claim).state == COMPLETED


# ---- retry with the attempts kept ---------------------------------------------------------------


def test_retry_can_keep_the_attempts_of_a_dead_job(store: Store) -> None:
    """It is run once more and, failing, is dead again; run numbers go on."""
    job_id = put_in(store, DEAD)
    assert store.retry([job_id], keep_attempts=True)[0].done
    assert job_of(store, job_id).attempts == 1
    assert run_one(store, EXIT_3).state == DEAD
    assert (job_of(store, job_id).attempts, job_of(store, job_id).runs) == (2, 2)
    store.retry([job_id], keep_attempts=True)
    assert run_one(store, EXIT_0).state == COMPLETED


def test_retry_can_keep_what_is_left_of_the_retries(store: Store, clock: Clock) -> None:
    """A job cancelled while it waited has those it had not used."""
    job_id = put(store, policy={"max-retries": "2"})
    run_one(store, EXIT_3)
    store.cancel([job_id])
    store.retry([job_id], keep_attempts=True)
    states = []
    for _ in range(2):
        states.append(run_one(store, EXIT_3).state)
        clock.advance(10**6)
    assert states == [FAILED, DEAD]


def test_a_lost_job_with_its_attempts_kept_is_not_buried_at_once(store: Store) -> None:
    """At least one run is what it was given."""
    job_id = put(store, policy={"max-retries": "0"})
    for _ in range(4):
        lose(store, claim_one(store))
    assert job_of(store, job_id).state == DEAD
    store.retry([job_id], keep_attempts=True)
    assert run_one(store, EXIT_0).state == COMPLETED
