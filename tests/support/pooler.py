"""A connection pooler in transaction mode, as PgBouncer is.

A client has a server connection only from the first message of a transaction to its end, and what
it said to one before, others have now. So LISTEN, SET and prepared statements are lost, or somebody else's, and notices are thrown away.
Speaks PostgreSQL's protocol 3.0 (https://www.postgresql.org/docs/current/protocol.html).
"""

from __future__ import annotations

import os
import select
import socket
import struct
import tempfile
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from tests.support.postgres import Server

_PORT = "5432"
#: codes that stand where a protocol version does: asks for TLS and for GSSAPI
_ASKS = (80877103, 80877104)
_READY, _NOTICE = b"Z", b"A"
#: messages of a client that are answered by ReadyForQuery
_ANSWERED = (b"Q", b"S", b"F")
_IDLE = b"I"


class Pooler:
    """Listens on a Unix socket; all its clients share a few connections to one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.directory = tempfile.mkdtemp(prefix="qpool-", dir="/tmp")
        self._free: list[socket.socket] = []
        self._lock = threading.Lock()
        self._greeting, first = self._connect()
        self._free.append(first)
        #: how often a client was given a connection that another one had had before
        self.handed_on = 0
        self._last: dict[int, int] = {}
        self._closed = False
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(f"{self.directory}/.s.PGSQL.{_PORT}")
        self._listening.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, **parameters: object) -> str:
        """Return the URL of the database behind it."""
        return self._server.url(**{**parameters, "host": self.directory})  # type: ignore[arg-type]

    def close(self) -> None:
        """Accept nobody any more, and end the connections to the server."""
        self._closed = True
        self._listening.close()
        for server in self._free:
            server.close()
        os.unlink(f"{self.directory}/.s.PGSQL.{_PORT}")
        os.rmdir(self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- the server's side --------------------------------------------------------------------

    def _connect(self) -> tuple[bytes, socket.socket]:
        """Open a connection; return what the server said of itself, without the key, and it."""
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._server.sockets}/.s.PGSQL.{_PORT}")
        words = b"user\0postgres\0database\0postgres\0\0"
        server.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
        said, held = b"", b""
        while True:
            held += server.recv(65536)
            messages, held = _messages(held)
            for kind, message in messages:
                if kind == b"S":
                    said += message
                if kind == _READY:
                    return said, server

    def _take(self, client: int) -> socket.socket:
        with self._lock:
            server = self._free.pop() if self._free else None
        if server is None:
            server = self._connect()[1]
        if self._last.get(id(server), client) != client:
            self.handed_on += 1
        self._last[id(server)] = client
        return server

    def _give_back(self, server: socket.socket) -> None:
        with self._lock:
            # the newest is the next: the same one for all while there is little to do
            self._free.append(server)

    # ---- the clients' side --------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                self._greet(client)
                while True:
                    data = client.recv(65536)
                    if not data or data[:1] == b"X":
                        return
                    self._transaction(client, data)
            except OSError:
                return

    def _greet(self, client: socket.socket) -> None:
        while True:
            head = client.recv(8, socket.MSG_WAITALL)
            size, code = struct.unpack("!ii", head)
            if code not in _ASKS:
                break
            client.sendall(b"N")
        client.recv(size - 8, socket.MSG_WAITALL)
        okay = b"R" + struct.pack("!ii", 8, 0)
        # a key that is no process of the server's
        key = b"K" + struct.pack("!iii", 12, id(client) % 2**31, 1)
        client.sendall(okay + self._greeting + key + b"Z" + struct.pack("!i", 5) + _IDLE)

    def _transaction(self, client: socket.socket, data: bytes) -> None:  # noqa: C901
        """Lend a connection until the server says that no transaction is open."""
        server = self._take(id(client))
        self._throw_away(server)
        up = down = b""
        asked, state = 0, _IDLE
        try:
            while True:
                up += data
                messages, up = _messages(up)
                asked += sum(kind in _ANSWERED for kind, _ in messages)
                server.sendall(data)
                data = b""
                while not data:
                    ready, _, _ = select.select([client, server], [], [])
                    if client in ready:
                        data = client.recv(65536)
                        if not data or data[:1] == b"X":
                            # it left in the middle: nobody else may have what it began
                            raise ConnectionError
                    if server in ready:
                        said = server.recv(65536)
                        if not said:
                            raise ConnectionError
                        messages, down = _messages(down + said)
                        for kind, message in messages:
                            if kind == _READY:
                                asked -= 1
                                state = message[5:6]
                        client.sendall(b"".join(message for _, message in messages))
                        if not asked and state == _IDLE and not down and not data and not up:
                            self._give_back(server)
                            return
        except OSError:
            server.close()
            raise

    @staticmethod
    def _throw_away(server: socket.socket) -> None:
        """Forget what the server said while the connection was nobody's: notices."""
        while select.select([server], [], [], 0)[0]:
            if not server.recv(65536):
                return


def _messages(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the whole messages of a stream with their kinds, and what is left."""
    found = []
    while len(data) >= 5:
        end = 1 + struct.unpack("!i", data[1:5])[0]
        if len(data) < end:
            break
        found.append((data[:1], data[:end]))
        data = data[end:]
    return found, data
