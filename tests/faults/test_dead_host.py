"""A host that died together with the process in front of it: who looks says so, who acts takes back.

As after an OOM kill of the whole group or a reboot: no other host is there, so nobody has recovered it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from queuectl.host.hostfile import pid_namespace
from tests.shell.screen import Shell
from tests.support.cli import Cli
from tests.support.processes import gone, stat, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not pid_namespace(), reason="needs /proc"
)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """Return queuectl on an empty store; nothing of it outlives the test."""
    yield Cli(tmp_path)
    sweep(tmp_path)


@pytest.fixture
def job(cli: Cli) -> int:
    """Kill a host that runs job 1; return the job's process, which lives."""
    return left_by_a_dead_host(cli)


def left_by_a_dead_host(cli: Cli) -> int:
    """Kill a host that runs job 1, and its front, both at once; return the job's process."""
    host = cli.json("worker", "start", "2", "--detach")["pid"]
    pipe = cli.directory / "started"
    os.mkfifo(pipe)
    cli.ok("enqueue", "--name", "v", f"echo $$ > {pipe}; exec sleep 1000")
    process = int(pipe.read_text())
    cli.ok("wait", "1", "--for", "processing")
    front = stat(host)[1]
    # neither may see the other go
    os.kill(front, signal.SIGSTOP)
    os.kill(host, signal.SIGKILL)
    os.kill(front, signal.SIGKILL)
    assert gone(host)
    assert gone(front)
    assert not gone(process, 0)
    return process


def test_nobody_who_looks_says_that_its_jobs_run(cli: Cli, job: int) -> None:
    """They say what would take them back, and change nothing."""
    said = cli.ok("why", "v")
    assert said == "job 1 is lost: its host is dead; `worker start` takes it back\n"
    assert cli.json("why", "v")["reasons"] == ["lost"]
    status = cli.ok("status")
    assert status.splitlines()[0] == "1 processing; 0 workers"
    assert "is dead: `worker start` takes back what it had" in status.splitlines()[1]
    assert "its host is dead" in cli.ok("list")
    assert "it is lost: its host is dead" in cli.ok("status", "1")
    (host,) = cli.json("worker", "list")
    assert host["dead"]
    assert "dead" in cli.ok("worker", "list")
    assert cli.json("status")["workers"] == 0
    assert "job 1 is lost, as its host is dead" in cli.run("wait", "1", "--timeout", "10ms").stderr
    assert not gone(job, 0)
    assert cli.json("status", "1")["state"] == "processing"


def test_its_workers_are_counted_on_by_nobody(cli: Cli, job: int) -> None:
    """Also those that are only claimed to be there."""
    assert job
    assert "no workers anywhere" in cli.run("enqueue", "true").stderr
    assert "waits for a worker, and there are none anywhere" in cli.ok("why", "2")
    assert "no workers anywhere" in cli.run("wait", "2", "--timeout", "10ms").stderr


def test_a_cancelled_job_of_it_ends_and_the_others_come_back(cli: Cli, job: int) -> None:
    """With all of its processes, and at once: there is nobody else who would do it."""
    assert cli.ok("cancel", "v") == "job 1 cancelled\n"
    assert gone(job, 0)
    assert cli.ok("worker", "list") == ""
    assert cli.json("status", "1")["history"][0]["reason"] == "worker lost"


def test_a_signal_for_a_job_of_it_is_refused(cli: Cli, job: int) -> None:
    """It does not run any more, and that is what is said."""
    assert "job 1 is not running" in cli.refused(1, "signal", "USR1", "1")
    assert gone(job, 0)


def test_a_shell_that_opens_takes_back_what_it_had(cli: Cli, job: int) -> None:
    """And says so once; after that nothing is lost."""
    with Shell(cli.directory) as shell:
        shell.see("had died: job 1 taken back")
        assert gone(job, 0)
        shell.wait_for(lambda: "1 failed" in shell.toolbar, "it waits for its retry")
        assert "no workers" in shell.toolbar
        assert "dead" not in shell.toolbar


def test_an_open_shell_tells_of_it_and_its_cancel_acts(cli: Cli) -> None:
    """By itself it recovers nothing then: somebody may be about to start workers."""
    with Shell(cli.directory) as shell:
        job = left_by_a_dead_host(cli)
        shell.wait_for(lambda: "1 host dead" in shell.toolbar, "the toolbar says so")
        assert "elsewhere" not in shell.toolbar
        assert not gone(job, 0)
        shell.run("cancel 1", "job 1 cancelled")
        assert gone(job, 0)
        shell.wait_for(lambda: "dead" not in shell.toolbar, "there is none any more")
