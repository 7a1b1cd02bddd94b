"""A host whose cable is cut: its jobs end before others run them, and it comes back when it heals."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from queuectl.host.hostfile import pid_namespace
from queuectl.job import COMPLETED
from tests.support.hosts import eventually
from tests.support.machines import LEASE, Machines
from tests.support.postgres import Server
from tests.support.processes import gone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fifo import Gate
    from tests.support.hosts import HostProcess

pytestmark = pytest.mark.skipif(not pid_namespace(), reason="needs /proc")


def ip(*words: str) -> None:
    """Have the kernel's network changed. Raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Cable:
    """A network namespace for a host, and the cable that joins it to this one."""

    def __init__(self) -> None:
        number = secrets.randbelow(250) + 2
        self.name = f"queuectl{number}"
        self.address = f"10.213.{number}.1"
        self._end = f"qctl{number}"
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self._end, "type", "veth", "peer", "name", "far", "netns", self.name)
            ip("addr", "add", f"{self.address}/24", "dev", self._end)
            ip("link", "set", self._end, "up")
            ip("-n", self.name, "addr", "add", f"10.213.{number}.2/24", "dev", "far")
            ip("-n", self.name, "link", "set", "far", "up")
        except subprocess.CalledProcessError:
            self.remove()
            raise

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What runs a command at the far end."""
        return "ip", "netns", "exec", self.name

    def cut(self) -> None:
        ip("link", "set", self._end, "down")

    def heal(self) -> None:
        ip("link", "set", self._end, "up")

    def remove(self) -> None:
        ip("netns", "delete", self.name)


@pytest.fixture
def cable() -> Iterator[Cable]:
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and ip(8)")
    try:
        cable = Cable()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace here: {error.stderr.decode().strip()}")
    yield cable
    cable.remove()


@pytest.fixture
def machines(tmp_path: Path, cable: Cable, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """Machines with a store whose server listens at the cable too."""
    monkeypatch.setenv("QUEUECTL_STATE_DIR", str(tmp_path / "here"))
    own = Server({"listen_addresses": cable.address})
    with (own.data / "pg_hba.conf").open("a") as file:
        file.write("host all all 10.213.0.0/16 trust\n")
    own.execute("SELECT pg_reload_conf()")
    machines = Machines(tmp_path, own)
    yield machines
    cable.heal()
    machines.end()
    own.close()


def far_host(machines: Machines, cable: Cable) -> HostProcess:
    """Start a host behind the cable, which reaches the server through it."""
    url = machines.url.replace("@/", f"@{cable.address}:5432/")
    url = url.replace("host=", "application_name=", 1)
    return machines.on("far", url=url, wrapper=cable.wrapper)


def test_a_host_whose_cable_is_cut_ends_its_jobs_before_others_run_them(
    machines: Machines, cable: Cable, gate: Gate
) -> None:
    job_id = machines.put(machines.alone(f"trap '' TERM; {gate.saying('$$')}"))
    far = far_host(machines, cable).ready()
    child = int(gate.arrived())
    machines.processing(job_id)
    machines.on("near").ready()
    began = time.monotonic()
    cable.cut()
    assert gone(child, LEASE)
    assert time.monotonic() - began < LEASE
    again = int(gate.arrived())
    assert again != child
    assert time.monotonic() - began < LEASE + 5
    cable.heal()
    # it finds out that it was recovered, registers anew, and has a worker again
    eventually(lambda: len(machines.store.hosts()) == 2)
    far_job = machines.put(gate.saying("far"))
    assert gate.arrived() == "far"
    gate.open(2)
    far.hear(f"settled {far_job} completed")
    assert machines.ended(job_id).state == COMPLETED
    reasons = [attempt.reason for attempt in machines.store.attempts(job_id)]
    assert reasons == ["worker lost", "exit 0"]
    assert machines.overlaps() == []


def test_a_cable_that_is_cut_for_less_than_the_lease_costs_nothing(
    machines: Machines, cable: Cable, gate: Gate
) -> None:
    job_id = machines.put(gate.command)
    far = far_host(machines, cable).ready()
    gate.arrived()
    machines.processing(job_id)
    machines.on("near").ready()
    cable.cut()
    gate.open()
    time.sleep(LEASE / 3)
    cable.heal()
    far.hear(f"settled {job_id} completed")
    assert [attempt.reason for attempt in machines.store.attempts(job_id)] == ["exit 0"]
