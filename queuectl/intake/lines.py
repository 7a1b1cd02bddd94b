"""A server of lines: one thread with a selector, many connections, and no client that harms others.

Subclasses say what a line means. All reading and writing of sockets happens on the one thread and
never waits; `Connection.send` may be called from any thread and waits only for its own client.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from abc import ABC, abstractmethod

from queuectl.intake.connection import Connection
from queuectl.intake.log import ERROR, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.intake.limits import Limits
    from queuectl.intake.log import Log

#: connections accepted in one turn
_ACCEPTS = 64
#: seconds to wait when no more descriptors can be had
_NO_ROOM = 0.2
_FAILURE_PAUSE = 0.5


class LineServer(ABC):
    """The thread. `start` and `stop` once; `where` says what it listens to."""

    #: what it is called in the log and in the list of threads
    kind = "lines"

    def __init__(self, listener: socket.socket, limits: Limits, log: Log) -> None:
        listener.setblocking(False)
        self._listener = listener
        self.limits = limits
        self.log = log
        self.connections: dict[int, Connection] = {}
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_in, False)
        self._stopping = threading.Event()
        self._accept_again = 0.0
        self._thread = threading.Thread(target=self._run, name=self.kind, daemon=True)

    # ---- what a subclass says -----------------------------------------------------------------

    @abstractmethod
    def admit(self, sock: socket.socket) -> tuple[str, str]:
        """Return who a client is and why it is refused, empty if it is not."""

    @abstractmethod
    def received(self, conn: Connection) -> None:
        """Heed what a connection has in its buffer; also when it has ended, or `wake_at` has come."""

    def turned(self) -> None:  # noqa: B027 - most have nothing to do then
        """Do what is to be done once after all that was received in one turn."""

    @abstractmethod
    def refusal(self, why: str) -> bytes:
        """Return what a client is told that is refused."""

    @abstractmethod
    def done(self, conn: Connection) -> bool:
        """Whether an ended connection has nothing under way any more and can be closed."""

    # ---- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Close everything."""
        self._stopping.set()
        self.wake()
        if self._thread.ident is None:
            # it was never started
            self._listener.close()
        else:
            self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Make the thread look again."""
        try:
            os.write(self._wake_in, b"w")
        except OSError:
            # full of wakes, or the end has come
            pass

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._turn()
                except Exception as error:  # noqa: BLE001 - one bad turn must not end the service
                    self.log(ERROR, f"{self.kind}: {type(error).__name__}: {error}")
                    self._stopping.wait(_FAILURE_PAUSE)
        finally:
            self._listener.close()
            for conn in tuple(self.connections.values()):
                # what has been answered is said, as far as that needs no waiting
                conn.on_writable()
                self._drop(conn)

    def _turn(self) -> None:
        now = time.monotonic()
        poll = select.poll()
        poll.register(self._wake_out, select.POLLIN)
        listening = now >= self._accept_again
        if listening:
            poll.register(self._listener, select.POLLIN)
        for conn in self.connections.values():
            # without any event a hang-up is heard of all the same: once is enough
            if conn.wants_input or not conn.hung_up:
                poll.register(conn.fd, conn.events)
        found = dict(poll.poll(self._patience(now)))
        if self._wake_out in found:
            os.read(self._wake_out, 65536)
        for fd, events in found.items():
            if fd in self.connections:
                self._serve(self.connections[fd], events)
        if listening and self._listener.fileno() in found:
            self._accept()
        self._wake_up()
        self.turned()
        self._clear()

    def _patience(self, now: float) -> int | None:
        """Return for how many ms nothing needs to be looked at."""
        times = [conn.wake_at for conn in self.connections.values() if conn.wake_at is not None]
        if self._accept_again > now:
            times.append(self._accept_again)
        if self.limits.idle and self.connections:
            times.append(now + self.limits.idle / 4)
        return None if not times else max(0, int((min(times) - now) * 1000) + 1)

    def _serve(self, conn: Connection, events: int) -> None:
        if events & select.POLLOUT:
            conn.on_writable()
        if events & select.POLLIN:
            conn.on_readable()
            if not conn.gone and not conn.lingers:
                self._heed(conn)
        elif events & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            if conn.ended or conn.lingers:
                conn.on_gone()
            elif conn.wants_input:
                # what it said before it went still counts
                conn.on_readable()
                self._heed(conn)
            else:
                conn.hung_up = True

    def _heed(self, conn: Connection) -> None:
        try:
            self.received(conn)
        except Exception as error:  # noqa: BLE001 - one client's fault is not the others'
            self.log(ERROR, f"{self.kind}: {conn.peer}: {type(error).__name__}: {error}")
            conn.on_gone()

    def _wake_up(self) -> None:
        """Look at connections whose time has come."""
        now = time.monotonic()
        for conn in self.connections.values():
            if conn.wake_at is not None and conn.wake_at <= now and not conn.gone:
                conn.wake_at = None
                if conn.lingers:
                    conn.on_gone()
                else:
                    self._heed(conn)

    def _clear(self) -> None:
        """Let go of connections that are over."""
        now = time.monotonic()
        for conn in tuple(self.connections.values()):
            if not conn.gone and not conn.lingers and self._is_over(conn, now):
                conn.close_when_drained()
            if conn.gone:
                self._drop(conn)

    def _is_over(self, conn: Connection, now: float) -> bool:
        return (conn.ended and self.done(conn)) or self._is_idle(conn, now)

    def _is_idle(self, conn: Connection, now: float) -> bool:
        """Whether it has said nothing whole for long; a line without end is nothing."""
        idle = self.limits.idle
        if not idle or now - conn.line_at <= idle or conn.has_line:
            return False
        return now - conn.heard_at > idle or bool(conn.buffer)

    def _drop(self, conn: Connection) -> None:
        conn.on_gone()
        self.connections.pop(conn.fd, None)
        conn.sock.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # out of descriptors: those who wait stay in the queue of the kernel
                self.log(WARNING, f"{self.kind}: no client can be taken: {error.strerror}")
                self._accept_again = time.monotonic() + _NO_ROOM
                return
            self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        try:
            peer, why = self.admit(sock)
        except OSError:
            # gone already
            sock.close()
            return
        if not why and len(self.connections) >= self.limits.connections:
            why = f"there are {len(self.connections)} clients already; try again later"
        if why:
            self.log(WARNING, f"{self.kind}: {peer} was refused: {why}", peer=peer)
            try:
                sock.send(self.refusal(why))
            except OSError:
                pass
            sock.close()
            return
        conn = Connection(self, sock, peer)
        self.connections[conn.fd] = conn
