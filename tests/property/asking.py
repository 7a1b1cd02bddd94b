"""The machine's part that people play: they cancel, hold, edit, move and remove jobs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from queuectl.errors import DependencyCycle, Refused
from queuectl.job import After
from tests.property.machine import (
    Machine,
    dependencies,
    names_of_queues,
    needs_of_jobs,
    some,
    unique_keys,
)

_changes = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.integers(-1, 1),
        "queue": names_of_queues,
        "needs": needs_of_jobs,
        "unique": unique_keys,
        "due_at": st.sampled_from([None, -1, 1, 1500]),
    },
)


class Changing(Machine):
    """What moves a job in the line, or out of it."""

    @rule(number=some)
    def cancel(self, number: int) -> None:
        job = self.job(number)
        (answer,) = self.write(lambda: self.store.cancel([self.some_id(number)]))
        assert answer.done == bool(job and self.model.cancel(job))
        self.model.decide()

    @rule(number=some, held=st.booleans())
    def hold(self, number: int, held: bool) -> None:
        job = self.job(number)
        (answer,) = self.write(lambda: self.store.hold([self.some_id(number)], held=held))
        can = bool(job and job.state not in ("completed", "dead", "cancelled") and job.held != held)
        assert answer.done == can
        if job and can:
            job.held = held

    @rule(number=some, changes=_changes)
    def edit(self, number: int, changes: dict[str, Any]) -> None:
        job = self.job(number)
        if not job:
            return
        changes, now = dict(changes), self.model.now
        if changes.get("due_at"):
            changes["due_at"] += now
        other = self.model.open_of(changes.get("unique"))
        if other not in (None, job) and not job.token:
            with pytest.raises(Refused):
                self.store.edit(job.id, changes)
            return
        answer = self.write(lambda: self.store.edit(job.id, changes))
        assert answer.done == (job.token is None)
        if answer.done:
            if "due_at" in changes:
                changes["due"] = max(now, changes.pop("due_at") or now)
            for name, value in changes.items():
                setattr(job, name, value)

    @rule(numbers=st.lists(some, min_size=1, max_size=3), first=st.booleans())
    def move(self, numbers: list[int], first: bool) -> None:
        ids = list(dict.fromkeys(self.some_id(number) for number in numbers))
        answers = self.write(lambda: self.store.move(ids, first=first))
        assert [answer.done for answer in answers] == self.model.move(ids, first=first)
        # till the last is due too, see there
        self.time_goes_on(len(ids))


class Asking(Changing):
    """What else people ask of jobs."""

    @rule(number=some)
    def retry(self, number: int) -> None:
        job = self.job(number)
        (answer,) = self.write(lambda: self.store.retry([self.some_id(number)]))
        assert answer.done == bool(job and self.model.retry(job))

    @rule(number=some)
    def remove(self, number: int) -> None:
        job = self.job(number)
        (answer,) = self.write(lambda: self.store.remove([self.some_id(number)]))
        assert answer.done == bool(job and not job.token)
        if job and not job.token:
            del self.model.jobs[job.id]
            self.model.decide()

    @rule(number=some, after=dependencies)
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
