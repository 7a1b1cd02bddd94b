"""Wakes requests that wait for a change of the store. All of it on the event loop.

While nobody waits nothing is asked. While somebody does, the store's change counter is read a few
dozen times a second (SQLite: some microseconds each), and what this server wrote itself is told
at once.
"""

from __future__ import annotations

import asyncio
import uuid

from anyio import to_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: seconds between two looks: soon after a change, and when nothing has changed for a while
_QUICK, _SLOW = 0.02, 0.1
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
        self._looking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nudge = asyncio.Event()
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
        self._nudge.set()

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
        if self._looking is None or self._looking.done():
            self._looking = self._loop.create_task(self._look())
        try:
            await asyncio.wait_for(waiter, seconds)
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
        return not self.closed

    async def _look(self) -> None:
        calm = 0
        version: object
        while self._waiters and not self.closed:
            try:
                if self._quick:
                    version = self._version()
                else:
                    version = await to_thread.run_sync(self._version)
            except Exception:  # noqa: BLE001 (who waits looks for itself and tells)
                version = object()
            if version == self._known:
                calm += 1
            else:
                calm, self._known = 0, version
                self.stir()
            try:
                await asyncio.wait_for(self._nudge.wait(), _QUICK if calm < _CALM else _SLOW)
            except TimeoutError:
                continue
            self._nudge.clear()
