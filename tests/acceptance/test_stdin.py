"""What a job gets on standard input: kept in the store, or read from its file when it runs."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.backend import sqlite_only
from tests.support.cli import PATIENCE, Cli

DRAIN = ("worker", "start", "1", "--until-empty")
MIB = 1024 * 1024


def counted(cli: Cli, job: int) -> str:
    """Run what waits; return how a job that counts its input ended."""
    cli.ok(*DRAIN)
    status = cli.json("status", str(job))
    assert status["state"] == "completed", status["reason"]
    return cli.ok("output", str(job)).strip()


def test_a_small_file_is_kept(cli: Cli) -> None:
    """Changed or deleted afterwards, the job gets what was in it; each attempt anew."""
    file = cli.directory / "small"
    file.write_bytes(b"\0\xffbinary\n" * 100)
    assert "900 bytes on standard input" in cli.ok(
        "enqueue", "--backoff-base", "0", "--stdin", "small", "wc -c; test $QUEUECTL_ATTEMPT = 2"
    )
    file.unlink()
    assert counted(cli, 1) == "900"


def test_standard_input_is_kept(cli: Cli) -> None:
    """With `--stdin -`."""
    cli.ok("enqueue", "--stdin", "-", "--", "sort", stdin="b\na\n")
    assert counted(cli, 1) == "a\nb"


def test_a_pipe_is_read_at_once(cli: Cli) -> None:
    """As a shell's process substitution gives one."""
    line = subprocess.list2cmdline(cli.command("enqueue", "--stdin"))
    done = subprocess.run(
        ["bash", "-c", f"{line} <(printf 12345) -- wc -c"],
        env=cli.env, cwd=cli.directory, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert counted(cli, 1) == "5"


@sqlite_only
def test_a_large_file_is_read_where_it_is(cli: Cli) -> None:
    """By every attempt from its beginning; the store stays small."""
    size = 5 * MIB
    (cli.directory / "large").write_bytes(b"x" * size)
    reply = cli.ok(
        "enqueue", "--backoff-base", "0", "--stdin", "large", "wc -c; test $QUEUECTL_ATTEMPT = 2"
    )
    assert f"standard input from {cli.directory / 'large'}" in reply
    assert (cli.directory / "state" / "queue.db").stat().st_size < MIB
    assert counted(cli, 1) == str(size)


def test_exactly_the_limit_is_kept(cli: Cli) -> None:
    """One byte more is not."""
    (cli.directory / "file").write_bytes(b"x" * MIB)
    assert f"{MIB} bytes" in cli.ok("enqueue", "--stdin", "file", "wc -c")
    (cli.directory / "file").write_bytes(b"x" * (MIB + 1))
    assert "standard input from" in cli.ok("enqueue", "--stdin", "file", "wc -c")
    cli.ok("set", "stdin-limit", "2MiB")
    assert f"{MIB + 1} bytes" in cli.ok("enqueue", "--stdin", "file", "wc -c")


def test_a_large_file_that_is_gone_fails_the_attempt(cli: Cli) -> None:
    """It cannot be started, and says which file is missing."""
    file = cli.directory / "large"
    file.write_bytes(b"x" * (MIB + 1))
    cli.ok("enqueue", "--max-retries", "0", "--stdin", "large", "wc -c")
    file.unlink()
    cli.ok(*DRAIN)
    reason = cli.json("status", "1")["reason"]
    assert reason == f"cannot start: No such file or directory: '{file}'"


def test_a_directory_in_its_place_does_too(cli: Cli) -> None:
    """And is not taken for an empty input."""
    file = cli.directory / "large"
    file.write_bytes(b"x" * (MIB + 1))
    cli.ok("enqueue", "--max-retries", "0", "--stdin", "large", "wc -c")
    file.unlink()
    file.mkdir()
    cli.ok(*DRAIN)
    assert cli.json("status", "1")["reason"].startswith("cannot start: Is a directory")


def test_json_has_the_text_or_the_file(cli: Cli) -> None:
    """`stdin` and `stdin_file`; a flag fills what both leave open."""
    (cli.directory / "small").write_text("from the file")
    (cli.directory / "large").write_bytes(b"x" * (MIB + 1))
    cli.ok("enqueue", json.dumps({"command": "cat", "stdin": "as text"}))
    cli.ok("enqueue", json.dumps({"command": "cat", "stdin_file": "small"}))
    cli.ok("enqueue", "--stdin", "large", json.dumps({"command": "cat", "stdin": "its own"}))
    cli.ok("enqueue", "--stdin", "small", json.dumps({"command": "cat"}))
    cli.ok(*DRAIN)
    shown = [cli.ok("output", str(job)) for job in (1, 2, 3, 4)]
    assert shown == ["as text", "from the file", "its own", "from the file"]


def test_it_can_be_edited(cli: Cli) -> None:
    """From a kept text to a file, and back."""
    (cli.directory / "small").write_text("small")
    (cli.directory / "large").write_bytes(b"x" * (MIB + 1))
    cli.ok("enqueue", "wc -c")
    for file, size in (("large", MIB + 1), ("small", 5)):
        cli.ok("edit", "1", "--stdin", file)
        assert counted(cli, 1) == str(size)
        cli.ok("retry", "1")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--stdin", "nowhere", "cat"), "nowhere: No such file"),
        (("--stdin", ".", "cat"), "Is a directory"),
        (("--stdin", "/dev/zero", "cat"), "more than 1MiB"),
        (("--interactive", "--stdin", "large", "cat"), "--interactive"),
        (('{"command": "cat", "stdin": 3}',), "stdin"),
        (('{"command": "cat", "stdin_file": "nowhere"}',), "nowhere"),
        (('{"command": "cat", "stdin": "a", "stdin_file": "large"}',), "one of them"),
        (("--stdin",), "--stdin"),
    ],
)
def test_bad_input_gets_one_line(cli: Cli, words: tuple[str, ...], named: str) -> None:
    """And nothing is enqueued."""
    (cli.directory / "large").write_bytes(b"x" * (MIB + 1))
    assert named in cli.refused(2, "enqueue", *words)
    assert cli.json("list") == []


def test_more_than_the_limit_on_standard_input_is_refused(cli: Cli) -> None:
    """There is no file to read it from later."""
    done = cli.run("enqueue", "--stdin", "-", "cat", stdin="x" * (MIB + 1))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "put it into a file" in done.stderr
