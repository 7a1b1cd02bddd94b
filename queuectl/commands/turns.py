"""When it is a job's turn: what goes before it, and what is kept free for that. Pure but for `rivals`.

What a host would claim is asked of what claims ask, `queuectl.store.room`.
"""

from __future__ import annotations

from queuectl.commands.reasons import COUNTED, NAMED, Reason, joined, takers
from queuectl.commands.result import plural
from queuectl.commands.shortage import free_of, has, is_able
from queuectl.job import PROCESSING, SLOTS
from queuectl.record import Record
from queuectl.resources import format_amount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.commands.reasons import Surroundings
    from queuectl.job import Job
    from queuectl.store.base import HostInfo, Store
    from queuectl.store.room import Lane


class Kind(Record):
    """Jobs that are alike to a claim: the first of them, and how many."""

    first: Job
    jobs: int


class Rivals(Record):
    """What stands before a job, of what its workers take."""

    #: jobs that may start now, and that limits and rates hold back
    free: int = 0
    held: int = 0
    #: the queues of the latter
    holding: tuple[str, ...] = ()
    #: queues of either
    queues: frozenset[str] = frozenset()
    #: the highest priority of either
    priority: int = 0


def rivals(store: Store, job: Job, around: Surroundings) -> Rivals:
    """Read what stands before a job and count what of it can go before it."""
    return counted(job, around, kinds(store, store.line(job.id, COUNTED)))


def kinds(store: Store, line: Sequence[tuple[int, int]]) -> list[Kind]:
    """Return what `Store.line` told, with the jobs themselves."""
    found = ((store.get(first), jobs) for first, jobs in line)
    return [Kind(first, jobs) for first, jobs in found if first is not None]


def counted(job: Job, around: Surroundings, line: Sequence[Kind]) -> Rivals:
    """Return what of a line stands in a job's way; what no host of its can run does not."""
    mine = takers(job.queue, around)
    free = held = 0
    holding: dict[str, None] = {}
    met = []
    for kind in line:
        able = [host for host in takers(kind.first.queue, around) if is_able(host, kind.first)]
        if not any(host in mine for host in able):
            continue
        now = min(kind.jobs, max(0, _allowed(kind.first, around)))
        free, held = free + now, held + kind.jobs - now
        if now < kind.jobs:
            holding[kind.first.queue] = None
        met.append(kind.first)
    return Rivals(
        free, held, tuple(holding), frozenset(first.queue for first in met),
        max((first.priority for first in met), default=0),
    )  # fmt: skip


def _allowed(first: Job, around: Surroundings) -> int:
    """Return how many jobs such as this its queue and its array let start now."""
    most = COUNTED
    queue = around.queues.get(first.queue)
    if queue is not None and queue.rate is not None:
        most = int(queue.open_at is None or queue.open_at <= around.now)
    if queue is not None and queue.limit is not None:
        most = min(most, queue.limit - queue.counts.get(PROCESSING, 0))
    if first.array_id is not None and first.array_limit is not None and around.facts is not None:
        running = around.facts.running_in(first.array_id, first.array_limit)
        most = min(most, first.array_limit - len(running))
    return most


def its_turn(job: Job, around: Surroundings, before: Rivals | None) -> Reason:
    """Return the reason of a job that nothing holds: others are before it, or all are busy."""
    mine = takers(job.queue, around)
    workers = plural(sum(host.workers for host in mine), "worker")
    busy = _are_busy(mine, around) or not _idle(mine, around)
    short = "workers busy" if busy else ""
    before = before or Rivals()
    least = "at least " if max(before.free, before.held) >= COUNTED else ""
    held = f"{plural(before.held, 'job')} of {_queues(before.holding)}"
    if before.free:
        more = f" (and {held} that limits or rates hold back)" if before.held else ""
        all_busy = f", and {workers}, all busy" if busy else f", and {workers}"
        return Reason("turn", short, f"has {least}{plural(before.free, 'job')} ahead of it{more}{all_busy}",
                      in_front(job, before))  # fmt: skip
    first = f" (unless limits and rates let one of {least}{held} go first)" if before.held else ""
    if busy:
        whom = (
            f"one of {workers}, all busy"
            if workers != "1 worker"
            else "the only worker, which is busy"
        )
        return Reason(
            "turn", short, f"is next{first}: it waits for {whom}", "`worker start` adds one"
        )
    return Reason("turn", short, f"is next{first}: a worker is about to take it")


def _queues(names: Sequence[str]) -> str:
    """Return `queue a`, or `queues a, b and others`."""
    more = ["others"] if len(names) > NAMED else []
    return ("queue " if len(names) == 1 else "queues ") + joined([*names[:NAMED], *more])


def in_front(job: Job, before: Rivals) -> str:
    """Return what would put a job before others, of what changes anything."""
    if before.queues == {job.queue}:
        return f"`move {job.id} --first` puts it in front"
    if job.queue in before.queues:
        return f"`move {job.id} --first` puts it in front in its queue"
    return f"`edit {job.id} --priority {before.priority + 1}` puts it in front"


def _are_busy(mine: Sequence[HostInfo], around: Surroundings) -> bool:
    """Whether as many jobs run in the queues these hosts take from as they have workers."""
    every = any(not host.queues for host in mine)
    taken = {queue for host in mine for queue in host.queues}
    running = sum(
        queue.counts.get(PROCESSING, 0)
        for queue in around.queues.values()
        if every or queue.name in taken
    )
    return running >= sum(host.workers for host in mine)


def _idle(mine: Sequence[HostInfo], around: Surroundings) -> list[tuple[HostInfo, dict[str, int]]]:
    """Return the hosts with workers that run nothing, each with what it has free."""
    running = around.facts.running() if around.facts is not None else []
    free = [(host, free_of(host, [job for job in running if job.host == host.id])) for host in mine]
    return [(host, amounts) for host, amounts in free if amounts[SLOTS] > 0]


# ---- what is kept ---------------------------------------------------------------------------------


def reserved(job: Job, around: Surroundings) -> Reason | None:
    """Return for which job is kept free what this one would need; None: nothing is, or it is taken.

    A host keeps what the first job lacks from those behind it, see `queuectl.store.base.Room`.
    """
    mine = takers(job.queue, around)
    if around.facts is None or _are_busy(mine, around):
        return None
    needs = {SLOTS: 1, **job.needs}
    idle = [(host, free) for host, free in _idle(mine, around) if has(free, needs)]
    line = [one.first for one in around.facts.line() if _key(one.first) < _key(job)] if idle else []
    if not any(first.needs for first in line):
        return None
    found: Reason | None = None
    for host, free in idle:
        why = _kept_by(host, free, line, job, around)
        if why is None:
            return None
        found = found or why
    return found


def _kept_by(
    host: HostInfo, free: dict[str, int], line: Sequence[Job], job: Job, around: Surroundings
) -> Reason | None:
    """Return what a host would keep from a job; None: it would claim it, or only others before it."""
    from queuectl.store.base import Room
    from queuectl.store.room import Budget

    counts = {name: queue.counts.get(PROCESSING, 0) for name, queue in around.queues.items()}
    facts = around.facts
    kept: dict[str, int] = {}
    budget = Budget(
        free[SLOTS], 0, host.queues, Room(free, host.resources, host.workers, kept), around.now,
        lambda queue: counts.get(queue, 0),
        lambda array: len(facts.running_in(array, COUNTED)) if facts is not None else 0,
    )  # fmt: skip
    keeper: dict[str, Job] = {}
    for first in line:
        if host.queues and first.queue not in host.queues:
            continue
        before, want = dict(kept), budget.want
        lane = _lane(first, around)
        if budget.most(lane):
            budget.took(lane, 1)
            continue
        for name, amount in kept.items():
            if amount != before.get(name, 0):
                keeper.setdefault(name, first)
        if want and not budget.want:
            keeper.setdefault(SLOTS, first)
    if budget.most(_lane(job, around)):
        return None
    for name in (*job.needs, SLOTS):
        if name in keeper and keeper[name].id != job.id:
            return _kept(job, name, free[name], keeper[name])
    return None


def _kept(job: Job, name: str, amount: int, keeper: Job) -> Reason:
    what, are = (plural(amount, "worker"), "is" if amount == 1 else "are")
    if name != SLOTS:
        what, are = f"{name} {format_amount(amount)}", "is"
    needs = f"needs {format_amount(keeper.needs[name])}"
    front = in_front(job, Rivals(1, queues=frozenset((keeper.queue,)), priority=keeper.priority))
    return Reason("kept", f"{what} kept for #{keeper.id}",
                  f"waits although {what} {are} free: {what} {are} kept free for job {keeper.id}, which {needs}",
                  front)  # fmt: skip


def _key(job: Job) -> tuple[int, int, int]:
    return (-job.priority, job.due_at, job.id)


def _lane(first: Job, around: Surroundings) -> Lane:
    """Return the track of a job as a claim sees it."""
    from queuectl.store.room import Lane

    queue = around.queues.get(first.queue)
    limited = first.array_limit is not None
    track = hash(
        (first.queue, first.array_id if limited else 0, tuple(sorted(first.needs.items())))
    )
    rate = queue.rate if queue is not None else None
    return Lane(
        track, first.queue, queue.limit if queue is not None else None,
        rate.starts if rate else None, rate.period if rate else None,
        queue.open_at if queue is not None else None, int(queue.pull) if queue is not None else 0,
        first.array_id or 0 if limited else 0, first.array_limit, first.needs,
    )  # fmt: skip
