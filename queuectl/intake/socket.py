"""The Unix socket: the grammar's commands, and the requests of taskspooler's clients.

One thread reads and writes for all clients; a client that has said something gets a thread for as
long as it takes to do it, so that a `wait` of one keeps no other waiting.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque

from queuectl.errors import EXIT_UNAVAILABLE, EXIT_USAGE
from queuectl.intake import legacy
from queuectl.intake.connection import Connection
from queuectl.intake.limits import limits_of
from queuectl.intake.lines import LineServer
from queuectl.intake.session import Request, Session, failure
from queuectl.sockets import SocketLock, listen_at, peer_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from queuectl.host.worker import WorkerHost
    from queuectl.intake.log import Log

#: seconds of silence after which a request that has no newline is taken to be whole
SILENCE = 0.15
#: bytes and number of requests that wait to be run for one client; then it has to wait
_WAITING_BYTES = 1024 * 1024
_WAITING = 10_000


class _Client:
    """What the intake knows of a connection beside its buffers."""

    def __init__(self) -> None:
        #: guarded by the intake's lock, like `running`
        self.requests: deque[Request] = deque()
        self.bytes = 0
        self.running = False
        self.session: Session | None = None
        #: it has sent a whole line, so it knows of newlines
        self.framed = False
        #: it has had its answer, or was told off: nothing more is heard
        self.over = False


class SocketIntake(LineServer):
    """The intake. The path is free again after `stop`."""

    kind = "socket"

    def __init__(self, host: WorkerHost, path: str, log: Log, environ: Mapping[str, str]) -> None:
        """Listen, but serve nobody yet. Raises Refused when somebody else listens there."""
        self._lock_file = SocketLock(path)
        try:
            listener = listen_at(self._lock_file)
        except BaseException:
            self._lock_file.close()
            raise
        super().__init__(listener, limits_of(host.store, messages=False), log)
        self.where = path
        self._file = _file_at(path)
        self._host = host
        self._environ = environ
        self._lock = threading.Lock()
        self._clients: dict[Connection, _Client] = {}

    def reload(self) -> None:
        """Read the limits again."""
        self.limits = limits_of(self._host.store, messages=False)

    def stop(self, timeout: float = 5.0) -> None:
        """Close everything, remove the socket, then let go of its lock.

        Somebody may have removed both and put another one there: that is left alone.
        """
        super().stop(timeout)
        if self._file == _file_at(self.where) != (0, 0):
            os.unlink(self.where)
        self._lock_file.close()

    # ---- as the server asks -------------------------------------------------------------------

    def admit(self, sock: socket.socket) -> tuple[str, str]:
        """Let in this user, and root."""
        pid, uid = peer_of(sock)
        peer = f"pid {pid} (uid {uid})"
        return peer, "" if uid in (0, os.geteuid()) else "the socket is another user's"

    def refusal(self, why: str) -> bytes:
        """Say so as every failure is said."""
        return failure(why, EXIT_UNAVAILABLE)

    def done(self, conn: Connection) -> bool:
        """Whether everything it asked for has been answered."""
        with self._lock:
            client = self._clients.get(conn)
            return conn.idle and (client is None or not (client.running or client.requests))

    def received(self, conn: Connection) -> None:
        """Take the requests out of what came."""
        client = self._clients.setdefault(conn, _Client())
        if client.over:
            conn.take_rest()
            return
        found: list[Request] = []
        if not client.framed and not self._take_unframed(conn, client, found):
            return
        while not client.over and (line := conn.take_line()) is not None:
            client.framed = True
            found.append(Request(_text(line.removesuffix(b"\r"))))
        if conn.ended and conn.buffer and not client.over:
            found.append(Request(_text(conn.take_rest())))
        self._give(conn, client, found)
        if len(conn.buffer) > self.limits.line:
            client.over = True
            conn.take_rest()
            most = f"a request of more than {self.limits.line} bytes (intake-request)"
            conn.send(failure(most, EXIT_USAGE), wait=False)
            conn.close_when_drained()

    def _take_unframed(self, conn: Connection, client: _Client, found: list[Request]) -> bool:
        """Take a request that has no newline; False: it is not clear yet whether there is one.

        A client that is silent for a while, or has said that it says nothing more, has said it all.
        """
        if not legacy.may_be_unframed(bytes(conn.buffer)):
            return True
        silent = time.monotonic() - conn.heard_at >= SILENCE
        if conn.ended or silent:
            conn.wake_at = None
            client.over = True
            found.append(Request(_text(conn.take_rest()), unframed=True))
            return True
        conn.wake_at = conn.heard_at + SILENCE
        return False

    # ---- running what was asked for -----------------------------------------------------------

    def _give(self, conn: Connection, client: _Client, found: list[Request]) -> None:
        """Have requests run, in order, on the client's thread."""
        if not found:
            return
        with self._lock:
            client.requests.extend(found)
            client.bytes += sum(len(request.text) for request in found)
            conn.wants_input = self._has_room(client)
            start = not client.running
            client.running = True
        if start:
            name = f"client {conn.fd}"
            try:
                threading.Thread(
                    target=self._run_all, args=(conn, client), name=name, daemon=True
                ).start()
            except RuntimeError as error:
                # no thread can be had: what was asked for is not done, and that is said
                with self._lock:
                    client.requests.clear()
                    client.running = False
                client.over = True
                conn.send(
                    failure(f"no room for this client: {error}", EXIT_UNAVAILABLE), wait=False
                )
                conn.close_when_drained()

    @staticmethod
    def _has_room(client: _Client) -> bool:
        return client.bytes < _WAITING_BYTES and len(client.requests) < _WAITING

    def _run_all(self, conn: Connection, client: _Client) -> None:
        """Run what a client has asked for until there is nothing left; on its thread."""
        if client.session is None:
            client.session = Session(
                self._host, self._environ, conn.send, self.log, lambda: conn.gone
            )
        while True:
            with self._lock:
                requests = list(client.requests)
                client.requests.clear()
                client.bytes = 0
                conn.wants_input = True
                if not requests:
                    client.running = False
                    if client.over:
                        conn.close_when_drained()
                    break
            self.wake()
            client.session.run(requests)
        self.wake()

    def turned(self) -> None:
        """Forget clients that are gone."""
        if len(self._clients) > len(self.connections):
            with self._lock:
                for conn in [conn for conn in self._clients if conn.gone]:
                    if not self._clients[conn].running:
                        del self._clients[conn]


def _file_at(path: str) -> tuple[int, int]:
    """Return what tells a file from another one of its name; zeros: there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")
