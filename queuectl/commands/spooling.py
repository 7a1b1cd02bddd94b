"""`produce`: messages appended to a spool file, whether or not anybody reads it now."""

from __future__ import annotations

import os

from queuectl.commands.queues import check_queue_name
from queuectl.commands.result import Result, plural, say
from queuectl.errors import BadValue, Refused, UsageError
from queuectl.paths import make_private, spool_directory
from queuectl.template import check_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args

SUFFIX = ".queue"
#: tries to lock a file that is being renamed meanwhile
_TRIES = 100


def produce(ctx: Context, args: Args) -> Result:
    """Run `produce`: all messages or none, durable when it returns; needs neither store nor service."""
    from queuectl.commands.messages import check_flags, messages_of

    messages = messages_of(args.messages)
    if not args.messages.verbatim:
        check_flags("produce", messages)
    if not messages:
        raise UsageError(f"produce what? for example: produce {args.queue} MESSAGE")
    for message in messages:
        check_message(message)
        if "\n" in message or not message:
            expected = "a message: one line that is not empty"
            raise BadValue(what="produce", value=message, expected=expected)
    check_queue_name(args.queue, "produce")
    directory = directory_of(ctx, args.spool)
    path = spool_path(directory, args.queue)
    data = b"".join(os.fsencode(message) + b"\n" for message in messages)
    try:
        _append(path, data)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    text = f"{plural(len(messages), 'message')} appended to {path}"
    named = args.spool is not None or ctx.environ.get("QUEUECTL_SPOOL")
    notes = () if named else _unread(ctx, directory, args.queue)
    facts = {"queue": args.queue, "messages": len(messages), "file": path}
    return say(text, facts, notes=notes)


def _unread(ctx: Context, directory: str, queue: str) -> tuple[str, ...]:
    """Return a remark when services here read another directory, and none of them reads this one."""
    from queuectl.commands.readers import reading_here

    places = [place.directory for place in reading_here(ctx.environ) if place.covers(queue)]
    if not places or os.path.realpath(directory) in places:
        return ()
    others = " and ".join(sorted(set(places)))
    return (f"no service here reads {directory}, one reads {others}: produce --spool {places[0]}",)


def directory_of(ctx: Context, given: str | None) -> str:
    """Return the spool directory: one that somebody named must be there, the default is made."""
    if given is not None:
        path = os.path.normpath(os.path.join(ctx.cwd, os.path.expanduser(given)))
        check_directory("--spool ", path)
        return path
    path = spool_directory(ctx.environ)
    if ctx.environ.get("QUEUECTL_SPOOL"):
        check_directory("QUEUECTL_SPOOL=", path)
        return path
    try:
        make_private(path)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    return path


def check_directory(said: str, path: str) -> None:
    """Raise UsageError for what is no directory; `said` is how it was named."""
    if not os.path.isdir(path):
        what = "that is no directory" if os.path.lexists(path) else "there is no such directory"
        raise UsageError(f"{said}{path}: {what}")


def spool_path(directory: str, queue: str) -> str:
    """Return the spool file of a queue. Raises BadValue for a name that would leave the directory."""
    check_queue_name(queue)
    if "/" in queue or queue.startswith("."):
        expected = "a queue with a file of its own: no slash, no leading dot"
        raise BadValue(what="spool", value=queue, expected=expected)
    return f"{directory}/{queue}{SUFFIX}"


def _append(path: str, data: bytes) -> None:
    """Append whole lines behind all that is there, under the file's lock. Raises OSError, Refused."""
    import fcntl

    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    for _ in range(_TRIES):
        fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is_still(fd, path):
                _write(fd, data)
                return
        finally:
            os.close(fd)
    raise Refused(f"{path} is renamed again and again")


def _is_still(fd: int, path: str) -> bool:
    """Whether a path is that of an open file: it may have been renamed while its lock was awaited."""
    import stat

    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is no regular file")
    try:
        return os.path.samestat(found, os.lstat(path))
    except FileNotFoundError:
        return False


def _write(fd: int, data: bytes) -> None:
    before = os.fstat(fd).st_size
    if before and os.pread(fd, 1, before - 1) != b"\n":
        # a line that somebody left without an end: it must not become part of ours
        data = b"\n" + data
    written = 0
    try:
        while written < len(data):
            written += os.write(fd, data[written:])
        os.fdatasync(fd)
    except OSError:
        if written and os.fstat(fd).st_size == before + written:
            # half a message is none
            os.ftruncate(fd, before)
        raise
