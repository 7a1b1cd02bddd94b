"""The commands of QueueCTL-Python's README, typed as they stand there: in a script and at the prompt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Cli

#: its "Usage" and "Examples", in order; sleep is there with the seconds it has
COMMANDS = (
    'enqueue {"command": "echo Hello World", "args": []}',
    """enqueue {"command": "python3", "args": ["-c", "print('Hello from Python')"]}""",
    "status",
    "list --state pending",
    "list --state processing",
    "list --state completed",
    "list --state failed",
    "list --state dead",
    "worker start 3",
    "worker stop",
    "set max-retries 5",
    "dlq list",
)
BASIC = (
    'enqueue {"command": "echo", "args": ["Task 1"]}',
    'enqueue {"command": "echo", "args": ["Task 2"]}',
    'enqueue {"command": "sleep", "args": ["2"]}',
    "worker start 2",
    "status",
    "list --state pending",
    "wait",
    "worker stop",
)
FAILURES = (
    "set backoff-base 0",
    "set max-retries 3",
    'enqueue {"command": "false", "args": []}',
    "worker start 1",
    "wait 6 --for dead",
    "list --state failed",
    "dlq list",
    "dlq retry 6",
    "wait 6 --for dead",
)
STATES = ["completed"] * 5 + ["dead"]


def check(cli: Cli) -> None:
    """Assert what all of it leads to."""
    jobs = cli.json("list")
    assert [job["state"] for job in jobs] == STATES
    assert cli.ok("output", "1") == "Hello World\n"
    assert cli.ok("output", "2") == "Hello from Python\n"
    assert cli.ok("output", "4") == "Task 2\n"
    assert (jobs[5]["attempts"], jobs[5]["runs"]) == (4, 8)
    assert "5" in cli.ok("set", "max-retries") or "3" in cli.ok("set", "max-retries")


def test_as_a_script(cli: Cli) -> None:
    """Every line works, in order."""
    done = cli.script(*COMMANDS, *BASIC, *FAILURES, "exit")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    check(cli)


@pytest.fixture
def shell(cli: Cli) -> Iterator[pexpect.spawn[str]]:
    """Open the shell in a terminal that does not tell where its cursor is."""
    child = pexpect.spawn(
        sys.executable, ["-m", "queuectl"], env={**cli.env, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}, cwd=str(cli.directory),
        dimensions=(40, 120), encoding="utf-8", timeout=30,
    )  # fmt: skip
    child.expect("queuectl> ")
    yield child
    child.close(force=True)


def test_at_the_prompt(cli: Cli, shell: pexpect.spawn[str]) -> None:
    """Every line works, each answered before the next is typed."""
    for number, line in enumerate((*COMMANDS, *BASIC, *FAILURES)):
        shell.send(line)
        shell.send("\r")
        # the prompt comes back in front of a mark that only an executed line prints
        shell.send(f"!echo mark-$(({number}+1000))\r")
        shell.expect(f"mark-{number + 1000}\r\n", timeout=30)
    shell.send("exit\r")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0
    check(cli)
