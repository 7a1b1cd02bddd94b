"""One client of a server of lines: its socket, what it said and what it is still to be told."""

from __future__ import annotations

import select
import socket
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Server(Protocol):
        """What a connection asks of its server."""

        def wake(self) -> None:
            """Have it look at its connections now. Any thread."""


_CHUNK = 64 * 1024
#: bytes that wait for a client that reads slowly; whoever writes more waits for it
HIGH_WATER = 1024 * 1024
#: seconds and bytes that a client sent away is listened to all the same: a socket closed with
#: something unread in it is reset, and the client would not see why
_LINGER, _LINGER_BYTES = 2.0, 4 * 1024 * 1024


class Connection:
    """One client. What begins with `on_` and the buffers belong to the server's thread."""

    def __init__(self, server: Server, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = peer
        self._server = server
        #: received and not yet a line
        self.buffer = bytearray()
        #: where the search for the next newline goes on
        self.searched = 0
        #: nothing more will be received
        self.ended = False
        #: when the server is to look at it again whatever happens; None: never
        self.wake_at: float | None = None
        self.heard_at = time.monotonic()
        #: when it last had said a whole line
        self.line_at = self.heard_at
        #: False while what it sent already is enough
        self.wants_input = True
        #: it has gone while there was no room for what it had said
        self.hung_up = False
        self._out = bytearray()
        self._lock = threading.Lock()
        self._drained = threading.Condition(self._lock)
        self._close_when_drained = False
        #: it has been told all; until then what it says is read and forgotten
        self._linger_until: float | None = None
        self._forgotten = 0
        #: the client is gone, or was sent away: nothing reaches it any more
        self.gone = False

    def send(self, data: bytes, *, wait: bool = True) -> bool:
        """Have bytes written; False: nobody is there. `wait` while much is waiting already.

        Not with `wait` on the server's thread.
        """
        with self._lock:
            while wait and len(self._out) > HIGH_WATER and not self.gone:
                self._drained.wait()
            if self.gone or self._close_when_drained:
                return False
            self._out += data
        self._server.wake()
        return True

    def close_when_drained(self) -> None:
        """Say goodbye once everything has been written."""
        with self._lock:
            self._close_when_drained = True
        self._server.wake()

    @property
    def events(self) -> int:
        """What to poll for."""
        events = 0
        with self._lock:
            waiting = len(self._out)
            closing = self._close_when_drained
        if waiting or closing:
            events |= select.POLLOUT
        if self._linger_until is not None:
            return select.POLLIN
        if self.wants_input and not self.ended and not closing and waiting <= HIGH_WATER:
            events |= select.POLLIN
        return events

    def on_readable(self) -> None:
        """Take what has come."""
        try:
            data = self.sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            # broken off: what is no whole line was never said
            self.buffer.clear()
            self.on_gone()
            return
        self.heard_at = time.monotonic()
        if self._linger_until is not None:
            self._forgotten += len(data)
            if not data or self._forgotten > _LINGER_BYTES:
                self.on_gone()
        elif data:
            self.buffer += data
        else:
            self.ended = True

    def on_writable(self) -> None:
        """Write what can be written."""
        with self._lock:
            data = bytes(self._out[:_CHUNK])
        sent = 0
        try:
            if data:
                sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.on_gone()
            return
        with self._lock:
            del self._out[:sent]
            empty = not self._out
            if len(self._out) <= HIGH_WATER:
                self._drained.notify_all()
            over = empty and self._close_when_drained
        if data:
            self.heard_at = time.monotonic()
        if over:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        if self.ended:
            self.on_gone()
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.on_gone()
        self._linger_until = self.wake_at = time.monotonic() + _LINGER

    @property
    def lingers(self) -> bool:
        """Whether nothing it says counts any more."""
        return self._linger_until is not None

    def on_gone(self) -> None:
        """Give it up."""
        with self._lock:
            self.gone = True
            self._out.clear()
            self._drained.notify_all()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way for it in the buffers."""
        with self._lock:
            return not self._out and not self.buffer

    @property
    def has_line(self) -> bool:
        """Whether a whole line is there."""
        if self.buffer.find(b"\n", self.searched) >= 0:
            return True
        self.searched = len(self.buffer)
        return False

    def take_line(self) -> bytes | None:
        """Return the next whole line without its newline, None if there is none."""
        end = self.buffer.find(b"\n", self.searched)
        if end < 0:
            self.searched = len(self.buffer)
            return None
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 1]
        self.searched = 0
        self.line_at = time.monotonic()
        return line

    def take_rest(self) -> bytes:
        """Return what there is, whole line or not."""
        rest = bytes(self.buffer)
        self.buffer.clear()
        self.searched = 0
        return rest
