"""Transactions: all of a group or nothing, savepoints inside, and no trace of what was undone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.errors import NameTaken, NoSuchQueue
from queuectl.job import COMPLETED, FAILED, PENDING, NewJob, Output
from queuectl.store.base import Filter
from tests.support.work import (
    EXIT_0,
    EXIT_3,
    HOST,
    a_host,
    claim_all,
    claim_and_start,
    claim_one,
    job_of,
    put,
    put_many,
    run_one,
    settle,
    start,
)

if TYPE_CHECKING:
    from pathlib import Path

    from queuectl.store.base import Store
    from tests.support.clock import Clock
    from tests.support.stores import Engine


class Change(Exception):  # noqa: N818 - a change of mind is no error
    """Raised to have a transaction undone."""


def test_a_group_is_committed_together(shared: Engine) -> None:
    """Another Store object sees nothing of it before its end."""
    store, other = shared.open(), shared.open()
    with store.transaction():
        put(store)
        store.set("max-retries", "7")
        assert other.counts()[PENDING] == 0
        assert other.settings() == {}
    assert other.counts()[PENDING] == 1
    assert other.settings() == {"max-retries": "7"}


def test_reads_inside_a_transaction_see_what_it_wrote(store: Store) -> None:
    """A group can go by its own results."""
    with store.transaction():
        job_id = put(store, env={"A": "1"})
        assert job_of(store, job_id).env == {"A": "1"}
        claim = claim_one(store)
        assert settle(store, claim).state == COMPLETED
        assert job_of(store, job_id).state == COMPLETED


def test_what_raises_is_undone_whole(store: Store, clock: Clock) -> None:
    """Jobs, numbers, history, names, settings, queues and hosts are as they were."""
    store.create_queue("a")
    put_many(store, 3)
    run_one(store, EXIT_3)
    before = list(store.jobs(Filter())), store.counts(), store.queues(), store.attempts(1)
    with pytest.raises(Change), store.transaction():
        put(store, name="n", priority=9)
        put(store, queue="a")
        claim_and_start(store)
        run_one(store)
        store.cancel([2])
        store.retry([1])
        store.hold([3], held=True)
        store.move([3], first=True)
        store.edit(3, {"command": "x", "queue": "a"})
        store.remove([3])
        store.pause_queue("default", paused=True)
        store.create_queue("b", limit=1)
        store.set("timeout", "5s")
        store.register(a_host())
        raise Change
    assert (list(store.jobs(Filter())), store.counts(), store.queues(), store.attempts(1)) == before
    assert (store.settings(), store.hosts(), store.id_of_name("n")) == ({}, [], None)
    clock.advance(2000)
    assert claim_all(store) == [2, 3, 1]


def test_claims_that_were_undone_can_be_made_again(store: Store) -> None:
    """In the same order, with nothing counted."""
    store.create_queue("a")
    ids = [put(store), put(store, queue="a"), put(store)]
    with pytest.raises(Change), store.transaction():
        assert len(store.claim(HOST, 9)) == 3
        raise Change
    assert store.held_by(HOST) == []
    assert [job_of(store, job_id).deliveries for job_id in ids] == [0, 0, 0]
    assert claim_all(store) == ids


def test_a_settle_that_was_undone_can_be_said_again(store: Store) -> None:
    """The claim is still the host's."""
    put(store)
    claim = claim_and_start(store)
    with pytest.raises(Change), store.transaction():
        settle(store, claim, EXIT_3)
        raise Change
    assert settle(store, claim, EXIT_0).state == COMPLETED
    assert [attempt.reason for attempt in store.attempts(1)] == ["exit 0"]


def test_an_inner_group_can_fail_alone(store: Store) -> None:
    """What stands before and behind it is kept."""
    with store.transaction():
        before = put(store)
        with pytest.raises(Change), store.transaction():
            put(store, priority=9, name="n")
            raise Change
        behind = put(store, name="n")
    assert claim_all(store) == [before, behind]


def test_one_failing_request_of_many_leaves_the_others(store: Store) -> None:
    """As a host commits what several callers asked for."""
    put(store, name="taken")
    answers: list[Any] = []
    with store.transaction():
        for job in (NewJob("a"), NewJob("b", name="taken"), NewJob("c", queue="no"), NewJob("d")):
            try:
                with store.transaction():
                    answers.append(store.add([NewJob("first"), job])[1])
            except (NameTaken, NoSuchQueue) as error:
                answers.append(type(error))
    assert [job.command for job in store.jobs(Filter())] == ["true", "first", "a", "first", "d"]
    assert answers[1:3] == [NameTaken, NoSuchQueue]
    assert [job_of(store, job_id).command for job_id in (answers[0], answers[3])] == ["a", "d"]


def test_groups_nest_to_any_depth(store: Store) -> None:
    """Each level is undone with what is inside it, and with nothing else."""
    with store.transaction():
        kept = put(store, "kept")
        with pytest.raises(Change), store.transaction():
            put(store, "undone")
            with store.transaction():
                put(store, "committed inside what is undone")
            with pytest.raises(Change), store.transaction():
                put(store, "undone twice")
                raise Change
            assert store.counts()[PENDING] == 3
            raise Change
    assert [job.id for job in store.jobs(Filter())] == [kept]


def test_an_inner_claim_that_was_undone_leaves_the_order_right(store: Store) -> None:
    """Also when jobs came before it in the same transaction."""
    store.create_queue("a")
    with store.transaction():
        first, second = put(store, queue="a"), put(store)
        with pytest.raises(Change), store.transaction():
            put(store, queue="a", priority=9)
            assert len(store.claim(HOST, 9)) == 3
            raise Change
    assert claim_all(store) == [first, second]


def test_an_environment_that_was_undone_is_not_given_to_another_job(store: Store) -> None:
    """What is stored once is undone with the job that brought it, also if it has been read."""
    for number in range(3):
        with pytest.raises(Change), store.transaction():
            put(store, env={"N": f"undone {number}"}, policy={"timeout": f"{number + 1}s"})
            claim_one(store)
            raise Change
    job_id = put(store, env={"N": "kept"}, policy={"timeout": "9s"})
    claim = claim_one(store)
    assert (claim.env, claim.policy) == ({"N": "kept"}, {"timeout": "9s"})
    assert job_of(store, job_id).env == {"N": "kept"}


def test_an_inner_environment_that_was_undone_is_not_given_to_another_job(store: Store) -> None:
    """Likewise under a savepoint."""
    with store.transaction():
        with pytest.raises(Change), store.transaction():
            put(store, env={"N": "undone"})
            claim_one(store)
            raise Change
        put(store, env={"N": "kept"})
        assert claim_one(store).env == {"N": "kept"}


def test_ids_that_were_undone_leave_the_numbers_ascending(store: Store) -> None:
    """Whether or not they are used again: nobody was told of them."""
    first = put(store)
    with pytest.raises(Change), store.transaction():
        put_many(store, 5)
        raise Change
    ids = [put(store), put(store)]
    assert first < ids[0] < ids[1]


def _with_output_file(store: Store, path: Path) -> None:
    path.write_bytes(b"much")
    put(store)
    run_one(store, EXIT_0._replace(output=Output(b"", b"", str(path), 4)))


@pytest.mark.parametrize("level", ["outer", "inner"])
def test_a_remove_that_was_undone_leaves_the_output_file(
    store: Store, tmp_path: Path, level: str
) -> None:
    """It goes when the removal is certain and not before."""
    file = tmp_path / "1-1"
    _with_output_file(store, file)
    if level == "outer":
        with pytest.raises(Change), store.transaction():
            store.remove([1])
            raise Change
    else:
        with store.transaction():
            with pytest.raises(Change), store.transaction():
                store.remove([1])
                raise Change
            put(store)
    put(store)
    assert job_of(store, 1).state == COMPLETED
    assert file.read_bytes() == b"much"
    with store.transaction():
        store.remove([1])
        assert file.exists()
    assert not file.exists()


def test_other_threads_read_only_what_has_been_committed(engine: Engine) -> None:
    """Also through the Store object that has a transaction open."""
    store = engine.open()
    put(store)
    seen: list[object] = []

    def look() -> None:
        seen.append((store.counts()[PENDING], store.get(2), len(list(store.jobs(Filter())))))

    with store.transaction():
        put(store)
        run_one(store)
        reader = threading.Thread(target=look)
        reader.start()
        reader.join()
    look()
    assert seen[0] == (1, None, 1)
    assert seen[1] == (1, store.get(2), 2)


def test_a_thread_reads_what_its_own_transaction_wrote(engine: Engine) -> None:
    """Whichever thread it is: a host writes from another one than the one that opened the store."""
    store = engine.open()
    seen: list[object] = []

    def write() -> None:
        with store.transaction():
            job_id = put(store, env={"A": "1"})
            seen.append((job_of(store, job_id).env, store.counts()[PENDING]))

    writer = threading.Thread(target=write)
    writer.start()
    writer.join()
    assert seen == [({"A": "1"}, 1)]
    assert store.counts()[PENDING] == 1


def test_a_start_and_its_settle_may_be_one_group(store: Store) -> None:
    """With the claims that follow."""
    put_many(store, 2)
    claim = claim_one(store)
    with store.transaction():
        start(store, claim)
        settle(store, claim, EXIT_3)
        (following,) = store.claim(HOST, 1)
    assert job_of(store, claim.job_id).state == FAILED
    assert following.job_id == 2


def test_a_store_that_was_closed_twice_is_closed(engine: Engine) -> None:
    """Closing is idempotent."""
    store = engine.open()
    put(store)
    store.close()
    store.close()
