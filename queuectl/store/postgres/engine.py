"""The PostgreSQL store: many hosts on many machines share it."""

from __future__ import annotations

import os
import time
from functools import wraps

import psycopg

from queuectl.errors import Refused, StoreUnavailable
from queuectl.store.postgres.connect import Conflict, is_lost, translate
from queuectl.store.postgres.connections import SQL
from queuectl.store.postgres.schema import grants
from queuectl.store.postgres.settle import PostgresSettle
from queuectl.store.postgres.statements import styled, told
from queuectl.store.postgres.url import parse
from queuectl.store.sql.changes import HISTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from psycopg import Connection

    from queuectl.store.base import Check, Listener

#: how often a write is done again that met others, and how long it waits before
_TRIES = 6
_PAUSE = 0.01
#: pieces of output that are kept of one attempt for other machines, bytes in all
_PIECE = 4 * 1024**2


class PostgresStore(PostgresSettle):
    """A store in a schema of a PostgreSQL database.

    Durable at every commit as far as the server is (synchronous_commit). Connection errors are
    StoreUnavailable, and the next call connects anew.
    """

    _renewer: Connection[Any] | None = None

    def close(self) -> None:
        """Close every connection. Idempotent."""
        renewer, self._renewer = self._renewer, None
        if renewer is not None:
            renewer.close()
        super().close()

    def listener(self, host_id: str) -> Listener:
        """Return a listener for a registered host's wake-ups."""
        from queuectl.store.postgres.listen import PostgresListener

        self.host_id = host_id
        # from now on a thread of its own writes, which no long read shall hold up
        self.writing_thread = None
        return PostgresListener(self)

    #: what was shipped of a job's output goes with it
    history = (("output_chunk", "job_id"), *HISTORY)

    # ---- leases -------------------------------------------------------------------------------

    def renew(self, host_id: str) -> bool:
        """Say that a host lives: one statement, by the server's clock, on a connection of its own."""
        now = None if self.fake_clock is None else self.fake_clock()
        return bool(self._aside(SQL["renew"], (now, host_id)).rowcount == 1)

    def expired(self) -> list[str]:
        """Return the hosts whose lease has ended by the server's clock.

        None within a lease after the server's start or promotion: they could not renew until then.
        """
        now = self._server_now()
        ((started, timeline, known, since),) = self.rows(SQL["server"])
        lease = int((self.lease or 0) * 1000)
        if known != timeline:
            # beside what the thread that writes does: this is called on another one
            self.rows(SQL["note_timeline"], (timeline, now if known else 0, timeline))
            if known:
                return []
        if self.fake_clock is not None:
            started = self.started_at
        if now < max(started, since) + lease:
            return []
        return [row[0] for row in self.rows(SQL["expired"], (lease, now))]

    #: when the server was started, for stores with a clock of their own
    started_at = 0

    def _server_now(self) -> int:
        if self.fake_clock is not None:
            return self.fake_clock()
        return int(self.rows(SQL["clock"])[0][0])

    def _aside(self, statement: str, values: Sequence[object]) -> Any:
        """Run one statement that is a transaction, beside what the writing connection does.

        Any thread; one waits for the other. A connection that broke is replaced once.
        """
        with self.renewer_in_use:
            return self._on_renewer(styled(statement)[0], told(values))

    def _on_renewer(self, text: str, values: Sequence[object]) -> Any:
        for again in (True, False):
            connection = self._renewer
            if connection is None or connection.closed:
                if self.closed:
                    raise StoreUnavailable(store=self.name, reason="it was closed")
                connection = self._renewer = self.connect()[0]
            try:
                if not self.is_pooled:
                    return connection.execute(text, values, binary=True)
                with connection.transaction():
                    for words in self.first_words():
                        connection.execute(words)
                    return connection.execute(text, values, binary=True)
            except psycopg.Error as error:
                if is_lost(error):
                    connection.close()
                    if again:
                        continue
                raise translate(error, self.target) from error
        raise AssertionError

    # ---- output for other machines ------------------------------------------------------------

    def ship(
        self, job_id: int, run: int, token: str, offset: int, data: bytes, marks: bytes
    ) -> bool:
        """Keep a piece of a running attempt's output; False: the token is not the current one."""
        values = (job_id, run, offset, data, marks, job_id, token)
        # beside renewals, which must not wait for it
        if self.rows(SQL["ship"], values):
            return True
        return bool(self.rows(SQL["has_token"], (job_id, token)))

    def shipped(self, job_id: int, run: int, offset: int = 0) -> list[tuple[int, bytes, bytes]]:
        """Return (offset, data, marks) of pieces kept from `offset` on, some 4 MiB at the most."""
        found, size = [], 0
        for start, data, marks in self.rows(SQL["shipped"], (job_id, run, offset)):
            found.append((start, bytes(data), bytes(marks)))
            size += len(data)
            if size >= _PIECE:
                break
        return found

    # ---- keeping ------------------------------------------------------------------------------

    def backup(self, path: str) -> None:
        """Refuse: PostgreSQL has its own way."""
        info = self.writer.info
        raise Refused(
            "a PostgreSQL store is backed up with PostgreSQL's own tools:"
            f" pg_dump --host={info.host} --port={info.port} --username={info.user}"
            f" --schema={self.target.schema} --format=custom --file={path} {info.dbname}"
        )

    def checks(self) -> list[Check]:
        """Look at server, connection, standby, dead rows, clock and listening. Takes 5 s at the most."""
        from queuectl.store.postgres.checks import checks

        return checks(self)

    def grants(self, worker: str, enqueuer: str) -> str:
        """Return the statements that let one role work, and another one enqueue and read."""
        return grants(self.target.schema, worker, enqueuer, SQL)


def open_postgres(url: str, local_settings: Mapping[str, str]) -> PostgresStore:
    """Open the store of a postgresql:// URL, its schema made if it is not there."""
    return PostgresStore(parse(url, os.environ), local_settings)


def _repeated(method: Callable[..., Any]) -> Callable[..., Any]:
    """Have a write done again that met others, or whose connection broke before its commit."""

    @wraps(method)
    def write(self: PostgresStore, *args: Any, **named: Any) -> Any:
        if self.depth:
            # only who began the transaction can do all of it again
            return method(self, *args, **named)
        lost = 0
        for tried in range(_TRIES):
            try:
                return method(self, *args, **named)
            except Conflict:
                if tried == _TRIES - 1:
                    raise
                time.sleep(_PAUSE * (tried + 1))
            except StoreUnavailable:
                if lost or not self.lost_before_commit:
                    raise
                lost += 1
        raise AssertionError

    return write


for _name in (
    "add", "restore", "claim", "start", "settle", "release", "lose", "cancel", "retry", "hold",
    "edit_all", "move", "remove", "prune", "wish", "take_wishes", "create_queue", "change_queue",
    "pause_queue", "remove_queue", "put_schedule", "remove_schedule", "fire", "put_note",
    "prune_notes", "set", "register", "forget", "ask_stop",
):  # fmt: skip
    setattr(PostgresStore, _name, _repeated(getattr(PostgresStore, _name)))
