"""Worker hosts in processes of their own, and jobs that can be told from all others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import psutil

from queuectl.job import FINAL, PROCESSING, STATES, NewJob
from queuectl.store import open_store
from queuectl.store.base import Filter
from tests.support.backend import store_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from queuectl.job import Job
    from queuectl.store.base import Store

#: seconds until a test gives up on something that should come soon
PATIENCE = 60
_MARK = "QUEUECTL_TEST"
#: hosts in a hurry: dead ones are recovered soon, and their processes get no grace
HURRY: dict[str, object] = {
    "queuectl.host.keeper.ROUND": 0.1,
    "queuectl.host.keeper.BEAT": 0.05,
    "queuectl.host.recovery.GRACE": 0,
}
#: a host that sees to its own jobs only
SELFISH: dict[str, object] = {"queuectl.host.keeper.ROUND": 3600.0}


def holders(mark: str) -> list[int]:
    """Return the processes that were started with a mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.environ().values():
                found.append(process.pid)
        except (psutil.Error, OSError):
            # gone, or another user's
            continue
    return found


def eventually(is_so: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait for what nobody tells us of."""
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


class HostProcess:
    """One host. Its lines are read by a thread, so that it never waits for us."""

    def __init__(  # noqa: PLR0917
        self,
        url: str,
        workers: int,
        constants: Mapping[str, object],
        failpoint: str | None,
        variables: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        """`variables` are added to the environment; `wrapper` is a command that runs it."""
        root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
        environment = {**os.environ, "PYTHONPATH": root, **(variables or {})}
        if failpoint is not None:
            environment["QUEUECTL_FAILPOINT"] = failpoint
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "tests.support.host_process", url, str(workers), json.dumps(constants)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._lines: list[str] = []
        self._said = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._said:
                self._lines.append(line.decode().rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()

    @property
    def pid(self) -> int:
        return self.process.pid

    def hear(self, beginning: str, patience: float = PATIENCE) -> str:
        """Return (and forget) the first line that begins so; wait for it."""

        def found() -> str | None:
            return next((line for line in self._lines if line.startswith(beginning)), None)

        with self._said:
            assert self._said.wait_for(lambda: found() or self._ended, patience), (
                f"no {beginning!r}"
            )
            line = found()
            assert line is not None, f"the host ended without {beginning!r}"
            self._lines.remove(line)
            return line

    def ask(self, words: str, answer: str) -> str:
        """Say something; return the answer, which begins so."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n".encode())
        self.process.stdin.flush()
        return self.hear(answer)

    def ready(self) -> HostProcess:
        """Wait until its workers work."""
        self.hear("ready")
        return self

    def died(self) -> int:
        """Wait for its end; return how it ended."""
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """`kill -9` it."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self) -> None:
        """Leave nothing of it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass


class Hosts:
    """A store on disk, the hosts of a test, and their jobs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = str(directory / "queue.db")
        self.url = store_url(directory) or f"sqlite://{self.path}"
        self.mark = uuid.uuid4().hex
        self.store: Store = open_store(self.url)
        self._processes: list[HostProcess] = []

    def start(
        self,
        workers: int = 1,
        constants: Mapping[str, object] = HURRY,
        *,
        failpoint: str | None = None,
    ) -> HostProcess:
        """Start a host; it may not be ready yet."""
        host = HostProcess(self.url, workers, constants, failpoint)
        self._processes.append(host)
        return host

    def job(self, command: str, **fields: Any) -> NewJob:
        """Return a job whose processes are found again; it is retried at once."""
        policy = {"backoff-base": "0", **fields.pop("policy", {})}
        env = {"PATH": os.environ["PATH"], _MARK: self.mark}
        return NewJob(command, cwd=str(self.directory), env=env, policy=policy, **fields)

    def put(self, command: str, **fields: Any) -> int:
        """Enqueue a job; return its id."""
        return self.store.add([self.job(command, **fields)])[0]

    def put_many(self, command: str, jobs: int, **fields: Any) -> list[int]:
        """Enqueue so many jobs alike; return their ids."""
        return self.store.add([self.job(command, **fields)] * jobs)

    def get(self, job_id: int) -> Job:
        """Return a job that must be there."""
        job = self.store.get(job_id)
        assert job is not None
        return job

    def processing(self, job_id: int) -> Job:
        """Return a job when the store knows that it runs."""
        eventually(lambda: self.get(job_id).state == PROCESSING)
        return self.get(job_id)

    def ended(self, job_id: int) -> Job:
        """Return a job when nothing more happens to it."""
        eventually(lambda: self.get(job_id).is_final)
        return self.get(job_id)

    def all_ended(self) -> None:
        """Wait until nothing more happens to any job."""
        waiting = tuple(state for state in STATES if state not in FINAL)
        eventually(lambda: not self.store.count(Filter(states=waiting)))

    def survivors(self) -> list[int]:
        """Return the processes of jobs that live."""
        return holders(self.mark)

    def end(self) -> None:
        """Kill every process of this test."""
        for host in self._processes:
            host.end()
        for pid in self.survivors():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        eventually(lambda: not self.survivors())
        self.store.close()
