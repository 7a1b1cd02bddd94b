"""Selections of commands: words and filter flags together, asked of the store."""

from __future__ import annotations

from queuectl.endings import sort_endings
from queuectl.errors import BadValue, UsageError
from queuectl.grammar.selection import LAST, Selection, parse_words, resolve_single
from queuectl.job import EXIT, FAILED, STATES
from queuectl.store.base import Filter
from queuectl.timespec import describe_duration, format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import Job, State
    from queuectl.store.base import Store

NO_JOBS = "No jobs yet: enqueue echo hello"
#: ids that are named in a sentence, and jobs that are looked at for one
_NAMED, _LOOKED_AT = 5, 1000
#: what shells add to the number of a signal
_SHELL = 128


def selection_of(ctx: Context, args: Args) -> Selection:
    """Return what the words and filters of a command select. Raises UsageError."""
    chosen = parse_words(args.which)
    states = set(chosen.states)
    for word in getattr(args, "state", ()):
        states.update(word)
    since = getattr(args, "since", None)
    exits = getattr(args, "exit", ())
    endings = sort_endings(",".join(exits), "--exit")
    if exits and not endings:
        # an empty variable of a script must not select everything
        raise BadValue(
            what="--exit", value=",".join(exits), expected="an exit code, or how it ended"
        )
    return chosen._replace(
        states=tuple(state for state in STATES if state in states),
        queues=tuple(getattr(args, "queue", ()) or ()),
        name=getattr(args, "name", None),
        since=None if since is None else past_time(since, ctx.store.now()),
        endings=endings,
        array=getattr(args, "array", None),
    )


def past_time(text: str, now: int) -> int:
    """Return the time that `2h` (ago), `18:30` (the last one) or a date means."""
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
    if chosen.only_single and not chosen.filtered:
        check_queues(store, chosen.queues)
        return _written_out(store, resolve_single(store, chosen, ctx.last_job))
    where = where_of(ctx, chosen)
    return store.jobs(where, limit=limit, newest=newest) if where else iter(())


def where_of(ctx: Context, chosen: Selection) -> Filter | None:
    """Return the filter of the jobs that a selection shows; None for no job at all.

    Raises NotFound for what is written out and is not there.
    """
    check_queues(ctx.store, chosen.queues)
    return chosen.with_ranges(resolve_single(ctx.store, chosen, ctx.last_job)).filter()


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


def where_they_are(store: Store, chosen: Selection) -> str:
    """Return a sentence for an answer without jobs: none of these, and where there are some."""
    if not any(store.counts().values()):
        return NO_JOBS
    return none_of(store, chosen)


def none_of(store: Store, chosen: Selection, states: Sequence[State] = ()) -> str:
    """Return which jobs there are none of, and of the same in other states how many there are.

    `states` are those that were looked among where the selection itself says none.
    """
    counts: Mapping[State, int] = store.counts()
    if not any(counts.values()):
        return "there are no jobs yet"
    if chosen.states and states and not set(chosen.states) & set(states):
        return f"only {_or(states)} jobs can be"
    states = tuple(state for state in chosen.states if not states or state in states) or states
    among = _among(chosen, store.now())
    where = _without_states(chosen)
    if where is None or not states:
        return f"no {_or(states)}{' ' if states else ''}jobs{among}"
    if among:
        counts = {state: store.count(where._replace(states=(state,))) for state in STATES}
    there = [f"{number} {state}" for state, number in counts.items() if number]
    if not there:
        return f"no jobs{among}"
    soon = "" if FAILED in states else _next_retry(store, where)
    verb = "is" if sum(counts.values()) == 1 else "are"
    return f"no {_or(states)} jobs{among}; there {verb} {', '.join(there)}{soon}"


def _among(chosen: Selection, now: int) -> str:
    """Return what else than states restricts a selection, as it follows the word jobs."""
    parts = []
    ranges = [f"{low}-{'' if high is None else high}" for low, high in chosen.ranges]
    # ids in a row have become ranges of one
    ids = [one.partition("-")[0] if len(set(one.split("-"))) == 1 else one for one in ranges]
    which = [*map(str, chosen.single), *ids]
    if which and not chosen.all:
        more = f" and {len(which) - _NAMED} more" if len(which) > _NAMED else ""
        parts.append(f"among {', '.join(which[:_NAMED])}{more}")
    if chosen.queues:
        parts.append(f"in {'queue' if len(chosen.queues) == 1 else 'queues'} {_or(chosen.queues)}")
    if chosen.array is not None:
        parts.append(f"of array {chosen.array}")
    if chosen.name is not None:
        parts.append(f"named {chosen.name}")
    if chosen.endings:
        from queuectl.endings import describe

        parts.append(f"that ended with {describe(chosen.endings)}{_or_signal(chosen.endings)}")
    if chosen.since is not None:
        parts.append(f"enqueued since {format_time(chosen.since, now)}")
    return "".join(f" {part}" for part in parts)


def _or_signal(endings: Sequence[tuple[str, int | None]]) -> str:
    """Say how a signal is asked for, to who gave its number, or what a shell makes of it."""
    if len(endings) != 1 or endings[0][0] != EXIT:
        return ""
    import signal

    code = endings[0][1] or 0
    known = {int(one): one.name.removeprefix("SIG") for one in signal.Signals}
    name = known.get(code - _SHELL) if code > _SHELL else known.get(code)
    if name is None or (code <= _SHELL and name not in ("KILL", "TERM", "SEGV", "ABRT")):
        return ""
    return f" (what {name} has ended: --exit {name})"


def _without_states(chosen: Selection) -> Filter | None:
    """Return a selection without its states; None when it names jobs by more than their ids."""
    ids = [one for one in chosen.single if isinstance(one, int)]
    if len(ids) < len(chosen.single):
        return None
    return chosen._replace(states=()).with_ranges(ids).filter()


def _next_retry(store: Store, where: Filter) -> str:
    """Return when the first job that waits for its retry is due; empty if none does."""
    now = store.now()
    waiting = store.jobs(where._replace(states=(FAILED,), paused=False), limit=_LOOKED_AT)
    due = min((job.due_at for job in waiting if job.due_at > now), default=None)
    return "" if due is None else f"; the next retry is in {describe_duration(due - now)}"


def _or(words: Sequence[str]) -> str:
    """Return `a, b or c`."""
    return " or ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
