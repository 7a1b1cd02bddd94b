"""The machine's part that queues and schedules play: bounds are changed, times come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from queuectl.host.firing import Firing
from queuectl.job import NewJob
from queuectl.schedule import pack
from queuectl.store.base import Filter, Rate, Schedule
from tests.property.machine import (
    QUEUES,
    Machine,
    names_of_queues,
    needs_of_jobs,
    rates,
    unique_keys,
)
from tests.property.model import ModelJob
from tests.property.timetable import MINUTE, ModelSchedule

_names = st.sampled_from(["a", "b"])
#: queue, unique key, needs: of a queue that is gone it makes no job
_templates = st.tuples(st.sampled_from([*QUEUES, "gone"]), unique_keys, needs_of_jobs)
#: minutes, by the clock on the wall, overlap, missed, what it makes
_schedules = st.tuples(
    st.sampled_from([2, 5]),
    st.booleans(),
    st.sampled_from(["skip", "queue"]),
    st.sampled_from(["none", "one", "all", "all"]),
    _templates,
)


class Queues(Machine):
    """What people ask of queues."""

    @rule(name=names_of_queues, paused=st.sampled_from([False, False, True]))
    def pause_queue(self, name: str, paused: bool) -> None:
        self.write(lambda: self.store.pause_queue(name, paused=paused))
        self.model.pause(name, paused=paused)

    @rule(name=names_of_queues, limit=st.sampled_from([None, 0, 1, 2, 4]))
    def change_a_limit(self, name: str, limit: int | None) -> None:
        self.write(lambda: self.store.change_queue(name, {"limit": limit}))
        self.model.queues[name].limit = limit

    @rule(name=names_of_queues, rate=rates)
    def change_a_rate(self, name: str, rate: tuple[int, int] | None) -> None:
        changes = {"rate": Rate(*rate) if rate else None}
        self.write(lambda: self.store.change_queue(name, changes))
        self.model.set_rate(name, rate)

    @rule(name=names_of_queues, pull=st.sampled_from([False, False, True]))
    def let_a_queue_be_pulled(self, name: str, pull: bool) -> None:
        self.write(lambda: self.store.change_queue(name, {"pull": pull}))
        self.model.queues[name].pull = pull


class Schedules(Machine):
    """What people ask of schedules, and hosts that fire them."""

    @rule(name=_names, asked=_schedules)
    def put_a_schedule(self, name: str, asked: tuple[Any, ...]) -> None:
        minutes, is_cron, overlap, missed, (queue, unique, needs) = asked
        period = minutes * MINUTE
        # where a job of the key is there, it does not matter that the queue is not
        unique = None if queue == "gone" else unique
        # a grid of its own, or that of the clock on the wall
        first = self.model.now + period - (self.model.now % period if is_cron else 0)
        spec, zone = (f"*/{minutes} * * * *", "UTC") if is_cron else (f"every {minutes}m", "")
        new = NewJob("true", queue=queue, unique=unique, needs=needs, env={"N": name})
        kept = Schedule(name, spec, zone, overlap, missed, pack(new), first)
        self.write(lambda: self.store.put_schedule(kept))
        made = ModelJob(0, queue, 0, 0, held=False, max_retries=3, needs=needs, env=name)
        made.unique, made.schedule = unique, name
        self.model.schedules[name] = ModelSchedule(name, minutes, first, overlap, missed, made)

    @precondition(lambda self: self.model.schedules)
    @rule(name=_names, paused=st.sampled_from([False, False, True]))
    def pause_a_schedule(self, name: str, paused: bool) -> None:
        kept = next((one for one in self.store.schedules() if one.name == name), None)
        if kept is None:
            return
        known = self.model.schedules[name]
        if not paused:
            known.next_at = known.coming(self.model.now)
        known.paused = paused
        changed = kept._replace(paused=paused, next_at=known.next_at)
        self.write(lambda: self.store.put_schedule(changed))

    @precondition(lambda self: self.model.schedules)
    @rule(name=_names)
    def remove_a_schedule(self, name: str) -> None:
        removed = self.write(lambda: self.store.remove_schedule(name))
        assert removed == (self.model.schedules.pop(name, None) is not None)

    @precondition(lambda self: self.model.schedules)
    @rule(late=st.sampled_from([0, 1, 2 * MINUTE, 7 * MINUTE]))
    def fire(self, late: int) -> None:
        """A host comes when something is due, or so much later."""
        schedules, now = sorted(self.model.schedules.items()), self.model.now
        first = min([one.next_at for _, one in schedules if not one.paused], default=now)
        self.time_goes_on(max(0, first - now) + late)
        made = self.write(lambda: Firing(self.store).fire_due())
        fresh = [job.id for job in self.store.jobs(Filter(ranges=((self.highest + 1, None),)))]
        assert len(fresh) == made
        ids = iter(fresh)
        for _, one in schedules:
            if not one.is_due(self.model.now):
                continue
            due = one.next_at
            for _ in range(one.fire(self.model)):
                one.last_job = job_id = next(ids)
                new = replace(one.job, id=job_id, due=self.model.now, after={})
                self.model.jobs[job_id] = new
            # another host is late
            assert self.store.fire(one.name, due, None, [NewJob("true")], None) is None
        assert list(ids) == []
        self.highest = max([self.highest, *fresh])
