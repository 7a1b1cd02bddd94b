"""The connections of a PostgreSQL store: one that writes, readers as needed; time, and waking others."""

from __future__ import annotations

import os
import time
from _thread import RLock, get_ident
from collections import deque

import psycopg

from queuectl.errors import StoreUnavailable
from queuectl.store.postgres.connect import connect, manners, translate
from queuectl.store.postgres.schema import SchemaFacts, prepare
from queuectl.store.sql import blocks
from queuectl.store.sql.sqlstore import SqlStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from psycopg import Connection

    from queuectl.store.postgres.url import Target

SQL = blocks.load(__file__, "postgres.sql")
_CLOCK_SECONDS = 30.0
#: readers that are kept for the next one who reads
_READERS = 4


class PostgresConnections(SqlStore):
    """What all parts of the PostgreSQL store share of connections. Not a store by itself."""

    def __init__(
        self,
        target: Target,
        local_settings: Mapping[str, str],
        clock: Callable[[], int] | None = None,
    ) -> None:
        super().__init__()
        self.target = target
        self.name, self.public_url = target.shown, target.public_url
        self.local_settings = local_settings
        self.lease = target.lease
        #: what notices of this process carry, so that it does not wake itself
        self.session = os.urandom(6).hex()
        #: the host that this process is
        self.host_id: str | None = None
        self.depth = 0
        #: wakes others in place of this object, where there is a listener
        self.ring: Callable[[], None] | None = None
        #: a clock to go by instead of the server's
        self.fake_clock = clock
        self._clock: tuple[int, float] = (0, float("-inf"))
        self._readers: deque[Connection[Any]] = deque()
        self.closed = False
        #: the thread that writes at the moment; at first the one that opened the store
        self.writing_thread: int | None = get_ident()
        self._writer: Connection[Any] | None = None
        #: held by who uses the connection that writes: a transaction, or a read
        self.in_use = RLock()
        #: held by who uses the connection that renews leases
        self.renewer_in_use = RLock()
        #: a pooler such as PgBouncer stands before the server
        self.is_pooled = False
        self._writer, facts = self.connect()
        self.local_directory = _local_directory(facts, target.schema)

    # ---- connections --------------------------------------------------------------------------

    def connect(self) -> tuple[Connection[Any], SchemaFacts]:
        """Open a connection that is ready for use, the schema made if it is not there."""
        connection = connect(self.target)
        try:
            facts = prepare(connection, self.target, SQL)
            self.is_pooled = facts.is_pooled
            if facts.is_pooled:
                connection.prepare_threshold = None
            else:
                connection.execute(manners(self.target.schema, local=False))
            self._clock = facts.clock, time.monotonic()
        except psycopg.Error as error:
            connection.close()
            raise translate(error, self.target) from error
        except BaseException:
            connection.close()
            raise
        return connection, facts

    @property
    def writer(self) -> Connection[Any]:
        """The connection that writes, a new one where the old one broke. Raises StoreUnavailable."""
        if self.closed:
            raise StoreUnavailable(store=self.name, reason="it was closed")
        writer = self._writer
        if writer is None or writer.closed:
            if self.depth:
                reason = "the connection broke in the middle of a transaction"
                raise StoreUnavailable(store=self.name, reason=reason)
            writer = self.new_writer()
        return writer

    def new_writer(self) -> Connection[Any]:
        """Replace the writing connection by a new one. Raises StoreUnavailable."""
        self.drop_writer()
        self._writer, _ = self.connect()
        return self._writer

    @property
    def is_open(self) -> bool:
        """Whether the writing connection is there."""
        return self._writer is not None and not self._writer.closed

    def drop_writer(self) -> None:
        """Close the writing connection: the next use opens another one."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self.closed = True
        self.drop_writer()
        while self._readers:
            self._readers.pop().close()

    def lend_reader(self) -> Connection[Any]:
        """Return a connection that no other thread uses until it is taken back."""
        while True:
            try:
                connection = self._readers.pop()
            except IndexError:
                return self.connect()[0]
            if not connection.closed:
                return connection

    def take_back(self, connection: Connection[Any]) -> None:
        """Keep a lent connection for the next reader."""
        if self.closed or connection.closed or len(self._readers) >= _READERS:
            connection.close()
        else:
            self._readers.append(connection)

    def first_words(self) -> list[str]:
        """Return what is said at the head of every transaction: behind a pooler, nothing is kept."""
        if not self.is_pooled:
            return []
        return manners(self.target.schema, local=True).split("; ")

    # ---- time ---------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the server's clock in ms, as it was measured within the last half minute."""
        if self.fake_clock is not None:
            return self.fake_clock()
        clock, since = self._clock
        here = time.monotonic()
        if here - since > _CLOCK_SECONDS and not self.depth:
            try:
                clock = int(self.rows(SQL["clock"])[0][0])
            except StoreUnavailable:
                clock += int((here - since) * 1000)
            since = here
            self._clock = clock, since
        return clock + int((here - since) * 1000)

    # ---- waking others ------------------------------------------------------------------------

    @property
    def channel(self) -> str:
        """The channel on which hosts of this store are woken."""
        return f"queuectl_{self.target.schema}"[:63]

    def notify(self) -> None:
        """Wake the other hosts: through the listener's connection, else in a small transaction.

        Never fails: what was committed is committed, and a poll stands behind the notice.
        """
        if self.ring is not None:
            self.ring()
            return
        try:
            self.writer.execute(notice(self.channel, self.session))
        except (psycopg.Error, StoreUnavailable):
            pass


def notice(channel: str, session: str) -> str:
    """Return what wakes the others: a transaction of its own that waits for no disk."""
    return f"BEGIN; SET LOCAL synchronous_commit TO off; NOTIFY \"{channel}\", '{session}'; COMMIT"


def _local_directory(facts: SchemaFacts, schema: str) -> str:
    """Return the directory for files on this machine: the same for every name of the server."""
    from hashlib import sha256

    from queuectl.paths import state_directory

    key = sha256(f"{facts.system} {facts.database} {schema}".encode()).hexdigest()[:16]
    return f"{state_directory(os.environ)}/postgresql-{key}"
