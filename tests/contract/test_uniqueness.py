"""Unique keys: while one job of a key is not final there is no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.errors import Refused
from queuectl.job import After, NewJob
from queuectl.store.base import Existing, Filter
from tests.support.work import EXIT_3, claim_all, claim_and_start, job_of, put, run_one, settle

if TYPE_CHECKING:
    from queuectl.store.base import Store


def test_a_second_job_of_a_key_is_the_first(store: Store) -> None:
    """Its id comes back, as one that was there."""
    first = put(store, unique="k")
    again = put(store, "other", unique="k")
    assert (again, isinstance(again, Existing), isinstance(first, Existing)) == (first, True, False)
    assert store.count(Filter()) == 1
    assert job_of(store, first).unique == "k"
    assert [job.id for job in store.jobs(Filter(unique="k"))] == [first]


def test_within_one_batch_too(store: Store) -> None:
    """The rest of it is enqueued, ids ascend without gaps."""
    ids = store.add(
        [NewJob("a", unique="k"), NewJob("b"), NewJob("c", unique="k"), NewJob("d", unique="l")]
    )
    assert [isinstance(job_id, Existing) for job_id in ids] == [False, False, True, False]
    assert ids[2] == ids[0]
    assert sorted({*ids}) == list(range(ids[0], ids[0] + 3))


@pytest.mark.parametrize("how", ["completed", "cancelled", "dead", "removed"])
def test_a_key_is_free_when_its_job_is_final(store: Store, how: str) -> None:
    """However it came to that."""
    first = put(store, unique="k", policy={"max-retries": "0"})
    if how == "removed":
        store.remove([first])
    elif how == "cancelled":
        store.cancel([first])
    else:
        claim = claim_and_start(store)
        assert isinstance(put(store, unique="k"), Existing)
        settle(store, claim, *([EXIT_3] if how == "dead" else []))
    second = put(store, unique="k")
    assert (second != first, isinstance(second, Existing)) == (True, False)


def test_a_final_job_cannot_come_back_to_a_taken_key(store: Store) -> None:
    """Retry says who has it."""
    first = put(store, unique="k")
    run_one(store)
    second = put(store, unique="k")
    (answer,) = store.retry([first])
    assert (answer.done, answer.why) == (False, f"its unique key is taken by job {second}")
    store.cancel([second])
    assert store.retry([first])[0].done


def test_a_key_can_be_edited(store: Store) -> None:
    """Not to one that is taken."""
    first, second = put(store, unique="k"), put(store)
    with pytest.raises(Refused, match=f"taken by job {first}"):
        store.edit(second, {"unique": "k"})
    assert store.edit(first, {"unique": "k"}).done
    assert store.edit(first, {"unique": None}).done
    assert store.edit(second, {"unique": "k"}).done
    assert put(store, unique="k") == second


def test_who_depends_on_one_that_was_there_depends_on_that(store: Store) -> None:
    """By the name the new one would have had."""
    first = put(store, unique="k")
    ids = store.add([NewJob("a", unique="k", name="n"), NewJob("b", after=(After("n"),))])
    assert [one.on for one in store.dependencies(ids[1])] == [first]
    run_one(store)
    assert claim_all(store) == [ids[1]]


def test_a_batch_of_nothing_new_enqueues_nothing(store: Store) -> None:
    """And says so."""
    first = put(store, unique="k")
    assert store.add([NewJob("x", unique="k")] * 3) == [first] * 3
    assert store.add([]) == []
    assert put(store) == first + 1
