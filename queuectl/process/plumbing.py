"""The pipes of one running attempt and the poll set that its worker waits in."""

from __future__ import annotations

import os
import select
from collections import deque

from queuectl.process.recorder import STDERR, STDOUT, Recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.process.plan import Plan
    from queuectl.process.spawn import Child

#: bytes moved by one call
CHUNK = 64 * 1024
#: A read of less than SMALL_READ is small. After SMALL_READS of them since the last flush the pipes
#: are looked at once in SMALL_PAUSE ms: a job that writes single bytes would wake us 50,000 times a
#: second, and a pipe still passes 64 MB/s at that pace.
SMALL_READ, SMALL_READS, SMALL_PAUSE = 4096, 100, 1
#: reads after the end: what a pipe can hold, which its writer may have enlarged to 1 MiB
LAST_READS = 1024 * 1024 // CHUNK
#: pipes that wake a waiting worker. They are used again and never closed, so that an order which
#: comes late can only wake somebody for nothing.
wakes: deque[tuple[int, int]] = deque()


def wake_pipe() -> tuple[int, int]:
    """Return a free pipe, both ends of which never block. Raises OSError."""
    try:
        return wakes.pop()
    except IndexError:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        return reader, writer


class Plumbing:
    """Moves bytes between an attempt and its Recorder. Owned by the worker thread."""

    __slots__ = ("_child", "_input", "_interactive", "_small", "_streams", "poll", "recorder")

    def __init__(self, plan: Plan, child: Child) -> None:
        self.poll = select.poll()
        self.recorder = Recorder(plan.output_path, plan.output_limit)
        self._child = child
        self._interactive = plan.interactive
        self._small = 0
        self._streams: dict[int, int] = {}
        for fd, stream in ((child.stdout, STDOUT), (child.stderr, STDERR)):
            if fd >= 0:
                self._streams[fd] = stream
                self.poll.register(fd, select.POLLIN)
        self._input: deque[memoryview] = deque()
        if child.stdin >= 0:
            self.feed(plan.stdin or b"")
            self.write()

    def is_stream(self, fd: int) -> bool:
        """Whether this is the pipe of an output that has not ended."""
        return fd in self._streams

    def read(self, fd: int, at: int, now: float) -> None:
        """Take what an output has, at wall time `at` and monotonic time `now`."""
        try:
            data = os.read(fd, CHUNK)
        except OSError:
            data = b""
        if not data:
            self.poll.unregister(fd)
            del self._streams[fd]
            return
        self.recorder.add(self._streams[fd], data, at, now)
        self._small += len(data) < SMALL_READ

    def read_last(self, at: int, now: float) -> None:
        """Read what is in the pipes and no more: a daemon that holds them could write for ever."""
        poll = select.poll()
        for fd in self._streams:
            poll.register(fd, select.POLLIN)
        for _ in range(LAST_READS):
            events = poll.poll(0) if self._streams else []
            if not events:
                return
            for fd, _ in events:
                self.read(fd, at, now)
                if fd not in self._streams:
                    poll.unregister(fd)

    def flush_if_due(self, now: float) -> None:
        """Write what has been in memory for long enough."""
        if self.recorder.due is not None and now >= self.recorder.due:
            self.recorder.flush()
            self._small = 0

    def rest_from_dribble(self) -> None:
        """Wait a moment, but not beyond the end, if the job writes very little very often."""
        if self._small > SMALL_READS:
            quiet = select.poll()
            quiet.register(self._child.exit_fd, select.POLLIN)
            quiet.poll(SMALL_PAUSE)

    def feed(self, data: bytes) -> None:
        """Queue bytes for the standard input, if it is open; `write` writes them."""
        if self._child.stdin >= 0:
            self._input.append(memoryview(data))
            self.poll.register(self._child.stdin, select.POLLOUT)

    def finish(self) -> None:
        """Close the standard input after the last byte that is queued, also of an interactive job."""
        self._interactive = False
        if not self._input:
            self.close_stdin()

    def write(self) -> None:
        """Write as much as the standard input takes; close it after the last byte.

        That of an interactive job stays open until `finish`.
        """
        fd = self._child.stdin
        while self._input:
            data = self._input[0]
            try:
                done = os.write(fd, data)
            except BlockingIOError:
                return
            except OSError:
                # nobody reads it any more
                self.close_stdin()
                return
            if done < len(data):
                self._input[0] = data[done:]
                return
            self._input.popleft()
        if self._interactive:
            # a writable pipe with nothing to write would be ready for ever
            self.forget(fd)
        else:
            self.close_stdin()

    def close_stdin(self) -> None:
        """Let the job see the end of its input."""
        fd = self._child.stdin
        if fd >= 0:
            self._input.clear()
            self.forget(fd)
            os.close(fd)
            self._child.stdin = -1

    def forget(self, fd: int) -> None:
        """Take a descriptor out of the poll set, if it is there."""
        try:
            self.poll.unregister(fd)
        except KeyError:
            pass
