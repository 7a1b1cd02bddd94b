"""A shell at a real pseudo-terminal, and the screen a person would see."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any, Self

import pyte

import queuectl
from tests.support.backend import DEFAULT, store_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: seconds after which a screen that has not come will not come
DEADLINE = 30.0
ENTER, TAB, CTRL_C, CTRL_D, CTRL_R, UP = "\r", "\t", "\x03", "\x04", "\x12", "\x1b[A"
_ROOT = os.path.dirname(os.path.dirname(queuectl.__file__))
#: makes the terminal on its standard input the controlling one, as a login does
_AT_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.executable, [sys.executable, '-m', 'queuectl', *sys.argv[1:]])"
)


class _Screen(pyte.HistoryScreen):
    """A terminal that answers when it is asked where its cursor is."""

    answer: Callable[[str], None]

    def write_process_input(self, data: str) -> None:
        self.answer(data)


class Shell:
    """The process and its screen. Every wait is for something to be seen, up to a deadline."""

    def __init__(
        self,
        directory: Path,
        *words: str,
        columns: int = 100,
        rows: int = 24,
        environ: Mapping[str, str] | None = None,
        first: str = "queuectl> ",
        kind: str = DEFAULT,
    ) -> None:
        self.directory = directory
        self.environ = {
            "PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), "LANG": "C.UTF-8",
            "TERM": "xterm-256color", "PYTHONPATH": _ROOT, "PYTHONUTF8": "1",
            "QUEUECTL_STATE_DIR": str(directory / "state"), **(environ or {}),
        }  # fmt: skip
        url = store_url(directory, kind)
        if url is not None:
            self.environ.setdefault("QUEUECTL_STORE", url)
        self._screen = _Screen(columns, rows, history=50000, ratio=0.5)
        self._screen.answer = self.type
        self._stream = pyte.ByteStream(self._screen)
        #: the other end of the terminal, where this process keeps it open
        self._kept = -1
        #: every byte the shell has written
        self.written = b""
        self._terminal, inner = os.openpty()
        self._set_size(columns, rows)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _AT_TERMINAL, *words],
            stdin=inner, stdout=inner, stderr=inner, env=self.environ, cwd=directory,
            start_new_session=True,
        )  # fmt: skip
        os.close(inner)
        if first:
            self.see(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- what a person does -------------------------------------------------------------------

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._terminal, text.encode())

    def run(self, line: str, *expected: str) -> None:
        """Type a line and Enter, and wait for what it is to show and for a new prompt."""
        before = self.text.count("queuectl>")
        self.type(line + ENTER)
        for text in expected:
            self.see(text)
        self.wait_for(lambda: self.text.count("queuectl>") > before, f"a prompt after {line!r}")

    def paste(self, text: str) -> None:
        """Paste as a terminal does that marks what is pasted."""
        self.type("\x1b[200~" + text.replace("\n", "\r") + "\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window."""
        self._screen.resize(rows, columns)
        self._set_size(columns, rows)
        os.killpg(self.process.pid, signal.SIGWINCH)

    def keep_open(self, terminal: str) -> None:
        """Keep the terminal open when no process of the shell does any more."""
        self._kept = os.open(terminal, os.O_RDWR | os.O_NOCTTY)

    def hang_up(self) -> None:
        """Close the window."""
        if self._kept >= 0:
            os.close(self._kept)
            self._kept = -1
        os.close(self._terminal)
        self._terminal = -1

    # ---- what a person sees -------------------------------------------------------------------

    @property
    def rows(self) -> list[str]:
        """The rows of the screen, without blanks at their ends."""
        return [row.rstrip() for row in self._screen.display]

    @property
    def text(self) -> str:
        """What has scrolled away and what is on the screen."""
        gone = ["".join(row[at].data for at in range(self._screen.columns)).rstrip()
                for row in self._screen.history.top]  # fmt: skip
        return "\n".join([*gone, *self.rows]) + " "

    @property
    def line(self) -> str:
        """The row in which the cursor stands."""
        return self.rows[self._screen.cursor.y]

    @property
    def toolbar(self) -> str:
        """The last row."""
        return self.rows[-1].strip()

    def see(self, text: str) -> None:
        """Wait until a text can be read, on the screen or above it."""
        self.wait_for(lambda: text in self.text or text in self.line + " ", repr(text))

    def see_line(self, text: str) -> None:
        """Wait until the row with the cursor begins with a text."""
        self.wait_for(lambda: self.line.startswith(text), f"a line that begins with {text!r}")

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a screen that a condition holds for."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            if not self._read(deadline - time.monotonic()) and not condition():
                shown = "\n".join(self.rows)
                raise AssertionError(f"{what} did not appear; on the screen:\n{shown}")

    def exit_status(self) -> int:
        """Wait for the end of the process."""
        deadline = time.monotonic() + DEADLINE
        while self._terminal >= 0 and self._read(deadline - time.monotonic()):
            pass
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def modes(self) -> list[Any]:
        """Return the terminal's attributes."""
        return termios.tcgetattr(self._terminal)

    def queuectl(self, *words: str) -> str:
        """Run a command on the same store, beside the shell."""
        done = subprocess.run(
            [sys.executable, "-m", "queuectl", *words], env=self.environ, cwd=self.directory,
            capture_output=True, text=True, timeout=DEADLINE, check=False,
        )  # fmt: skip
        return done.stdout

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._terminal >= 0:
            self.hang_up()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _read(self, seconds: float) -> bool:
        """Take what the shell writes next; False: nothing in that time, or it has ended."""
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, seconds))
        try:
            data = os.read(self._terminal, 65536) if ready else b""
        except OSError:
            return False
        self.written += data
        self._stream.feed(data)
        return bool(data)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
