"""The front: a small process above a host that only waits, and clears up when the host dies.

`split` forks it off before anything heavy is imported. It is a subreaper: what the host's jobs
started becomes its child when the host is gone, so it can be found and ended, and the host's claims
go back at once. It is the guardian of a host with a lease: should the host stand still past it, its
jobs end before others may run them. At a terminal it is what the user's shell waits for: it stands
still and goes on as that shell says, and hands on what is sent to it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from _thread import start_new_thread

from queuectl.clocks import boot_clock
from queuectl.host import handover
from queuectl.process.orphans import become_subreaper
from queuectl.process.proctree import (
    end_all,
    end_survivors,
    pid_start,
    snapshot,
    token_of,
    with_descendants,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from queuectl.host.hostfile import Slot
    from queuectl.process.proctree import Process
    from queuectl.shell.lastwords import Terminal

#: milliseconds between SIGTERM and SIGKILL for what a dead host's jobs left
GRACE = 1000
#: seconds that a host has to bring the terminal into order before its front stands still
PATIENCE = 0.5
#: seconds to wait before each further try to give a dead host's claims back
RETRIES = (0.1, 0.4, 1.0, 3.0)
#: seconds between looks at the clock, while a host has a lease: waiting does not count the time that
#: the machine sleeps
LOOK = 1.0
_HANDED_ON = (signal.SIGTERM, signal.SIGHUP)
_HEEDED = (*_HANDED_ON, signal.SIGCHLD, signal.SIGTSTP)
#: the keyboard's, which the host in the same group gets itself; handed on when a process sent them
_KEYBOARDS = (signal.SIGINT, signal.SIGQUIT)
#: what stops a host that wants the terminal from the background; the front stands still with it
_WANTS_TERMINAL = (signal.SIGTTIN, signal.SIGTTOU)


def split(
    recover: Callable[[], None],
    *,
    foreground: bool = False,
    terminal: Terminal | None = None,
) -> None:
    """Fork. Returns in the host, whose parent is the front then; the front never returns.

    `recover` gives the claims of dead hosts back; the front calls it when its host has died with
    some. `foreground`: the host keeps the streams of this process, and is no shell. `terminal` is
    what a shell talks to: when that is killed the front puts it in order. Call while there is one
    thread. Where no process can be had there is no front.
    """
    # no signal may come to either before it is ready for it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*_HEEDED, *_KEYBOARDS))
    from_host, to_front = os.pipe()
    from_front, to_host = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        pid = -1
    if pid > 0:
        os.close(to_front)
        os.close(from_front)
        _be_front(_Front(pid, from_host, to_host, recover, terminal))
    os.close(from_host)
    os.close(to_host)
    if pid == 0:
        handover.join(from_front, to_front, foreground=foreground)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _be_front(front: _Front) -> NoReturn:
    """Be it to the end. Whatever goes wrong, it ends when its host does."""
    status = 1
    try:
        status = front.run()
    finally:
        os._exit(status)


class _Front:
    """The process."""

    def __init__(
        self,
        pid: int,
        reader: int,
        writer: int,
        recover: Callable[[], None],
        terminal: Terminal | None,
    ) -> None:
        self._pid = pid
        self._terminal = terminal
        self._reader = reader
        self._writer = writer
        self._recover = recover
        self._said = b""
        #: the host's file; it is removed when the host ends as it should
        self._file: bytes | None = None
        #: when its jobs must have ended, ns since boot; None: it has no lease
        self._lease: int | None = None
        #: tokens of jobs that may go on even then
        self._spared: set[str] = set()
        #: exit status, once it is known
        self._status: int | None = None

    def run(self) -> int:
        """Wait for the end; return the exit status."""
        become_subreaper()
        wake = self._take_signals()
        _let_go_of_streams()
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(self._reader, select.POLLIN)
        self._look_at_children()
        while self._status is None:
            ready = poll.poll(self._patience())
            if not ready:
                # not before all that it said is heard
                self._guard()
            for descriptor, _ in ready:
                if descriptor == self._reader:
                    if not self._listen():
                        poll.unregister(self._reader)
                else:
                    self._heed(os.read(wake, 64))
        return self._status

    def _patience(self) -> float | None:
        """Return the milliseconds until the next look at the clock; None while there is no lease."""
        if self._lease is None:
            return None
        left = (self._lease - boot_clock()) / 1e6
        return min(LOOK * 1000, left + 1) if left > 0 else LOOK * 1000

    def _guard(self) -> None:
        """End the host's jobs when it has let its lease run out: it stands still."""
        if self._lease is None or self._file is None or boot_clock() < self._lease:
            return
        try:
            end_overdue(os.fsdecode(self._file), self._spared)
        except Exception:  # noqa: BLE001, S110 (the next look must come)
            pass

    def _take_signals(self) -> int:
        """Return a descriptor on which the numbers of signals arrive."""
        wake, bell = os.pipe()
        os.set_blocking(bell, False)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        for number in _KEYBOARDS:
            # one that is ignored could not be waited for
            signal.signal(number, _nothing)
        if hasattr(signal, "sigwaitinfo"):
            start_new_thread(_pass_on, (bell,))
        for number in _HEEDED:
            # under nohup a hang-up is not for us
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _nothing)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEEDED)
        return wake

    def _heed(self, numbers: bytes) -> None:
        for number in numbers:
            if number in _HANDED_ON or number in _KEYBOARDS:
                self._send(number)
            elif number == signal.SIGTSTP:
                self._ask_to_stand_still()
            elif number == signal.SIGCHLD:
                self._look_at_children()

    def _send(self, number: int) -> None:
        if self._status is None:
            # not reaped, so the number is still the host's
            os.kill(self._pid, number)

    # ---- what the host says -------------------------------------------------------------------

    def _listen(self) -> bool:
        """Heed what the host says; False when it says nothing any more."""
        data = os.read(self._reader, 4096)
        *lines, self._said = (self._said + data).split(b"\n")
        for line in lines:
            if line.startswith(handover.FILE):
                self._file = line.removeprefix(handover.FILE)
            elif line.startswith(handover.LEASE):
                self._lease = int(line.removeprefix(handover.LEASE))
            elif line.startswith(handover.SPARE):
                self._spared.add(line.removeprefix(handover.SPARE).decode())
            elif line == handover.STAND_STILL:
                self._stand_still(signal.SIGTSTP)
            elif line == handover.ALONE:
                self._status = 0
            elif line == handover.HUNG_UP:
                self._status = 128 + signal.SIGHUP
        return bool(data)

    # ---- job control --------------------------------------------------------------------------

    def _ask_to_stand_still(self) -> None:
        """Let the host bring the terminal into order; it answers when it has."""
        self._tell(handover.STOPPING)
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        if not poll.poll(PATIENCE * 1000):
            self._stand_still(signal.SIGTSTP)

    def _stand_still(self, number: int) -> None:
        """Be stopped by a signal until the shell above lets its job go on.

        The kernel passes over such a signal where there is no shell above (an orphaned group).
        """
        before = signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, before)
        self._tell(handover.GOING_ON)

    def _tell(self, byte: bytes) -> None:
        try:
            os.write(self._writer, byte)
        except OSError:
            # it is gone; SIGCHLD says so too
            pass

    # ---- the host's end -----------------------------------------------------------------------

    def _look_at_children(self) -> None:
        """Reap; clear up when it was the host that ended."""
        ended = None
        try:
            while (found := os.waitpid(-1, os.WNOHANG | os.WUNTRACED))[0]:
                pid, status = found
                if os.WIFSTOPPED(status):
                    if pid == self._pid and os.WSTOPSIG(status) in _WANTS_TERMINAL:
                        self._stand_still(os.WSTOPSIG(status))
                        self._send(signal.SIGCONT)
                elif pid == self._pid:
                    ended = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            pass
        if ended is not None:
            # a host that was killed could not do it itself
            terminal = self._terminal if ended < 0 else None
            if terminal is not None:
                terminal.put_in_order()
            ran = self._clear_up()
            if terminal is not None:
                terminal.say_killed(-ended, ran)
            self._status = ended if ended >= 0 else 128 - ended

    def _clear_up(self) -> list[int]:
        """End what is left of the host's jobs and give its claims back, unless it has done so.

        Returns the jobs that it ran.
        """
        # it may have said something just before its end
        os.set_blocking(self._reader, False)
        try:
            self._listen()
        except BlockingIOError:
            pass
        if self._file is None or not os.path.exists(self._file):
            return []
        ran = [slot.job_id for slot in _running(os.fsdecode(self._file)) or ()]
        end_left(os.fsdecode(self._file))
        for pause in (*RETRIES, 0.0):
            try:
                self._recover()
            except Exception:  # noqa: BLE001, S110 (the next host will do it)
                pass
            if not os.path.exists(self._file):
                break
            time.sleep(pause)
        return ran


def _let_go_of_streams() -> None:
    """Hold no terminal, and no pipe whose end somebody waits for."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _pass_on(bell: int) -> None:
    """Tell of the keyboard's signals where it was a process that sent them, for ever."""
    while True:
        told = signal.sigwaitinfo(_KEYBOARDS)
        if told.si_code <= 0:
            # SI_USER and the like (sigaction(2)); the keyboard's are the kernel's
            os.write(bell, bytes((told.si_signo,)))


def _nothing(*_: object) -> None:
    """Handle a signal by doing nothing: what counts is that it wakes."""


def end_left(path: str) -> int:
    """End the processes that the jobs of a dead host left to this one; return their number.

    `path` is its host file. Spared are programs of this process's own session (`!program &`), and
    daemons of attempts that had ended: their token is not among those that ran.
    """
    running = _running_tokens(path)
    return end_all(lambda: _left(running), GRACE)


def end_overdue(path: str, spared: set[str]) -> int:
    """End what a host runs that lives, but stands still, without grace; return their number.

    `path` is its host file; attempts whose token is in `spared` go on, and the rest of that set
    is forgotten.
    """
    from queuectl.host.hostfile import EXITED, OtherHost

    if not os.path.exists(path):
        return 0
    with OtherHost(path) as other:
        slots = [slot for slot in other.slots() if slot.phase != EXITED]
    spared &= {slot.token for slot in slots}
    ended = 0
    for slot in slots:
        if slot.token not in spared:
            start = pid_start(slot.pid) if slot.pid else 0
            # a number that is another process's by now does not count
            ended += end_survivors(slot.token, slot.pid, start if start <= slot.born_by else 0, 0)
    return ended


def _running_tokens(path: str) -> frozenset[str] | None:
    """Return the tokens of what a dead host ran, None when that cannot be read."""
    running = _running(path)
    # better too many ended than one left
    return None if running is None else frozenset(slot.token for slot in running)


def _running(path: str) -> list[Slot] | None:
    """Return what a dead host had started and not seen the end of, None when that cannot be read."""
    try:
        from queuectl.host.hostfile import EXITED, OtherHost

        with OtherHost(path) as other:
            return [slot for slot in other.slots() if slot.phase != EXITED]
    except Exception:  # noqa: BLE001 (whatever is wrong with it, the rest must be done)
        return None


def _left(running: frozenset[str] | None) -> list[Process]:
    processes = snapshot()
    me, session = os.getpid(), os.getsid(0)
    adopted = {p.pid for p in processes.values() if p.parent == me and p.session != session}
    found = [processes[pid] for pid in with_descendants(processes, adopted)]
    return [
        process
        for process in found
        if not process.zombie
        and (running is None or (token := token_of(process.pid)) is None or token in running)
    ]
