"""The `schedule` commands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import pytest

from queuectl.commands import GRAMMAR
from queuectl.commands.schedules import local_zone
from queuectl.errors import UsageError
from queuectl.host.firing import Firing
from queuectl.schedule import next_time, unpack
from queuectl.timespec import parse_time

if TYPE_CHECKING:
    from tests.support.session import Session

NIGHTLY = "schedule add nightly '0 3 * * *' --tz Europe/Rome"


def test_a_schedule_is_added_shown_and_removed(session: Session) -> None:
    """With all of its job as it was given."""
    line = f"{NIGHTLY} --priority 2 --timeout 5m --env A=b -- ./backup.sh 'a b' | gzip"
    answer = cast("dict[str, Any]", session.result(line).data)
    assert (answer["schedule"], answer["when"], answer["zone"], answer["overlap"], answer["missed"]) == (
        "nightly", "0 3 * * *", "Europe/Rome", "skip", "one",
    )  # fmt: skip
    now = session.store.now()
    due = next_time("0 3 * * *", "Europe/Rome", now, now)
    assert parse_time(answer["next_at"], now) == due
    (one,) = session.store.schedules()
    new = unpack(one.job, one.name)
    assert (new.command, new.priority, new.policy, new.cwd) == (
        "./backup.sh 'a b' | gzip", 2, {"timeout": "5m"}, session.ctx.cwd,
    )  # fmt: skip
    assert new.env["A"] == "b"
    assert "nightly" in session.text("schedule list")
    assert session.json("schedule list")[0]["command"] == "./backup.sh 'a b' | gzip"
    assert "jobs it has made stay" in session.text("schedule remove nightly")
    assert session.store.schedules() == []


def test_what_the_job_leaves_open_is_decided_when_it_fires(session: Session) -> None:
    """A setting that changed in between holds for it."""
    session.result("schedule add beat every 10m -- true")
    session.result("set max-retries 7")
    (one,) = session.store.schedules()
    session.store.put_schedule(one._replace(next_at=session.store.now()))
    assert Firing(session.store).fire_due() == 1
    assert session.job(1).max_retries == 7


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("schedule add n '0 25 * * *' -- true", "schedule: hour: '25' is not 0 to 23"),
        ("schedule add n '0 3 * * *' --tz Rome -- true", "did you mean Europe/Rome?"),
        ("schedule add n every 10m --tz Europe/Rome -- true", "leave --tz out"),
        (
            "schedule add n '0 3 * * *' ./run it",
            "put -- before the command: schedule add n '0 3 * * *' -- ./run it",
        ),
        (
            "schedule add n every 10m ./run",
            "put -- before the command: schedule add n every 10m -- ./run",
        ),
        ("schedule add n @daily ./run it", "schedule add n @daily -- ./run it"),
        ("schedule add n 0 3 * * * ./run", "schedule add n '0 3 * * *' -- ./run"),
        ("schedule add n '0 3 * *' ./run", "did you mean '0 3 * * *'?"),
        ("schedule add n @daly ./run", "did you mean @daily?"),
        ("schedule add n daily ./run", "did you mean @daily?"),
        ("schedule add n every ./run", "schedule: every"),
        ("schedule add n 10m ./run", "did you mean every 10m?"),
        ("schedule add n 3am -- ./run", "is no time: five fields of cron, or every 10m"),
        ("schedule add n ''", "is no time: five fields of cron, or every 10m"),
        ("schedule add n every 10m", "what is it to run? schedule add n every 10m -- COMMAND"),
        ("schedule add n '0 3 * * *'", "what is it to run? schedule add n '0 3 * * *' -- COMMAND"),
        ("schedule add n '0 3 * * *' --", "what is it to run?"),
        ("schedule add n '0 3 * * *' --delay 5m -- true", "the schedule says when"),
        ("schedule add n '0 3 * * *' --overlap skipp -- true", "did you mean skip?"),
        ("schedule add n '0 3 * * *' --queue nope -- true", "no queue 'nope'"),
        ("schedule add 7 '0 3 * * *' -- true", "a name: no blank"),
        ("schedule add nightly", "missing"),
        ("schedule add n every 1h --after 99 -- true", "no job 99"),
        ("schedule add n every 1h --after-any nobody -- true", "no job nobody"),
        ("schedule pause nightli", "no schedule 'nightli'; did you mean nightly?"),
        ("schedule remove other", "no schedule 'other'; `schedule list` lists them"),
        ("schedule add nightly every 1h -- true", "there is a schedule nightly already"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changes(session: Session, line: str, said: str) -> None:
    """In one line."""
    session.result(f"{NIGHTLY} -- true")
    before = session.store.schedules()
    _, message = session.refused(line)
    assert said in message
    assert "\n" not in message
    assert session.store.schedules() == before


def test_several_schedules_are_asked_about_at_once(session: Session) -> None:
    session.result("schedule add beat every 10m -- true")
    session.result("schedule add second @daily -- true")
    both = session.text("why second beat").splitlines()
    assert [line.split()[:2] for line in both] == [["schedule", "second"], ["schedule", "beat"]]
    assert [one["schedule"] for one in session.json("why second beat")] == ["second", "beat"]
    assert session.refused("why second nope")[0] == 3


def test_a_paused_schedule_does_not_make_up(session: Session) -> None:
    """Resumed, it goes on with its next time; a grid keeps its place."""
    session.result("schedule add beat every 10m --missed all -- true")
    session.result("schedule pause beat")
    (one,) = session.store.schedules()
    assert one.paused
    past = session.store.now() - 25 * 60_000
    session.store.put_schedule(one._replace(next_at=past))
    assert Firing(session.store).fire_due() == 0
    assert "schedule resume beat" in session.text("why beat")
    session.result("schedule resume beat")
    (one,) = session.store.schedules()
    assert one.next_at == past + 30 * 60_000
    assert Firing(session.store).fire_due() == 0
    # said again it changes nothing
    session.result("schedule resume beat")
    assert session.store.schedules() == [one]


def test_run_leaves_the_times_alone(session: Session) -> None:
    """And enqueues its job."""
    session.result(f"{NIGHTLY} --name me -- true")
    before = session.store.schedules()
    assert session.json("schedule run nightly")["id"] == 1
    assert session.job(1).schedule == "nightly"
    assert session.store.schedules() == before
    assert session.refused("schedule run nightly") == (
        1,
        "the name 'me' is taken by job 1, which is not finished",
    )


def test_replace_takes_the_place(session: Session) -> None:
    """Of the one of that name."""
    session.result(f"{NIGHTLY} -- true")
    session.result("schedule add nightly every 1h --replace -- false")
    (one,) = session.store.schedules()
    assert (one.spec, unpack(one.job, "").command) == ("every 1h", "false")


def test_the_list_says_what_became_of_the_last(session: Session) -> None:
    """The job it made, or why it made none."""
    session.result("schedule add beat every 10m -- true")
    (one,) = session.store.schedules()
    session.store.put_schedule(one._replace(next_at=session.store.now()))
    Firing(session.store).fire_due()
    assert session.json("schedule list")[0]["last_state"] == "pending"
    (one,) = session.store.schedules()
    session.store.put_schedule(one._replace(next_at=session.store.now()))
    Firing(session.store).fire_due()
    assert "skipped: job 1 was still pending" in session.text("schedule list")
    assert "skipped: job 1 was still pending" in session.text("why beat")
    assert session.json("why beat")["reasons"] == ["no-workers"]


@pytest.mark.parametrize(
    ("environ", "zone"),
    [({"TZ": "Europe/Rome"}, "Europe/Rome"), ({"TZ": ":Asia/Tokyo"}, "Asia/Tokyo"), ({"TZ": ""}, "UTC"),
     ({"TZ": "/usr/share/zoneinfo/Europe/Rome"}, "Europe/Rome")],
)  # fmt: skip
def test_the_zone_of_this_machine_is_kept_by_name(environ: dict[str, str], zone: str) -> None:
    """So that the schedule means the same elsewhere."""
    assert local_zone(environ) == zone


def test_a_zone_without_a_name_must_be_given() -> None:
    """A POSIX rule is no name."""
    with pytest.raises(UsageError, match="give --tz"):
        local_zone({"TZ": "CET-1CEST"})


def test_the_words_of_a_schedule_are_read_before_its_command() -> None:
    """In a line and in an argv, flags among them; fields of cron need no quotes in the shell."""
    line = GRAMMAR.parse_line("schedule add n 0 3 * * * --tz UTC -- echo '; x'")
    assert line is not None
    assert (line.args.schedule, line.args.when, line.args.tz) == (
        "n",
        ["0", "3", "*", "*", "*"],
        "UTC",
    )
    assert line.args.job.text == "echo '; x'"
    argv = GRAMMAR.parse_argv(
        ["schedule", "add", "n", "0 3 * * *", "--missed", "all", "--", "a", "--b"]
    )
    assert (argv.args.when, argv.args.missed, argv.args.job.words) == (
        ["0 3 * * *"],
        "all",
        ("a", "--b"),
    )


def test_a_time_of_day_is_no_duration(session: Session) -> None:
    """It is not taken for one that lacks `every`."""
    assert "every 3am" not in session.refused("schedule add n 3am -- ./run")[1]


def test_who_fires_is_said_when_nobody_could(session: Session) -> None:
    """A schedule waits for a host, not for a worker of its queue."""
    (note,) = session.notes("schedule add n @daily -- true")
    assert note == "schedules fire while a host with workers runs, and there is none"


def test_times_are_shown_in_the_zone_of_the_schedule(session: Session) -> None:
    """Which is named beside them, as the column of zones may have no room."""
    session.result("schedule add far '0 3 * * *' --tz Pacific/Kiritimati -- true")
    added = session.text("schedule add rome '0 3 * * *' --tz Europe/Rome -- true")
    assert re.search(r" 03:00(:00)? CES?T", added)
    rows = session.text("schedule list").splitlines()
    assert re.search(r"03:00(:00)? \+14", rows[1])
    assert re.search(r"03:00(:00)? CES?T", rows[2])
    session.result("schedule pause rome")
    assert re.search(r"03:00(:00)? CES?T", session.text("schedule resume rome"))
    session.with_host()
    assert re.search(r"03:00(:00)? CES?T", session.text("why rome"))


def test_a_run_by_hand_is_the_last_one(session: Session) -> None:
    """In the list, in JSON and for `why`."""
    session.result(f"{NIGHTLY} -- true")
    (before,) = session.store.schedules()
    session.store.put_schedule(
        before._replace(note="skipped: job 8 was still failed", last_at=1000)
    )
    assert "skipped: job 8 was still waiting for its retry" in session.text("schedule list")
    session.result("schedule run nightly")
    session.ends(0)
    header, row = session.text("schedule list").splitlines()
    assert row[header.index("JOB") + 2] == "1"
    assert row[header.index("RESULT") :].startswith("completed")
    (shown,) = session.json("schedule list")
    assert (shown["last_job"], shown["last_state"], shown["note"]) == (1, "completed", None)
    assert shown["last_at"] > "2000"
    assert session.text("why nightly").endswith(": job 1\n")
