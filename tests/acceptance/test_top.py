"""`top` at a terminal, on the command line and in the shell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

from tests.shell.screen import ENTER, Shell

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Cli


@pytest.mark.parametrize("leave", ["q", "\x03"])
def test_it_is_drawn_anew_until_somebody_leaves(cli: Cli, leave: str) -> None:
    """What another process does is seen without a key; the terminal is as it was."""
    cli.ok("enqueue", "true")
    child = pexpect.spawn(
        sys.executable, ["-m", "queuectl", "top"], env={**cli.env, "TERM": "xterm"}, cwd=str(cli.directory), dimensions=(24, 100),
        encoding="utf-8", timeout=30,
    )  # fmt: skip
    child.expect_exact("1 pending")
    child.expect_exact("q leaves")
    cli.ok("enqueue", "true")
    child.expect_exact("2 pending")
    child.expect_exact("q leaves")
    child.send(leave)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_without_a_terminal_it_is_the_status(cli: Cli) -> None:
    """Once."""
    cli.ok("enqueue", "true")
    assert cli.ok("top") == cli.ok("status")
    assert cli.json("top")["counts"]["pending"] == 1


def test_in_the_shell_the_prompt_comes_back(tmp_path: Path) -> None:
    """With what is typed going to it."""
    with Shell(tmp_path) as shell:
        shell.type(f"enqueue true{ENTER}")
        shell.see("job 1")
        shell.type(f"top{ENTER}")
        shell.see("q leaves")
        shell.type("q")
        shell.see("queuectl> ")
        shell.type(f"version{ENTER}")
        shell.see("queuectl 0")
