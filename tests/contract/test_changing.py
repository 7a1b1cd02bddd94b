"""Jobs that wait can be held, edited and moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.errors import NameTaken, NoSuchQueue
from queuectl.job import CANCELLED, COMPLETED, DEAD, FAILED, PENDING, PROCESSING
from queuectl.store.base import Changed
from tests.support.work import (
    EXIT_0,
    EXIT_3,
    HOST,
    ahead_of,
    claim_all,
    claim_and_start,
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

NOBODY = (0, -1, 999, 2**63, 2**70)


# ---- hold --------------------------------------------------------------------------------------


def test_a_held_job_waits_until_it_is_let_go(store: Store) -> None:
    """And comes back in its old place."""
    ids = put_many(store, 3)
    assert store.hold(ids[:1], held=True) == [Changed(ids[0], done=True, state=PENDING)]
    assert job_of(store, ids[0]).paused
    assert claim_one(store).job_id == ids[1]
    assert store.hold(ids[:1], held=False) == [Changed(ids[0], done=True, state=PENDING)]
    assert claim_all(store) == [ids[0], ids[2]]


def test_a_job_held_when_it_was_enqueued_is_let_go_the_same_way(store: Store, clock: Clock) -> None:
    """At its time, if it has one, and not before."""
    now, later = put(store, paused=True), put(store, paused=True, due_at=clock.now + 50)
    store.hold([now, later], held=False)
    assert claim_all(store) == [now]
    clock.advance(50)
    assert claim_all(store) == [later]


def test_a_held_retry_waits_too(store: Store, clock: Clock) -> None:
    """It stays failed; its time may pass meanwhile."""
    put(store)
    run_one(store, EXIT_3)
    store.hold([1], held=True)
    clock.advance(60_000)
    assert store.claim(HOST, 1) == []
    assert job_of(store, 1).state == FAILED
    store.hold([1], held=False)
    assert claim_one(store).run == 2


@pytest.mark.parametrize(("held", "kind"), [(True, "pause"), (False, "resume")])
def test_holding_a_running_job_asks_its_host(store: Store, held: bool, kind: str) -> None:
    """The process is stopped, or goes on."""
    put(store)
    claim = claim_and_start(store)
    if not held:
        store.hold([1], held=True)
        store.take_wishes(HOST)
    assert store.hold([1], held=held) == [Changed(1, done=True, state=PROCESSING)]
    (wish,) = store.take_wishes(HOST)
    assert (wish.kind, wish.token) == (kind, claim.token)
    assert job_of(store, 1).paused is held


def test_a_held_running_job_is_held_when_it_comes_back(store: Store, clock: Clock) -> None:
    """Failed, released or lost: nobody claims it."""
    put(store)
    claim = claim_and_start(store)
    store.hold([1], held=True)
    settle(store, claim, EXIT_3)
    clock.advance(60_000)
    assert store.claim(HOST, 1) == []
    store.hold([1], held=False)
    claim = claim_one(store)
    store.hold([1], held=True)
    release(store, claim)
    assert store.claim(HOST, 1) == []


def test_holding_what_is_held_already_is_refused(store: Store) -> None:
    """And so is letting go what is not."""
    put(store)
    assert not store.hold([1], held=False)[0].done
    store.hold([1], held=True)
    answer = store.hold([1], held=True)[0]
    assert (answer.done, answer.state) == (False, PENDING)
    assert answer.why


def test_a_final_job_cannot_be_held(store: Store) -> None:
    """It does not wait."""
    put(store)
    run_one(store)
    assert store.hold([1], held=True) == [
        Changed(1, done=False, why="is completed", state=COMPLETED)
    ]


# ---- edit --------------------------------------------------------------------------------------


def test_edit_changes_the_fields_it_is_given_and_no_others(store: Store) -> None:
    """The next claim has them all."""
    job_id = put(store, "old", args=("x",), name="n", env={"A": "1"}, cwd="/a", stdin=b"old")
    before = job_of(store, job_id)
    changes = {
        "command": "new", "args": ("y", ""), "shell": True, "name": "m", "env": {"B": "2"},
        "cwd": "/b", "priority": 5, "stdin": b"new", "policy": {"timeout": "5s"},
    }  # fmt: skip
    assert store.edit(job_id, changes) == Changed(job_id, done=True, state=PENDING)
    after = job_of(store, job_id)
    assert after == before._replace(
        command="new", args=("y", ""), shell=True, name="m", env={"B": "2"}, cwd="/b", priority=5,
        policy={"timeout": "5s"},
    )  # fmt: skip
    claim = claim_one(store)
    assert (claim.command, claim.args, claim.stdin) == ("new", ("y", ""), b"new")
    assert (claim.env, claim.policy, claim.name) == ({"B": "2"}, {"timeout": "5s"}, "m")


def test_edit_takes_optional_fields_back(store: Store) -> None:
    """None is a value of theirs."""
    job_id = put(store, "x", args=("y",), shell=True, name="n", stdin=b"in")
    store.edit(job_id, {"args": None, "name": None, "stdin": None})
    job = job_of(store, job_id)
    assert (job.args, job.name) == (None, None)
    assert claim_one(store).stdin is None
    put(store, name="n")


def test_edit_takes_what_is_left_open_as_enqueue_does(store: Store, clock: Clock) -> None:
    """Due now, priority 0, a shell unless there are args."""
    job_id = put(store, "x", args=("y",), shell=True, priority=4, due_at=clock.now + 99)
    store.edit(job_id, {"shell": None, "priority": None, "due_at": None})
    job = job_of(store, job_id)
    assert (job.shell, job.priority, job.due_at) == (False, 0, clock.now)
    store.edit(job_id, {"shell": None, "args": None, "due_at": clock.now - 99})
    job = job_of(store, job_id)
    assert (job.shell, job.due_at, job.next_run_at) == (True, clock.now, None)


def test_edit_of_nothing_changes_nothing(store: Store) -> None:
    """And says that it was done."""
    job_id = put(store)
    before = job_of(store, job_id)
    assert store.edit(job_id, {}).done
    assert job_of(store, job_id) == before


def test_edit_merges_policy_into_the_jobs_own(store: Store) -> None:
    """None takes a setting back."""
    job_id = put(store, policy={"timeout": "5s", "backoff-base": "0"})
    store.edit(job_id, {"policy": {"timeout": None, "jitter": "0.5"}})
    assert job_of(store, job_id).policy == {"backoff-base": "0", "jitter": "0.5"}


def test_edit_changes_the_number_of_retries(store: Store) -> None:
    """Which is a setting like the others."""
    job_id = put(store)
    store.edit(job_id, {"policy": {"max-retries": "0"}})
    assert job_of(store, job_id).max_retries == 0
    assert run_one(store, EXIT_3).state == DEAD
    assert job_of(store, job_id).policy == {}
    store.edit(job_id, {"policy": {"max-retries": None}})
    assert job_of(store, job_id).max_retries == 3


def test_edit_of_one_job_leaves_its_twins_alone(store: Store) -> None:
    """Though they share a stored environment and policy."""
    one, other = put_many(store, 2, env={"A": "1"}, policy={"timeout": "5s"})
    store.edit(one, {"env": {"A": "2"}, "policy": {"timeout": "6s"}})
    assert job_of(store, other).env == {"A": "1"}
    assert job_of(store, other).policy == {"timeout": "5s"}


def test_edit_puts_a_job_into_another_queue(store: Store) -> None:
    """Its limit and its pause hold from then on."""
    store.create_queue("gpu", limit=1)
    ids = put_many(store, 3)
    for job_id in ids[:2]:
        store.edit(job_id, {"queue": "gpu"})
    assert claim_all(store) == [ids[0], ids[2]]
    assert job_of(store, ids[1]).queue == "gpu"


def test_edit_changes_the_place_in_the_order(store: Store, clock: Clock) -> None:
    """Priority and time are what it goes by."""
    ids = put_many(store, 3)
    store.edit(ids[2], {"priority": 1})
    store.edit(ids[0], {"due_at": clock.now + 10})
    assert claim_all(store) == [ids[2], ids[1]]
    assert job_of(store, ids[0]).next_run_at == clock.now + 10
    clock.advance(10)
    assert claim_all(store) == [ids[0]]


def test_edit_does_not_let_a_held_job_go(store: Store) -> None:
    """Nor a job wait less for its retry."""
    held = put(store, paused=True)
    store.edit(held, {"priority": 5})
    assert store.claim(HOST, 1) == []
    put(store, name="retry")
    run_one(store, EXIT_3)
    before = job_of(store, 2)
    store.edit(2, {"command": "echo"})
    assert job_of(store, 2) == before._replace(command="echo")
    assert store.claim(HOST, 1) == []


def test_edit_refuses_a_taken_name(store: Store) -> None:
    """Nothing of the edit is done."""
    put(store, name="n")
    job_id = put(store)
    with pytest.raises(NameTaken, match="'n' is taken by job 1"):
        store.edit(job_id, {"command": "echo", "name": "n"})
    assert job_of(store, job_id).command == "true"
    assert store.edit(1, {"name": "n"}).done


def test_edit_may_give_the_name_of_a_job_that_has_ended(store: Store) -> None:
    """It stands in nobody's way."""
    put(store, name="n")
    run_one(store)
    assert store.edit(put(store), {"name": "n"}).done
    assert store.id_of_name("n") == 2


def test_edit_refuses_an_unknown_queue(store: Store) -> None:
    """With a suggestion."""
    job_id = put(store)
    with pytest.raises(NoSuchQueue, match="no queue 'defalt'; did you mean default"):
        store.edit(job_id, {"command": "echo", "queue": "defalt"})
    assert job_of(store, job_id).command == "true"


def test_edit_refuses_a_job_that_a_host_has(store: Store) -> None:
    """Started or only claimed."""
    put_many(store, 2)
    running, claimed = claim_and_start(store), claim_one(store)
    for claim in (running, claimed):
        answer = store.edit(claim.job_id, {"command": "echo"})
        assert not answer.done
        assert answer.why
        assert job_of(store, claim.job_id).command == "true"


def test_a_final_job_can_be_edited_before_it_is_started_afresh(store: Store) -> None:
    """Editing alone does not start it."""
    put(store, "flase", policy={"max-retries": "0"})
    run_one(store, EXIT_3)
    assert store.edit(1, {"command": "false", "priority": 9, "queue": "default"}).done
    assert job_of(store, 1).state == DEAD
    assert store.claim(HOST, 1) == []
    store.retry([1])
    assert claim_one(store).command == "false"


# ---- move --------------------------------------------------------------------------------------


def test_moved_first_a_job_comes_before_all_others_of_its_queue(store: Store) -> None:
    """Several keep the order given."""
    ids = put_many(store, 4)
    best = put(store, priority=3)
    assert [answer.done for answer in store.move([ids[3], ids[1]], first=True)] == [True, True]
    assert claim_all(store) == [ids[3], ids[1], best, ids[0], ids[2]]


def test_moved_last_a_job_comes_behind_all_others_of_its_queue(store: Store, clock: Clock) -> None:
    """Several keep the order given; a job put in the same millisecond is behind them."""
    ids = put_many(store, 4)
    worst = put(store, priority=-3)
    store.move([ids[2], ids[0]], first=False)
    clock.advance(10)
    assert claim_all(store) == [ids[1], ids[3], worst, ids[2], ids[0]]


def test_moves_stay_within_a_queue(store: Store) -> None:
    """Each job goes to an end of its own."""
    store.create_queue("a")
    ids = [put(store, queue=name) for name in ("a", "default", "a", "default")]
    store.move([ids[2], ids[3]], first=True)
    assert claim_all(store, queues=("a",)) == [ids[2], ids[0]]
    assert claim_all(store, queues=("default",)) == [ids[3], ids[1]]


def test_a_moved_job_takes_the_priority_of_the_one_it_is_put_next_to(store: Store) -> None:
    """So what is enqueued later with a higher one comes before it all the same."""
    put(store, priority=5)
    low = put(store)
    store.move([low], first=True)
    assert job_of(store, low).priority == 5
    high = put(store, priority=6)
    assert claim_all(store) == [high, low, 1]


def test_a_held_job_that_is_moved_stays_held(store: Store) -> None:
    """Its place is taken when it is let go."""
    ids = put_many(store, 3)
    store.hold([ids[2]], held=True)
    store.move([ids[2]], first=True)
    assert claim_one(store).job_id == ids[0]
    store.hold([ids[2]], held=False)
    assert claim_all(store) == [ids[2], ids[1]]


@pytest.mark.parametrize("first", [True, False])
def test_what_has_become_due_is_moved_past_also_before_a_claim_saw_it(
    store: Store, clock: Clock, first: bool
) -> None:
    """It is ready like any other job; it is claims that write so."""
    plain = put(store)
    late = put(store, due_at=clock.now + 500, priority=1 if first else -1)
    moved = put(store)
    clock.advance(1000)
    store.move([moved], first=first)
    clock.advance(1)
    assert claim_all(store) == ([moved, late, plain] if first else [plain, late, moved])


def test_moving_is_refused_for_what_does_not_wait(store: Store) -> None:
    """The others are moved."""
    put_many(store, 3)
    run_one(store)
    claim_one(store)
    put(store)
    answers = store.move([1, 2, 4], first=True)
    assert [(answer.job_id, answer.done) for answer in answers] == [
        (1, False), (2, False), (4, True),
    ]  # fmt: skip
    assert [answer.why for answer in answers] == ["is completed", "is running", ""]
    assert claim_all(store) == [4, 3]


# ---- line --------------------------------------------------------------------------------------


def test_the_line_counts_what_would_be_claimed_before(store: Store) -> None:
    """Across queues, by the order of claims, up to a number."""
    store.create_queue("a")
    ids = [put(store), put(store, queue="a"), put(store, priority=1), put(store)]
    assert [ahead_of(store, job_id) for job_id in ids] == [1, 2, 0, 3]
    assert ahead_of(store, ids[3], most=2) == 2
    store.pause_queue("a", paused=True)
    assert ahead_of(store, ids[3]) == 2


def test_the_line_before_a_job_is_told_by_kinds(store: Store, clock: Clock) -> None:
    """In the order of claims; what is due counts whether a claim has seen it or not."""
    store.create_queue("a")
    store.create_queue("closed")
    put_many(store, 2)
    put_many(store, 3, queue="a")
    put(store, needs={"gpu": 1})
    put(store, queue="closed")
    store.pause_queue("closed", paused=True)
    put(store, paused=True)
    put(store, due_at=clock() + 1, priority=1)
    put(store, due_at=clock() + 2, queue="a")
    last = put(store)
    assert store.line(last) == [(1, 2), (3, 3), (6, 1)]
    assert store.line(3) == [(1, 2)]
    assert store.line() == [(1, 3), (3, 3), (6, 1)]
    clock.advance(1)
    assert store.line(last) == [(9, 3), (3, 3), (6, 1)]
    assert store.line(1) == [(9, 1)]
    assert sum(jobs for _, jobs in store.line(last, 4)) >= 4
    claim_one(store)
    assert store.line(last) == [(1, 2), (3, 3), (6, 1)]
    assert store.line(999) == []


@pytest.mark.parametrize("job_id", NOBODY)
def test_an_id_that_no_job_has_is_answered(store: Store, job_id: int) -> None:
    """Also one that no integer column could hold."""
    missing = Changed(job_id, done=False, why="does not exist")
    assert store.hold([job_id], held=True) == [missing]
    assert store.edit(job_id, {"command": "x"}) == missing
    assert store.move([job_id], first=True) == [missing]
    assert ahead_of(store, job_id) == 0
    assert store.line(job_id) == []


@pytest.mark.parametrize("state", [COMPLETED, CANCELLED])
def test_a_job_that_was_edited_and_moved_lives_on_as_before(store: Store, state: str) -> None:
    """Nothing but what was asked for has changed."""
    put(store)
    store.edit(1, {"priority": 2})
    store.move([1], first=False)
    if state == COMPLETED:
        run_one(store, EXIT_0)
    else:
        store.cancel([1])
    assert job_of(store, 1).state == state


def test_kept_attempts_are_a_budget_used_up(store: Store) -> None:
    """A dead job has one more run, and is dead again after it; its deliveries count anew."""
    job_id = put(store, policy={"max-retries": "1", "backoff-base": "0"})
    for _ in range(2):
        run_one(store, EXIT_3)
    assert job_of(store, job_id).state == DEAD
    for attempts in (3, 4):
        assert store.retry([job_id], keep_attempts=True) == [
            Changed(job_id, done=True, state=PENDING)
        ]
        job = job_of(store, job_id)
        assert (job.attempts, job.deliveries) == (attempts - 1, 0)
        run_one(store, EXIT_3)
        job = job_of(store, job_id)
        assert (job.state, job.attempts, job.runs) == (DEAD, attempts, attempts)
    store.retry([job_id])
    assert job_of(store, job_id).attempts == 0


def test_a_payload_may_be_a_path(store: Store) -> None:
    """Kept as it is, byte for byte; an edit replaces bytes by a path and the other way round."""
    job_id = put(store, stdin_path="/data/\udcff")
    claim = claim_one(store)
    assert (claim.stdin, claim.stdin_path) == (None, "/data/\udcff")
    store.release([(job_id, claim.token)])
    store.edit(job_id, {"stdin": b"kept"})
    claim = claim_one(store)
    assert (claim.stdin, claim.stdin_path) == (b"kept", None)
    store.release([(job_id, claim.token)])
    store.edit(job_id, {"stdin_path": "/other"})
    claim = claim_one(store)
    assert (claim.stdin, claim.stdin_path) == (None, "/other")
