"""Workers on a command line: stay until they have ended, and heed signals meanwhile."""

from __future__ import annotations

import os
import select
import signal
import threading

from queuectl.commands.result import Result, plural, say
from queuectl.job import FAILED, PENDING, PROCESSING
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.commands.context import Context
    from queuectl.worker import WorkerHost

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: seconds between looks whether anything is left: short while jobs end, long while nothing moves
_QUICK, _SLOW = 0.02, 0.5


def work(ctx: Context, host: WorkerHost, queues: tuple[str, ...], *, until_empty: bool) -> Result:
    """Wait for the workers to end. A first signal drains them, a second stops the jobs."""
    # written to by signal handlers and by the thread that waits: no handler ever takes a lock
    wake_out, wake_in = os.pipe()
    os.set_blocking(wake_in, False)
    before = [signal.signal(number, lambda *_: None) for number in _SIGNALS]
    before_fd = signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)

    def tell_the_end() -> None:
        host.join()
        os.write(wake_in, b"\0")

    threading.Thread(target=tell_the_end, name="end-of-workers", daemon=True).start()
    try:
        return _watch(ctx, host, queues, wake_out, until_empty=until_empty)
    finally:
        signal.set_wakeup_fd(before_fd)
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _watch(
    ctx: Context, host: WorkerHost, queues: tuple[str, ...], wake: int, *, until_empty: bool
) -> Result:
    signals = 0
    pause = _QUICK
    known: object = None
    while True:
        ready, _, _ = select.select([wake], [], [], pause if until_empty and not signals else None)
        if ready:
            said = os.read(wake, 64)
            if 0 in said:
                return _ended(signals)
            signals += len(said)
            host.stop(now=signals > 1)
            continue
        left = _left(ctx, queues)
        if not left:
            host.stop()
            until_empty = False
        pause = _QUICK if left != known else min(_SLOW, pause * 1.5)
        known = left


def _left(ctx: Context, queues: tuple[str, ...]) -> int:
    """Return how many jobs can still run: held ones, and those of paused queues, cannot."""
    closed = {queue.name for queue in ctx.store.queues() if queue.paused}
    names = queues or tuple(queue.name for queue in ctx.store.queues())
    open_queues = tuple(name for name in names if name not in closed)
    if not open_queues:
        return 0
    return ctx.store.count(Filter(states=(PENDING, FAILED, PROCESSING), queues=open_queues))


def _ended(signals: int) -> Result:
    if not signals:
        return say("no workers left")
    return say(f"workers ended after {plural(signals, 'signal')}")
