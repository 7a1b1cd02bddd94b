"""Real attempts for tests: started, steered from outside, told of through a fifo."""

from __future__ import annotations

import os
import select
import threading
import time
import uuid
from typing import TYPE_CHECKING, ClassVar

from queuectl.job import Outcome, Output
from queuectl.process import plumbing, spawn
from queuectl.process.attempt import Control, Plan, run
from queuectl.process.output import Reader, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: seconds until a test gives up on something that should come at once
PATIENCE = 30
GRACE = 200
#: of this run of the tests, as a tree is found by its token
TOKEN = f"t-{uuid.uuid4()}"
ENV = {"PATH": os.environ["PATH"], "QUEUECTL_TOKEN": TOKEN}


def make(tmp_path: Path, *argv: str, shell: str | None = None, **more: object) -> Plan:
    """Return a plan for an argv or a shell line."""
    if shell is not None:
        argv = ("/bin/sh", "-c", shell)
    fields = {
        "cwd": str(tmp_path), "env": ENV, "kill_grace": GRACE, "token": TOKEN,
        "output_path": str(tmp_path / "output"), **more,
    }  # fmt: skip
    return Plan(argv, **fields)  # type: ignore[arg-type]


def attempt(plan: Plan, control: Control | None = None) -> Outcome:
    """Run a plan in this thread."""
    return run(plan, control or Control(), on_start=lambda *_: None)


class Running:
    """An attempt in a thread of its own, on a clock that can be put forward."""

    _all: ClassVar[list[Running]] = []

    def __init__(self, plan: Plan) -> None:
        self.control = Control()
        self.pid = 0
        self._ahead = 0.0
        self._outcome: Outcome | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(plan,))
        self._all.append(self)
        self._thread.start()
        assert self._started.wait(PATIENCE)

    def _run(self, plan: Plan) -> None:
        try:
            self._outcome = run(
                plan,
                self.control,
                on_start=self._on_start,
                monotonic=lambda: time.monotonic() + self._ahead,
            )
        finally:
            self._started.set()

    def _on_start(self, pid: int, started: int) -> None:
        assert started > 1_600_000_000_000
        self.pid = pid
        self._started.set()

    def put_forward(self, seconds: float) -> None:
        """Let time pass for it."""
        self._ahead += seconds
        # an order without effect wakes the worker, which looks at the clock
        self.control.signal(0)

    def outcome(self) -> Outcome:
        """Wait for the end."""
        self._thread.join(PATIENCE)
        assert self._outcome is not None
        return self._outcome

    @classmethod
    def end_all(cls) -> None:
        """End those that a failed test left."""
        while cls._all:
            running = cls._all.pop()
            running.control.cancel(now=True)
            running._thread.join(PATIENCE)


class Line:
    """A fifo through which jobs tell the test things; its end shows that all writers are gone."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> bytes:
        """Return what comes next, b"" when nobody holds the other end any more."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        assert poll.poll(PATIENCE * 1000), "nothing came"
        return os.read(self._fd, 65536)

    def read_until(self, mark: bytes) -> bytes:
        """Return all up to `mark`."""
        data = b""
        while mark not in data:
            new = self.read()
            assert new, data
            data += new
        return data

    def read_to_the_end(self) -> bytes:
        """Return all that comes until no process holds the other end."""
        data = b""
        while new := self.read():
            data += new
        return data

    @property
    def is_held(self) -> bool:
        """Whether nothing can be read now, and somebody still could write."""
        try:
            os.read(self._fd, 1)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        """Close this end."""
        os.close(self._fd)


def open_gate(path: Path) -> None:
    """Let a job go on that reads a line from this fifo."""
    with path.open("w") as gate:
        gate.write("go\n")


def wrote(outcome: Outcome, stream: int | None = None) -> bytes:
    """Return what an attempt wrote."""
    assert outcome.output is not None
    return b"".join(piece.data for piece in pieces(outcome.output, stream=stream))


def follow_until(reader: Reader, mark: bytes) -> bytes:
    """Read a growing output until `mark` has come."""
    data = b""
    deadline = time.monotonic() + PATIENCE
    while mark not in data:
        assert time.monotonic() < deadline, data
        data += b"".join(piece.data for piece in reader.read_new())
    return data


def follower(tmp_path: Path) -> Reader:
    """Return a reader of the output of the attempt that runs there."""
    return Reader(Output(path=str(tmp_path / "output")))


def leaves_nothing_open() -> Iterator[None]:
    """See that all descriptors come back, but for /dev/null and pipes kept to be used again."""
    spawn._null_fd()
    before = _open_count()
    yield
    Running.end_all()
    assert _open_count() == before


def _open_count() -> int:
    return len(os.listdir("/dev/fd")) - 2 * len(plumbing.wakes)
