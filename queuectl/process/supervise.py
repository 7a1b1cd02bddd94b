"""Waiting for one running attempt, moving its output and ending what is left of it.

Ending, by itself. The first process is seen to have ended by its pidfd and is a zombie then, which
keeps its number, the group's too, from being used again: the group gets SIGTERM and SIGCONT, the
zombie is reaped, and signal 0 tells whether anybody is left. Nobody: done, the usual case. Else
the members are held by pidfds until they end or the grace is over. A process that took a session
of its own is a daemon that the job wanted, and is spared.

Ending, by cancel or timeout. The whole tree is looked up before the first signal, because ties
break when parents end, and again after SIGKILL, because it may have forked meanwhile. The first
process stays a zombie until the rest is gone.
"""

from __future__ import annotations

import os
import select
import signal

from queuectl.job import OUTPUT, STOPPED, TIMEOUT
from queuectl.process.plumbing import CHUNK, Plumbing, wake_pipe, wakes
from queuectl.process.proctree import (
    KILL_WAIT,
    LOOK_EVERY,
    Victims,
    find_tree,
    group_is_left,
    snapshot,
)
from queuectl.settings import format_size
from queuectl.timespec import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from queuectl.job import Output
    from queuectl.process.attempt import Control
    from queuectl.process.plan import Plan
    from queuectl.process.proctree import Process
    from queuectl.process.spawn import Child

    #: kind, code and detail of an Outcome
    Ending = tuple[str, int | None, str]


class Supervisor:
    """A running attempt, owned by its worker thread."""

    __slots__ = (
        "_child", "_clock", "_control", "_exited", "_give_up_by", "_kill_by", "_killed",
        "_last_output", "_monotonic", "_paused_at", "_plan", "_plumbing", "_reaped", "_run_by",
        "_victims", "_wake", "_watched", "ending", "finished_at", "output", "status", "usage",
    )  # fmt: skip

    def __init__(
        self,
        plan: Plan,
        control: Control,
        child: Child,
        clock: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._control = control
        self._child = child
        self._clock = clock
        self._monotonic = monotonic
        self._plumbing = Plumbing(plan, child)
        self._wake: tuple[int, int] | None = None
        self._exited = self._reaped = self._killed = False
        self._victims: Victims | None = None
        #: victims' descriptors in the poll set
        self._watched: set[int] = set()
        now = monotonic()
        self._last_output = now
        self._run_by = now + plan.timeout / 1000 if plan.timeout else None
        self._paused_at: float | None = None
        self._kill_by: float | None = None
        self._give_up_by: float | None = None
        #: how it ends when not by itself
        self.ending: Ending | None = None
        self.status = 0
        #: user and system seconds, peak memory as getrusage(2) counts it
        self.usage = 0.0, 0.0, 0
        self.output: Output | None = None
        self.finished_at = 0

    # -- orders, carried out by the worker thread

    def cancel(self, *, now: bool) -> None:
        """End the tree; `now` without grace."""
        if not self._exited:
            self._end_tree((STOPPED, None, ""), 0 if now else self._plan.kill_grace)
        elif now and self._kill_by is not None:
            self._kill_by = self._monotonic()

    def signal_group(self, number: int) -> None:
        """Deliver a signal to the group, unless its first process has ended."""
        if not self._exited:
            self._kill_group(number)

    def pause(self) -> None:
        """Stop the group and its clocks."""
        if not self._exited and self.ending is None and self._paused_at is None:
            self._paused_at = self._monotonic()
            self._kill_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the group and its clocks go on."""
        if self._paused_at is None:
            return
        lost = self._monotonic() - self._paused_at
        self._paused_at = None
        self._last_output += lost
        if self._run_by is not None:
            self._run_by += lost
        self.signal_group(signal.SIGCONT)

    def send(self, data: bytes) -> None:
        """Write to the standard input of an interactive job; no bytes end it."""
        if self._plan.interactive and data:
            self._plumbing.feed(data)
        elif self._plan.interactive:
            self._plumbing.finish()

    # -- the course of an attempt

    def supervise(self) -> None:
        """Return when the attempt is over: output kept, processes ended and reaped."""
        self._wake = wake_pipe()
        self._plumbing.poll.register(self._wake[0], select.POLLIN)
        self._plumbing.poll.register(self._child.exit_fd, select.POLLIN)
        self._control.attach(self._wake[1])
        self._obey()
        while not self._exited:
            self._step()
        self._plumbing.close_stdin()
        if self.ending is None:
            self._end_group()
        if self._victims is not None:
            self._outlast(self._victims)
        self._reap()
        self.finished_at = self._clock()
        self._plumbing.read_last(self.finished_at, self._last_output)
        if self.ending is None and self._is_over():
            self.ending = self._too_much()
        self.output = self._plumbing.recorder.finish()

    def abandon(self) -> None:
        """Kill and reap, after something unforeseen."""
        if not self._reaped:
            self._kill_group(signal.SIGKILL)
            self._reap()
        self._plumbing.recorder.finish()

    def close(self) -> None:
        """Let go of every descriptor."""
        self._control.attach(-1)
        if self._wake is not None:
            wakes.append(self._wake)
            self._wake = None
        if self._victims is not None:
            self._victims.close()
        self._child.close()

    def _step(self) -> None:
        """Wait for whatever comes next and deal with it."""
        plumbing = self._plumbing
        plumbing.rest_from_dribble()
        events = plumbing.poll.poll(self._patience())
        now = self._monotonic()
        woken = False
        for fd, _ in events:
            if plumbing.is_stream(fd):
                plumbing.read(fd, self._clock(), now)
                self._last_output = now
            elif fd == self._child.exit_fd:
                self._exited = True
                plumbing.forget(fd)
            elif fd == self._child.stdin:
                plumbing.write()
            elif self._wake is not None and fd == self._wake[0]:
                woken = True
        if self._exited and self._victims is not None:
            self._watch(self._victims)
        if woken:
            # after the exit was seen, so that exit 0 wins over a cancel that came with it
            self._drain_wake()
            self._obey()
        if self.ending is None and not self._exited and self._is_over():
            self._end_tree(self._too_much(), self._plan.kill_grace)
        self._meet_deadlines(now)

    def _is_over(self) -> bool:
        return self._plan.output_fails and self._plumbing.recorder.over

    def _too_much(self) -> Ending:
        return OUTPUT, None, format_size(self._plan.output_limit)

    def _obey(self) -> None:
        while (order := self._control.take()) is not None:
            order(self)

    def _drain_wake(self) -> None:
        if self._wake is not None:
            try:
                os.read(self._wake[0], CHUNK)
            except BlockingIOError:
                pass

    # -- deadlines

    def _patience(self) -> float | None:
        """Return the milliseconds until something is due, None if nothing is."""
        nearest = self._plumbing.recorder.due
        for due in (*self._timeouts(), self._kill_by, self._give_up_by):
            if due is not None and (nearest is None or due < nearest):
                nearest = due
        if self._exited and self._victims is not None and not self._victims.pollable:
            look = self._monotonic() + LOOK_EVERY
            nearest = look if nearest is None else min(look, nearest)
        if nearest is None:
            return None
        # rounded up, else the last fraction of a millisecond is a busy loop
        return max(0, int((nearest - self._monotonic()) * 1000) + 1)

    def _timeouts(self) -> tuple[float | None, float | None]:
        """Return when the attempt has run, and been silent, for too long."""
        if self._paused_at is not None or self.ending is not None or self._exited:
            return None, None
        idle = self._plan.idle_timeout
        return self._run_by, self._last_output + idle / 1000 if idle else None

    def _meet_deadlines(self, now: float) -> None:
        self._plumbing.flush_if_due(now)
        run_by, idle_by = self._timeouts()
        if run_by is not None and now >= run_by:
            self._time_out(format_duration(self._plan.timeout))
        elif idle_by is not None and now >= idle_by:
            self._time_out(f"idle {format_duration(self._plan.idle_timeout)}")
        if self._kill_by is not None and now >= self._kill_by:
            self._kill_tree()

    # -- ending

    def _time_out(self, detail: str) -> None:
        self._end_tree((TIMEOUT, None, detail), self._plan.kill_grace)

    def _end_tree(self, ending: Ending, grace: int) -> None:
        """Begin to end every process of the attempt, unless the first has ended by itself."""
        victims = self._victims = self._victims or Victims()
        tree = self._find_tree()
        new = victims.add(tree)
        if self._has_ended():
            victims.close()
            self._victims = None
            return
        first = self.ending is None
        self.ending = self.ending or ending
        self._paused_at = None
        if not grace:
            self._kill_tree()
        elif first:
            self._kill_by = self._monotonic() + grace / 1000
            # a second SIGTERM makes some programs give up what they do on the first
            outside = [process for process in new if process.group != self._child.pid]
            for number in (signal.SIGTERM, signal.SIGCONT):
                self._kill_group(number)
                victims.signal(number, outside)

    def _kill_tree(self) -> None:
        """Send SIGKILL to all that is left."""
        self._kill_by = None
        self._killed = True
        victims = self._victims = self._victims or Victims()
        if not self._reaped:
            self._kill_group(signal.SIGKILL)
        victims.add(self._find())
        victims.signal(signal.SIGKILL)

    def _end_group(self) -> None:
        """Begin to end what the first process left of its group, and reap that process."""
        plan, pid = self._plan, self._child.pid
        if plan.leave_children:
            return
        self._kill_group(signal.SIGTERM)
        self._kill_group(signal.SIGCONT)
        self._reap()
        if not group_is_left(pid):
            return
        self._victims = Victims()
        self._victims.add(self._find())
        self._kill_by = self._monotonic() + plan.kill_grace / 1000

    def _outlast(self, victims: Victims) -> None:
        """Return when all that were found have ended, and what they started meanwhile too."""
        self._watch(victims)
        while True:
            while victims and not self._is_hopeless():
                self._step()
            new = victims.add(self._find())
            if not new or self._is_hopeless():
                return
            if self._killed:
                victims.signal(signal.SIGKILL, new)
            else:
                victims.signal(signal.SIGTERM, new)
                victims.signal(signal.SIGCONT, new)
            self._watch(victims)

    def _is_hopeless(self) -> bool:
        """Whether SIGKILL was long ago: in an uninterruptible sleep, or another user's.

        Such a process would hold its worker for ever.
        """
        if not self._killed:
            return False
        if self._give_up_by is None:
            self._give_up_by = self._monotonic() + KILL_WAIT
        return self._monotonic() >= self._give_up_by

    def _watch(self, victims: Victims) -> None:
        """Bring the poll set in line with the victims that are left."""
        victims.drop_ended()
        fds = set(victims.fds)
        for fd in self._watched - fds:
            self._plumbing.forget(fd)
        for fd in fds - self._watched:
            self._plumbing.poll.register(fd, select.POLLIN)
        self._watched = fds

    def _find(self) -> list[Process]:
        """Return the processes that are to be ended, as they are now."""
        if self.ending is not None:
            return self._find_tree()
        group = self._child.pid
        processes = snapshot()
        # reaped, so a process of this number is somebody else's and the group with it
        if group in processes:
            return []
        return [p for p in processes.values() if p.group == group and not p.zombie]

    def _find_tree(self) -> list[Process]:
        pid = self._child.pid
        processes = snapshot()
        leader = processes.get(pid)
        # not reaped, so the number is its own
        since = leader.start if leader else 0
        return [processes[p] for p in find_tree(processes, pid, since, self._plan.token)]

    def _has_ended(self) -> bool:
        poll = select.poll()
        poll.register(self._child.exit_fd, select.POLLIN)
        return bool(poll.poll(0))

    def _kill_group(self, number: int) -> None:
        """Signal the group. Only while the first process is not reaped, so that it is the group."""
        try:
            os.killpg(self._child.pid, number)
        except OSError:
            # BSD says so of a group of zombies; or all of them belong to another user
            pass

    def _reap(self) -> None:
        if not self._reaped:
            self._reaped = True
            self.status, self.usage = self._child.reap()
