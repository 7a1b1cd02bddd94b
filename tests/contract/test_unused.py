"""What many jobs have in common is stored once, and goes when the last of them is gone for days."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.store.sql.unused import DAYS
from tests.support.work import claim_one, job_of, put, release

if TYPE_CHECKING:
    from queuectl.store.base import Store
    from tests.support.clock import Clock
    from tests.support.stores import Engine

DAY = 24 * 3600 * 1000
LATER = (DAYS + 1) * DAY
#: of the row that was made last, which stays
NEWEST = {"SEED": "newest"}


def rows(store: Store, table: str) -> int:
    """Return how many sets of pairs are stored."""
    return int(store.rows(f"SELECT count(*) FROM {table}")[0][0])  # type: ignore[attr-defined]


def tidy(store: Store) -> int:
    """Delete the environments that nobody uses; return how many."""
    return store.drop_unused({"environment": store.unused().get("environment", [])})


def test_what_the_last_job_had_goes_after_some_days(store: Store, clock: Clock) -> None:
    """Not before, for somebody may just be about to use it."""
    gone = put(store, env={"SEED": "1"}, policy={"timeout": "1s"})
    kept = put(store, env={"SEED": "2"}, policy={"timeout": "2s"})
    store.remove([gone])
    assert store.unused() == {}
    clock.advance(LATER)
    assert {table: len(found) for table, found in store.unused().items()} == {
        "environment": 1, "policy": 1,
    }  # fmt: skip
    assert store.drop_unused(store.unused()) == 2
    assert (rows(store, "environment"), rows(store, "policy")) == (1, 1)
    assert tidy(store) == 0
    assert dict(job_of(store, kept).env) == {"SEED": "2"}


@pytest.mark.parametrize("between", [False, True], ids=["before the look", "after the look"])
def test_what_is_taken_up_again_stays(store: Store, clock: Clock, *, between: bool) -> None:
    """Also by whoever remembers its id from days ago, and between the look and the deletion."""
    env, policy = {"SEED": "1"}, {"timeout": "1s"}
    store.remove([put(store, env=env, policy=policy)])
    clock.advance(LATER)
    found = store.unused()
    job_id = put(store, env=env, policy=policy)
    if not between:
        assert store.unused() == {}
    assert store.drop_unused(found) == 0
    assert dict(job_of(store, job_id).env) == env


def test_what_was_deleted_is_stored_anew(store: Store, clock: Clock) -> None:
    """Nobody goes on with an id that is gone."""
    env = {"SEED": "1"}
    store.remove([put(store, env=env), put(store, env=NEWEST)])
    clock.advance(LATER)
    assert tidy(store) == 1
    job_id = put(store, env=env)
    assert dict(job_of(store, job_id).env) == env
    claim = claim_one(store)
    assert (claim.job_id, dict(claim.env)) == (job_id, env)


def test_no_id_is_given_out_twice(shared: Engine) -> None:
    """Another process remembers what it stood for: no job ever gets another's variables."""
    host, other = shared.open(), shared.open()
    first = put(other, env={"PASSWORD": "alice"}, policy={"timeout": "1s"})
    claim = claim_one(host)
    assert dict(claim.env) == {"PASSWORD": "alice"}
    release(host, claim)
    other.remove([first])
    shared.clock.advance(LATER)
    other.drop_unused(other.unused())
    put(other, env={"PASSWORD": "bob"}, policy={"timeout": "1h"})
    claim = claim_one(host)
    assert (dict(claim.env), claim.policy["timeout"]) == ({"PASSWORD": "bob"}, "1h")


def test_a_use_that_was_undone_is_none(store: Store, clock: Clock) -> None:
    """A job that was never committed keeps nothing alive."""
    env = {"SEED": "1"}
    store.remove([put(store, env=env), put(store, env=NEWEST)])
    clock.advance(LATER)
    with pytest.raises(KeyError), store.transaction():
        put(store, env=env)
        raise KeyError
    assert tidy(store) == 1
    assert dict(job_of(store, put(store, env=env)).env) == env


def test_another_process_that_remembers_an_id_takes_it_up_again(shared: Engine) -> None:
    """Its memory of it is of another day."""
    first, second = shared.open(), shared.open()
    env = {"SEED": "1"}
    first.remove([put(first, env=env), put(second, env=env), put(first, env=NEWEST)])
    shared.clock.advance(LATER)
    assert tidy(first) == 1
    assert dict(job_of(first, put(second, env=env)).env) == env


def test_unused_rows_of_an_older_version_stay(store: Store, clock: Clock) -> None:
    """They carry no mark, and get none: nobody knows who remembers them."""
    ids = [put(store, env={"SEED": "1"})]
    with store.transaction():
        store.run("UPDATE environment SET used_day = 0")  # type: ignore[attr-defined]
    clock.advance(DAY)
    ids += [put(store, env={"SEED": "1"}), put(store, env=NEWEST)]
    store.remove(ids)
    clock.advance(LATER)
    assert tidy(store) == 0
