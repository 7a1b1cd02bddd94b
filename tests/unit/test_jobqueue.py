"""The trays of a host: what a worker takes and reports, and what goes to the store when."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.errors import Refused
from queuectl.host import jobqueue
from queuectl.host.jobqueue import AHEAD, ASIDE, MOST_AHEAD, PACE, STALE, JobQueue
from queuectl.host.trays import Batch
from queuectl.job import EXIT, STOPPED, Claim, Outcome
from queuectl.resources import parse_resources
from queuectl.store.base import Room, Settlement, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: seconds until a test gives up on something that should come at once
PATIENCE = 10
ALL: tuple[str, ...] = ()
GPU = ("gpu",)
DONE = Outcome(EXIT, 0, "", 1, 2)
#: far beyond anything the queue waits for by itself
FAR = 1e9


def a_claim(job_id: int, **needs: int) -> Claim:
    token = f"token-{job_id}"
    claim = Claim(job_id, token, 1, "default", 0, "true", None, True, "/", {}, {}, None, 0, 3, 0, 0)
    return claim._replace(needs=needs)


def pair(job_id: int) -> tuple[int, str]:
    return job_id, f"token-{job_id}"


class Seconds:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    seconds = Seconds()
    monkeypatch.setattr(jobqueue, "time", SimpleNamespace(monotonic=seconds))
    return seconds


class Pumped:
    """A JobQueue and the pump's side of it; its workers are threads that only take."""

    def __init__(self) -> None:
        self.queue = JobQueue()
        self.bell = threading.Event()
        self.left: set[int] = set()
        self._threads: list[threading.Thread] = []

    def worker(self, queues: tuple[str, ...] = ALL, number: int = 0) -> Future[Claim | None]:
        """Start a worker that takes once; return what comes of it, once it waits."""
        taken: Future[Claim | None] = Future()
        self.queue.join_workers(queues, 1)
        idle = self._idle(queues)

        def work() -> None:
            taken.set_result(self.queue.take(queues, lambda: number in self.left))

        thread = threading.Thread(target=work)
        self._threads.append(thread)
        self.sleep()
        thread.start()
        while self._idle(queues) == idle and not taken.done():
            self.bell.wait(0.001)
        return taken

    def _idle(self, queues: tuple[str, ...]) -> int:
        with self.queue._lock:
            return self.queue._kinds[queues].idle

    def take(self, queues: tuple[str, ...] = ALL) -> Claim | None:
        """Take what is there; None if nothing is."""
        return self.queue.take(queues, lambda: not self.queue._kinds[queues].tray)

    def sleep(self) -> float:
        """Go to sleep for as long as need be; return how long that is."""
        self.bell.clear()
        return self.queue.prepare_sleep(self.bell.set, FAR)

    def turn(self, *found: list[Claim]) -> Batch:
        """Exchange the trays with a store that has these claims for the kinds that want some."""
        batch = self.queue.collect()
        claims = [*found, *([] for _ in batch.wants)][: len(batch.wants)]
        self.queue.exchanged(batch, claims)
        return batch

    def end(self) -> None:
        for number in range(100):
            self.left.add(number)
        self.queue.stir()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def pumped(clock: Seconds) -> Iterator[Pumped]:
    pumped = Pumped()
    yield pumped
    pumped.end()


def learn(pumped: Pumped, seconds: float, queues: tuple[str, ...] = ALL) -> None:
    """Report so many jobs that the queue believes this to be the usual length."""
    for job_id in range(1000, 1060):
        pumped.queue.report(a_claim(job_id), DONE, queues, seconds)
    pumped.turn()
    pumped.queue.changed()


# ---- taking -------------------------------------------------------------------------------------


def test_an_idle_worker_wakes_the_pump_and_gets_what_it_claims(pumped: Pumped) -> None:
    taken = pumped.worker()
    assert pumped.bell.is_set()
    assert pumped.sleep() <= 0
    batch = pumped.turn([a_claim(1)])
    assert batch.wants == [(ALL, 1, 0)]
    assert taken.result(PATIENCE) == a_claim(1)


def test_claims_are_taken_in_the_order_they_came(pumped: Pumped) -> None:
    pumped.queue.join_workers(ALL, 1)
    learn(pumped, 0.001)
    pumped.turn([a_claim(3), a_claim(1), a_claim(2)])
    taken = [pumped.take() for _ in range(3)]
    assert taken == [a_claim(3), a_claim(1), a_claim(2)]


def test_every_kind_of_worker_gets_its_own(pumped: Pumped) -> None:
    plain, gpu = pumped.worker(ALL), pumped.worker(GPU, 1)
    batch = pumped.turn([a_claim(1)], [a_claim(2)])
    assert batch.wants == [(ALL, 1, 0), (GPU, 1, 0)]
    assert plain.result(PATIENCE) == a_claim(1)
    assert gpu.result(PATIENCE) == a_claim(2)


def test_without_work_the_pump_sleeps_until_something_changes(pumped: Pumped) -> None:
    pumped.worker()
    pumped.turn([])
    assert pumped.queue.is_dry()
    assert pumped.sleep() > 1e8
    pumped.queue.changed()
    assert not pumped.queue.is_dry()
    assert pumped.sleep() <= 0
    assert pumped.queue.collect().wants == [(ALL, 1, 0)]


def test_a_commit_of_our_own_makes_claims_worth_a_try_again(pumped: Pumped) -> None:
    pumped.worker()
    pumped.turn([])
    pumped.queue.post(lambda _: None)
    assert pumped.turn().wants == []
    assert pumped.turn().wants == [(ALL, 1, 0)]


def test_a_worker_that_is_told_to_leave_leaves_claims_to_others(pumped: Pumped) -> None:
    leaving, staying = pumped.worker(ALL, 5), pumped.worker(ALL, 6)
    pumped.left.add(5)
    pumped.turn([a_claim(1)])
    pumped.queue.stir()
    assert leaving.result(PATIENCE) is None
    assert staying.result(PATIENCE) == a_claim(1)


def test_nothing_is_wanted_for_workers_that_are_leaving(pumped: Pumped) -> None:
    pumped.worker()
    pumped.queue.join_workers(ALL, -1)
    assert pumped.sleep() > 1e8
    assert pumped.queue.collect().wants == []


# ---- reporting ----------------------------------------------------------------------------------


def test_an_outcome_waits_for_the_pace_while_workers_are_busy(
    pumped: Pumped, clock: Seconds
) -> None:
    pumped.queue.join_workers(ALL, 1)
    pumped.turn()
    pumped.queue.report(a_claim(1), DONE, ALL, 1.0)
    assert 0 < pumped.sleep() <= PACE
    clock.now += PACE
    assert pumped.sleep() <= 0
    assert pumped.turn().settlements == [Settlement(1, "token-1", 1, DONE)]


def test_an_outcome_goes_at_once_while_a_worker_is_idle(pumped: Pumped) -> None:
    pumped.worker()
    pumped.turn([])
    pumped.sleep()
    pumped.queue.report(a_claim(1), DONE, ALL, 1.0)
    assert pumped.bell.is_set()
    assert pumped.sleep() <= 0


def test_the_pump_is_not_woken_for_what_can_wait(pumped: Pumped) -> None:
    pumped.queue.join_workers(ALL, 1)
    pumped.turn()
    pumped.queue.report(a_claim(1), DONE, ALL, 1.0)
    pumped.sleep()
    pumped.queue.report(a_claim(2), DONE, ALL, 1.0)
    pumped.queue.started(a_claim(3), 1)
    assert not pumped.bell.is_set()


def test_a_start_is_reported_once_the_job_has_run_for_a_pace(
    pumped: Pumped, clock: Seconds
) -> None:
    pumped.queue.join_workers(ALL, 1)
    pumped.queue.started(a_claim(1), 77)
    assert pumped.turn().starts == []
    assert 0 < pumped.sleep() <= PACE
    clock.now += PACE * 1.01
    assert pumped.sleep() <= 0
    assert pumped.turn().starts == [Start(1, "token-1", 1, 77)]
    assert pumped.turn().starts == []


def test_the_start_of_a_short_job_is_never_reported(pumped: Pumped, clock: Seconds) -> None:
    pumped.queue.join_workers(ALL, 1)
    pumped.queue.started(a_claim(1), 77)
    pumped.queue.report(a_claim(1), DONE, ALL, 0.001)
    clock.now += 1
    batch = pumped.turn()
    assert batch.starts == []
    assert len(batch.settlements) == 1


# ---- claiming ahead -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "seconds", "ahead"),
    [
        (2, 0.001, int(2 * AHEAD / 0.001)),
        (1, 0.001, int(AHEAD / 0.001)),
        (2, 0.1, 0),
        (2, 3600.0, 0),
        (64, 1e-5, MOST_AHEAD),
    ],
)
def test_as_much_is_claimed_ahead_as_will_be_started_soon(
    pumped: Pumped, workers: int, seconds: float, ahead: int
) -> None:
    pumped.queue.join_workers(ALL, workers)
    learn(pumped, seconds)
    wants = pumped.queue.collect().wants
    assert sum(want[1] for want in wants) == 0
    assert sum(want[2] for want in wants) == pytest.approx(ahead, abs=1)


def test_what_is_in_the_tray_already_is_not_claimed_again(pumped: Pumped) -> None:
    pumped.queue.join_workers(ALL, 2)
    learn(pumped, 0.001)
    first = pumped.turn([a_claim(n) for n in range(50)]).wants[0][2]
    pumped.queue.changed()
    assert pumped.queue.collect().wants[0][2] == first - 50


def test_nothing_is_known_of_how_long_jobs_take_from_those_that_did_not_start(
    pumped: Pumped,
) -> None:
    pumped.queue.join_workers(ALL, 2)
    for job_id in range(60):
        pumped.queue.report(a_claim(job_id), Outcome(STOPPED), ALL, 0.0001)
    assert pumped.queue.collect().wants == []


# ---- giving back --------------------------------------------------------------------------------


def test_claims_that_no_worker_gets_to_are_given_back(pumped: Pumped, clock: Seconds) -> None:
    pumped.queue.join_workers(ALL, 2)
    learn(pumped, 0.001)
    pumped.turn([a_claim(1), a_claim(2)])
    clock.now += STALE * 0.9
    assert pumped.turn().returns == []
    clock.now += STALE * 0.2
    assert pumped.sleep() <= 0
    assert pumped.turn().returns == [pair(1), pair(2)]
    assert pumped.queue.waiting() == (0, 0)


def test_a_take_keeps_the_others_a_little_longer(pumped: Pumped, clock: Seconds) -> None:
    pumped.queue.join_workers(ALL, 2)
    learn(pumped, 0.001)
    pumped.turn([a_claim(1), a_claim(2)])
    clock.now += STALE * 0.9
    assert pumped.take() == a_claim(1)
    clock.now += STALE * 0.9
    assert pumped.turn().returns == []


def test_commits_for_others_do_not_keep_claims_from_going_back(
    pumped: Pumped, clock: Seconds
) -> None:
    pumped.queue.join_workers(ALL, 2)
    learn(pumped, 0.001)
    pumped.turn([a_claim(1)])
    returns = []
    for _ in range(10):
        clock.now += PACE
        pumped.queue.post(lambda _: None)
        returns += pumped.turn().returns
    assert returns == [pair(1)]


@pytest.mark.parametrize("workers", [1, 4, 64])
def test_what_went_back_is_not_claimed_ahead_again_at_once(
    pumped: Pumped, clock: Seconds, workers: int
) -> None:
    pumped.queue.join_workers(ALL, workers)
    learn(pumped, 0.001)
    pumped.turn([a_claim(1)])
    clock.now += STALE
    batch = pumped.turn()
    assert batch.returns == [pair(1)]
    assert batch.wants == []


def test_the_last_worker_to_leave_gives_the_tray_back(pumped: Pumped) -> None:
    pumped.queue.join_workers(ALL, 2)
    learn(pumped, 0.001)
    pumped.turn([a_claim(1)])
    pumped.queue.join_workers(ALL, -1)
    assert pumped.turn().returns == []
    pumped.sleep()
    pumped.queue.join_workers(ALL, -1)
    assert pumped.bell.is_set()
    batch = pumped.turn()
    assert (batch.returns, batch.wants) == ([pair(1)], [])


def test_claims_for_a_kind_whose_workers_have_gone_go_back(pumped: Pumped) -> None:
    pumped.queue.join_workers(GPU, 1)
    learn(pumped, 0.001, GPU)
    batch = pumped.queue.collect()
    pumped.queue.join_workers(GPU, -1)
    pumped.queue.exchanged(batch, [[a_claim(1)]])
    assert pumped.sleep() <= 0
    assert pumped.turn().returns == [pair(1)]


def test_a_worker_that_starts_after_all_have_stopped_gets_work(pumped: Pumped) -> None:
    pumped.queue.join_workers(ALL, 1)
    pumped.queue.join_workers(ALL, -1)
    taken = pumped.worker()
    pumped.turn([a_claim(1)])
    assert taken.result(PATIENCE) == a_claim(1)


def test_everything_can_be_handed_back_at_once(pumped: Pumped) -> None:
    for queues in (ALL, GPU):
        pumped.queue.join_workers(queues, 1)
        learn(pumped, 0.001, queues)
    pumped.turn([a_claim(1)], [a_claim(2)])
    pumped.queue.hand_back()
    assert sorted(pumped.turn().returns) == [pair(1), pair(2)]


# ---- what could not be committed ----------------------------------------------------------------


def test_nothing_is_lost_when_a_batch_fails(pumped: Pumped, clock: Seconds) -> None:
    pumped.queue.join_workers(ALL, 1)
    learn(pumped, 0.001)
    pumped.turn([a_claim(8)])
    for job_id in (1, 2):
        pumped.queue.report(a_claim(job_id), DONE, ALL, 1.0)
    pumped.queue.started(a_claim(9), 5)
    clock.now += 1
    for _ in range(3):
        batch = pumped.queue.collect()
        pumped.queue.put_back(batch)
        clock.now += 1
    pumped.queue.report(a_claim(3), DONE, ALL, 1.0)
    batch = pumped.turn()
    assert [settlement.job_id for settlement in batch.settlements] == [1, 2, 3]
    assert [start.job_id for start in batch.starts] == [9]
    assert batch.returns == [pair(8)]
    assert pumped.queue.all_done() is False


def test_a_settlement_set_aside_is_tried_again_later(pumped: Pumped, clock: Seconds) -> None:
    settlement = Settlement(1, "token-1", 1, DONE)
    pumped.queue.set_aside(settlement)
    assert pumped.queue.waiting() == (0, 1)
    assert pumped.turn().settlements == []
    assert pumped.sleep() == pytest.approx(ASIDE)
    clock.now += ASIDE
    assert pumped.turn().settlements == [settlement]
    assert pumped.queue.waiting() == (0, 0)


# ---- requests -----------------------------------------------------------------------------------


def test_a_call_returns_what_its_request_came_to(pumped: Pumped) -> None:
    answer: Future[str] = Future()
    thread = threading.Thread(target=lambda: answer.set_result(pumped.queue.call(lambda _: "done")))
    pumped.sleep()
    thread.start()
    assert pumped.bell.wait(PATIENCE)
    ((request, future),) = pumped.turn().requests
    future.set_result(request(SimpleNamespace()))  # type: ignore[arg-type]
    assert answer.result(PATIENCE) == "done"
    thread.join()


def test_a_closed_queue_refuses_requests_and_fails_those_that_wait(pumped: Pumped) -> None:
    waiting = pumped.queue.post(lambda _: None)
    cancelled = pumped.queue.post(lambda _: None)
    cancelled.cancel()
    pumped.queue.closed()
    with pytest.raises(Refused, match="has ended"):
        waiting.result(0)
    with pytest.raises(Refused, match="has ended"):
        pumped.queue.post(lambda _: None)


# ---- the end ------------------------------------------------------------------------------------


def keep_an_outcome(queue: JobQueue) -> None:
    queue.report(a_claim(1), DONE, ALL, 1.0)


def keep_a_request(queue: JobQueue) -> None:
    queue.post(lambda _: None)


def keep_a_return(queue: JobQueue) -> None:
    queue.put_back(Batch([], [], [], [], [pair(1)]))


def keep_a_claim(queue: JobQueue) -> None:
    queue.exchanged(Batch([], [], [], [(ALL, 1, 0)], []), [[a_claim(1)]])


@pytest.mark.parametrize("keep", [keep_an_outcome, keep_a_request, keep_a_return, keep_a_claim])
def test_closing_waits_for_what_is_left_to_exchange(
    pumped: Pumped, keep: Callable[[JobQueue], Any]
) -> None:
    pumped.queue.join_workers(ALL, 1)
    assert not pumped.queue.all_done()
    keep(pumped.queue)
    pumped.queue.close()
    assert not pumped.queue.all_done()
    assert pumped.sleep() <= 0
    batch = pumped.turn()
    assert any(batch)
    assert batch.wants == []
    assert pumped.queue.all_done()


def test_closing_does_not_wait_for_what_cannot_be_written(pumped: Pumped) -> None:
    pumped.queue.set_aside(Settlement(1, "token-1", 1, DONE))
    pumped.queue.close()
    assert pumped.queue.all_done()
    assert pumped.queue.waiting() == (0, 1)


def test_an_abandoned_queue_is_done_with(pumped: Pumped) -> None:
    keep_a_request(pumped.queue)
    pumped.queue.abandon()
    assert pumped.queue.all_done()


def test_no_claim_is_started_while_the_queue_closes(pumped: Pumped) -> None:
    taken = pumped.worker()
    pumped.queue.close()
    keep_a_claim(pumped.queue)
    assert pumped.turn().returns == [pair(1)]
    assert not taken.done()


def test_the_bell_rings_once_and_only_for_a_sleeping_pump(pumped: Pumped) -> None:
    rings = []
    assert pumped.queue.prepare_sleep(lambda: rings.append(1), FAR) > 0
    keep_a_request(pumped.queue)
    keep_a_request(pumped.queue)
    assert rings == [1]
    pumped.turn()
    assert pumped.queue.prepare_sleep(lambda: rings.append(2), FAR) > 0
    pumped.queue.end_sleep()
    keep_a_request(pumped.queue)
    assert rings == [1]


# ---- slots --------------------------------------------------------------------------------------


def test_a_job_of_two_slots_keeps_a_second_worker_from_taking(pumped: Pumped) -> None:
    workers = [pumped.worker(ALL, number) for number in range(3)]
    batch = pumped.turn([a_claim(1, slots=2)])
    assert batch.wants == [(ALL, 3, 0)]
    assert batch.rooms == [Room({}, {}, 3, {})]
    (taken,) = until_taken(workers, 1)
    assert taken.job_id == 1
    # one of three is left to be wanted for
    pumped.queue.changed()
    assert pumped.turn([a_claim(2)]).wants == [(ALL, 1, 0)]
    assert {claim.job_id for claim in until_taken(workers, 2)} == {1, 2}
    pumped.queue.changed()
    assert pumped.turn().wants == []


def test_its_slots_are_free_again_when_it_is_reported(pumped: Pumped) -> None:
    workers = [pumped.worker(ALL, number) for number in range(2)]
    pumped.turn([a_claim(1, slots=2)])
    (claim,) = until_taken(workers, 1)
    pumped.queue.changed()
    assert pumped.turn().wants == []
    pumped.queue.report(claim, DONE, ALL, 1.0)
    # with the settlement, not in another commit after it
    batch = pumped.turn([a_claim(2)])
    assert len(batch.settlements) == 1
    assert batch.wants == [(ALL, 1, 0)]
    assert {claim.job_id for claim in until_taken(workers, 2)} == {1, 2}


def test_a_job_of_two_slots_waits_until_two_workers_do(pumped: Pumped) -> None:
    """A claim may come when a worker has just been told to leave."""
    first = pumped.worker(ALL, 1)
    pumped.turn([a_claim(1, slots=2)])
    assert not first.done()
    second = pumped.worker(ALL, 2)
    pumped.queue.stir()
    assert [claim.job_id for claim in until_taken([first, second], 1)] == [1]


def test_a_job_that_never_gets_its_slots_goes_back(pumped: Pumped, clock: Seconds) -> None:
    waiting = pumped.worker()
    pumped.turn([a_claim(1, slots=2)])
    clock.now += STALE
    assert pumped.turn().returns == [pair(1)]
    pumped.queue.changed()
    pumped.turn([a_claim(2)])
    assert waiting.result(PATIENCE) == a_claim(2)


def test_jobs_behind_one_of_two_slots_are_not_taken_before_it(pumped: Pumped) -> None:
    waiting = pumped.worker()
    pumped.turn([a_claim(1, slots=2), a_claim(2)])
    assert not waiting.done()


def test_a_worker_may_leave_while_a_job_holds_its_slot(pumped: Pumped) -> None:
    workers = [pumped.worker(ALL, number) for number in range(2)]
    pumped.turn([a_claim(1, slots=2)])
    (claim,) = until_taken(workers, 1)
    blocked = next(number for number, worker in enumerate(workers) if not worker.done())
    pumped.queue.join_workers(ALL, -1)
    pumped.left.add(blocked)
    pumped.queue.stir()
    assert workers[blocked].result(PATIENCE) is None
    fresh = pumped.worker(ALL, 7)
    pumped.queue.changed()
    # of two workers both are busy with that job, whoever they are
    assert pumped.turn().wants == []
    pumped.queue.report(claim, DONE, ALL, 1.0)
    pumped.turn([a_claim(2)])
    assert fresh.result(PATIENCE) == a_claim(2)


def test_more_workers_make_larger_jobs_worth_a_try(pumped: Pumped) -> None:
    pumped.worker(ALL, 1)
    pumped.turn([])
    assert pumped.turn().wants == []
    pumped.worker(ALL, 2)
    assert pumped.turn().rooms == [Room({}, {}, 2, {})]


def until_taken(workers: list[Future[Claim | None]], number: int) -> list[Claim]:
    """Return what so many of the workers have taken; wait for it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        taken = [claim for worker in workers if worker.done() and (claim := worker.result())]
        if len(taken) >= number:
            assert len(taken) == number
            return taken
        assert time.monotonic() < deadline
        time.sleep(0.001)


# ---- resources ----------------------------------------------------------------------------------


def test_what_is_promised_is_not_free_for_the_next_claim(pumped: Pumped) -> None:
    pumped.queue.add_resources(parse_resources(["gpu=2,mem=1K"]))
    pumped.queue.join_workers(ALL, 3)
    first = pumped.worker()
    batch = pumped.turn([a_claim(1, gpu=1)])
    until_taken([first], 1)
    assert batch.rooms == [Room({"gpu": 2, "mem": 1024}, {"gpu": 2, "mem": 1024}, 4, {})]
    pumped.worker(ALL, 2)
    pumped.queue.changed()
    assert pumped.turn().rooms[0].free == {"gpu": 1, "mem": 1024}
    assert pumped.queue.resources() == ({"gpu": 1, "mem": 1024}, {"gpu": 2, "mem": 1024})


def test_every_job_is_told_what_it_got(pumped: Pumped) -> None:
    pumped.queue.add_resources(parse_resources(["gpu=2"]))
    workers = [pumped.worker(ALL, number) for number in range(2)]
    pumped.turn([a_claim(1, gpu=1), a_claim(2, gpu=1)])
    taken = until_taken(workers, 2)
    assert sorted(pumped.queue.share(claim)["gpu"] for claim in taken) == [(0,), (1,)]
    assert pumped.queue.share(a_claim(3)) == {}


def test_what_a_job_got_is_free_when_it_is_reported(pumped: Pumped) -> None:
    pumped.queue.add_resources(parse_resources(["gpu=1"]))
    first = pumped.worker(ALL, 1)
    second = pumped.worker(ALL, 2)
    pumped.turn([a_claim(1, gpu=1)])
    (claim,) = until_taken([first, second], 1)
    assert pumped.queue.is_dry()
    pumped.queue.report(claim, DONE, ALL, 1.0)
    batch = pumped.turn([a_claim(2, gpu=1)])
    assert batch.wants == [(ALL, 1, 0)]
    assert batch.rooms[0].free == {"gpu": 1}
    assert len(until_taken([first, second], 2)) == 2
    assert pumped.queue.share(a_claim(2)) == {"gpu": (0,)}


def test_what_is_handed_back_is_free(pumped: Pumped, clock: Seconds) -> None:
    pumped.queue.add_resources(parse_resources(["gpu=1"]))
    pumped.worker()
    pumped.turn([a_claim(1, gpu=1, slots=2)])
    assert pumped.queue.resources()[0] == {"gpu": 0}
    clock.now += STALE
    pumped.queue.changed()
    batch = pumped.turn()
    assert batch.returns == [pair(1)]
    assert batch.rooms[0].free == {"gpu": 1}


def test_new_resources_make_claims_worth_a_try_again(pumped: Pumped) -> None:
    pumped.worker()
    pumped.turn([])
    assert pumped.sleep() > 1e8
    pumped.queue.add_resources(parse_resources(["gpu=1"]))
    assert pumped.bell.is_set()
    assert pumped.turn().rooms[0].total == {"gpu": 1}


def test_a_batch_that_failed_promised_nothing(pumped: Pumped) -> None:
    pumped.queue.add_resources(parse_resources(["gpu=1"]))
    pumped.worker()
    batch = pumped.queue.collect()
    pumped.queue.put_back(batch)
    assert pumped.queue.resources()[0] == {"gpu": 1}
