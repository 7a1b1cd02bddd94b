"""Jobs that wait for others: met, never met, kept, in chains and circles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.errors import DependencyCycle, NoSuchJob
from queuectl.job import CANCELLED, COMPLETED, DEAD, PENDING, After, NewJob
from queuectl.store.base import Dependency, Filter
from tests.support.work import (
    EXIT_0,
    EXIT_3,
    HOST,
    claim_all,
    claim_and_start,
    claim_one,
    job_of,
    lose,
    put,
    run_one,
    settle,
)

if TYPE_CHECKING:
    from queuectl.store.base import Store
    from tests.support.clock import Clock

NO_RETRY = {"max-retries": "0"}
KEEP = {"unmet": "keep"}


def end(store: Store, job_id: int, how: str) -> None:
    """Let a job, which is the best to claim or none, end so."""
    if how == CANCELLED:
        store.cancel([job_id])
    elif how == "removed":
        store.remove([job_id])
    else:
        claim = claim_one(store)
        assert claim.job_id == job_id
        settle(store, claim, EXIT_0 if how == COMPLETED else EXIT_3)


def test_a_job_waits_until_what_it_depends_on_has_completed(store: Store) -> None:
    """It cannot be claimed before, and says what it waits for."""
    first = put(store)
    second = put(store, after=(After(first),))
    assert (job_of(store, second).state, job_of(store, second).unmet) == (PENDING, 1)
    assert store.dependencies(second) == [Dependency(first, "completed", met=False)]
    assert (store.dependents(first), store.dependents(second)) == ([second], [])
    assert [claim.job_id for claim in store.claim(HOST, 9)] == [first]
    store.release([(first, job_of(store, first).token or "")])
    run_one(store)
    assert store.dependencies(second) == [Dependency(first, "completed", met=True)]
    assert job_of(store, second).unmet == 0
    assert claim_all(store) == [second]


@pytest.mark.parametrize(
    ("when", "how", "met"),
    [
        ("completed", COMPLETED, True), ("completed", DEAD, False),
        ("completed", CANCELLED, False), ("completed", "removed", False),
        ("ended", COMPLETED, True), ("ended", DEAD, True), ("ended", CANCELLED, True),
        ("ended", "removed", False),
        ("failed", COMPLETED, False), ("failed", DEAD, True), ("failed", CANCELLED, False),
        ("failed", "removed", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "afterwards"])
@pytest.mark.parametrize("keep", [False, True], ids=["cancel", "keep"])
def test_every_end_meets_or_unmeets_every_kind(  # noqa: PLR0917 - parameters of the test
    store: Store, when: str, how: str, met: bool, afterwards: bool, keep: bool
) -> None:
    """However the job is enqueued: before the end of the other, or after it."""
    if afterwards and how == "removed":
        pytest.skip("there is nothing left to depend on")
    first = put(store, policy=NO_RETRY)
    after, policy = (After(first, when),), KEEP if keep else {}
    if afterwards:
        end(store, first, how)
        second = put(store, after=after, policy=policy)
    else:
        second = put(store, after=after, policy=policy)
        end(store, first, how)
    assert store.dependencies(second) == [Dependency(first, when, met=True if met else None)]
    job = job_of(store, second)
    if met:
        assert (job.state, job.unmet) == (PENDING, 0)
        assert claim_all(store) == [second]
    elif keep:
        assert (job.state, job.unmet) == (PENDING, 1)
        assert claim_all(store) == []
    else:
        why = (
            f"dependency {first} was removed"
            if how == "removed"
            else f"dependency {first} is {how}"
        )
        assert (job.state, job.reason) == (CANCELLED, why)
        assert job.finished_at is not None


def test_a_failed_attempt_decides_nothing(store: Store, clock: Clock) -> None:
    """Only an end does."""
    first = put(store)
    second = put(store, after=(After(first),))
    run_one(store, EXIT_3)
    assert store.dependencies(second)[0].met is False
    clock.advance(2000)
    run_one(store, EXIT_0)
    assert claim_all(store) == [second]


def test_a_job_waits_for_all_it_depends_on(store: Store) -> None:
    """The last end lets it go."""
    ids = store.add([NewJob("true")] * 3)
    last = put(store, after=tuple(After(job_id) for job_id in ids))
    assert job_of(store, last).unmet == 3
    for left in (2, 1, 0):
        run_one(store)
        assert job_of(store, last).unmet == left
    assert claim_all(store) == [last]


def test_who_is_held_or_not_due_waits_on(store: Store, clock: Clock) -> None:
    """A dependency that is met lifts nothing else."""
    first = put(store)
    held = put(store, after=(After(first),), paused=True)
    later = put(store, after=(After(first),), due_at=clock.now + 5000)
    run_one(store)
    assert claim_all(store) == []
    assert store.next_due() == clock.now + 5000
    store.hold([held], held=False)
    clock.advance(5000)
    assert claim_all(store) == [held, later]


def test_resume_does_not_lift_a_dependency(store: Store) -> None:
    """Held and waiting are two things."""
    first = put(store)
    second = put(store, after=(After(first),), paused=True)
    store.hold([second], held=False)
    assert claim_all(store) == [first]


def test_a_chain_falls_with_its_first(store: Store) -> None:
    """One after the other, each with its own reason, however long it is."""
    new = [NewJob("true", name="n0", policy=NO_RETRY)]
    new += [NewJob("true", name=f"n{n}", after=(After(f"n{n - 1}"),)) for n in range(1, 1500)]
    ids = store.add(new)
    run_one(store, EXIT_3)
    jobs = list(store.jobs(Filter(states=(CANCELLED,))))
    assert [job.id for job in jobs] == ids[1:]
    assert [job.reason for job in jobs[:2]] == [
        f"dependency {ids[0]} is dead", f"dependency {ids[1]} is cancelled",
    ]  # fmt: skip
    assert store.counts()[CANCELLED] == 1499


def test_a_lost_claim_that_buries_decides_too(store: Store) -> None:
    """Every way to the end is one."""
    first = put(store, policy=NO_RETRY)
    second = put(store, after=(After(first, "failed"),))
    while job_of(store, first).state != DEAD:
        lose(store, claim_one(store))
    assert claim_all(store) == [second]


def test_a_cancel_of_a_running_job_decides_when_it_has_ended(store: Store) -> None:
    """Not when it is asked for."""
    first = put(store)
    second = put(store, after=(After(first),))
    claim = claim_and_start(store)
    store.cancel([first])
    assert job_of(store, second).state == PENDING
    settle(store, claim, EXIT_3)
    assert job_of(store, second).reason == f"dependency {first} is cancelled"


def test_names_are_of_the_batch_first(store: Store) -> None:
    """Also of jobs that come later in it; else of the store."""
    old = put(store, name="old")
    ids = store.add(
        [
            NewJob("deploy", after=(After("build"), After("old"))),
            NewJob("build", name="build"),
        ]
    )
    assert [one.on for one in store.dependencies(ids[0])] == [old, ids[1]]
    with pytest.raises(NoSuchJob):
        put(store, after=(After("nobody"),))
    with pytest.raises(NoSuchJob):
        put(store, after=(After(ids[1] + 1),))


def test_the_same_twice_is_once(store: Store) -> None:
    """By its name and by its id."""
    first = put(store, name="a")
    second = put(store, after=(After("a"), After(first), After(first)))
    assert job_of(store, second).unmet == 1
    run_one(store)
    assert claim_all(store) == [second]


def test_a_circle_is_refused_and_shown(store: Store) -> None:
    """Nothing of the batch is enqueued."""
    with pytest.raises(DependencyCycle) as caught:
        store.add(
            [
                NewJob("true"),
                NewJob("true", name="a", after=(After("c"),)),
                NewJob("true", name="b", after=(After("a"),)),
                NewJob("true", name="c", after=(After("b"),)),
            ]
        )
    assert "a → c → b → a" in caught.value.message
    with pytest.raises(DependencyCycle, match="x → x"):
        put(store, name="x", after=(After("x"),))
    assert store.count(Filter()) == 0


def test_jobs_of_a_batch_keep_their_own_environment_whatever_they_wait_for(store: Store) -> None:
    """Some wait for what has ended, some for each other, some for nothing."""
    ended = put(store)
    run_one(store)
    waits = ((After(ended),), (After("a"),), ())
    ids = store.add([
        NewJob("true", name=name, env={"NAME": name}, after=after, paused=True)
        for name, after in zip("abc", waits, strict=True)
    ])  # fmt: skip
    store.hold(ids, held=False)
    claims = store.claim(HOST, 3)
    assert {claim.job_id: claim.env["NAME"] for claim in claims} == {ids[0]: "a", ids[2]: "c"}


def test_an_edit_replaces_what_a_job_waits_for(store: Store) -> None:
    """And refuses a circle, over any number of jobs."""
    one = put(store)
    two = put(store, after=(After(one),))
    three = put(store, after=(After(two),))
    with pytest.raises(DependencyCycle, match=f"{one} → {three} → {two} → {one}"):
        store.edit(one, {"after": (After(three),)})
    with pytest.raises(DependencyCycle, match=f"{one} → {one}"):
        store.edit(one, {"after": (After(one),)})
    with pytest.raises(NoSuchJob):
        store.edit(one, {"after": (After(99),)})
    assert store.edit(three, {"after": (After(one),)}).done
    assert store.dependencies(three) == [Dependency(one, "completed", met=False)]
    assert store.edit(two, {"after": ()}).done
    assert (job_of(store, two).unmet, store.dependencies(two)) == (0, [])
    assert claim_all(store) == [one, two]


def test_an_edit_to_what_has_ended_is_decided_at_once(store: Store) -> None:
    """Either way."""
    first = put(store)
    run_one(store)
    second, third = put(store), put(store)
    assert store.edit(second, {"after": (After(first),)}).done
    assert store.edit(third, {"after": (After(first, "failed"),)}).state == CANCELLED
    assert claim_all(store) == [second]


def test_a_job_that_was_kept_is_met_when_the_other_is_retried(store: Store) -> None:
    """It goes on waiting till then."""
    first = put(store, policy=NO_RETRY)
    second = put(store, after=(After(first),), policy=KEEP)
    run_one(store, EXIT_3)
    assert store.dependencies(second)[0].met is None
    store.retry([first])
    assert store.dependencies(second)[0].met is False
    run_one(store, EXIT_0)
    assert claim_all(store) == [second]


def test_who_was_cancelled_can_be_retried_once_the_other_is(store: Store) -> None:
    """Before that it is refused: it would be cancelled again."""
    first = put(store, policy=NO_RETRY)
    second = put(store, after=(After(first),))
    run_one(store, EXIT_3)
    (answer,) = store.retry([second])
    assert (answer.done, answer.why) == (False, f"waits for job {first}, which is dead")
    assert [one.done for one in store.retry([first, second])] == [True, True]
    assert claim_all(store) == [first]
    assert job_of(store, second).unmet == 1


def test_what_was_met_stays_met(store: Store) -> None:
    """A second run of the first is no concern of the second."""
    first = put(store)
    second = put(store, after=(After(first),))
    run_one(store)
    run_one(store)
    store.retry([first, second])
    assert claim_all(store) == [first, second]


def test_removing_what_has_ended_changes_nothing(store: Store) -> None:
    """Nor does pruning it."""
    first = put(store)
    second = put(store, after=(After(first),), paused=True)
    run_one(store)
    assert store.prune((COMPLETED,), None) == 1
    assert store.get(first) is None
    assert store.dependencies(second) == [Dependency(first, "completed", met=True)]
    store.hold([second], held=False)
    assert claim_all(store) == [second]


def test_both_can_be_removed_in_any_order(store: Store) -> None:
    """And nothing is left of them."""
    for order in (1, -1):
        first = put(store)
        second = put(store, after=(After(first),))
        assert all(change.done for change in store.remove([first, second][::order]))
        assert (store.dependents(first), store.dependencies(second)) == ([], [])
    assert store.count(Filter()) == 0


def test_many_that_wait_for_one_go_at_once(store: Store) -> None:
    """In the order they were enqueued."""
    first = put(store)
    ids = store.add([NewJob("true", after=(After(first),))] * 500)
    run_one(store)
    assert claim_all(store) == ids


def test_it_is_undone_with_the_end(store: Store) -> None:
    """One transaction."""
    first = put(store)
    second = put(store, after=(After(first),))
    claim = claim_and_start(store)
    with pytest.raises(KeyError), store.transaction():
        settle(store, claim)
        assert job_of(store, second).unmet == 0
        raise KeyError
    assert (job_of(store, second).unmet, store.claim(HOST, 9)) == (1, [])
