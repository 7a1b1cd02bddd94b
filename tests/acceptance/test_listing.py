"""`list` and `status` at a real terminal: arrays on few lines, hosts where there are several."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

from tests.shell.screen import Shell
from tests.support.backend import POSTGRES, SQLITE
from tests.support.cli import Cli

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.worker import Workers


def at_terminal(cli: Cli, *words: str) -> list[list[str]]:
    """Return the words of each line that a command shows on a terminal."""
    child = pexpect.spawn(
        sys.executable, ["-m", "queuectl", *words], env={**cli.env, "TERM": "dumb"}, cwd=str(cli.directory),
        dimensions=(40, 120), encoding="utf-8", timeout=30,
    )  # fmt: skip
    child.expect(pexpect.EOF)
    assert isinstance(child.before, str)
    child.close()
    assert child.exitstatus == 0, child.before
    return [line.split() for line in child.before.splitlines()]


@pytest.mark.parametrize("kind", [SQLITE, POSTGRES])
def test_an_array_on_a_line(tmp_path: Path, kind: str) -> None:
    """Its range is what `cancel` takes; a pipe and --each have every job."""
    cli = Cli(tmp_path, kind)
    cli.ok("enqueue", "--array", "0-59%10", "./sim $QUEUECTL_INDEX")
    waits = ["1-60", "pending", "1[0-59%10]", "no", "workers", "./sim", "$QUEUECTL_INDEX"]
    assert at_terminal(cli, "list")[1:] == [waits]
    assert waits in at_terminal(cli, "status")
    cli.ok("cancel", "--yes", "21-60")
    lines = at_terminal(cli, "ps")
    assert [line[:3] for line in lines[1:]] == [
        ["1-20", "pending", "1[0-19%10]"], ["21-60", "cancelled", "1[20-59]"],
    ]  # fmt: skip
    assert len(at_terminal(cli, "list", "--each")) == 52
    assert len(cli.ok("list").splitlines()) == 61
    assert len(cli.json("list")) == 60


def test_each_host_has_its_name(cli: Cli, workers: Workers) -> None:
    """While there is more than one."""
    for _ in range(2):
        cli.ok("enqueue", "sleep", "600")
        workers.start("1")
    cli.ok("wait", "1", "2", "--for", "processing")
    told = [job["host"] for job in cli.json("list")]
    assert set(told) == {host["host"] for host in cli.json("worker", "list")}
    for words in ("list", "status"):
        lines = at_terminal(cli, words)
        assert [line[-3] for line in lines if "sleep" in line] == [host[:8] for host in told]


def test_in_the_shell(tmp_path: Path) -> None:
    """As on the command line."""
    with Shell(tmp_path) as shell:
        shell.run("enqueue --array 1-9%2 sleep 600", "array 1: jobs 1-9")
        shell.run("list", "1-9  pending  1[1-9%2]")
        shell.run("worker start 2", "2 workers")
        shell.run("wait 1-2 --for processing")
        shell.run("list", "3-9  pending     1[3-9%2]", "array 1 is full (2/2)")
        shell.run("status --each", " 9  pending")
        shell.run("cancel all --now --yes", "cancelled")


def test_jobs_are_found_by_how_they_ended(cli: Cli, workers: Workers) -> None:
    """By code, signal and word, and selected so for other verbs; programs need not parse the reason."""
    for command in ("exit 4", "kill -9 $$", "exit 137", "true"):
        cli.ok("enqueue", "--max-retries", "0", "--", "sh", "-c", command)
    cli.ok("enqueue", "--max-retries", "0", "--timeout", "100ms", "sleep 9")
    workers.start("2")
    cli.run("wait")

    def found(endings: str) -> list[int]:
        return [job["id"] for job in cli.json("list", "--exit", endings)]

    assert found("KILL") == found("SIGKILL") == found("signals") == [2]
    assert (found("137,4"), found("0"), found("1-255")) == ([1, 3], [4], [1, 3])
    assert found("timeout,kill") == [2, 5]
    for nothing in ("nonsense", "", " ", ","):
        assert cli.run("list", "--exit", nothing).returncode == 2
        # least of all does an empty variable select everything
        assert cli.run("remove", "all", "--exit", nothing, "--yes").returncode == 2
    assert "--exit KILL" in cli.run("list", "--exit", "9").stderr
    told = {job["id"]: (job["ending"], job["signal"]) for job in cli.json("list")}
    assert told == {
        1: ("exit", None), 2: ("signal", 9), 3: ("exit", None), 4: ("exit", None), 5: ("timeout", None),
    }  # fmt: skip
    whole = cli.json("status", "2")
    assert (whole["ending"], whole["signal"]) == ("signal", 9)
    assert [one["id"] for one in cli.json("retry", "--exit", "signals")["changed"]] == [2]
