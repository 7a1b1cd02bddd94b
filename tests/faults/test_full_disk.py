"""No space left while jobs end: outcomes are kept, trouble is shown, and work goes on afterwards."""

from __future__ import annotations

import os
import resource
import subprocess
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pytest

from queuectl.job import COMPLETED
from queuectl.paths import host_path, hosts_directory
from tests.support.hosts import SELFISH, Hosts, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queuectl.store.sqlite.engine import SqliteStore
    from tests.support.fifo import Gate


pytestmark = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="limits another process, as only Linux can"
)


class Disk(ABC):
    """A place for a store that can be filled up."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @abstractmethod
    def fill(self, pid: int, size: int) -> None:
        """Leave a process no space: not for a file larger than `size` that was smaller."""

    @abstractmethod
    def free(self, pid: int) -> None:
        """Give the space back."""

    def close(self) -> None:  # noqa: B027 - most leave nothing
        """Leave nothing of it."""


class SmallDisk(Disk):
    """A file system of its own."""

    @classmethod
    def mounted(cls, directory: Path) -> SmallDisk | None:
        """Mount one, None where that is not allowed."""
        command = ["mount", "-t", "tmpfs", "-o", "size=4m", "small", str(directory)]
        try:
            done = subprocess.run(command, check=False, capture_output=True)
        except OSError:
            return None
        return cls(directory) if done.returncode == 0 else None

    def fill(self, pid: int, size: int) -> None:  # noqa: ARG002
        with open(self.directory / "filler", "wb", buffering=0) as filler:
            for portion in (65536, 4096, 1):
                try:
                    while filler.write(bytes(portion)) == portion:
                        pass
                except OSError:
                    continue

    def free(self, pid: int) -> None:  # noqa: ARG002
        os.unlink(self.directory / "filler")

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.directory)], check=True)


class Quota(Disk):
    """As if there were no space: the host may not let any file grow. For everybody's machine."""

    def fill(self, pid: int, size: int) -> None:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    def free(self, pid: int) -> None:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.fixture(params=["small disk", "quota"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Both kinds; where nothing may be mounted the second one twice."""
    directory = tmp_path / "disk"
    directory.mkdir()
    disk: Disk = Quota(directory)
    if request.param == "small disk":
        disk = SmallDisk.mounted(directory) or disk
    yield disk
    disk.close()


@pytest.fixture
def hosts_there(disk: Disk) -> Iterator[Hosts]:
    hosts = Hosts(disk.directory)
    yield hosts
    hosts.end()


def shrink_wal(hosts: Hosts) -> None:
    """Make the write-ahead log empty: what is written next needs space."""
    store: SqliteStore = hosts.store  # type: ignore[assignment]
    eventually(lambda: store.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)


def test_work_goes_on_when_there_is_space_again(hosts_there: Hosts, gate: Gate, disk: Disk) -> None:
    hosts = hosts_there
    # what it writes is kept in the store, so that settling needs space
    words = "head -c 60000 /dev/zero"
    ids = [hosts.put(f"{gate.command}; {words}") for _ in range(4)]
    host = hosts.start(2, SELFISH)
    host_id = host.hear("ready").split()[1]
    for job_id in ids[:2]:
        gate.arrived()
        hosts.processing(job_id)
    shrink_wal(hosts)
    host_file = host_path(hosts_directory(hosts.store.local_directory), host_id)
    disk.fill(host.pid, os.path.getsize(host_file))
    gate.open(2)
    eventually(lambda: host.ask("trouble", "trouble") != "trouble None")
    eventually(lambda: host.ask("waiting", "waiting").split()[2] != "0")
    assert hosts.store.counts()[COMPLETED] == 0
    disk.free(host.pid)
    for _ in range(2):
        gate.arrived()
        gate.open()
    hosts.all_ended()
    jobs = [hosts.get(job_id) for job_id in ids]
    assert {(job.state, job.attempts, job.deliveries) for job in jobs} == {(COMPLETED, 1, 1)}
    for job_id in ids:
        output = hosts.store.output(job_id, 1)
        assert output is not None
        assert (output.stdout_bytes, output.complete) == (60000, True)
    eventually(lambda: host.ask("trouble", "trouble") == "trouble None")
    assert host.ask("errors", "errors") == "errors"
