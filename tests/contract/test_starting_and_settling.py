"""The life of a claim: it starts, it ends, and what follows from how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.job import (
    CANCELLED,
    CANNOT_START,
    COMPLETED,
    DEAD,
    EXIT,
    FAILED,
    LOST,
    PENDING,
    PROCESSING,
    SIGNAL,
    STOPPED,
    TIMEOUT,
    Attempt,
    Outcome,
    Output,
)
from queuectl.store.base import Filter, Settled, Settlement, Start
from tests.support.work import (
    EXIT_0,
    EXIT_3,
    GIVEN_BACK,
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
    from queuectl.job import Claim
    from queuectl.store.base import Store
    from tests.support.clock import Clock

FAILURES = {
    "exit 1": Outcome(EXIT, 1),
    "exit 255": Outcome(EXIT, 255),
    "signal 9": Outcome(SIGNAL, 9),
    "timeout after 30s": Outcome(TIMEOUT, 15, "30s"),
    "timeout": Outcome(TIMEOUT, 9),
    "cannot start: no such file": Outcome(CANNOT_START, None, "no such file"),
    "worker lost": Outcome(LOST),
    "worker lost: stalled": Outcome(LOST, None, "stalled"),
}


def test_a_start_makes_the_job_processing_and_counts_an_attempt(store: Store, clock: Clock) -> None:
    """The attempt is there while it runs."""
    put(store)
    due = clock.now
    claim = claim_one(store)
    at = clock.advance(30)
    assert start(store, claim)
    job = job_of(store, claim.job_id)
    assert (job.state, job.attempts, job.runs, job.deliveries) == (PROCESSING, 1, 1, 1)
    assert (job.started_at, job.finished_at, job.next_run_at) == (at, None, None)
    assert store.attempts(job.id) == [
        Attempt(job.id, 1, HOST, due, at, None, None, None, None, 0, 0, 0, 0, 0)
    ]


def test_a_start_said_twice_counts_once(store: Store) -> None:
    """The second one is true as well."""
    put(store)
    claim = claim_and_start(store)
    assert start(store, claim)
    assert job_of(store, claim.job_id).attempts == 1
    assert len(store.attempts(claim.job_id)) == 1


def test_starts_are_answered_one_by_one(store: Store) -> None:
    """A stale token among them is refused without stopping the others."""
    put_many(store, 3)
    claims = store.claim(HOST, 3)
    release(store, claims[1])
    starts = [Start(claim.job_id, claim.token, claim.run, store.now()) for claim in claims]
    assert store.start(starts) == [True, False, True]
    assert store.counts()[PROCESSING] == 2
    assert store.start([]) == []


def test_exit_0_completes_the_job(store: Store, clock: Clock) -> None:
    """And nothing else is left to be done."""
    put(store)
    claim = claim_and_start(store)
    at = clock.advance(500)
    assert settle(store, claim) == Settled(claim.job_id, COMPLETED)
    job = job_of(store, claim.job_id)
    assert (job.state, job.reason, job.exit_code) == (COMPLETED, "exit 0", 0)
    assert (job.finished_at, job.next_run_at, job.host, job.token) == (at, None, None, None)
    assert (job.attempts, job.deliveries, job.runs) == (1, 1, 1)
    assert store.claim(HOST, 1) == []


@pytest.mark.parametrize("reason", FAILURES)
def test_any_other_ending_is_a_failure_that_is_tried_again(
    store: Store, clock: Clock, reason: str
) -> None:
    """It says how it ended and when the next attempt comes."""
    put(store)
    outcome = FAILURES[reason]
    claim = claim_and_start(store)
    due = clock.now + 2000
    assert settle(store, claim, outcome) == Settled(claim.job_id, FAILED, due)
    job = job_of(store, claim.job_id)
    assert (job.state, job.reason) == (FAILED, reason)
    assert job.exit_code == (outcome.code if outcome.kind == EXIT else None)
    assert (job.due_at, job.next_run_at, job.finished_at) == (due, due, None)
    assert (job.attempts, job.deliveries, job.runs) == (1, 1, 1)
    (attempt,) = store.attempts(job.id)
    assert (attempt.kind, attempt.code, attempt.reason) == (outcome.kind, outcome.code, reason)


@pytest.mark.parametrize("reason", FAILURES)
def test_a_failure_with_no_retry_left_buries_the_job(
    store: Store, clock: Clock, reason: str
) -> None:
    """It is dead, with the reason, and is not claimed again."""
    put(store, policy={"max-retries": "0"})
    assert run_one(store, FAILURES[reason]).state == DEAD
    (job,) = store.jobs(Filter())
    assert (job.state, job.reason, job.next_run_at) == (DEAD, reason, None)
    assert job.finished_at == clock.now
    clock.advance(10**9)
    assert store.claim(HOST, 1) == []


def test_max_retries_is_the_number_of_runs_after_the_first(store: Store, clock: Clock) -> None:
    """Three retries are four runs."""
    put(store)
    states = []
    for _ in range(4):
        states.append(run_one(store, EXIT_3).state)
        clock.advance(10**6)
    assert states == [FAILED, FAILED, FAILED, DEAD]
    assert [attempt.run for attempt in store.attempts(1)] == [1, 2, 3, 4]


def test_the_wait_before_a_retry_grows_as_a_power_of_the_base(store: Store, clock: Clock) -> None:
    """Base 2, at most 300 s: 2, 4, 8 … 256, 300, 300."""
    put(store, policy={"max-retries": "10"})
    waits = []
    for _ in range(10):
        settled = run_one(store, EXIT_3)
        assert settled.next_run_at is not None
        waits.append((settled.next_run_at - clock.now) / 1000)
        clock.advance(settled.next_run_at - clock.now)
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_the_wait_goes_by_the_jobs_own_policy(store: Store, clock: Clock) -> None:
    """Base, bound and jitter come from the job; random jitter stays within its share."""
    put(store, policy={"backoff-base": "10", "backoff-max": "15s"})
    assert run_one(store, EXIT_3).next_run_at == clock.now + 10_000
    put(store, priority=1, policy={"backoff-base": "100", "backoff-max": "15s"})
    assert run_one(store, EXIT_3).next_run_at == clock.now + 15_000
    put(store, priority=1, policy={"backoff-base": "100", "jitter": "0.5"})
    at = run_one(store, EXIT_3).next_run_at
    assert at is not None
    assert 50_000 <= at - clock.now <= 150_000


def test_a_base_of_0_tries_again_at_once(store: Store, clock: Clock) -> None:
    """Due in the same millisecond."""
    put(store, policy={"backoff-base": "0"})
    assert run_one(store, EXIT_3).next_run_at == clock.now
    assert claim_one(store).run == 2


def test_a_failed_job_is_claimed_when_its_wait_is_over(store: Store, clock: Clock) -> None:
    """Not before; its run number goes on."""
    put(store)
    run_one(store, EXIT_3)
    clock.advance(1999)
    assert store.claim(HOST, 1) == []
    clock.advance(1)
    claim = claim_one(store)
    assert (claim.run, claim.attempts, claim.due_at) == (2, 1, clock.now)
    assert job_of(store, claim.job_id).state == FAILED


def test_a_settle_records_a_start_that_was_never_said(store: Store, clock: Clock) -> None:
    """A short job is settled in one go, with the same numbers."""
    put(store)
    claim = claim_one(store)
    began, ended = clock.now + 3, clock.now + 8
    clock.advance(10)
    settle(store, claim, EXIT_0._replace(started_at=began, finished_at=ended))
    job = job_of(store, claim.job_id)
    assert (job.state, job.attempts, job.deliveries, job.runs) == (COMPLETED, 1, 1, 1)
    assert (job.started_at, job.finished_at) == (began, clock.now)
    (attempt,) = store.attempts(job.id)
    assert (attempt.run, attempt.started_at, attempt.finished_at) == (1, began, ended)
    assert attempt.host == HOST


def test_an_attempt_keeps_what_it_cost(store: Store, clock: Clock) -> None:
    """Times, host, usage, sizes of output and the job's own message."""
    put(store)
    due = clock.now
    claim = claim_and_start(store, OTHER)
    at = clock.now
    output = Output(b"hi\n", b"marks", None, 2, 1)
    outcome = Outcome(EXIT, 4, "", at, at + 70, 11, 22, 33, output, "disk on fire")
    clock.advance(100)
    settle(store, claim, outcome)
    assert store.attempts(claim.job_id) == [
        Attempt(claim.job_id, 1, OTHER, due, at, at + 70, EXIT, 4, "exit 4", 11, 22, 33, 2, 1,
                "disk on fire")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "output",
    [
        Output(b"\x00\xff\n", b"\x01", None, 2, 1),
        Output(b"", b"", "/var/x/\udcff-1", 10**10, 0),
        Output(b"", b"", None, 0, 0, complete=False),
        Output(b"cut", b"", None, 3, 0, complete=False),
    ],
)
def test_output_is_kept_with_its_attempt(store: Store, output: Output) -> None:
    """The bytes, or the path of their file, and whether they are all there."""
    put(store)
    claim = claim_and_start(store)
    settle(store, claim, EXIT_0._replace(output=output))
    assert store.output(claim.job_id, 1) == output
    assert store.output(claim.job_id, 2) is None
    assert store.output(claim.job_id + 1, 1) is None


def test_no_output_is_none(store: Store) -> None:
    """Whether nothing was captured or nothing was written."""
    put_many(store, 2)
    run_one(store, EXIT_0)
    run_one(store, EXIT_0._replace(output=Output()))
    assert store.output(1, 1) is None
    assert store.output(2, 1) is None


def test_the_output_of_every_attempt_is_kept(store: Store, clock: Clock) -> None:
    """One job, several outputs."""
    put(store)
    for text in (b"one", b"two"):
        run_one(store, EXIT_3._replace(output=Output(text, b"", None, 3)))
        clock.advance(10**6)
    outputs = [store.output(1, run) for run in (1, 2)]
    assert [output and output.data for output in outputs] == [b"one", b"two"]


def test_a_planned_stop_is_not_counted(store: Store, clock: Clock) -> None:
    """The job goes back where it was; the attempt stays in its history."""
    put(store)
    claim = claim_and_start(store)
    assert settle(store, claim, GIVEN_BACK).state == PENDING
    job = job_of(store, claim.job_id)
    assert (job.attempts, job.deliveries, job.runs, job.next_run_at) == (0, 0, 1, None)
    (attempt,) = store.attempts(job.id)
    assert (attempt.kind, attempt.reason) == (STOPPED, "stopped")
    assert attempt.finished_at == clock.now
    again = claim_one(store)
    assert (again.run, again.attempts) == (2, 0)


def test_a_planned_stop_of_a_retry_leaves_the_job_failed(store: Store, clock: Clock) -> None:
    """With the reason and exit status of the failure before."""
    put(store)
    run_one(store, EXIT_3)
    clock.advance(2000)
    assert settle(store, claim_and_start(store), GIVEN_BACK).state == FAILED
    job = job_of(store, 1)
    assert (job.attempts, job.runs, job.deliveries) == (1, 2, 1)
    assert (job.reason, job.exit_code) == ("exit 3", 3)
    assert claim_one(store).run == 3


def test_a_planned_stop_before_the_start_leaves_no_attempt(store: Store) -> None:
    """A claim known not to have started is as if it had never been made."""
    put(store)
    claim = claim_one(store)
    assert settle(store, claim, GIVEN_BACK).state == PENDING
    assert store.attempts(claim.job_id) == []
    assert claim_one(store).run == 1


def test_a_cancelled_running_job_ends_cancelled(store: Store, clock: Clock) -> None:
    """Retries left or not, its end is the end."""
    put(store)
    claim = claim_and_start(store)
    store.cancel([claim.job_id])
    job = job_of(store, claim.job_id)
    assert (job.state, job.cancel_requested, job.shown_state) == (PROCESSING, True, "cancelling")
    assert settle(store, claim, Outcome(SIGNAL, 15)) == Settled(claim.job_id, CANCELLED)
    job = job_of(store, claim.job_id)
    assert (job.state, job.reason, job.cancel_requested) == (CANCELLED, "signal 15", False)
    assert (job.finished_at, job.attempts, job.runs) == (clock.now, 1, 1)


def test_exit_0_wins_over_a_cancel(store: Store) -> None:
    """What has been done cannot be stopped."""
    put(store)
    claim = claim_and_start(store)
    store.cancel([claim.job_id])
    assert settle(store, claim, EXIT_0).state == COMPLETED
    assert not job_of(store, claim.job_id).cancel_requested


def test_a_planned_stop_of_a_cancelled_job_ends_it(store: Store) -> None:
    """It is not handed to anybody else."""
    put(store)
    claim = claim_and_start(store)
    store.cancel([claim.job_id])
    assert settle(store, claim, GIVEN_BACK).state == CANCELLED
    assert store.claim(OTHER, 1) == []


def test_a_second_settle_is_refused(store: Store) -> None:
    """The first one was the truth."""
    put(store)
    claim = claim_and_start(store)
    settle(store, claim, EXIT_0)
    before = job_of(store, claim.job_id)
    assert settle(store, claim, EXIT_3) == Settled(claim.job_id, None)
    assert job_of(store, claim.job_id) == before
    assert [attempt.reason for attempt in store.attempts(claim.job_id)] == ["exit 0"]


def _settled_late(store: Store, claim: Claim) -> None:
    """Everything a host can say about a claim that is no longer its own."""
    output = Output(b"late", b"", None, 4)
    assert settle(store, claim, EXIT_0._replace(output=output)).state is None
    assert settle(store, claim, GIVEN_BACK).state is None
    assert not start(store, claim)
    assert release(store, claim) == 0
    assert lose(store, claim).state is None


def test_a_late_word_about_a_claim_changes_nothing(store: Store) -> None:
    """The job has been given to somebody else by then."""
    put(store)
    late = claim_and_start(store)
    release(store, late)
    claim_and_start(store, OTHER)
    before, attempts = job_of(store, late.job_id), store.attempts(late.job_id)
    _settled_late(store, late)
    assert (job_of(store, late.job_id), store.attempts(late.job_id)) == (before, attempts)
    assert store.output(late.job_id, late.run) is None


def test_a_late_word_about_a_waiting_job_changes_nothing(store: Store) -> None:
    """Nobody has it by then."""
    put(store)
    late = claim_one(store)
    lose(store, late)
    before = job_of(store, late.job_id)
    _settled_late(store, late)
    assert job_of(store, late.job_id) == before


def test_a_late_word_about_a_job_that_is_gone_changes_nothing(store: Store) -> None:
    """Removed, and the id is nobody's."""
    put(store)
    late = claim_one(store)
    settle(store, late)
    store.remove([late.job_id])
    _settled_late(store, late)
    assert store.get(late.job_id) is None


def test_a_foreign_token_settles_nothing(store: Store) -> None:
    """Another job's token is not this job's."""
    put_many(store, 2)
    mine, other = store.claim(HOST, 2)
    settled = store.settle([Settlement(mine.job_id, other.token, 1, EXIT_0)])
    assert settled == [Settled(mine.job_id, None)]
    assert job_of(store, mine.job_id).state == PENDING


def test_settlements_are_answered_one_by_one(store: Store) -> None:
    """A refused one does not stop the others; a repeated one counts once."""
    put_many(store, 3)
    claims = store.claim(HOST, 3)
    release(store, claims[1])
    batch = [Settlement(claim.job_id, claim.token, claim.run, EXIT_0) for claim in claims]
    settled = store.settle([*batch, batch[0]])
    assert [one.state for one in settled] == [COMPLETED, None, COMPLETED, None]
    assert [one.job_id for one in settled] == [1, 2, 3, 1]
    assert store.settle([]) == []


def test_a_job_that_was_settled_never_runs_again_by_itself(store: Store, clock: Clock) -> None:
    """Whatever is said about its claim afterwards."""
    put(store)
    claim = claim_and_start(store)
    settle(store, claim)
    _settled_late(store, claim)
    clock.advance(10**9)
    assert store.claim(HOST, 1) == []


def test_an_ending_told_in_strange_bytes_is_kept_readably(store: Store) -> None:
    """A file name or message that is not UTF-8 must not keep a job from being settled."""
    put_many(store, 2)
    settle(store, claim_one(store), Outcome(CANNOT_START, None, "no such file: /tmp/\udcff"))
    settle(store, claim_one(store), EXIT_3._replace(message="b\udcffd"))
    reason = job_of(store, 1).reason
    assert reason is not None
    assert reason.startswith("cannot start: no such file: /tmp/")
    reason.encode()
    (attempt,) = store.attempts(2)
    assert attempt.message is not None
    assert attempt.message[0] + attempt.message[-1] == "bd"


def test_deliveries_bury_a_job_that_only_ever_fails_after_losses(
    store: Store, clock: Clock
) -> None:
    """A failure counts as an end, but not one that leaves room for ever."""
    put(store, policy={"max-retries": "1"})
    for _ in range(4):
        lose(store, claim_one(store))
    assert run_one(store, EXIT_3).state == DEAD
    job = job_of(store, 1)
    assert (job.deliveries, job.attempts) == (5, 1)
    assert job.reason == "exit 3 (claimed 5 times without an end)"
    assert job.finished_at == clock.now


@pytest.mark.parametrize("job_id", [0, -1, 999, 2**63, 2**70])
def test_a_word_about_an_id_that_no_job_has_is_refused(store: Store, job_id: int) -> None:
    """Also one that no integer column could hold; the others of the batch are heard."""
    put(store)
    claim = claim_one(store)
    assert store.start([Start(job_id, "t", 1, 0)]) == [False]
    assert store.release([(job_id, "t")]) == 0
    assert store.lose([(job_id, "t")]) == [Settled(job_id, None)]
    settled = store.settle(
        [
            Settlement(job_id, "t", 1, EXIT_0),
            Settlement(claim.job_id, claim.token, claim.run, EXIT_0),
        ]
    )
    assert settled == [Settled(job_id, None), Settled(claim.job_id, COMPLETED)]
