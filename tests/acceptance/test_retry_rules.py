"""Which endings are tried again: exit codes, signals, timeouts, and what a job says went wrong."""

from __future__ import annotations

import pytest

from tests.support.cli import Cli

DRAIN = ("worker", "start", "1", "--until-empty")


@pytest.mark.parametrize(
    ("flags", "command", "runs", "reason"),
    [
        (("--retry-on", "75,100-110"), "exit 75", 2, "exit 75"),
        (("--retry-on", "75,100-110"), "exit 105", 2, "exit 105"),
        (("--retry-on", "75,100-110"), "exit 3", 1, "exit 3 (not in retry-on)"),
        (("--retry-on", "TERM"), "kill -TERM $$", 2, "signal 15"),
        (("--retry-on", "SIGTERM"), "kill -KILL $$", 1, "signal 9 (not in retry-on)"),
        (("--no-retry-on", "2"), "exit 2", 1, "exit 2 (in no-retry-on)"),
        (("--no-retry-on", "2"), "exit 3", 2, "exit 3"),
        (("--no-retry-on", "KILL"), "kill -KILL $$", 1, "signal 9 (in no-retry-on)"),
        (("--retry-on", "1-9", "--no-retry-on", "2"), "exit 2", 1, "exit 2 (in no-retry-on)"),
        (("--timeout", "200ms", "--no-retry-on", "timeout"), "exec sleep 60", 1,
         "timeout after 200ms (in no-retry-on)"),
        (("--timeout", "200ms", "--retry-on", "timeout"), "exec sleep 60", 2, "timeout after 200ms"),
    ],
)  # fmt: skip
def test_only_some_endings_are_tried_again(
    cli: Cli, flags: tuple[str, ...], command: str, runs: int, reason: str
) -> None:
    """The reason says which rule kept a job from its retries."""
    cli.ok("enqueue", "--max-retries", "1", "--backoff-base", "0", *flags, command)
    cli.ok(*DRAIN)
    job = cli.json("status", "1")
    assert (job["state"], job["runs"], job["reason"]) == ("dead", runs, reason)


def test_rules_of_a_queue_and_of_the_store_apply_where_a_job_has_none(cli: Cli) -> None:
    """The nearest wins."""
    cli.ok("queue", "create", "strict")
    cli.ok("set", "no-retry-on", "4")
    cli.ok("set", "no-retry-on", "3", "--queue", "strict")
    cli.ok("set", "backoff-base", "0")
    cli.ok("set", "max-retries", "1")
    for words in (("exit 4",), ("exit 3",), ("--queue", "strict", "exit 3"), ("--queue", "strict", "exit 4"),
                  ("--no-retry-on", "5", "--queue", "strict", "exit 3")):  # fmt: skip
        cli.ok("enqueue", *words)
    cli.ok(*DRAIN)
    assert [job["runs"] for job in cli.json("list")] == [1, 2, 1, 2, 2]


def test_a_job_says_in_a_line_what_went_wrong(cli: Cli) -> None:
    """Written to the file named in QUEUECTL_ERROR_FILE; shown by status, list and the DLQ."""
    cli.ok(
        "enqueue",
        "--max-retries",
        "0",
        "echo 'disk of node 7 is full' > $QUEUECTL_ERROR_FILE; exit 1",
    )
    cli.ok(*DRAIN)
    for words in (("status", "1"), ("dlq", "list"), ("list",)):
        assert "disk of node 7 is full" in cli.ok(*words)
    assert cli.json("status", "1")["history"][0]["message"] == "disk of node 7 is full"


@pytest.mark.parametrize(
    "given", ["0", "256", "5-3", "-1", "1-", "x", "SIGNOPE", "timeouts", "1,,x", "1.5", "lost!"]
)
@pytest.mark.parametrize("flag", ["retry-on", "no-retry-on"])
def test_other_endings_are_refused(cli: Cli, flag: str, given: str) -> None:
    """In one line that names the word, as a flag and as a setting."""
    cli.refused(2, "enqueue", f"--{flag}={given}", "true")
    assert cli.refused(2, "set", flag, "--", given)
