"""A worker host in this process: starting, stopping, cancelling, and what goes wrong with one."""

from __future__ import annotations

import errno
import os
import queue as queues
import signal
import sys
import threading
import uuid
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from queuectl.errors import BadValue, Refused, StoreUnavailable
from queuectl.host import attempts, jobqueue, keeper, pump, threads, wishes, worker
from queuectl.host.hostfile import HostFile, OtherHost
from queuectl.host.recovery import Recoverer
from queuectl.host.registration import Registration
from queuectl.host.worker import WorkerHost
from queuectl.job import CANCELLED, COMPLETED, FAILED, PENDING, NewJob
from queuectl.paths import host_path, hosts_directory
from queuectl.process import attempt as process
from queuectl.process import spawn
from queuectl.resources import parse_resources
from queuectl.store.base import Wish
from queuectl.store.sqlite.engine import MemoryStore, SqliteStore
from tests.support.faulty import faulty
from tests.support.fifo import Gate
from tests.support.hosts import eventually, holders
from tests.support.limits import no_file_larger_than

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from queuectl.job import Attempt, Claim, Job
    from queuectl.store.base import HostInfo, Settled, Settlement, Store

#: seconds until a test gives up on something that should come at once
PATIENCE = 20
MARK = "QUEUECTL_TEST"
BROKEN = StoreUnavailable(store="the store", reason="of the test")


class Shop:
    """A host and its store; `outside` is what another process would have of that store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mark = uuid.uuid4().hex
        self.real = MemoryStore({})
        self.store, self.faults = faulty(self.real)
        self.outside = SqliteStore(self.real.path, {})
        self.gate = Gate(directory)
        self.settled: queues.Queue[tuple[int, str | None]] = queues.Queue()
        self.host = WorkerHost(self.store, on_settled=self.tell)

    def tell(self, settlement: Settlement, settled: Settled) -> None:
        self.settled.put((settlement.job_id, settled.state))

    def put(self, command: str, **fields: Any) -> int:
        policy = {"backoff-base": "0", "kill-grace": "10s", **fields.pop("policy", {})}
        env = {"PATH": os.environ["PATH"], MARK: self.mark}
        new = NewJob(command, cwd=str(self.directory), env=env, policy=policy, **fields)
        return self.outside.add([new])[0]

    def put_gated(self, jobs: int = 1, **fields: Any) -> list[int]:
        return [self.put(self.gate.command, **fields) for _ in range(jobs)]

    def job(self, job_id: int = 1) -> Job:
        found = self.outside.get(job_id)
        assert found is not None
        return found

    def attempts(self, job_id: int = 1) -> list[Attempt]:
        return self.outside.attempts(job_id)

    def next_settled(self) -> tuple[int, str | None]:
        return self.settled.get(timeout=PATIENCE)

    def row(self) -> HostInfo:
        (row,) = self.outside.hosts()
        return row

    def file_path(self) -> str:
        return host_path(hosts_directory(self.real.local_directory), self.host.id)

    def before_start(self, act: Callable[[], object]) -> None:
        """Do something when a worker has taken a claim, and has not said so to anybody yet."""
        take = self.host._file.take

        def hooked() -> int:
            self.host._file.take = take  # type: ignore[method-assign]
            act()
            return take()

        self.host._file.take = hooked  # type: ignore[method-assign]

    def end(self) -> None:
        self.faults.failures = 0
        self.faults.poison.clear()
        self.host.close(now=True, timeout=PATIENCE)
        assert holders(self.mark) == []
        self.gate.close()
        self.outside.close()
        self.real.close()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    # orphans are the test runner's own affair
    monkeypatch.setattr(worker, "become_subreaper", lambda: False)
    monkeypatch.setattr(pump, "PATIENCE", (0.001, 0.002))
    interval = sys.getswitchinterval()
    before = set(threading.enumerate())
    shop = Shop(tmp_path)
    yield shop
    shop.end()
    sys.setswitchinterval(interval)
    eventually(lambda: before.issuperset(threading.enumerate()), PATIENCE)


# ---- starting and stopping ----------------------------------------------------------------------


def test_workers_are_started_and_stopped_at_any_time(shop: Shop) -> None:
    assert shop.host.start(3) == 3
    assert shop.host.start(2) == 5
    assert shop.row().workers == 5
    assert shop.host.stop(1) == []
    assert shop.host.workers == 4
    eventually(lambda: shop.row().workers == 4)
    assert shop.host.stop() == []
    assert shop.host.join(PATIENCE)
    assert shop.host.workers == 0
    assert shop.host.start(1) == 1
    shop.put("true")
    assert shop.next_settled() == (1, COMPLETED)


def test_slots_are_distinct_and_the_free_ones_are_used_again(shop: Shop) -> None:
    for _ in range(3):
        shop.put(shop.gate.saying("$QUEUECTL_SLOT"))
    shop.host.start(1)
    first = shop.gate.arrived()
    shop.host.start(2)
    assert sorted([first, shop.gate.arrived(), shop.gate.arrived()]) == ["0", "1", "2"]
    shop.gate.open(3)
    for _ in range(3):
        shop.next_settled()
    shop.host.stop()
    assert shop.host.join(PATIENCE)
    shop.put(shop.gate.saying("$QUEUECTL_SLOT"))
    shop.host.start(1)
    assert shop.gate.arrived() == "0"
    shop.gate.open()


def test_without_workers_requests_are_served_and_nothing_is_claimed(shop: Shop) -> None:
    shop.put("true")
    assert shop.host.call(lambda store: store.counts()[PENDING]) == 1
    assert shop.outside.held_by(shop.host.id) == []


def test_stopping_names_what_runs_and_lets_it_finish(shop: Shop) -> None:
    shop.put_gated(3)
    shop.host.start(2)
    running = sorted([shop.gate.arrived(), shop.gate.arrived()])
    assert sorted(str(claim.job_id) for claim in shop.host.stop()) == running
    assert shop.host.workers == 0
    assert not shop.host.join(0.01)
    shop.gate.open(2)
    assert shop.host.join(PATIENCE)
    assert {shop.next_settled(), shop.next_settled()} == {(1, COMPLETED), (2, COMPLETED)}
    assert shop.gate.nobody_came()
    left = shop.job(3)
    assert (left.state, left.deliveries, left.host) == (PENDING, 0, None)


def test_idle_workers_are_stopped_first(shop: Shop) -> None:
    shop.put_gated(1)
    shop.host.start(3)
    shop.gate.arrived()
    assert shop.host.stop(2) == []
    assert [claim.job_id for claim in shop.host.stop(1)] == [1]
    shop.gate.open()
    assert shop.host.join(PATIENCE)


def test_what_is_claimed_ahead_goes_back_when_the_workers_stop(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobqueue, "STALE", 3600.0)
    for _ in range(30):
        shop.put("true", args=(), shell=False)
    shop.host.start(1)
    for _ in range(30):
        shop.next_settled()
    # by now it believes that jobs are short
    shop.put_gated(10)
    shop.gate.arrived()
    eventually(lambda: shop.host.queue.waiting()[0] > 0)
    shop.host.stop()
    eventually(lambda: len(shop.outside.held_by(shop.host.id)) == 1)
    waiting = [shop.job(job_id) for job_id in range(32, 41)]
    assert {(job.state, job.deliveries) for job in waiting} == {(PENDING, 0)}
    shop.gate.open()


def test_stopping_now_hands_jobs_back_uncounted(shop: Shop) -> None:
    shop.put_gated()
    shop.host.start(1)
    shop.gate.arrived()
    assert [claim.job_id for claim in shop.host.stop(now=True)] == [1]
    assert shop.host.join(PATIENCE)
    assert shop.next_settled() == (1, PENDING)
    job = shop.job()
    assert (job.attempts, job.deliveries, job.reason) == (0, 0, None)
    assert [attempt.reason for attempt in shop.attempts()] == ["stopped"]


def test_a_second_stop_can_be_about_those_that_are_leaving_already(shop: Shop) -> None:
    shop.put_gated()
    shop.host.start(1)
    shop.gate.arrived()
    shop.host.stop()
    assert [claim.job_id for claim in shop.host.stop(now=True)] == [1]
    assert shop.host.join(PATIENCE)


@pytest.mark.parametrize("now", [False, True])
def test_a_claim_taken_while_the_workers_stop_is_not_started(shop: Shop, now: bool) -> None:
    shop.put_gated()
    shop.before_start(lambda: shop.host.stop(now=now))
    shop.host.start(1)
    assert shop.next_settled() == (1, PENDING)
    assert shop.host.join(PATIENCE)
    assert (shop.job().attempts, shop.job().deliveries) == (0, 0)
    assert shop.gate.nobody_came()


def test_starting_and_stopping_at_once_never_leaves_idle_workers_behind(shop: Shop) -> None:
    for job_id in range(1, 30):
        stopper = threading.Thread(target=shop.host.stop)
        shop.host.start(1)
        stopper.start()
        shop.host.start(1)
        stopper.join()
        if not shop.host.workers:
            shop.host.start(1)
        shop.put("true", args=(), shell=False)
        assert shop.next_settled() == (job_id, COMPLETED)
        shop.host.stop()
        assert shop.host.join(PATIENCE)


def test_workers_of_a_queue_take_from_it_only(shop: Shop) -> None:
    shop.outside.create_queue("gpu")
    shop.put("true")
    shop.put("true", queue="gpu")
    shop.host.start(1, ["gpu"])
    assert shop.next_settled() == (2, COMPLETED)
    assert shop.row().queues == ("gpu",)
    assert shop.job(1).state == PENDING
    shop.host.start(1)
    assert shop.next_settled() == (1, COMPLETED)
    assert shop.row().queues == ()


def test_a_queue_with_a_limit_is_never_worked_on_by_more(shop: Shop) -> None:
    shop.outside.create_queue("one", limit=1)
    for _ in range(3):
        shop.put(shop.gate.command, queue="one")
    shop.host.start(3)
    for _ in range(3):
        shop.gate.arrived()
        assert shop.gate.nobody_came()
        assert len(shop.outside.held_by(shop.host.id)) == 1
        shop.gate.open()
        shop.next_settled()


def test_threads_that_cannot_be_started_are_no_workers(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def scarce(thread: threading.Thread) -> None:
        if thread.name in {"worker-2", "worker-3"}:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    with pytest.raises(Refused, match="only 2 of 4 workers"):
        shop.host.start(4)
    assert shop.host.workers == 2
    assert shop.row().workers == 2
    shop.put("true")
    assert shop.next_settled() == (1, COMPLETED)


def test_workers_start_though_the_store_cannot_be_told(shop: Shop) -> None:
    shop.faults.fail(BROKEN, 10**9)
    assert shop.host.start(1) == 1
    shop.faults.failures = 0
    shop.put("true")
    assert shop.next_settled() == (1, COMPLETED)


# ---- cancelling and wishes ----------------------------------------------------------------------


def test_a_claim_that_has_not_started_is_cancelled_without_a_start(shop: Shop) -> None:
    shop.put_gated()

    def cancel() -> None:
        shop.outside.cancel([1])
        eventually(lambda: bool(shop.host._attempts._early))

    shop.before_start(cancel)
    shop.host.start(1)
    assert shop.next_settled() == (1, CANCELLED)
    assert shop.gate.nobody_came()
    assert shop.attempts() == []


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
def test_what_is_asked_before_the_start_is_done_at_the_start(shop: Shop) -> None:
    shop.put(shop.gate.saying("$$"))

    def ask() -> None:
        (held,) = shop.outside.held_by(shop.host.id)
        asked = [("signal", b"not a number"), ("pause", b""), ("resume", b""), ("pause", b"")]
        shop.host.wished([Wish(0, 1, held.token, *wish) for wish in asked])

    shop.before_start(ask)
    shop.host.start(1)
    eventually(lambda: bool(holders(shop.mark)))
    (pid,) = holders(shop.mark)
    eventually(lambda: state_of(pid) == "T")
    eventually(lambda: shop.job().state == "processing")
    shop.outside.wish([1], "resume")
    assert shop.gate.arrived() == str(pid)
    shop.gate.open()
    assert shop.next_settled() == (1, COMPLETED)
    assert [error for error in shop.host.errors if "ValueError" in error]


def test_what_is_asked_for_attempts_that_have_ended_is_forgotten_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wishes, "MOST", 3)
    early = wishes.EarlyWishes()
    asked = [Wish(0, 1, f"token{number}", "cancel") for number in range(5)]
    for wish in asked:
        early.keep(wish)
    assert len(early) == 3
    assert early.take("token1") == []
    assert early.take("token4") == [asked[4]]
    assert early.take("token4") == []


def test_a_running_job_is_cancelled(shop: Shop) -> None:
    shop.put_gated()
    shop.host.start(1)
    shop.gate.arrived()
    shop.outside.cancel([1])
    assert shop.next_settled() == (1, CANCELLED)
    assert shop.job().attempts == 1


def test_cancel_now_ends_what_does_not_heed_a_cancel(shop: Shop) -> None:
    shop.put(f"trap '' TERM; {shop.gate.command}", policy={"kill-grace": "1h"})
    shop.host.start(1)
    shop.gate.arrived()
    shop.outside.cancel([1])
    eventually(lambda: shop.host.running()[0].control.cancelled)
    assert shop.settled.empty()
    shop.outside.cancel([1], now=True)
    assert shop.next_settled() == (1, CANCELLED)


def test_an_exit_of_0_wins_over_a_cancel(shop: Shop) -> None:
    shop.put(f"trap 'exit 0' TERM; {shop.gate.command}")
    shop.host.start(1)
    shop.gate.arrived()
    shop.outside.cancel([1])
    job_id, state = shop.next_settled()
    assert (job_id, state) in {(1, COMPLETED), (1, CANCELLED)}
    assert shop.job().state == state


def test_a_signal_is_delivered_and_the_job_goes_on(shop: Shop) -> None:
    told, let = shop.gate.told, shop.gate.let
    shop.put(
        f"trap 'echo heard >{told}' USR1; echo here >{told}; until read -r _ <{let}; do :; done"
    )
    shop.host.start(1)
    assert shop.gate.arrived() == "here"
    eventually(lambda: shop.job().state == "processing")
    shop.outside.wish([1], "signal", b"not a number")
    shop.outside.wish([1], "signal", str(int(signal.SIGUSR1)).encode())
    assert shop.gate.arrived() == "heard"
    shop.gate.open()
    assert shop.next_settled() == (1, COMPLETED)
    assert any("ValueError" in error for error in shop.host.errors)


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
def test_a_running_job_is_paused_and_resumed(shop: Shop) -> None:
    shop.put(shop.gate.saying("$$"))
    shop.host.start(1)
    pid = int(shop.gate.arrived())
    eventually(lambda: shop.job().state == "processing")
    shop.outside.wish([1], "pause")
    eventually(lambda: state_of(pid) == "T")
    shop.outside.wish([1], "resume")
    eventually(lambda: state_of(pid) != "T")
    shop.gate.open()
    assert shop.next_settled() == (1, COMPLETED)


def test_a_job_whose_claim_is_somebody_elses_is_killed(shop: Shop) -> None:
    shop.put(f"trap '' TERM; {shop.gate.saying('$$')}", policy={"kill-grace": "1h"})

    def lose_it() -> None:
        (held,) = shop.outside.held_by(shop.host.id)
        shop.outside.release([(held.job_id, held.token)])

    shop.before_start(lose_it)
    shop.host.start(1)
    first = shop.gate.arrived()
    # only when that has ended its worker is free for the next attempt
    assert shop.next_settled() == (1, None)
    assert shop.gate.arrived() != first
    shop.gate.open()
    assert shop.next_settled() == (1, COMPLETED)
    assert shop.job().attempts == 1


def test_a_host_that_was_taken_for_dead_ends_what_it_runs_and_comes_back(shop: Shop) -> None:
    shop.put_gated()
    shop.host.start(1)
    shop.gate.arrived()
    (held,) = shop.outside.held_by(shop.host.id)
    with shop.outside.transaction():
        shop.outside.lose([(held.job_id, held.token)])
        shop.outside.forget(shop.host.id)
    assert shop.next_settled() == (1, None)
    eventually(lambda: [host.id for host in shop.outside.hosts()] == [shop.host.id])
    shop.gate.arrived()
    shop.gate.open()
    assert shop.next_settled() == (1, COMPLETED)


# ---- asked to stop by others --------------------------------------------------------------------


@pytest.mark.parametrize("how", ["drain", "now"])
def test_another_process_can_stop_the_workers(shop: Shop, how: str) -> None:
    shop.put_gated()
    shop.host.start(2)
    shop.gate.arrived()
    assert shop.outside.ask_stop(shop.host.id, how)
    if how == "drain":
        eventually(lambda: not shop.host.workers)
        shop.gate.open()
    assert shop.host.join(PATIENCE)
    assert shop.next_settled() == (1, COMPLETED if how == "drain" else PENDING)
    eventually(lambda: (shop.row().stop_requested, shop.row().workers) == (None, 0))


def test_a_request_to_stop_is_heeded_once_however_often_its_commit_fails(shop: Shop) -> None:
    shop.host.start(4)
    stops: list[int | None] = []
    stop = shop.host.stop

    def counted(count: int | None = None, *, now: bool = False) -> list[Claim]:
        stops.append(count)
        return stop(count, now=now)

    shop.host.stop = counted  # type: ignore[method-assign]
    shop.outside.ask_stop(shop.host.id, "drain", 1)
    shop.faults.fail(BROKEN, 7)
    eventually(lambda: shop.row().stop_requested is None and shop.row().workers == 3)
    assert stops == [1]
    shop.host.stop = stop  # type: ignore[method-assign]


def test_a_host_that_writes_its_row_again_forgets_no_request() -> None:
    store = MemoryStore({})
    row = Registration("me", 0, lambda: (2, ("a", "b"), {}))
    row.renew(store)
    assert store.hosts() == []
    row.write(store)
    store.ask_stop("me", "now", 1)
    row.renew(store)
    (found,) = store.hosts()
    assert (found.stop_requested, found.stop_workers, found.queues) == ("now", 1, ("a", "b"))
    assert row.take_stop(store) == ("now", 1)
    assert row.take_stop(store) is None
    store.close()


# ---- what goes wrong ----------------------------------------------------------------------------


def fail_once(of: object, name: str, error: Exception) -> None:
    """Let a method raise when it is called for the first time."""
    method = getattr(of, name)

    def failing(*args: object) -> Any:
        setattr(of, name, method)
        raise error

    setattr(of, name, failing)


@pytest.mark.parametrize("step", ["take", "starting"])
def test_a_job_that_cannot_be_written_down_is_not_started(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(threads, "PATIENCE", (0.01,))
    fail_once(shop.host._file, step, OSError(28, "No space left on device"))
    shop.put("true")
    shop.host.start(1)
    assert shop.next_settled() == (1, PENDING)
    assert shop.next_settled() == (1, COMPLETED)
    assert (shop.job().attempts, shop.job().deliveries) == (1, 1)
    assert any("No space left" in error for error in shop.host.errors)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN])
def test_what_the_host_cannot_start_is_handed_back_uncounted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(threads, "PATIENCE", (0.01, 0.02))
    real = spawn.spawn
    troubles: list[str | None] = []

    def failing(*args: Any, **more: Any) -> Any:
        troubles.append(shop.host.trouble)
        if len(troubles) <= 3:
            raise OSError(number, os.strerror(number))
        return real(*args, **more)

    monkeypatch.setattr(process, "spawn", failing)
    shop.put("true", policy={"max-retries": "0"})
    shop.host.start(1)
    assert [shop.next_settled() for _ in range(4)] == [(1, PENDING)] * 3 + [(1, COMPLETED)]
    assert (shop.job().attempts, shop.job().deliveries, shop.job().runs) == (1, 1, 1)
    assert troubles == [None] + [f"no job can be started: {os.strerror(number)}"] * 3
    assert shop.host.trouble is None
    assert list(shop.host.errors) == []


def test_a_worker_that_cannot_start_anything_can_be_stopped(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "PATIENCE", (3600.0,))

    def failing(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(process, "spawn", failing)
    shop.put("true")
    shop.host.start(1)
    assert shop.next_settled() == (1, PENDING)
    assert shop.host.trouble == "no job can be started: Cannot allocate memory"
    shop.host.stop()
    assert shop.host.join(PATIENCE)
    assert shop.host.trouble is None


# ---- slots and resources ------------------------------------------------------------------------


def granted(shop: Shop, job_id: int) -> dict[str, str]:
    """Return the variables about what it got that a job wrote."""
    lines = (shop.directory / f"{job_id}.env").read_text().splitlines()
    names = ("QUEUECTL_GPU=", "QUEUECTL_MEM=", "QUEUECTL_SLOTS=", "CUDA_")
    return dict(line.split("=", 1) for line in lines if line.startswith(names))


def test_jobs_get_what_they_need_and_are_told_which(shop: Shop) -> None:
    line = 'env > "$QUEUECTL_JOB_ID.env"'
    first = shop.put(f"{line}; {shop.gate.command}", needs={"gpu": 2, "mem": 1024, "slots": 2})
    second = shop.put(line, needs={"gpu": 1})
    shop.host.start(4, (), parse_resources(["gpu=[0,3,7]", "mem=2K"]))
    assert shop.next_settled() == (second, COMPLETED)
    shop.gate.arrived()
    assert shop.row().resources == {"gpu": 3, "mem": 2048}
    assert shop.host.queue.resources()[0] == {"gpu": 1, "mem": 1024}
    shop.gate.open()
    assert shop.next_settled() == (first, COMPLETED)
    assert granted(shop, first) == {
        "QUEUECTL_GPU": "0,3", "CUDA_VISIBLE_DEVICES": "0,3", "QUEUECTL_MEM": "1024", "QUEUECTL_SLOTS": "2",
    }  # fmt: skip
    assert granted(shop, second) == {"QUEUECTL_GPU": "7", "CUDA_VISIBLE_DEVICES": "7"}
    assert shop.host.queue.resources()[0] == {"gpu": 3, "mem": 2048}


def test_a_larger_job_is_not_overtaken_for_ever(shop: Shop) -> None:
    small = shop.put_gated(1, needs={"gpu": 1})
    shop.host.start(2, (), parse_resources(["gpu=2"]))
    shop.gate.arrived()
    large = shop.put("true", needs={"gpu": 2})
    later = [shop.put("true", needs={"gpu": 1}) for _ in range(5)]
    free = shop.put("true")
    # what needs nothing that is kept goes by
    assert shop.next_settled() == (free, COMPLETED)
    shop.gate.open()
    assert [shop.next_settled()[0] for _ in range(2)] == [*small, large]
    assert {shop.next_settled()[0] for _ in later} == set(later)


def test_what_no_worker_of_this_host_can_ever_run_holds_up_nothing(shop: Shop) -> None:
    large = [shop.put("true", needs={"slots": 3}), shop.put("true", needs={"gpu": 1})]
    small = shop.put("true")
    shop.host.start(2)
    assert shop.next_settled() == (small, COMPLETED)
    assert [shop.job(job_id).state for job_id in large] == [PENDING, PENDING]
    shop.host.start(1, (), parse_resources(["gpu=1"]))
    assert {shop.next_settled() for _ in large} == {(job_id, COMPLETED) for job_id in large}


def test_a_job_of_all_slots_runs_alone(shop: Shop) -> None:
    shop.host.start(3)
    running = shop.put_gated(2)
    shop.gate.arrived()
    shop.gate.arrived()
    alone = shop.put("true", needs={"slots": 3})
    behind = [shop.put("true") for _ in range(3)]
    shop.gate.open()
    first = shop.next_settled()[0]
    shop.gate.open()
    assert {first, shop.next_settled()[0]} == set(running)
    assert shop.next_settled() == (alone, COMPLETED)
    assert {shop.next_settled()[0] for _ in range(3)} == set(behind)


def test_a_worker_stops_beside_a_job_of_two_slots(shop: Shop) -> None:
    job_id = shop.put(shop.gate.command, needs={"slots": 2})
    shop.host.start(2)
    shop.gate.arrived()
    assert shop.host.stop(1) == []
    eventually(lambda: shop.row().workers == 1)
    small = shop.put("true")
    assert shop.host.queue.waiting() == (0, 0)
    shop.gate.open()
    assert shop.next_settled() == (job_id, COMPLETED)
    assert shop.next_settled() == (small, COMPLETED)


@pytest.mark.parametrize("needs", [{"gpu": 1}, {"slots": 2}, {"gpu": 2, "slots": 2}])
def test_a_job_that_is_retried_needs_it_every_time(shop: Shop, needs: dict[str, int]) -> None:
    shop.put("exit 1", needs=needs, policy={"max-retries": "4"})
    shop.host.start(2, (), parse_resources(["gpu=2"]))
    assert [shop.next_settled()[1] for _ in range(5)] == ["failed"] * 4 + ["dead"]
    assert shop.host.queue.resources()[0] == {"gpu": 2}


def test_many_jobs_of_many_sizes_all_run_and_never_too_many(shop: Shop) -> None:
    line = (
        'n=$(ls | grep -c "^gpu-"); for i in $(echo $QUEUECTL_GPU | tr , " ");'
        " do mkdir gpu-$i || exit 1; done; rmdir $(for i in $(echo $QUEUECTL_GPU | tr , ' ');"
        " do echo gpu-$i; done)"
    )
    ids = [
        shop.put(line, needs={"gpu": 1 + n % 3, "slots": 1 + n % 2}, policy={"max-retries": "0"})
        for n in range(60)
    ]
    shop.host.start(4, (), parse_resources(["gpu=4"]))
    shop.host.start(2, ("default",))
    assert {shop.next_settled() for _ in ids} == {(job_id, COMPLETED) for job_id in ids}


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError()], ids=type)
def test_an_exit_that_cannot_be_written_down_is_reported(shop: Shop, error: Exception) -> None:
    fail_once(shop.host._file, "exited", error)
    shop.put("exit 3", policy={"max-retries": "0"})
    shop.host.start(1)
    assert shop.next_settled() == (1, "dead")
    assert shop.job().reason == "exit 3"


def test_a_listener_that_raises_changes_nothing(shop: Shop) -> None:
    def tell(settlement: Settlement, settled: Settled) -> None:
        shop.tell(settlement, settled)
        raise RuntimeError("of the listener")

    shop.host.on_settled = tell
    shop.host.start(2)
    for _ in range(5):
        shop.put("true")
    assert {shop.next_settled() for _ in range(5)} == {(n, COMPLETED) for n in range(1, 6)}
    with OtherHost(shop.file_path()) as file:
        eventually(lambda: not list(file.slots()))


def test_what_cannot_be_started_fails_and_says_why(shop: Shop) -> None:
    shop.put("no-such-program", args=(), shell=False, policy={"max-retries": "0"})
    shop.host.start(1)
    assert shop.next_settled() == (1, "dead")
    assert "cannot start: No such file" in str(shop.job().reason)


def test_a_plan_that_cannot_be_made_fails_and_says_why(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BadValue("timeout: 'x' is no duration")

    monkeypatch.setattr(attempts, "plan_for", refuse)
    shop.put("true")
    shop.host.start(1)
    assert shop.next_settled() == (1, FAILED)
    assert shop.job().reason == "cannot start: timeout: 'x' is no duration"
    shop.host.stop()


def test_every_record_is_free_again_when_its_job_is_settled(shop: Shop) -> None:
    for _ in range(150):
        shop.put("true", args=(), shell=False)
    shop.host.start(2)
    for _ in range(150):
        shop.next_settled()
    with OtherHost(shop.file_path()) as file:
        assert list(file.slots()) == []
    size = os.path.getsize(shop.file_path())
    for _ in range(150):
        shop.put("true", args=(), shell=False)
    for _ in range(150):
        shop.next_settled()
    assert os.path.getsize(shop.file_path()) == size


def test_outcomes_are_kept_while_the_store_cannot_be_used(shop: Shop) -> None:
    shop.put_gated()
    shop.host.start(1)
    shop.gate.arrived()
    shop.faults.fail(BROKEN, 10**9)
    shop.gate.open()
    eventually(lambda: shop.host.trouble is not None)
    assert "of the test" in str(shop.host.trouble)
    assert shop.settled.empty()
    shop.faults.failures = 0
    assert shop.next_settled() == (1, COMPLETED)
    eventually(lambda: shop.host.trouble is None)


# ---- the end ------------------------------------------------------------------------------------


def test_closing_leaves_no_trace(shop: Shop) -> None:
    shop.host.start(2)
    shop.put("true")
    shop.next_settled()
    assert shop.host.close(timeout=PATIENCE)
    assert shop.host.close()
    assert shop.outside.hosts() == []
    assert os.listdir(hosts_directory(shop.real.local_directory)) == []
    with pytest.raises(Refused):
        shop.host.start(1)
    with pytest.raises(Refused):
        shop.host.call(lambda _: None)


def test_closing_waits_for_what_runs_as_long_as_it_is_told_to(shop: Shop) -> None:
    shop.put_gated()
    shop.host.start(1)
    shop.gate.arrived()
    assert not shop.host.close(timeout=0.01)
    shop.gate.open()
    assert shop.next_settled() == (1, COMPLETED)
    assert shop.host.close(timeout=PATIENCE)
    assert shop.outside.hosts() == []


def test_closing_now_hands_back_what_runs(shop: Shop) -> None:
    shop.put_gated(3)
    shop.host.start(2)
    shop.gate.arrived()
    shop.gate.arrived()
    assert shop.host.close(now=True, timeout=PATIENCE)
    jobs = [shop.job(job_id) for job_id in (1, 2, 3)]
    assert {(job.state, job.attempts, job.host) for job in jobs} == {(PENDING, 0, None)}


def recover(shop: Shop) -> int:
    errors: list[Exception] = []

    def call(request: Callable[[Store], Any]) -> Any:
        return request(shop.outside)

    done = Recoverer(shop.outside, "another", call, errors.append).look()
    assert errors == []
    return done


def test_the_heart_beats_while_the_end_waits_for_the_store(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it others would take the host for stalled."""
    monkeypatch.setattr(keeper, "BEAT", 0.01)
    beats = threading.Semaphore(0)
    monkeypatch.setattr(HostFile, "beat", lambda _: beats.release())
    host = WorkerHost(shop.real)
    shop.put_gated()
    host.start(1)
    shop.gate.arrived()
    monkeypatch.setattr(pump.Pump, "_commit", Mock(side_effect=BROKEN))
    shop.gate.open()
    closing = threading.Thread(target=host.close)
    closing.start()
    eventually(lambda: host.join(0))
    for _ in range(50):
        assert beats.acquire(timeout=PATIENCE)
    monkeypatch.undo()
    closing.join()
    assert (shop.job().state, shop.job().attempts) == (COMPLETED, 1)


def test_what_cannot_be_reported_at_the_end_is_recovered_by_others(shop: Shop) -> None:
    shop.put_gated()
    shop.host.start(1)
    shop.gate.arrived()
    shop.faults.fail(BROKEN, 10**9)
    shop.gate.open()
    assert not shop.host.close(timeout=0.3)
    assert shop.job().state != COMPLETED
    assert recover(shop) == 1
    assert (shop.job().state, shop.job().attempts) == (COMPLETED, 1)
    assert shop.outside.hosts() == []


def test_a_settlement_that_cannot_be_written_is_left_to_others_too(shop: Shop) -> None:
    shop.faults.poison[1] = ValueError("of the test")
    shop.put("true")
    shop.host.start(1)
    eventually(lambda: shop.host.queue.waiting() == (0, 1))
    assert not shop.host.close(timeout=PATIENCE)
    assert recover(shop) == 1
    assert (shop.job().state, shop.job().attempts) == (COMPLETED, 1)


def test_a_host_without_room_for_its_file_says_so(shop: Shop) -> None:
    with no_file_larger_than(100), pytest.raises(StoreUnavailable, match="no host file"):
        WorkerHost(shop.outside)
    assert len(os.listdir(hosts_directory(shop.real.local_directory))) == 2


def test_a_host_that_cannot_be_registered_holds_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[HostFile] = []

    def make(path: str, start: int) -> HostFile:
        made.append(HostFile(path, start))
        return made[0]

    monkeypatch.setattr(worker, "HostFile", make)
    other, faults = faulty(SqliteStore(shop.real.path, {}))
    fail_once(faults, "register", BROKEN)
    with pytest.raises(StoreUnavailable):
        WorkerHost(other)
    with OtherHost(made[0].path) as file:
        assert file.seize()
    other.close()
