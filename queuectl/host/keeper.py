"""The keeper: a host's threads for what is to be done now and then.

One beats the heart, and nothing else, so that nobody takes the host for dead while the other waits
for the store. The other recovers hosts that are dead, reaps what jobs left behind, prunes what the
settings no longer keep and what pruned jobs had in common, and sweeps up files of jobs that other
machines have pruned. It never writes to the store by itself: that goes through the pump.
"""

from __future__ import annotations

import threading
import time

from queuectl.errors import StoreUnavailable
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
#: seconds between two looks for what was stored once for jobs that are all gone, and until the first
TIDY, FIRST_TIDY = 86400.0, 600.0


class Keeper:
    """The threads."""

    def __init__(self, store: Store, host: WorkerHost) -> None:
        self._store = store
        self._host = host
        #: no more rounds; and no more beats
        self._stop, self._dead = threading.Event(), threading.Event()
        self._recoverer = Recoverer(store, host.id, host.call, host.failed, host.recovered)
        self._heart = threading.Thread(
            target=self._every, args=(BEAT, host.beat, self._dead), name="heart", daemon=True
        )
        self._rounds = threading.Thread(
            target=self._every, args=(ROUND, self._round, self._stop), name="keeper", daemon=True
        )
        self._renewed = self._pruned = time.monotonic()
        self._swept = self._pruned + FIRST_SWEEP - SWEEP
        self._tidied = self._pruned + FIRST_TIDY - TIDY

    def start(self) -> None:
        """Begin, with a look for dead hosts."""
        self._heart.start()
        self._rounds.start()

    def stop(self, timeout: float | None = None) -> bool:
        """End after the present round; False: it goes on beyond the time given. The heart beats on."""
        self._stop.set()
        self._rounds.join(timeout)
        return not self._rounds.is_alive()

    def die(self) -> None:
        """Stop the heart as well, when all has been reported: without it a host is taken for stalled."""
        self._dead.set()
        self._heart.join()

    def renew_soon(self) -> None:
        """Have the host's row in the registry written again in the next round. Any thread."""
        self._renewed = float("-inf")

    def _every(self, seconds: float, act: Callable[[], None], over: threading.Event) -> None:
        while True:
            try:
                act()
            except Exception as error:  # noqa: BLE001 - the heart must go on beating
                if not over.is_set():
                    self._host.failed(error)
            if over.wait(seconds):
                return

    def _round(self) -> None:
        self._recoverer.look()
        reap_orphans(set())
        now = time.monotonic()
        # a write that says when the store takes some again, too
        if now - self._renewed >= RENEW or self._host.store_trouble:
            try:
                self._host.renew()
            except StoreUnavailable:
                if self._host.store_trouble:
                    # which is told as such, by whoever asks for it
                    return
                raise
            self._renewed = now
        if now - self._pruned >= PRUNE:
            self._pruned = now
            self._prune()
        if self._store.lease is not None and now - self._swept >= SWEEP:
            self._swept = now
            sweep(self._store, lambda: self._stop.wait(PRUNE_PAUSE))
        if now - self._tidied >= TIDY:
            self._tidied = now
            found = self._store.unused()
            if found:
                self._host.call(lambda store: store.drop_unused(found))

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
