"""Filters, pages, counts and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.job import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    PENDING,
    PROCESSING,
    SIGNAL,
    STATES,
    NewJob,
    Outcome,
)
from queuectl.store.base import PAGE, Filter
from tests.support.work import EXIT_0, EXIT_3, claim_and_start, put, put_many, run_one, settle

if TYPE_CHECKING:
    from queuectl.job import Job, State
    from queuectl.store.base import Store
    from tests.support.clock import Clock
    from tests.support.stores import Engine

EVERYTHING = Filter()
HUGE = 2**70


def ids(jobs: object) -> list[int]:
    """Return the ids of what a store yields."""
    return [job.id for job in jobs]  # type: ignore[attr-defined]


@pytest.fixture
def one_in_each_state(store: Store) -> dict[State, int]:
    """A store with a job in every state, and its ids."""
    made: dict[State, int] = {}
    made[COMPLETED] = put(store, priority=9)
    run_one(store, EXIT_0)
    made[DEAD] = put(store, priority=9, policy={"max-retries": "0"})
    run_one(store, Outcome(SIGNAL, 9))
    made[FAILED] = put(store, priority=9)
    run_one(store, EXIT_3)
    made[PROCESSING] = put(store, priority=9)
    claim_and_start(store)
    made[PENDING] = put(store)
    made[CANCELLED] = put(store)
    store.cancel([made[CANCELLED]])
    return made


def test_an_empty_store_reads_as_empty(store: Store) -> None:
    """Zeros, nothing and None."""
    assert list(store.jobs(EVERYTHING)) == []
    assert store.count(EVERYTHING) == 0
    assert store.counts() == dict.fromkeys(STATES, 0)
    assert (store.get(1), store.newest_id(), store.id_of_name("x")) == (None, None, None)
    assert (store.attempts(1), store.output(1, 1), store.next_due()) == ([], None, None)


def test_counts_names_every_state_in_order(
    store: Store, one_in_each_state: dict[State, int]
) -> None:
    """The order in which people expect to read them."""
    assert list(store.counts()) == list(STATES)
    assert store.counts() == dict.fromkeys(STATES, 1)


@pytest.mark.parametrize("state", STATES)
def test_a_filter_by_state_finds_that_state(
    store: Store, one_in_each_state: dict[State, int], state: State
) -> None:
    """Read, counted, from both ends."""
    where = Filter(states=(state,))
    assert ids(store.jobs(where)) == ids(store.jobs(where, newest=True)) == [
        one_in_each_state[state]
    ]  # fmt: skip
    assert store.count(where) == 1


@pytest.mark.parametrize(
    "states",
    [
        (PENDING, FAILED), (DEAD, CANCELLED), (FAILED, DEAD, CANCELLED), (COMPLETED, DEAD),
        (PENDING, DEAD), (PROCESSING, COMPLETED), (PENDING, PROCESSING, FAILED), STATES,
    ],
)  # fmt: skip
def test_a_filter_by_states_finds_them_in_order_of_id(
    store: Store, one_in_each_state: dict[State, int], states: tuple[State, ...]
) -> None:
    """Whatever index serves it."""
    expected = sorted(one_in_each_state[state] for state in states)
    where = Filter(states=states)
    assert ids(store.jobs(where)) == expected
    assert ids(store.jobs(where, newest=True)) == expected[::-1]
    assert store.count(where) == len(expected)


@pytest.mark.parametrize("state", STATES)
def test_pages_of_one_state_go_on_where_they_ended(store: Store, state: State) -> None:
    """Many in the state between many in others."""
    outcomes = {COMPLETED: EXIT_0, DEAD: EXIT_3, FAILED: EXIT_3}
    expected = []
    with store.transaction():
        for number in range(20):
            policy = {"max-retries": "0" if state == DEAD else "3"}
            job_id = put(store, priority=9, policy=policy)
            if number % 2 == 0:
                store.cancel([job_id])
                if state == CANCELLED:
                    expected.append(job_id)
                continue
            expected += [job_id] if state != CANCELLED else []
            if state in outcomes:
                run_one(store, outcomes[state])
            elif state == PROCESSING:
                claim_and_start(store)
    where = Filter(states=(state,))
    assert ids(store.jobs(where)) == expected
    assert ids(store.jobs(where, limit=3)) == expected[:3]
    assert ids(store.jobs(where, limit=3, newest=True)) == expected[:-4:-1]


def test_a_filter_by_queue(store: Store) -> None:
    """One or several; an unknown one has none."""
    for name in ("a", "b"):
        store.create_queue(name)
    in_a, in_b, _ = put(store, queue="a"), put(store, queue="b"), put(store)
    assert ids(store.jobs(Filter(queues=("a",)))) == [in_a]
    assert ids(store.jobs(Filter(queues=("b", "a")))) == [in_a, in_b]
    assert ids(store.jobs(Filter(queues=("nowhere",)))) == []
    assert store.count(Filter(queues=("a", "b"))) == 2
    assert store.count(Filter(queues=("a",), states=(PENDING,))) == 1
    assert store.count(Filter(queues=("a",), states=(DEAD,))) == 0


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        (((2, 4),), [2, 3, 4]),
        (((3, 3),), [3]),
        (((4, None),), [4, 5, 6]),
        (((1, 1), (5, None)), [1, 5, 6]),
        (((1, 3), (2, 4)), [1, 2, 3, 4]),
        (((4, 2),), []),
        (((0, 10**9),), [1, 2, 3, 4, 5, 6]),
        (((-5, 1),), [1]),
        (((7, None),), []),
        (((1, HUGE),), [1, 2, 3, 4, 5, 6]),
        (((HUGE, None),), []),
        (((HUGE, HUGE + 1),), []),
        (((-HUGE, 2),), [1, 2]),
        (((2**63, 2**63), (6, 6)), [6]),
    ],
)
def test_a_filter_by_ranges_of_ids(
    store: Store, ranges: tuple[tuple[int, int | None], ...], expected: list[int]
) -> None:
    """Both ends included, open at the end, and of any size: people type long numbers."""
    put_many(store, 6)
    where = Filter(ranges=ranges)
    assert ids(store.jobs(where)) == expected
    assert ids(store.jobs(where, newest=True)) == expected[::-1]
    assert store.count(where) == len(expected)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("build-*", [1, 2]), ("build-1", [1]), ("*", [1, 2, 3, 4]), ("b*[13]", [1]),
        ("?uild-2", [2]), ("BUILD-*", []), ("größe", [4]), ("größ?", [4]), ("", []),
    ],
)  # fmt: skip
def test_a_filter_by_a_glob_over_names(store: Store, pattern: str, expected: list[int]) -> None:
    """Case counts; a job without a name has none that fits."""
    store.add([NewJob("true", name=name) for name in ("build-1", "build-2", "test", "größe", None)])
    assert ids(store.jobs(Filter(name=pattern))) == expected
    assert store.count(Filter(name=pattern)) == len(expected)


def test_a_filter_by_time_of_enqueueing(store: Store, clock: Clock) -> None:
    """At it or after it."""
    put(store)
    at = clock.advance(10)
    put_many(store, 2)
    assert ids(store.jobs(Filter(since=at))) == [2, 3]
    assert ids(store.jobs(Filter(since=at - 10))) == [1, 2, 3]
    assert ids(store.jobs(Filter(since=at + 1))) == []
    assert ids(store.jobs(Filter(since=HUGE))) == []


def test_a_filter_by_held(store: Store) -> None:
    """Held, not held, or both."""
    put(store, paused=True)
    put(store)
    assert ids(store.jobs(Filter(paused=True))) == [1]
    assert ids(store.jobs(Filter(paused=False))) == [2]
    assert ids(store.jobs(Filter(paused=None))) == [1, 2]


def test_all_parts_of_a_filter_must_fit(store: Store, clock: Clock) -> None:
    """Each restricts what the others leave."""
    store.create_queue("a")
    at = clock.advance(10)
    store.add([NewJob("true", queue=queue, name=f"n{number}", paused=number % 3 == 0)
               for number, queue in enumerate(["a", "default"] * 10)])  # fmt: skip
    where = Filter(
        (PENDING,), ("a",), ((3, 15),), "n1*", since=at, endings=(), paused=False
    )  # fmt: skip
    assert ids(store.jobs(where)) == [11, 15]
    assert store.count(where) == 2


def test_jobs_are_read_by_id_from_either_end(store: Store) -> None:
    """And no more than asked for."""
    put_many(store, 5)
    assert ids(store.jobs(EVERYTHING)) == [1, 2, 3, 4, 5]
    assert ids(store.jobs(EVERYTHING, newest=True)) == [5, 4, 3, 2, 1]
    assert ids(store.jobs(EVERYTHING, limit=2)) == [1, 2]
    assert ids(store.jobs(EVERYTHING, limit=2, newest=True)) == [5, 4]
    assert ids(store.jobs(EVERYTHING, limit=0)) == []
    assert ids(store.jobs(EVERYTHING, limit=99)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("newest", [False, True])
def test_more_than_a_page_is_read_without_a_seam(store: Store, newest: bool) -> None:
    """Every job once, at the exact sizes too."""
    expected = put_many(store, 2 * PAGE + 1)[:: -1 if newest else 1]
    assert ids(store.jobs(EVERYTHING, newest=newest)) == expected
    for limit in (PAGE - 1, PAGE, PAGE + 1, 2 * PAGE):
        assert ids(store.jobs(EVERYTHING, limit=limit, newest=newest)) == expected[:limit]


def test_reading_holds_no_snapshot(store: Store) -> None:
    """What is removed or added behind the page that is being read is seen so."""
    made = put_many(store, PAGE + 5)
    reading = store.jobs(EVERYTHING)
    seen = [next(reading).id]
    store.remove(made[-2:])
    added = put(store)
    seen += ids(reading)
    assert seen == [*made[:-2], added]


def test_jobs_can_be_changed_while_they_are_read(store: Store) -> None:
    """`cancel all` of more than a page does just that."""
    put_many(store, PAGE + 50)
    for job in store.jobs(Filter(states=(PENDING,))):
        if job.id % 25 == 0:
            store.cancel([job.id])
    assert store.counts()[CANCELLED] == (PAGE + 50) // 25


def test_a_job_that_was_read_does_not_change(store: Store) -> None:
    """It is a snapshot."""
    put(store)
    before = store.get(1)
    run_one(store)
    assert before is not None
    assert before.state == PENDING
    assert before != store.get(1)


def test_a_name_leads_to_the_job_that_is_not_final_else_to_the_newest(store: Store) -> None:
    """Rule for names in selections."""
    first = put(store, name="n")
    run_one(store)
    second = put(store, name="n")
    run_one(store)
    assert store.id_of_name("n") == second
    store.retry([first])
    assert store.id_of_name("n") == first
    assert store.id_of_name("N") is None


def test_the_newest_job_is_the_one_with_the_highest_id(store: Store) -> None:
    """Of everybody, or of one submitter."""
    mine, other = put(store, submitter="me@box"), put(store, submitter="you@box")
    assert (store.newest_id(), store.newest_id("me@box"), store.newest_id("no@box")) == (
        other, mine, None,
    )  # fmt: skip
    store.remove([other])
    assert store.newest_id() == mine


def test_attempts_are_oldest_first(store: Store, clock: Clock) -> None:
    """By their run."""
    put(store, policy={"max-retries": "11", "backoff-base": "0"})
    for _ in range(12):
        run_one(store, EXIT_3)
    assert [attempt.run for attempt in store.attempts(1)] == list(range(1, 13))


def test_queues_tell_what_is_in_them(store: Store) -> None:
    """By name, with limit, pause and counts."""
    store.create_queue("b", limit=3)
    store.create_queue("a")
    store.pause_queue("a", paused=True)
    put(store, queue="b")
    claim = claim_and_start(store)
    put_many(store, 2, queue="b")
    queues = {queue.name: queue for queue in store.queues()}
    assert list(queues) == sorted(queues)
    assert (queues["a"].paused, queues["a"].limit) == (True, None)
    assert (queues["b"].paused, queues["b"].limit) == (False, 3)
    assert {s: n for s, n in queues["b"].counts.items() if n} == {PENDING: 2, PROCESSING: 1}
    settle(store, claim)
    assert next(q for q in store.queues() if q.name == "b").counts[COMPLETED] == 1


def test_reads_are_answered_in_any_thread(engine: Engine) -> None:
    """Each has its own way in."""
    from concurrent.futures import ThreadPoolExecutor

    store = engine.open()
    put_many(store, 50)

    def look(_: int) -> tuple[int, int, list[Job]]:
        return store.counts()[PENDING], store.count(EVERYTHING), list(store.jobs(EVERYTHING))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(look, range(40)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][:2] == (50, 50)


def test_finished_are_the_final_jobs_that_ended_last(store: Store, clock: Clock) -> None:
    """Newest end first, whatever their ids; no others."""
    assert store.finished(5) == []
    ended: list[int] = []
    for priority in (1, 3, 2):
        put(store, priority=priority, policy={"max-retries": "0"})
        clock.advance(10)
    for outcome in (EXIT_0, EXIT_3, EXIT_0):
        ended.append(run_one(store, outcome).job_id)
        clock.advance(10)
    ended.append(put(store))
    store.cancel(ended[-1:])
    put(store)
    assert ids(store.finished(9)) == ended[::-1]
    assert ids(store.finished(2)) == ended[:1:-1]
    assert ids(store.finished(0)) == []


def test_version_differs_after_any_commit(store: Store) -> None:
    """And only then."""
    before = store.version()
    store.counts()
    assert store.version() == before
    put(store)
    after = store.version()
    assert after != before
    store.set("timeout", "5s")
    assert store.version() != after


def test_version_differs_after_a_foreign_commit(shared: Engine) -> None:
    """By whomever."""
    store, other = shared.open(), shared.open()
    before = store.version()
    put(other)
    assert store.version() != before
