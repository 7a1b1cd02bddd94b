"""The groups of writes of a PostgreSQL store: a transaction, a savepoint in it, a part of either."""

from __future__ import annotations

from _thread import get_ident

import psycopg

from queuectl.errors import StoreUnavailable
from queuectl.store.postgres.connect import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from queuectl.store.postgres.base import PostgresBase


class Transaction:
    """BEGIN … COMMIT, or a savepoint inside one. Rolls back what raises."""

    def __init__(self, store: PostgresBase) -> None:
        self._store = store
        self._counters: dict[tuple[str, str], int] = {}
        self._acts = 0

    def __enter__(self) -> None:
        store = self._store
        if store.depth:
            store.must_be_open()
            self._counters, self._acts = dict(store.counter_changes), len(store.after_commit)
            store.waiting.append((f"SAVEPOINT s{store.depth}", ()))
        else:
            # a reader of another thread may just be using the connection that writes
            store.in_use.acquire()
            try:
                store.begin()
            except BaseException:
                store.in_use.release()
                raise
        store.depth += 1
        store.writing_thread = get_ident()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        store = self._store
        store.depth -= 1
        try:
            self._end(error)
        finally:
            if not store.depth:
                store.in_use.release()

    def _end(self, error: BaseException | None) -> None:
        store = self._store
        if error is None:
            try:
                store.must_be_open()
                if store.depth:
                    store.release_savepoint(store.depth)
                else:
                    store.commit()
            except psycopg.Error as failure:
                self._undo()
                raise store.failed(failure) from failure
            except BaseException:
                self._undo()
                raise
            return
        self._undo()
        if isinstance(error, psycopg.Error):
            raise translate(error, store.target) from error

    def _undo(self) -> None:
        store = self._store
        store.counter_changes = self._counters
        store.forget_kept()
        del store.after_commit[self._acts :]
        try:
            if store.depth:
                store.undo_savepoint(store.depth)
            else:
                store.undo()
        except (psycopg.Error, StoreUnavailable):
            pass  # the error that led here is the one to report


class Joined:
    """A part of a transaction that is there already, without a savepoint of its own.

    An error in it spoils that transaction: whoever goes on has to undo it as far as a savepoint.
    """

    def __init__(self, store: PostgresBase) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.must_be_open()

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if error is not None:
            self._store.is_spoiled = True
