"""Wakes requests that wait for a change of the store. All of it on the event loop.

While nobody waits nothing is asked. While somebody does, the store's change counter is read now and
then (SQLite: some microseconds each), and what this server wrote itself is told at once.
"""

from __future__ import annotations

import asyncio
import uuid

from anyio import to_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: seconds between two looks: soon after a change, and when nothing has changed for a while
_QUICK, _SLOW = 0.02, 0.25
#: looks that find nothing before it becomes slow
_CALM = 50


class Watch:
    """A counter that rises when the store may have changed."""

    def __init__(self, version: Callable[[], object], *, quick: bool) -> None:
        """`quick`: the store's counter is read in microseconds, without a thread."""
        self._version = version
        self._quick = quick
        self._known: object = None
        self._count = 0
        #: tells clients that this is another server than before
        self.epoch = uuid.uuid4().hex[:12]
        self._waiters: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        #: the next look; None: one is under way, or nobody waits
        self._timer: asyncio.TimerHandle | None = None
        #: a look of a store that is not quick
        self._looking: asyncio.Task[None] | None = None
        #: looks that found nothing
        self._calm = 0
        self._again = False
        self.closed = False

    @property
    def count(self) -> int:
        """The counter. Take it before looking at the store, wait for another after."""
        return self._count

    def stir(self) -> None:
        """Say that something has been written. On the event loop."""
        self._count += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def look_now(self) -> None:
        """Look at once whether something has been written: it was perhaps by us. On the event loop.

        Not taken for granted: a write that found nothing to do must wake nobody, or those who look
        after each change, and write in doing so, would wake themselves for ever.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._look()
        else:
            self._again = self._looking is not None

    def close(self) -> None:
        """Wake everybody for the last time. Any thread."""
        self.closed = True
        loop = self._loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(self.stir)
            except RuntimeError:
                # it has ended in between, and with it all that waited
                pass

    async def wait(self, seen: int, seconds: float) -> bool:
        """Return when the counter is no longer `seen`; False: not in time, or the server ends."""
        if self._count != seen or self.closed or seconds <= 0:
            return self._count != seen and not self.closed
        self._loop = asyncio.get_running_loop()
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        if self._timer is None and self._looking is None:
            self._look()
        try:
            await asyncio.wait_for(waiter, seconds)
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
        return not self.closed

    # ---- looking ------------------------------------------------------------------------------

    def _look(self) -> None:
        """Read the counter, and once more later while somebody waits."""
        self._timer = None
        if self.closed or not self._waiters or self._loop is None:
            return
        if self._quick:
            try:
                self._found(self._version())
            except Exception:  # noqa: BLE001 (who waits looks for itself and tells)
                self._found(object())
        else:
            self._looking = self._loop.create_task(self._look_aside())

    async def _look_aside(self) -> None:
        version: object = object()
        try:
            version = await to_thread.run_sync(self._version)
        except Exception:  # noqa: BLE001, S110 (who waits looks for itself and tells)
            pass
        self._looking = None
        self._found(version)

    def _found(self, version: object) -> None:
        if version == self._known:
            self._calm += 1
        else:
            self._calm, self._known = 0, version
            self.stir()
        pause = 0.0 if self._again else _QUICK if self._calm < _CALM else _SLOW
        self._again = False
        if self._loop is not None:
            self._timer = self._loop.call_later(pause, self._look)
