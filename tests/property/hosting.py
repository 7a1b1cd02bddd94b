"""The machine's part that hosts play: they claim, start, settle, give back and die."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from queuectl.job import EXIT, LOST, SIGNAL, STOPPED, Claim, Outcome
from queuectl.store.base import Room, Settlement, Start
from tests.property.bounds import Ask, claimable
from tests.property.machine import Machine, names_of_queues, needs_of_jobs, some

OUTCOMES = {
    "exit 0": Outcome(EXIT, 0),
    "exit 3": Outcome(EXIT, 3),
    "signal": Outcome(SIGNAL, 9),
    "lost": Outcome(LOST),
    "stopped": Outcome(STOPPED),
}
_resources = st.sampled_from([{"gpu": 1}, {"gpu": 2}, {"gpu": 3, "mem": 2}])
#: in all, what is used of each, workers that are busy; None: a host that says nothing of it
_rooms = st.none() | st.tuples(_resources, st.integers(0, 2), st.integers(0, 2))
#: want, ahead, queues, room
_asks = st.tuples(
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from([(), (), (), ("default",), ("other", "limited"), ("rated", "default")]),
    _rooms,
)


class Claiming(Machine):
    """Hosts claim, and run at once what they have claimed."""

    @rule(
        queue=names_of_queues, priority=st.integers(-1, 1), needs=needs_of_jobs,
        count=st.integers(2, 6), limit=st.sampled_from([None, None, 1, 2]),
    )  # fmt: skip
    def add_jobs_alike(
        self, queue: str, priority: int, needs: dict[str, int], count: int, limit: int | None
    ) -> None:
        self.add([(queue, priority, 0, False, 1, ([], False, None, needs))] * count, limit)

    @rule(asked=st.lists(_asks, min_size=1, max_size=3))
    def claim(self, asked: list[tuple[Any, ...]]) -> None:
        for want, ahead, queues, room in asked:
            self.claimed(Ask(want, ahead, queues, *_has(want, room)), has_room=room is not None)

    def claimed(self, ask: Ask, *, has_room: bool = False) -> list[Claim]:
        kept: dict[str, int] = {}

        def ask_for_jobs() -> list[Claim]:
            kept.clear()
            room = Room(dict(ask.free), ask.total, ask.slots, kept if self.store.groups else None)
            return self.store.claim(
                "host", ask.want, ask.queues, ask.ahead, room if has_room else None
            )

        claims = self.write(ask_for_jobs)
        rest = replace(ask, free=dict(ask.free), kept={}, waiting=[])
        expected = claimable(self.model, rest)
        assert [claim.job_id for claim in claims] == [job.id for job in expected]
        assert kept == (rest.kept if has_room and self.store.groups else {})
        for job, claim in zip(expected, claims, strict=True):
            assert (claim.attempts, claim.run) == (job.attempts, job.runs + 1)
            assert (claim.env, claim.needs) == ({"N": job.env}, job.needs)
            assert (claim.priority, claim.due_at) == (job.priority, job.due)
            job.token, job.deliveries = claim.token, job.deliveries + 1
        self.claims += claims
        return claims

    def run(self, want: int) -> list[Claim]:
        """Claim for a host that has enough of everything."""
        much = {"gpu": 99, "mem": 99}
        return self.claimed(Ask(want, 0, (), 99, much, much), has_room=True)

    @rule(want=st.integers(1, 4), kind=st.sampled_from(sorted(OUTCOMES)))
    def some_jobs_are_run(self, want: int, kind: str) -> None:
        for claim in self.run(want):
            self.settled(claim, kind)

    def settled(self, claim: Claim, kind: str) -> None:
        settlement = Settlement(claim.job_id, claim.token, claim.run, OUTCOMES[kind])
        job = self.model.holder(claim.job_id, claim.token)
        first, again = self.write(lambda: self.store.settle([settlement, settlement]))
        if job:
            self.model.settle(job, kind)
            self.model.decide()
        assert (first.state, again.state) == (job and job.state, None)


class Hosting(Claiming):
    """What else hosts do with claims, in any order."""

    @precondition(lambda self: self.claims)
    @rule(number=some)
    def start(self, number: int) -> None:
        claim = self.pick(number)
        start = Start(claim.job_id, claim.token, claim.run, self.model.now)
        job = self.model.holder(claim.job_id, claim.token)
        assert self.write(lambda: self.store.start([start])) == [job is not None]
        if job:
            self.model.start(job)

    @precondition(lambda self: self.claims)
    @rule(number=some, kind=st.sampled_from(sorted(OUTCOMES)))
    def settle(self, number: int, kind: str) -> None:
        self.settled(self.pick(number), kind)

    @precondition(lambda self: self.claims)
    @rule(number=some)
    def release(self, number: int) -> None:
        claim = self.pick(number)
        job = self.model.holder(claim.job_id, claim.token)
        released = self.write(lambda: self.store.release([(claim.job_id, claim.token)]))
        assert released == (job is not None)
        if job:
            job.give_back(self.model.now, counted=False)
            self.model.decide()

    @precondition(lambda self: self.claims)
    @rule(number=some)
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
            for claim in self.run(1):
                self.lost(claim)


def _has(want: int, room: tuple[Any, ...] | None) -> tuple[int, dict[str, int], dict[str, int]]:
    """Return the workers, what is free and what there is in all."""
    if room is None:
        return want, {}, {}
    total, used, busy = room
    return max(1, want + busy), {name: max(0, n - used) for name, n in total.items()}, total
