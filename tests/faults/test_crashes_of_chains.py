"""Hosts are killed at random while jobs wait for each other, share limits, and are made by schedules."""

from __future__ import annotations

import random
import time
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from queuectl.commands.reasons import reasons_for, sentence, surroundings
from queuectl.host.hostfile import pid_namespace
from queuectl.job import CANCELLED, COMPLETED, DEAD, FINAL, PENDING, STATES, After, Array
from queuectl.schedule import pack
from queuectl.store.base import Filter, Rate, Schedule
from tests.support.hosts import Hosts
from tests.support.machines import Machines
from tests.support.postgres import server
from tests.support.stores import assert_counters_are_right

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queuectl.job import NewJob
    from tests.support.hosts import HostProcess

pytestmark = pytest.mark.skipif(not pid_namespace(), reason="needs /proc")

CHAINS, LENGTH = 8, 8
FAN = 30
#: jobs of the queue with a limit, of the array, and of the queue with a rate: so many a second
LIMITED, RATED, PER_SECOND = 30, 20, 10
#: seconds between two kills, how many there are, and in which the rest must be done
LULL, KILLS, PATIENCE = 0.5, 6, 60
STEADY = {"max-retries": "1000"}
WAITING = tuple(state for state in STATES if state not in FINAL)


@pytest.fixture(params=["sqlite", "postgres"])
def hosts(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hosts]:
    """A store of each engine, for hosts that come and go."""
    monkeypatch.setenv("QUEUECTL_STATE_DIR", str(tmp_path / "here"))
    found = Hosts(tmp_path) if request.param == "sqlite" else Machines(tmp_path, server(), lease=4)
    yield found
    found.end()


def start(hosts: Hosts, number: int) -> HostProcess:
    """Start a host; on PostgreSQL on a machine of its own, with a guardian."""
    if isinstance(hosts, Machines):
        return hosts.guarded_on(f"m{number}", 3)
    return hosts.start(3)


def alone(what: str, command: str) -> str:
    """Return a command that says so in a log when two of these run at the same time."""
    return f"exec 9>lock-{what}; flock -n 9 || {{ echo {what} >>overlaps; exit 9; }}; {command}"


class Work:
    """Jobs of all kinds, and what must have become of them in the end."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts, self.store = hosts, hosts.store
        self.good: list[int] = []
        self.dead: list[int] = []
        self.cancelled: list[int] = []
        self.kept: list[int] = []
        self._chains()
        self._graph()
        self._failing()
        self._bounded()

    def job(self, command: str, **fields: object) -> NewJob:
        return self.hosts.job(command, **{"policy": STEADY, **fields})

    def _chains(self) -> None:
        """Each looks whether the one before it is done."""
        for chain in range(CHAINS):
            names = [f"c{chain}-{at}" for at in range(LENGTH)]
            jobs = [self.job(f"touch {names[0]}", name=names[0])]
            for before, name in pairwise(names):
                command = f"test -e {before} || echo {name} >>early; touch {name}"
                jobs.append(self.job(command, name=name, after=(After(before),)))
            self.good += self.store.add(jobs)

    def _graph(self) -> None:
        """One, many that wait for it, and one that waits for those."""
        names = [f"f{at}" for at in range(FAN)]
        look = "; ".join(f"test -e {name} || echo end >>early" for name in names)
        self.good += self.store.add([
            self.job("touch root", name="root"),
            *(
                self.job(
                    f"test -e root || echo {name} >>early; touch {name}",
                    name=name, after=(After("root"),), needs={"slots": 1 + at % 2},
                )
                for at, name in enumerate(names)
            ),
            self.job(look, after=tuple(After(name) for name in names)),
        ])  # fmt: skip

    def _failing(self) -> None:
        """Who waits for a job that dies."""
        for at in range(6):
            policy = {"max-retries": "0", "on-dead": f"touch hook{at}"}
            (bad,) = self.store.add([self.job("sleep 0.1; exit 3", policy=policy)])
            self.dead.append(bad)
            never = self.hosts.put("touch never", after=(After(bad),))
            self.cancelled += [never, self.hosts.put("touch never", after=(After(never),))]
            self.good += self.store.add(
                [
                    self.job("true", after=(After(bad, "failed"),)),
                    self.job("true", after=(After(never, "ended"), After(bad, "ended"))),
                ]
            )
            keep = {"unmet": "keep"}
            self.kept.append(self.hosts.put("touch never", after=(After(bad),), policy=keep))

    def _bounded(self) -> None:
        """What may not run at once, nor too often."""
        store = self.store
        store.create_queue("one", limit=1)
        store.create_queue("rated", rate=Rate(PER_SECOND, 1000))
        self.good += store.add([self.job(alone("one", "sleep 0.01"), queue="one")] * LIMITED)
        command = alone("array", "sleep 0.01")
        self.good += store.add(
            [self.job(command, array=Array("a", at, 1)) for at in range(LIMITED)]
        )
        self.good += store.add(
            [self.job("date +%s%3N >>starts", queue="rated") for _ in range(RATED)]
        )
        tick = pack(self.job("true"))
        store.put_schedule(
            Schedule("tick", "every 1s", "", "queue", "one", tick, store.now() + 500)
        )

    def again(self) -> None:
        """Enqueue what is there only once at a time."""
        self.store.add([self.job(alone("key", "sleep 0.05"), unique="key")])

    def is_over(self) -> bool:
        return self.store.count(Filter(states=WAITING)) == len(self.kept)


def test_hosts_die_in_the_middle_of_everything(hosts: Hosts) -> None:
    """Nothing is lost, early, twice at once or stuck; what is left knows why."""
    chance = random.Random(20261121)
    work = Work(hosts)
    store = hosts.store
    crew = [start(hosts, number) for number in range(2)]
    for _ in range(KILLS):
        for _ in range(5):
            work.again()
            time.sleep(LULL / 5)
        victim = chance.randrange(len(crew))
        crew[victim].kill()
        crew[victim] = start(hosts, victim)
    store.remove_schedule("tick")
    deadline = time.monotonic() + PATIENCE
    while not work.is_over():
        assert time.monotonic() < deadline, [
            (job.id, job.state, job.queue, sentence(reasons_for(job, surroundings(store))))
            for job in store.jobs(Filter(states=WAITING))
        ]
        work_left = store.count(Filter(states=WAITING))
        time.sleep(0.05 if work_left else 0)
    assert_all_is_well(work)


def assert_all_is_well(work: Work) -> None:
    hosts, store = work.hosts, work.store
    states = {job.id: job for job in store.jobs(Filter())}
    assert {states[one].state for one in work.good} == {COMPLETED}
    assert {states[one].state for one in work.dead} == {DEAD}
    assert {states[one].state for one in work.cancelled} == {CANCELLED}
    assert all("dependency" in (states[one].reason or "") for one in work.cancelled)
    around = surroundings(store)
    for one in work.kept:
        assert states[one].state == PENDING
        said = sentence(reasons_for(states[one], around))
        assert str(store.dependencies(one)[0].on) in said
    for name in ("overlaps", "early", "never"):
        assert not (hosts.directory / name).exists(), (hosts.directory / name).read_text()
    assert all((hosts.directory / f"hook{at}").exists() for at in range(len(work.dead)))
    assert Counter(job.queue for job in states.values())["hooks"] == len(work.dead)
    made = [job.created_at for job in states.values() if job.schedule == "tick"]
    assert len(made) >= KILLS * LULL / 2
    # 1 s apart, but for how late a host was: never twice for one time
    assert all(later - earlier > 100 for earlier, later in pairwise(sorted(made)))
    starts = sorted(map(int, (hosts.directory / "starts").read_text().split()))
    spans = [after - first for first, after in zip(starts, starts[PER_SECOND:], strict=False)]
    # it is the claims that are so far apart: a process may take a moment to start
    assert min(spans) > 600, spans
    assert_counters_are_right(store)
