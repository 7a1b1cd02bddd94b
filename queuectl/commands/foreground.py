"""Workers on a command line: stay until they have ended, and heed signals meanwhile."""

from __future__ import annotations

import os
import select
import signal
import stat
import threading
import time

from queuectl.commands.result import Result, jobs_named, plural, say
from queuectl.errors import QueuectlError
from queuectl.host.handover import end_with_front, go_headless, once
from queuectl.job import FAILED, PENDING, PROCESSING, SLOTS
from queuectl.store.base import Filter
from queuectl.timespec import describe_duration, format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.commands.context import Context
    from queuectl.commands.telling import Telling
    from queuectl.host.worker import WorkerHost
    from queuectl.job import Job

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
#: what other threads write among the numbers of signals: no worker is left; something is to be told
_ENDED, _HEARD = 0, 255
#: seconds between looks whether anything is left: short while jobs end, long while nothing moves
_QUICK, _SLOW = 0.02, 0.5
#: seconds between looks whether something is wrong with this host
_LOOK = 2.0
#: seconds that a store has for the last words about jobs
_LAST_WORDS = 2.0
_NAMED = 20
#: ms that workers wait for a job before they say so, and jobs that are looked at for that
_LONG, _LOOKED_AT = 5000, 1000


class Foreground:
    """Stays until the workers have ended. A first signal drains them, a second stops their jobs.

    SIGQUIT stops them at once; a hang-up only drains, however often it is told.
    """

    def __init__(
        self,
        ctx: Context,
        host: WorkerHost,
        queues: tuple[str, ...],
        telling: Telling,
        *,
        until_empty: bool,
    ) -> None:
        """Take over the signals of this process, before its workers start. `telling` hears of them."""
        self._ctx = ctx
        self._host = host
        self._queues = queues
        self._telling = telling
        self._until_empty = until_empty
        self._emptied = False
        #: the job that these workers have said they wait for, and its time
        self._told: tuple[int, int] | None = None
        self._signals = 0
        self._trouble: str | None = None
        # written to by signal handlers and by the thread that waits: no handler ever takes a lock
        self._wake, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        telling.bell = lambda: self._ring(_HEARD)

    def watch(self) -> None:
        """Wait for the end of the workers, which have been started."""
        threading.Thread(target=self._tell_the_end, name="end-of-workers", daemon=True).start()
        end_with_front()

    def let_go(self) -> None:
        """Give the signals back."""
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _tell_the_end(self) -> None:
        self._host.join()
        self._ring(_ENDED)

    def _ring(self, what: int) -> None:
        try:
            os.write(self._bell, bytes((what,)))
        except BlockingIOError:
            # full of bells: it will wake
            pass

    def stay(self) -> Result:
        """Wait for the end, or for a signal; then say what happens and go on waiting."""
        pause = _QUICK
        left = -1
        while True:
            due = self._telling.due()
            wait = pause if self._until_empty else _LOOK
            if due is not None:
                wait = min(wait, max(0.0, due - time.monotonic()))
            said = b""
            if select.select([self._wake], [], [], wait)[0]:
                said = os.read(self._wake, 64)
            signals = once(bytes(number for number in said if number not in (_ENDED, _HEARD)))
            if _ENDED in said:
                return self._end()
            if signals:
                return self._heed(signals)
            lines = [*self._telling.lines(), *self._troubles()]
            if lines:
                return Result(notes=lines, then=self.stay)
            if self._until_empty and not said:
                before, left = left, self._left(left)
                if not left:
                    self._host.stop()
                    self._until_empty = False
                    self._emptied = True
                pause = _QUICK if left != before else min(_SLOW, pause * 1.5)
                if left == before and (later := self._waits_for()):
                    return Result(notes=(later,), then=self.stay)

    def _troubles(self) -> list[str]:
        """Return a line when something has gone wrong with this host, or is right again."""
        before, self._trouble = self._trouble, self._host.trouble
        if self._trouble == before:
            return []
        return [f"these workers: {self._trouble or 'all is well again'}"]

    def _heed(self, said: bytes) -> Result:
        """Drain at the first signal, stop at the second, or when told to quit."""
        hung_up = signal.SIGHUP in said
        if hung_up:
            _let_go_of_terminal()
            self._telling.each = False
        self._signals += len(said) - said.count(signal.SIGHUP)
        self._until_empty = False
        now = self._signals > 1 or signal.SIGQUIT in said
        ids = sorted(claim.job_id for claim in self._host.stop(now=now))
        if not ids or hung_up:
            # nothing to wait for, or nobody to tell
            return Result(then=self.stay)
        jobs = jobs_named(ids)
        text = f"ending {jobs}" if now else f"finishing {jobs}; once more to hand back instead"
        return Result(notes=(text,), then=self.stay)

    def _end(self) -> Result:
        self.let_go()
        try:
            # the second one is answered when the ends before the first have been told
            for _ in range(2):
                self._host.queue.call(lambda _: None, _LAST_WORDS)
        except TimeoutError:
            # the store does not answer: closing waits a while for what is to be reported
            pass
        except QueuectlError as error:
            waits = f"these workers wait to save how their jobs ended: {error}; another signal leaves it to the next host"
            return Result(notes=(*self._telling.lines(last=True), waits))
        notes = [*self._telling.lines(last=True), *self._left_behind()]
        if self._signals:
            return say(f"workers ended after {plural(self._signals, 'signal')}", notes=notes)
        return Result(notes=notes)

    def _left_behind(self) -> Iterator[str]:
        """Yield a remark about what waits on after --until-empty."""
        if not self._emptied:
            return
        left = self._ctx.store.count(Filter(states=(PENDING, FAILED), queues=self._queues))
        if left:
            jobs = f"{plural(left, 'job')} {'is' if left == 1 else 'are'} left"
            yield f"{jobs} that cannot run here now: `why pending` says why"

    def stay_detached(self) -> Result:
        """Say what there is to say to a log from now on, then stay.

        Who started this process sees its pipe end: this host is ready.
        """
        go_headless(self._ctx.store.local_directory, self._host.id)
        return self.stay()

    def _left(self, before: int) -> int:
        """Return how many jobs can still run, where `before` could.

        Those of paused queues cannot, nor those on hold, nor those that need what is not here.
        """
        queues = self._ctx.store.queues()
        names = self._queues or tuple(queue.name for queue in queues)
        closed = {queue.name for queue in queues if queue.paused}
        takes = tuple(name for name in names if name not in closed)
        if not takes:
            return 0
        waiting = Filter(states=(PENDING, FAILED, PROCESSING), queues=takes)
        left = self._ctx.store.count(waiting)
        # counters do not know of those; look at jobs only when few are left, or nothing moves
        if not 0 < left <= _NAMED and left != before:
            return left
        jobs = self._ctx.store.jobs(waiting._replace(paused=False))
        return left if any(self._can_run(job) for job in jobs) else 0

    def _waits_for(self) -> str | None:
        """Return what these workers stay for, once, when all that is left is to start later."""
        if self._ctx.store.count(Filter(states=(PROCESSING,), queues=self._queues)):
            return None
        now = self._ctx.store.now()
        where = Filter(states=(PENDING, FAILED), queues=self._queues, paused=False)
        jobs = [job for job in self._ctx.store.jobs(where, limit=_LOOKED_AT) if self._can_run(job)]
        first = min(jobs, key=lambda job: job.due_at, default=None)
        if first is None or first.due_at - now < _LONG or self._told == (first.id, first.due_at):
            return None
        self._told = first.id, first.due_at
        when = f"in {describe_duration(first.due_at - now)}, at {format_time(first.due_at, now)}"
        what = "is tried again" if first.state == FAILED else "starts"
        others = f", and {plural(len(jobs) - 1, 'job')} after it" if len(jobs) > 1 else ""
        return f"waiting for job {first.id}, which {what} {when}{others}"

    def _can_run(self, job: Job) -> bool:
        """Whether a job runs or can be run here; what waits for others goes by those."""
        if job.state == PROCESSING:
            return True
        total = {SLOTS: self._host.workers, **self._host.queue.resources()[1]}
        return not job.unmet and all(total.get(n, 0) >= amount for n, amount in job.needs.items())


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
