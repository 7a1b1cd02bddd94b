"""Selections of commands: words and filter flags together, asked of the store."""

from __future__ import annotations

from queuectl.errors import UsageError
from queuectl.grammar.selection import LAST, Selection, parse_words, resolve_single
from queuectl.job import STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import Job, State
    from queuectl.store.base import Store


def selection_of(ctx: Context, args: Args) -> Selection:
    """Return what the words and filters of a command select. Raises UsageError."""
    chosen = parse_words(args.which)
    states = set(chosen.states)
    for word in getattr(args, "state", ()):
        states.update(word)
    since = getattr(args, "since", None)
    return chosen._replace(
        states=tuple(state for state in STATES if state in states),
        queues=tuple(
            name for word in getattr(args, "queue", ()) or () for name in word.split(",") if name
        ),
        name=getattr(args, "name", None),
        since=None if since is None else past_time(since, ctx.store.now()),
        exit_code=getattr(args, "exit", None),
        array=getattr(args, "array", None),
    )


def past_time(text: str, now: int) -> int:
    """Return the time that `2h` (ago), `18:30` (the last one) or a date means."""
    from queuectl.errors import BadValue
    from queuectl.timespec import DAY, parse_duration, parse_time

    try:
        if ":" in text or "-" in text:
            moment = parse_time(text, now, "since")
            return moment - DAY if moment > now and "-" not in text else moment
        return now - parse_duration(text)
    except BadValue:
        expected = "a time such as 2h (ago), 18:30 or 2026-12-01"
        raise BadValue(what="--since", value=text, expected=expected) from None


def check_queues(store: Store, queues: Sequence[str]) -> None:
    """Raise NoSuchQueue for the first queue that does not exist."""
    if not queues:
        return
    known = [queue.name for queue in store.queues()]
    for name in queues:
        if name not in known:
            from queuectl.errors import NoSuchQueue, did_you_mean

            raise NoSuchQueue(queue=name, hint=did_you_mean(name, known))


def jobs_of(
    ctx: Context, chosen: Selection, *, limit: int | None = None, newest: bool = False
) -> Iterator[Job]:
    """Yield the jobs a selection shows, by id. Raises NotFound before the first one."""
    store = ctx.store
    check_queues(store, chosen.queues)
    ids = resolve_single(store, chosen, ctx.last_job)
    if chosen.only_single and not chosen.filtered:
        return _written_out(store, ids)
    where = chosen.with_ranges(ids).filter()
    return store.jobs(where, limit=limit, newest=newest) if where else iter(())


def _written_out(store: Store, ids: Sequence[int]) -> Iterator[Job]:
    for job_id in ids:
        job = store.get(job_id)
        if job is not None:
            yield job


def one_job(ctx: Context, word: str | None) -> Job:
    """Return the job that one word means, the last one without a word. Raises NotFound."""
    chosen = parse_words([LAST if word is None else word])
    if not chosen.only_single or len(chosen.single) != 1:
        raise UsageError(f"{word!r} can be many jobs; give one id or name")
    (job_id,) = resolve_single(ctx.store, chosen, ctx.last_job)
    job = ctx.store.get(job_id)
    if job is None:
        from queuectl.errors import NoSuchJob

        raise NoSuchJob(job=job_id)
    return job


def where_they_are(store: Store, states: Sequence[State]) -> str:
    """Return a sentence for an answer without jobs: none of these, and where there are some."""
    from queuectl.timespec import describe_duration

    counts = store.counts()
    none = f"none {' or '.join(states)}" if states else "no jobs match"
    if not any(counts.values()):
        return "No jobs yet: enqueue echo hello"
    there = [f"{number} {state}" for state, number in counts.items() if number]
    due = store.next_due() if "failed" not in states and counts["failed"] else None
    soon = ""
    if due is not None and due > store.now():
        soon = f"; the next retry is in {describe_duration(due - store.now())}"
    return f"{none}; there are {', '.join(there)}{soon}"
