"""The requests of taskspooler's clients: `queue: COMMAND`, `status: all`, `status: ID`.

The answers have the keys that its README shows, in that order, and nothing else. A job that is dead
is `failed` to these clients; the other states are called what they are.
"""

from __future__ import annotations

import os

from queuectl.commands import GRAMMAR
from queuectl.errors import readable
from queuectl.job import DEAD, FAILED, PENDING, PROCESSING
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.commands.context import Context
    from queuectl.job import Job

_QUEUE, _STATUS = "queue:", "status:"
#: a request without a newline is not longer: its clients' server never read more
LONGEST = 65536


def is_request(text: str) -> bool:
    """Whether a line is for this module."""
    return text.startswith((_QUEUE, _STATUS))


def may_be_unframed(data: bytes) -> bool:
    """Whether what a connection began with may be a whole request without a newline.

    A command of several lines is one; further requests on lines of their own say that it is none.
    """
    if not data.startswith((b"queue:", b"status:")) or data.endswith(b"\n"):
        return False
    return len(data) <= LONGEST and b"\nqueue:" not in data and b"\nstatus:" not in data


def answer(ctx: Context, text: str) -> Iterator[str]:
    """Yield the answer as JSON, piece by piece. Raises QueuectlError before the first piece."""
    import json

    if text.startswith(_QUEUE):
        return iter((json.dumps({"message": _queue(ctx, text.removeprefix(_QUEUE).strip())}),))
    which = text.removeprefix(_STATUS).strip()
    if which == "all":
        return _all(ctx)
    if not which.isascii() or not which.isdigit():
        return iter((json.dumps({"error": "Invalid job ID", "exit_code": 2}),))
    job = ctx.store.get(int(which)) if len(which) < 19 else None
    if job is None:
        return iter((json.dumps({"error": f"Job ID {which} not found", "exit_code": 3}),))
    return _one(ctx, job)


def _queue(ctx: Context, command: str) -> str:
    """Enqueue a command line, which is never JSON nor a selection; return what to say."""
    from queuectl.commands.jobs import prepare

    invocation = GRAMMAR.parse_line(f"enqueue --quiet -- {command}")
    prepared = None if invocation is None else prepare(ctx, invocation.args)
    if prepared is None:
        return "Nothing to do"
    (ctx.last_id,) = ctx.write(lambda store: store.add((prepared.new,)))
    counts = ctx.store.counts()
    host = ctx.running_host
    workers = host.workers if host is not None else 0
    free = counts[PENDING] + counts[PROCESSING] <= workers
    return f"Job {'started' if free else 'queued'}: {readable(command)}"


def _all(ctx: Context) -> Iterator[str]:
    import json

    store = ctx.store
    counts = store.counts()
    head = {
        "queue_length": counts[PENDING] + counts[FAILED],
        "active_workers": counts[PROCESSING],
        "max_concurrent_jobs": sum(host.workers for host in store.hosts()),
        "load_avg": [round(load, 2) for load in os.getloadavg()],
        "last_job_id": store.newest_id() or 0,
    }
    yield json.dumps(head)[:-1] + ', "jobs": ['
    between = ""
    for job in store.jobs(Filter()):
        yield between + json.dumps(_facts(job))
        between = ", "
    yield "]}"


def _one(ctx: Context, job: Job) -> Iterator[str]:
    import json

    yield json.dumps(_facts(job))[:-1]
    for name, stream in (("stdout", 1), ("stderr", 2)):
        yield f', "{name}": "'
        yield from _text(ctx, job, stream)
        yield '"'
    yield "}"


def _text(ctx: Context, job: Job, stream: int) -> Iterator[str]:
    """Yield all that the newest attempt wrote to a stream, as the inside of a JSON string."""
    import codecs
    import json

    from queuectl.commands.outputs import output_of
    from queuectl.errors import Refused
    from queuectl.process.output import pieces

    attempts = ctx.store.attempts(job.id)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        found = output_of(ctx.store, attempts[-1]) if attempts else None
        for piece in pieces(found, stream=stream) if found is not None else ():
            yield json.dumps(decoder.decode(piece.data))[1:-1]
    except (Refused, FileNotFoundError):
        # pruned, or nothing written so far
        pass
    yield json.dumps(decoder.decode(b"", final=True))[1:-1]


def _facts(job: Job) -> dict[str, object]:
    return {
        "job_id": job.id,
        "status": FAILED if job.state == DEAD else job.state,
        "exit_code": _exit_code(job),
        "command": readable(job.words),
    }


def _exit_code(job: Job) -> int | None:
    """Return what a shell's parent sees: the exit status, or the negative number of a signal."""
    if job.exit_code is None and job.reason and job.reason.startswith("signal "):
        number = job.reason.removeprefix("signal ")
        return -int(number) if number.isdigit() else None
    return job.exit_code
