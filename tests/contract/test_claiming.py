"""Claims: which job comes next, and which must not come at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.job import PENDING, NewJob
from tests.support.work import (
    EXIT_3,
    HOST,
    OTHER,
    claim_all,
    claim_one,
    job_of,
    put,
    put_many,
    release,
    run_one,
    settle,
)

if TYPE_CHECKING:
    from queuectl.store.base import Store
    from tests.support.clock import Clock


def test_an_empty_store_has_no_work(store: Store) -> None:
    """No work is an empty list."""
    assert store.claim(HOST, 5) == []


def test_a_claim_has_all_that_is_needed_to_run_the_job(store: Store, clock: Clock) -> None:
    """Nothing has to be read again."""
    job_id = put(
        store, "cat", args=("-",), name="n", priority=2, cwd="/srv", env={"A": "1"},
        stdin=b"\x00\xff", policy={"timeout": "5s", "max-retries": "7"},
    )  # fmt: skip
    due = clock.now
    clock.advance(40)
    claim = claim_one(store)
    assert claim._replace(token="") == (
        job_id, "", 1, "default", 2, "cat", ("-",), False, "/srv", {"A": "1"}, {"timeout": "5s"},
        b"\x00\xff", 0, 7, due, due + 40, "n", None, {}, None, None, None,
    )  # fmt: skip


def test_a_claimed_job_is_pending_until_it_starts(store: Store) -> None:
    """A claim is between the store and a host; it counts a delivery and no attempt."""
    put(store)
    claim = claim_one(store)
    job = job_of(store, claim.job_id)
    assert (job.state, job.host, job.token) == (PENDING, HOST, claim.token)
    assert (job.deliveries, job.attempts, job.runs) == (1, 0, 0)


def test_a_job_is_claimed_once(store: Store) -> None:
    """Nobody gets it while somebody has it."""
    put(store)
    assert len(store.claim(HOST, 9)) == 1
    assert store.claim(HOST, 9) == []
    assert store.claim(OTHER, 9) == []


def test_every_claim_has_a_fresh_token(store: Store) -> None:
    """Also of the same job again."""
    put_many(store, 20)
    tokens = [claim.token for claim in store.claim(HOST, 20)]
    job = store.get(1)
    assert job is not None
    assert job.token is not None
    store.release([(job.id, job.token)])
    tokens.append(claim_one(store).token)
    assert len(set(tokens)) == 21


def test_no_more_are_claimed_than_wanted(store: Store) -> None:
    """None wanted, none claimed."""
    put_many(store, 10)
    assert store.claim(HOST, 0) == []
    assert len(store.claim(HOST, 3)) == 3
    assert len(store.claim(HOST, 30)) == 7


def test_priority_comes_before_time_and_time_before_id(store: Store, clock: Clock) -> None:
    """Higher first; then what became due earlier; then the lower id."""
    late = put(store, due_at=clock.now + 20)
    early = put(store, due_at=clock.now + 10)
    low = put(store, priority=-1)
    first, second = put_many(store, 2)
    clock.advance(5)
    third = put(store)
    high = put(store, priority=3)
    clock.advance(100)
    assert claim_all(store) == [high, first, second, third, early, late, low]


def test_order_holds_across_queues(store: Store, clock: Clock) -> None:
    """Queues are merged as if they were one."""
    for name in ("a", "b", "c"):
        store.create_queue(name)
    jobs = [
        NewJob("true", queue=queue, priority=number * 7 % 4)
        for number, queue in enumerate(["a", "c", "default", "b", "a", "b", "c"] * 9)
    ]
    expected: list[tuple[int, int, int]] = []
    for job in jobs:
        clock.advance(len(expected) % 3)
        expected.append((-(job.priority or 0), clock.now, store.add([job])[0]))
    assert claim_all(store) == [job_id for _, _, job_id in sorted(expected)]


@pytest.mark.parametrize("want", [1, 2, 5, 100])
def test_order_does_not_depend_on_how_many_are_claimed_at_once(store: Store, want: int) -> None:
    """A batch ends a queue's turn in the same place as single claims."""
    store.create_queue("a")
    ids = [put(store, queue=("a", "default")[number // 3 % 2]) for number in range(24)]
    claimed: list[int] = []
    while found := store.claim(HOST, want):
        claimed += [claim.job_id for claim in found]
    assert claimed == ids


def test_order_holds_when_the_best_job_was_removed_or_cancelled(store: Store) -> None:
    """What was the head of a queue leaves no trace."""
    store.create_queue("a")
    gone = put(store, queue="a", priority=9)
    stopped = put(store, queue="default", priority=8)
    first = put(store, queue="default", priority=1)
    second = put(store, queue="a", priority=0)
    store.remove([gone])
    store.cancel([stopped])
    assert claim_all(store) == [first, second]


def test_a_released_job_comes_back_in_its_old_place(store: Store) -> None:
    """It became due when it became due."""
    ids = put_many(store, 3)
    release(store, claim_one(store))
    assert claim_all(store) == ids


def test_a_job_enqueued_later_with_a_higher_priority_comes_first(store: Store) -> None:
    """In its own queue and before another's."""
    store.create_queue("a")
    low = put(store)
    assert [claim_one(store).job_id, put(store)] == [low, low + 1]
    high = put(store, queue="a", priority=1)
    higher = put(store, priority=2)
    assert claim_all(store) == [higher, high, low + 1]


def test_queues_can_be_chosen(store: Store) -> None:
    """Only the queues asked for give jobs; no names mean all."""
    for name in ("a", "b"):
        store.create_queue(name)
    in_a, in_b, in_default = put(store, queue="a"), put(store, queue="b"), put(store)
    assert claim_all(store, queues=("b", "default")) == [in_b, in_default]
    assert claim_all(store, queues=("nowhere",)) == []
    assert claim_all(store, queues=()) == [in_a]


def test_a_paused_queue_gives_nothing_until_it_is_resumed(store: Store) -> None:
    """The order is as if it had never been paused."""
    store.create_queue("a")
    ids = [put(store, queue="a"), put(store), put(store, queue="a")]
    store.pause_queue("a", paused=True)
    assert claim_all(store) == [ids[1]]
    ids.append(put(store, queue="a", priority=5))
    assert claim_all(store) == []
    store.pause_queue("a", paused=False)
    assert claim_all(store) == [ids[3], ids[0], ids[2]]


def test_a_held_job_is_not_claimed(store: Store, clock: Clock) -> None:
    """Nor one that is held and for later, when its time comes."""
    put(store, paused=True)
    put(store, paused=True, due_at=clock.now + 10)
    other = put(store)
    clock.advance(100)
    assert claim_all(store) == [other]


def test_a_delayed_job_is_claimed_exactly_when_it_is_due(store: Store, clock: Clock) -> None:
    """Not a millisecond earlier."""
    job_id = put(store, due_at=clock.now + 1000)
    clock.advance(999)
    assert store.claim(HOST, 1) == []
    clock.advance(1)
    assert claim_one(store).job_id == job_id


def test_next_due_is_the_earliest_time_that_something_waits_for(store: Store, clock: Clock) -> None:
    """None when nothing waits for a time."""
    assert store.next_due() is None
    put(store)
    put(store, paused=True, due_at=clock.now + 5)
    assert store.next_due() is None
    later = put(store, due_at=clock.now + 20)
    sooner = put(store, due_at=clock.now + 10)
    assert store.next_due() == clock.now + 10
    store.cancel([sooner])
    assert store.next_due() == clock.now + 20
    clock.advance(20)
    assert store.claim(HOST, 5, ("nowhere",)) == []
    assert store.next_due() is None
    assert later in claim_all(store)


def test_next_due_tells_when_a_failed_job_is_tried_again(store: Store, clock: Clock) -> None:
    """A retry waits like a delayed job."""
    put(store)
    run_one(store, EXIT_3)
    assert store.next_due() == clock.now + 2000


def test_jobs_that_become_due_together_are_all_claimed(store: Store, clock: Clock) -> None:
    """However many they are: once each, in order."""
    ids = put_many(store, 2500, due_at=clock.now + 1000)
    clock.advance(1000)
    assert [claim.job_id for claim in store.claim(HOST, 3000)] == ids


def test_a_claim_looks_past_a_thousand_due_jobs_of_a_paused_queue(
    store: Store, clock: Clock
) -> None:
    """An empty answer means that there is no eligible job, not that it is far away."""
    store.create_queue("big")
    store.pause_queue("big", paused=True)
    put_many(store, 2500, queue="big", due_at=clock.now + 10)
    job_id = put(store, due_at=clock.now + 20)
    clock.advance(20)
    assert [claim.job_id for claim in store.claim(HOST, 1)] == [job_id]


def test_a_claim_looks_past_a_thousand_due_jobs_of_queues_not_asked_for(
    store: Store, clock: Clock
) -> None:
    """Nor that it is in another queue."""
    store.create_queue("big")
    put_many(store, 2500, queue="big", due_at=clock.now + 10)
    job_id = put(store, due_at=clock.now + 20)
    clock.advance(20)
    assert [claim.job_id for claim in store.claim(HOST, 1, ("default",))] == [job_id]


def test_the_best_of_many_due_jobs_comes_first(store: Store, clock: Clock) -> None:
    """Though thousands became due before it."""
    put_many(store, 2500, due_at=clock.now + 10)
    best = put(store, priority=1, due_at=clock.now + 20)
    clock.advance(20)
    assert claim_one(store).job_id == best


def test_a_limit_bounds_the_claims_of_all_hosts(store: Store) -> None:
    """Claimed counts as running."""
    store.create_queue("gpu", limit=2)
    put_many(store, 5, queue="gpu")
    assert len(store.claim(HOST, 1)) == 1
    assert len(store.claim(OTHER, 9)) == 1
    assert store.claim(HOST, 9) == []


def test_a_limited_queue_lets_others_pass(store: Store) -> None:
    """Its next job waits for room, not the jobs behind it."""
    store.create_queue("gpu", limit=1)
    first, second = put_many(store, 2, queue="gpu", priority=5)
    others = put_many(store, 2)
    assert claim_all(store) == [first, *others]
    assert store.claim(HOST, 1) == []
    assert job_of(store, second).host is None


def test_room_below_a_limit_comes_back_when_a_claim_ends(store: Store) -> None:
    """However it ends: settled, released, lost."""
    store.create_queue("gpu", limit=1)
    ids = put_many(store, 3, queue="gpu")
    claim = claim_one(store)
    settle(store, claim)
    assert release(store, claim_one(store)) == 1
    claim = claim_one(store)
    assert claim.job_id == ids[1]
    store.lose([(claim.job_id, claim.token)])
    assert claim_one(store).job_id == ids[1]
    assert store.claim(HOST, 1) == []


def test_a_limit_of_nothing_runs_nothing(store: Store) -> None:
    """Zero is a limit."""
    store.create_queue("off", limit=0)
    put(store, queue="off")
    assert store.claim(HOST, 5, ahead=5) == []


def test_claims_ahead_come_on_top_of_those_wanted(store: Store) -> None:
    """One list, in order."""
    ids = put_many(store, 10)
    assert [claim.job_id for claim in store.claim(HOST, 2, ahead=3)] == ids[:5]
    assert [claim.job_id for claim in store.claim(HOST, 0, ahead=1)] == ids[5:6]


def test_claims_ahead_leave_half_of_a_limit_to_others(store: Store) -> None:
    """And what is left there is not overtaken."""
    store.create_queue("gpu", limit=5)
    limited = put_many(store, 5, queue="gpu")
    plain = put(store)
    assert [claim.job_id for claim in store.claim(HOST, 1, ahead=9)] == limited[:2]
    assert store.claim(HOST, 0, ahead=9) == []
    assert [claim.job_id for claim in store.claim(HOST, 4, ahead=9)] == [*limited[2:], plain]


def test_a_limit_without_room_keeps_nobody_from_claiming_ahead(store: Store) -> None:
    """Others are claimed."""
    store.create_queue("gpu", limit=2)
    limited = put_many(store, 5, queue="gpu")
    assert [claim.job_id for claim in store.claim(HOST, 2, ahead=3)] == limited[:2]
    free = put_many(store, 2)
    assert [claim.job_id for claim in store.claim(HOST, 0, ahead=9)] == free


def test_claims_ahead_do_not_overtake_the_limited_queue_between_others(store: Store) -> None:
    """The next worker that is free is for its job, else short jobs could keep it waiting for ever."""
    store.create_queue("gpu", limit=1)
    plain = put(store, priority=9)
    limited = put(store, queue="gpu", priority=8)
    plain_too = put(store, priority=7)
    assert [claim.job_id for claim in store.claim(HOST, 1, ahead=1)] == [plain]
    assert store.claim(HOST, 0, ahead=9) == []
    assert [claim.job_id for claim in store.claim(HOST, 1, ahead=1)] == [limited, plain_too]


def test_a_thousand_queues_are_merged_in_order(store: Store) -> None:
    """Each gives one job, the best first."""
    names = [f"q{number}" for number in range(1000)]
    with store.transaction():
        for name in names:
            store.create_queue(name, limit=3)
    ids = store.add([NewJob("true", queue=name, priority=i % 5) for i, name in enumerate(names)])
    expected = sorted(ids, key=lambda job_id: (-((job_id - ids[0]) % 5), job_id))
    assert [claim.job_id for claim in store.claim(HOST, 1000)] == expected


def test_a_clock_that_goes_back_takes_no_job_away(store: Store, clock: Clock) -> None:
    """What has been ready stays ready."""
    job_id = put(store)
    clock.advance(-3_600_000)
    assert claim_one(store).job_id == job_id
