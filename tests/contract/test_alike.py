"""Jobs of an array that look the same are read as one, and never any other with them."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from queuectl.job import CANCELLED, COMPLETED, FAILED, PENDING, PROCESSING, After, Array, NewJob
from queuectl.store.base import Filter
from tests.support.work import (
    EXIT_0,
    EXIT_3,
    HOST,
    OTHER,
    claim_and_start,
    claim_one,
    put,
    put_many,
    release,
    run_one,
    settle,
)

if TYPE_CHECKING:
    from typing import Any

    from queuectl.job import Job
    from queuectl.store.base import Alike, Store
    from tests.support.clock import Clock

ALL = Filter()
#: more than are read at once
MANY = 120


def put_array(store: Store, jobs: int, limit: int | None = None, **fields: Any) -> list[int]:
    """Enqueue an array; return the ids of its jobs."""
    return store.add(
        [
            NewJob("sim", array=Array("key", number, limit), **fields) for number in range(jobs)
        ]
    )  # fmt: skip


def spans(found: list[Alike]) -> list[str]:
    """Return what was read as people see it."""
    return [f"{one.first.id}-{one.last.id}" if one.jobs > 1 else f"{one.first.id}" for one in found]


def read(store: Store, where: Filter = ALL, limit: int = 100, **how: Any) -> list[str]:
    """Read, and return it as people see it."""
    return spans(store.alike(where, limit, **how))


def test_jobs_without_an_array_stand_alone(store: Store) -> None:
    """However many, from both ends."""
    assert read(store) == []
    put_many(store, MANY)
    every = [str(number) for number in range(1, MANY + 1)]
    assert read(store, limit=MANY + 1) == every
    assert read(store, limit=3) == every[:3]
    assert read(store, limit=3, newest=True) == every[:-4:-1]
    assert read(store, limit=0) == []


@pytest.mark.parametrize("jobs", [2, 24, 25, 26, 50, 51, MANY])
def test_an_array_that_waits_is_one(store: Store, jobs: int) -> None:
    """Whatever its length, and what stands before and behind it."""
    put(store)
    put_array(store, jobs)
    put(store)
    whole = ["1", f"2-{jobs + 1}", f"{jobs + 2}"]
    assert read(store) == whole
    assert read(store, newest=True) == whole[::-1]
    assert read(store, limit=2) == whole[:2]
    (one,) = store.alike(Filter(array=2), 5)
    assert (one.jobs, one.first.array_index, one.last.array_index) == (jobs, 0, jobs - 1)


@pytest.mark.parametrize("jobs", [3, MANY])
def test_names_that_end_with_the_index_are_alike(store: Store, jobs: int) -> None:
    """And nothing else is; what has no name is not like what has one."""
    store.add([NewJob("sim", name=f"s%_-{n}", array=Array("key", n, None)) for n in range(jobs)])
    put_array(store, 2)
    whole = [f"1-{jobs}", f"{jobs + 1}-{jobs + 2}"]
    assert read(store) == whole
    assert read(store, newest=True) == whole[::-1]
    store.edit(2, {"name": "s%_-7777"})
    store.edit(jobs + 1, {"name": "s%_-0000"})
    assert read(store) == ["1", "2", f"3-{jobs}" if jobs > 3 else "3", f"{jobs + 1}", f"{jobs + 2}"]


def test_two_arrays_are_two(store: Store) -> None:
    """Also where their jobs are the same."""
    put_array(store, MANY)
    put_array(store, MANY, limit=3)
    put_array(store, 2, limit=3)
    assert read(store) == ["1-120", "121-240", "241-242"]


def test_what_runs_stands_alone(store: Store) -> None:
    """And what has ended, has been claimed, or looks otherwise does not hide among the others."""
    put_array(store, MANY, limit=10)
    for _ in range(3):
        run_one(store, EXIT_0)
    running = [claim_and_start(store, host).job_id for host in (HOST, OTHER)]
    claim_one(store)
    store.cancel([30, 31])
    store.hold([40], held=True)
    store.edit(50, {"priority": 5})
    store.edit(60, {"command": "other"})
    store.edit(70, {"name": "mine"})
    store.remove([80])
    assert running == [4, 5]
    assert read(store) == [
        "1-3", "4", "5", "6", "7-29", "30-31", "32-39", "40", "41-49", "50", "51-59", "60", "61-69", "70",
        "71-79", "81-120",
    ]  # fmt: skip
    assert read(store, Filter((PENDING,))) == [
        "6", "7-29", "32-39", "40", "41-49", "50", "51-59", "60", "61-69", "70", "71-79", "81-120",
    ]  # fmt: skip
    assert read(store, Filter((COMPLETED, CANCELLED))) == ["1-3", "30-31"]
    assert read(store, Filter((PROCESSING,))) == ["4", "5"]


def test_what_is_due_is_one_whenever_it_became_so(store: Store, clock: Clock) -> None:
    """What is not yet is one if it will be at the same time."""
    put_array(store, 40, due_at=clock() + 1000)
    store.edit(5, {"due_at": clock() + 2000})
    assert read(store) == ["1-4", "5", "6-40"]
    clock.advance(1500)
    assert read(store) == ["1-4", "5", "6-40"]
    clock.advance(1500)
    assert read(store) == ["1-40"]


def test_what_failed_is_told_apart_by_its_reason(store: Store, clock: Clock) -> None:
    """And what waits for others by how many they are."""
    put_array(store, 3, limit=1)
    run_one(store, EXIT_3)
    clock.advance(1)
    run_one(store, EXIT_3)
    assert read(store, Filter((FAILED,))) == ["1", "2"]
    clock.advance(60_000)
    assert read(store, Filter((FAILED,))) == ["1-2"]
    put_array(store, 4, after=(After(3),))
    assert read(store) == ["1-2", "3", "4-7"]


def test_a_claim_that_was_given_back_joins_the_others(store: Store) -> None:
    """As it waits as they do."""
    put_array(store, 5)
    claim = claim_one(store)
    assert read(store) == ["1", "2-5"]
    release(store, claim)
    assert read(store) == ["1-5"]


@pytest.mark.parametrize(
    ("ranges", "found"),
    [
        (((10, 110),), ["10-110"]), (((119, None),), ["119-120"]), (((5, 5), (7, 50)), ["5", "7-50"]),
        (((1, 60), (50, 70)), ["1-70"]), (((500, None),), []), (((-5, 2**70),), ["1-120"]),
    ],
)  # fmt: skip
def test_it_stays_within_what_is_asked_for(
    store: Store, ranges: tuple[tuple[int, int | None], ...], found: list[str]
) -> None:
    """The ends of a range are the ends of what is read."""
    put_array(store, MANY)
    assert read(store, Filter(ranges=ranges)) == found
    assert read(store, Filter(ranges=ranges), newest=True) == found[::-1]


def test_it_looks_at_so_many_and_no_more(store: Store) -> None:
    """And ends there, in the middle of what is alike."""
    put_array(store, MANY)
    assert read(store, most=60) == ["1-60"]
    assert read(store, most=60, newest=True) == ["61-120"]
    assert read(store, most=10) == ["1-10"]
    assert read(store, most=0) == []


def look(job: Job) -> tuple[object, ...]:
    """Return what a line of `list` shows of a job, but for its numbers."""
    return (
        job.array_id, job.state, job.queue, job.priority, job.paused, job.reason, job.attempts,
        job.unmet, job.command, job.due_at if not job.is_final else None,
    )  # fmt: skip


def expected(jobs: list[Job]) -> list[str]:
    """Return what is alike, job by job."""
    cuts = [
        at for at, (one, two) in enumerate(pairwise(jobs), 1)
        if one.state == PROCESSING or one.array_id is None or look(one) != look(two) or two.id > one.id + 1
    ]  # fmt: skip
    ends = [0, *cuts, len(jobs)]
    parts = [(jobs[low].id, jobs[high - 1].id) for low, high in pairwise(ends)]
    return [f"{low}-{high}" if high > low else str(low) for low, high in parts]


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_a_look_at_every_job_finds(store: Store, seed: int) -> None:
    """After many changes here and there."""
    chance = random.Random(seed)
    put_array(store, 150)
    put_many(store, 3)
    put_array(store, 150, limit=4)
    every = range(1, 304)
    for _ in range(12):
        settle(store, claim_and_start(store), chance.choice((EXIT_0, EXIT_3)))
    claim_and_start(store)
    store.cancel([chance.choice(every) for _ in range(4)])
    store.hold(sorted({chance.choice(every) for _ in range(4)}), held=True)
    store.remove([job for job in (chance.choice(every) for _ in range(4)) if not taken(store, job)])
    for where in (
        ALL,
        Filter((PENDING,)),
        Filter((COMPLETED, FAILED)),
        Filter(ranges=((40, 222),)),
    ):
        parts = expected(list(store.jobs(where)))
        assert read(store, where, 400) == parts
        assert read(store, where, 400, newest=True) == parts[::-1]
        assert read(store, where, 7) == parts[:7]


def taken(store: Store, job_id: int) -> bool:
    """Whether a host has a job, or it is gone."""
    job = store.get(job_id)
    return job is None or job.host is not None


def test_a_store_knows_where_a_job_ran_last(store: Store) -> None:
    """Of those that have run, and of the newest attempt."""
    first, second, third = put_many(store, 3, policy={"backoff-base": "0"})
    run_one(store, EXIT_3)
    assert store.ran_on([first, second]) == {first: HOST}
    claim_and_start(store, OTHER)
    claim_and_start(store, HOST)
    assert store.ran_on([first, second, third, 99, 2**70]) == {first: OTHER, second: HOST}
    assert store.ran_on([]) == {}
    assert store.ran_on(list(range(1, 2000))) == {first: OTHER, second: HOST}
