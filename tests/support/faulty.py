"""A store that fails on command."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queuectl.store.base import Listener, Settled, Settlement, Store


class FaultyStore:
    """Passes everything on to a real store, but for what a test has told it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._depth = 0
        #: raised instead of the next commits, this many times
        self.error: Exception | None = None
        self.failures = 0
        #: job ids whose settlement raises this
        self.poison: dict[int, Exception] = {}
        #: outermost transactions that were begun
        self.transactions = 0
        #: set when so many looks at the change counter have been made
        self.looks = _Counter()
        self.look_error: Exception | None = None

    def fail(self, error: Exception, times: int) -> None:
        """Let the next commits fail."""
        self.error, self.failures = error, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        outermost = not self._depth
        self.transactions += outermost
        self._depth += 1
        try:
            with self._store.transaction():
                yield
                if outermost and self.failures and self.error is not None:
                    self.failures -= 1
                    raise self.error
        finally:
            self._depth -= 1

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        with self._store.transaction():
            settled = self._store.settle(settlements)
            for settlement in settlements:
                if settlement.job_id in self.poison:
                    raise self.poison[settlement.job_id]
        return settled

    def listener(self, host_id: str) -> Listener:
        return cast("Listener", _FaultyListener(self, self._store.listener(host_id)))


class _FaultyListener:
    def __init__(self, faulty: FaultyStore, listener: Listener) -> None:
        self._faulty = faulty
        self._listener = listener

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)

    def changed(self) -> bool:
        self._faulty.looks.count()
        error, self._faulty.look_error = self._faulty.look_error, None
        if error is not None:
            raise error
        return self._listener.changed()


class _Counter:
    """Counts, and lets others wait for a number."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.value = 0

    def count(self) -> None:
        with self._changed:
            self.value += 1
            self._changed.notify_all()

    def wait_more(self, number: int, timeout: float) -> bool:
        """Wait until it has counted so many more than now."""
        with self._changed:
            target = self.value + number
            return self._changed.wait_for(lambda: self.value >= target, timeout)


def faulty(store: Store) -> tuple[Store, FaultyStore]:
    """Return a store that fails on command, as a store and as what takes the commands."""
    made = FaultyStore(store)
    return cast("Store", made), made
