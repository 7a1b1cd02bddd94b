"""One queue on many machines, as people use it: the command line with a postgresql:// URL."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from queuectl.host.hostfile import pid_namespace
from tests.support.fifo import Gate
from tests.support.machines import Machines
from tests.support.postgres import Server
from tests.support.processes import gone, living_in, stat, sweep, wait_until
from tests.support.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Cli

pytestmark = pytest.mark.skipif(not pid_namespace(), reason="needs /proc")

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "use-postgres.md"
SECRET = "s3cr3t-w0rd"
#: seconds until what a job on another machine writes is here
SOON = 5.0


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """Return a server that tests make roles on."""
    own = Server()
    yield own
    own.close()


@pytest.fixture
def machines(
    tmp_path: Path, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machines]:
    monkeypatch.setenv("QUEUECTL_STATE_DIR", str(tmp_path / "here"))
    machines = Machines(tmp_path, own_server, lease=20)
    yield machines
    sweep(tmp_path)
    machines.end()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.close()


@pytest.fixture
def here(machines: Machines) -> Cli:
    """Return the command line of a machine without workers."""
    return machines.machine("here").cli


@pytest.fixture
def worker(machines: Machines) -> Cli:
    """Return the command line of a machine on which two workers run in the background."""
    cli = machines.machine("there").cli
    cli.ok("worker", "start", "2", "--detach")
    return cli


# ---- output from anywhere -----------------------------------------------------------------------


def test_small_output_is_read_from_anywhere(here: Cli, worker: Cli) -> None:
    here.ok("enqueue", "echo out; echo err >&2; sleep 0.3; echo more")
    here.ok("wait", "1")
    for cli in (here, worker):
        done = cli.run("output", "1")
        assert (done.stdout, done.stderr) == ("out\nmore\n", "err\n")
    # what is in the store needs no file
    assert [name for name in _output_files(worker) if "1" in name] == []


def _output_files(cli: Cli) -> list[str]:
    found = (cli.directory / "state").glob("postgresql-*/output/*/*")
    return [path.name for path in found]


def test_a_job_on_another_machine_is_followed_while_it_writes(
    here: Cli, worker: Cli, gate: Gate
) -> None:
    command = f"echo first; echo amiss >&2; {gate.command}; echo second; {gate.command}; exit 3"
    here.ok("enqueue", "--max-retries", "0", command)
    gate.arrived()
    follower = here.start("output", "1", "-f")
    assert follower.stdout is not None
    assert follower.stderr is not None
    began = time.monotonic()
    assert follower.stdout.readline() == "first\n"
    assert time.monotonic() - began < SOON
    assert follower.stderr.readline() == "amiss\n"
    gate.open()
    gate.arrived()
    began = time.monotonic()
    assert follower.stdout.readline() == "second\n"
    assert time.monotonic() - began < SOON
    gate.open()
    assert follower.wait(20) == 4
    assert follower.stdout.read() == ""
    follower.communicate()


def test_what_a_running_job_has_written_is_shown_without_following(
    here: Cli, worker: Cli, gate: Gate
) -> None:
    here.ok("enqueue", f"echo so far; {gate.command}")
    gate.arrived()
    assert here.ok("output", "1") == "so far\n"
    assert worker.ok("output", "1") == "so far\n"
    gate.open()
    here.ok("wait", "1")


def test_many_jobs_are_followed_from_elsewhere(here: Cli, worker: Cli, gate: Gate) -> None:
    for _ in range(2):
        here.ok("enqueue", f"echo begun; {gate.command}; echo done")
    gate.arrived()
    gate.arrived()
    follower = here.start("follow", "1-2")
    assert follower.stdout is not None
    begun = sorted(follower.stdout.readline() for _ in range(2))
    assert begun == ["1 | begun\n", "2 | begun\n"]
    gate.open(2)
    out, _ = follower.communicate(timeout=20)
    assert sorted(out.splitlines()) == ["1 | done", "2 | done"]
    assert follower.returncode == 0


def test_large_output_outlives_its_machine_up_to_a_limit(here: Cli, worker: Cli) -> None:
    here.ok("enqueue", "seq 100000")
    here.ok("set", "ship-limit", "100k")
    here.ok("enqueue", "seq 100000")
    here.ok("wait", "all")
    whole = "".join(f"{n}\n" for n in range(1, 100001))
    assert here.ok("output", "1") == whole
    assert worker.ok("output", "2") == whole
    cut = here.run("output", "2")
    assert cut.stdout == whole[: 100 * 1024]
    assert "cut here" in cut.stderr
    tail = here.ok("output", "1", "--tail", "2")
    assert tail == "99999\n100000\n"


# ---- hosts --------------------------------------------------------------------------------------


def test_hosts_are_seen_from_everywhere_and_stopped(here: Cli, worker: Cli) -> None:
    (row,) = here.json("worker", "list")
    assert (row["workers"], row["machine"]) == (2, os.uname().nodename)
    assert row["seen_ms_ago"] < 5000
    here.ok("worker", "stop", "--host", row["host"][:8])
    assert gone(row["pid"])
    wait_until(lambda: here.json("worker", "list") == [], "it is off the list")


def test_a_host_that_drains_can_be_told_to_end_now(here: Cli, worker: Cli, gate: Gate) -> None:
    """Its workers are leaving already; what they run is handed back."""
    here.ok("enqueue", gate.command)
    gate.arrived()
    (row,) = here.json("worker", "list")
    draining = here.start("worker", "stop", "--host", row["host"][:8])
    wait_until(lambda: here.json("worker", "list")[0]["workers"] == 0, "it drains")
    here.ok("worker", "stop", "--host", row["host"][:8], "--now")
    assert gone(row["pid"])
    draining.communicate(timeout=20)
    job = here.json("status", "1")
    assert (job["state"], job["attempts"]) == ("pending", 0)


@pytest.mark.parametrize("detached", [True, False])
def test_a_host_has_a_guardian(machines: Machines, here: Cli, gate: Gate, detached: bool) -> None:
    there = machines.machine("there").cli
    if detached:
        there.ok("worker", "start", "--detach")
    else:
        process = there.start("worker", "start")
    wait_until(lambda: here.json("worker", "list") != [], "it is there")
    (row,) = here.json("worker", "list")
    here.ok("enqueue", gate.saying("$$"))
    child = int(gate.arrived())
    wait_until(lambda: here.json("status", "1")["state"] == "processing", "it runs")
    os.kill(row["pid"], signal.SIGKILL)
    wait_until(lambda: here.json("worker", "list") == [], "it is recovered", 5)
    assert gone(child, 1)
    assert here.json("status", "1")["state"] == "failed"
    if not detached:
        assert process.wait(10) == 128 + signal.SIGKILL
        process.communicate()


def test_a_signal_to_workers_in_the_foreground_drains_them(
    machines: Machines, here: Cli, gate: Gate
) -> None:
    there = machines.machine("there").cli
    process = there.start("worker", "start")
    here.ok("enqueue", gate.command)
    gate.arrived()
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: here.json("worker", "list")[0]["workers"] == 0, "it drains")
    gate.open()
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert here.json("status", "1")["state"] == "completed"


def test_a_service_has_a_guardian(machines: Machines, here: Cli, gate: Gate) -> None:
    with Service(machines.machine("there").cli) as service:
        here.ok("enqueue", gate.saying("$$"))
        child = int(gate.arrived())
        wait_until(lambda: here.json("status", "1")["state"] == "processing", "it runs")
        assert service.pid != service.process.pid
        os.kill(service.pid, signal.SIGKILL)
        assert service.process.wait(10) == 128 + signal.SIGKILL
        assert gone(child, 1)
    # the front says what its host cannot any more
    assert "recovered 1 job of host" in service.log
    assert "job 1 failed (worker lost)" in service.log
    assert here.json("worker", "list") == []
    assert here.json("status", "1")["state"] == "failed"


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGKILL])
@pytest.mark.parametrize("words", [("worker", "start"), ("serve",)])
def test_what_is_done_to_the_process_that_was_started_is_done_to_the_host(
    machines: Machines, here: Cli, gate: Gate, words: tuple[str, ...], number: signal.Signals
) -> None:
    """Who ends it knows nothing of the process below it: jobs are handed back at once."""
    process = machines.machine("there").cli.start(*words)
    here.ok("enqueue", gate.command)
    gate.arrived()
    wait_until(lambda: here.json("status", "1")["state"] == "processing", "it runs")
    process.send_signal(number)
    process.communicate(timeout=20)
    wait_until(lambda: here.json("worker", "list") == [], "its host is gone")
    assert here.json("status", "1")["state"] == "pending"


def test_a_signal_to_the_group_counts_once(machines: Machines, here: Cli, gate: Gate) -> None:
    """As `kill %1` sends it: to the host and to the front, which hands it on."""
    there = machines.machine("there").cli
    process = subprocess.Popen(
        there.command("worker", "start"), env=there.env, cwd=there.directory,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    here.ok("enqueue", gate.command)
    gate.arrived()
    os.killpg(process.pid, signal.SIGTERM)
    wait_until(lambda: here.json("worker", "list")[0]["workers"] == 0, "it drains")
    gate.open()
    assert process.wait(20) == 0
    assert here.json("status", "1")["state"] == "completed"


# ---- secrets and roles --------------------------------------------------------------------------


@pytest.fixture
def with_password(machines: Machines, own_server: Server) -> Iterator[str]:
    """Return the URL of the store with a password in it."""
    own_server.execute(f"CREATE ROLE keeper LOGIN SUPERUSER PASSWORD '{SECRET}'")
    yield machines.url.replace("postgresql://postgres@", f"postgresql://keeper:{SECRET}@")
    own_server.execute("DROP OWNED BY keeper CASCADE")
    own_server.execute("DROP ROLE keeper")


def test_a_password_is_shown_nowhere(
    machines: Machines, here: Cli, with_password: str, gate: Gate
) -> None:
    here.env["QUEUECTL_STORE"] = with_password
    shown = []
    shown.append(here.ok("worker", "start", "--detach"))
    here.ok("enqueue", gate.command)
    gate.arrived()
    for words in (("set",), ("worker", "list", "--json"), ("status",), ("status", "1"),
                  ("output", "1"), ("queue", "list")):  # fmt: skip
        done = here.run(*words)
        shown += [done.stdout, done.stderr]
    for pid in living_in(here.directory):
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            shown.append(file.read())
    for path in (here.directory / "state").rglob("*"):
        if path.is_file():
            shown.append(path.read_bytes().decode(errors="replace"))
    job = int(here.json("worker", "list")[0]["pid"])
    shown.append(Path(f"/proc/{job}/comm").read_text())
    for url in (with_password.replace("/postgres?", "/nothing?"),
                with_password.replace("port=5432", "port=1"),
                with_password.replace("lease=20", "leese=20"),
                with_password.replace("lease=20", "lease=soon"),
                with_password.replace("postgresql:", "postgrezql:")):  # fmt: skip
        here.env["QUEUECTL_STORE"] = url
        done = here.run("status")
        assert done.returncode != 0, url
        assert "Traceback" not in done.stderr
        shown += [done.stdout, done.stderr]
    gate.open()
    for text in shown:
        assert SECRET not in text


def test_a_job_does_not_see_the_password(here: Cli, worker: Cli, with_password: str) -> None:
    here.env |= {"QUEUECTL_STORE": with_password, "PGPASSWORD": SECRET}
    here.ok("enqueue", "env")
    here.ok("wait", "1")
    assert SECRET not in here.ok("output", "1")


def test_the_grants_of_the_manual_are_enough(
    machines: Machines, own_server: Server, here: Cli
) -> None:
    """As written there: one role works, the other enqueues and reads, and neither may more."""
    (block,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    sql = block.replace("SCHEMA queuectl", f"SCHEMA {machines.schema}")
    sql = re.sub(r"\bqueuectl\.", f"{machines.schema}.", sql)
    own_server.execute(sql)
    try:
        _use_as_two_roles(machines, here)
    finally:
        for role in ("queue_worker", "queue_user"):
            own_server.execute(f"DROP OWNED BY {role} CASCADE")
            own_server.execute(f"DROP ROLE {role}")


def _use_as_two_roles(machines: Machines, user: Cli) -> None:
    worker = machines.machine("there").cli
    user.env["QUEUECTL_STORE"] = machines.url.replace("postgres@", "queue_user@")
    worker.env["QUEUECTL_STORE"] = machines.url.replace("postgres@", "queue_worker@")
    user.ok("enqueue", "echo hello")
    user.ok("enqueue", "-", stdin="true\necho {}\n")
    assert len(user.json("list")) == 3
    worker.ok("worker", "start", "--detach")
    user.ok("wait", "all")
    assert user.ok("output", "1") == "hello\n"
    user.ok("status")
    user.ok("enqueue", "--after", "1", "sleep 1000")
    for words in (("cancel", "4"), ("remove", "1"), ("set", "timeout", "5"),
                  ("queue", "pause", "default")):  # fmt: skip
        done = user.run(*words)
        assert done.returncode == 1, (words, done.stdout, done.stderr)
        assert "does not allow that to this role" in done.stderr
    worker.ok("cancel", "4")
    worker.ok("queue", "create", "other", "--limit", "2")
    worker.ok("set", "timeout", "1h")
    worker.ok("remove", "1")
    worker.ok("worker", "stop", "--host", "all")


def test_the_systemd_unit_of_the_manual_is_one(tmp_path: Path) -> None:
    (unit,) = re.findall(r"```ini\n(.*?)```", PAGE.read_text(), re.DOTALL)
    words = dict(line.partition("=")[::2] for line in unit.splitlines() if "=" in line)
    assert "queuectl worker start" in words["ExecStart"]
    assert words["KillMode"] == "mixed"


def test_sqlite_does_not_import_psycopg(tmp_path: Path) -> None:
    code = "import sys; from queuectl.store import open_store; open_store('memory:'); print('psycopg' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": os.getcwd(), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == "False\n"


def test_the_front_of_a_host_has_none_of_what_it_works_with(machines: Machines, here: Cli) -> None:
    pid = here.json("worker", "start", "--detach")["pid"]
    with open(f"/proc/{stat(pid)[1]}/maps", encoding="utf-8") as file:
        assert "libpq" not in file.read()
