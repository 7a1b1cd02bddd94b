"""Two at once who want the same: one of them has it, every time."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from queuectl.errors import DependencyCycle
from queuectl.job import COMPLETED, After, Array, NewJob
from queuectl.store.base import Existing, Filter, Schedule, Settlement
from tests.support.stores import assert_counters_are_right
from tests.support.work import EXIT_0, put, put_many, run_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from queuectl.store.base import Store
    from tests.support.stores import Engine

TIMES = 200
ROOT = str(Path(__file__).parents[2])


def at_once(engine: Engine, act: Callable[[Store, int], Any], times: int = TIMES) -> list[Any]:
    """Let two threads with a Store each do the same at the same moment, so many times."""
    barrier = threading.Barrier(2)
    answers: list[Any] = []

    def run(store: Store) -> None:
        for turn in range(times):
            barrier.wait(60)
            answers.append((turn, act(store, turn)))

    threads = [threading.Thread(target=run, args=(engine.open(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2 * times
    return answers


def _peak(engine: Engine, jobs: int) -> int:
    """Drain with two hosts; return how many claims of two hosts there were at once at the most."""
    taken: list[int] = []
    lock = threading.Lock()
    most = [0]

    def drain(store: Store, host: str) -> None:
        while store.counts()[COMPLETED] < jobs:
            claims = store.claim(host, 5)
            with lock:
                taken.extend(claim.job_id for claim in claims)
                most[0] = max(most[0], len(taken))
            with lock:
                for claim in claims:
                    taken.remove(claim.job_id)
            store.settle([Settlement(c.job_id, c.token, c.run, EXIT_0) for c in claims])

    threads = [
        threading.Thread(target=drain, args=(engine.open(), f"host-{number}"))
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return most[0]


def test_a_limit_of_one_is_never_two(shared: Engine) -> None:
    """Two hosts at 200 jobs."""
    store = shared.open()
    store.create_queue("one", limit=1)
    put_many(store, TIMES, queue="one")
    assert _peak(shared, TIMES) == 1
    assert_counters_are_right(store)


def test_the_limit_of_an_array_is_never_exceeded(shared: Engine) -> None:
    """Two hosts at an array of 200."""
    store = shared.open()
    store.add([NewJob("true", array=Array("a", number, 1)) for number in range(TIMES)])
    assert _peak(shared, TIMES) == 1


def test_of_two_with_the_same_key_one_is_enqueued(shared: Engine) -> None:
    """The other gets its id."""
    store = shared.open()
    answers = at_once(shared, lambda mine, turn: put(mine, unique=f"k{turn}"))
    found: dict[int, list[int]] = {}
    for turn, job_id in answers:
        found.setdefault(turn, []).append(job_id)
    for ids in found.values():
        assert ids[0] == ids[1]
        assert sorted(isinstance(job_id, Existing) for job_id in ids) == [False, True]
    assert store.count(Filter()) == TIMES


def test_of_two_that_fire_a_schedule_one_does(shared: Engine) -> None:
    """Each time it is due."""
    store = shared.open()
    store.put_schedule(Schedule("s", "every 1m", "", "skip", "one", b"", 0))
    answers = at_once(
        shared, lambda mine, turn: mine.fire("s", turn, turn + 1, [NewJob("tick")], None)
    )
    fired = [turn for turn, ids in answers if ids is not None]
    assert sorted(fired) == list(range(TIMES))
    assert store.count(Filter()) == TIMES


def test_a_dependency_that_is_made_while_the_other_ends_is_not_lost(shared: Engine) -> None:
    """It is met whichever comes first."""
    store = shared.open()
    firsts = put_many(store, TIMES)
    turns: dict[int, set[int]] = {}
    lock = threading.Lock()

    def act(mine: Store, turn: int) -> int:
        with lock:
            ends = not turns.setdefault(turn, set())
            turns[turn].add(threading.get_ident())
        if ends:
            # the other thread may have it locked just now: then another one, or none for a moment
            while not (claims := mine.claim("host", 1, ("default",))):
                pass
            (claim,) = claims
            return mine.settle([Settlement(claim.job_id, claim.token, claim.run, EXIT_0)])[0].job_id
        return put(mine, queue="after", after=(After(firsts[turn]),))

    store.create_queue("after")
    at_once(shared, act)
    waiting = list(store.jobs(Filter(queues=("after",))))
    assert len(waiting) == TIMES
    assert {job.unmet for job in waiting} == {0}
    assert len(store.claim("host", TIMES + 1)) == TIMES


def test_two_that_make_jobs_wait_do_not_close_a_circle_together(shared: Engine) -> None:
    """Each of the two is allowed by itself: of both at once one is refused."""
    store = shared.open()
    rows = []
    for _ in range(TIMES // 2):
        last, free = put_many(store, 2, paused=True)
        rows.append((last, put(store, after=(After(last),)), free))
    lock = threading.Lock()
    first: dict[int, bool] = {}

    def act(mine: Store, turn: int) -> bool:
        last, waiting, free = rows[turn]
        with lock:
            is_first = first.setdefault(turn, True)
            first[turn] = False
        job_id, on = (last, free) if is_first else (free, waiting)
        try:
            return mine.edit(job_id, {"after": (After(on),)}).done
        except DependencyCycle:
            return False

    answers = at_once(shared, act, TIMES // 2)
    assert [sum(done for at, done in answers if at == turn) for turn in range(TIMES // 2)] == [
        1
    ] * (TIMES // 2)


def test_what_a_job_waits_for_is_changed_while_that_ends(shared: Engine) -> None:
    """Whichever comes first: it waits for what it is to wait for now, and for nothing else."""
    store = shared.open()
    store.create_queue("other")
    firsts = put_many(store, TIMES)
    (never,) = put_many(store, 1, queue="other", paused=True)
    waiting = store.add([NewJob("true", queue="other", after=(After(one),)) for one in firsts])
    lock = threading.Lock()
    turns: set[int] = set()

    def act(mine: Store, turn: int) -> None:
        with lock:
            ends = turn not in turns
            turns.add(turn)
        if not ends:
            mine.edit(waiting[turn], {"after": (After(never),)})
            return
        while not (claims := mine.claim("host", 1, ("default",))):
            pass
        mine.settle([Settlement(claim.job_id, claim.token, claim.run, EXIT_0) for claim in claims])

    at_once(shared, act)
    assert {job.unmet for job in store.jobs(Filter()) if job.id in set(waiting)} == {1}
    assert store.claim("host", 9) == []
    store.hold([never], held=False)
    run_one(store)
    assert len(store.claim("host", TIMES + 1)) == TIMES


#: does something at each line it is sent, and prints how often it was the one who could
_PROCESS = """
import sys
from queuectl.job import NewJob
from queuectl.store import open_store
from queuectl.store.base import Existing, Settlement
from tests.support.work import EXIT_0
store = open_store(sys.argv[1])
host = sys.argv[2]
print("ready", flush=True)
def key(turn):
    return not isinstance(store.add([NewJob("true", unique=f"k{turn}")])[0], Existing)
def fire(turn):
    return store.fire("s", turn, turn + 1, [NewJob("tick")], None) is not None
def claim(turn):
    claims.extend(store.claim(host, 5))
    return len(claims)
def settle(turn):
    done = [Settlement(one.job_id, one.token, one.run, EXIT_0) for one in claims]
    claims.clear()
    store.settle(done)
    return len(done)
claims = []
for line in sys.stdin:
    what, turn = line.split()
    print(int({"key": key, "fire": fire, "claim": claim, "settle": settle}[what](int(turn))), flush=True)
store.close()
"""


class _Two:
    """Two processes with a Store each that do the same at the same moment."""

    def __init__(self, engine: Engine) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-c", _PROCESS, engine.url, f"host-{number}"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            )
            for number in range(2)
        ]  # fmt: skip
        assert self._answers() == ["ready\n"] * 2

    def _answers(self) -> list[str]:
        return [process.stdout.readline() for process in self._processes if process.stdout]

    def could(self, what: str, turn: int) -> int:
        """Let both do it; return how often it could be done."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{what} {turn}\n")
            process.stdin.flush()
        return sum(map(int, self._answers()))

    def close(self) -> None:
        """Let them end."""
        ended = [process.communicate(timeout=60) and process.wait() for process in self._processes]
        assert ended == [0, 0]


@pytest.fixture
def two(shared: Engine) -> Iterator[_Two]:
    """Two processes at a store."""
    shared.open()
    processes = _Two(shared)
    yield processes
    processes.close()


def test_processes_share_unique_keys(shared: Engine, two: _Two) -> None:
    """Between them each is enqueued once."""
    assert [two.could("key", turn) for turn in range(TIMES)] == [1] * TIMES
    store = shared.open()
    assert store.count(Filter()) == TIMES
    run_one(store)


def test_processes_share_a_limit_of_one(shared: Engine, two: _Two) -> None:
    """Only one of them gets a job, and the other none until that has ended."""
    store = shared.open()
    store.create_queue("one", limit=1)
    put_many(store, TIMES, queue="one")
    for turn in range(TIMES):
        assert two.could("claim", turn) == 1
        assert two.could("settle", turn) == 1
    assert store.counts()[COMPLETED] == TIMES
    assert_counters_are_right(store)


def test_processes_share_a_schedule(shared: Engine, two: _Two) -> None:
    """One of them fires it each time it is due."""
    store = shared.open()
    store.put_schedule(Schedule("s", "every 1m", "", "skip", "one", b"", 0))
    assert [two.could("fire", turn) for turn in range(TIMES)] == [1] * TIMES
    assert store.count(Filter()) == TIMES
