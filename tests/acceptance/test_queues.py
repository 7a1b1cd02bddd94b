"""Queues with a command, from the message to the program that is given it: real processes."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.cli import Cli
    from tests.support.worker import Workers

MESSAGES = [
    "a.jpg",
    "b c.jpg",
    "*",
    "$(touch evil)",
    'it\'s "x"',
    "a;b|c",
    "--help",
    "",
    "tab\there",
    "日本",
]
#: writes its arguments, each in brackets, so that nothing is hidden
SHOW = "#!/bin/sh\nfor word; do printf '[%s]' \"$word\"; done\n"


def program(cli: Cli, name: str = "show") -> str:
    """Make a program that shows its arguments; return its path."""
    path = cli.directory / name
    path.write_text(SHOW)
    path.chmod(0o755)
    return str(path)


def test_each_message_is_one_argument_of_the_command(cli: Cli) -> None:
    """Byte for byte, whatever a shell would make of it, with and without a shell."""
    show = program(cli)
    cli.ok("queue", "create", "argv", "--command", f"{show} -x {{}} end", "--limit", "4")
    cli.ok("queue", "create", "last", "--command", show)
    cli.ok("queue", "create", "line", "--command", f'{show} "$1" | tr a-z A-Z', "--shell")
    cli.ok("submit", "argv", "--", *MESSAGES)
    cli.ok("submit", "last", "--", *MESSAGES)
    cli.ok("submit", "line", "--", *MESSAGES)
    assert cli.ok("worker", "start", "2", "--until-empty")
    states = {job["state"] for job in cli.json("list")}
    assert states == {"completed"}
    count = len(MESSAGES)
    for number, message in enumerate(MESSAGES, 1):
        assert cli.ok("output", str(number)) == f"[-x][{message}][end]"
        assert cli.ok("output", str(count + number)) == f"[{message}]"
        upper = subprocess.run(
            ["tr", "a-z", "A-Z"], input=message, capture_output=True, text=True, check=True
        )
        assert cli.ok("output", str(2 * count + number)) == f"[{upper.stdout}]"
    assert not (cli.directory / "evil").exists()


def test_messages_for_programs_that_claim_them(cli: Cli) -> None:
    """A pull queue takes them without a command, and lists them; a key tells them apart."""
    cli.ok("queue", "create", "wav", "--pull")
    cli.ok("submit", "wav", "a.wav", "b c.wav")
    said = cli.ok("list", "--queue", "wav")
    assert "b c.wav" in said
    assert "exit 1" not in said
    assert [job["message"] for job in cli.json("list")][:2] == ["a.wav", "b c.wav"]
    cli.ok("submit", "--unique", "auto", "wav", "x", "y", "x")
    assert [job["message"] for job in cli.json("list")][-2:] == ["x", "y"]
    cli.ok("queue", "create", "plain")
    assert "has no command" in cli.refused(1, "submit", "plain", "a")


def test_lines_of_standard_input_are_messages(cli: Cli) -> None:
    """Counted by wc -l, also those with bytes that are no text."""
    show = program(cli)
    cli.ok("queue", "create", "q", "--command", show)
    data = b"one\n\xff\xfe x\n* $HOME\n\ttab\n"
    command = cli.command("submit", "q", "-")
    done = subprocess.run(
        command, input=data, env=cli.env, cwd=cli.directory, capture_output=True, check=True
    )
    assert done.stdout == b"jobs 1-4 enqueued in queue q\n"
    peeked = subprocess.run(
        cli.command("queue", "peek", "q"), env=cli.env, capture_output=True, check=True
    )
    assert peeked.stdout == data
    cli.ok("worker", "start", "--until-empty")
    output = subprocess.run(
        cli.command("output", "2"), env=cli.env, capture_output=True, check=True
    )
    assert output.stdout == b"[\xff\xfe x]"
    assert cli.ok("queue", "peek", "q") == ""


def test_a_paused_queue_starts_nothing_new(cli: Cli, workers: Workers) -> None:
    """And enqueueing into it says so, once; the others go on."""
    cli.ok("queue", "create", "q", "--command", "echo")
    cli.ok("queue", "pause", "q")
    workers.start("2", "--queue", "q,default")
    done = cli.run("submit", "q", "x", "y")
    assert done.stderr == "queue q is paused: it waits until `queue resume q`\n"
    cli.ok("enqueue", "true")
    cli.ok("wait", "3")
    assert [job["state"] for job in cli.json("list", "1-2")] == ["pending", "pending"]
    row = cli.ok("queue", "list").splitlines()[-1].split()
    assert row[:5] == ["q", "paused", "2", "0", "0"]
    cli.ok("queue", "resume", "q")
    cli.ok("wait", "1-2")


def test_the_queue_says_how_its_jobs_run(cli: Cli) -> None:
    """Retries, directory and timeout; `queue set` applies to what comes then."""
    place = cli.directory / "there"
    place.mkdir()
    (place / "fails.sh").write_text("#!/bin/sh\npwd\nexit 3\n")
    (place / "fails.sh").chmod(0o755)
    cli.ok(
        "queue",
        "create",
        "q",
        "--command",
        "./fails.sh",
        "--cwd",
        "there",
        "--max-retries",
        "1",
        "--backoff-base",
        "0",
    )
    cli.ok("submit", "q", "x")
    cli.ok("queue", "set", "q", "--max-retries", "none", "--command", "sleep")
    cli.ok("queue", "set", "q", "--timeout", "100ms", "--max-retries", "0")
    cli.ok("submit", "q", "60")
    cli.ok("worker", "start", "2", "--until-empty")
    first, second = cli.json("list")
    assert (first["state"], first["attempts"], first["reason"]) == ("dead", 2, "exit 3")
    assert cli.ok("output", "1").strip() == os.path.realpath(place)
    assert (second["state"], second["reason"]) == ("dead", "timeout after 100ms")


def test_a_queue_halts_itself(cli: Cli) -> None:
    """After so many deaths, and says why."""
    cli.ok("queue", "create", "q", "--command", "false", "--max-retries", "0", "--halt-on", "2")
    cli.ok("submit", "q", *"abcde")
    process = cli.start("worker", "start")
    try:
        cli.ok("wait", "1-2", "--for", "dead")
        (row,) = [queue for queue in cli.json("queue", "list") if queue["queue"] == "q"]
        assert row["paused"]
        assert "halt-on 2" in row["paused_why"]
        assert row["waiting"] == 3
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_limit_holds(cli: Cli) -> None:
    """However many workers there are."""
    log = cli.directory / "log"
    line = 'echo + >> "$0"; sleep 0.05; echo - >> "$0"'
    cli.ok("queue", "create", "q", "--command", f"sh -c '{line}' {log}", "--limit", "2")
    cli.ok("submit", "q", *map(str, range(12)))
    cli.ok("worker", "start", "6", "--until-empty")
    running = most = 0
    for mark in log.read_text().split():
        running += 1 if mark == "+" else -1
        most = max(most, running)
    assert most <= 2
    assert len(log.read_text().split()) == 24


def test_bad_input_changes_nothing(cli: Cli) -> None:
    """One line, the right code."""
    assert "no closing quotation" in cli.refused(2, "queue", "create", "q", "--command", "echo 'x")
    cli.refused(3, "submit", "q", "x")
    cli.ok("queue", "create", "q")
    assert "queue set q --command" in cli.refused(1, "submit", "q", "x")
    assert "already" in cli.refused(1, "queue", "create", "q")
    assert "a rate such as" in cli.refused(2, "queue", "set", "q", "--rate", "fast")
    cli.refused(3, "worker", "start", "--queue", "default,nope")
    cli.ok("queue", "remove", "q")
    assert [queue["queue"] for queue in cli.json("queue", "list") if queue["queue"] != "hooks"] == [
        "default"
    ]
