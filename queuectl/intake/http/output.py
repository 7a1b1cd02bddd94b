"""What attempts wrote, streamed to a client at the client's pace; also while it is being written."""

from __future__ import annotations

import io
from functools import partial

from anyio import to_thread
from starlette.responses import StreamingResponse

from queuectl.errors import NotFound, Refused, UsageError
from queuectl.intake.http.jobs import found
from queuectl.process.output import STDERR, STDOUT, Piece, pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

    from starlette.types import Send

    from queuectl.commands.tailing import JobTail
    from queuectl.intake.http.call import Call

#: seconds between looks at a running job's file, and at the store while nothing runs
_QUICK, _SLOW = 0.1, 5.0
_STREAMS = {"stdout": STDOUT, "stderr": STDERR}
#: bytes read of a file at once
_CHUNK = 256 * 1024
HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class CutOff(Exception):  # noqa: N818 (named like the other errors)
    """What is being sent ends before its end: whoever gets it is to see that it is not all."""


class _Cuttable(StreamingResponse):
    """A response that CutOff leaves without its last chunk; the server then hangs up."""

    async def stream_response(self, send: Send) -> None:
        """Send what there is."""
        try:
            await super().stream_response(send)
        except CutOff:
            return


def streamed(parts: AsyncIterator[bytes], length: int | None = None) -> StreamingResponse:
    """Return a response of bytes as they come; CutOff in the middle makes it an aborted transfer."""
    headers = dict(HEADERS)
    if length is not None:
        headers["Content-Length"] = str(length)
    return _Cuttable(parts, 200, headers, "application/octet-stream")


async def output(call: Call) -> StreamingResponse:
    """GET /jobs/{id}/output."""
    given = call.text("stream")
    if given is not None and given not in _STREAMS:
        raise UsageError(f"stream: {given!r} is not stdout or stderr")
    stream = _STREAMS[given] if given is not None else None
    run = call.whole("attempt", 0, 1) if call.text("attempt") is not None else None
    if call.switch("follow"):
        return await _follow(call, stream, run)
    source = await call.api.in_thread(partial(_whole, call, stream, run))
    return streamed(_pulled(call, source))


def _whole(call: Call, stream: int | None, run: int | None) -> Iterator[bytes]:
    """Return an attempt's output piece by piece. Raises NotFound, Refused."""
    from queuectl.commands.outputs import output_of

    job = found(call)
    attempts = call.store.attempts(job.id)
    if not attempts:
        raise Refused(f"job {job.id} has not started: it is {job.shown_state}")
    chosen = [one for one in attempts if run in (None, one.run)]
    if not chosen:
        raise NotFound(f"job {job.id} has no attempt {run}: its last is {attempts[-1].run}")
    written = output_of(call.store, chosen[-1])
    if written is None:
        return iter(())
    return _read(partial(pieces, written, stream=stream))


def _read(read: Callable[[], Iterator[Any]]) -> Iterator[bytes]:
    try:
        for piece in read():
            yield piece.data
    except FileNotFoundError:
        # a job that has written nothing yet has no file
        return


async def _pulled(call: Call, source: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what an iterator gives, each piece fetched in a thread when it can be sent."""
    while True:
        part = await to_thread.run_sync(partial(_gather, source), limiter=call.api.files)
        if not part:
            return
        yield part


def _gather(source: Iterator[bytes]) -> bytes:
    """Return the next pieces together: a short line each would be a message each."""
    parts, size = [], 0
    for data in source:
        parts.append(data)
        size += len(data)
        if size >= _CHUNK:
            break
    return b"".join(parts)


async def _follow(call: Call, stream: int | None, run: int | None) -> StreamingResponse:
    from queuectl.commands.tailing import JobTail

    job = await call.api.in_thread(partial(found, call))
    tail = JobTail(call.store, job.id, only=run, stream=stream)
    return streamed(_followed(call, tail))


async def _followed(call: Call, tail: JobTail) -> AsyncIterator[bytes]:
    watch = call.api.watch
    try:
        changed = True
        while True:
            # one look more when the server ends: it may be at its end
            closing, seen = watch.closed, watch.count
            data = await to_thread.run_sync(
                partial(_news, call, tail, look=changed or closing), limiter=call.api.files
            )
            if data:
                yield data
            if tail.ended:
                return
            if closing:
                raise CutOff
            changed = True
            if not tail.more:
                changed = await watch.wait(seen, _QUICK if tail.running else _SLOW)
                # a change may be of its own doing: look now and then in any case
                changed = changed or not tail.running
    finally:
        tail.close()


def _news(call: Call, tail: JobTail, *, look: bool) -> bytes:
    """Return what is new of a job."""
    if look:
        tail.changed(call.store.get(tail.job_id))
    return b"".join(event.data for event in tail.new() if isinstance(event, Piece))


async def file_parts(call: Call, path: str) -> AsyncIterator[bytes]:
    """Yield the bytes of a file, as far as it goes now. Raises OSError at the first."""
    opened = partial(io.FileIO, path, "rb")
    file = await to_thread.run_sync(opened, limiter=call.api.files)
    try:
        while data := await to_thread.run_sync(partial(file.read, _CHUNK), limiter=call.api.files):
            yield data
    finally:
        file.close()
