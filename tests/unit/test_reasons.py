"""Why a job waits: for other jobs, for room in an array, for what hosts have, for a rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from queuectl.commands.reasons import Facts, Surroundings, Wait, reasons_for, sentence
from queuectl.job import PENDING, PROCESSING, Job
from queuectl.store.base import HostInfo, QueueInfo, Rate

if TYPE_CHECKING:
    import pytest

NOW = 1_000_000


def job(job_id: int = 9, **changes: Any) -> Job:
    plain = Job(
        job_id, None, "default", PENDING, "true", None, True, 0, 3, {}, "/", {}, "me@here", False, 0, 0, None, None, None,
        0, 0, 0, None, None, False, None, None,
    )  # fmt: skip
    return plain._replace(**changes)


def host(
    name: str = "h", workers: int = 4, queues: tuple[str, ...] = (), **resources: int
) -> HostInfo:
    return HostInfo(name, "here", "me", 1, "1", workers, queues, 0, NOW)._replace(
        resources=resources
    )


class Known(Facts):
    """Facts that are given, not read."""

    def __init__(self, *waits: Wait, running: tuple[Job, ...] = ()) -> None:
        self._given, self._jobs = waits, running

    def waits(self, job: Job) -> tuple[Wait, ...]:  # noqa: ARG002
        return self._given

    def running(self) -> list[Job]:
        return list(self._jobs)

    def running_in(self, array: int, most: int) -> tuple[int, ...]:
        return tuple(job.id for job in self._jobs if job.array_id == array)[:most]


def around(*hosts: HostInfo, facts: Facts | None = None, **queue: Any) -> Surroundings:
    info = QueueInfo("default", False, None, {}, **queue)
    return Surroundings(NOW, hosts, {"default": info}, {}, facts or Known())


def test_a_job_waits_for_others() -> None:
    """Each is named with its state, and how it has to end."""
    facts = Known(
        Wait(3, "completed", False, "processing"), Wait(4, "completed", False, "failed"), Wait(5, "ended", False, "pending")
    )  # fmt: skip
    (reason,) = reasons_for(job(unmet=2), around(host(), facts=facts))
    assert reason.kind == "dependency"
    assert (
        reason.whole
        == "waits for jobs 3 (processing) and 4 (failed) to complete and job 5 (pending) to end"
    )
    assert reason.short == "after #3, #4, #5"
    many = Known(*(Wait(number, "completed", False, "pending") for number in range(1, 9)))
    (reason,) = reasons_for(job(unmet=8), around(host(), facts=many))
    assert reason.whole.endswith("and 5 (pending) to complete and 3 others")


def test_what_can_never_be_says_so() -> None:
    """And what would change it."""
    facts = Known(Wait(3, "completed", None, "dead"), Wait(5, "ended", False, "pending"))
    (reason,) = reasons_for(job(unmet=2), around(host(), facts=facts))
    assert reason.kind == "never-met"
    assert (
        reason.sentence == "waits for job 3 to complete, which is dead, so that this can never be"
    )
    assert "`retry 3`" in reason.remedy
    (reason,) = reasons_for(
        job(unmet=1), around(host(), facts=Known(Wait(3, "failed", None, None)))
    )
    assert "job 3 to die, which is gone" in reason.sentence
    assert "retry" not in reason.remedy


def test_an_array_has_a_limit() -> None:
    """What runs of it is named."""
    running = tuple(job(number, state=PROCESSING, array_id=7) for number in (7, 8))
    (reason,) = reasons_for(
        job(array_id=7, array_index=3, array_limit=2), around(host(), facts=Known(running=running))
    )
    assert reason.kind == "array-full"
    assert "array 7, of which 2 may run at once: 2/2 by #7 and #8" in reason.whole
    (reason,) = reasons_for(
        job(array_id=7, array_index=3, array_limit=3), around(host(), facts=Known(running=running))
    )
    assert reason.kind == "turn"


def test_no_host_has_what_it_needs() -> None:
    """The nearest there is, and how to start one that has."""
    (reason,) = reasons_for(job(needs={"gpu": 2}), around(host(gpu=1), host("i")))
    assert reason.kind == "needs"
    assert (
        reason.sentence
        == "needs gpu 2, of which the hosts that take from queue default have at most 1 each"
    )
    assert "--resource gpu=2" in reason.remedy
    (reason,) = reasons_for(job(needs={"gpu": 1}), around(host()))
    assert reason.sentence == "needs gpu 1, of which no host that takes from queue default has any"
    (reason,) = reasons_for(job(needs={"slots": 8}), around(host(workers=4)))
    assert "needs 8 workers of one host" in reason.sentence


def test_others_have_what_it_needs() -> None:
    """They are named; a host where it is free is enough."""
    running = (
        job(3, state=PROCESSING, host="h", needs={"gpu": 2}),
        job(4, state=PROCESSING, host="h"),
    )
    facts = Known(running=running)
    (reason,) = reasons_for(job(needs={"gpu": 1}), around(host(gpu=2), facts=facts))
    assert reason.kind == "needs-taken"
    assert reason.sentence == "waits for gpu 1, taken now by #3"
    (reason,) = reasons_for(
        job(needs={"gpu": 1}), around(host(gpu=2), host("i", gpu=1), facts=facts)
    )
    assert reason.kind == "turn"
    (reason,) = reasons_for(job(needs={"slots": 3}), around(host(workers=4), facts=facts))
    assert reason.sentence == "waits for 3 slots, taken now by #3 and #4"


def test_a_rate_says_when() -> None:
    """In how long the queue starts its next job."""
    (reason,) = reasons_for(job(), around(host(), rate=Rate(10, 60_000), open_at=NOW + 4000))
    assert reason.kind == "rate"
    assert (
        reason.sentence
        == "waits for the rate of queue default, 10 in 1m: its next start is in 4.0s"
    )
    (reason,) = reasons_for(job(), around(host(), rate=Rate(10, 60_000), open_at=NOW - 1))
    assert reason.kind == "turn"


def test_a_queue_may_have_paused_itself_or_wait_to_be_asked() -> None:
    """That is told apart from one that somebody paused."""
    halted = around(host(), paused_why="3 jobs died (halt-on 3)")
    halted = halted._replace(queues={"default": halted.queues["default"]._replace(paused=True)})
    (reason,) = reasons_for(job(), halted)
    assert reason.sentence == "waits in queue default, which paused itself: 3 jobs died (halt-on 3)"
    (reason,) = reasons_for(job(), around(host(), pull=True))
    assert reason.kind == "pull"
    (reason,) = reasons_for(job(), around(host(queues=("default",)), pull=True))
    assert reason.kind == "turn"


def test_the_most_specific_is_on_top() -> None:
    """What else would stop it then follows."""
    facts = Known(Wait(3, "completed", False, "processing"))
    reasons = reasons_for(
        job(paused=True, unmet=1, due_at=NOW + 5000, needs={"gpu": 1}), around(host(), facts=facts)
    )
    assert [reason.kind for reason in reasons] == ["paused", "dependency", "later", "needs"]
    assert sentence(reasons).startswith(
        "is paused; `resume 9` lets it start; then it waits for job 3"
    )


def test_facts_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs ask."""

    class Counting:
        asked = 0

        def jobs(self, where: object, *, limit: int) -> list[Job]:  # noqa: ARG002
            self.asked += 1
            return [job(1, state=PROCESSING, array_id=1)]

    store = Counting()
    facts = Facts(cast("Any", store))
    assert [facts.running_in(1, 5) for _ in range(3)] == [(1,)] * 3
    assert facts.running() == facts.running()
    assert store.asked == 2
