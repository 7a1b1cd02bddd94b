"""What every part of the machine stands on: a store and the model, jobs, and what must hold."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from queuectl.job import After, Array, Claim, NewJob, may_follow
from queuectl.store.base import Existing, Filter, Rate
from tests.property.model import Model, ModelJob, ModelQueue
from tests.support.stores import ENGINES, assert_counters_are_right, quick_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from tests.support.stores import Engine

    T = TypeVar("T")

QUEUES = ("default", "other", "limited", "rated")
some = st.integers(0, 1_000_000)
names_of_queues = st.sampled_from(QUEUES)
rates = st.sampled_from([None, (1, 1000), (3, 4000)])
unique_keys = st.sampled_from([None, None, None, "u", "v"])
_kinds = st.sampled_from(["completed", "completed", "ended", "failed"])
#: some job, and when the dependency on it is met
dependencies = st.lists(st.tuples(some, _kinds), max_size=2)
needs_of_jobs = st.sampled_from([
    {}, {}, {}, {"gpu": 1}, {"gpu": 2}, {"slots": 2}, {"slots": 2, "gpu": 1}, {"mem": 1, "gpu": 2},
])  # fmt: skip
#: what it waits for, keep waiting, unique key, needs
_more = st.tuples(
    st.just([]) | dependencies, st.booleans(), unique_keys, st.just({}) | needs_of_jobs
)
#: queue, priority, delay in ms, held, max-retries, more
asked_for = st.tuples(
    names_of_queues,
    st.integers(-1, 1),
    st.sampled_from([0, 0, 0, 1, 1500]),
    st.sampled_from([False, False, False, True]),
    st.integers(0, 2),
    _more,
)
#: deaths that pause a queue
_HALT_ON = 2


class _Undo(Exception):  # noqa: N818 - a change of mind is no error
    """Undoes a rehearsal."""


class Machine(RuleBasedStateMachine):
    """Does the same to a store and to the model, and compares. The parts say what is done."""

    engine_name: str

    @initialize(
        limit=st.integers(0, 3), rate=rates, asked=st.lists(asked_for, min_size=3, max_size=6)
    )
    def open(self, limit: int, rate: tuple[int, int] | None, asked: list[tuple[Any, ...]]) -> None:
        self.directory = quick_directory()
        self.engine: Engine = ENGINES[self.engine_name](Path(self.directory.name))
        self.store = self.engine.open()
        self.store.create_queue("other")
        self.store.create_queue("limited", limit=limit)
        self.store.create_queue("rated", rate=Rate(*rate) if rate else None)
        self.store.set("halt-on", str(_HALT_ON), "other")
        self.model = Model(self.engine.clock.now)
        self.model.queues = {
            "default": ModelQueue(), "hooks": ModelQueue(), "other": ModelQueue(halt_on=_HALT_ON),
            "limited": ModelQueue(limit=limit), "rated": ModelQueue(rate=rate),
        }  # fmt: skip
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

    def known(self, number: int) -> int | None:
        """Return the id of one of the jobs there are; None: there is none."""
        ids = sorted(self.model.jobs)
        # mostly one of the newest
        return ids[-1 - number % min(len(ids), 3 + number % 5)] if ids else None

    # ---- what happens anyway ------------------------------------------------------------------

    @rule()
    def undo_the_next_change_once(self) -> None:
        self.rehearse = True

    @rule(milliseconds=st.sampled_from([1, 1000, 2000, 8000, 400_000]))
    def time_goes_on(self, milliseconds: int) -> None:
        self.model.now = self.engine.clock.advance(milliseconds)

    @rule()
    def sleep_until_something_is_due(self) -> None:
        """Who waits for what the store says never waits too long."""
        due, expected = self.store.next_due(), self.model.next_due()
        if expected is not None:
            assert due is not None
            assert due <= expected
            self.time_goes_on(expected - self.model.now)

    @rule(asked=st.lists(asked_for, min_size=1, max_size=5))
    def add_jobs(self, asked: list[tuple[Any, ...]]) -> None:
        self.add(asked, None)

    @rule(asked=st.lists(asked_for, min_size=2, max_size=5), limit=st.integers(1, 2))
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
        for queue, priority, delay, held, retries, (after, keep, unique, needs) in asked:
            waits = {on: kind for number, kind in after if (on := self.known(number))}
            policy = {"max-retries": str(retries), **({"unmet": "keep"} if keep else {})}
            new.append(
                NewJob(
                    "true", queue=queue, priority=priority, policy=policy,
                    env={"N": f"{priority}{retries}"}, due_at=now + delay if delay else None,
                    paused=held, after=tuple(After(on, kind) for on, kind in waits.items()),
                    unique=unique, needs=needs, array=Array("a", 0, limit) if limit else None,
                )
            )  # fmt: skip
            there = model.open_of(unique)
            if there or unique in keys:
                expected.append((there.id if there else keys[unique], None))
                continue
            job = ModelJob(
                next_id, queue, priority, now + delay, held, retries, keep=keep, needs=needs
            )
            job.env = f"{priority}{retries}"
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

    # ---- what must hold -----------------------------------------------------------------------

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        found = {job.id: job for job in self.store.jobs(Filter())}
        assert found.keys() == self.model.jobs.keys()
        for job in self.model.jobs.values():
            stored = found[job.id]
            assert (
                stored.state, stored.attempts, stored.deliveries, stored.runs, stored.due_at,
                stored.paused, stored.token, stored.cancel_requested, stored.queue, stored.unmet,
                stored.array_id, stored.array_limit, stored.priority, stored.needs, stored.schedule,
                stored.unique,
            ) == (
                job.state, job.attempts, job.deliveries, job.runs, job.due, job.held, job.token,
                job.cancel, job.queue, job.unmet, *(job.array or (None, None)),
                job.priority, job.needs, job.schedule, job.unique,
            )  # fmt: skip
            if job.after:
                waits = {one.on: (one.when, one.met) for one in self.store.dependencies(job.id)}
                assert waits == job.after
            before = self.states.get(job.id, "pending")
            assert before == job.state or may_follow(before, stored.state)  # type: ignore[arg-type]
            self.states[job.id] = job.state

    @invariant()
    def queues_are_as_the_model_says(self) -> None:
        if hasattr(self, "store"):
            found = {
                one.name: (one.paused, one.deaths, one.limit, one.rate, one.pull, one.open_at)
                for one in self.store.queues()
            }
            model, now = self.model, self.model.now
            assert found == {
                name: (
                    one.paused, one.deaths, one.limit, one.rate, one.pull,
                    one.open_at if one.rate and one.open_at > now else None,
                )
                for name, one in model.queues.items()
            }  # fmt: skip

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

    @invariant()
    def schedules_are_as_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        found = [
            (one.name, one.next_at, one.paused, one.last_at, one.last_job, one.note is not None)
            for one in self.store.schedules()
        ]
        assert found == [
            (name, one.next_at, one.paused, one.last_at, one.last_job, one.has_note)
            for name, one in sorted(self.model.schedules.items())
        ]
