"""Workers on a command line: stay until they have ended, and heed signals meanwhile."""

from __future__ import annotations

import os
import select
import signal
import stat
import threading

from queuectl.commands.result import Result, plural, say
from queuectl.handover import go_headless
from queuectl.job import FAILED, PENDING, PROCESSING
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.commands.context import Context
    from queuectl.worker import WorkerHost

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
#: what the thread that waits for the workers writes among the numbers of signals
_ENDED = 0
#: seconds between looks whether anything is left: short while jobs end, long while nothing moves
_QUICK, _SLOW = 0.02, 0.5
_NAMED = 20


class Foreground:
    """Stays until the workers have ended. A first signal drains them, a second stops their jobs.

    SIGQUIT stops them at once; a hang-up only drains, however often it is told.
    """

    def __init__(
        self, ctx: Context, host: WorkerHost, queues: tuple[str, ...], *, until_empty: bool
    ) -> None:
        """Take over the signals of this process."""
        self._ctx = ctx
        self._host = host
        self._queues = queues
        self._until_empty = until_empty
        self._signals = 0
        # written to by signal handlers and by the thread that waits: no handler ever takes a lock
        self._wake, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        threading.Thread(target=self._tell_the_end, name="end-of-workers", daemon=True).start()

    def _tell_the_end(self) -> None:
        self._host.join()
        os.write(self._bell, bytes((_ENDED,)))

    def stay(self) -> Result:
        """Wait for the end, or for a signal; then say what happens and go on waiting."""
        pause = _QUICK
        left = -1
        while True:
            wait = pause if self._until_empty else None
            if select.select([self._wake], [], [], wait)[0]:
                said = os.read(self._wake, 64)
                return self._end() if _ENDED in said else self._heed(said)
            before, left = left, self._left()
            if not left:
                self._host.stop()
                self._until_empty = False
            pause = _QUICK if left != before else min(_SLOW, pause * 1.5)

    def _heed(self, said: bytes) -> Result:
        """Drain at the first signal, stop at the second, or when told to quit."""
        hung_up = signal.SIGHUP in said
        if hung_up:
            _let_go_of_terminal()
        self._signals += len(said) - said.count(signal.SIGHUP)
        self._until_empty = False
        now = self._signals > 1 or signal.SIGQUIT in said
        ids = sorted(claim.job_id for claim in self._host.stop(now=now))
        if not ids or hung_up:
            # nothing to wait for, or nobody to tell
            return Result(then=self.stay)
        named = ", ".join(map(str, ids[:_NAMED])) + (", …" if len(ids) > _NAMED else "")
        jobs = f"{'job' if len(ids) == 1 else 'jobs'} {named}"
        text = f"ending {jobs}" if now else f"finishing {jobs}; once more to hand back instead"
        return Result(notes=(text,), then=self.stay)

    def _end(self) -> Result:
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return (
            say(f"workers ended after {plural(self._signals, 'signal')}")
            if self._signals
            else Result()
        )

    def stay_detached(self) -> Result:
        """Say what there is to say to a log from now on, then stay.

        Who started this process sees its pipe end: this host is ready.
        """
        go_headless(self._ctx.store.local_directory, self._host.id)
        return self.stay()

    def _left(self) -> int:
        """Return how many jobs can still run: those of paused queues cannot, nor those on hold."""
        queues = self._ctx.store.queues()
        names = self._queues or tuple(queue.name for queue in queues)
        closed = {queue.name for queue in queues if queue.paused}
        takes = tuple(name for name in names if name not in closed)
        if not takes:
            return 0
        waiting = Filter(states=(PENDING, FAILED, PROCESSING), queues=takes)
        left = self._ctx.store.count(waiting)
        # counters do not know of jobs on hold; look at jobs only when few are left
        if 0 < left <= _NAMED:
            return self._ctx.store.count(waiting._replace(paused=False))
        return left


def _let_go_of_terminal() -> None:
    """Write to nowhere instead of to a terminal that is gone."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        # after a hang-up isatty(3) says that it is none
        if _is_device(descriptor):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _is_device(descriptor: int) -> bool:
    try:
        return stat.S_ISCHR(os.fstat(descriptor).st_mode)
    except OSError:
        return False
