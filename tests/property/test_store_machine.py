"""Any sequence of what hosts and people do to a store leaves it as the model says."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queuectl.job import EXIT, LOST, SIGNAL, STOPPED, Claim, NewJob, Outcome, may_follow
from queuectl.store.base import Settlement, Start
from tests.property.model import Model, ModelJob
from tests.support.stores import ENGINES, assert_counters_are_right, quick_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from tests.support.stores import Engine

    T = TypeVar("T")

QUEUES = ("default", "other", "limited")
OUTCOMES = {
    "exit 0": Outcome(EXIT, 0),
    "exit 3": Outcome(EXIT, 3),
    "signal": Outcome(SIGNAL, 9),
    "lost": Outcome(LOST),
    "stopped": Outcome(STOPPED),
}
_some = st.integers(0, 1_000_000)
_queues = st.sampled_from(QUEUES)
#: queue, priority, delay in ms, held, max-retries
_asked = st.tuples(
    _queues,
    st.integers(-1, 1),
    st.sampled_from([0, 0, 0, 1, 1500]),
    st.sampled_from([False, False, False, True]),
    st.integers(0, 2),
)


class _Undo(Exception):  # noqa: N818 - a change of mind is no error
    """Undoes a rehearsal."""


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to the model, and compares."""

    engine_name: str

    @initialize(limit=st.integers(0, 3))
    def open(self, limit: int) -> None:
        self.directory = quick_directory()
        self.engine: Engine = ENGINES[self.engine_name](Path(self.directory.name))
        self.store = self.engine.open()
        self.store.create_queue("other")
        self.store.create_queue("limited", limit=limit)
        self.model = Model(self.engine.clock.now, limits={"limited": limit})
        self.claims: list[Claim] = []
        self.states: dict[int, str] = {}
        self.highest = 0
        self.rehearse = False

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()
            self.directory.cleanup()

    def write(self, change: Callable[[], T]) -> T:
        """Change the store; when a rehearsal is due, do it first and undo that."""
        if self.rehearse:
            self.rehearse = False
            with contextlib.suppress(_Undo), self.store.transaction():
                change()
                raise _Undo
        return change()

    def pick(self, number: int) -> Claim:
        """Return one of the claims there have been; most often one that is current."""
        current = [c for c in self.claims if self.model.holder(c.job_id, c.token)]
        claims = current if current and number % 4 else self.claims
        return claims[number // 4 % len(claims)]

    def job(self, number: int) -> ModelJob | None:
        """Return one of the jobs there are, or None for one that is gone or never was."""
        return self.model.jobs.get(1 + number % (self.highest + 1))

    # ---- what happens -------------------------------------------------------------------------

    @rule()
    def undo_the_next_change_once(self) -> None:
        self.rehearse = True

    @rule(milliseconds=st.sampled_from([1, 1000, 2000, 8000, 400_000]))
    def time_goes_on(self, milliseconds: int) -> None:
        self.model.now = self.engine.clock.advance(milliseconds)

    @rule(asked=st.lists(_asked, min_size=1, max_size=5))
    def add(self, asked: list[tuple[str, int, int, bool, int]]) -> None:
        now = self.model.now
        new = [
            NewJob(
                "true", queue=queue, priority=priority, policy={"max-retries": str(retries)},
                env={"N": f"{priority}{retries}"}, due_at=now + delay if delay else None,
                paused=held,
            )
            for queue, priority, delay, held, retries in asked
        ]  # fmt: skip
        ids = self.write(lambda: self.store.add(new))
        assert len(ids) == len(asked)
        assert ids == sorted(set(ids))
        assert ids[0] > self.highest
        self.highest = ids[-1]
        for job_id, (queue, priority, delay, held, retries) in zip(ids, asked, strict=True):
            self.model.jobs[job_id] = ModelJob(job_id, queue, priority, now + delay, held, retries)

    @rule(
        want=st.integers(0, 4), ahead=st.integers(0, 2),
        queues=st.sampled_from([(), (), ("default",), ("other", "limited")]),
    )  # fmt: skip
    def claim(self, want: int, ahead: int, queues: tuple[str, ...]) -> None:
        self.claimed(want, ahead, queues)

    def claimed(self, want: int, ahead: int, queues: tuple[str, ...]) -> list[Claim]:
        expected = self.model.claimable(want, ahead, queues)
        claims = self.write(lambda: self.store.claim("host", want, queues, ahead))
        assert [claim.job_id for claim in claims] == [job.id for job in expected]
        for job, claim in zip(expected, claims, strict=True):
            assert (claim.attempts, claim.run) == (job.attempts, job.runs + 1)
            assert claim.env == {"N": f"{job.priority}{job.max_retries}"}
            job.token, job.deliveries = claim.token, job.deliveries + 1
        self.claims += claims
        return claims

    @precondition(lambda self: self.claims)
    @rule(number=_some)
    def start(self, number: int) -> None:
        claim = self.pick(number)
        start = Start(claim.job_id, claim.token, claim.run, self.model.now)
        job = self.model.holder(claim.job_id, claim.token)
        assert self.write(lambda: self.store.start([start])) == [job is not None]
        if job:
            self.model.start(job)

    @precondition(lambda self: self.claims)
    @rule(number=_some, kind=st.sampled_from(sorted(OUTCOMES)))
    def settle(self, number: int, kind: str) -> None:
        claim = self.pick(number)
        settlement = Settlement(claim.job_id, claim.token, claim.run, OUTCOMES[kind])
        job = self.model.holder(claim.job_id, claim.token)
        first, again = self.write(lambda: self.store.settle([settlement, settlement]))
        if job:
            self.model.settle(job, kind)
        assert (first.state, again.state) == (job and job.state, None)

    @precondition(lambda self: self.claims)
    @rule(number=_some)
    def release(self, number: int) -> None:
        claim = self.pick(number)
        job = self.model.holder(claim.job_id, claim.token)
        released = self.write(lambda: self.store.release([(claim.job_id, claim.token)]))
        assert released == (job is not None)
        if job:
            job.give_back(self.model.now, counted=False)

    @precondition(lambda self: self.claims)
    @rule(number=_some)
    def lose(self, number: int) -> None:
        self.lost(self.pick(number))

    def lost(self, claim: Claim) -> None:
        job = self.model.holder(claim.job_id, claim.token)
        (lost,) = self.write(lambda: self.store.lose([(claim.job_id, claim.token)]))
        if job:
            self.model.lose(job)
        assert lost.state == (job and job.state)

    @rule(times=st.integers(1, 6))
    def a_job_kills_its_hosts(self, times: int) -> None:
        for _ in range(times):
            for claim in self.claimed(1, 0, ()):
                self.lost(claim)

    # ---- what people ask for ------------------------------------------------------------------

    @rule(number=_some)
    def cancel(self, number: int) -> None:
        job = self.job(number)
        (answer,) = self.write(lambda: self.store.cancel([1 + number % (self.highest + 1)]))
        assert answer.done == bool(job and self.model.cancel(job))

    @rule(number=_some)
    def retry(self, number: int) -> None:
        job = self.job(number)
        (answer,) = self.write(lambda: self.store.retry([1 + number % (self.highest + 1)]))
        assert answer.done == bool(job and self.model.retry(job))

    @rule(number=_some, held=st.booleans())
    def hold(self, number: int, held: bool) -> None:
        job = self.job(number)
        (answer,) = self.write(
            lambda: self.store.hold([1 + number % (self.highest + 1)], held=held)
        )
        can = bool(job and job.state not in ("completed", "dead", "cancelled") and job.held != held)
        assert answer.done == can
        if job and can:
            job.held = held

    @rule(number=_some)
    def remove(self, number: int) -> None:
        job = self.job(number)
        (answer,) = self.write(lambda: self.store.remove([1 + number % (self.highest + 1)]))
        assert answer.done == bool(job and not job.token)
        if job and not job.token:
            del self.model.jobs[job.id]

    @rule(most=st.integers(1, 3), age=st.sampled_from([None, 0, 1000]))
    def prune(self, most: int, age: int | None) -> None:
        before = None if age is None else self.model.now - age
        old = [
            job
            for job in self.model.jobs.values()
            if job.state in ("completed", "cancelled") and (before is None or job.finished < before)
        ]
        pruned = self.write(lambda: self.store.prune(("completed", "cancelled"), before, most))
        assert pruned == min(most, len(old))
        gone = {job.id for job in old if self.store.get(job.id) is None}
        assert len(gone) == pruned
        kept = [job.finished for job in old if job.id not in gone]
        assert all(self.model.jobs[job_id].finished <= min(kept, default=10**18) for job_id in gone)
        for job_id in gone:
            del self.model.jobs[job_id]

    @rule(queue=_queues, paused=st.sampled_from([False, False, True]))
    def pause_queue(self, queue: str, paused: bool) -> None:
        self.write(lambda: self.store.pause_queue(queue, paused=paused))
        (self.model.paused.add if paused else self.model.paused.discard)(queue)

    # ---- what must hold -----------------------------------------------------------------------

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        from queuectl.store.base import Filter

        found = {job.id: job for job in self.store.jobs(Filter())}
        assert found.keys() == self.model.jobs.keys()
        for job in self.model.jobs.values():
            stored = found[job.id]
            assert (
                stored.state, stored.attempts, stored.deliveries, stored.runs, stored.due_at,
                stored.paused, stored.token, stored.cancel_requested,
            ) == (
                job.state, job.attempts, job.deliveries, job.runs, job.due, job.held, job.token,
                job.cancel,
            )  # fmt: skip
            before = self.states.get(job.id, "pending")
            assert before == job.state or may_follow(before, stored.state)  # type: ignore[arg-type]
            self.states[job.id] = job.state

    @invariant()
    def counters_are_right(self) -> None:
        if hasattr(self, "store"):
            assert_counters_are_right(self.store)

    @invariant()
    def history_is_whole(self) -> None:
        if not hasattr(self, "store"):
            return
        for job in self.model.jobs.values():
            attempts = self.store.attempts(job.id)
            assert [attempt.run for attempt in attempts] == list(range(1, job.runs + 1))
            running = [attempt.run for attempt in attempts if attempt.finished_at is None]
            assert running == ([job.runs] if job.state == "processing" else [])


@pytest.mark.parametrize("engine_name", list(ENGINES))
def test_a_store_does_what_the_model_does(engine_name: str) -> None:
    """Claims, states, counts and history, after every step."""
    machine = type("Machine", (StoreMachine,), {"engine_name": engine_name})
    run_state_machine_as_test(machine, settings=settings())
