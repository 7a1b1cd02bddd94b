"""Why a job waits: for other jobs, for room in an array, for what hosts have, for a rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from queuectl.commands.reasons import Facts, Surroundings, Wait, reasons_for, sentence
from queuectl.commands.turns import Kind, Rivals, counted
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

    def __init__(
        self, *waits: Wait, running: tuple[Job, ...] = (), line: tuple[Job, ...] = ()
    ) -> None:
        self._given, self._jobs, self._ready = waits, running, line

    def waits(self, job: Job) -> tuple[Wait, ...]:  # noqa: ARG002
        return self._given

    def running(self) -> list[Job]:
        return list(self._jobs)

    def line(self) -> list[Kind]:
        return [Kind(first, 1) for first in self._ready]

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


# ---- whose turn it is -----------------------------------------------------------------------------


def queue(name: str, **fields: Any) -> QueueInfo:
    return QueueInfo(name, False, None, {})._replace(**fields)


def among(
    *queues: QueueInfo, hosts: tuple[HostInfo, ...], facts: Facts | None = None
) -> Surroundings:
    return Surroundings(NOW, hosts, {one.name: one for one in queues}, {}, facts or Known())


def test_only_what_may_start_now_is_ahead() -> None:
    """Limits and rates hold the others back; what no host of its own can run is in nobody's way."""
    full = queue("full", limit=3, counts={PROCESSING: 2})
    rated = queue("rated", rate=Rate(1, 60_000), open_at=NOW + 5)
    slow = queue("slow", rate=Rate(1, 60_000), open_at=NOW)
    hosts = (host("h", 1, ("default", "full", "rated", "slow")), host("i", 1, ("other",), gpu=1))
    around = among(full, rated, slow, queue("other"), hosts=hosts)
    line = [
        Kind(job(1, queue="full"), 4), Kind(job(2, queue="rated"), 2), Kind(job(3, queue="slow"), 2),
        Kind(job(4, queue="other"), 7), Kind(job(5, needs={"gpu": 1}), 7), Kind(job(6, queue="default"), 1),
    ]  # fmt: skip
    before = counted(job(9), around, line)
    assert (before.free, before.held, before.holding) == (3, 6, ("full", "rated", "slow"))
    (reason,) = reasons_for(job(9), around, before)
    assert reason.sentence.startswith(
        "has 3 jobs ahead of it (and 6 jobs of queues full, rated and slow that limits or rates hold back)"
    )


def test_what_is_held_back_is_not_ahead() -> None:
    """It may go first when it is let, so that nothing is promised; and no move helps."""
    rated = queue("rated", rate=Rate(1, 60_000), open_at=NOW + 5, counts={PROCESSING: 1})
    around = among(rated, queue("default"), hosts=(host("h", 1),))
    (reason,) = reasons_for(
        job(9), around, counted(job(9), around, [Kind(job(2, queue="rated"), 3)])
    )
    assert reason.whole == (
        "is next (unless limits and rates let one of 3 jobs of queue rated go first):"
        " it waits for the only worker, which is busy; `worker start` adds one"
    )


def test_no_move_is_advised_that_changes_nothing() -> None:
    """`move` is about a job's own queue; across queues a priority decides."""
    around = among(queue("default"), queue("other"), hosts=(host("h", 1),))
    for queues, remedy in (
        (("default",), "`move 9 --first` puts it in front"),
        (("default", "other"), "`move 9 --first` puts it in front in its queue"),
        (("other",), "`edit 9 --priority 3` puts it in front"),
    ):
        before = Rivals(2, queues=frozenset(queues), priority=2)
        (reason,) = reasons_for(job(9), around, before)
        assert reason.remedy == remedy


def test_what_is_kept_for_a_job_before_it_is_named() -> None:
    """As a claim keeps it: a host where it is free for this one is enough."""
    running = (job(1, state=PROCESSING, host="h", needs={"gpu": 1}),)
    facts = Known(running=running, line=(job(2, needs={"gpu": 2}), job(3, needs={"gpu": 1})))
    (reason,) = reasons_for(job(3, needs={"gpu": 1}), around(host(gpu=2), facts=facts))
    assert reason.kind == "kept"
    assert reason.short == "gpu 1 kept for #2"
    assert reason.whole == (
        "waits although gpu 1 is free: gpu 1 is kept free for job 2, which needs 2;"
        " `move 3 --first` puts it in front"
    )
    # one behind it of the same kind waits for the same, one that needs nothing of it does not
    (reason,) = reasons_for(job(4, needs={"gpu": 1}), around(host(gpu=2), facts=facts))
    assert reason.short == "gpu 1 kept for #2"
    (reason,) = reasons_for(job(4), around(host(gpu=2), facts=facts))
    assert reason.sentence == "is next: a worker is about to take it"
    (reason,) = reasons_for(
        job(3, needs={"gpu": 1}), around(host(gpu=2), host("i", gpu=1), facts=facts)
    )
    assert reason.kind == "turn"


def test_workers_are_kept_as_well() -> None:
    """For a job that takes several of them."""
    running = (job(1, state=PROCESSING, host="h"),)
    facts = Known(running=running, line=(job(2, needs={"slots": 4}), job(3)))
    (reason,) = reasons_for(job(3), around(host(), facts=facts))
    assert reason.short == "3 workers kept for #2"
    assert "3 workers are kept free for job 2, which needs 4" in reason.sentence


def test_a_job_of_a_dead_host_does_not_run() -> None:
    """Whatever the store says of it."""
    dead = around()._replace(dead=frozenset(("h",)))
    for lost in (
        job(state=PROCESSING, host="h"),
        job(host="h"),
        job(state=PROCESSING, host="h", paused=True),
    ):
        (reason,) = reasons_for(lost, dead)
        assert reason.kind == "lost"
        assert reason.whole == "is lost: its host is dead; `worker start` takes it back"
    (reason,) = reasons_for(job(state=PROCESSING, host="h"), dead._replace(hosts=(host("i"),)))
    assert reason.remedy == "a living host takes it back"
    (reason,) = reasons_for(job(state=PROCESSING, host="h", cancel_requested=True), dead)
    assert "is being cancelled, but its host is dead" in reason.sentence


def test_a_job_may_keep_all_workers_busy() -> None:
    """One that takes several counts as several."""
    running = (job(1, state=PROCESSING, host="h", needs={"slots": 4}),)
    (reason,) = reasons_for(job(3), around(host(), facts=Known(running=running)))
    assert reason.sentence == "is next: it waits for one of 4 workers, all busy"
    assert reason.short == "workers busy"
