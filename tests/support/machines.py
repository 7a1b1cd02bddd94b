"""Hosts on many machines with one PostgreSQL store: a machine is a state directory of its own."""

from __future__ import annotations

import os
import signal
import uuid
from typing import TYPE_CHECKING

from queuectl.store import open_store
from tests.support.cli import Cli
from tests.support.hosts import HURRY, HostProcess, Hosts, eventually
from tests.support.postgres import new_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from queuectl.store.base import Store
    from tests.support.postgres import Server

#: seconds of a lease in tests: renewed every 0.2 s
LEASE = 6.0


class Machine:
    """What one machine has: a state directory, which no other one sees."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url
        directory.mkdir()
        self.variables = {"QUEUECTL_STATE_DIR": str(directory / "state")}
        self.cli = Cli(directory)
        self.cli.env |= {**self.variables, "QUEUECTL_STORE": url}


class Guarded(HostProcess):
    """A host with a front above it; `pid` and what is done to it are about the host."""

    host_pid = 0

    @property
    def front(self) -> int:
        """The front's process."""
        return self.process.pid

    @property
    def pid(self) -> int:
        return self.host_pid

    def ready(self) -> Guarded:
        self.host_pid = int(self.hear("ready").split()[2])
        return self

    def kill(self) -> None:
        os.kill(self.host_pid, signal.SIGKILL)


class Machines(Hosts):
    """A store on a server, machines with hosts, and their jobs."""

    def __init__(  # not that of Hosts, whose store is a file
        self, directory: Path, server: Server, *, lease: float = LEASE
    ) -> None:
        self.directory = directory
        self.server = server
        self.schema = new_schema()
        self.url = server.url(schema=self.schema, lease=f"{lease:g}")
        self.mark = uuid.uuid4().hex
        self.store: Store = open_store(self.url)
        self._processes: list[HostProcess] = []
        self._machines: dict[str, Machine] = {}

    def machine(self, name: str) -> Machine:
        """Return a machine by its name, which is there from then on."""
        if name not in self._machines:
            self._machines[name] = Machine(self.directory / name, self.url)
        return self._machines[name]

    def on(
        self,
        machine: str,
        workers: int = 1,
        constants: Mapping[str, object] = HURRY,
        *,
        failpoint: str | None = None,
        url: str | None = None,
        wrapper: Sequence[str] = (),
    ) -> HostProcess:
        """Start a host on a machine; it may not be ready yet."""
        variables = self.machine(machine).variables
        host = HostProcess(url or self.url, workers, constants, failpoint, variables, wrapper)
        self._processes.append(host)
        return host

    def guarded_on(
        self, machine: str, workers: int = 1, constants: Mapping[str, object] = HURRY
    ) -> Guarded:
        """Start a host with a guardian on a machine; return when it is ready."""
        variables = {**self.machine(machine).variables, "QUEUECTL_TEST_GUARDED": "1"}
        host = Guarded(self.url, workers, constants, None, variables)
        self._processes.append(host)
        return host.ready()

    def alone(self, command: str) -> str:
        """Return a command that says so in the log when two of its job run at the same time."""
        lock, log = self.directory / "lock-$QUEUECTL_JOB_ID", self.directory / "overlaps"
        return (
            f"exec 9>{lock}; flock -n 9 || {{ echo $QUEUECTL_JOB_ID >>{log}; exit 9; }}; {command}"
        )

    def overlaps(self) -> list[str]:
        """Return the jobs of which two ran at the same time."""
        try:
            return (self.directory / "overlaps").read_text().split()
        except FileNotFoundError:
            return []

    def end(self) -> None:
        for host in self._processes:
            host.end()
        for pid in self.survivors():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        eventually(lambda: not self.survivors())
        self.store.close()
        self.server.drop(self.schema)
