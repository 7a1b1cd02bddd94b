"""`why` answers in one sentence, for jobs of real workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.worker import Fifo, Workers

if TYPE_CHECKING:
    from tests.support.cli import Cli


def why(cli: Cli, job: int) -> str:
    """Return the one line that `why` says of a job."""
    lines = cli.ok("why", str(job)).splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("lines", "said", "remedy"),
    [
        ([], "there are none anywhere", "`worker start`"),
        (["pause 1"], "is paused", "`resume 1`"),
        (["queue pause default"], "queue default, which is paused", "`queue resume default`"),
        (["edit 1 --delay 2h"], "not to start before its time, at ", "`edit 1 --delay 0`"),
        (["cancel 1"], "is cancelled", "`retry 1`"),
    ],
)
def test_without_workers_each_reason_names_what_changes_it(
    cli: Cli, lines: list[str], said: str, remedy: str
) -> None:
    """And the command that does."""
    done = cli.script("enqueue true", *lines)
    assert done.returncode == 0, done.stderr
    assert said in why(cli, 1)
    assert remedy in why(cli, 1)


def test_every_obstacle_is_named(cli: Cli) -> None:
    """Each with its remedy, the first to go on top."""
    cli.script("enqueue --paused true", "queue pause default")
    assert cli.json("why", "1")["reasons"] == ["paused", "queue-paused", "no-workers"]
    said = why(cli, 1)
    assert (
        said.index("`resume 1`")
        < said.index("`queue resume default`")
        < said.index("`worker start`")
    )


def test_running_full_queued_and_about_to_retry(cli: Cli, workers: Workers) -> None:
    """With a worker there, what it does decides."""
    gate = Fifo(cli, "gate")
    cli.script(
        "queue create gpu --limit 1",
        f"enqueue --queue gpu {gate.wait}", "enqueue true", "enqueue true", "enqueue --queue gpu true",
    )  # fmt: skip
    workers.start("1")
    cli.ok("wait", "1", "--for", "processing")
    assert "is running for " in why(cli, 1)
    assert "is next: it waits for the only worker, which is busy" in why(cli, 2)
    assert "has 1 job ahead of it, and 1 worker, all busy" in why(cli, 3)
    assert "1/1 by #1" in why(cli, 4)
    listed = cli.ok("list")
    assert "queue gpu is full (1/1)" in listed
    assert "workers busy" in listed
    assert "1/1 by #1" in cli.ok("status", "4")
    cli.ok("pause", "1")
    assert "is paused where it was; `resume 1`" in why(cli, 1)
    cli.ok("resume", "1")
    gate.open()
    cli.ok("wait", "1-4")
    assert "is completed (exit 0)" in why(cli, 1)
    cli.ok("enqueue", "--backoff-base", "100", "--max-retries", "1", "exit 7")
    cli.ok("wait", "5", "--for", "failed")
    assert "failed (exit 7) and is tried again in " in why(cli, 5)
    assert "`retry 5` does so now" in why(cli, 5)


def test_workers_of_other_queues_do_not_count(cli: Cli, workers: Workers) -> None:
    """The command names the queue."""
    cli.ok("queue", "create", "gpu")
    cli.ok("enqueue", "true")
    workers.start("1", "--queue", "gpu")
    assert "`worker start --queue default`" in why(cli, 1)


def test_a_job_that_resists_being_cancelled_says_so(cli: Cli, workers: Workers) -> None:
    """Until its grace is over, or somebody does not wait for that."""
    gate = Fifo(cli, "gate")
    cli.ok("enqueue", "--kill-grace", "1h", f"trap '' TERM; {gate.wait}; exec sleep 3600")
    workers.start("1")
    gate.open()
    cli.ok("wait", "1", "--for", "processing")
    cli.ok("cancel", "1")
    assert "is being cancelled" in why(cli, 1)
    assert "`cancel 1 --now`" in why(cli, 1)
    cli.ok("cancel", "1", "--now")
    cli.ok("wait", "1", "--for", "cancelled")


def test_what_limits_and_rates_hold_back_is_not_ahead(cli: Cli, workers: Workers) -> None:
    """And no move is advised that would change nothing."""
    gate = Fifo(cli, "gate")
    cli.script(
        "queue create g --limit 1", "queue create rr --rate 1/h",
        f"enqueue --queue g {gate.wait}", *["enqueue --queue g true"] * 3,
        *["enqueue --queue rr true"] * 4, "enqueue --priority 1 --queue rr --name first true",
    )  # fmt: skip
    workers.start("2")
    cli.ok("wait", "first")
    cli.ok("wait", "1", "--for", "processing")
    cli.ok("enqueue", "--name", "other", gate.wait)
    cli.ok("wait", "other", "--for", "processing")
    cli.ok("enqueue", "--name", "D", "echo D")
    assert why(cli, 11).endswith(
        "is next (unless limits and rates let one of 7 jobs of queues g and rr go first):"
        " it waits for one of 2 workers, all busy; `worker start` adds one"
    )
    gate.open()
    gate.open()
    cli.ok("wait", "D")


def test_what_is_kept_for_another_is_told(cli: Cli, workers: Workers) -> None:
    """Where it is free, and workers are."""
    gate = Fifo(cli, "gate")
    workers.start("4", "--resource", "gpu=2")
    cli.ok("enqueue", "--need", "gpu=1", gate.wait)
    cli.ok("wait", "1", "--for", "processing")
    cli.script("enqueue --need gpu=2 true", "enqueue --need gpu=1 true")
    assert "gpu 1 is kept free for job 2, which needs 2; `move 3 --first`" in why(cli, 3)
    assert "gpu 1 kept for #2" in cli.ok("list")
    assert "waits for gpu 2, taken now by #1" in why(cli, 2)
    gate.open()
    cli.ok("wait", "1-3")
