"""Leaving: a shell with running jobs, a terminal that hangs up, hosts in the background, signals."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from tests.shell.screen import CTRL_D, ENTER, Shell
from tests.support.backend import sqlite_only
from tests.support.cli import PATIENCE, Cli
from tests.support.fifo import Gate
from tests.support.processes import gone, stat, sweep, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

QUESTION = (
    "Job 1 runs here: wait for them (w), hand over (h), stop them and hand them back (s), stay (c)?"
)
CTRL_Z = "\x1a"
#: wide enough for the question
COLUMNS = 120


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """Return queuectl on an empty store; nothing of it outlives the test."""
    yield Cli(tmp_path)
    sweep(tmp_path)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Return a place at which jobs wait for the test."""
    gate = Gate(tmp_path)
    yield gate
    gate.close()


@pytest.fixture
def shell(cli: Cli) -> Iterator[Shell]:
    """Return a shell with a worker at a terminal, on the same store."""
    with Shell(cli.directory, columns=COLUMNS) as shell:
        shell.run("worker start")
        yield shell


def host_pid(cli: Cli) -> int:
    """Return the process of the only host."""
    (host,) = cli.json("worker", "list")
    return int(host["pid"])


def states(cli: Cli) -> list[str]:
    """Return the states of all jobs, by id."""
    return [job["state"] for job in cli.json("list")]


def running_job(cli: Cli, gate: Gate) -> None:
    """Enqueue a job that stands at the gate when this returns, and one behind it."""
    cli.ok("enqueue", "--max-retries", "0", f"echo before; {gate.command}; echo after; exit 7")
    gate.arrived()
    cli.ok("enqueue", "true")


def assert_it_went_on(cli: Cli, gate: Gate, host: int) -> None:
    """The job ends as if nothing had happened; then the host ends, with the next job untouched."""
    assert states(cli) == ["processing", "pending"]
    gate.open()
    assert gone(host)
    job = cli.json("status", "1")
    (attempt,) = job["history"]
    assert (job["state"], attempt["reason"]) == ("dead", "exit 7")
    assert cli.ok("output", "1") == "before\nafter\n"
    assert states(cli) == ["dead", "pending"]
    assert cli.ok("worker", "list") == ""


# ---- the question -----------------------------------------------------------------------------


def test_wait(cli: Cli, shell: Shell, gate: Gate) -> None:
    running_job(cli, gate)
    shell.type(CTRL_D)
    shell.see(QUESTION)
    shell.type("w")
    shell.see("waiting for job 1")
    gate.open()
    assert shell.exit_status() == 0
    assert states(cli) == ["dead", "pending"]


def test_stop(cli: Cli, shell: Shell, gate: Gate) -> None:
    running_job(cli, gate)
    shell.type(CTRL_D)
    shell.see(QUESTION)
    shell.type("s")
    assert shell.exit_status() == 0
    assert states(cli) == ["pending", "pending"]
    assert cli.json("status", "1")["attempts"] == 0


def test_stay(cli: Cli, shell: Shell, gate: Gate) -> None:
    running_job(cli, gate)
    shell.type(CTRL_D)
    shell.see(QUESTION)
    shell.type("c")
    shell.see_line("queuectl>")
    shell.run("version", "queuectl")
    gate.open()
    cli.ok("wait", "2")
    assert states(cli) == ["dead", "completed"]


def test_hand_over(cli: Cli, shell: Shell, gate: Gate) -> None:
    """The shell ends at once with status 0, its process goes on alone, and the job's end arrives."""
    running_job(cli, gate)
    host = host_pid(cli)
    shell.type("exit" + ENTER)
    shell.see(QUESTION)
    shell.type("h")
    shell.see(f"handed over: process {host} finishes job 1")
    assert shell.exit_status() == 0
    assert shell.modes()[3] & termios.ECHO
    assert stat(host)[3] == host
    streams = [os.readlink(f"/proc/{host}/fd/{number}") for number in range(3)]
    assert streams[0] == "/dev/null"
    assert streams[1] == streams[2]
    assert streams[1].startswith(str(cli.directory / "state"))
    assert_it_went_on(cli, gate, host)


def test_what_was_handed_over_can_be_stopped(cli: Cli, shell: Shell, gate: Gate) -> None:
    running_job(cli, gate)
    host = host_pid(cli)
    shell.type(CTRL_D)
    shell.see(QUESTION)
    shell.type("h")
    assert shell.exit_status() == 0
    os.kill(host, signal.SIGTERM)
    os.kill(host, signal.SIGQUIT)
    assert gone(host)
    assert states(cli) == ["pending", "pending"]


# ---- a terminal that goes away ----------------------------------------------------------------


def test_a_closed_terminal(cli: Cli, shell: Shell, gate: Gate) -> None:
    running_job(cli, gate)
    host = host_pid(cli)
    shell.hang_up()
    assert shell.exit_status() == 128 + signal.SIGHUP
    assert_it_went_on(cli, gate, host)


def test_a_hang_up_told_by_everybody(cli: Cli, shell: Shell, gate: Gate) -> None:
    """The kernel, the shell above and the front may each tell of the same one."""
    running_job(cli, gate)
    host = host_pid(cli)
    for _ in range(3):
        os.killpg(shell.process.pid, signal.SIGHUP)
    assert shell.exit_status() == 128 + signal.SIGHUP
    assert_it_went_on(cli, gate, host)


def test_a_closed_terminal_while_a_command_waits(cli: Cli, shell: Shell, gate: Gate) -> None:
    running_job(cli, gate)
    host = host_pid(cli)
    shell.type("wait" + ENTER)
    shell.see("queuectl> wait")
    shell.hang_up()
    assert shell.exit_status() == 128 + signal.SIGHUP
    assert_it_went_on(cli, gate, host)


def test_a_closed_terminal_at_the_question(cli: Cli, shell: Shell, gate: Gate) -> None:
    running_job(cli, gate)
    host = host_pid(cli)
    shell.type(CTRL_D)
    shell.see(QUESTION)
    shell.hang_up()
    assert shell.exit_status() == 128 + signal.SIGHUP
    assert_it_went_on(cli, gate, host)


def test_a_closed_terminal_while_jobs_are_waited_for(cli: Cli, shell: Shell, gate: Gate) -> None:
    running_job(cli, gate)
    host = host_pid(cli)
    shell.type(CTRL_D)
    shell.see(QUESTION)
    shell.type("w")
    shell.see("waiting for job 1")
    shell.hang_up()
    assert shell.exit_status() == 128 + signal.SIGHUP
    assert_it_went_on(cli, gate, host)


def test_a_front_killed_at_the_question(cli: Cli, shell: Shell, gate: Gate) -> None:
    running_job(cli, gate)
    host = host_pid(cli)
    shell.type(CTRL_D)
    shell.see(QUESTION)
    shell.process.kill()
    wait_until(lambda: stat(host)[3] == host, "it has a session of its own")
    assert_it_went_on(cli, gate, host)


def test_a_closed_terminal_with_nothing_running(cli: Cli, shell: Shell) -> None:
    host = host_pid(cli)
    shell.hang_up()
    assert shell.exit_status() == 128 + signal.SIGHUP
    assert gone(host)
    assert cli.ok("worker", "list") == ""


# ---- job control ------------------------------------------------------------------------------


class Above:
    """A shell with job control at a terminal, in which queuectl is run."""

    def __init__(self, cli: Cli) -> None:
        self.seen = b""
        env = {**cli.env, "TERM": "dumb", "PS1": "above> ", "ENV": "/dev/null"}
        self.pid, self.terminal = pty.fork()
        if not self.pid:
            os.chdir(cli.directory)
            os.execve("/bin/sh", ["sh", "-i"], env)
        self.see("above> ")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.terminal, text.encode())

    def see(self, text: str) -> None:
        """Wait until a text appears after what has been seen before."""
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.terminal], [], [], PATIENCE)
            assert ready, f"{text!r} did not appear after {self.seen!r}"
            self.seen += os.read(self.terminal, 65536)
        self.seen = self.seen.partition(text.encode())[2]


@pytest.fixture
def above(cli: Cli) -> Iterator[Above]:
    """Return a shell with job control that runs queuectl with a worker."""
    above = Above(cli)
    above.type(f"{sys.executable} -m queuectl{ENTER}")
    above.see("queuectl> ")
    above.type(f"worker start{ENTER}")
    above.see("1 worker")
    above.see("queuectl> ")
    yield above
    os.kill(above.pid, signal.SIGKILL)
    os.waitpid(above.pid, 0)
    os.close(above.terminal)


def assert_suspended(cli: Cli, above: Above) -> None:
    """The shell above has the terminal; workers go on."""
    above.see("above> ")
    above.type(f"echo here $((1+1)){ENTER}")
    above.see("here 2")
    cli.ok("enqueue", "true")
    cli.ok("wait", "all")


def test_ctrl_z_at_the_prompt(cli: Cli, above: Above) -> None:
    above.type(CTRL_Z)
    assert_suspended(cli, above)
    above.type(f"fg{ENTER}")
    above.see("queuectl")
    above.type(f"pwd{ENTER}")
    above.see(str(cli.directory))


def test_ctrl_z_during_a_command(cli: Cli, above: Above, gate: Gate) -> None:
    for _ in range(2):
        cli.ok("enqueue", gate.command)
    gate.arrived()
    above.type(f"wait{ENTER}")
    above.see("wait")
    # what it says of the second job tells that it waits by now
    gate.open()
    above.see("job 2: pending → processing")
    above.type(CTRL_Z)
    above.see("above> ")
    gate.open()
    above.type(f"fg{ENTER}")
    above.see("completed")
    above.see("queuectl> ")


def test_ctrl_z_in_a_program(cli: Cli, above: Above, gate: Gate) -> None:
    """It stops with the front, and goes on with it."""
    (cli.directory / "program").write_text(f"{gate.saying('$$')}; echo program ends")
    above.type(f"!sh program{ENTER}")
    program = int(gate.arrived())
    above.type(CTRL_Z)
    assert_suspended(cli, above)
    assert stat(program)[0] == "T"
    gate.open()
    above.type(f"fg{ENTER}")
    above.see("program ends")
    above.see("queuectl> ")


# ---- hosts in the background ------------------------------------------------------------------


def test_a_detached_host_is_listed_and_stopped(cli: Cli) -> None:
    host = cli.json("worker", "start", "2", "--detach")
    (row,) = cli.json("worker", "list")
    assert (row["host"], row["pid"], row["workers"]) == (host["host"], host["pid"], 2)
    assert stat(host["pid"])[2:] != stat(os.getpid())[2:]
    assert os.path.exists(host["log"])
    cli.ok("enqueue", "echo done")
    cli.ok("wait", "1")
    cli.ok("worker", "stop")
    assert cli.ok("worker", "list") == ""
    assert gone(host["pid"], 0)


def test_the_reply_of_detach_says_how_to_stop_it(cli: Cli) -> None:
    reply = cli.ok("worker", "start", "--detach")
    (row,) = cli.json("worker", "list")
    assert str(row["pid"]) in reply
    command = reply.splitlines()[-1].partition("queuectl ")[2].split()
    cli.ok(*command)
    assert cli.ok("worker", "list") == ""


@sqlite_only
def test_detach_says_why_it_could_not(cli: Cli) -> None:
    assert "nowhere" in cli.refused(3, "worker", "start", "--detach", "--queue", "nowhere")
    os.makedirs(cli.directory / "state/queue.db.d", exist_ok=True)
    (cli.directory / "state/queue.db.d/hosts").write_text("in the way")
    assert "could not be started" in cli.refused(75, "worker", "start", "--detach")


def test_a_detached_host_leaves_when_nothing_is_left(cli: Cli) -> None:
    cli.ok("enqueue", "true")
    host = cli.json("worker", "start", "--detach", "--until-empty")
    assert gone(host["pid"])
    assert states(cli) == ["completed"]


def test_detach_from_a_shell_that_then_ends(cli: Cli, shell: Shell) -> None:
    shell.run("worker stop")
    shell.run("worker start 3 --detach", "stop it: queuectl worker stop --host")
    shell.type("exit" + ENTER)
    assert shell.exit_status() == 0
    (row,) = cli.json("worker", "list")
    assert row["workers"] == 3


def test_stop_waits_for_what_runs(cli: Cli, gate: Gate) -> None:
    host = cli.json("worker", "start", "--detach")["pid"]
    running_job(cli, gate)
    stopping = cli.start("worker", "stop")
    assert stopping.stdout is not None
    assert "when job 1 has ended" in stopping.stdout.readline()
    assert stopping.poll() is None
    gate.open()
    assert ending(stopping) == 0
    assert gone(host, 0)
    assert states(cli) == ["dead", "pending"]


def test_stop_now_hands_back(cli: Cli, gate: Gate) -> None:
    cli.ok("worker", "start", "--detach")
    running_job(cli, gate)
    cli.ok("worker", "stop", "--now")
    assert states(cli) == ["pending", "pending"]
    assert cli.json("status", "1")["attempts"] == 0


def test_stop_some_workers(cli: Cli) -> None:
    cli.ok("worker", "start", "3", "--detach")
    cli.ok("worker", "stop", "2")
    (row,) = cli.json("worker", "list")
    assert row["workers"] == 1


def test_stop_asks_which(cli: Cli) -> None:
    hosts = [cli.json("worker", "start", "--detach") for _ in range(2)]
    assert "--host all" in cli.refused(2, "worker", "stop")
    cli.ok("worker", "stop", "--host", hosts[0]["host"][:8])
    assert [row["host"] for row in cli.json("worker", "list")] == [hosts[1]["host"]]
    cli.ok("worker", "stop", "--host", "all")
    assert cli.ok("worker", "list") == ""


# ---- signals to workers on the command line ---------------------------------------------------


def ending(process: subprocess.Popen[str]) -> int:
    """Wait for its end; return its exit status."""
    with process:
        process.communicate(timeout=PATIENCE)
    return process.returncode


def drains(cli: Cli) -> bool:
    """Whether the only host takes nothing new."""
    return bool(cli.json("worker", "list")[0]["workers"] == 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_drains(cli: Cli, gate: Gate, number: int) -> None:
    workers = cli.start("worker", "start")
    running_job(cli, gate)
    workers.send_signal(number)
    wait_until(lambda: drains(cli), "it drains")
    if number == signal.SIGHUP:
        workers.send_signal(number)
    gate.open()
    assert ending(workers) == 0
    assert states(cli) == ["dead", "pending"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_hands_back(cli: Cli, gate: Gate, number: int) -> None:
    workers = cli.start("worker", "start")
    running_job(cli, gate)
    workers.send_signal(number)
    wait_until(lambda: drains(cli), "it drains")
    workers.send_signal(number)
    ending(workers)
    assert states(cli) == ["pending", "pending"]
    assert cli.json("status", "1")["attempts"] == 0


def test_sigquit_hands_back_at_once(cli: Cli, gate: Gate) -> None:
    workers = cli.start("worker", "start")
    running_job(cli, gate)
    workers.send_signal(signal.SIGQUIT)
    ending(workers)
    assert states(cli) == ["pending", "pending"]


def test_a_drain_hands_unstarted_claims_back_at_once(cli: Cli, gate: Gate) -> None:
    """What was claimed ahead of a pace of fast jobs is another host's to run."""
    workers = cli.start("worker", "start")
    cli.ok("enqueue", "-", stdin="true\n" * 300)
    running_job(cli, gate)
    cli.ok("enqueue", "-", stdin="true\n" * 100)
    workers.send_signal(signal.SIGTERM)
    wait_until(lambda: drains(cli), "it drains")
    cli.ok("worker", "start", "--detach")
    cli.ok("wait", "303-402")
    gate.open()
    assert ending(workers) == 0
