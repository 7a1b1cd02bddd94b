"""`set` and `prune`: settings, and what is not kept for ever."""

from __future__ import annotations

from queuectl.commands.result import Column, Result, Table, plural, say
from queuectl.errors import BadValue, UsageError
from queuectl.job import CANCELLED, COMPLETED, FINAL
from queuectl.retention import surplus
from queuectl.settings import DEFAULT, ENVIRONMENT, QUEUE, SETTINGS, STORE, canonical, find
from queuectl.store.base import Filter
from queuectl.timespec import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import State
    from queuectl.settings import Setting
    from queuectl.store.base import Store

#: jobs pruned in one transaction
_PORTION = 1000


def set_value(ctx: Context, args: Args) -> Result:
    """Run `set`: show all settings, show one, change one, or take a change back."""
    queue: str | None = args.queue
    if queue is not None:
        from queuectl.commands.picking import check_queues

        check_queues(ctx.store, (queue,))
    if args.setting is None:
        if args.default:
            raise UsageError("set --default: which setting? for example: set max-retries --default")
        return _all_settings(ctx, queue)
    setting = _setting(args.setting)
    if queue is not None and not setting.per_job and not setting.per_queue:
        raise UsageError(f"{setting.name} is not a setting of jobs: it cannot be set for a queue")
    if queue is None and setting.per_queue:
        raise UsageError(f"{setting.name} is a setting of a queue: add --queue NAME")
    if args.default:
        if args.value:
            raise UsageError(f"set {setting.name}: a value or --default, not both")
        ctx.write(lambda store: store.set(setting.name, None, queue))
    elif args.value:
        text = _read(setting, " ".join(args.value))
        if queue is not None and setting.per_queue:
            _check_command(ctx, queue, {setting.name: text})
        ctx.write(lambda store: store.set(setting.name, text, queue))
    else:
        value, origin = _value_and_origin(ctx.store, setting, queue)
        return say(
            f"{setting.name} is {value or '-'} ({origin}): {setting.help}",
            _setting_data(ctx, setting, queue),
        )
    value, origin = _value_and_origin(ctx.store, setting, queue)
    where = "" if queue is None else f" for queue {queue}"
    applies = "; applies to jobs enqueued from now on" if setting.per_job else ""
    back = f" again, from {origin}" if args.default else ""
    return say(
        f"{setting.name} is {value or '-'}{back}{where}{applies}",
        _setting_data(ctx, setting, queue),
    )


def _setting(name: str) -> Setting:
    """Return a setting; what `queue set` changes is no setting but looks like one."""
    if name in ("limit", "rate", "pull"):
        raise UsageError(f"{name} is no setting: queue set NAME --{name} …")
    return find(name)


def _read(setting: Setting, text: str) -> str:
    """Return a value as it is kept. Raises BadValue; `default` is how it looks, not a value."""
    try:
        return canonical(setting, text)
    except BadValue as error:
        if text != DEFAULT:
            raise
        raise UsageError(f"{error}; to take a change back: set {setting.name} --default") from None


def _check_command(ctx: Context, queue: str, asked: Mapping[str, str]) -> None:
    """Raise UsageError for a command of a queue that cannot be split into words."""
    from queuectl.template import template_of

    template_of({**ctx.store.settings(queue), **asked})


def _all_settings(ctx: Context, queue: str | None) -> Result:
    columns = (
        Column("SETTING"),
        Column("VALUE", elastic=True),
        Column("FROM"),
        Column("MEANING", elastic=True),
    )
    rows = [
        (setting.name, *_value_and_origin(ctx.store, setting, queue), setting.help)
        for setting in SETTINGS
        if queue is not None or not setting.per_queue
    ]
    data = [
        _setting_data(ctx, setting, queue)
        for setting in SETTINGS
        if queue is not None or not setting.per_queue
    ]
    return Result(data, (Table(columns, rows),))


def _setting_data(ctx: Context, setting: Setting, queue: str | None) -> dict[str, object]:
    value, origin = _value_and_origin(ctx.store, setting, queue)
    return {"setting": setting.name, "value": value, "from": origin, "meaning": setting.help}


def _value_and_origin(store: Store, setting: Setting, queue: str | None) -> tuple[str, str]:
    """Return the value in effect and where it comes from, strongest source first."""
    sources: list[tuple[str, Mapping[str, str]]] = [
        (STORE, store.settings()), (ENVIRONMENT, store.local_settings),
    ]  # fmt: skip
    if queue is not None:
        sources.insert(0, (QUEUE, store.settings(queue)))
    for origin, values in sources:
        if setting.name in values:
            return values[setting.name], origin
    return setting.default, DEFAULT


def prune(ctx: Context, args: Args) -> Result:
    """Run `prune`: by the keep- settings, or by what the flags say."""
    states = {state for group in args.state for state in group}
    wrong = states - FINAL
    if wrong:
        expected = "a final state: completed, cancelled or dead"
        raise BadValue(what="--state", value=wrong.pop(), expected=expected)
    if args.older_than is None and not states:
        removed = prune_by_settings(ctx)
        return say(f"{plural(removed, 'job')} removed", {"removed": removed})
    if args.older_than is None:
        raise UsageError(
            "prune --state: how old? for example --older-than 7d, or 0 for all of them"
        )
    chosen: tuple[State, ...] = tuple(states) or (COMPLETED, CANCELLED)
    before = ctx.store.now() - args.older_than if args.older_than else None
    if not args.yes:
        from queuectl.commands.acting import confirm

        most = ctx.store.count(Filter(states=chosen))
        what = (
            f"finished more than {format_duration(args.older_than)} ago"
            if args.older_than
            else "all of them"
        )
        confirm(ctx, f"remove {' and '.join(sorted(chosen))} jobs ({what}; up to {most})?", most)
    removed = _prune(ctx, chosen, before)
    return say(f"{plural(removed, 'job')} removed", {"removed": removed})


def _prune(
    ctx: Context, states: Sequence[State], before: int | None, most: int | None = None
) -> int:
    """Remove in portions, so that no other writer waits for long; return how many."""
    removed = 0
    while most is None or removed < most:
        portion = _PORTION if most is None else min(_PORTION, most - removed)
        gone = ctx.write(lambda store, portion=portion: store.prune(states, before, portion))  # type: ignore[misc]
        removed += gone
        if not gone:
            break
    return removed


def prune_by_settings(ctx: Context) -> int:
    """Remove what the keep- settings do not keep; return how many."""
    return sum(_prune(ctx, (state,), before, most) for state, before, most in surplus(ctx.store))
