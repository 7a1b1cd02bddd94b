"""Chains of jobs that wait for each other, after one has failed: what it took with it, and the way back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from queuectl.job import CANCELLED, COMPLETED, DEAD, PROCESSING, After
from tests.support.work import EXIT_0, EXIT_3, claim_all, claim_and_start, job_of, put, run_one

if TYPE_CHECKING:
    from queuectl.store.base import Store

NO_RETRY = {"max-retries": "0"}


def dead(store: Store) -> int:
    """Enqueue a job and let it die; nothing else may be ready."""
    job_id = put(store, policy=NO_RETRY)
    assert run_one(store, EXIT_3).job_id == job_id
    return job_id


def chain(store: Store, jobs: int) -> list[int]:
    """Return a dead job and so many behind it, each waiting for the one before: all cancelled."""
    ids = [put(store, policy=NO_RETRY)]
    for _ in range(jobs):
        ids.append(put(store, after=(After(ids[-1]),)))
    run_one(store, EXIT_3)
    assert [job_of(store, one).state for one in ids] == [DEAD] + [CANCELLED] * jobs
    return ids


def run_all(store: Store) -> list[int]:
    """Run what is ready, one after the other; return the ids in that order."""
    ran = []
    while claims := store.claim("host-a", 1):
        store.release([(claims[0].job_id, claims[0].token)])
        ran.append(run_one(store, EXIT_0).job_id)
    return ran


# ---- retry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["forwards", "backwards", "shuffled"])
def test_a_chain_is_retried_whole_in_whatever_order_it_is_given(store: Store, order: str) -> None:
    """What others wait for is restarted first; the answers are in the order asked."""
    ids = chain(store, 7)
    asked = list(ids)
    if order == "backwards":
        asked.reverse()
    elif order == "shuffled":
        random.Random(3).shuffle(asked)
    changes = store.retry(asked)
    assert [(change.job_id, change.done) for change in changes] == [(one, True) for one in asked]
    assert [job_of(store, one).unmet for one in ids] == [0] + [1] * 7
    assert run_all(store) == ids


def test_a_graph_of_many_ways_is_retried_whole(store: Store) -> None:
    """Also where a job waits for several, and what it waits for for each other."""
    root = put(store, policy=NO_RETRY)
    left, right = put(store, after=(After(root),)), put(store, after=(After(root),))
    join = put(store, after=(After(right), After(left, "ended"), After(root)))
    run_one(store, EXIT_3)
    assert all(change.done for change in store.retry([join, right, left, root]))
    assert run_all(store) == [root, left, right, join]
    assert job_of(store, join).state == COMPLETED


def test_what_waits_for_a_job_not_asked_for_is_refused_with_what_waits_for_it(store: Store) -> None:
    """The answer says, also in a field, which job it is about; nothing of them changes."""
    ids = chain(store, 3)
    changes = store.retry([ids[3], ids[2]])
    assert [(one.done, one.waits_for, one.state) for one in changes] == [
        (False, ids[2], CANCELLED), (False, ids[1], CANCELLED),
    ]  # fmt: skip
    assert changes[1].why == f"waits for job {ids[1]}, which is cancelled"
    assert [job_of(store, one).state for one in ids[1:]] == [CANCELLED] * 3
    (change,) = store.retry([ids[0]])
    assert (change.done, change.waits_for) == (True, None)


def test_an_id_given_twice_is_retried_once(store: Store) -> None:
    """The second finds it waiting."""
    ids = chain(store, 1)
    changes = store.retry([ids[1], ids[0], ids[1]])
    assert [one.done for one in changes] == [True, True, False]


# ---- what a job took with it ----------------------------------------------------------------------


def test_the_jobs_that_were_cancelled_because_of_one_are_told_to_the_last(store: Store) -> None:
    """Over all that lies between; of no other."""
    first, other = chain(store, 4), chain(store, 1)
    assert store.given_up([first[0]]) == first[1:]
    assert store.given_up([first[2]]) == first[3:]
    assert store.given_up([first[0], other[0]]) == first[1:] + other[1:]
    assert store.given_up([first[-1]]) == []
    assert store.given_up([]) == []
    assert store.given_up([10**30]) == []


def test_who_was_given_up_because_of_another_is_not_taken_along(store: Store) -> None:
    """Unless what it also waits for has ended as well."""
    first, second = put(store), put(store)
    both = put(store, after=(After(first), After(second)))
    store.cancel([first])
    assert job_of(store, both).state == CANCELLED
    assert (store.given_up([first]), store.given_up([second])) == ([both], [])
    store.cancel([second])
    assert store.given_up([second]) == [both]


def test_what_somebody_cancelled_is_not_told_nor_what_hangs_on_that(store: Store) -> None:
    """Nobody wanted that any more before the other died."""
    root = put(store, policy=NO_RETRY)
    wanted = put(store, after=(After(root),))
    unwanted = put(store, after=(After(root),))
    behind = put(store, after=(After(unwanted),))
    store.cancel([unwanted])
    run_one(store, EXIT_3)
    assert job_of(store, behind).reason == f"dependency {unwanted} is cancelled"
    assert store.given_up([root]) == [wanted]
    assert store.given_up([unwanted]) == [behind]


def test_what_ran_or_waits_is_not_told(store: Store) -> None:
    """A job that waited for the death has run; one that is kept waits on."""
    root = put(store, policy=NO_RETRY)
    complain = put(store, after=(After(root, "failed"),))
    put(store, after=(After(root),), policy={"unmet": "keep"})
    run_one(store, EXIT_3)
    assert claim_all(store) == [complain]
    assert store.given_up([root]) == []


def test_they_are_told_also_when_the_job_was_retried_before(store: Store) -> None:
    """While it waits, while it runs and when it has completed."""
    ids = chain(store, 2)
    store.retry([ids[0]])
    assert store.given_up([ids[0]]) == ids[1:]
    claim_and_start(store)
    assert (job_of(store, ids[0]).state, store.given_up([ids[0]])) == (PROCESSING, ids[1:])


def test_they_are_told_when_it_has_completed_at_last(store: Store) -> None:
    """They can be retried then without it."""
    ids = chain(store, 2)
    store.retry([ids[0]])
    run_one(store, EXIT_0)
    assert store.given_up([ids[0]]) == ids[1:]
    assert all(change.done for change in store.retry([ids[2], ids[1]]))
    assert run_all(store) == ids[1:]


def test_a_job_that_waited_for_two_dead_ones_is_told_for_each(store: Store) -> None:
    """Whichever of them died first."""
    roots = [put(store, policy=NO_RETRY), put(store, policy=NO_RETRY)]
    both = put(store, after=tuple(After(one) for one in roots))
    run_one(store, EXIT_3)
    run_one(store, EXIT_3)
    assert [store.given_up([one]) for one in roots] == [[both], [both]]


# ---- what a job could not run for -----------------------------------------------------------------


def test_the_root_of_a_chain_is_found(store: Store) -> None:
    """However far away; that of a job that is not held up by any is none."""
    ids = chain(store, 30)
    assert store.roots(ids[-1]) == [ids[0]]
    assert store.roots(ids[1]) == [ids[0]]
    assert store.roots(ids[0]) == []
    assert store.roots(10**30) == []


def test_every_root_is_found_up_to_a_number(store: Store) -> None:
    """In order of id."""
    dead_ones = [dead(store) for _ in range(3)]
    job = put(store, after=tuple(After(one) for one in dead_ones))
    assert job_of(store, job).state == CANCELLED
    assert store.roots(job) == dead_ones
    assert store.roots(job, 2) == dead_ones[:2]


def test_what_somebody_cancelled_on_the_way_is_a_root_too(store: Store) -> None:
    """It is not brought back with what stands above it."""
    root = put(store, policy=NO_RETRY)
    unwanted = put(store, after=(After(root),))
    behind = put(store, after=(After(unwanted),))
    store.cancel([unwanted])
    run_one(store, EXIT_3)
    assert store.roots(behind) == [root, unwanted]


def test_a_removed_job_is_a_root(store: Store) -> None:
    """It will never be what others wait for."""
    root = put(store)
    middle = put(store, after=(After(root),))
    last = put(store, after=(After(middle),))
    store.remove([root])
    assert store.roots(last) == [root]


def test_what_runs_again_is_no_root_but_what_it_left_cancelled_is(store: Store) -> None:
    """It is enough to retry that."""
    ids = chain(store, 2)
    store.retry([ids[0]])
    assert store.roots(ids[1]) == []
    assert store.roots(ids[2]) == [ids[1]]


def test_what_jobs_wait_for_is_read_for_many_at_once(store: Store) -> None:
    """Pairs of a job and one it waits for; what is met is not among them."""
    ids = chain(store, 2)
    fine = put(store)
    run_one(store)
    last = put(store, after=(After(fine), After(put(store))))
    assert sorted(store.waits([*ids, last])) == [
        (ids[1], ids[0]),
        (ids[2], ids[1]),
        (last, last - 1),
    ]
    assert store.waits([]) == []
