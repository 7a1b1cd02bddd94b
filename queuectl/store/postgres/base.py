"""Transactions and statements of the PostgreSQL store, in few round trips.

What needs no answer (BEGIN, a savepoint, a row that is only written) waits and goes with the next
statement that does. An error of what waited shows there, or at the end of the group it is of.

Every outermost transaction that wrote something leaves a row of its own in `batch`, under a UUID
that this process chose. When the connection breaks in the middle of COMMIT nobody knows what came
of it; on a new connection the same UUID is inserted again: that waits for the old transaction's
end, and then tells whether it was committed, or sees to it that it never is.
"""

from __future__ import annotations

import os
import time
from _thread import get_ident

import psycopg

from queuectl.errors import StoreUnavailable
from queuectl.failpoint import reach
from queuectl.store.postgres.connect import in_one_line, is_lost, translate
from queuectl.store.postgres.connections import SQL, PostgresConnections
from queuectl.store.postgres.statements import styled, told
from queuectl.store.postgres.transaction import Joined, Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from psycopg import Connection, Cursor

    from queuectl.store.postgres.url import Target

    Statement = tuple[str, Sequence[object]]

#: seconds for which a broken COMMIT is asked after
ASK_SECONDS = 15.0
#: one of so many commits folds the counters and forgets old batches
_FOLD_EVERY = 100
_BEGIN: Statement = ("BEGIN", ())


class PostgresBase(PostgresConnections):
    """What all parts of the PostgreSQL store share. Not a store by itself."""

    def __init__(
        self,
        target: Target,
        local_settings: Mapping[str, str],
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.work_made = False
        self.after_commit: list[Callable[[], None]] = []
        #: statements that go with the next one
        self.waiting: list[Statement] = []
        #: this transaction wrote something; an error left it half done
        self.wrote = self.is_spoiled = False
        #: the connection broke in the last transaction, and nothing of it was committed
        self.lost_before_commit = False
        #: claims made in a transaction, in case that its COMMIT breaks
        self.just_claimed: list[tuple[int, str]] = []
        #: claims of which nobody in this process knows, to be given back
        self.stray: list[tuple[int, str]] = []
        self._commits = int.from_bytes(os.urandom(2), "big")
        super().__init__(target, local_settings, clock)

    # ---- transactions -------------------------------------------------------------------------

    def transaction(self) -> Transaction:
        """Group writes, see Store."""
        return Transaction(self)

    def joined(self) -> Transaction | Joined:
        """Return a transaction, or the one there is: for what fails only when the server does."""
        return Joined(self) if self.depth else Transaction(self)

    def begin(self) -> None:
        """Begin the outermost transaction, on a new connection if the old one is gone."""
        self.lost_before_commit = False
        if self.stray:
            self._give_back_strays()
        _ = self.writer
        self.just_claimed = []
        self.wrote = self.is_spoiled = False
        self.waiting = [_BEGIN, *((words, ()) for words in self.first_words())]

    @property
    def _is_begun(self) -> bool:
        """Whether the server has heard of the transaction."""
        return not (self.waiting and self.waiting[0] is _BEGIN)

    def must_be_open(self) -> None:
        """Refuse to go on without the transaction."""
        if not self.is_open:
            reason = "the connection broke in the middle of a transaction"
            raise StoreUnavailable(store=self.name, reason=reason)
        status = self.writer.info.transaction_status
        open_ = psycopg.pq.TransactionStatus.INTRANS
        if self.is_spoiled or (self._is_begun and status is not open_):
            reason = "an earlier error undid the transaction"
            raise StoreUnavailable(store=self.name, reason=reason)

    def release_savepoint(self, depth: int) -> None:
        """Make a savepoint part of what is around it; errors of what it wrote show now."""
        words = f"SAVEPOINT s{depth}"
        if self.waiting and self.waiting[-1][0] == words:
            self.waiting.pop()
            return
        self.waiting.append((f"RELEASE s{depth}", ()))
        if any(_is_write(text) for text, _ in self.waiting):
            self.flush()

    def undo_savepoint(self, depth: int) -> None:
        """Undo what was done since a savepoint."""
        for at, (text, _) in enumerate(self.waiting):
            if text == f"SAVEPOINT s{depth}":
                del self.waiting[at:]
                break
        else:
            self.waiting = []
            self.writer.execute(f"ROLLBACK TO s{depth}; RELEASE s{depth}")
        self.is_spoiled = False

    def undo(self) -> None:
        """Undo the outermost transaction."""
        self._leave_thread()
        is_begun = self._is_begun
        self.waiting = []
        self.work_made = self.wrote = self.is_spoiled = False
        if self.is_open and is_begun:
            self.writer.execute("ROLLBACK")

    def _leave_thread(self) -> None:
        """The outermost transaction is over: in a host, readers are used again."""
        if self.host_id is not None:
            self.writing_thread = None

    def commit(self) -> None:
        """End the outermost transaction. Raises StoreUnavailable when it was not, or may not have been."""
        self.flush_counters()
        batch = os.urandom(16).hex()
        if self.wrote:
            self.waiting.append((SQL["batch"], (batch, self.now())))
        if self._is_begun or self.wrote:
            try:
                self.waiting.append(("COMMIT", ()))
                waiting, self.waiting = self.waiting, []
                reach("before-commit")
                self._send(waiting)
                reach("after-commit")
            except psycopg.Error as error:
                if not is_lost(error) or not self.wrote:
                    raise
                self.drop_writer()
                self._ask_after(batch, error)
        self.waiting = []
        self.wrote = False
        self._leave_thread()
        self._committed()

    def _ask_after(self, batch: str, error: psycopg.Error) -> None:
        """Return if a transaction whose COMMIT broke was committed; raise StoreUnavailable if not."""
        until = time.monotonic() + ASK_SECONDS
        pause = 0.05
        while True:
            try:
                writer = self.new_writer()
                with writer.transaction():
                    for words in self.first_words():
                        writer.execute(words)
                    found = writer.execute(SQL["ask_batch"], (batch, self.now())).fetchone()
                break
            except (psycopg.Error, StoreUnavailable) as failure:
                if time.monotonic() > until:
                    self.stray += self.just_claimed
                    reason = (
                        "the connection broke while something was being committed, and whether it"
                        f" was is not known: {in_one_line(error, self.target)}"
                    )
                    raise StoreUnavailable(store=self.name, reason=reason) from failure
                time.sleep(pause)
                pause = min(pause * 2, 1.0)
        if found is not None:
            self.lost_before_commit = True
            reason = f"the connection broke before the commit: {in_one_line(error, self.target)}"
            raise StoreUnavailable(store=self.name, reason=reason)

    def _give_back_strays(self) -> None:
        """Give back claims that were made after all by a COMMIT that nobody heard the end of."""
        strays, self.stray = self.stray, []
        try:
            self.release(strays)
        except StoreUnavailable:
            self.stray = strays
            raise

    def _committed(self) -> None:
        """Do what waits for a commit: wake others, delete files, keep house now and then."""
        if self.work_made:
            self.work_made = False
            self.notify()
        if self.after_commit:
            todo, self.after_commit = self.after_commit, []
            for act in todo:
                act()
        self._commits += 1
        if self._commits % _FOLD_EVERY == 0:
            self._keep_house()

    def _keep_house(self) -> None:
        """Fold counters and forget old batches; a role that may not leaves that to others."""
        for name in ("fold_counters", "forget_batches"):
            try:
                writer = self.writer
                with writer.transaction():
                    for words in self.first_words():
                        writer.execute(words)
                    writer.execute(SQL[name])
            except (psycopg.Error, StoreUnavailable):
                return

    # ---- statements ---------------------------------------------------------------------------

    def failed(self, error: psycopg.Error) -> Exception:
        """Return our error for one of psycopg's; a connection that is of no use is closed."""
        if is_lost(error):
            self.drop_writer()
            self.lost_before_commit = True
        return translate(error, self.target)

    def _send(self, statements: Sequence[Statement]) -> list[Cursor[Any]]:
        """Send statements together, in psycopg's style; return what came of each. psycopg's errors."""
        writer = self.writer
        if len(statements) == 1:
            text, values = statements[0]
            return [writer.execute(text, values or None, binary=True)]
        with writer.pipeline():
            return [
                writer.execute(text, values or None, binary=True) for text, values in statements
            ]

    def _exchange(self, statements: Sequence[Statement]) -> list[Cursor[Any]]:
        """Send what waits and then these; return what came of these."""
        waiting, self.waiting = self.waiting, []
        together = [*waiting, *statements]
        try:
            try:
                found = self._send(together)
            except psycopg.Error as error:
                # nothing of the transaction had been sent: all of it can go over a new connection
                if not is_lost(error) or not waiting or waiting[0] is not _BEGIN:
                    raise
                self.new_writer()
                found = self._send(together)
        except psycopg.Error as error:
            raise self.failed(error) from error
        return found[len(waiting) :]

    def run(self, statement: str, values: Sequence[object] = ()) -> Cursor[Any]:
        """Run a statement within the present transaction."""
        text, writes = styled(statement)
        self.wrote = self.wrote or writes
        return self._exchange([(text, told(values))])[0]

    def run_all(self, *statements: Statement) -> list[Cursor[Any]]:
        """Run statements within the present transaction, in one round trip."""
        sent = []
        for statement, values in statements:
            text, writes = styled(statement)
            self.wrote = self.wrote or writes
            sent.append((text, told(values)))
        return self._exchange(sent)

    def later(self, statement: str, values: Sequence[object]) -> None:
        """Have a statement that writes go with the next one of the present transaction."""
        self.wrote = True
        self.waiting.append((styled(statement)[0], told(values)))

    def flush(self) -> None:
        """Send what waits."""
        if self.waiting:
            self._exchange([])

    def run_many(self, statement: str, values: Iterable[Sequence[object]]) -> None:
        """Run a statement within the present transaction once for each row of values."""
        rows = list(values)
        if not rows:
            return
        self.wrote = True
        self.flush()
        try:
            with self.writer.cursor() as cursor:
                cursor.executemany(styled(statement)[0], rows)
        except psycopg.Error as error:
            raise self.failed(error) from error

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Return all rows of a read. Inside a transaction the writer answers, and sees it.

        It answers too while one thread does everything, which spares a one-shot command a connection.
        """
        is_own = get_ident() == self.writing_thread and self.in_use.acquire(blocking=False)
        try:
            if is_own and self.depth:
                return self.run(statement, values).fetchall()
            return self._rows(styled(statement)[0], told(values), is_own=is_own)
        finally:
            if is_own:
                self.in_use.release()

    def _rows(self, text: str, values: Sequence[object], *, is_own: bool) -> list[Any]:
        """Read, on the connection that writes or on a lent one; once more if it broke."""
        for again in (True, False):
            connection = self.writer if is_own else self.lend_reader()
            try:
                return self._read(connection, text, values)
            except psycopg.Error as error:
                if is_lost(error):
                    connection.close()
                    if again:
                        continue
                raise translate(error, self.target) from error
            finally:
                if not is_own:
                    self.take_back(connection)
        raise AssertionError

    def _read(self, connection: Connection[Any], text: str, values: Sequence[object]) -> list[Any]:
        if not self.is_pooled:
            return connection.execute(text, values, binary=True).fetchall()
        with connection.transaction():
            for words in self.first_words():
                connection.execute(words)
            return connection.execute(text, values, binary=True).fetchall()

    def block(self, name: str) -> str:
        """Return a block of postgres.sql."""
        return SQL[name]

    def version(self) -> object:
        """Return what changes with every commit that wrote something."""
        return self.rows(SQL["version"])[0]

    # ---- counters -----------------------------------------------------------------------------

    def flush_counters(self) -> None:
        """Append the counter changes of this transaction: no row is waited for."""
        changes, self.counter_changes = self.counter_changes, {}
        found = [(queue, state, jobs) for (queue, state), jobs in changes.items() if jobs]
        if found:
            queues, states, jobs = map(list, zip(*found, strict=True))
            self.later(SQL["count_up"], (queues, states, jobs))

    def counter_rows(self) -> list[Any]:
        """Return queue, state and number of jobs; inside a transaction with what it changed."""
        if self.writing_thread == get_ident() and self.in_use.acquire(blocking=False):
            try:
                if self.depth:
                    self.flush_counters()
            finally:
                self.in_use.release()
        return self.rows(SQL["counters"])


def _is_write(text: str) -> bool:
    return not text.startswith(("BEGIN", "SET ", "SAVEPOINT", "RELEASE"))
