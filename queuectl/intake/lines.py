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

from queuectl.intake.log import ERROR, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.intake.limits import Limits
    from queuectl.intake.log import Log

_CHUNK = 64 * 1024
#: bytes that wait for a client that reads slowly; whoever writes more waits for it
HIGH_WATER = 1024 * 1024
#: connections accepted in one turn
_ACCEPTS = 64
#: seconds to wait when no more descriptors can be had
_NO_ROOM = 0.2
_FAILURE_PAUSE = 0.5
#: seconds and bytes that a client sent away is listened to all the same: a socket closed with
#: something unread in it is reset, and the client would not see why
_LINGER, _LINGER_BYTES = 2.0, 4 * 1024 * 1024


class Connection:
    """One client. What begins with `on_` and the buffers belong to the server's thread."""

    def __init__(self, server: LineServer, sock: socket.socket, peer: str) -> None:
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


class LineServer:
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

    def admit(self, sock: socket.socket) -> tuple[str, str]:
        """Return who a client is and why it is refused, empty if it is not."""
        raise NotImplementedError

    def received(self, conn: Connection) -> None:
        """Heed what a connection has in its buffer; also when it has ended, or `wake_at` has come."""
        raise NotImplementedError

    def turned(self) -> None:
        """Do what is to be done once after all that was received in one turn."""

    def refusal(self, why: str) -> bytes:
        """Return what a client is told that is refused."""
        raise NotImplementedError

    def done(self, conn: Connection) -> bool:
        """Whether an ended connection has nothing under way any more and can be closed."""
        raise NotImplementedError

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
