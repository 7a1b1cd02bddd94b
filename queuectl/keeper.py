"""The keeper: a host's thread for what is to be done now and then.

It beats the heart, so that nobody takes the host for dead; recovers hosts that are; reaps what
jobs left behind; and prunes what the settings no longer keep. It never writes by itself: writes go
through the pump.
"""

from __future__ import annotations

import threading
import time

from queuectl.job import CANCELLED, COMPLETED
from queuectl.process import reap_orphans
from queuectl.recovery import Recoverer
from queuectl.settings import BY_NAME, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from queuectl.job import State
    from queuectl.store.base import Store
    from queuectl.worker import WorkerHost

#: seconds between two rounds
ROUND = 2.0
#: seconds between two signs of life in the store, for people to see
RENEW = 30.0
#: seconds between two looks for something to prune, and how much goes at once
PRUNE = 60.0
PRUNE_MOST = 500


class Keeper:
    """The thread."""

    def __init__(self, store: Store, host: WorkerHost) -> None:
        self._store = store
        self._host = host
        self._stop = threading.Event()
        self._recoverer = Recoverer(store, host.id, host.call)
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._renewed = self._pruned = time.monotonic()

    def start(self) -> None:
        """Begin, with a look for dead hosts."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present round."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._round()
            except Exception as error:  # noqa: BLE001 - the heart must go on beating
                if not self._stop.is_set():
                    self._host.failed(error)
            if self._stop.wait(ROUND):
                return

    def _round(self) -> None:
        self._host.beat()
        self._recoverer.look()
        reap_orphans(set())
        now = time.monotonic()
        if now - self._renewed >= RENEW:
            self._renewed = now
            self._host.call(lambda store: store.renew(self._host.id))
        if now - self._pruned >= PRUNE:
            self._pruned = now
            self._prune()

    def _prune(self) -> None:
        """Delete what the settings no longer keep, some at a time."""
        made = {**self._store.local_settings, **self._store.settings()}

        def value(name: str) -> int:
            setting = BY_NAME[name]
            return int(parse(setting, made.get(name, setting.default)))

        now = self._store.now()
        for state, name in ((COMPLETED, "keep-completed"), (CANCELLED, "keep-cancelled")):
            keep = value(name)
            if keep:
                self._host.call(_pruning(state, now - keep, PRUNE_MOST))
        most = value("keep-completed-count")
        surplus = self._store.counts()[COMPLETED] - most
        if most and surplus > 0:
            self._host.call(_pruning(COMPLETED, None, min(surplus, PRUNE_MOST)))


def _pruning(state: State, before: int | None, most: int) -> Callable[[Store], int]:
    return lambda store: store.prune((state,), before, most)
