"""Schedules fire on every engine: once, with what is in the way noted, whatever one of them holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from queuectl.host.firing import Firing
from queuectl.job import EXIT, NewJob, Outcome
from queuectl.schedule import pack
from queuectl.store.base import Filter, HostInfo, Schedule, Settlement
from tests.support.clock import START
from tests.support.stores import SqliteEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queuectl.store.base import Store
    from tests.support.clock import Clock

MINUTE = 60_000
HOUR = 60 * MINUTE


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SqliteEngine]:
    made = SqliteEngine(tmp_path)
    yield made
    made.close()


@pytest.fixture
def store(engine: SqliteEngine) -> Store:
    return engine.open()


@pytest.fixture
def clock(engine: SqliteEngine) -> Clock:
    return engine.clock


def put(store: Store, new: NewJob | None = None, **changes: Any) -> Schedule:
    made = Schedule(
        "beat", "every 10m", "", "skip", "one", pack(new or NewJob("true", env={"A": "b"})), START + 10 * MINUTE
    )._replace(**changes)  # fmt: skip
    store.put_schedule(made)
    return made


def seen(store: Store, name: str = "beat") -> Schedule:
    return next(one for one in store.schedules() if one.name == name)


def ids(store: Store) -> list[int]:
    return [job.id for job in store.jobs(Filter())]


def end_all(store: Store) -> None:
    """Let what waits run and complete."""
    store.register(HostInfo("h", "here", "me", 1, "1", 9, (), store.now(), store.now()))
    done = Outcome(EXIT, 0, started_at=store.now(), finished_at=store.now())
    store.settle([Settlement(c.job_id, c.token, c.run, done) for c in store.claim("h", 9)])


def test_it_fires_when_its_time_has_come(store: Store, clock: Clock) -> None:
    """Once, with what was asked for, and moves on."""
    put(store)
    firing = Firing(store)
    assert firing.fire_due() == 0
    assert firing.next_at == START + 10 * MINUTE
    clock.advance(10 * MINUTE)
    assert firing.fire_due() == 1
    assert firing.fire_due() == 0
    (job,) = store.jobs(Filter())
    assert (job.command, job.schedule, job.env, job.state) == (
        "true",
        "beat",
        {"A": "b"},
        "pending",
    )
    now = seen(store)
    assert (now.next_at, now.last_at, now.last_job, now.note) == (
        START + 20 * MINUTE, START + 10 * MINUTE, 1, None,
    )  # fmt: skip
    assert firing.next_at == START + 20 * MINUTE


def test_of_two_hosts_one_fires(engine: SqliteEngine, clock: Clock) -> None:
    """The other one, late or at the same moment, changes nothing."""
    one, two = engine.open(), engine.open()
    put(one)
    clock.advance(10 * MINUTE)
    late = two.schedules()[0]
    assert Firing(one).fire_due() == 1
    assert (
        two.fire(late.name, START + 10 * MINUTE, START + 20 * MINUTE, [NewJob("true")], None)
        is None
    )
    assert Firing(two).fire_due() == 0
    assert ids(one) == [1]


def test_nothing_is_read_while_nothing_is_due(store: Store, clock: Clock) -> None:
    """Until the store says that somebody wrote to it."""
    put(store)
    firing = Firing(store)
    firing.fire_due()
    put(store, name="early", next_at=START + MINUTE)
    clock.advance(2 * MINUTE)
    assert firing.fire_due() == 0
    firing.changed()
    assert firing.fire_due() == 1


def test_it_skips_while_the_last_one_runs(store: Store, clock: Clock) -> None:
    """And says so; `queue` makes one more."""
    put(store)
    put(store, name="more", overlap="queue")
    for _ in range(2):
        clock.advance(10 * MINUTE)
        Firing(store).fire_due()
    assert [job.schedule for job in store.jobs(Filter())] == ["beat", "more", "more"]
    assert seen(store).note == "skipped: job 1 was still pending"
    assert seen(store).next_at == START + 30 * MINUTE
    end_all(store)
    clock.advance(10 * MINUTE)
    assert Firing(store).fire_due() == 2
    assert seen(store).note is None


@pytest.mark.parametrize(("missed", "jobs"), [("none", 0), ("one", 1), ("all", 3)])
def test_what_was_missed(store: Store, clock: Clock, missed: str, jobs: int) -> None:
    """Nobody was there at 10, 20 and 30 minutes; somebody comes at 35."""
    put(store, missed=missed)
    clock.advance(35 * MINUTE)
    assert Firing(store).fire_due() == jobs
    assert len(ids(store)) == jobs
    assert seen(store).next_at == START + 40 * MINUTE
    assert (seen(store).note or "").startswith("missed: nobody was there" if not jobs else "")


def test_a_paused_one_does_nothing(store: Store, clock: Clock) -> None:
    """However late it is."""
    put(store, paused=True)
    clock.advance(HOUR)
    firing = Firing(store)
    assert firing.fire_due() == 0
    assert firing.next_at is None
    assert ids(store) == []


def test_one_that_cannot_does_not_stop_the_others(store: Store, clock: Clock) -> None:
    """A queue that is gone, a name that is taken, a zone this machine does not know, rubbish."""
    store.add([NewJob("true", name="me")])
    put(store, NewJob("true", queue="gone"), name="a")
    put(store, NewJob("true", name="me"), name="b")
    put(store, name="c", spec="0 3 * * *", zone="Mars/Olympus")
    put(store, name="d", job=b"{")
    put(store, name="e")
    clock.advance(10 * MINUTE)
    firing = Firing(store)
    assert firing.fire_due() == 1
    notes = {one.name: one.note for one in store.schedules()}
    assert notes["a"] == "not enqueued: no queue 'gone'"
    assert "the name 'me' is taken by job 1" in (notes["b"] or "")
    assert "Mars/Olympus" in (notes["c"] or "")
    assert "cannot be read" in (notes["d"] or "")
    assert notes["e"] is None
    # none of them is due at once again, which would keep the pump awake
    assert firing.next_at is not None
    assert firing.next_at > clock.now


def test_a_named_job_is_made_up_for_once(store: Store, clock: Clock) -> None:
    """Three of one name could not be."""
    put(store, NewJob("true", name="me"), missed="all", overlap="queue")
    clock.advance(35 * MINUTE)
    assert Firing(store).fire_due() == 1


def test_a_unique_job_is_not_made_twice(store: Store, clock: Clock) -> None:
    """One that waits already stands for it."""
    store.add([NewJob("true", unique="key")])
    put(store, NewJob("true", unique="key"), overlap="queue")
    clock.advance(10 * MINUTE)
    Firing(store).fire_due()
    assert ids(store) == [1]
