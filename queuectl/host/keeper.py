"""The keeper: a host's threads for what is to be done now and then.

One beats the heart, and nothing else, so that nobody takes the host for dead while the other waits
for the store. That one recovers hosts that are dead; reaps what jobs left behind; and prunes what
the settings no longer keep. It never writes by itself: writes go through the pump.
"""

from __future__ import annotations

import threading
import time

from queuectl.host.recovery import Recoverer
from queuectl.host.shipping import sweep
from queuectl.process.attempt import reap_orphans
from queuectl.retention import surplus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from queuectl.host.worker import WorkerHost
    from queuectl.job import State
    from queuectl.store.base import Store

#: seconds between two heartbeats; a lease is many of them
BEAT = 5.0
#: seconds between two rounds
ROUND = 2.0
#: seconds between two signs of life in the store, for people to see
RENEW = 30.0
#: seconds between two looks for something to prune; how much goes at once, and the pause after it
PRUNE = 60.0
PRUNE_MOST = 500
PRUNE_PAUSE = 0.05
#: seconds between two looks for files of jobs that other machines have pruned, and until the first
SWEEP, FIRST_SWEEP = 3600.0, 120.0


class Keeper:
    """The threads."""

    def __init__(self, store: Store, host: WorkerHost) -> None:
        self._store = store
        self._host = host
        self._stop = threading.Event()
        self._recoverer = Recoverer(store, host.id, host.call, host.failed)
        self._threads = [
            threading.Thread(target=self._every, args=(seconds, act), name=name, daemon=True)
            for name, seconds, act in (("heart", BEAT, host.beat), ("keeper", ROUND, self._round))
        ]
        self._renewed = self._pruned = time.monotonic()
        self._swept = self._pruned + FIRST_SWEEP - SWEEP

    def start(self) -> None:
        """Begin, with a look for dead hosts."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float | None = None) -> bool:
        """End after the present round; False: it goes on beyond the time given."""
        self._stop.set()
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if deadline is None else max(0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def renew_soon(self) -> None:
        """Have the host's row in the registry written again in the next round. Any thread."""
        self._renewed = float("-inf")

    def _every(self, seconds: float, act: Callable[[], None]) -> None:
        while True:
            try:
                act()
            except Exception as error:  # noqa: BLE001 - the heart must go on beating
                if not self._stop.is_set():
                    self._host.failed(error)
            if self._stop.wait(seconds):
                return

    def _round(self) -> None:
        self._recoverer.look()
        reap_orphans(set())
        now = time.monotonic()
        if now - self._renewed >= RENEW:
            self._host.renew()
            self._renewed = now
        if now - self._pruned >= PRUNE:
            self._pruned = now
            self._prune()
        if self._store.lease is not None and now - self._swept >= SWEEP:
            self._swept = now
            sweep(self._store, lambda: self._stop.wait(PRUNE_PAUSE))

    def _prune(self) -> None:
        """Delete what the settings no longer keep, some at a time."""
        for state, before, most in surplus(self._store):
            self._prune_all(state, before, most)

    def _prune_all(self, state: State, before: int | None, most: int) -> None:
        """Delete up to `most`, in portions that keep nobody waiting."""
        while most > 0 and not self._stop.wait(PRUNE_PAUSE):
            portion = min(most, PRUNE_MOST)
            if self._host.call(_pruning(state, before, portion)) < portion:
                return
            most -= portion


def _pruning(state: State, before: int | None, most: int) -> Callable[[Store], int]:
    return lambda store: store.prune((state,), before, most)
