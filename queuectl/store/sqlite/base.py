"""Connections and transactions of the SQLite store: one writer, readers as needed, counters kept."""

from __future__ import annotations

import os
import sqlite3
import time
from _thread import get_ident
from collections import deque

from queuectl.errors import StoreUnavailable, UsageError
from queuectl.paths import hosts_directory, wake_hosts
from queuectl.store.rules import Facts
from queuectl.store.sql import blocks
from queuectl.store.sql.sqlstore import SqlStore
from queuectl.store.sqlite.file import connect, open_or_make, translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Any

SQL = blocks.load(__file__, "sqlite.sql")
#: reading connections that are kept open while nobody uses them
READERS_KEPT = 4


def to_any(text: str) -> str | bytes:
    """Return what an ANY column keeps of a text: bytes when it is not valid UTF-8."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return os.fsencode(text)
    return text


def _no_text(error: UnicodeEncodeError) -> UsageError:
    """Return the error for a name or pattern of bytes that are not UTF-8: nothing is called so."""
    return UsageError(f"{error.object!a} is not UTF-8 text")


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT, or a savepoint inside one. Rolls back what raises."""

    def __init__(self, store: SqliteBase) -> None:
        self._store = store
        self._counters: dict[tuple[str, str], int] = {}
        self._heads: dict[int, tuple[int, int, int]] = {}
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
                store.looked_at_limits = False
        except sqlite3.Error as error:
            raise store.fault(error) from error
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
                raise store.fault(failure) from failure
            except BaseException:
                self._undo()
                raise
            return
        self._undo()
        if isinstance(error, sqlite3.Error):
            raise store.fault(error) from error

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
        store.forget_kept()
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


class SqliteBase(SqlStore):
    """The primitives of SqlStore on SQLite. Not a store by itself."""

    def __init__(
        self,
        path: str,
        local_settings: Mapping[str, str],
        clock: Callable[[], int] | None = None,
    ) -> None:
        super().__init__()
        self.path = path
        self.name = self.public_url = f"sqlite://{path}"
        self.local_directory = path + ".d"
        self.local_settings = local_settings
        self._clock = clock or (lambda: time.time_ns() // 1_000_000)
        self.writer = open_or_make(path, SQL)
        self.identity = _identity(path)
        #: the host that this process is, whose own pipe is not poked
        self.host_id: str | None = None
        self.depth = 0
        #: what is known of limits was looked at in this transaction
        self.looked_at_limits = False
        self.new_heads: dict[int, tuple[int, int, int]] = {}
        self.work_made = False
        self.after_commit = []
        self._readers: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._watcher: sqlite3.Connection | None = None
        #: the thread that writes at the moment; at first the one that opened the store
        self.writing_thread: int | None = get_ident()

    # ---- life ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._closed = True
        while self._readers:
            self._readers.pop().close()
        if self._watcher is not None:
            self._watcher.close()
        self.writer.close()

    def fault(self, error: sqlite3.Error) -> Exception:
        """Return our error for one of SQLite's; whatever a closed store meets, it is closed."""
        if self._closed:
            return self._is_closed()
        return translate(error, self.path)

    def _is_closed(self) -> StoreUnavailable:
        return StoreUnavailable(store=self.path, reason="it has been closed")

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
        self.writing_thread = get_ident()

    def leave_thread(self) -> None:
        """The outermost transaction is over: in a host, readers are used again."""
        if self.host_id is not None:
            self.writing_thread = None

    # ---- reading ------------------------------------------------------------------------------

    def counter_rows(self) -> list[Any]:
        """Return queue, state and number of jobs; inside a transaction with what it changed."""
        if self.depth and get_ident() == self.writing_thread:
            self.flush_counters()
        return self.rows("SELECT queue, state, jobs FROM counter")

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Return all rows of a read. Inside a transaction the writer answers, and sees it.

        It answers too while one thread does everything, which spares a one-shot command a connection.
        """
        if get_ident() == self.writing_thread:
            try:
                return self.writer.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise self.fault(error) from error
            except UnicodeEncodeError as error:
                raise _no_text(error) from None
        connection = self.lend_reader()
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self.fault(error) from error
        except UnicodeEncodeError as error:
            raise _no_text(error) from None
        finally:
            self.take_back(connection)

    def run(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run a statement within the present transaction."""
        return self.writer.execute(statement, values)

    def run_many(self, statement: str, values: Iterable[Sequence[object]]) -> None:
        """Run a statement within the present transaction once for each row of values."""
        self.writer.executemany(statement, values)

    def block(self, name: str) -> str:
        """Return a statement of sqlite.sql."""
        return SQL[name]

    def to_column(self, text: str) -> str | bytes:
        """Return what an ANY column keeps of a text."""
        return text if text.isascii() else to_any(text)

    def from_column(self, value: str | bytes) -> str:
        """Return the text that an ANY column keeps."""
        return value if isinstance(value, str) else os.fsdecode(value)

    def glob_test(self, column: str, pattern: str) -> tuple[str, str]:
        """Return a GLOB: SQLite's are those of the shell."""
        return f"{column} GLOB ?", pattern

    def facts(self, job_id: int) -> Facts | None:
        """Return what is known of a job."""
        if not 0 < job_id < 2**63:
            return None
        try:
            row = self.writer.execute(SQL["facts"], (job_id,)).fetchone()
        except sqlite3.Error as error:
            raise self.fault(error) from error
        return None if row is None else tuple.__new__(Facts, row)

    def facts_of(self, ids: Sequence[int]) -> dict[int, Facts]:
        """Return what is known of jobs."""
        test, value = self.among("id", ids)
        rows = self.rows(SQL["facts_of"].format(test=test), (value,))
        return {row[-1]: tuple.__new__(Facts, row[:-1]) for row in rows}

    def among(self, column: str, ids: Sequence[int]) -> tuple[str, str]:
        """Return a test with a list as JSON: one statement for however many."""
        fitting = [str(one) for one in ids if -(2**63) <= one < 2**63]
        return f"{column} IN (SELECT value FROM json_each(?))", f"[{','.join(fitting)}]"

    def write_jobs(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        final: bool = False,  # noqa: ARG002
    ) -> None:
        """Write these columns of jobs."""
        if rows:
            names = " = ?, ".join(columns)
            self.writer.executemany(f"UPDATE job SET {names} = ? WHERE id = ?", rows)

    def lock(self, ids: Sequence[int]) -> None:
        """Do nothing: a transaction that writes is alone."""

    def new_ids(self, count: int) -> Iterable[int]:
        """Return the ids behind the last one; they are taken by `used_ids`."""
        last = self.writer.execute(SQL["last_id"]).fetchone()[0]
        return range(last + 1, last + count + 1)

    def used_ids(self, last: int) -> None:
        """Go on behind an id."""
        self.writer.execute(SQL["take_ids"], (last,))

    def end_of_line(self, queue: str, *, first: bool) -> tuple[int, int, int] | None:
        """Return priority, due time and id of a queue's first, or last, ready or due job."""
        self.flush_heads()
        read = SQL["head_of" if first else "end_of"]
        ends = [row for (track,) in self.rows(SQL["tracks_of"], (queue,))
                for row in self.rows(read, (track,))]  # fmt: skip
        due = SQL["end_of_due"].format(order="ASC" if first else "DESC")
        ends += self.rows(due, (self.now(), queue))
        ends.sort(key=lambda row: (-row[0], row[1], row[2]))
        return (ends[0] if first else ends[-1]) if ends else None

    def lend_reader(self) -> sqlite3.Connection:
        """Return a reading connection that no other thread uses until it is taken back."""
        if self._closed:
            raise self._is_closed()
        try:
            return self._readers.pop()
        except IndexError:
            return connect(self.path, reader=True)

    def take_back(self, connection: sqlite3.Connection) -> None:
        """Keep a lent connection for the next reader, as many as are often needed at once."""
        if self._closed or len(self._readers) >= READERS_KEPT:
            connection.close()
        else:
            self._readers.append(connection)

    def version(self) -> object:
        """Return what changes with every commit: data_version of a connection kept for it."""
        if self._closed:
            raise self._is_closed()
        if self._watcher is None:
            self._watcher = connect(self.path, reader=True)
        try:
            row = self._watcher.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            raise self.fault(error) from error
        return row[0]

    # ---- counters and heads -------------------------------------------------------------------

    def flush_counters(self) -> None:
        """Write the counter changes of this transaction."""
        changes, self.counter_changes = self.counter_changes, {}
        for (queue, state), jobs in changes.items():
            if jobs:
                self.writer.execute(SQL["count_up"], (queue, state, jobs))

    def became_ready(self, track: int, priority: int, due_at: int, job_id: int) -> None:
        """Note that a job stands in the ready lane, perhaps before the head of its track."""
        key = (-priority, due_at, job_id)
        known = self.new_heads.get(track)
        if known is None or key < known:
            self.new_heads[track] = key
        self.work_made = True

    def flush_heads(self) -> None:
        """Write the heads of tracks that this transaction moved forward."""
        heads, self.new_heads = self.new_heads, {}
        for track, (negative, due_at, job_id) in heads.items():
            self.writer.execute(SQL["raise_head"], (-negative, due_at, job_id, track))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
