"""Schedules fire by themselves while hosts run, once however many there are."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from queuectl.schedule import times_between
from queuectl.store import open_store
from tests.support.worker import Fifo, Workers

if TYPE_CHECKING:
    from tests.support.cli import Cli

DAY = 24 * 60 * 60_000


def test_two_hosts_fire_each_time_once(cli: Cli, workers: Workers) -> None:
    """And leave it alone when it is paused."""
    told = Fifo(cli, "told")
    cli.ok(
        "schedule",
        "add",
        "beat",
        "every",
        "1s",
        "--overlap",
        "queue",
        "--",
        f"echo $QUEUECTL_JOB_ID > {told.path}",
    )
    workers.start("1")
    workers.start("1")
    assert [told.read() for _ in range(3)] == ["1\n", "2\n", "3\n"]
    cli.ok("schedule", "pause", "beat")
    jobs = cli.json("list", "1-3")
    assert [job["schedule"] for job in jobs] == ["beat"] * 3
    # each in a second of its own, on the grid
    with closing(open_store(cli.url)) as store:
        (one,) = store.schedules()
        assert one.next_at is not None
        made = [job for job_id in (1, 2, 3) if (job := store.get(job_id))]
        assert len({(job.created_at - one.next_at) // 1000 for job in made}) == 3
        assert all((job.created_at - one.next_at) % 1000 < 900 for job in made)
    (shown,) = cli.json("schedule", "list")
    assert (shown["paused"], shown["next_at"]) == (True, None)
    assert shown["last_job"] >= 3


@pytest.mark.parametrize(("missed", "jobs"), [("none", 0), ("one", 1), ("all", 3)])
def test_after_downtime_it_makes_up_as_asked(
    cli: Cli, workers: Workers, missed: str, jobs: int
) -> None:
    """For three nights no host was there."""
    cli.ok(
        "schedule", "add", "nightly", "0 3 * * *", "--tz", "UTC", "--missed", missed, "--", "true"
    )
    with closing(open_store(cli.url)) as store:
        (one,) = store.schedules()
        assert one.next_at is not None
        store.put_schedule(one._replace(next_at=one.next_at - 3 * DAY))
        assert len(times_between("0 3 * * *", "UTC", one.next_at - 3 * DAY, store.now(), 9)) == 3
    # it fires before it takes what is queued behind it
    workers.start("1")
    cli.ok("enqueue", "--name", "behind", "true")
    cli.ok("wait", "behind")
    found = cli.json("list")
    assert len([job for job in found if job["schedule"] == "nightly"]) == jobs
    (shown,) = cli.json("schedule", "list")
    assert (shown["note"] is not None) == (not jobs)
    cli.ok("wait")


def test_what_is_no_schedule_is_refused_in_a_line(cli: Cli) -> None:
    """With the field, and the nearest that is right."""
    assert "hour: '25'" in cli.refused(2, "schedule", "add", "n", "0 25 * * *", "--", "true")
    assert "did you mean Europe/Rome?" in cli.refused(
        2, "schedule", "add", "n", "0 3 * * *", "--tz", "Europe/Roma", "--", "true"
    )
    assert "no schedule 'n'" in cli.refused(3, "schedule", "run", "n")


def test_run_now(cli: Cli, workers: Workers) -> None:
    """Once more, beside its times."""
    cli.ok("schedule", "add", "yearly", "@yearly", "--", "echo hello")
    workers.start("1")
    cli.ok("schedule", "run", "yearly")
    cli.ok("wait", "1")
    assert cli.ok("output", "1") == "hello\n"
    (shown,) = cli.json("schedule", "list")
    assert (shown["last_job"], shown["last_state"]) == (1, "completed")
    # its times, and what `--overlap` looks at, stay as they are
    with closing(open_store(cli.url)) as store:
        (one,) = store.schedules()
        assert (one.last_job, one.last_at) == (None, None)
