"""Named pipes by which a job tells a test where it is, and waits until it may go on."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: seconds until a test gives up on something that should come at once
PATIENCE = 30


class Fifo:
    """A pipe that jobs write lines to; open for both, so that neither end ever waits to open it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        os.mkfifo(self.path)
        self._fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self._held = b""

    def line(self, timeout: float = PATIENCE) -> str:
        """Return the next line; wait for it."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while b"\n" not in self._held:
            assert poll.poll(timeout * 1000), f"nothing came through {self.path}"
            self._held += os.read(self._fd, 65536)
        line, self._held = self._held.split(b"\n", 1)
        return line.decode()

    def is_silent(self) -> bool:
        """Whether nothing has come that was not read."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return not self._held and not poll.poll(0)

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def close(self) -> None:
        os.close(self._fd)


class Gate:
    """A place in a job's life: it says that it is there and waits to be let through."""

    def __init__(self, directory: Path) -> None:
        self._told = Fifo(directory / "told")
        self._let = Fifo(directory / "let")
        #: where jobs say a line, and where they read one
        self.told, self.let = self._told.path, self._let.path
        #: shell command to stand at the gate, saying the id of the job
        self.command = f'echo "$QUEUECTL_JOB_ID" >{self.told}; read -r _ <{self.let}'

    def saying(self, words: str) -> str:
        """Return the command of a job that says something else at the gate."""
        return self.command.replace("$QUEUECTL_JOB_ID", words)

    def arrived(self) -> str:
        """Return what the next job to arrive says; wait for it."""
        return self._told.line()

    def nobody_came(self) -> bool:
        """Whether every arrival is known."""
        return self._told.is_silent()

    def open(self, jobs: int = 1) -> None:
        """Let so many jobs through."""
        # a byte each: a shell reads byte by byte, and no two get halves of a line
        self._let.write(b"\n" * jobs)

    def close(self) -> None:
        self._told.close()
        self._let.close()
