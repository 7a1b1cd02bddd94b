"""What bounds a claim beside the workers: rates, arrays, needs, queues that are asked by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from queuectl.job import Array, NewJob
from queuectl.store.base import Filter, Rate, Room
from tests.support.work import (
    EXIT_0,
    HOST,
    OTHER,
    claim_all,
    claim_one,
    job_of,
    put,
    put_many,
    release,
    settle,
)

if TYPE_CHECKING:
    from queuectl.job import Claim
    from queuectl.store.base import Store
    from tests.support.clock import Clock


def claimed(store: Store, want: int = 9, **how: Any) -> list[int]:
    """Claim once; return the ids."""
    return [claim.job_id for claim in store.claim(HOST, want, **how)]


def array(store: Store, count: int, limit: int | None = None, **fields: Any) -> list[int]:
    """Enqueue an array."""
    return store.add(
        [NewJob("true", array=Array("a", index, limit), **fields) for index in range(count)]
    )


# ---- rates -------------------------------------------------------------------------------------


def test_a_rate_spaces_the_claims_of_its_queue(store: Store, clock: Clock) -> None:
    """One at a time, evenly, and the store says when the next may be."""
    store.create_queue("api", rate=Rate(3, 10_000))
    ids = put_many(store, 4, queue="api")
    for job_id in ids:
        assert claimed(store, ahead=5) == [job_id]
        assert claimed(store) == []
        (queue,) = [queue for queue in store.queues() if queue.name == "api"]
        assert queue.rate == Rate(3, 10_000)
        assert queue.open_at == clock.now + 3334
        if job_id != ids[-1]:
            assert store.next_due() == queue.open_at
        clock.advance(3333)
        assert claimed(store) == []
        clock.advance(1)
    assert store.next_due() is None


def test_a_rate_holds_over_all_tracks_of_a_queue(store: Store, clock: Clock) -> None:
    """Whatever its jobs need."""
    store.create_queue("api", rate=Rate(1, 1000))
    one = put(store, queue="api")
    two = put(store, queue="api", needs={"gpu": 1})
    room = Room({"gpu": 1}, {"gpu": 1}, 9)
    assert claimed(store, room=room) == [one]
    clock.advance(1000)
    assert claimed(store, room=room) == [two]


def test_a_closed_queue_does_not_stand_in_the_way(store: Store) -> None:
    """Others give what they have."""
    store.create_queue("api", rate=Rate(1, 1000))
    first = put_many(store, 2, queue="api", priority=5)[0]
    other = put(store)
    assert claimed(store) == [first, other]


def test_nothing_to_start_is_nothing_to_wait_for(store: Store, clock: Clock) -> None:
    """A closed queue without ready jobs wakes nobody."""
    store.create_queue("api", rate=Rate(1, 60_000))
    put_many(store, 2, queue="api")
    claim_one(store)
    assert store.next_due() == clock.now + 60_000
    store.pause_queue("api", paused=True)
    assert store.next_due() is None


# ---- arrays ------------------------------------------------------------------------------------


def test_an_array_is_known_by_its_first_job(store: Store) -> None:
    """Each job knows its place; two in one batch, or in two, do not mix."""
    ids = store.add(
        [NewJob("true", array=Array(key, index, 2)) for index in (1, 2) for key in "ab"]
    )
    assert [(job_of(store, i).array_id, job_of(store, i).array_index) for i in ids] == [
        (ids[0], 1), (ids[1], 1), (ids[0], 2), (ids[1], 2),
    ]  # fmt: skip
    assert job_of(store, ids[0]).array_limit == 2
    again = array(store, 2)
    assert [job.id for job in store.jobs(Filter(array=again[0]))] == again
    assert job_of(store, again[1]).array_limit is None
    assert store.count(Filter(array=ids[0])) == 2
    claims = store.claim(HOST, 1)
    assert (claims[0].array_id, claims[0].array_index) == (ids[0], 1)


def test_an_array_with_a_limit_runs_that_many_at_once(store: Store) -> None:
    """Others are claimed ahead."""
    ids = array(store, 5, 2, priority=1)
    plain = put_many(store, 3)
    claims = store.claim(HOST, 3, (), 1)
    assert [claim.job_id for claim in claims] == [*ids[:2], *plain[:2]]
    assert claimed(store, 9) == plain[2:]
    settle(store, claims[0])
    assert claimed(store, 9) == [ids[2]]


def test_an_array_without_a_limit_is_like_any_jobs(store: Store) -> None:
    """Also ahead."""
    ids = array(store, 5)
    assert claimed(store, 1, ahead=9) == ids


def test_the_limit_of_an_array_holds_in_every_queue(store: Store) -> None:
    """A job that is moved takes it along."""
    store.create_queue("other")
    ids = array(store, 4, 2)
    for job_id in ids[2:]:
        store.edit(job_id, {"queue": "other"})
    assert claimed(store) == ids[:2]
    assert job_of(store, ids[3]).array_limit == 2


def test_an_array_and_its_queue_both_bound(store: Store) -> None:
    """The narrower one counts."""
    store.create_queue("q", limit=3)
    array(store, 4, 2, queue="q")
    put_many(store, 4, queue="q")
    claims = store.claim(HOST, 9)
    assert [claim.array_id is not None for claim in claims] == [True, True, False]


def test_nothing_is_left_of_an_array_that_was_removed(store: Store) -> None:
    """A new one starts anew."""
    ids = array(store, 3, 1)
    store.remove(ids)
    assert store.count(Filter(array=ids[0])) == 0
    again = array(store, 3, 3)
    assert claimed(store) == again


# ---- needs -------------------------------------------------------------------------------------


def test_a_job_says_what_it_needs(store: Store) -> None:
    """One worker is nothing special."""
    one, two = put(store, needs={"gpu": 2, "slots": 1}), put(store, needs={"slots": 1})
    assert [dict(job_of(store, job_id).needs) for job_id in (one, two)] == [{"gpu": 2}, {}]
    (claim, plain) = store.claim(HOST, 2, room=Room({"gpu": 4}, {"gpu": 4}, 2))
    assert (dict(claim.needs), dict(plain.needs)) == ({"gpu": 2}, {})
    store.edit(two, {"needs": {"gpu": 1}})


def test_without_room_a_host_has_workers_only(store: Store) -> None:
    """Jobs that need more are passed over."""
    put(store, needs={"gpu": 1})
    put(store, needs={"slots": 3})
    two = put(store, needs={"slots": 2})
    plain = put(store)
    assert claimed(store, 2) == [two]
    assert claimed(store, 2) == [plain]


def test_room_is_counted_down(store: Store) -> None:
    """Within a claim; between claims the host says what it has."""
    ids = put_many(store, 5, needs={"gpu": 2})
    assert claimed(store, room=Room({"gpu": 5}, {"gpu": 8}, 9)) == ids[:2]
    assert claimed(store, room=Room({"gpu": 1}, {"gpu": 8}, 9)) == []
    assert claimed(store, room=Room({"gpu": 8}, {"gpu": 8}, 9)) == ids[2:]


def test_slots_count_for_as_many_workers(store: Store) -> None:
    """Of those that are wanted."""
    wide = put_many(store, 3, needs={"slots": 2})
    plain = put_many(store, 3)
    assert claimed(store, 5, room=Room(slots=5)) == wide[:2]
    store.cancel(wide[2:])
    assert claimed(store, 5, room=Room(slots=5)) == plain


def test_who_lacks_something_now_is_not_overtaken_by_those_that_need_it(store: Store) -> None:
    """What is free of it is kept; jobs that need nothing of it go on."""
    big = put(store, needs={"gpu": 3}, priority=1)
    small = put(store, needs={"gpu": 1})
    plain = put(store)
    assert claimed(store, room=Room({"gpu": 2}, {"gpu": 3}, 9)) == [plain]
    assert claimed(store, room=Room({"gpu": 3}, {"gpu": 3}, 9)) == [big]
    assert claimed(store, room=Room({"gpu": 0}, {"gpu": 3}, 9)) == []
    assert claimed(store, room=Room({"gpu": 1}, {"gpu": 3}, 9)) == [small]


def test_who_lacks_workers_keeps_those_that_are_idle(store: Store) -> None:
    """Else it would wait for ever beside short jobs; nothing is claimed ahead of it."""
    wide = put(store, needs={"slots": 3}, priority=1)
    put_many(store, 9)
    assert claimed(store, 2, ahead=4, room=Room(slots=4)) == []
    assert claimed(store, 3, room=Room(slots=4)) == [wide]


def test_who_needs_more_than_there_is_at_all_keeps_nothing(store: Store) -> None:
    """Another host may have it."""
    put(store, needs={"gpu": 4}, priority=1)
    put(store, needs={"slots": 5}, priority=1)
    small = put(store, needs={"gpu": 1})
    plain = put(store)
    assert claimed(store, 2, room=Room({"gpu": 3}, {"gpu": 3}, 4)) == [small, plain]
    assert claimed(store, room=Room({"gpu": 4}, {"gpu": 4}, 4)) == [1]


def test_a_paused_queue_keeps_nothing_of_the_room(store: Store) -> None:
    """Nor one that is full."""
    store.create_queue("q", limit=0)
    put(store, queue="q", needs={"gpu": 3}, priority=1)
    small = put(store, needs={"gpu": 1})
    assert claimed(store, room=Room({"gpu": 2}, {"gpu": 3}, 9)) == [small]


@pytest.mark.parametrize("way", ["cancelled", "held", "behind"])
def test_nothing_is_kept_for_a_job_that_does_not_stand_there_any_more(
    store: Store, way: str
) -> None:
    """Who needed it was cancelled, is held, or comes later now: others have it."""
    big = put(store, needs={"gpu": 3}, priority=1)
    small = put(store, needs={"gpu": 1})
    if way == "cancelled":
        store.cancel([big])
    elif way == "held":
        store.hold([big], held=True)
    else:
        store.edit(big, {"priority": -1})
    assert claimed(store, room=Room({"gpu": 2}, {"gpu": 3}, 9)) == [small]


def test_who_waited_for_a_worker_and_is_gone_lets_others_be_claimed_ahead(store: Store) -> None:
    """In a queue with a limit, and with needs."""
    store.create_queue("q", limit=1)
    gone = [put(store, queue="q", priority=2), put(store, needs={"gpu": 1}, priority=1)]
    plain = put(store)
    store.cancel(gone)
    assert claimed(store, 0, ahead=1, room=Room({"gpu": 1}, {"gpu": 1}, 1)) == [plain]


def test_jobs_with_needs_are_never_claimed_ahead(store: Store) -> None:
    """They would hold what they need in a tray. Those that lack something let others pass."""
    first, second = put_many(store, 2, needs={"gpu": 1}, priority=1)
    plain = put_many(store, 2)
    room = Room({"gpu": 9}, {"gpu": 9}, 9)
    assert claimed(store, 1, ahead=2, room=room) == [first]
    assert claimed(store, 0, ahead=2, room=room) == []
    assert claimed(store, 0, ahead=1, room=Room({"gpu": 0}, {"gpu": 9}, 9)) == plain[:1]
    assert claimed(store, 1, ahead=2, room=room) == [second, plain[1]]


@pytest.mark.parametrize("needs", [{"slots": 2}, {"gpu": 1}, {"gpu": 1, "slots": 2}])
def test_who_waits_for_a_worker_is_not_overtaken_by_claims_ahead(
    store: Store, needs: dict[str, int]
) -> None:
    """While no worker is idle; else a stream of short jobs would keep it waiting for ever."""
    wide = put(store, needs=needs, priority=1)
    put_many(store, 5)
    room = Room({"gpu": 1}, {"gpu": 1}, 2)
    assert claimed(store, 0, ahead=5, room=room) == []
    assert claimed(store, 2, room=room)[0] == wide


def test_a_rate_that_lets_one_start_while_it_is_asked_about_is_told(
    store: Store, clock: Clock
) -> None:
    """Else a host that claims just before, and asks just after, would wait for ever."""
    store.create_queue("api", rate=Rate(1, 1000))
    first, second = put_many(store, 2, queue="api")
    assert claimed(store) == [first]
    began = clock.advance(999)
    assert claimed(store) == []
    opens = clock.advance(1)
    assert store.next_due() is None
    assert store.next_due(began) == opens
    assert claimed(store) == [second]
    assert store.next_due(began) is None


def test_order_goes_over_all_tracks(store: Store, clock: Clock) -> None:
    """Priority, then due time, then id, whatever the jobs need."""
    store.create_queue("other")
    ids = []
    for needs in ({}, {"gpu": 1}, {"slots": 2}, {}):
        for queue in ("default", "other"):
            ids.append(put(store, needs=needs, queue=queue))
            clock.advance(1)
    first = put(store, priority=1, needs={"disk": 1})
    room = Room({"gpu": 9, "disk": 9}, {"gpu": 9, "disk": 9}, 99)
    assert claimed(store, 99, room=room) == [first, *ids]


def test_a_moved_job_is_in_its_new_queue_in_every_way(store: Store) -> None:
    """It is claimed there, and counted by its limit."""
    store.create_queue("q", limit=1)
    ids = put_many(store, 3)
    for job_id in ids[:2]:
        assert store.edit(job_id, {"queue": "q"}).done
    assert claimed(store, queues=("q",)) == ids[:1]
    assert claimed(store) == ids[2:]


def test_first_and_last_go_over_all_tracks_of_a_queue(store: Store) -> None:
    """The line is the queue's."""
    one, two, three = put(store), put(store, needs={"slots": 2}), put(store)
    room = Room(slots=9)
    store.move([one], first=False)
    store.move([three], first=True)
    assert claimed(store, room=room) == [three, two, one]


# ---- queues that are asked by name -------------------------------------------------------------


def test_a_pull_queue_gives_to_who_names_it(store: Store) -> None:
    """Not to hosts that take from all."""
    store.create_queue("out", pull=True)
    job_id = put(store, queue="out")
    other = put(store)
    assert claimed(store) == [other]
    assert claimed(store, queues=("default", "out")) == [job_id]


# ---- what is given back ------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"needs": {"gpu": 1}}, {"array": Array("a", 0, 1)}])
def test_what_is_given_back_is_there_again(store: Store, fields: dict[str, Any]) -> None:
    """For others too."""
    job_id = put(store, **fields)
    room = Room({"gpu": 1}, {"gpu": 1}, 1)

    def take(host: str) -> Claim:
        (claim,) = store.claim(host, 1, room=room)
        return claim

    assert release(store, take(HOST)) == 1
    claim = take(OTHER)
    assert claim.job_id == job_id
    assert settle(store, claim, EXIT_0).state == "completed"
    assert claim_all(store) == []
