"""How a hint says to start this program, and what a terminal is told whose shell was killed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from queuectl.shell.lastwords import Terminal
from queuectl.shell.started import program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def executable(path: Path) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_program_is_named_as_it_can_be_started(tmp_path: Path) -> None:
    module, path = "/x/queuectl/__main__.py", str(tmp_path / "bin")
    python = executable(tmp_path / "a venv" / "python3")
    assert program(module, python, path) == f"'{python}' -m queuectl"
    assert program(module, python, os.path.dirname(python)) == "python3 -m queuectl"
    assert program("/opt/q/queuectl", python, path) == "/opt/q/queuectl"
    executable(tmp_path / "bin" / "queuectl")
    assert program(module, python, path) == "queuectl"
    assert program("/opt/q/queuectl", python, path) == "queuectl"


def fates(states: Sequence[str], ran: Sequence[int]) -> str:
    return Terminal(lambda _: list(states), {})._fates(ran)


def test_the_jobs_of_a_killed_shell_are_told_by_their_state() -> None:
    assert fates([], []) == ""
    assert fates(["dead"], [7]) == "; its job 7: dead"
    assert fates(["failed", "dead", "failed"], [1, 2, 3]) == (
        "; its 3 jobs: 2 failed and will be retried, 1 dead"
    )
    assert fates([], [7]) == "; its job 7: removed"


def test_a_store_that_cannot_be_read_keeps_no_line_back() -> None:
    def broken(_: Sequence[int]) -> list[str]:
        raise OSError

    told = Terminal(broken, {})._fates([1, 2])
    assert told == "; what becomes of its 2 jobs is not known: the store cannot be read"
