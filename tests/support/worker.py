"""Workers as a process of their own, and gates that jobs wait at: no test has to sleep."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from tests.support.cli import Cli

#: seconds after which a process is stuck
PATIENCE = 60


class Workers:
    """Starts workers and takes them down at the end, whatever they run."""

    def __init__(self, cli: Cli) -> None:
        self._cli = cli
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `worker start WORDS` and return when its workers are registered."""
        process = self._cli.start("worker", "start", *words)
        self._started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "worker" in line, (line, process.communicate())
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            if process.poll() is None:
                # the first drains, the second hands back what runs
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


class Fifo:
    """A gate: a job that runs `wait` stands there until `open`; `lines` reads what jobs `tell`."""

    def __init__(self, cli: Cli, name: str) -> None:
        self.path = str(cli.directory / name)
        os.mkfifo(self.path)

    @property
    def wait(self) -> str:
        """The shell command that waits here."""
        return f"read _ < {self.path}"

    def open(self) -> None:
        """Let one job through; returns when it has come here."""
        with open(self.path, "w") as gate:
            gate.write("\n")

    def read(self) -> str:
        """Return what a job wrote here, once it has closed it."""
        with open(self.path) as gate:
            return gate.read()
