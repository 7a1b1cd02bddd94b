"""How a host hears that another one committed work to its PostgreSQL store.

A connection of its own LISTENs (https://www.postgresql.org/docs/current/sql-notify.html); a thread
waits on it and writes into a pipe, which the pump polls. The same thread sends this host's own
notices, so that many commits in a row are one NOTIFY. Behind it stands a poll of the store's
version: rare where notices arrive, every second where they do not, as behind PgBouncer in
transaction mode, which hands LISTEN to one server connection and forgets it.
"""

from __future__ import annotations

import os
import select
import threading
import time

import psycopg

from queuectl.errors import QueuectlError
from queuectl.store.base import Listener
from queuectl.store.postgres.connect import in_one_line
from queuectl.store.postgres.connections import notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from psycopg import Connection

    from queuectl.store.postgres.base import PostgresBase

#: seconds that the first notice, which the listener sends to itself, may take
_TEST_SECONDS = 1.0
#: seconds between looks at the store where no notice arrives
_DEAF_POLL = 1.0
#: seconds before a broken connection is replaced, growing
_PAUSES = (0.1, 0.5, 2.0, 5.0)
#: seconds that the thread has to end
_PATIENCE = 5.0
#: seconds after which a silent connection is tried
_SILENCE = 60.0


class PostgresListener(Listener):
    """A pipe, a thread and a connection. One thread uses it."""

    def __init__(self, store: PostgresBase) -> None:
        self._store = store
        self._channel = store.channel
        self._session = store.session
        self._out, self._in = _pipe()
        self._bell_out, self._bell_in = _pipe()
        self._said = False
        self._to_send = False
        self._closed = False
        #: whether notices arrive; what is wrong if the connection is broken
        self.hears = False
        self.trouble: str | None = None
        self._looked = float("-inf")
        try:
            self._version = store.version()
            self._connection: Connection[Any] | None = self._listen()
        except BaseException:
            self._close_pipes()
            raise
        store.ring = self._ring
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Return the pipe."""
        return self._out

    def clear(self) -> None:
        """Empty the pipe."""
        _drain(self._out)

    def changed(self) -> bool:
        """Whether anything was committed since the last call; asks the store only now and then."""
        now = time.monotonic()
        poll = self._store.target.poll
        if not self.hears:
            poll = min(poll, _DEAF_POLL)
        if not self._said and now - self._looked < poll:
            return False
        self._said = False
        self._looked = now
        version = self._store.version()
        changed, self._version = version != self._version, version
        return changed

    def close(self) -> None:
        """Stop listening. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._store.ring == self._ring:
            self._store.ring = None
        _poke(self._bell_in)
        self._thread.join(_PATIENCE)
        if not self._thread.is_alive():
            # else it hangs in a connect, and would write into what has their numbers by then
            self._close_pipes()

    def _close_pipes(self) -> None:
        for descriptor in (self._out, self._in, self._bell_out, self._bell_in):
            os.close(descriptor)

    # ---- the thread ---------------------------------------------------------------------------

    def _ring(self) -> None:
        """Have the others told. Any thread."""
        if not self._to_send:
            self._to_send = True
            _poke(self._bell_in)

    def _run(self) -> None:
        failures = 0
        while not self._closed:
            try:
                if self._connection is None:
                    self._connection = self._listen()
                    # whatever was said meanwhile was not heard
                    self._say()
                self.trouble = None
                failures = 0
                self._wait(self._connection)
            except (psycopg.Error, QueuectlError, OSError) as error:
                self.hears = False
                self.trouble = in_one_line(error, self._store.target)
                self._drop()
                self._say()
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
                failures += 1
                _readable(pause, self._bell_out)
                if not self._closed and self._to_send:
                    time.sleep(pause)
        if self._to_send and self._connection is not None:
            try:
                self._send(self._connection)
            except psycopg.Error:
                pass
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _listen(self) -> Connection[Any]:
        """Open a connection, LISTEN, and see whether a notice arrives at all."""
        connection = self._store.lend_reader()
        try:
            connection.add_notify_handler(self._heard)
            connection.execute(f'LISTEN "{self._channel}"')
            word = f"test {os.urandom(6).hex()}"
            self._awaited = word
            self._speak(word, connection)
            until = time.monotonic() + _TEST_SECONDS
            while self._awaited and (left := until - time.monotonic()) > 0:
                _readable(left, connection.fileno())
                self._receive(connection)
            self.hears = not self._awaited
        except BaseException:
            connection.close()
            raise
        return connection

    def _speak(self, word: str, connection: Connection[Any]) -> None:
        """Send a notice to this listener itself.

        Behind a pooler it comes from another client: one that speaks and listens is often given the
        same server connection for both, and would hear itself while it speaks, and nobody else.
        """
        if not self._store.is_pooled:
            connection.execute(notice(self._channel, word))
            return
        other = self._store.lend_reader()
        try:
            other.execute(notice(self._channel, word))
        finally:
            self._store.take_back(other)

    def _wait(self, connection: Connection[Any]) -> None:
        """Wait for what is said by others, or to be said."""
        ready = _readable(_SILENCE, connection.fileno(), self._bell_out)
        if self._bell_out in ready:
            _drain(self._bell_out)
            if self._to_send:
                self._send(connection)
        if connection.fileno() in ready:
            self._receive(connection)
        if not ready:
            connection.execute("SELECT 1")

    def _send(self, connection: Connection[Any]) -> None:
        self._to_send = False
        try:
            connection.execute(notice(self._channel, self._session))
        except BaseException:
            self._to_send = True
            raise

    def _receive(self, connection: Connection[Any]) -> None:
        connection.pgconn.consume_input()
        while (said := connection.pgconn.notifies()) is not None:
            self._take(said.extra.decode(errors="replace"))

    def _heard(self, said: psycopg.Notify) -> None:
        """Hear of a notice that arrived while a statement was run."""
        self._take(said.payload)

    def _take(self, word: str) -> None:
        if word == self._awaited:
            self._awaited = ""
        elif word != self._session and not word.startswith("test "):
            self._say()

    _awaited = ""

    def _say(self) -> None:
        self._said = True
        _poke(self._in)


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    return reading, writing


def _readable(seconds: float, *descriptors: int) -> set[int]:
    """Return which can be read, as soon as one can, none in time; of any number (select(2) is not)."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(seconds * 1000)}


def _poke(pipe: int) -> None:
    try:
        os.write(pipe, b"w")
    except OSError:
        # full: it has been poked already; closed: nobody is there any more
        pass


def _drain(pipe: int) -> None:
    try:
        while len(os.read(pipe, 4096)) == 4096:
            pass
    except BlockingIOError:
        pass
