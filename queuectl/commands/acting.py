"""`cancel`, `retry`, `pause`, `resume`, `remove`: verbs that change jobs somebody selected."""

from __future__ import annotations

from queuectl.commands import picking
from queuectl.commands.result import Result, Text, plural
from queuectl.errors import EXIT_FAILED, UsageError
from queuectl.grammar.selection import Selection, resolve_single
from queuectl.job import CANCELLED, COMPLETED, DEAD, FAILED, PENDING, PROCESSING
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import State
    from queuectl.store.base import Changed, Store

#: jobs changed in one transaction
BATCH = 1000
#: jobs named one by one in the answer; above that they are counted
_NAMED = 20


class Verb(Record):
    """What a verb does to the jobs it is given, and to which it can."""

    name: str
    #: how the answer names it: `3 jobs cancelled`
    done: str
    change: Callable[[Store, Sequence[int]], list[Changed]]
    #: states whose jobs ranges and filters take
    possible: tuple[State, ...]
    #: states that `all`, or filters alone, take
    nature: tuple[State, ...]
    #: asks before it touches more than one job
    destructive: bool = False


def cancel(ctx: Context, args: Args) -> Result:
    """Run `cancel`."""
    now: bool = args.now
    live: tuple[State, ...] = (PENDING, FAILED, PROCESSING)
    verb = Verb(
        "cancel", "cancelled", lambda store, ids: store.cancel(ids, now=now), live, live,
        destructive=True,
    )  # fmt: skip
    return act(ctx, args, verb)


def retry(ctx: Context, args: Args) -> Result:
    """Run `retry`."""
    verb = Verb(
        "retry", "to be run again", lambda store, ids: store.retry(ids),
        (FAILED, DEAD, CANCELLED, COMPLETED), (FAILED, DEAD),
    )  # fmt: skip
    return act(ctx, args, verb)


def pause(ctx: Context, args: Args) -> Result:
    """Run `pause`."""
    live: tuple[State, ...] = (PENDING, FAILED, PROCESSING)
    verb = Verb("pause", "paused", lambda store, ids: store.hold(ids, held=True), live, live)
    return act(ctx, args, verb)


def resume(ctx: Context, args: Args) -> Result:
    """Run `resume`."""
    live: tuple[State, ...] = (PENDING, FAILED, PROCESSING)
    verb = Verb("resume", "resumed", lambda store, ids: store.hold(ids, held=False), live, live)
    return act(ctx, args, verb)


def remove(ctx: Context, args: Args) -> Result:
    """Run `remove`."""
    still: tuple[State, ...] = (PENDING, FAILED, COMPLETED, DEAD, CANCELLED)
    verb = Verb(
        "remove", "removed", lambda store, ids: store.remove(ids), still, still, destructive=True
    )
    return act(ctx, args, verb)


def act(ctx: Context, args: Args, verb: Verb, chosen: Selection | None = None) -> Result:
    """Do it to the jobs of a selection: what is written out first, checked before anything changes.

    Raises UsageError without a selection, NotFound for an id or name that does not exist.
    """
    if chosen is None:
        chosen = picking.selection_of(ctx, args)
    if chosen.empty:
        nature = ", ".join(verb.nature)
        raise UsageError(
            f"{verb.name} what? give ids, names, `last`, a filter such as --state, or `all` ({nature})"
        )
    picking.check_queues(ctx.store, chosen.queues)
    written = resolve_single(ctx.store, chosen, ctx.last_job)
    if chosen.filtered:
        chosen, written = chosen.with_ranges(written), ()
    _ask(ctx, args, verb, chosen, written)
    changes = _changes(ctx, verb, chosen, written)
    answer = _gather(verb, changes, frozenset(written), in_full=args.json)
    if not answer.blocks and not answer.notes:
        none = picking.none_of(ctx.store, chosen, _states(verb, chosen))
        return answer._replace(notes=(f"nothing to {verb.name}: {none}",))
    return answer


def _states(verb: Verb, chosen: Selection) -> tuple[State, ...]:
    """Return the states that ranges, filters and `all` take: with a state or a range, any that can."""
    wide = bool(chosen.states or (chosen.ranges and not chosen.all))
    return verb.possible if wide else verb.nature


def _ask(ctx: Context, args: Args, verb: Verb, chosen: Selection, written: Sequence[int]) -> None:
    """Ask before many jobs are touched. Raises UsageError without anybody to ask, Refused on no."""
    if not verb.destructive or args.yes:
        return
    where = chosen.filter(_states(verb, chosen))
    number = len(written) + (ctx.store.count(where) if where is not None else 0)
    confirm(ctx, f"{verb.name} {plural(number, 'job')}?", number)


def confirm(ctx: Context, question: str, number: int) -> None:
    """Ask a person when it is about more than one job; see `_ask`."""
    if number <= 1:
        return
    if ctx.confirm is None:
        raise UsageError(f"{question} nobody is here to answer: add --yes")
    if not ctx.confirm(question):
        from queuectl.errors import Refused

        raise Refused("nothing was changed")


def _changes(
    ctx: Context, verb: Verb, chosen: Selection, written: Sequence[int]
) -> Iterator[Changed]:
    """Change jobs in batches; yield what came of each."""
    for batch in _batches(iter(written)):
        yield from ctx.write(lambda store, batch=batch: verb.change(store, batch))  # type: ignore[misc]
    where = chosen.filter(_states(verb, chosen))
    if where is None:
        return
    done, last = frozenset(written), 0
    while page := ctx.store.ids(where, last, BATCH):
        last = page[-1]
        batch = [job_id for job_id in page if job_id not in done]
        yield from ctx.write(lambda store, batch=batch: verb.change(store, batch))  # type: ignore[misc]


def _batches(ids: Iterator[int]) -> Iterator[list[int]]:
    from itertools import islice

    while batch := list(islice(ids, BATCH)):
        yield batch


def _gather(
    verb: Verb, changes: Iterator[Changed], written: frozenset[int], *, in_full: bool
) -> Result:
    """Return what came of all changes; each of many only when it is asked for in full."""
    done = 0
    refused: list[str] = []
    lines: list[str] = []
    data: list[dict[str, object]] = []
    for change in changes:
        if change.done:
            done += 1
            if in_full:
                data.append({"id": change.job_id, "state": change.state})
            if done <= _NAMED:
                lines.append(f"job {change.job_id} {_done(verb, change)}")
        elif change.job_id in written:
            refused.append(_refusal(change))
    if done > _NAMED:
        lines = [f"{plural(done, 'job')} {verb.done}"]
    blocks = (Text("\n".join(lines)),) if lines else ()
    answer = {"changed": data, "refused": refused}
    return Result(answer, blocks, tuple(refused), EXIT_FAILED if refused else 0)


def _done(verb: Verb, change: Changed) -> str:
    if verb.name == "cancel" and change.state != CANCELLED:
        return "is being stopped"
    if verb.name == "retry":
        return "is due now" if change.state == FAILED else "starts afresh"
    return verb.done


def _refusal(change: Changed) -> str:
    if change.why == "does not exist":
        # removed since it was looked up: told as one that never was
        return f"no job {change.job_id}"
    return f"job {change.job_id} {f'is {change.why}' if change.why.startswith('already') else change.why}"
