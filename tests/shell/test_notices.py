"""What is said about jobs that have ended, and how much."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.commands.telling import HANDED_BACK
from queuectl.job import CANCELLED, COMPLETED, DEAD, EXIT, FAILED, PENDING, SIGNAL, STOPPED, Outcome
from queuectl.shell.notices import (
    HALTED,
    Digest,
    Ended,
    Notice,
    Notices,
    describe,
    summary,
)
from queuectl.store.base import Settled, Settlement
from queuectl.store.sqlite.engine import MemoryStore
from tests.support.clock import START, Clock
from tests.support.work import EXIT_0, EXIT_3, claim_and_start, job_of, put

if TYPE_CHECKING:
    from queuectl.job import State
    from queuectl.store.base import Store

NOW = START


def ended(
    outcome: Outcome = EXIT_0, state: State | None = COMPLETED, at: float = 0.0, **facts: Any
) -> Ended:
    """Return the ending of job 7's first attempt."""
    return Ended(Settlement(7, "token", 1, outcome), Settled(7, state, **facts), at)


@pytest.mark.parametrize(
    ("ending", "line"),
    [
        (ended(Outcome(EXIT, 0, started_at=1000, finished_at=3100)), "job 7 completed (exit 0, 2.1s)"),
        (ended(Outcome(SIGNAL, 15), CANCELLED), "job 7 cancelled (signal 15)"),
        (ended(Outcome(STOPPED), PENDING), "job 7 handed back"),
        (ended(EXIT_3, FAILED, next_run_at=NOW + 3600), "job 7 failed: exit 3; retry in 4s"),
        (ended(EXIT_3, FAILED, next_run_at=NOW + 300_000), "job 7 failed: exit 3; retry in 5m"),
        (ended(EXIT_3, FAILED, next_run_at=NOW), "job 7 failed: exit 3; retry now"),
        (ended(EXIT_3, DEAD), "job 7 dead: exit 3; dlq retry 7"),
        (ended(Outcome(EXIT, 1, message="disk\x1b[2J full"), DEAD),
         "job 7 dead: exit 1: disk\\x1b[2J full; dlq retry 7"),
    ],
)  # fmt: skip
def test_a_line_says_how_a_job_ended_and_what_follows(ending: Ended, line: str) -> None:
    assert describe(ending, None, NOW).text == line


def test_a_retry_says_which_one_it_is(tmp_path: object) -> None:
    clock = Clock()
    store = MemoryStore({"max-retries": "3"}, clock)
    put(store, name="nightly")
    claim = claim_and_start(store)
    settlement = Settlement(claim.job_id, claim.token, claim.run, EXIT_3)
    (settled,) = store.settle([settlement])
    ending = Ended(settlement, settled, 0.0)
    line = "job 1 nightly failed: exit 3; retry in 2s (1 of 3)"
    assert describe(ending, job_of(store, 1), clock.now).text == line
    # by the time the line is made the retry may have begun
    clock.advance(2000)
    claim_and_start(store)
    assert "(1 of 3)" in describe(ending, job_of(store, 1), clock.now).text


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ({COMPLETED: 120, FAILED: 3}, "120 jobs completed, 3 failed"),
        ({COMPLETED: 1}, "1 job completed"),
        ({FAILED: 2, DEAD: 1, HANDED_BACK: 4}, "2 jobs failed, 1 dead, 4 handed back; dlq list"),
    ],
)
def test_a_sum_counts_each_kind(counts: dict[str, int], line: str) -> None:
    assert summary(counts).text == line


def test_a_few_a_second_are_told_one_by_one() -> None:
    digest = Digest()
    told = [digest.feed(ended(at=second / 5)) for second in range(50)]
    assert None not in told
    assert digest.due() is None


def test_what_is_above_that_is_summed_up_when_the_window_closes() -> None:
    digest = Digest(most=5)
    told = [digest.feed(ended(at=0.001 * number)) for number in range(100)]
    assert sum(ending is not None for ending in told) == 5
    assert digest.sum_up(0.5) is None
    assert digest.sum_up(1.0) == Notice(COMPLETED, "95 jobs completed")
    assert digest.due() is None


def test_while_it_goes_on_there_are_fewer_and_fewer_lines() -> None:
    digest = Digest()
    lines = 0
    for tick in range(100_000):
        now = tick / 100
        lines += digest.feed(ended(at=now)) is not None
        lines += digest.sum_up(now) is not None
    assert lines < 60


def test_a_sum_does_not_wait_for_its_window_when_the_stream_pauses() -> None:
    digest = Digest()
    now = 0.0
    while now < 20:
        digest.feed(ended(at=now))
        digest.sum_up(now)
        now += 0.01
    due = digest.due()
    assert due is not None
    assert due <= now + 1
    assert digest.sum_up(due) is not None


def test_after_a_quiet_time_jobs_are_told_one_by_one_again() -> None:
    digest = Digest()
    for number in range(100):
        digest.feed(ended(at=number / 1000))
    assert digest.sum_up(1.0) is not None
    assert digest.feed(ended(at=60.0)) is not None


@pytest.fixture
def store() -> Store:
    return MemoryStore({}, Clock())


def test_lines_are_made_on_a_thread_and_ring(store: Store) -> None:
    rung = threading.Event()
    notices = Notices()
    notices.bell = rung.set
    notices.start(store)
    try:
        assert notices.take() == []
        notices.settled(*ended()[:2])
        assert rung.wait(10)
        assert notices.take() == [Notice(COMPLETED, "job 7 completed (exit 0)")]
        assert notices.take() == []
    finally:
        notices.stop()


def test_a_refused_settlement_is_not_told(store: Store) -> None:
    rung = threading.Event()
    notices = Notices()
    notices.bell = rung.set
    notices.start(store)
    notices.settled(*ended(state=None)[:2])
    notices.settled(*ended()[:2])
    assert rung.wait(10)
    assert len(notices.take()) == 1
    notices.stop()


def test_a_queue_that_paused_itself_is_told_once(store: Store) -> None:
    rung = threading.Event()
    halts(store, "old")
    notices = Notices()
    notices.bell = rung.set
    notices.start(store)
    try:
        notices.settled(*ended(EXIT_3, DEAD)[:2])
        assert rung.wait(10)
        assert [notice.kind for notice in notices.take()] == [DEAD]
        rung.clear()
        halts(store, "gpu")
        notices.settled(*ended(EXIT_3, DEAD)[:2])
        assert rung.wait(10)
        (_, halted) = notices.take()
        line = "queue gpu paused itself: 1 jobs died (halt-on 1); queue resume gpu"
        assert halted.kind == HALTED
        assert halted.text.replace("1 job died", "1 jobs died") == line
        rung.clear()
        notices.settled(*ended(EXIT_3, DEAD)[:2])
        assert rung.wait(10)
        assert [notice.kind for notice in notices.take()] == [DEAD]
    finally:
        notices.stop()


def halts(store: Store, queue: str) -> None:
    """Let a queue of the store pause itself."""
    store.create_queue(queue)
    store.set("halt-on", "1", queue)
    put(store, queue=queue, policy={"max-retries": "0"})
    claim = claim_and_start(store)
    store.settle([Settlement(claim.job_id, claim.token, claim.run, EXIT_3)])
