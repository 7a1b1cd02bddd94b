"""The terminal between prompts: its size, its modes, the signals that end a shell, output."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
from contextlib import contextmanager

from queuectl.commands import context
from queuectl.commands.context import Screen
from queuectl.host import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    #: what termios knows of a terminal
    Modes = list[Any]

_STDIN, _STDOUT = 0, 1
_CTRL_C, _CTRL_D = b"\x03", b"\x04"


class Terminated(SystemExit):
    """A signal says that the shell must end. A SystemExit, which asyncio lets through."""

    def __init__(self, number: int) -> None:
        self.status = 128 + number
        super().__init__(self.status)


def screen() -> Screen:
    """Return the size of the terminal as it is now."""
    try:
        size = os.get_terminal_size(_STDOUT)
    except OSError:
        return Screen(terminal=True)
    return Screen(True, size.columns or 80, size.lines or 24)


def is_dumb() -> bool:
    """Whether the terminal cannot move its cursor."""
    return context.is_dumb(os.environ)


def alive() -> bool:
    """Whether there is still a terminal to talk to."""
    return _modes() is not None


@contextmanager
def quiet() -> Iterator[Modes | None]:
    """Keep what is typed between prompts, Ctrl-C too, for the next one; show nothing of it.

    Yields the modes as they were, which are brought back at the end; None without a terminal.
    """
    before = _modes()
    if before is None:
        yield None
        return
    silent = list(before)
    silent[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
    _set(silent)
    try:
        yield before
    finally:
        _set(before)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C interrupt what runs within.

    Only there is it a signal: one that came while a prompt begins or ends would find it half made.
    """
    before = _modes()
    if before is None:
        yield
        return
    _set([*before[:3], before[3] | termios.ISIG, *before[4:]])
    try:
        yield
    finally:
        _set(before)


@contextmanager
def lent(modes: Modes | None) -> Iterator[None]:
    """Give the terminal to a program, in the modes given; bring the present ones back afterwards.

    Signals of the keyboard are the program's: it is in the same foreground process group. Ctrl-Z
    stops it and the front; not this process, since a host that stands still is taken for dead.
    Without a front it stops nobody.
    """
    before = _modes()
    if modes is not None:
        _set(modes)
    # a handler, unlike SIG_IGN, is not inherited by what is executed
    handlers = [
        (number, signal.signal(number, ignore)) for number in (signal.SIGINT, signal.SIGQUIT)
    ]
    stopped = signal.SIG_IGN if handover.link() is None else _stand_still_as_lent
    handlers.append((signal.SIGTSTP, signal.signal(signal.SIGTSTP, stopped)))
    try:
        yield
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
        _come_to_foreground()
        if before is not None:
            _set(before)


def _come_to_foreground() -> None:
    """Take the terminal back from a shell that died without giving it back."""
    # whoever is in the background is stopped when it tries
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
    try:
        os.tcsetpgrp(_STDIN, os.getpgrp())
    except OSError:
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTTOU,))


def ignore(*_: object) -> None:
    """Handle a signal by doing nothing."""


def suspend(*, modes: Modes | None) -> None:
    """Stand still at the terminal until the shell above says `fg`; then bring these modes back.

    Workers go on meanwhile. Main thread only. Does nothing without a front.
    """
    front = handover.link()
    if front is None:
        return
    front.suspend()
    # `bg` lets us go on where we cannot: at the next touch of the terminal we would be stopped
    while front.lives and not _in_foreground():
        front.suspend()
    if modes is not None:
        _set(modes)


def _stand_still(*_: object) -> None:
    front = handover.link()
    if front is not None and front.asked:
        suspend(modes=_modes())


def _stand_still_as_lent(*_: object) -> None:
    """Leave the modes to the program that has the terminal."""
    front = handover.link()
    if front is not None and front.asked:
        suspend(modes=None)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(_STDIN) == os.getpgrp()
    except OSError:
        return True


def put_back(modes: Modes) -> None:
    """Bring modes back that the terminal had."""
    _set(modes)


def current() -> Modes | None:
    """Return the modes of the terminal, None when there is none."""
    return _modes()


def _modes() -> Modes | None:
    try:
        return termios.tcgetattr(_STDIN)
    except (termios.error, OSError):
        return None


def _set(modes: Modes) -> None:
    try:
        termios.tcsetattr(_STDIN, termios.TCSANOW, modes)
    except (termios.error, OSError):
        pass


@contextmanager
def ended_by_signals(end: Callable[[int], None]) -> Iterator[None]:
    """Call `end` for the first SIGTERM or SIGHUP, in the main thread; later ones do nothing.

    Ctrl-Z stops the front, not this process. A SIGHUP that is ignored already (nohup) stays so.
    """
    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    called = False

    def handle(number: int, _: object) -> None:
        nonlocal called
        if not called:
            called = True
            end(number)

    before = [(number, signal.signal(number, handle)) for number in numbers]
    before.append((signal.SIGTSTP, signal.signal(signal.SIGTSTP, _stand_still)))
    try:
        yield
    finally:
        for number, handler in before:
            # the same hang-up may be told by the kernel, by the shell above and by the front
            signal.signal(number, ignore if called else handler)


def key(seconds: float) -> bytes:
    """Return what is typed within some time, empty when nothing is. For quiet terminals."""
    ready, _, _ = select.select([_STDIN], [], [], seconds)
    return os.read(_STDIN, 64) if ready else b""


def wants_to_stop(typed: bytes) -> bool:
    """Whether Ctrl-D is among what was typed, or a Ctrl-C that came before it was a signal."""
    return _CTRL_C in typed or _CTRL_D in typed


def write(pieces: Iterator[tuple[int, bytes]], *, live: bool = False) -> None:
    """Write (1 or 2 for stdout or stderr, bytes) in that order; `live` piece by piece."""
    for descriptor, data in pieces:
        file = sys.stdout.buffer if descriptor == _STDOUT else sys.stderr.buffer
        other = sys.stderr.buffer if descriptor == _STDOUT else sys.stdout.buffer
        other.flush()
        file.write(data)
        if live:
            file.flush()
    flush()


def flush() -> None:
    """Send what is buffered."""
    sys.stdout.flush()
    sys.stderr.flush()


def fresh_line() -> None:
    """Go to the beginning of a line, after output that may not have ended one.

    A row of blanks as wide as the screen wraps to the next line unless it began at the first column:
    behind the last column a terminal waits for one more character before it wraps.
    """
    if not is_dumb():
        sys.stdout.write(f"{' ' * screen().width}\r\x1b[K")
        sys.stdout.flush()


def let_go() -> None:
    """Write to nowhere from now on: the terminal is gone."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (_STDIN, _STDOUT, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
