"""Any sequence of what hosts and people do to a store leaves it as the model says."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

from queuectl.errors import DependencyCycle
from queuectl.job import (
    EXIT,
    LOST,
    SIGNAL,
    STOPPED,
    After,
    Array,
    Claim,
    NewJob,
    Outcome,
    may_follow,
)
from queuectl.store.base import Existing, Settlement, Start
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
_kinds = st.sampled_from(["completed", "completed", "ended", "failed"])
#: some job, and when the dependency on it is met
_after = st.lists(st.tuples(_some, _kinds), max_size=2)
#: what it waits for, keep waiting, unique key
_more = st.tuples(
    st.just([]) | _after, st.booleans(), st.sampled_from([None, None, None, "u", "v"])
)
#: queue, priority, delay in ms, held, max-retries, more
_asked = st.tuples(
    _queues,
    st.integers(-1, 1),
    st.sampled_from([0, 0, 0, 1, 1500]),
    st.sampled_from([False, False, False, True]),
    st.integers(0, 2),
    _more,
)


#: deaths that pause a queue
HALT_ON = 2


class _Undo(Exception):  # noqa: N818 - a change of mind is no error
    """Undoes a rehearsal."""


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to the model, and compares."""

    engine_name: str

    @initialize(limit=st.integers(0, 3), asked=st.lists(_asked, min_size=3, max_size=6))
    def open(self, limit: int, asked: list[tuple[Any, ...]]) -> None:
        self.directory = quick_directory()
        self.engine: Engine = ENGINES[self.engine_name](Path(self.directory.name))
        self.store = self.engine.open()
        self.store.create_queue("other")
        self.store.create_queue("limited", limit=limit)
        self.store.set("halt-on", str(HALT_ON), "other")
        self.model = Model(
            self.engine.clock.now, limits={"limited": limit}, halts={"other": HALT_ON}
        )
        self.claims: list[Claim] = []
        self.states: dict[int, str] = {}
        self.highest = 0
        self.rehearse = False
        self.add(asked[:3], None)
        self.add(asked[3:], 1)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()
            self.directory.cleanup()

    def write(self, change: Callable[[], T]) -> T:
        """Change the store; when a rehearsal is due, do it first and undo that."""
        rehearse, self.rehearse = self.rehearse and self.store.groups, False
        if rehearse:
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
        return self.model.jobs.get(self.some_id(number))

    def some_id(self, number: int) -> int:
        """Return an id, most often of one of the newest jobs."""
        if number % 3:
            return max(1, self.highest - number // 3 % 6)
        return 1 + number % (self.highest + 1)

    # ---- what happens -------------------------------------------------------------------------

    @rule()
    def undo_the_next_change_once(self) -> None:
        self.rehearse = True

    @rule(milliseconds=st.sampled_from([1, 1000, 2000, 8000, 400_000]))
    def time_goes_on(self, milliseconds: int) -> None:
        self.model.now = self.engine.clock.advance(milliseconds)

    @rule(asked=st.lists(_asked, min_size=1, max_size=5))
    def add_jobs(self, asked: list[tuple[Any, ...]]) -> None:
        self.add(asked, None)

    @rule(asked=st.lists(_asked, min_size=2, max_size=5), limit=st.integers(1, 2))
    def add_an_array(self, asked: list[tuple[Any, ...]], limit: int) -> None:
        self.add(asked, limit)

    def add(self, asked: list[tuple[Any, ...]], limit: int | None) -> None:
        """Add jobs; with a limit all of them are one array."""
        now, model = self.model.now, self.model
        new: list[NewJob] = []
        expected: list[tuple[int, ModelJob | None]] = []
        arrays: dict[str, int] = {}
        keys: dict[str, int] = {}
        next_id = self.highest + 1
        for queue, priority, delay, held, retries, (after, keep, unique) in asked:
            waits = {on: kind for number, kind in after if (on := self.known(number))}
            policy = {"max-retries": str(retries), **({"unmet": "keep"} if keep else {})}
            new.append(
                NewJob(
                    "true", queue=queue, priority=priority, policy=policy,
                    env={"N": f"{priority}{retries}"}, due_at=now + delay if delay else None,
                    paused=held, after=tuple(After(on, kind) for on, kind in waits.items()),
                    unique=unique, array=Array("a", 0, limit) if limit else None,
                )
            )  # fmt: skip
            there = model.open_of(unique)
            if there or unique in keys:
                expected.append((there.id if there else keys[unique], None))
                continue
            job = ModelJob(next_id, queue, priority, now + delay, held, retries, keep=keep)
            job.after = {on: (kind, False) for on, kind in waits.items()}
            job.unique = unique
            if limit:
                job.array = (arrays.setdefault("a", next_id), limit)
            if unique:
                keys[unique] = next_id
            expected.append((next_id, job))
            next_id += 1
        ids = self.write(lambda: self.store.add(new))
        # where ids are not without gaps the model learns them: here they are only ascending
        self.learn(ids, expected)
        model.decide()

    def learn(self, ids: list[int], expected: list[tuple[int, ModelJob | None]]) -> None:
        """Take over the new jobs under the ids that the store gave them."""
        fresh = [job_id for job_id in ids if not isinstance(job_id, Existing)]
        real = dict(zip((number for number, job in expected if job), fresh, strict=True))
        assert ids == [real.get(number, number) for number, _ in expected]
        assert fresh == sorted(set(fresh))
        assert not fresh or fresh[0] > self.highest
        self.highest = max([self.highest, *fresh])
        for number, job in expected:
            if job:
                job.id = real[number]
                if job.array:
                    job.array = (real[job.array[0]], job.array[1])
                self.model.jobs[job.id] = job

    def known(self, number: int) -> int | None:
        """Return the id of one of the jobs there are; None: there is none."""
        ids = sorted(self.model.jobs)
        # mostly one of the newest
        return ids[-1 - number % min(len(ids), 3 + number % 5)] if ids else None

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

    @rule(want=st.integers(1, 4), kind=st.sampled_from(sorted(OUTCOMES)))
    def some_jobs_are_run(self, want: int, kind: str) -> None:
        for claim in self.claimed(want, 0, ()):
            self.settled(claim, kind)

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
        self.settled(self.pick(number), kind)

    def settled(self, claim: Claim, kind: str) -> None:
        settlement = Settlement(claim.job_id, claim.token, claim.run, OUTCOMES[kind])
        job = self.model.holder(claim.job_id, claim.token)
        first, again = self.write(lambda: self.store.settle([settlement, settlement]))
        if job:
            self.model.settle(job, kind)
            self.model.decide()
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
            self.model.decide()

    @precondition(lambda self: self.claims)
    @rule(number=_some)
    def lose(self, number: int) -> None:
        self.lost(self.pick(number))

    def lost(self, claim: Claim) -> None:
        job = self.model.holder(claim.job_id, claim.token)
        (lost,) = self.write(lambda: self.store.lose([(claim.job_id, claim.token)]))
        if job:
            self.model.lose(job)
            self.model.decide()
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
        (answer,) = self.write(lambda: self.store.cancel([self.some_id(number)]))
        assert answer.done == bool(job and self.model.cancel(job))
        self.model.decide()

    @rule(number=_some)
    def retry(self, number: int) -> None:
        job = self.job(number)
        (answer,) = self.write(lambda: self.store.retry([self.some_id(number)]))
        assert answer.done == bool(job and self.model.retry(job))

    @rule(number=_some, held=st.booleans())
    def hold(self, number: int, held: bool) -> None:
        job = self.job(number)
        (answer,) = self.write(lambda: self.store.hold([self.some_id(number)], held=held))
        can = bool(job and job.state not in ("completed", "dead", "cancelled") and job.held != held)
        assert answer.done == can
        if job and can:
            job.held = held

    @rule(number=_some)
    def remove(self, number: int) -> None:
        job = self.job(number)
        (answer,) = self.write(lambda: self.store.remove([self.some_id(number)]))
        assert answer.done == bool(job and not job.token)
        if job and not job.token:
            del self.model.jobs[job.id]
            self.model.decide()

    @rule(number=_some, queue=_queues)
    def move_to_another_queue(self, number: int, queue: str) -> None:
        job = self.job(number)
        if job:
            answer = self.write(lambda: self.store.edit(job.id, {"queue": queue}))
            assert answer.done == (job.token is None)
            job.queue = queue if answer.done else job.queue

    @rule(number=_some, after=_after)
    def wait_for_something_else(self, number: int, after: list[tuple[int, str]]) -> None:
        job = self.job(number)
        if not job:
            return
        waits = {on: kind for other, kind in after if (on := self.known(other))}
        wanted = tuple(After(on, kind) for on, kind in waits.items())
        if not job.token and any(self.model.waits_for(on, job.id) for on in waits):
            with pytest.raises(DependencyCycle):
                self.store.edit(job.id, {"after": wanted})
            return
        answer = self.write(lambda: self.store.edit(job.id, {"after": wanted}))
        assert answer.done == (job.token is None)
        if answer.done:
            job.after = {on: (kind, False) for on, kind in waits.items()}
            self.model.decide()

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
        self.model.pause(queue, paused=paused)

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
                stored.paused, stored.token, stored.cancel_requested, stored.queue, stored.unmet,
                stored.array_id, stored.array_limit,
            ) == (
                job.state, job.attempts, job.deliveries, job.runs, job.due, job.held, job.token,
                job.cancel, job.queue, job.unmet, *(job.array or (None, None)),
            )  # fmt: skip
            waits = {one.on: (one.when, one.met) for one in self.store.dependencies(job.id)}
            assert waits == job.after
            before = self.states.get(job.id, "pending")
            assert before == job.state or may_follow(before, stored.state)  # type: ignore[arg-type]
            self.states[job.id] = job.state

    @invariant()
    def queues_are_as_the_model_says(self) -> None:
        if hasattr(self, "store"):
            found = [(one.name, one.paused, one.deaths) for one in self.store.queues()]
            model = self.model
            assert found == [(name, name in model.paused, model.deaths[name]) for name, *_ in found]

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
    # over HTTP each call is a request, and beneath is a store that has been through all of it
    most = settings().max_examples // (6 if engine_name == "remote" else 1)
    run_state_machine_as_test(machine, settings=settings(max_examples=most))
