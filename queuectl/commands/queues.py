"""`queue`: named lanes of jobs, each with limits, defaults, a command and a pause switch of its own."""

from __future__ import annotations

from queuectl.commands.jobs import forget_remarks
from queuectl.commands.result import Column, Result, Table, Text, say
from queuectl.errors import BadValue, Refused, UsageError
from queuectl.job import DEAD, FAILED, PENDING, PROCESSING
from queuectl.record import Record
from queuectl.settings import BY_NAME, canonical
from queuectl.store.base import Filter, Rate
from queuectl.template import template_of
from queuectl.timespec import describe_duration, format_duration, parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.store.base import QueueInfo, Store

_LONGEST_NAME = 100
#: jobs of a queue, by id, among which the one that has waited longest is looked for
_LOOKED_AT = 100
#: takes a limit, a rate or a setting back
NONE = "none"
#: by flag: the setting of the queue it makes
_SETTINGS = {
    "command": "command", "cwd": "command-cwd", "priority": "priority", "max_retries": "max-retries",
    "backoff_base": "backoff-base", "timeout": "timeout", "halt_on": "halt-on",
}  # fmt: skip
#: by switch: likewise
_SWITCHES = {"shell": "command-shell", "accept_messages": "accept-messages"}
_COLUMNS = (
    Column("QUEUE"), Column("STATE", styles={"paused": "yellow"}), Column("WAITING", right=True),
    Column("RUNNING", right=True), Column("DEAD", right=True), Column("OLDEST", right=True, optional=True),
    Column("RATE", optional=True), Column("WHY", optional=True, elastic=True),
    Column("COMMAND", optional=True, elastic=True),
)  # fmt: skip


class _Asked(Record):
    """What flags ask of a queue."""

    #: limit, rate and pull, as `change_queue` takes them
    columns: Mapping[str, object]
    #: settings of the queue, canonical; None takes one back
    settings: Mapping[str, str | None]


def check_queue_name(name: str, what: str = "queue") -> str:
    """Return a queue's name if every command can say it. Raises BadValue; `what` is its first word."""
    if (
        not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME
        or name.startswith(("-", "{")) or any(char in " ,'\"" for char in name)
    ):  # fmt: skip
        expected = "a queue's name: no blank, comma, quote or leading hyphen"
        raise BadValue(what=what, value=name, expected=expected)
    return name


def parse_rate(text: str) -> Rate:
    """Return the rate of `10/m` or `3/10s`: so many starts in a period. Raises BadValue."""
    starts, slash, period = text.replace(" ", "").partition("/")
    bad = BadValue(what="rate", value=text, expected="a rate such as 10/m, 5/s or 3/10s")
    if not slash or not period or not (starts.isascii() and starts.isdigit()) or len(starts) > 9:
        raise bad
    try:
        length = parse_duration(period if period[0] in "0123456789." else f"1{period}")
    except BadValue:
        raise bad from None
    if not int(starts) or not length:
        raise bad
    return Rate(int(starts), length)


def format_rate(rate: Rate) -> str:
    """Return the text that `parse_rate` reads back: `10/m`."""
    period = format_duration(rate.period)
    single = period[0] == "1" and period[1:] in ("ms", "s", "m", "h", "d")
    return f"{rate.starts}/{period[1:] if single else period}"


def create(ctx: Context, args: Args) -> Result:
    """Run `queue create`."""
    name = check_queue_name(args.queue, "queue create")
    asked = _asked(ctx, args)
    _check_template(asked.settings, {})

    def change(store: Store) -> bool:
        with store.transaction():
            if not store.create_queue(name, **asked.columns):  # type: ignore[arg-type]
                return False
            _apply_settings(store, name, asked.settings)
        return True

    if not ctx.write(change):
        raise Refused(f"there is a queue {name} already: `queue set {name} …` changes it")
    data = {"queue": name, "limit": None, **_asked_data(asked)}
    more = _in_words(asked)
    return say(f"queue {name} created{': ' if more else ''}{more}", data)


def change(ctx: Context, args: Args) -> Result:
    """Run `queue set`: what its flags say, all or nothing; without flags it shows the queue."""
    name: str = args.queue
    info = _info(ctx, name)
    asked = _asked(ctx, args)
    if not asked.columns and not asked.settings:
        return _shown(ctx, info)
    _check_template(asked.settings, ctx.store.settings(name))

    def change(store: Store) -> None:
        with store.transaction():
            if asked.columns:
                store.change_queue(name, asked.columns)
            _apply_settings(store, name, asked.settings)

    ctx.write(change)
    return say(f"queue {name}: {_in_words(asked)}", {"queue": name, **_asked_data(asked)})


def _asked(ctx: Context, args: Args) -> _Asked:
    """Read the flags of `queue create` and `queue set`. Raises BadValue and UsageError."""
    columns: dict[str, object] = {}
    if args.limit is not None:
        columns["limit"] = None if args.limit == NONE else _limit(args.limit)
    if args.rate is not None:
        columns["rate"] = None if args.rate == NONE else parse_rate(args.rate)
    pull = _switch(args, "pull")
    if pull is not None:
        columns["pull"] = pull
    settings: dict[str, str | None] = {}
    for flag, name in _SETTINGS.items():
        text: str | None = getattr(args, flag)
        if text is None:
            continue
        if text == NONE:
            settings[name] = None
        else:
            settings[name] = _setting(ctx, name, text)
    for flag, name in _SWITCHES.items():
        on = _switch(args, flag)
        if on is not None:
            settings[name] = "on" if on else None
    return _Asked(columns, settings)


def _setting(ctx: Context, name: str, text: str) -> str:
    if name == "command" and not text.strip():
        raise BadValue(what="--command", value=text, expected="a command; `none` takes it back")
    if name == "command-cwd":
        from queuectl.commands.drafts import directory

        text = directory(ctx, text)
    return canonical(BY_NAME[name], text)


def _limit(text: str) -> int:
    from queuectl.grammar.engine import READERS

    limit = READERS["count"]("--limit", text)
    assert isinstance(limit, int)  # noqa: S101 (what that reader returns)
    return limit


def _switch(args: Args, name: str) -> bool | None:
    on, off = getattr(args, name), getattr(args, f"no_{name}", False)
    if on and off:
        flag = name.replace("_", "-")
        raise UsageError(f"queue set: --{flag} and --no-{flag} exclude each other")
    return True if on else False if off else None


def _check_template(asked: Mapping[str, str | None], before: Mapping[str, str]) -> None:
    """Raise UsageError where a queue's command could not be split into words."""
    after = {**before, **asked}
    template_of({name: text for name, text in after.items() if text is not None})
    if "command" not in asked and after.get("command") is None:
        for name in ("command-shell", "command-cwd", "accept-messages"):
            if asked.get(name) is not None:
                flag = name.removeprefix("command-")
                raise UsageError(f"--{flag} is about a queue's command: give --command too")


def _apply_settings(store: Store, queue: str, settings: Mapping[str, str | None]) -> None:
    for name, text in settings.items():
        store.set(name, text, queue)


def _asked_data(asked: _Asked) -> dict[str, object]:
    columns = {
        name: format_rate(value) if isinstance(value, Rate) else value
        for name, value in asked.columns.items()
    }
    return {**columns, **{name.replace("-", "_"): text for name, text in asked.settings.items()}}


def _in_words(asked: _Asked) -> str:
    parts = []
    if "limit" in asked.columns:
        limit = asked.columns["limit"]
        parts.append("no limit" if limit is None else f"at most {limit} running at once")
    if "rate" in asked.columns:
        rate = asked.columns["rate"]
        parts.append(f"rate {format_rate(rate)}" if isinstance(rate, Rate) else "no rate")
    if "pull" in asked.columns:
        pull = (
            "only for whoever asks for it by name" if asked.columns["pull"] else "for every worker"
        )
        parts.append(pull)
    for name, text in asked.settings.items():
        default = BY_NAME[name].default
        parts.append(f"{name} {text}" if text is not None else f"{name} {default or 'none'}")
    return ", ".join(parts)


def _info(ctx: Context, name: str) -> QueueInfo:
    """Return a queue. Raises NoSuchQueue with the nearest."""
    from queuectl.commands.picking import check_queues

    for info in ctx.store.queues():
        if info.name == name:
            return info
    check_queues(ctx.store, (name,))
    raise Refused(f"queue {name} was just made: try again")


def _shown(ctx: Context, info: QueueInfo) -> Result:
    """Return one queue whole."""
    data = _data(ctx, info)
    lines = [f"queue {info.name}: {_state(info)}"]
    facts: dict[str, str | None] = {
        "limit": None if info.limit is None else str(info.limit),
        "rate": None if info.rate is None else format_rate(info.rate),
        "pull": "on" if info.pull else None,
        **ctx.store.settings(info.name),
    }
    lines += [f"  {name}  {text}" for name, text in facts.items() if text is not None]
    return Result(data, (Text("\n".join(lines)),))


def list_queues(ctx: Context, args: Args) -> Result:  # noqa: ARG001
    """Run `queue list`."""
    found = [(info, _data(ctx, info)) for info in ctx.store.queues()]
    rows = [_cells(info, data) for info, data in found]
    return Result([data for _, data in found], (Table(_COLUMNS, rows),))


def _cells(info: QueueInfo, data: Mapping[str, object]) -> tuple[str | None, ...]:
    running = str(info.counts.get(PROCESSING, 0))
    oldest = data["oldest_wait_ms"]
    return (
        info.name,
        "paused" if info.paused else "open",
        str(data["waiting"]),
        running if info.limit is None else f"{running}/{info.limit}",
        str(info.counts.get(DEAD, 0)),
        describe_duration(oldest) if isinstance(oldest, int) else None,
        None if info.rate is None else format_rate(info.rate),
        info.paused_why,
        None if data["command"] is None else str(data["command"]),
    )


def _data(ctx: Context, info: QueueInfo) -> dict[str, object]:
    settings = ctx.store.settings(info.name)
    return {
        "queue": info.name,
        "paused": info.paused,
        "paused_why": info.paused_why,
        "limit": info.limit,
        "rate": None if info.rate is None else format_rate(info.rate),
        "pull": info.pull,
        "counts": dict(info.counts),
        "waiting": info.counts.get(PENDING, 0) + info.counts.get(FAILED, 0),
        "oldest_wait_ms": _oldest_wait(ctx.store, info),
        "command": settings.get("command"),
        "settings": settings,
    }


def _oldest_wait(store: Store, info: QueueInfo) -> int | None:
    """Return how long the first job that could run has waited, ms; None when none does."""
    if not info.counts.get(PENDING, 0):
        return None
    where = Filter(states=(PENDING,), queues=(info.name,), paused=False)
    now = store.now()
    # nearly always it is the first
    for most in (1, _LOOKED_AT):
        for job in store.jobs(where, limit=most):
            if job.due_at <= now and not job.unmet:
                return max(0, now - max(job.due_at, job.created_at))
    return None


def _state(info: QueueInfo) -> str:
    if not info.paused:
        return "open"
    return f"paused: {info.paused_why}" if info.paused_why else "paused"


def pause(ctx: Context, args: Args) -> Result:
    """Run `queue pause`."""
    _info(ctx, args.queue)
    ctx.write(lambda store: store.pause_queue(args.queue, paused=True))
    forget_remarks(ctx)
    text = f"queue {args.queue} is paused: what runs goes on, nothing more is started"
    return say(text, {"queue": args.queue, "paused": True})


def resume(ctx: Context, args: Args) -> Result:
    """Run `queue resume`."""
    _info(ctx, args.queue)
    ctx.write(lambda store: store.pause_queue(args.queue, paused=False))
    forget_remarks(ctx)
    return say(f"queue {args.queue} is open", {"queue": args.queue, "paused": False})


def remove(ctx: Context, args: Args) -> Result:
    """Run `queue remove`: a queue without jobs."""
    _info(ctx, args.queue)
    ctx.write(lambda store: store.remove_queue(args.queue))
    return say(f"queue {args.queue} removed", {"queue": args.queue, "removed": True})
