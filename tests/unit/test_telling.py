"""What workers on a command line tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.commands import telling
from queuectl.commands.telling import MOST, WINDOW, Halts, Telling
from queuectl.job import CANCELLED, COMPLETED, DEAD, EXIT, FAILED, PENDING, STOPPED, Outcome
from queuectl.store.base import Settled, Settlement
from queuectl.store.sqlite.engine import MemoryStore
from tests.support.clock import Clock
from tests.support.work import EXIT_3, claim_and_start, put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.job import State
    from queuectl.store.base import Store

FINE = Outcome(EXIT, 0, "", 1000, 2500)


class Desk:
    """A store with one job, and a clock that stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.store: Store = MemoryStore({"max-retries": "0"}, self.clock)
        put(self.store, command="echo hello")
        self.now = 100.0
        monkeypatch.setattr(telling, "time", SimpleNamespace(monotonic=lambda: self.now))

    def telling(self, *, each: bool = True, width: int = 80) -> Telling:
        return Telling(self.store, width, each=each)

    def end(self, told: Telling, outcome: Outcome, state: State | None, **facts: Any) -> None:
        told.settled(Settlement(1, "token", 1, outcome), Settled(1, state, **facts))


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    made = Desk(monkeypatch)
    yield made
    made.store.close()


@pytest.mark.parametrize(
    ("outcome", "state", "line"),
    [
        (FINE, COMPLETED, "completed     1  echo hello  (1.5s)"),
        (EXIT_3, DEAD, "dead          1  echo hello  (exit 3)"),
        (Outcome(STOPPED), PENDING, "handed back     1  echo hello"),
        (Outcome(STOPPED), CANCELLED, "cancelled     1  echo hello  (stopped)"),
    ],
)
def test_a_line_for_each_end(desk: Desk, outcome: Outcome, state: State, line: str) -> None:
    told = desk.telling()
    desk.end(told, outcome, state)
    assert told.lines() == [line]
    assert told.lines() == []


def test_a_retry_is_told(desk: Desk) -> None:
    told = desk.telling()
    desk.end(told, EXIT_3, FAILED, next_run_at=desk.clock.now + 2000)
    assert told.lines() == ["failed        1  echo hello  (exit 3, retry in 2.0s)"]


def test_what_was_refused_is_not_told(desk: Desk) -> None:
    told = desk.telling()
    desk.end(told, FINE, None)
    assert told.lines() == []


def test_a_long_command_is_cut(desk: Desk) -> None:
    put(desk.store, command="x" * 500)
    told = desk.telling(width=90)
    told.settled(Settlement(2, "token", 1, FINE), Settled(2, COMPLETED))
    (line,) = told.lines()
    assert len(line) <= 90
    assert line.endswith("x…  (1.5s)")


def test_it_rings_once_for_many(desk: Desk) -> None:
    told = desk.telling()
    rung: list[int] = []
    told.bell = lambda: rung.append(1)
    for _ in range(3):
        desk.end(told, FINE, COMPLETED)
    assert len(rung) == 1
    told.lines()
    desk.end(told, FINE, COMPLETED)
    assert len(rung) == 2


def test_what_is_too_fast_is_summed_up(desk: Desk) -> None:
    told = desk.telling()
    for _ in range(MOST + 7):
        desk.end(told, FINE, COMPLETED)
    desk.end(told, EXIT_3, FAILED)
    assert len(told.lines()) == MOST
    assert told.due() == desk.now + WINDOW
    assert told.lines() == []
    desk.now += WINDOW
    assert told.lines() == ["… and 7 completed, 1 failed"]
    assert told.due() is None
    desk.end(told, FINE, COMPLETED)
    assert told.lines() == ["completed     1  echo hello  (1.5s)"]


def test_at_the_end_nothing_is_kept(desk: Desk) -> None:
    told = desk.telling()
    for _ in range(MOST + 2):
        desk.end(told, FINE, COMPLETED)
    assert told.lines(last=True)[-1] == "… and 2 completed"


def test_without_lines_only_halts_are_told(desk: Desk) -> None:
    told = desk.telling(each=False)
    rung: list[int] = []
    told.bell = lambda: rung.append(1)
    desk.end(told, FINE, COMPLETED)
    assert not rung
    halt(desk.store, "gpu")
    desk.end(told, EXIT_3, DEAD)
    (line,) = told.lines()
    assert line.startswith("queue gpu paused itself: ")
    assert line.endswith("(halt-on 1); queue resume gpu")


def test_a_halt_is_told_once_and_again_when_it_comes_again(desk: Desk) -> None:
    halts = Halts()
    assert halts.fresh(desk.store) == []
    halt(desk.store, "gpu")
    assert len(halts.fresh(desk.store)) == 1
    assert halts.fresh(desk.store) == []
    desk.store.pause_queue("gpu", paused=False)
    assert halts.fresh(desk.store) == []
    halt(desk.store, "gpu")
    assert len(halts.fresh(desk.store)) == 1


def test_a_queue_that_somebody_paused_is_not_told(desk: Desk) -> None:
    desk.store.pause_queue("default", paused=True)
    assert Halts().fresh(desk.store) == []


def halt(store: Store, queue: str) -> None:
    store.create_queue(queue)
    store.set("halt-on", "1", queue)
    store.pause_queue("default", paused=True)
    put(store, queue=queue)
    claim = claim_and_start(store)
    store.settle([Settlement(claim.job_id, claim.token, claim.run, EXIT_3)])
