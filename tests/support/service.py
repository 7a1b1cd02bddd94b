"""A `serve` in a process of its own, and the clients that others have for it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from queuectl.sockets import connect
from tests.support.cli import PATIENCE, Cli

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Service:
    """One service of a test's store; gone at the end."""

    def __init__(self, cli: Cli, *words: str, command: str = "serve") -> None:
        argv = cli.command("--json", command, *words)
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=cli.env, cwd=cli.directory,
        )  # fmt: skip
        self._said: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        if not first:
            self.process.wait(PATIENCE)
            self._reader.join()
            self._close()
            raise AssertionError(self.log)
        self.facts: dict[str, Any] = json.loads(first)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said.append(line)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return b"".join(self._said).decode(errors="replace")

    @property
    def pid(self) -> int:
        """The host's process; a front may stand above it."""
        return int(self.facts["pid"])

    @property
    def port(self) -> int:
        """Where it takes messages."""
        return int(self.facts["messages"].rpartition(":")[2])

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end; return the exit status."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def stop(self) -> int:
        """Let it finish what runs."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        if self.process.poll() is None:
            self.signal(signal.SIGQUIT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(PATIENCE)
        self._close()
        assert "Traceback" not in self.log
        assert "internal error" not in self.log

    def _close(self) -> None:
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    # ---- clients ------------------------------------------------------------------------------

    def connect(self) -> socket.socket:
        """Return a socket connected to the Unix socket."""
        sock = connect(self.facts["socket"])
        sock.settimeout(PATIENCE)
        return sock

    def ask(self, *lines: str) -> list[Any]:
        """Send lines on one connection; return the answers."""
        with self.connect() as sock:
            sock.sendall("".join(f"{line}\n" for line in lines).encode())
            with sock.makefile() as answers:
                return [json.loads(answers.readline()) for _ in lines]

    def legacy(self, request: str) -> Any:
        """Ask as taskspooler's client does: one send without a newline, one receive."""
        with self.connect() as sock:
            sock.sendall(request.strip().encode())
            return json.loads(sock.recv(65536))

    def say(self, data: bytes, *, end: bool = True) -> str:
        """Say something to the port for messages; return all that is answered."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as sock:
            sock.sendall(data)
            if end:
                sock.shutdown(socket.SHUT_WR)
            with sock.makefile() as answers:
                return answers.read()


def descriptors(pid: int) -> int:
    """Return how many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
