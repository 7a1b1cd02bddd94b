"""The front above a host: what it does when the host dies, and what the host does without it."""

from __future__ import annotations

import os
import signal
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from queuectl.host.hostfile import pid_namespace
from tests.shell.screen import Shell
from tests.support.cli import PATIENCE, Cli
from tests.support.processes import gone, stat, sweep, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fifo import Gate

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not pid_namespace(), reason="needs /proc"
)

#: seconds within which a dead host's claims are back although there is no other host
BACK_WITHIN = 5.0
#: a child in the job's group, one in a session of its own that ignores SIGTERM, and one in a session
#: of its own without the job's environment; each writes its number once it is what it is to be
KINDS = """\
sh -c 'echo $$ > {0}; exec sleep 1000' &
setsid sh -c 'trap "" TERM; echo $$ > {1}; while :; do sleep 1000; done' &
setsid env -i /bin/sh -c 'echo $$ > {2}; exec sleep 1000' &
wait
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """Return queuectl on an empty store; nothing of it outlives the test."""
    yield Cli(tmp_path)
    sweep(tmp_path)


@pytest.fixture
def shell(cli: Cli) -> Iterator[Shell]:
    """Return a shell at a terminal, on the same store."""
    with Shell(cli.directory) as shell:
        yield shell


def host_pid(cli: Cli) -> int:
    """Return the process of the only host."""
    (host,) = cli.json("worker", "list")
    return int(host["pid"])


def detach(cli: Cli, *words: str) -> tuple[int, int]:
    """Start a detached host; return its front's process and its own."""
    host = cli.json("worker", "start", "--detach", *words)
    return stat(host["pid"])[1], host["pid"]


def three_kinds(cli: Cli) -> list[int]:
    """Enqueue a job with three kinds of children; return their numbers, and its own, once they run."""
    pipes = [cli.directory / f"child{kind}" for kind in range(3)]
    for pipe in pipes:
        os.mkfifo(pipe)
    cli.ok("enqueue", "--quiet", "--max-retries", "2", KINDS.format(*pipes))
    children = [int(pipe.read_text()) for pipe in pipes]
    return [*children, stat(children[0])[1]]


def assert_job_is_back(cli: Cli) -> None:
    """Within the time promised job 1 is no host's any more, with a lost worker in its history."""

    def is_back() -> bool:
        return bool(cli.json("status", "1")["state"] == "failed")

    wait_until(is_back, "the claim is back", BACK_WITHIN)
    (attempt,) = cli.json("status", "1")["history"]
    assert attempt["reason"] == "worker lost"
    assert cli.ok("worker", "list") == ""


def test_when_a_shell_is_killed_its_jobs_are_too_and_come_back(cli: Cli, shell: Shell) -> None:
    shell.run("worker start")
    processes = three_kinds(cli)
    os.kill(host_pid(cli), signal.SIGKILL)
    assert [gone(pid, BACK_WITHIN) for pid in processes] == [True] * 4
    assert_job_is_back(cli)
    assert shell.exit_status() == 128 + signal.SIGKILL


def test_when_a_detached_host_is_killed_its_jobs_are_too_and_come_back(cli: Cli) -> None:
    front, host = detach(cli)
    processes = three_kinds(cli)
    os.kill(host, signal.SIGKILL)
    assert [gone(pid, BACK_WITHIN) for pid in [*processes, front]] == [True] * 5
    assert_job_is_back(cli)


def test_a_daemon_that_an_ended_job_left_outlives_the_host(cli: Cli, gate: Gate) -> None:
    front, host = detach(cli)
    (cli.directory / "daemon").write_text(gate.saying("$$"))
    ends = cli.directory / "ends"
    os.mkfifo(ends)
    cli.ok("enqueue", f"setsid sh daemon & read _ < {ends}")
    daemon = int(gate.arrived())
    ends.write_text("it runs\n")
    cli.ok("wait", "1")
    os.kill(host, signal.SIGKILL)
    assert gone(front)
    assert stat(daemon)[0] != "Z"
    gate.open()
    assert gone(daemon)


def test_a_program_of_the_shells_own_outlives_the_host(cli: Cli, shell: Shell, gate: Gate) -> None:
    """What was started with `!` is no job."""
    shell.run("worker start")
    # at this terminal the front is the session's first process: its end hangs up
    (cli.directory / "program").write_text(f"trap '' HUP; {gate.saying('$$')}")
    shell.run("!sh program &")
    program = int(gate.arrived())
    os.kill(host_pid(cli), signal.SIGKILL)
    # not `exit_status`, which reads to the end: the program has the terminal open
    assert shell.process.wait(PATIENCE) == 128 + signal.SIGKILL
    assert stat(program)[0] != "Z"
    gate.open()
    assert gone(program)


def test_a_shell_whose_front_is_killed_goes_on_headless_and_drains(
    cli: Cli, shell: Shell, gate: Gate
) -> None:
    shell.run("worker start")
    cli.ok("enqueue", f"{gate.command}; echo passed")
    cli.ok("enqueue", "true")
    gate.arrived()
    host = host_pid(cli)
    shell.process.kill()
    wait_until(lambda: stat(host)[3] == host, "it has a session of its own")
    gate.open()
    assert gone(host)
    assert cli.ok("output", "1") == "passed\n"
    assert [job["state"] for job in cli.json("list")] == ["completed", "pending"]


def test_an_idle_shell_whose_front_is_killed_ends(cli: Cli, shell: Shell) -> None:
    shell.run("worker start")
    host = host_pid(cli)
    shell.process.kill()
    assert gone(host)
    assert cli.ok("worker", "list") == ""


def test_a_detached_host_whose_front_is_killed_goes_on(cli: Cli) -> None:
    front, host = detach(cli)
    os.kill(front, signal.SIGKILL)
    assert gone(front)
    cli.ok("enqueue", "true")
    cli.ok("wait", "1")
    cli.ok("worker", "stop")
    assert gone(host)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_front_hands_signals_on(cli: Cli, gate: Gate, number: int) -> None:
    front, host = detach(cli)
    cli.ok("enqueue", gate.command)
    gate.arrived()
    os.kill(front, number)
    # draining: it takes nothing new
    wait_until(lambda: cli.json("worker", "list")[0]["workers"] == 0, "it drains")
    cli.ok("enqueue", "true")
    gate.open()
    assert gone(front)
    assert gone(host)
    assert [job["state"] for job in cli.json("list")] == ["completed", "pending"]


def test_a_stopped_host_does_not_stop_its_front(cli: Cli) -> None:
    """Else nobody would be there to clear up when it is killed as stalled."""
    front, host = detach(cli)
    os.kill(host, signal.SIGSTOP)
    wait_until(lambda: stat(host)[0] == "T", "the host stands still")
    assert stat(front)[0] != "T"
    os.kill(host, signal.SIGKILL)
    assert gone(front)
    assert cli.ok("worker", "list") == ""


def test_the_front_stays_small(cli: Cli) -> None:
    """It has none of what a host works with."""
    front, host = detach(cli)
    with open(f"/proc/{host}/maps", encoding="utf-8") as file:
        assert "sqlite3" in file.read()
    with open(f"/proc/{front}/maps", encoding="utf-8") as file:
        assert "sqlite3" not in file.read()


def test_the_front_holds_nothing_of_the_terminal(cli: Cli, shell: Shell) -> None:
    shell.run("worker start")
    front = stat(host_pid(cli))[1]
    assert {os.readlink(f"/proc/{front}/fd/{number}") for number in range(3)} == {"/dev/null"}


def test_a_shell_that_cannot_start_says_why_through_its_front(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with Shell(tmp_path, first="") as shell:
        shell.see("queuectl: ")
        assert shell.exit_status() == 75


def kill_below_a_shell(shell: Shell, host: int) -> None:
    """Kill the host of a shell whose terminal is open elsewhere too, as it is to a login shell."""
    shell.keep_open(os.readlink(f"/proc/{host}/fd/0"))
    os.kill(host, signal.SIGKILL)


def test_when_a_shell_is_killed_the_terminal_is_in_order_and_says_so(
    cli: Cli, shell: Shell
) -> None:
    """The modes are those of before, the prompt's toolbar has gone, and the jobs' fates are told."""
    shell.run("worker start 3")
    shell.run("enqueue --max-retries 3 sleep 1000", "job 1 enqueued")
    shell.run("enqueue --max-retries 0 sleep 1000", "job 2 enqueued")
    shell.wait_for(lambda: shell.toolbar.startswith("2 processing"), "two running jobs")
    shell.type("half a line")
    shell.see_line("queuectl> half a line")
    before = shell.modes()[3]
    kill_below_a_shell(shell, host_pid(cli))
    told = "queuectl: the shell's process was killed (signal 9); its 2 jobs: "
    said = f"{told}1 failed and will be retried, 1 dead"
    shell.wait_for(lambda: said in shell.text.replace("\n", ""), "what became of the jobs")
    assert shell.process.wait(PATIENCE) == 128 + signal.SIGKILL
    assert not before & (termios.ECHO | termios.ICANON)
    asked = termios.ECHO | termios.ICANON | termios.ISIG
    assert shell.modes()[3] & asked == asked
    assert shell.written.rindex(b"\x1b[?2004l") > shell.written.rindex(b"\x1b[?2004h")
    shown = [row for row in shell.rows if row]
    assert shown[-3].endswith("half a line")
    assert "".join(shown[-2:]) == said


def test_a_killed_shell_without_jobs_says_that_alone(shell: Shell) -> None:
    shell.run("version")
    children = f"/proc/{shell.process.pid}/task/{shell.process.pid}/children"
    with open(children, encoding="ascii") as file:
        (host,) = file.read().split()
    kill_below_a_shell(shell, int(host))
    shell.see("queuectl: the shell's process was killed (signal 9)")
    assert shell.process.wait(PATIENCE) == 128 + signal.SIGKILL
    assert "signal 9);" not in shell.text
