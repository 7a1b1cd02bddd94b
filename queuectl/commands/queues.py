"""`queue`: named lanes of jobs, each with a limit and a pause switch of its own."""

from __future__ import annotations

from queuectl.commands.result import Column, Result, Table, say
from queuectl.errors import BadValue, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.commands.context import Context
    from queuectl.table import Args

_LONGEST_NAME = 100


def create(ctx: Context, args: Args) -> Result:
    """Run `queue create`."""
    name: str = args.queue
    if (
        not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME
        or name.startswith(("-", "{")) or any(char in " ,'\"" for char in name)
    ):  # fmt: skip
        expected = "a queue's name: no blank, comma, quote or leading hyphen"
        raise BadValue(what="queue create", value=name, expected=expected)
    if not ctx.write(lambda store: store.create_queue(name, limit=args.limit)):
        raise Refused(f"there is a queue {name} already")
    limit = f", at most {args.limit} running at once" if args.limit else ""
    return say(f"queue {name} created{limit}", {"queue": name, "limit": args.limit})


def list_queues(ctx: Context, args: Args) -> Result:  # noqa: ARG001
    """Run `queue list`."""
    queues = ctx.store.queues()
    columns = (
        Column("QUEUE"), Column("STATE", styles={"paused": "yellow"}), Column("LIMIT", right=True, optional=True),
        *(Column(state.upper(), right=True) for state in ("pending", "processing", "failed", "dead")),
    )  # fmt: skip
    rows = [
        (
            queue.name,
            "paused" if queue.paused else "open",
            None if queue.limit is None else str(queue.limit),
            *(
                str(queue.counts.get(state, 0))
                for state in ("pending", "processing", "failed", "dead")
            ),
        )
        for queue in queues
    ]
    data = [
        {
            "queue": queue.name,
            "paused": queue.paused,
            "limit": queue.limit,
            "counts": dict(queue.counts),
        }
        for queue in queues
    ]
    return Result(data, (Table(columns, rows),))


def pause(ctx: Context, args: Args) -> Result:
    """Run `queue pause`."""
    ctx.write(lambda store: store.pause_queue(args.queue, paused=True))
    text = f"queue {args.queue} is paused: what runs goes on, nothing more is started"
    return say(text, {"queue": args.queue, "paused": True})


def resume(ctx: Context, args: Args) -> Result:
    """Run `queue resume`."""
    ctx.write(lambda store: store.pause_queue(args.queue, paused=False))
    return say(f"queue {args.queue} is open", {"queue": args.queue, "paused": False})
