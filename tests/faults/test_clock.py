"""The wall clock jumps by an hour, either way, under a host that works."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from queuectl.host import worker
from queuectl.host.worker import WorkerHost
from queuectl.job import COMPLETED, NewJob
from queuectl.store.sqlite.engine import MemoryStore, SqliteStore
from tests.support.hosts import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.fifo import Gate

PATIENCE = 20
HOUR = 3600 * 1000


class WallClock:
    """The time of day, as somebody may set it."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 10**6 + self.ahead


class Shop:
    """A host in this process on a clock that jumps, and the store as another process has it."""

    def __init__(self) -> None:
        self.clock = WallClock()
        self.store = MemoryStore({}, self.clock)
        self.outside = SqliteStore(self.store.path, {}, self.clock)
        self.host = WorkerHost(self.store)
        self.host.start(2)

    def put(self, command: str, delay: int = 0, policy: Mapping[str, str] | None = None) -> int:
        env = {"PATH": os.environ["PATH"]}
        new = NewJob(command, env=env, due_at=self.clock() + delay, policy=policy or {})
        return self.outside.add([new])[0]

    def completes(self, job_id: int) -> None:
        def is_so() -> bool:
            job = self.outside.get(job_id)
            return job is not None and job.state == COMPLETED

        eventually(is_so, PATIENCE)

    def end(self) -> None:
        assert self.host.close(timeout=PATIENCE)
        assert list(self.host.errors) == []
        self.outside.close()
        self.store.close()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(worker, "become_subreaper", lambda: False)
    interval = sys.getswitchinterval()
    shop = Shop()
    yield shop
    shop.end()
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
def test_nothing_is_lost(shop: Shop, gate: Gate, jump: int) -> None:
    running = shop.put(gate.command)
    gate.arrived()
    soon = shop.put("true", delay=200)
    shop.clock.ahead += jump
    after = shop.put("true")
    delayed_after = shop.put("true", delay=200)
    shop.completes(after)
    shop.completes(delayed_after)
    if jump < 0:
        # it is due at the time that was said, and that is an hour away again
        shop.clock.ahead -= jump
    shop.completes(soon)
    gate.open()
    shop.completes(running)
    job = shop.outside.get(running)
    assert job is not None
    assert (job.attempts, job.deliveries) == (1, 1)


def test_what_is_due_later_runs_when_the_clock_says_so(shop: Shop) -> None:
    later = shop.put("true", delay=HOUR // 2)
    shop.completes(shop.put("true"))
    shop.clock.ahead += HOUR
    shop.completes(later)


def test_a_retry_comes_whichever_way_the_clock_went(shop: Shop, gate: Gate) -> None:
    marker = gate.told + ".retried"
    command = f"[ -e {marker} ] || {{ touch {marker}; exit 1; }}"
    retried = shop.put(command, policy={"backoff-base": "600", "backoff-max": "10m"})

    def has_failed() -> bool:
        job = shop.outside.get(retried)
        return job is not None and job.state == "failed"

    eventually(has_failed, PATIENCE)
    shop.clock.ahead -= HOUR
    shop.completes(shop.put("true"))
    assert has_failed()
    shop.clock.ahead += 2 * HOUR
    shop.completes(retried)
