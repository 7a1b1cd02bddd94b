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
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import State
    from queuectl.store.base import Changed, Store

#: jobs changed in one transaction
BATCH = 1000
#: jobs named one by one in the answer; above that they are counted
_NAMED = 20


class Plan(Record):
    """Jobs that are changed, in an order that needs all of them at once."""

    ids: Sequence[int]
    #: of these the ones that nobody selected, but asked for with the others
    also: frozenset[int] = frozenset()


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
    #: makes the plan for the jobs that are selected; None: page by page, as they come
    plan: Callable[[Store, Sequence[int]], Plan] | None = None


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
        (FAILED, DEAD, CANCELLED, COMPLETED), (FAILED, DEAD), plan=restarts(args),
    )  # fmt: skip
    return act(ctx, args, verb)


def restarts(args: Args) -> Callable[[Store, Sequence[int]], Plan]:
    """Return the plan of what starts jobs again, with --dependents those cancelled because of them."""
    from queuectl.commands import chains

    def plan(store: Store, ids: Sequence[int]) -> Plan:
        also = chains.given_up(store, ids) if args.dependents else []
        return Plan(chains.restarting(store, [*ids, *also]), frozenset(also))

    return plan


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
    plan = None
    if verb.plan is not None:
        plan = verb.plan(ctx.store, list(_selected(ctx, verb, chosen, written)))
    changes: Iterable[Changed] = _changes(ctx, verb, chosen, written, plan)
    if verb.name == "cancel":
        from queuectl.commands.lost import really_cancelled

        changes = really_cancelled(ctx, tuple(changes))
    answer = _gather(ctx.store, verb, changes, frozenset(written), plan, in_full=args.json)
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


def _selected(ctx: Context, verb: Verb, chosen: Selection, written: Sequence[int]) -> Iterator[int]:
    """Yield the ids of all jobs that are selected, none twice."""
    yield from written
    where, done, last = chosen.filter(_states(verb, chosen)), frozenset(written), 0
    while where is not None and (page := ctx.store.ids(where, last, BATCH)):
        last = page[-1]
        yield from (job_id for job_id in page if job_id not in done)


def _changes(
    ctx: Context, verb: Verb, chosen: Selection, written: Sequence[int], plan: Plan | None
) -> Iterator[Changed]:
    """Change jobs in batches; yield what came of each."""
    ids = iter(plan.ids) if plan is not None else _selected(ctx, verb, chosen, written)
    for batch in _batches(ids):
        yield from ctx.write(lambda store, batch=batch: verb.change(store, batch))  # type: ignore[misc]


def _batches(ids: Iterator[int]) -> Iterator[list[int]]:
    from itertools import islice

    while batch := list(islice(ids, BATCH)):
        yield batch


def _gather(
    store: Store,
    verb: Verb,
    changes: Iterable[Changed],
    written: frozenset[int],
    plan: Plan | None,
    *,
    in_full: bool,
) -> Result:
    """Return what came of all changes; each of many only when it is asked for in full."""
    tally = _Tally(verb, plan.also if plan is not None else frozenset())
    for change in changes:
        if change.done:
            tally.add(change, in_full=in_full)
        elif change.waits_for is not None:
            tally.refuse_waiting(change, in_full=in_full)
        elif change.job_id in written:
            tally.refused.append(_refusal(change))
    notes = tuple(tally.refused)
    if tally.waiting is not None:
        from queuectl.commands.chains import still

        notes += (still(store, tally.blocked, tally.waiting),)
    lines = tally.lines()
    answer: dict[str, object] = {
        "changed": tally.data,
        "refused": [*tally.refused, *tally.waits],
    }
    if tally.also:
        answer["dependents"] = sorted(tally.also)
    return Result(
        answer, (Text("\n".join(lines)),) if lines else (), notes, EXIT_FAILED if notes else 0
    )


class _Tally:
    """What came of a verb so far."""

    def __init__(self, verb: Verb, also: frozenset[int]) -> None:
        self._verb = verb
        self.also = also
        self.data: list[dict[str, object]] = []
        #: what is said of those that are written out, and of those that wait for what can never be
        self.refused: list[str] = []
        self.waits: list[str] = []
        #: how many of the latter, and the first: what that waits for is not among them
        self.blocked = 0
        self.waiting: Changed | None = None
        self._done = 0
        self._also_done = 0
        self._lines: list[str] = []
        #: by what else changed with them: jobs
        self._noted: dict[str, int] = {}

    def add(self, change: Changed, *, in_full: bool) -> None:
        """Count a job that was changed."""
        self._done += 1
        self._also_done += change.job_id in self.also
        if change.note:
            self._noted[change.note] = self._noted.get(change.note, 0) + 1
        if in_full:
            noted = {"note": change.note} if change.note else {}
            self.data.append({"id": change.job_id, "state": change.state, **noted})
        if self._done <= _NAMED:
            note = f": {change.note}" if change.note else ""
            self._lines.append(f"job {change.job_id} {_done(self._verb, change)}{note}")

    def refuse_waiting(self, change: Changed, *, in_full: bool) -> None:
        """Count a job that waits for what can never be."""
        self.blocked += 1
        self.waiting = self.waiting or change
        if in_full:
            self.waits.append(_refusal(change))

    def lines(self) -> list[str]:
        """Return what was done: a line for each, or the number of many."""
        if self._done <= _NAMED:
            lines = self._lines
        else:
            noted = "".join(f"; of {jobs} {note}" for note, jobs in self._noted.items())
            lines = [f"{plural(self._done, 'job')} {self._verb.done}{noted}"]
        if self._also_done:
            lines = [*lines, f"of these {self._also_done} had been cancelled because of others"]
        return lines


def _done(verb: Verb, change: Changed) -> str:
    if verb.name == "cancel" and change.state in (PENDING, FAILED, PROCESSING):
        return change.why or "is being stopped"
    if verb.name == "cancel" and change.state != CANCELLED:
        return f"had ended: it is {change.state}"
    if verb.name == "retry":
        return "is due now" if change.state == FAILED else "starts afresh"
    return verb.done


def _refusal(change: Changed) -> str:
    if change.why == "does not exist":
        # removed since it was looked up: told as one that never was
        return f"no job {change.job_id}"
    return f"job {change.job_id} {f'is {change.why}' if change.why.startswith('already') else change.why}"
