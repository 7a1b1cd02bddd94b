"""`wait` for few and for many, on a pipe and on a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pexpect

if TYPE_CHECKING:
    from tests.support.cli import Cli


def test_each_change_is_told(cli: Cli) -> None:
    """A retry is narrated, and status 4 says that it did not complete."""
    cli.ok("enqueue", "--max-retries", "1", "--backoff-base", "1.5", "false")
    host = cli.start("worker", "start", "1")
    done = cli.run("wait", "1")
    assert done.returncode == 4
    assert "→ dead (exit 1" in done.stdout.splitlines()[-1]
    host.terminate()
    host.communicate(timeout=60)


def test_many_are_waited_for_by_numbers(cli: Cli) -> None:
    """Above what can be told one by one the selection and the status still hold."""
    cli.ok("enqueue", "--no-shell", "--quiet", "-", stdin="true\n" * 800)
    cli.ok("enqueue", "--delay", "1d", "true")
    host = cli.start("worker", "start", "2")
    assert cli.run("wait", "1-800").returncode == 0
    assert {job["state"] for job in cli.json("list", "1-800")} == {"completed"}
    assert cli.run("wait", "1-801", "--timeout", "0.1").returncode == 4
    host.terminate()
    host.communicate(timeout=60)


def test_a_terminal_shows_how_far_it_has_come(cli: Cli) -> None:
    """A bar stands below the changes and goes at the end."""
    gate = cli.directory / "gate"
    os.mkfifo(gate)
    cli.ok("enqueue", f"cat {gate}")
    cli.ok("enqueue", "true")
    host = cli.start("worker", "start", "2")
    child = pexpect.spawn(
        sys.executable, ["-m", "queuectl", "wait"], env={**cli.env, "TERM": "xterm"}, cwd=str(cli.directory),
        dimensions=(24, 100), encoding="utf-8", timeout=30,
    )  # fmt: skip
    child.expect_exact(" of ")
    gate.write_text("go")
    child.expect("job 1: [a-z]+ → completed")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    host.terminate()
    host.communicate(timeout=60)
