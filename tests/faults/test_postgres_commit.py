"""kill -9 right before and right after a COMMIT of a PostgreSQL store."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from queuectl.host.hostfile import pid_namespace
from queuectl.job import COMPLETED, EXIT
from queuectl.store.base import Filter
from tests.support.machines import Machines
from tests.support.postgres import server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not pid_namespace(), reason="needs /proc")


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    monkeypatch.setenv("QUEUECTL_STATE_DIR", str(tmp_path / "here"))
    machines = Machines(tmp_path, server())
    yield machines
    machines.end()


@pytest.mark.parametrize(("point", "jobs"), [("before-commit", 0), ("after-commit", 1)])
def test_a_client_is_killed(machines: Machines, point: str, jobs: int) -> None:
    cli = machines.machine("a").cli
    cli.env["QUEUECTL_FAILPOINT"] = f"{point}:kill"
    assert cli.run("enqueue", "true").returncode == -signal.SIGKILL
    assert machines.store.count(Filter()) == jobs


@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
def test_hosts_are_killed_at_one_commit_after_the_other(machines: Machines, point: str) -> None:
    """At its first, its second and so on; the next host of the machine takes over."""
    command = machines.alone(f"echo $QUEUECTL_JOB_ID >>{machines.directory}/ran")
    ids = machines.put_many(command, 30)
    for turn in range(1, 8):
        host = machines.on("a", 2, failpoint=f"{point}:kill:{turn}")
        assert host.died() == -signal.SIGKILL
    machines.on("a", 2)
    machines.all_ended()
    assert machines.overlaps() == []
    assert {job.state for job in machines.store.jobs(Filter())} == {COMPLETED}
    ran = {int(line) for line in (machines.directory / "ran").read_text().split()}
    assert sorted(ran) == ids
    for job_id in ids:
        endings = [attempt.kind for attempt in machines.store.attempts(job_id)]
        assert (endings.count(EXIT), endings[-1]) == (1, EXIT)
