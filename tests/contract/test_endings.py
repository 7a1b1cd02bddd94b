"""How the last attempt of a job ended: told, and asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.job import (
    CANNOT_START,
    DEAD,
    EXIT,
    LOST,
    OUTPUT,
    SIGNAL,
    STOPPED,
    TIMEOUT,
    Outcome,
)
from queuectl.store.base import Ended, Filter
from tests.support.work import (
    EXIT_0,
    EXIT_3,
    GIVEN_BACK,
    claim_and_start,
    job_of,
    put,
    run_one,
    settle,
)

if TYPE_CHECKING:
    from queuectl.store.base import Store
    from tests.support.clock import Clock

HUGE = 2**70
ENDINGS = {
    "exit 0": EXIT_0, "exit 3": EXIT_3, "exit 137": Outcome(EXIT, 137), "signal 3": Outcome(SIGNAL, 3),
    "signal 9": Outcome(SIGNAL, 9), "timeout": Outcome(TIMEOUT, detail="3s"), "lost": Outcome(LOST),
    "output": Outcome(OUTPUT, detail="1 KiB"), "cannot-start": Outcome(CANNOT_START, detail="no"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("endings", "found"),
    [
        (((EXIT, 3),), ["exit 3"]),
        (((EXIT, 0),), ["exit 0"]),
        (((EXIT, 9), (EXIT, HUGE)), []),
        (((EXIT, 0), (EXIT, 3)), ["exit 0", "exit 3"]),
        (((EXIT, 137),), ["exit 137"]),
        (((SIGNAL, 9),), ["signal 9"]),
        (((SIGNAL, HUGE),), []),
        (((SIGNAL, None),), ["signal 3", "signal 9"]),
        (((TIMEOUT, None),), ["timeout"]),
        (((LOST, None), (OUTPUT, None), (SIGNAL, 3)), ["signal 3", "lost", "output"]),
        (((CANNOT_START, None), (EXIT, 3)), ["exit 3", "cannot-start"]),
        (((STOPPED, None), ("", None)), []),
    ],
)
def test_a_filter_by_endings(
    store: Store, endings: tuple[tuple[str, int | None], ...], found: list[str]
) -> None:
    """Of the last attempt; with what else restricts, counted and as ids."""
    for name, outcome in ENDINGS.items():
        put(store, name=name.replace(" ", "-"), priority=9, policy={"max-retries": "0"})
        run_one(store, outcome)
    put(store)
    names = [name.replace(" ", "-") for name in found]
    where = Filter(endings=endings)
    assert [job.name for job in store.jobs(where)] == names
    assert [job.name for job in store.jobs(where, newest=True)] == names[::-1]
    assert store.ids(where) == [job.id for job in store.jobs(where)]
    assert store.count(where) == len(names)
    dead = Filter((DEAD,), endings=endings)
    assert [job.name for job in store.jobs(dead)] == [name for name in names if name != "exit-0"]


def test_a_job_tells_how_its_newest_ending_was(store: Store) -> None:
    """Of every kind; one that never ended has none."""
    for outcome in ENDINGS.values():
        put(store, priority=9, policy={"max-retries": "0"})
        run_one(store, outcome)
    put(store)
    jobs = list(store.jobs(Filter()))
    assert [(job.ending, job.signal) for job in jobs] == [
        ("exit", None), ("exit", None), ("exit", None), ("signal", 3), ("signal", 9), ("timeout", None),
        ("lost", None), ("output", None), ("cannot-start", None), (None, None),
    ]  # fmt: skip
    assert [job.exit_code for job in jobs][:4] == [0, 3, 137, None]
    assert [job_of(store, job.id) for job in jobs] == jobs
    assert {job.id: job.ending for job in store.finished(99)} == {
        job.id: job.ending for job in jobs[:-1]
    }


def test_an_ending_holds_until_the_next(store: Store, clock: Clock) -> None:
    """While the next attempt runs, when that is given back, and when the job is cancelled or retried."""
    job_id = put(store)
    signalled = Filter(endings=((SIGNAL, 9),))

    def tells() -> bool:
        job = job_of(store, job_id)
        assert (job.ending == "signal") == (job.signal == 9) == (store.ids(signalled) == [1])
        return job.signal == 9

    run_one(store, Outcome(SIGNAL, 9))
    assert tells()
    clock.advance(10**6)
    claim = claim_and_start(store)
    assert tells()
    settle(store, claim, GIVEN_BACK)
    assert tells()
    store.cancel([job_id])
    assert tells()
    store.retry([job_id])
    assert tells()
    run_one(store, EXIT_0)
    assert not tells()


def test_what_has_ended_lately_is_counted_by_queue(store: Store, clock: Clock) -> None:
    """Completed and dead jobs as they are now; cancelled ones are not counted."""
    assert store.tally(0, 0) == []
    store.create_queue("gpu")
    put(store, queue="gpu")
    run_one(store, EXIT_0)
    early = clock.advance(10)
    job_id = put(store, policy={"max-retries": "1"})
    run_one(store, EXIT_3)
    clock.advance(10**6)
    run_one(store, EXIT_0)
    assert job_of(store, job_id).attempts == 2
    late = clock.advance(10)
    clock.advance(1)
    put(store, policy={"max-retries": "0"})
    run_one(store, EXIT_3)
    put(store)
    run_one(store, EXIT_0)
    store.cancel([put(store)])
    assert store.tally(0, late) == [Ended("default", 3, 2, 1, 1), Ended("gpu", 1, 0, 0, 0)]
    assert store.tally(early, HUGE) == [Ended("default", 3, 0, 1, 1)]
    assert store.tally(-HUGE, 0)[1] == Ended("gpu", 1, 1, 0, 0)
    assert store.tally(HUGE, HUGE) == []
    store.retry([job_id])
    assert store.tally(early, 0) == [Ended("default", 2, 2, 1, 0)]
