"""The lease: renewed in time, or jobs end before others may have them."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, cast

import pytest

from queuectl.errors import StoreUnavailable
from queuectl.host import lease as lease_module
from queuectl.host.lease import Lease, guard_by
from queuectl.job import EXIT, SIGNAL, STOPPED, Outcome

if TYPE_CHECKING:
    from queuectl.store.base import Store

#: seconds until a test gives up on something that should come at once
PATIENCE = 10
SECOND = 10**9
KILLED = Outcome(SIGNAL, int(signal.SIGKILL))


class BootClock:
    """What counts the time since boot."""

    def __init__(self) -> None:
        self.now = 1000 * SECOND

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


class SharedStore:
    """As much of a store as a lease knows: `answers` are what renewals come to, True when empty."""

    lease = 600.0

    def __init__(self, clock: BootClock) -> None:
        self.answers: list[bool | Exception] = []
        self.renewed = threading.Semaphore(0)
        #: seconds that a renewal takes
        self.takes = 0.0
        self._clock = clock

    def renew(self, host_id: str) -> bool:
        assert host_id == "host-a"
        self._clock.advance(self.takes)
        answer = self.answers.pop(0) if self.answers else True
        self.renewed.release()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Tenant:
    """As much of a host as a lease knows."""

    id = "host-a"

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.errors: list[Exception] = []

    def lost_contact(self, *, now: bool) -> None:
        self.heard.append("kill" if now else "end")

    def recovered(self) -> None:
        self.heard.append("recovered")

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


class Guardian:
    def __init__(self) -> None:
        self.ends: list[int] = []

    def lease(self, ends: int) -> None:
        self.ends.append(ends)

    def spare(self, token: str) -> None:
        raise AssertionError(token)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> BootClock:
    clock = BootClock()
    monkeypatch.setattr(lease_module, "boot_clock", clock)
    return clock


@pytest.fixture
def store(clock: BootClock) -> SharedStore:
    return SharedStore(clock)


@pytest.fixture
def tenant() -> Tenant:
    return Tenant()


@pytest.fixture
def lease(store: SharedStore, tenant: Tenant, clock: BootClock) -> Lease:
    """Return a lease that has just been granted; its threads do not run."""
    lease = Lease(cast("Store", store), tenant)
    lease.granted(clock())
    return lease


def test_a_lease_runs_from_before_the_renewal_was_sent(
    lease: Lease, store: SharedStore, clock: BootClock
) -> None:
    store.takes = 590
    assert lease._renew() == 20.0
    assert lease.held
    clock.advance(9)
    assert not lease.held


def test_jobs_are_asked_to_end_once_and_then_killed_while_the_lease_runs(
    lease: Lease, tenant: Tenant, clock: BootClock
) -> None:
    clock.advance(584)
    lease._look()
    assert (tenant.heard, lease.held) == ([], True)
    clock.advance(2)
    lease._look()
    assert (tenant.heard, lease.held) == ([], True)
    lease._look()
    lease._look()
    assert (tenant.heard, lease.held) == (["end"], True)
    clock.advance(12.5)
    lease._look()
    assert (tenant.heard, lease.held) == (["end", "kill"], False)
    clock.advance(1000)
    lease._look()
    assert tenant.heard == ["end", "kill", "kill"]


def test_a_short_lease_leaves_most_of_itself_to_the_jobs(
    store: SharedStore, tenant: Tenant, clock: BootClock
) -> None:
    store.lease = 6.0
    lease = Lease(cast("Store", store), tenant)
    lease.granted(clock())
    for after, heard in ((3.9, []), (0.2, ["end"]), (1.2, ["end"]), (0.2, ["end", "kill"])):
        clock.advance(after)
        lease._look()
        if len(heard) == 1:
            lease._look()
        assert tenant.heard == heard
    assert lease._renew() == 0.2


def test_contact_in_time_gives_a_lease_anew(lease: Lease, tenant: Tenant, clock: BootClock) -> None:
    for _ in range(2):
        clock.advance(590)
        lease._look()
        lease._look()
        lease._renew()
        clock.advance(580)
        lease._look()
        assert lease.held
        lease._renew()
    assert tenant.heard == ["end", "end"]


def test_who_was_recovered_may_start_nothing_until_it_is_registered(
    lease: Lease, store: SharedStore, tenant: Tenant
) -> None:
    store.answers = [False]
    assert lease._renew() == lease_module.ANEW
    assert (tenant.heard, lease.held) == (["recovered"], False)
    lease._look()
    assert tenant.heard == ["recovered"]
    lease._renew()
    assert lease.held


def test_a_host_that_is_leaving_is_not_taken_for_recovered(
    lease: Lease, store: SharedStore, tenant: Tenant
) -> None:
    store.answers = [False]
    lease.stop()
    lease._renew()
    assert tenant.heard == []


def test_the_guardian_acts_after_the_host_and_before_the_end(
    lease: Lease, clock: BootClock
) -> None:
    guardian = Guardian()
    lease.guarded_by(guardian)
    ends = clock() + 600 * SECOND
    assert guardian.ends == [guard_by(ends, 600)] == [ends - SECOND]
    clock.advance(20)
    lease._renew()
    assert guardian.ends[1:] == [ends + 19 * SECOND]
    clock.advance(598.5)
    assert not lease.held
    assert clock() < guardian.ends[-1]


def test_what_the_guardian_killed_was_stopped(lease: Lease, clock: BootClock) -> None:
    assert lease.judged(KILLED) == KILLED
    clock.advance(600)
    assert (lease.judged(KILLED).kind, lease.judged(KILLED).code) == (STOPPED, None)
    assert lease.judged(Outcome(EXIT, 0)) == Outcome(EXIT, 0)


def test_renewals_go_on_whatever_they_come_to(
    store: SharedStore, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "EVERY", 0.001)
    error = OSError("of the test")
    away = StoreUnavailable(store="postgresql://db", reason="it is away")
    store.answers = [away, error, True]
    lease = Lease(cast("Store", store), tenant)
    lease.start()
    for _ in range(4):
        assert store.renewed.acquire(timeout=PATIENCE)
    lease.stop()
    assert tenant.errors == [error]


def test_the_clock_is_looked_at_while_a_renewal_hangs(
    store: SharedStore, tenant: Tenant, clock: BootClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "EVERY", 0.001)
    monkeypatch.setattr(lease_module, "LOOK", 0.001)
    hanging, killed = threading.Event(), threading.Event()
    monkeypatch.setattr(store, "renew", lambda _: hanging.wait(PATIENCE))
    monkeypatch.setattr(tenant, "lost_contact", lambda *, now: killed.set() if now else None)
    lease = Lease(cast("Store", store), tenant)
    lease.granted(clock())
    lease.start()
    clock.advance(599)
    assert killed.wait(PATIENCE)
    hanging.set()
    lease.stop()
