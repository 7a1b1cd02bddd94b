"""One attempt: one process group in a session of its own, run to its end, made an Outcome.

Everything about an attempt happens in the thread that calls `run`; others only leave orders in
its Control. How it is supervised is in supervise.py, how processes are found in proctree.py.
"""

from __future__ import annotations

import errno
import os
import resource
import time
from collections import deque
from subprocess import SubprocessError

from queuectl.job import CANNOT_START, EXIT, SIGNAL, STOPPED, Outcome
from queuectl.process.orphans import become_subreaper, reap_orphans
from queuectl.process.plan import ERROR_FILE_VARIABLE, Plan, account_env, plan_for, way_back
from queuectl.process.proctree import end_survivors, pid_start
from queuectl.process.spawn import open_input, restore_signals, spawn
from queuectl.process.supervise import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Control", "HostTrouble", "Plan", "account_env", "become_subreaper", "end_survivors", "pid_start", "plan_for",
    "reap_orphans", "restore_signals", "run", "way_back",
]  # fmt: skip

MESSAGE_LIMIT = 1024
#: what is wrong with this process or machine, and not with a job that could not be started for it
_HOSTS_OWN = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN))
# getrusage(2): ru_maxrss is bytes there, KiB elsewhere
_RSS_UNIT = 1024 if os.uname().sysname == "Darwin" else 1


def wall_ms() -> int:
    """Return the milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


class HostTrouble(Exception):  # noqa: N818 (it says what happened)
    """The host has no descriptors, processes or memory left: the attempt was not begun."""


class Control:
    """How others steer one attempt. Thread-safe without a lock; never blocks.

    Orders given before the start are obeyed at the start, those given after the end are ignored.
    One Control serves one attempt.
    """

    __slots__ = ("_orders", "_wake", "cancelled")

    def __init__(self) -> None:
        self._orders: deque[Callable[[Supervisor], None]] = deque()
        self._wake = -1
        #: whether `cancel` has been called
        self.cancelled = False

    def cancel(self, *, now: bool = False) -> None:
        """End the whole tree: SIGTERM, SIGCONT, grace, SIGKILL; `now`: SIGKILL at once.

        The outcome is `stopped`, unless the first process had ended before its first signal or
        a timeout was ending it already.
        """
        self.cancelled = True
        self._order(lambda attempt: attempt.cancel(now=now))

    def signal(self, number: int) -> None:
        """Deliver a signal to the group and do nothing else."""
        self._order(lambda attempt: attempt.signal_group(number))

    def pause(self) -> None:
        """SIGSTOP the group; its timeouts stand still until `resume`."""
        self._order(lambda attempt: attempt.pause())

    def resume(self) -> None:
        """SIGCONT the group; its timeouts go on."""
        self._order(lambda attempt: attempt.resume())

    def send(self, data: bytes) -> None:
        """Write to the standard input of an interactive job, no bytes end it; ignored for others."""
        self._order(lambda attempt: attempt.send(data))

    def attach(self, wake: int) -> None:
        """Name the pipe that wakes the worker, -1 for none. For the worker."""
        self._wake = wake

    def take(self) -> Callable[[Supervisor], None] | None:
        """Return the next order, if there is one. For the worker."""
        return self._orders.popleft() if self._orders else None

    def _order(self, order: Callable[[Supervisor], None]) -> None:
        # first the order, then the look at the pipe; the worker attaches the pipe first and then
        # looks for orders: none is missed
        self._orders.append(order)
        wake = self._wake
        if wake >= 0:
            try:
                os.write(wake, b"\0")
            except OSError:
                # full: the worker is being woken already
                pass


def run(
    plan: Plan,
    control: Control,
    *,
    on_start: Callable[[int, int], None],
    clock: Callable[[], int] = wall_ms,
    monotonic: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Run one attempt to its end in the calling thread and return how it ended.

    `on_start(pid, started_ms)` is called once it runs, by this thread; if that raises, the attempt
    is killed: an OSError makes it `cannot start`, others pass on. Raises HostTrouble when it could
    not be started for want of descriptors, processes or memory, and nothing else. On return
    the processes are gone (`Plan.leave_children` and daemons aside) and the output file is synced.
    A Control cancelled before the start makes it `stopped` with no start time.
    """
    if control.cancelled:
        return Outcome(STOPPED)
    started_at = clock()
    env = plan.env
    if plan.error_file is not None:
        _make_room(os.path.dirname(plan.error_file))
        env = {**env, ERROR_FILE_VARIABLE: plan.error_file}
    feed = plan.interactive or plan.stdin is not None
    source = -1
    try:
        if plan.stdin_path is not None:
            source = open_input(plan.stdin_path)
        child = spawn(plan.argv, plan.cwd, env, feed=feed, merge=plan.merge, source=source)
    except (OSError, ValueError, SubprocessError) as error:
        return _cannot_start(error, plan, started_at, clock())
    except MemoryError:
        raise HostTrouble(os.strerror(errno.ENOMEM)) from None
    finally:
        if source >= 0:
            os.close(source)
    attempt = Supervisor(plan, control, child, clock, monotonic)
    try:
        on_start(child.pid, started_at)
        attempt.supervise()
    except OSError as error:
        attempt.abandon()
        return _cannot_start(error, plan, started_at, clock())
    except BaseException:
        attempt.abandon()
        raise
    finally:
        attempt.close()
    kind, code, detail = attempt.ending or _natural(attempt.status)
    user, system, peak = attempt.usage
    return Outcome(
        kind, code, detail, started_at, attempt.finished_at, round(user * 1000), round(system * 1000),
        _own_peak(peak) // _RSS_UNIT, attempt.output, _message(plan.error_file),
    )  # fmt: skip


def _own_peak(peak: int) -> int:
    """Return the peak memory that getrusage(2) gives for a process, 0 where it may be the host's.

    Until its exec a child is in the memory of its parent, and Linux counts that as its own.
    """
    return peak if peak > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss else 0


#: the directory that was there last; a thousand jobs in a row share one
_room = ""


def _make_room(directory: str) -> None:
    """Make the directory that a job's error file is to be in: the job's shell would not."""
    global _room
    if directory != _room:
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
        except OSError:
            # then there is no message; the job runs all the same
            return
        _room = directory


def _natural(status: int) -> tuple[str, int | None, str]:
    code = os.waitstatus_to_exitcode(status)
    return (EXIT, code, "") if code >= 0 else (SIGNAL, -code, "")


def _cannot_start(error: Exception, plan: Plan, started: int, now: int) -> Outcome:
    """Return the outcome of what could not be started. Raises HostTrouble: that is no outcome."""
    if isinstance(error, OSError) and error.errno in _HOSTS_OWN:
        raise HostTrouble(os.strerror(error.errno)) from error
    return Outcome(CANNOT_START, None, _why(error, plan), started, now)


def _why(error: Exception, plan: Plan) -> str:
    if isinstance(error, FileNotFoundError) and not os.path.isdir(plan.cwd):
        return f"directory {plan.cwd} is gone"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if error.filename is None:
        return error.strerror
    return f"{error.strerror}: {os.fsdecode(error.filename)!r}"


def _message(path: str | None) -> str | None:
    """Return the first line of an attempt's error file, without control characters; delete it."""
    # asked first, because that is cheaper than a failed open with its exception
    if path is None or not os.access(path, os.F_OK):
        return None
    try:
        # the job may have put anything there: a fifo must not block, a link not be followed
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(fd, MESSAGE_LIMIT)
        os.unlink(path)
    except OSError:
        data = b""
    finally:
        os.close(fd)
    line = data.split(b"\n", 1)[0].decode(errors="replace")
    return "".join(filter(str.isprintable, line.replace("\t", " "))).strip() or None
