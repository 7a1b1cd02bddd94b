"""Starting a process with its pipes, and the descriptor that tells when it has ended."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from functools import lru_cache

from queuectl.process.orphans import leaders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Child:
    """A process that was started: its number and our ends of its pipes (-1: closed, or none)."""

    __slots__ = (
        "exit_fd",
        "pid",
        "status",
        "stderr",
        "stdin",
        "stdout",
        "ticket",
        "usage",
    )

    def __init__(self, pid: int, stdin: int, stdout: int, stderr: int, ticket: object) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        #: readable once the process has ended; it is not reaped by that
        self.exit_fd = -1
        self.ticket = ticket

    def reap(self) -> tuple[int, tuple[float, float, int]]:
        """Reap it, waiting if need be; return wait status and user s, system s, peak KiB."""
        try:
            _, status, usage = os.wait4(self.pid, 0)
        finally:
            leaders.remove(self.ticket)
        return status, (usage.ru_utime, usage.ru_stime, usage.ru_maxrss)

    def close(self) -> None:
        """Close what is open."""
        for fd in (self.stdin, self.stdout, self.stderr, self.exit_fd):
            if fd >= 0:
                os.close(fd)
        self.stdin = self.stdout = self.stderr = self.exit_fd = -1


def restore_signals() -> None:
    """Let jobs have the default actions of signals that this process was started to ignore.

    An ignored signal, as under nohup or in a shell's background, stays ignored after exec, a
    handled one does not; so these get a handler that does nothing. With SIGCHLD ignored, children
    would vanish with their exit status. Main thread only; call it before the first attempt.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGALRM,
                   signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):  # fmt: skip
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, _ignore)
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _ignore(number: int, frame: object) -> None:
    """Do nothing."""


_null = -1


def _null_fd() -> int:
    """Return /dev/null for reading, opened once for all jobs."""
    global _null
    if _null < 0:
        _null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return _null


def open_input(path: str) -> int:
    """Return a descriptor of a file to read, without ever waiting for it. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    os.set_blocking(fd, True)
    return fd


def _begin(
    argv: tuple[str, ...], cwd: str, env: Mapping[str, str], streams: tuple[int, int, int]
) -> int:
    """Start a process in a session of its own, with these as its first descriptors.

    Only arguments of Popen that keep its vfork path are used; a fork of a large host costs
    milliseconds. Raises what Popen raises.
    """
    if _LEAN:
        pid = _begin_lean(argv, cwd, env, streams)
        if pid is not None:
            return pid
    stdin, stdout, stderr = streams
    process = subprocess.Popen(
        argv, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env, start_new_session=True
    )
    # so that Popen believes it reaped already and never waits for a number that is not its own
    process.returncode = 0
    return process.pid


#: whether this Python has the function that Popen rests on, with the parameters known here
_LEAN = sys.platform == "linux" and (3, 11) <= sys.version_info < (3, 14)
if _LEAN:
    from _posixsubprocess import fork_exec


def _begin_lean(
    argv: tuple[str, ...], cwd: str, env: Mapping[str, str], streams: tuple[int, int, int]
) -> int | None:
    """Do what Popen does, with the function it does it with, in 40 us less of CPU time a job.

    None: it could not be started. Nothing has happened then, and Popen can say why.
    """
    try:
        program = os.fsencode(argv[0])
        path = None if b"/" in program else env.get("PATH", os.defpath)
        variables = [os.fsencode(f"{name}={value}") for name, value in env.items()]
    except UnicodeEncodeError:
        return None
    if any("=" in name for name in env):
        return None
    stdin, stdout, stderr = streams
    reader, writer = os.pipe()
    try:
        if writer < 3:
            # it would be in the way of the child's own streams
            return None
        try:
            pid: int = fork_exec(
                argv, _places(program, path), True, (writer,), cwd, variables,
                stdin, -1, -1, stdout, -1, stderr, reader, writer,
                True, True, -1, None, None, None, -1, None, True,  # type: ignore[arg-type,unused-ignore]
            )  # fmt: skip
        except (OSError, ValueError):
            return None
        finally:
            os.close(writer)
            writer = -1
        # the child's end closes when it has become the program; before that it says what failed
        if not os.read(reader, 1):
            return pid
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            # reaped by somebody else: gone, at any rate
            pass
        return None
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


@lru_cache(maxsize=256)
def _places(program: bytes, path: str | None) -> tuple[bytes, ...]:
    """Return the files that may be a program; `path` None: it is one."""
    if path is None:
        return (program,)
    return tuple(os.path.join(os.fsencode(place), program) for place in path.split(os.pathsep))


def spawn(
    argv: tuple[str, ...],
    cwd: str,
    env: Mapping[str, str],
    *,
    feed: bool,
    merge: bool,
    source: int = -1,
) -> Child:
    """Start `argv` in a session of its own.

    `source` is its stdin if it is a descriptor, else, with `feed`, a pipe, else /dev/null.

    Raises OSError, ValueError or SubprocessError when it cannot be started.
    """
    ours: list[int] = []
    theirs: list[int] = []
    ticket = leaders.announce()
    try:
        out, out_end = os.pipe()
        ours.append(out)
        theirs.append(out_end)
        err = err_end = -1
        if not merge:
            err, err_end = os.pipe()
            ours.append(err)
            theirs.append(err_end)
        feeder = -1
        if source >= 0:
            # the caller's, and closed by it
            pass
        elif feed:
            source, feeder = os.pipe()
            ours.append(feeder)
            theirs.append(source)
            os.set_blocking(feeder, False)
        else:
            source = _null_fd()
        pid = _begin(argv, cwd, env, (source, out_end, out_end if merge else err_end))
    except BaseException:
        leaders.remove(ticket)
        for fd in ours:
            os.close(fd)
        raise
    finally:
        for fd in theirs:
            os.close(fd)
    child = Child(pid, feeder, out, err, ticket)
    leaders.settle(ticket, child.pid)
    try:
        child.exit_fd = exit_descriptor(child.pid)
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        child.reap()
        child.close()
        raise
    return child


def exit_descriptor(pid: int) -> int:
    """Return a descriptor that is readable once a child has ended, which is not reaped by that.

    A pidfd (pidfd_open(2)); where there are none, the end of a pipe that a thread closes.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        # no such call, or out of descriptors: then the pipe fails too, and says so
        pass
    import threading

    reader, writer = os.pipe()
    threading.Thread(
        target=_await_exit, args=(pid, writer), name=f"exit-{pid}", daemon=True
    ).start()
    return reader


def _await_exit(pid: int, writer: int) -> None:
    try:
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        else:
            _await_exit_kqueue(pid)
    except OSError:
        # it has been reaped: ended, at any rate
        pass
    finally:
        os.close(writer)


def _await_exit_kqueue(pid: int) -> None:
    """Wait with kqueue(2), which does not reap; Python on macOS has no waitid before 3.13."""
    import select

    queue = select.kqueue()  # type: ignore[attr-defined,unused-ignore]
    try:
        event = select.kevent(  # type: ignore[attr-defined,unused-ignore]
            pid,
            filter=select.KQ_FILTER_PROC,  # type: ignore[attr-defined,unused-ignore]
            flags=select.KQ_EV_ADD | select.KQ_EV_ONESHOT,  # type: ignore[attr-defined,unused-ignore]
            fflags=select.KQ_NOTE_EXIT,  # type: ignore[attr-defined,unused-ignore]
        )
        queue.control([event], 1)
    finally:
        queue.close()
