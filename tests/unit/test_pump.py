"""The pump against a real store, and against one that fails on command."""

from __future__ import annotations

import os
import queue as queues
import threading
import time
from typing import TYPE_CHECKING

import pytest

from queuectl.errors import BadValue, NameTaken, Refused, StoreBusy, StoreFull, StoreUnavailable
from queuectl.host import jobqueue, pump
from queuectl.host.jobqueue import JobQueue
from queuectl.host.pump import Events, Pump
from queuectl.host.trays import Batch
from queuectl.job import CANCELLED, COMPLETED, EXIT, PENDING, PROCESSING, Outcome
from queuectl.resources import parse_resources
from queuectl.store.sqlite.engine import MemoryStore, SqliteStore
from tests.support.faulty import faulty
from tests.support.work import HOST, a_host, job_of, put, put_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from queuectl.job import Claim
    from queuectl.store.base import HostInfo, Room, Settled, Settlement, Store, Wish

#: seconds until a test gives up on something that should come at once
PATIENCE = 10
ALL: tuple[str, ...] = ()
DONE = Outcome(EXIT, 0, "", 1, 2)
BUSY = StoreBusy(store="the store", seconds=15)
FULL = StoreFull(store="the store")
BROKEN = StoreUnavailable(store="the store", reason="of the test")


class Heard(Events):
    """Keeps what the pump tells."""

    def __init__(self) -> None:
        self.settlements: queues.Queue[tuple[int, str | None]] = queues.Queue()
        self.disownments: queues.Queue[str] = queues.Queue()
        self.wishes: queues.Queue[Wish] = queues.Queue()
        self.rows: queues.Queue[HostInfo | None] = queues.Queue()
        self.errors: queues.Queue[Exception] = queues.Queue()
        self.troubles: queues.Queue[bool] = queues.Queue()
        #: whether there is trouble, as the pump says
        self.has_trouble: Callable[[], bool] = bool
        #: raised by every event
        self.error: Exception | None = None

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error

    def settled(self, settlement: Settlement, settled: Settled) -> None:
        self.settlements.put((settlement.job_id, settled.state))
        self._raise()

    def disowned(self, token: str) -> None:
        self.disownments.put(token)
        self._raise()

    def wished(self, wishes: Sequence[Wish]) -> None:
        for wish in wishes:
            self.wishes.put(wish)
        self._raise()

    def woken(self, host: HostInfo | None) -> None:
        self.rows.put(host)
        self._raise()

    def failed(self, error: Exception) -> None:
        self.errors.put(error)

    def troubled(self) -> None:
        self.troubles.put(self.has_trouble())


class Rig:
    """A pump at work on a store; the test plays the workers."""

    def __init__(self) -> None:
        self.real = MemoryStore({})
        self.store, self.faults = faulty(self.real)
        self.real.register(a_host())
        self.queue = JobQueue()
        self.heard = Heard()
        self.pump = Pump(self.store, self.queue, HOST, self.heard)
        self.heard.has_trouble = lambda: self.pump.trouble is not None

    def start(self, workers: int = 1) -> None:
        self.queue.join_workers(ALL, workers)
        self.pump.start()

    def take(self) -> Claim:
        """Take the next claim; wait for it."""
        late = time.monotonic() + PATIENCE
        # a little later, so that it finds it late
        alarm = threading.Timer(PATIENCE + 0.1, self.queue.stir)
        alarm.start()
        claim = self.queue.take(ALL, lambda: time.monotonic() > late)
        alarm.cancel()
        assert claim is not None
        return claim

    def report(self, claim: Claim, outcome: Outcome = DONE) -> None:
        self.queue.report(claim, outcome, ALL, 1.0)

    def settlements(self, number: int) -> list[tuple[int, str | None]]:
        """Return the next so many settlements that the pump tells of, by job."""
        return sorted(self.heard.settlements.get(timeout=PATIENCE) for _ in range(number))

    def end(self) -> None:
        self.queue.close()
        if not self.pump.join(PATIENCE):
            self.pump.give_up()
            assert self.pump.join(PATIENCE)
        self.real.close()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(pump, "PATIENCE", (0.001, 0.002))
    rig = Rig()
    yield rig
    rig.end()


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the net below the wake-ups."""
    monkeypatch.setattr(pump, "LOOK", 3600.0)


def wait_until_idle(rig: Rig) -> None:
    """Return when the pump sleeps with nothing to do."""
    rig.queue.call(lambda _: None, PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while rig.queue._bell is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)


# ---- exchanging ---------------------------------------------------------------------------------


def test_a_job_is_claimed_started_and_settled(rig: Rig) -> None:
    job_id = put(rig.real)
    rig.start()
    claim = rig.take()
    rig.queue.started(claim, 123)
    deadline = time.monotonic() + PATIENCE
    while job_of(rig.real, job_id).state != PROCESSING:
        assert time.monotonic() < deadline
        time.sleep(jobqueue.PACE / 4)
    assert job_of(rig.real, job_id).started_at == 123
    rig.report(claim)
    assert rig.settlements(1) == [(job_id, COMPLETED)]
    assert job_of(rig.real, job_id).state == COMPLETED


def test_requests_are_committed_before_they_are_answered(rig: Rig) -> None:
    rig.start(0)
    job_id = rig.queue.call(put, PATIENCE)
    assert job_of(rig.real, job_id).state == PENDING


def test_a_bad_request_harms_none_of_its_group(rig: Rig) -> None:
    good = rig.queue.post(lambda store: put(store, name="a"))
    bad = rig.queue.post(lambda store: put(store, name="a"))
    also_good = rig.queue.post(lambda store: put(store, name="b"))
    rig.start(0)
    assert good.result(PATIENCE) == 1
    with pytest.raises(NameTaken):
        bad.result(PATIENCE)
    assert also_good.result(PATIENCE) == 2
    assert rig.faults.transactions == 1


def test_a_request_nobody_waits_for_any_more_harms_nobody(rig: Rig) -> None:
    put_many(rig.real, 2)
    rig.start()
    claim = rig.take()
    rig.queue.call(lambda _: None, PATIENCE)
    rig.queue.post(lambda _: None).cancel()
    rig.report(claim)
    assert rig.settlements(1) == [(1, COMPLETED)]
    assert rig.heard.errors.empty()


def test_a_start_that_is_refused_disowns_its_job(rig: Rig) -> None:
    put(rig.real)
    rig.start()
    claim = rig.take()
    rig.queue.call(lambda store: store.release([(claim.job_id, claim.token)]), PATIENCE)
    rig.queue.started(claim, 123)
    assert rig.heard.disownments.get(timeout=PATIENCE) == claim.token


def test_a_settlement_that_is_refused_is_told_as_such(rig: Rig) -> None:
    put(rig.real)
    rig.start()
    claim = rig.take()
    rig.queue.call(lambda store: store.release([(claim.job_id, claim.token)]), PATIENCE)
    rig.report(claim)
    assert rig.settlements(1) == [(1, None)]


def test_wishes_and_the_hosts_row_are_told(rig: Rig) -> None:
    put(rig.real)
    rig.start()
    claim = rig.take()
    with_another = SqliteStore(rig.real.path, {})
    with_another.cancel([1])
    with_another.close()
    wish = rig.heard.wishes.get(timeout=PATIENCE)
    assert (wish.token, wish.kind) == (claim.token, "cancel")
    row = rig.heard.rows.get(timeout=PATIENCE)
    assert row is not None
    assert row.id == HOST


# ---- waking -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_looks")
def test_another_process_that_enqueues_wakes_it(rig: Rig) -> None:
    rig.start()
    wait_until_idle(rig)
    other = SqliteStore(rig.real.path, {})
    put(other)
    other.close()
    assert rig.take().job_id == 1


@pytest.mark.usefixtures("no_looks")
def test_a_delayed_job_is_claimed_when_it_is_due_without_looks(rig: Rig) -> None:
    due = rig.real.now() + 150
    put(rig.real, due_at=due)
    rig.start()
    assert rig.take().job_id == 1
    assert rig.real.now() >= due
    # the request of the claim, and the claim: nothing was tried in between
    assert rig.faults.transactions <= 3


def test_an_idle_pump_only_looks(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "LOOK", 0.005)
    rig.start()
    wait_until_idle(rig)
    rig.faults.looks.wait_more(2, PATIENCE)
    before = rig.faults.transactions
    assert rig.faults.looks.wait_more(20, PATIENCE)
    assert rig.faults.transactions == before


@pytest.mark.usefixtures("no_looks")
def test_a_time_that_has_passed_is_not_waited_for_again(rig: Rig) -> None:
    rig.start()
    wait_until_idle(rig)
    rig.queue.join_workers(ALL, -1)
    rig.pump._next_due = rig.real.now() - 1000
    rig.queue.call(lambda _: None, PATIENCE)
    wait_until_idle(rig)
    assert rig.pump._next_due is None


@pytest.mark.usefixtures("no_looks")
def test_what_is_due_and_cannot_be_had_is_not_asked_for_in_a_loop(rig: Rig) -> None:
    asked: list[float] = []

    def next_due(since: int | None = None) -> int | None:
        asked.append(time.monotonic())
        return rig.real.now() - 1000

    rig.real.next_due = next_due  # type: ignore[method-assign]
    rig.start()
    alarm = threading.Timer(0.7, rig.queue.stir)
    until = time.monotonic() + 0.65
    alarm.start()
    assert rig.queue.take(ALL, lambda: time.monotonic() > until) is None
    alarm.cancel()
    # soon at first, as it may have become due since the claim; then less and less often
    assert 4 <= len(asked) <= 12


@pytest.mark.usefixtures("no_looks")
def test_a_rate_that_lets_one_start_wakes_it(rig: Rig) -> None:
    """As of a rated queue: nothing is to be had before a time, then one."""
    opens = rig.real.now() + 150
    claim = rig.real.claim

    def rated(*args: object) -> list[Claim]:
        return claim(*args) if rig.real.now() >= opens else []  # type: ignore[arg-type]

    rig.real.claim = rated  # type: ignore[method-assign,assignment]
    rig.real.next_due = lambda since=None: opens  # type: ignore[method-assign]  # noqa: ARG005
    put(rig.real)
    rig.start()
    began = time.monotonic()
    assert rig.take().job_id == 1
    assert rig.real.now() >= opens
    assert time.monotonic() - began < 5


def test_kinds_of_workers_do_not_get_the_same_twice(rig: Rig) -> None:
    rooms: list[Room] = []
    claim = rig.real.claim

    def watched(host: str, want: int, queues: Sequence[str], ahead: int, room: Room) -> list[Claim]:
        rooms.append(room)
        found = claim(host, want, queues, ahead, room)
        return [one._replace(needs={"gpu": 1}) for one in found]

    rig.real.claim = watched  # type: ignore[method-assign,assignment]
    rig.queue.add_resources(parse_resources(["gpu=2"]))
    put(rig.real)
    for kind in (ALL, ("default",)):
        rig.queue.join_workers(kind, 1)
    for kind in (ALL, ("default",)):
        threading.Thread(target=rig.queue.take, args=(kind, lambda: bool(rooms[1:]))).start()
    while any(not one.idle for one in rig.queue._kinds.values()):
        time.sleep(0.001)
    rig.pump.start()
    rig.queue.call(lambda _: None, PATIENCE)
    rig.queue.stir()
    assert [room.free for room in rooms[:2]] == [{"gpu": 2}, {"gpu": 1}]
    assert {tuple(room.total.items()) for room in rooms} == {(("gpu", 2),)}


def test_what_is_kept_for_a_job_of_one_kind_is_not_there_for_another(rig: Rig) -> None:
    """Else single items, as they come free, would go to the other kind for ever."""
    rig.real.create_queue("other")
    put(rig.real, needs={"gpu": 3})
    put(rig.real, queue="other", needs={"gpu": 1})
    rig.queue.add_resources(parse_resources(["gpu=3"]))
    rig.queue._stock.promise({"gpu": 1})
    kinds = (("default",), ("other",))
    got: list[int] = []
    leaving = threading.Event()

    def work(kind: tuple[str, ...]) -> None:
        claim = rig.queue.take(kind, leaving.is_set)
        if claim is not None:
            got.append(claim.job_id)

    for kind in kinds:
        rig.queue.join_workers(kind, 1)
    threads = [threading.Thread(target=work, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    while any(not rig.queue._kinds[kind].idle for kind in kinds):
        time.sleep(0.001)
    rig.pump.start()
    rig.queue.call(lambda _: None, PATIENCE)
    rig.queue.call(lambda _: None, PATIENCE)
    assert got == []
    with rig.queue._lock:
        rig.queue._stock.take_back({"gpu": 1})
    rig.queue.call(lambda _: None, PATIENCE)
    threads[0].join(PATIENCE)
    assert got == [1]
    leaving.set()
    rig.queue.stir()
    threads[1].join(PATIENCE)


# ---- schedules ----------------------------------------------------------------------------------


class FakeFiring:
    """Stands in for queuectl.host.firing: fires at a time, or fails."""

    def __init__(self, store: Store) -> None:
        self.next_at: int | None = None
        self.fired: queues.Queue[int] = queues.Queue()
        self.error: Exception | None = None
        self.store = store
        self.tries = 0

    def changed(self) -> None:
        """Nothing is read anew."""

    def fire_due(self) -> int:
        if self.next_at is None or self.store.now() < self.next_at:
            return 0
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.fired.put(self.store.now())
        self.next_at = None
        put(self.store)
        return 1


@pytest.fixture
def firing(rig: Rig) -> FakeFiring:
    made = FakeFiring(rig.store)
    rig.pump._firing = made  # type: ignore[assignment]
    return made


@pytest.mark.usefixtures("no_looks")
def test_a_schedule_fires_when_it_is_due_and_its_job_is_claimed(
    rig: Rig, firing: FakeFiring
) -> None:
    due = firing.next_at = rig.real.now() + 150
    rig.start()
    assert rig.take().job_id == 1
    assert firing.fired.get(timeout=PATIENCE) >= due


@pytest.mark.usefixtures("no_looks")
def test_a_schedule_fires_while_every_worker_is_busy(rig: Rig, firing: FakeFiring) -> None:
    put(rig.real)
    rig.start()
    rig.take()
    due = firing.next_at = rig.real.now() + 100
    rig.queue.call(lambda _: None, PATIENCE)
    assert firing.fired.get(timeout=PATIENCE) >= due


@pytest.mark.usefixtures("no_looks")
def test_a_schedule_that_fails_holds_up_nothing(rig: Rig, firing: FakeFiring) -> None:
    firing.next_at = rig.real.now() - 1
    firing.error = ValueError("of the schedule")
    put(rig.real)
    rig.start()
    rig.report(rig.take())
    assert rig.settlements(1) == [(1, COMPLETED)]
    assert rig.heard.errors.get(timeout=PATIENCE) is firing.error
    wait_until_idle(rig)
    assert firing.tries == 1


def test_a_store_that_cannot_be_used_is_no_fault_of_a_schedule(
    rig: Rig, firing: FakeFiring
) -> None:
    firing.next_at = rig.real.now() - 1
    firing.error = BUSY
    rig.start()
    while firing.tries < 3:
        time.sleep(0.001)
    assert rig.pump.trouble == str(BUSY)
    firing.error = None
    assert firing.fired.get(timeout=PATIENCE)
    assert rig.heard.errors.empty()


# ---- a store that cannot be used ----------------------------------------------------------------


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("error", [BUSY, FULL, BROKEN, ValueError("of the test")], ids=type)
def test_commits_that_fail_lose_and_repeat_nothing(rig: Rig, error: Exception, rounds: int) -> None:
    put_many(rig.real, 3)
    rig.start()
    first = rig.take()
    rig.faults.fail(error, rounds)
    rig.report(first)
    assert rig.settlements(1) == [(1, COMPLETED)]
    for _ in range(2):
        rig.report(rig.take())
    assert rig.settlements(2) == [(2, COMPLETED), (3, COMPLETED)]
    assert rig.heard.settlements.empty()
    assert rig.real.held_by(HOST) == []


def test_trouble_is_shown_for_as_long_as_it_lasts(rig: Rig) -> None:
    put(rig.real)
    rig.start()
    claim = rig.take()
    rig.faults.fail(FULL, 10**9)
    rig.report(claim)
    deadline = time.monotonic() + PATIENCE
    while rig.pump.trouble is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert "no space left" in rig.pump.trouble
    rig.faults.failures = 0
    assert rig.settlements(1) == [(1, COMPLETED)]
    wait_until_idle(rig)
    assert rig.pump.trouble is None


def test_a_store_that_has_refused_a_write_is_in_trouble_until_it_takes_one(rig: Rig) -> None:
    """Looks and claims that find nothing say nothing about that; it is told once, and its end once."""
    rig.start()
    wait_until_idle(rig)
    rig.faults.fail(FULL, 2)
    with pytest.raises(StoreFull):
        rig.queue.call(put, PATIENCE)
    assert rig.heard.troubles.get(timeout=PATIENCE) is True
    rig.queue.changed()
    assert rig.faults.looks.wait_more(3, PATIENCE)
    assert rig.pump.trouble == str(FULL)
    assert not rig.pump.failing
    rig.queue.call(put, PATIENCE)
    assert rig.heard.troubles.get(timeout=PATIENCE) is False
    assert rig.pump.trouble is None
    wait_until_idle(rig)
    assert rig.heard.troubles.empty()


def test_claims_to_be_given_back_are_kept_until_they_are(rig: Rig) -> None:
    put(rig.real)
    rig.start()
    claim = rig.take()
    rig.queue.join_workers(ALL, -1)
    rig.faults.fail(BROKEN, 3)
    rig.queue.exchanged(Batch([], [], [], [(ALL, 1, 0)], []), [[claim]])
    rig.queue.stir()
    rig.queue.hand_back()
    deadline = time.monotonic() + PATIENCE
    while rig.real.held_by(HOST):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert (job_of(rig.real, 1).state, job_of(rig.real, 1).deliveries) == (PENDING, 0)


def test_who_waits_for_a_busy_store_waits_once(rig: Rig) -> None:
    rig.faults.fail(BUSY, 2)
    waiting = [rig.queue.post(lambda _: None) for _ in range(5)]
    rig.start(0)
    for future in waiting:
        with pytest.raises(StoreBusy):
            future.result(PATIENCE)
    assert rig.faults.transactions == 1


def test_requests_of_a_failed_group_get_a_try_each(rig: Rig) -> None:
    rig.faults.fail(FULL, 2)
    waiting = [rig.queue.post(put) for _ in range(3)]
    rig.start(0)
    with pytest.raises(StoreFull):
        waiting[0].result(PATIENCE)
    assert [future.result(PATIENCE) for future in waiting[1:]] == [1, 2]


def test_a_request_that_finds_the_store_unusable_fails_alone(rig: Rig) -> None:
    def broken(store: Store) -> None:
        put(store)
        raise BROKEN

    put(rig.real)
    rig.start()
    claim = rig.take()
    future = rig.queue.post(broken)
    rig.report(claim)
    with pytest.raises(StoreUnavailable):
        future.result(PATIENCE)
    assert rig.settlements(1) == [(1, COMPLETED)]
    assert rig.real.get(2) is None


def test_a_look_that_fails_is_made_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "LOOK", 0.005)
    rig.start()
    wait_until_idle(rig)
    rig.faults.look_error = BROKEN
    assert rig.faults.looks.wait_more(3, PATIENCE)
    put(rig.real)
    assert rig.take().job_id == 1


# ---- one bad settlement -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError("of the test"), BadValue("backoff-base: 'x' is no number")], ids=type
)
def test_a_settlement_that_cannot_be_written_holds_up_nothing_else(
    rig: Rig, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobqueue, "ASIDE", 0.1)
    put_many(rig.real, 4)
    rig.faults.poison[2] = error
    rig.start(4)
    claims = [rig.take() for _ in range(3)]
    for claim in claims:
        rig.report(claim)
    assert rig.settlements(2) == [(1, COMPLETED), (3, COMPLETED)]
    assert rig.heard.errors.get(timeout=PATIENCE) is error
    assert rig.queue.waiting()[1] == 1
    rig.report(rig.take())
    assert rig.settlements(1) == [(4, COMPLETED)]
    rig.faults.poison.clear()
    assert rig.settlements(1) == [(2, COMPLETED)]
    assert rig.queue.waiting() == (0, 0)


def test_events_that_raise_neither_stop_it_nor_keep_others_from_being_told(rig: Rig) -> None:
    put_many(rig.real, 3)
    rig.heard.error = RuntimeError("of the host")
    rig.start(3)
    claims = [rig.take() for _ in range(3)]
    for claim in claims:
        rig.report(claim)
    assert rig.settlements(3) == [(1, COMPLETED), (2, COMPLETED), (3, COMPLETED)]
    rig.heard.error = None
    put(rig.real)
    rig.report(rig.take())
    assert rig.settlements(1) == [(4, COMPLETED)]


# ---- the end ------------------------------------------------------------------------------------


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors by /proc")
def test_the_end_leaves_no_thread_and_no_descriptor() -> None:
    rig = Rig()
    rig.pump.give_up()
    rig.start(0)
    assert rig.pump.join(PATIENCE)
    before = open_files()
    for _ in range(3):
        store = MemoryStore({})
        store.register(a_host())
        ended = Pump(store, queue := JobQueue(), HOST, Heard())
        queue.close()
        ended.start()
        assert ended.join(PATIENCE)
        store.close()
    assert open_files() == before
    rig.real.close()


def test_closing_reports_what_is_left_first(rig: Rig) -> None:
    put_many(rig.real, 2)
    rig.start(2)
    claims = [rig.take(), rig.take()]
    rig.faults.fail(BROKEN, 3)
    rig.report(claims[0])
    rig.report(claims[1])
    rig.queue.close()
    assert rig.pump.join(PATIENCE)
    assert rig.settlements(2) == [(1, COMPLETED), (2, COMPLETED)]
    with pytest.raises(Refused):
        rig.queue.call(lambda _: None)


def test_it_can_be_made_to_give_up(rig: Rig) -> None:
    put(rig.real)
    rig.start()
    claim = rig.take()
    rig.faults.fail(BROKEN, 10**9)
    rig.report(claim)
    rig.queue.close()
    assert not rig.pump.join(0.05)
    rig.pump.give_up()
    assert rig.pump.join(PATIENCE)
    assert job_of(rig.real, 1).state != COMPLETED


def test_a_cancel_of_a_claim_in_the_tray_ends_as_cancelled(rig: Rig) -> None:
    put(rig.real)
    rig.start()
    claim = rig.take()
    rig.queue.call(lambda store: store.cancel([1]), PATIENCE)
    rig.report(claim, Outcome("stopped"))
    assert rig.settlements(1) == [(1, CANCELLED)]
