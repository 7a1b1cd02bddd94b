"""Completion of command lines in other shells: the answers, and a bash that asks for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

from queuectl.shell.completion import SCRIPTS, answers
from queuectl.store.postgres.connect import connect
from queuectl.store.postgres.url import parse
from tests.support.backend import POSTGRES
from tests.support.cli import Cli

if TYPE_CHECKING:
    from pathlib import Path


def words(line: str) -> list[str]:
    """Return what is offered at the end of a line where there is no store."""
    found = [answer.partition("\t")[0] for answer in answers(f"queuectl {line}", lambda _: None)]
    return [word for word in found if not word.startswith(":from")]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Return queuectl, and put a program of that name on its path."""
    made = Cli(tmp_path)
    program = tmp_path / "bin" / "queuectl"
    program.parent.mkdir()
    # what is completed is shown, not run
    program.write_text(
        f'#!/bin/sh\n[ "$1" = completion ] && exec {sys.executable} -m queuectl "$@"\n'
        "printf '<%s>' \"$@\"; echo\n"
    )
    program.chmod(0o755)
    made.env["PATH"] = f"{program.parent}:{made.env['PATH']}"
    return made


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("enq", ["enqueue"]), ("worker st", ["start", "stop"]), ("list --state fa", ["failed"]),
        ("list --state=failed,de", ["--state=failed,dead"]), ("enqueue --output-full ", ["drop", "fail"]),
        ("set max-re", ["max-retries"]), ("completion f", ["fish"]), ("--sto", ["--store"]),
        ("list --sch", ["--schema"]), ("--json --store /x enq", ["enqueue"]), ("--store ", [":files"]),
        ("--store /x", [":files"]), ("enqueue mak", [":programs"]), ("enqueue ./mak", [":files"]),
        ("enqueue make -", [":files"]), ("import ", [":files"]), ("list 'fa", ["'failed"]),
        ("edit ", ["last"]), ("nonsense ", []), ("# x", []), ("enqueue --unique a", ["auto"]),
    ],
)  # fmt: skip
def test_what_the_grammar_expects_is_offered(line: str, offered: list[str]) -> None:
    """Without a store, too."""
    assert words(line) == offered


def test_the_store_of_the_line_is_asked_and_none_is_made(cli: Cli) -> None:
    """Jobs, names and queues; of one that is not there nothing."""
    ask = ("completion", "--at")
    assert "last" in cli.ok(*ask, "queuectl cancel ")
    assert not (cli.directory / "state").exists()
    cli.ok("enqueue", "--name", "na;me", "true")
    cli.ok("queue", "create", "gpu")
    assert "1\tpending  true\n" in cli.ok(*ask, "queuectl cancel ")
    assert "na\\;me\tpending  true\n" in cli.ok(*ask, "queuectl cancel na")
    assert cli.ok(*ask, "queuectl enqueue -q g").splitlines() == [":fromg", "gpu"]
    for line in ("queuectl --store {} cancel 1", "queuectl cancel --store={} 1"):
        other = cli.directory / "other.db"
        assert cli.ok(*ask, line.format(other)).splitlines() == [":from1"]
        assert not other.exists()


def test_a_schema_is_asked_and_none_is_made(tmp_path: Path) -> None:
    """The same with a server."""
    cli = Cli(tmp_path, POSTGRES)
    ask = ("completion", "--at", "queuectl cancel p")
    assert "pgjob" not in cli.ok(*ask)
    target = parse(cli.url, {})
    with connect(target) as connection:
        row = connection.execute("SELECT to_regnamespace(%s) IS NULL", (target.schema,)).fetchone()
    assert row == (True,)
    cli.ok("enqueue", "--name", "pgjob", "true")
    assert "pgjob\tpending  true\n" in cli.ok(*ask)


def test_it_imports_nothing_that_the_prompt_needs(cli: Cli) -> None:
    """A Tab is not to be waited for."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "queuectl", "completion", "--at", "queuectl edit "],
        env=cli.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "prompt_toolkit" not in done.stderr
    assert "asyncio" not in done.stderr


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_is_one_its_shell_reads(cli: Cli, shell: str) -> None:
    """As far as that shell is here."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    script = cli.ok("completion", shell)
    subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_a_real_bash_completes(cli: Cli) -> None:
    """Commands, flags, values behind = and commas and in quotes, jobs, files and programs."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    cli.ok("enqueue", "--name", "nightly", "true")
    (cli.directory / "jobs of mine.jsonl").touch()
    env = {**os.environ, **cli.env, "PS1": "$ ", "TERM": "dumb", "INPUTRC": "/dev/null"}
    child = pexpect.spawn(
        bash, ["--norc", "--noprofile"], env=env, cwd=str(cli.directory), encoding="utf-8",
        timeout=20, dimensions=(24, 300),
    )  # fmt: skip
    child.sendline('eval "$(queuectl completion bash)"')
    typed = {
        "queuectl sched\tad\t": "<schedule><add>",
        "queuectl list --stat\tfai\t": "<list><--state><failed>",
        "queuectl list --state=failed,de\t": "<list><--state=failed,dead>",
        "queuectl list 'comp\t": "<list><completed>",
        "queuectl cancel nigh\t": "<cancel><nightly>",
        "queuectl --js\tvers\t": "<--json><version>",
        "true; queuectl import jobs\t": "<import><jobs of mine.jsonl>",
        "queuectl enqueue queuec\t": "<enqueue><queuectl>",
        "queuectl enqueue cat ./jobs\t": "<enqueue><cat><./jobs of mine.jsonl>",
    }
    for line, meant in typed.items():
        child.sendline(line)
        child.expect_exact(meant)
    child.close(force=True)


def test_a_real_zsh_completes(cli: Cli) -> None:
    """Commands, flags, values, jobs, files and programs."""
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("no zsh")
    cli.ok("enqueue", "--name", "nightly", "true")
    (cli.directory / "jobs of mine.jsonl").touch()
    env = {**os.environ, **cli.env, "PS1": "$ ", "TERM": "dumb", "HOME": str(cli.directory)}
    child = pexpect.spawn(
        zsh, ["-f"], env=env, cwd=str(cli.directory), encoding="utf-8", timeout=20,
        dimensions=(24, 300),
    )  # fmt: skip
    child.sendline("autoload -Uz compinit && compinit -u -D; unsetopt zle_bracketed_paste")
    child.sendline('eval "$(queuectl completion zsh)"; zstyle ":completion:*" menu no; print read')
    child.expect("\r\nread\r")
    typed = {
        "queuectl sched\tad\t": "<schedule><add>",
        "queuectl list --stat\tfai\t": "<list><--state><failed>",
        "queuectl cancel nigh\t": "<cancel><nightly>",
        "queuectl import jobs\t": "<import><jobs of mine.jsonl>",
        "queuectl enqueue queuec\t": "<enqueue><queuectl>",
    }
    for line, meant in typed.items():
        child.sendline(line)
        child.expect_exact(meant)
    child.close(force=True)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("sched", "schedule"), ("list --stat", "--state"), ("list --state fai", "failed"),
        ("cancel nigh", "nightly"), ("import jobs", "jobs of mine.jsonl"), ("enqueue queuec", "queuectl"),
    ],
)  # fmt: skip
def test_a_real_fish_completes(cli: Cli, line: str, found: str) -> None:
    """As its own `complete -C` says."""
    if shutil.which("fish") is None:
        pytest.skip("no fish")
    cli.ok("enqueue", "--name", "nightly", "true")
    (cli.directory / "jobs of mine.jsonl").touch()
    asked = f"queuectl completion fish | source; complete -C 'queuectl {line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", asked], env={**os.environ, **cli.env, "HOME": str(cli.directory)},
        cwd=cli.directory, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found in [offer.partition("\t")[0] for offer in done.stdout.splitlines()], done.stderr
