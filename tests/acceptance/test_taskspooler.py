"""taskspooler's README from top to bottom, in our commands and as its own client speaks."""

from __future__ import annotations

import json
import os
import socket
import stat
from typing import TYPE_CHECKING

from tests.support.backend import sqlite_only
from tests.support.hosts import eventually
from tests.support.service import Service

if TYPE_CHECKING:
    from typing import Any

    from tests.support.cli import Cli


def statuses(service: Service) -> list[str]:
    """Return the states of all jobs as a client sees them."""
    return [job["status"] for job in service.legacy("status: all")["jobs"]]


def all_ended(service: Service) -> None:
    eventually(lambda: not {"pending", "processing"}.intersection(statuses(service)))


@sqlite_only
def test_the_readme_from_top_to_bottom(cli: Cli) -> None:
    """Paths by environment, the three `queue:` requests, both kinds of `status:`."""
    del cli.env["QUEUECTL_STATE_DIR"]
    cli.env["TASKSPOOL_SOCKET"] = str(cli.directory / "mysock.sock")
    cli.env["TASKSPOOL_LOG_DIR"] = str(cli.directory / "log")
    cli.env["TASKSPOOL_TEMP_DIR"] = str(cli.directory / "temp")
    (cli.directory / "var").mkdir()
    (cli.directory / "var" / "here").touch()
    var = cli.directory / "var"
    with Service(cli, "--workers", "3") as service:
        assert service.facts["socket"] == cli.env["TASKSPOOL_SOCKET"]
        reply = json.loads(cli.ok("ctl", f"queue: ls -lh {var}"))
        assert reply == {"message": f"Job started: ls -lh {var}"}
        cli.ok("ctl", f"queue: cd {var} && ls -ltr")
        cli.ok("ctl", f"queue: cd {var} ; ls -ltr")
        all_ended(service)
        status = json.loads(cli.ok("ctl", "status: all"))
        assert list(status) == [
            "queue_length", "active_workers", "max_concurrent_jobs", "load_avg", "last_job_id", "jobs",
        ]  # fmt: skip
        assert (status["queue_length"], status["active_workers"]) == (0, 0)
        assert status["max_concurrent_jobs"] == 3
        assert len(status["load_avg"]) == 3
        assert status["last_job_id"] == 3
        assert status["jobs"][0] == {
            "job_id": 1, "status": "completed", "exit_code": 0, "command": f"ls -lh {var}",
        }  # fmt: skip
        one = json.loads(cli.ok("ctl", "status: 3"))
        assert list(one) == ["job_id", "status", "exit_code", "command", "stdout", "stderr"]
        assert "here" in one["stdout"]
        assert one["stderr"] == ""
    # what jobs write is below the directory that was named
    assert (cli.directory / "temp" / "queue.db").exists()


def test_its_own_client_is_understood(cli: Cli) -> None:
    """Byte for byte: no newline, nothing shut down, one receive; and it is answered soon."""
    with Service(cli, "--workers", "1") as service:
        with service.connect() as sock:
            sock.sendall(b"queue: echo 'Hello World'")
            assert json.loads(sock.recv(65536)) == {"message": "Job started: echo 'Hello World'"}
            # and goodbye, as its server said it
            assert sock.recv(65536) == b""
        service.legacy("queue: uname -a")
        all_ended(service)
        assert service.legacy("status: 1")["stdout"] == "Hello World\n"
        assert service.legacy("status:1")["exit_code"] == 0
        assert "error" in service.legacy("status: 77")
        assert "error" in service.legacy("status: x")
        assert "error" in service.legacy("queue:")


def test_a_command_of_several_lines(cli: Cli) -> None:
    """Its server took all that came as one command; so does this one."""
    with Service(cli) as service:
        service.legacy("queue: for i in 1 2\ndo echo line $i\ndone")
        cli.ok("ctl", "queue: echo a\necho b")
        all_ended(service)
        assert service.legacy("status: 1")["stdout"] == "line 1\nline 2\n"
        assert service.legacy("status: 2")["stdout"] == "a\nb\n"


def test_framed_requests_on_one_connection(cli: Cli) -> None:
    """With newlines there may be many, and lines of the grammar between them."""
    with Service(cli) as service:
        answers = service.ask("queue: exit 3", "set max-retries 0", "status: 1", "queue: true")
        assert answers[0]["message"].endswith("exit 3")
        assert answers[2]["job_id"] == 1
        assert answers[3]["message"].endswith("true")


def test_what_the_original_does_wrong(cli: Cli) -> None:
    """The queue drains, nothing is cut at 64 KiB, the last id is the last, exit codes are kept."""
    cli.ok("set", "max-retries", "0")
    with Service(cli, "--workers", "3") as service:
        for number in range(12):
            service.legacy(f"queue: sleep 0.05; echo {number}")
        service.legacy("queue: head -c 200000 /dev/zero | tr '\\0' x; exit 3")
        all_ended(service)
        status: Any = service.ask("status: all")[0]
        assert status["last_job_id"] == 13
        assert [job["job_id"] for job in status["jobs"]] == list(range(1, 14))
        (one,) = service.ask("status: 13")
        assert (one["status"], one["exit_code"], len(one["stdout"])) == ("failed", 3, 200_000)
        assert json.loads(cli.ok("ctl", "status: 13"))["stdout"] == "x" * 200_000


def test_a_stalled_client_holds_up_nobody(cli: Cli) -> None:
    """One that says nothing, one that says half a word, one that does not read its answer."""
    with Service(cli) as service:
        silent, half, deaf = service.connect(), service.connect(), service.connect()
        half.sendall(b"enqueue ech")
        service.legacy("queue: head -c 3000000 /dev/zero | tr '\\0' x")
        all_ended(service)
        deaf.sendall(b"status: 1\n" * 20)
        assert service.legacy("status: all")["last_job_id"] == 1
        half.sendall(b"o done\n")
        assert json.loads(half.recv(65536))["id"] == 2
        for sock in (silent, half, deaf):
            sock.close()


def test_its_future_improvements_are_there(cli: Cli) -> None:
    """Jobs that persist, retries and timeouts, cancellation, priorities."""
    with Service(cli, "--workers", "1") as service:
        service.ask("queue pause default")
        service.ask(
            "enqueue --priority 1 --name low echo low", "enqueue --priority 9 --name high echo high",
            "enqueue --name never sleep 100", "enqueue --max-retries 0 --timeout 100ms --name slow sleep 50",
            "enqueue --max-retries 1 --backoff-base 0 --name twice 'test $QUEUECTL_ATTEMPT = 2'",
            "cancel never",
        )  # fmt: skip
        # persistent: another service goes on with them
        service.stop()
    with Service(cli, "--workers", "1") as service:
        service.ask("queue resume default")
        all_ended(service)
        jobs = {job["name"]: job for job in cli.json("list")}
        states = {name: job["state"] for name, job in jobs.items()}
        assert states == {
            "low": "completed", "high": "completed", "never": "cancelled", "slow": "dead",
            "twice": "completed",
        }  # fmt: skip
        assert jobs["slow"]["reason"].startswith("timeout")
        assert jobs["twice"]["attempts"] == 2
        assert jobs["high"]["started_at"] <= jobs["low"]["started_at"]


def test_the_socket_is_its_owners(cli: Cli) -> None:
    """Mode 0600, from its first moment on."""
    with Service(cli) as service:
        mode = os.stat(service.facts["socket"]).st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600


def test_another_user_is_refused(cli: Cli) -> None:
    """Whatever the permissions are: the kernel says who it is."""
    if os.geteuid() != 0:
        return
    with Service(cli) as service:
        path = service.facts["socket"]
        os.chmod(path, 0o666)
        directory = os.open(os.path.dirname(path), os.O_PATH)
        child = os.fork()
        if not child:
            os.setuid(12345)
            try:
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
                    answer = sock.recv(4096)
                os._exit(0 if b"another user" in answer else 1)
            except PermissionError:
                os._exit(0)
            except BaseException:  # noqa: BLE001 (a child leaves no other way)
                os._exit(2)
        os.close(directory)
        # root's service refuses other users
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert service.legacy("status: all")["last_job_id"] == 0
