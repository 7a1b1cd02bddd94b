"""Connections and transactions of the SQLite store: one writer, readers as needed, counters kept."""

from __future__ import annotations

import os
import sqlite3
import time
from _thread import get_ident
from collections import deque

from queuectl.errors import StoreUnavailable
from queuectl.paths import hosts_directory, wake_hosts
from queuectl.store import sql
from queuectl.store.base import Store
from queuectl.store.rules import pack_pairs, unpack_pairs
from queuectl.store.sqlite_file import connect, open_or_make, translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any

SQL = sql.load("sqlite.sql")


def to_any(text: str) -> str | bytes:
    """Return what an ANY column keeps of a text: bytes when it is not valid UTF-8."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return os.fsencode(text)
    return text


def from_any(value: str | bytes) -> str:
    """Return the text that an ANY column keeps."""
    return value if isinstance(value, str) else os.fsdecode(value)


def readable(text: str) -> str:
    """Return a text for reading that a TEXT column takes: what is not UTF-8 is escaped."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT, or a savepoint inside one. Rolls back what raises."""

    def __init__(self, store: SqliteBase) -> None:
        self._store = store
        self._counters: dict[tuple[str, str], int] = {}
        self._heads: dict[str, tuple[int, int, int]] = {}
        self._acts = 0

    def __enter__(self) -> None:
        store = self._store
        try:
            if store.depth:
                self._must_be_open()
                self._counters, self._heads = dict(store.counter_changes), dict(store.new_heads)
                self._acts = len(store.after_commit)
                store.writer.execute(f"SAVEPOINT s{store.depth}")
            else:
                store.writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise translate(error, store.path) from error
        store.depth += 1
        store.enter_thread()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        store = self._store
        store.depth -= 1
        if not store.depth:
            store.leave_thread()
        if error is None:
            try:
                self._finish()
            except sqlite3.Error as failure:
                self._undo()
                raise translate(failure, store.path) from failure
            except BaseException:
                self._undo()
                raise
            return
        self._undo()
        if isinstance(error, sqlite3.Error):
            raise translate(error, store.path) from error

    def _must_be_open(self) -> None:
        """Refuse to go on without the transaction: SQLite rolls all of it back on some errors.

        What came after would be committed statement by statement (sqlite.org/lang_transaction.html).
        """
        if not self._store.writer.in_transaction:
            reason = "an earlier error rolled the transaction back"
            raise StoreUnavailable(store=self._store.path, reason=reason)

    def _finish(self) -> None:
        store = self._store
        self._must_be_open()
        if store.depth:
            store.writer.execute(f"RELEASE s{store.depth}")
            return
        store.flush_heads()
        store.flush_counters()
        store.writer.execute("COMMIT")
        store.committed()

    def _undo(self) -> None:
        store = self._store
        store.counter_changes, store.new_heads = self._counters, self._heads
        store.forget_interned()
        del store.after_commit[self._acts :]
        try:
            if store.depth:
                store.writer.execute(f"ROLLBACK TO s{store.depth}")
                store.writer.execute(f"RELEASE s{store.depth}")
            else:
                store.work_made = False
                if store.writer.in_transaction:
                    store.writer.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the error that led here is the one to report


class SqliteBase(Store):
    """What all parts of the SQLite store share. Not a store by itself."""

    def __init__(
        self,
        path: str,
        local_settings: Mapping[str, str],
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.path = path
        self.name = f"sqlite://{path}"
        self.local_directory = path + ".d"
        self.local_settings = local_settings
        self._clock = clock or (lambda: time.time_ns() // 1_000_000)
        self.writer = open_or_make(path, SQL)
        self.identity = _identity(path)
        #: the host that this process is, whose own pipe is not poked
        self.host_id: str | None = None
        self.depth = 0
        self.counter_changes: dict[tuple[str, str], int] = {}
        self.new_heads: dict[str, tuple[int, int, int]] = {}
        #: somebody else may have something to do after this commit
        self.work_made = False
        self.after_commit: list[Callable[[], None]] = []
        self._readers: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._watcher: sqlite3.Connection | None = None
        #: the thread that writes at the moment; at first the one that opened the store
        self._writing_thread: int | None = get_ident()
        self._interned: dict[tuple[str, bytes], int] = {}
        self._pairs: dict[tuple[str, int], Mapping[str, str]] = {}

    # ---- life ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._closed = True
        while self._readers:
            self._readers.pop().close()
        if self._watcher is not None:
            self._watcher.close()
        self.writer.close()

    def now(self) -> int:
        """Return the wall clock in ms."""
        return self._clock()

    def transaction(self) -> _Transaction:
        """Group writes, see Store."""
        return _Transaction(self)

    def committed(self) -> None:
        """Do what waits for a commit: wake others, delete files."""
        if self.work_made:
            self.work_made = False
            wake_hosts(hosts_directory(self.local_directory), self.host_id)
        if self.after_commit:
            todo, self.after_commit = self.after_commit, []
            for act in todo:
                act()

    def replaced(self) -> bool:
        """Whether the path names another file by now than the one that is open."""
        return _identity(self.path) != self.identity

    def enter_thread(self) -> None:
        """Let this thread read through the writer, as it has a transaction there."""
        self._writing_thread = get_ident()

    def leave_thread(self) -> None:
        """The outermost transaction is over: in a host, readers are used again."""
        if self.host_id is not None:
            self._writing_thread = None

    # ---- reading ------------------------------------------------------------------------------

    def counter_rows(self) -> list[Any]:
        """Return queue, state and number of jobs; inside a transaction with what it changed."""
        if self.depth and get_ident() == self._writing_thread:
            self.flush_counters()
        return self.rows("SELECT queue, state, jobs FROM counter")

    def rows(self, statement: str, values: object = ()) -> list[Any]:
        """Return all rows of a read. Inside a transaction the writer answers, and sees it.

        It answers too while one thread does everything, which spares a one-shot command a connection.
        """
        if get_ident() == self._writing_thread:
            try:
                return self.writer.execute(statement, values).fetchall()  # type: ignore[arg-type]
            except sqlite3.Error as error:
                raise translate(error, self.path) from error
        connection = self.lend_reader()
        try:
            return connection.execute(statement, values).fetchall()  # type: ignore[arg-type]
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        finally:
            self.take_back(connection)

    def lend_reader(self) -> sqlite3.Connection:
        """Return a reading connection that no other thread uses until it is taken back."""
        try:
            return self._readers.pop()
        except IndexError:
            return connect(self.path, reader=True)

    def take_back(self, connection: sqlite3.Connection) -> None:
        """Keep a lent connection for the next reader."""
        if self._closed:
            connection.close()
        else:
            self._readers.append(connection)

    def version(self) -> object:
        """Return what changes with every commit: data_version of a connection kept for it."""
        if self._watcher is None:
            self._watcher = connect(self.path, reader=True)
        try:
            row = self._watcher.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        return row[0]

    # ---- counters and heads -------------------------------------------------------------------

    def moved(self, queue: str, before: str | None, after: str | None, jobs: int = 1) -> None:
        """Note that jobs of a queue went from one state to another; None is outside the store."""
        if before == after:
            return
        changes = self.counter_changes
        if before is not None:
            changes[queue, before] = changes.get((queue, before), 0) - jobs
        if after is not None:
            changes[queue, after] = changes.get((queue, after), 0) + jobs

    def flush_counters(self) -> None:
        """Write the counter changes of this transaction."""
        changes, self.counter_changes = self.counter_changes, {}
        for (queue, state), jobs in changes.items():
            if jobs:
                self.writer.execute(SQL["count_up"], (queue, state, jobs))

    def became_ready(self, queue: str, priority: int, due_at: int, job_id: int) -> None:
        """Note that a job stands in the ready lane, perhaps before the head of its queue."""
        key = (-priority, due_at, job_id)
        known = self.new_heads.get(queue)
        if known is None or key < known:
            self.new_heads[queue] = key
        self.work_made = True

    def flush_heads(self) -> None:
        """Write the queue heads that this transaction moved forward."""
        heads, self.new_heads = self.new_heads, {}
        for queue, (negative, due_at, job_id) in heads.items():
            self.writer.execute(SQL["raise_head"], (-negative, due_at, job_id, queue))

    # ---- what is stored once ------------------------------------------------------------------

    def intern(self, table: str, pairs: Mapping[str, str]) -> int:
        """Return the id of a set of pairs in `environment` or `policy`, storing it if it is new."""
        packed = pack_pairs(pairs)
        key = (table, packed)
        found = self._interned.get(key)
        if found is None:
            row = self.writer.execute(SQL[f"{table}_id"], (packed,)).fetchone()
            if row is None:
                self.writer.execute(SQL[f"intern_{table}"], (packed,))
                row = self.writer.execute(SQL[f"{table}_id"], (packed,)).fetchone()
            found = int(row[0])
            if len(self._interned) > 1000:
                self._interned.clear()
            self._interned[key] = found
        return found

    def keep_payload(self, job_id: int, stdin: bytes | None, path: str | None) -> None:
        """Store a job's standard input, or where it is."""
        data = stdin if path is None else os.fsencode(path)
        self.writer.execute("INSERT INTO payload VALUES (?, ?)", (job_id, data))

    def forget_interned(self) -> None:
        """Drop ids that a rolled-back transaction may have given out, and what they stood for."""
        self._interned.clear()
        self._pairs.clear()

    def pairs(self, table: str, row_id: int) -> Mapping[str, str]:
        """Return what `intern` stored. Rows never change, so they are kept."""
        key = (table, row_id)
        found = self._pairs.get(key)
        if found is None:
            rows = self.rows(f"SELECT pairs FROM {table} WHERE id = ?", (row_id,))
            found = unpack_pairs(rows[0][0]) if rows else {}
            if len(self._pairs) > 1000:
                self._pairs.clear()
            self._pairs[key] = found
        return found


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
