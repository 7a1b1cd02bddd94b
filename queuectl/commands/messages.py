"""`submit` and `queue peek`: messages for queues that have a command, or whose jobs programs claim."""

from __future__ import annotations

from queuectl.commands.drafts import AUTO, captured, due_time
from queuectl.commands.jobs import Prepared, no_workers, reply
from queuectl.commands.result import Result, Text
from queuectl.commands.tally import Tally, add_in_pieces, command_of, exact_lines
from queuectl.demands import PULLED
from queuectl.errors import Refused, UsageError
from queuectl.grammar.tokens import COMMENT, OPERATOR, next_word
from queuectl.job import FAILED, PENDING, NewJob
from queuectl.store.base import Filter
from queuectl.template import check_message, template_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args, Tail
    from queuectl.job import Job, State

#: states of what is shown by `queue peek` and counted as waiting
WAITING: tuple[State, ...] = (PENDING, FAILED)
#: lines on a terminal when no limit is given
_PAGE = 50


def submit(ctx: Context, args: Args) -> Result:
    """Run `submit`: each message is a job of the queue's command."""
    queue: str = args.queue
    tail: Tail = args.messages
    source: str | None = getattr(args, "from")
    from_lines = source is not None or (tail.text == "-" and not tail.verbatim)
    if source is not None and tail:
        raise UsageError("submit: give messages or --from FILE, not both")
    messages = () if from_lines else messages_of(tail)
    if not tail.verbatim:
        check_flags("submit", messages)
    if not from_lines and not messages:
        raise UsageError(f"submit what? for example: submit {queue} MESSAGE, or submit {queue} -")
    make = _maker(ctx, args, single=len(messages) == 1)
    if _only_messages(ctx):
        path = source or "-" if from_lines else None
        return _send(ctx, args, make, messages, path)
    if from_lines:
        tally = _submit_lines(ctx, make, source or "-")
    elif len(messages) == 1:
        return _submit_one(ctx, args, make(messages[0]))
    else:
        # all are made before any is added: one that cannot be an argument stops all
        jobs = [make(message) for message in messages]
        tally = add_in_pieces(ctx, jobs, len(jobs))
    return _answer(ctx, args, tally)


def check_flags(name: str, messages: Sequence[str]) -> None:
    """Raise UsageError for a message that is spelled like a flag of a command: it would be a job."""
    from queuectl.commands import GRAMMAR

    (command,) = (one for one in GRAMMAR.table if one.path == (name,))
    for message in messages:
        if message.startswith("-") and (command.flag(message) or command.session_flag(message)):
            raise UsageError(
                f"{name}: {message} behind a message would be one, too: flags come before the"
                " messages (if it is meant as one, put -- in front of them)"
            )


def messages_of(tail: Tail) -> Sequence[str]:
    """Return the messages that a tail says: words with a shell's quotes. Raises UsageError."""
    if tail.words is not None:
        return tail.words
    text = tail.text or ""
    found = []
    position = 0
    while (word := next_word(text, position)) is not None:
        end = word.end
        if word.kind == COMMENT:
            # here it is none: a message may begin with #
            rest = next_word(f"\\{text[word.start :]}", 0)
            word, end = (rest, word.start + rest.end - 1) if rest is not None else (word, end)
        if word.kind == OPERATOR:
            raise UsageError(f"{word.text} is no message: put it in quotes")
        if word.open_quote:
            raise UsageError(f"the quote {word.open_quote} is not closed")
        found.append(word.text)
        position = end
    return found


def _maker(ctx: Context, args: Args, *, single: bool) -> Callable[[str], NewJob]:
    """Return what makes the job of a message. Raises Refused for a queue without a command."""
    from queuectl.commands.picking import check_queues

    queue: str = args.queue
    check_queues(ctx.store, (queue,))
    template = template_of(ctx.store.settings(queue))
    if template is None and not _is_pull(ctx, queue):
        raise Refused(f"queue {queue} has no command: queue set {queue} --command 'PROGRAM {{}}'")
    if args.name is not None and not single:
        raise UsageError("submit: --name is for one message")
    if args.unique not in (None, AUTO) and not single:
        raise UsageError("submit: --unique KEY is for one message; --unique auto for many")
    like = NewJob(
        PULLED,
        queue=queue,
        name=_name(args.name),
        priority=args.priority,
        due_at=due_time(ctx, args.delay, args.at) if args.delay is not None or args.at else None,
        cwd=ctx.cwd,
        env=captured(ctx),
        submitter=ctx.submitter,
    )
    make = _for_programs(like) if template is None else template.maker(like)
    return make if args.unique is None else _with_key(make, args.unique)


def _is_pull(ctx: Context, queue: str) -> bool:
    return any(info.pull for info in ctx.store.queues() if info.name == queue)


def _for_programs(like: NewJob) -> Callable[[str], NewJob]:
    """Return what makes the job of a message that a program claims; no worker runs it."""

    def make(message: str) -> NewJob:
        check_message(message)
        return like._replace(message=message)

    return make


def _name(name: str | None) -> str | None:
    from queuectl.grammar.selection import check_name

    return None if name is None else check_name(name)


def _with_key(make: Callable[[str], NewJob], key: str) -> Callable[[str], NewJob]:
    from queuectl.commands.demands import check_key, key_of

    check_key(key)

    def keyed(message: str) -> NewJob:
        new = make(message)
        if key != AUTO:
            return new._replace(unique=key)
        # what programs claim is its message; else that is among the arguments
        whole = new._replace(args=(message,)) if new.command == PULLED else new
        return new._replace(unique=key_of(whole))

    return keyed


def _submit_one(ctx: Context, args: Args, new: NewJob) -> Result:
    notes: tuple[str, ...] = ()
    if not args.quiet:
        from queuectl.commands.hints import remarks

        notes = tuple(remarks(new, ctx.environ, ctx.memo))
    (job_id,) = ctx.write(lambda store: store.add((new,)))
    return reply(ctx, Prepared(new, notes, args.quiet), job_id)


def _only_messages(ctx: Context) -> bool:
    """Whether the store's token is good for messages alone. Asks a server, no other store."""
    role = getattr(ctx.store, "role", None)
    if role is None:
        return False
    from queuectl.store.remote.wire import WORK, allows

    return not allows(role(), WORK)


def _send(
    ctx: Context, args: Args, make: Callable[[str], NewJob], messages: Sequence[str],
    path: str | None,
) -> Result:  # fmt: skip
    """Have a server make jobs of messages, or of the lines of a file, all or none.

    They run in its directory, with its variables. Raises Refused for what a message cannot say.
    """
    for name in ("name", "priority", "delay", "at", "unique"):
        if getattr(args, name) is not None:
            raise Refused(f"submit: --{name} needs a token with the role work; yours is for submit")
    if path is None:
        jobs = [make(message) for message in messages]
    else:
        from queuectl.commands.bulk import read_lines

        jobs = read_lines(ctx, lambda line: make(line) if line else None, path, "submit")
    texts = [str(new.message) for new in jobs]
    send: Callable[[str, Sequence[str]], list[int]] = ctx.store.submit  # type: ignore[attr-defined]
    ids = ctx.write(lambda _: send(args.queue, texts)) if texts else []
    if path is None and len(ids) == 1:
        return reply(ctx, Prepared(jobs[0], (), args.quiet), ids[0])
    tally = Tally()
    tally.added(ids)
    ctx.last_id = ids[-1] if ids else ctx.last_id
    return _answer(ctx, args, tally)


def _submit_lines(ctx: Context, make: Callable[[str], NewJob], path: str) -> Tally:
    """Submit every line that is not empty, byte for byte, all of them or none."""
    from queuectl.commands.bulk import add_lines, open_source, spooled

    with open_source(ctx, path, "submit") as source, spooled(source) as file:
        tally = add_lines(ctx, lambda line: make(line) if line else None, file)
    if tally.ranges:
        ctx.last_id = tally.ranges[-1][1]
    return tally


def _answer(ctx: Context, args: Args, tally: Tally) -> Result:
    data = {"queue": args.queue, **tally.data}
    if args.quiet:
        return tally.quiet()._replace(data=data)
    notes = list(tally.remarks)
    if tally.jobs:
        notes += no_workers(ctx, args.queue)
    text = f"{tally.in_words} enqueued in queue {args.queue}"
    return Result(data, (Text(text),), notes)


def peek(ctx: Context, args: Args) -> Result:
    """Run `queue peek`: what waits in a queue, a line each."""
    from queuectl.commands.picking import check_queues

    check_queues(ctx.store, (args.queue,))
    where = Filter(states=WAITING, queues=(args.queue,))

    limit: int | None = args.limit
    notes: tuple[str, ...] = ()
    if limit is None and ctx.screen.terminal and not args.json:
        limit = _PAGE
        more = ctx.store.count(where) - limit
        if more > 0:
            notes = (f"{more} more wait: queue peek {args.queue} --limit N shows them",)

    def jobs() -> Iterator[Job]:
        return ctx.store.jobs(where, limit=limit)

    lines: Iterable[str]
    data = (
        {"id": job.id, "state": job.state, "message": job.message, "command": command_of(job)}
        for job in jobs()
    )
    lines = (_one_line(job) for job in jobs())
    if ctx.screen.terminal and not args.json:
        # text without lines would be an empty one
        lines = list(lines)
        if not lines:
            return Result([], notes=(f"nothing waits in queue {args.queue}",))
    return Result(data, (exact_lines(ctx, lines),), notes)


def _one_line(job: Job) -> str:
    """Return a message or a command in one line, so that lines can be counted."""
    text = command_of(job) if job.message is None else job.message
    return text.replace("\n", "\\n")
