"""Commands that look: jobs, settings, queues, help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.commands.context import Screen
from queuectl.commands.jsonjobs import _READERS
from tests.support.session import Session

if TYPE_CHECKING:
    from pathlib import Path


def test_an_empty_answer_says_where_the_jobs_are(session: Session) -> None:
    """Or how to make the first."""
    assert session.notes("list") == ["No jobs yet: enqueue echo hello"]
    assert "No jobs yet" in session.text("status")
    session.result("enqueue --backoff-base 1000 --max-retries 1 false")
    session.ends(1)
    (note,) = session.notes("dlq list")
    assert note.startswith("no dead jobs; there is 1 failed; the next retry is in ")


@pytest.mark.parametrize(
    ("line", "ids"),
    [
        ("list", [1, 2, 3, 4, 5]), ("list failed,dead", [2, 3]), ("list --state pending", [4, 5]),
        ("list 2 4-", [2, 4, 5]), ("list five", [5]), ("list last", [5]), ("list --limit 2", [4, 5]),
        ("list 1-3 dead", [2]), ("list 2 3 --exit 3", [3]), ("list --name f*", [5]), ("dlq list", [2]),
        ("list all", [1, 2, 3, 4, 5]), ("list --since 1d", [1, 2, 3, 4, 5]), ("list 5 1", [5, 1]),
    ],
)  # fmt: skip
def test_list_selects(busy: Session, line: str, ids: list[int]) -> None:
    """With words and with flags."""
    assert [job["id"] for job in busy.json(line)] == ids


def test_a_terminal_gets_a_page(tmp_path: Path) -> None:
    """The newest fifty, and how many more there are."""
    session = Session(tmp_path, screen=Screen(terminal=True, width=80, height=24))
    session.many(60)
    result = session.result("list")
    (table,) = result.blocks
    assert [row[0] for row in table.rows] == [str(number) for number in range(11, 61)]  # type: ignore[union-attr]
    assert result.notes[0].startswith("10 older jobs are not shown")


def test_a_waiting_job_says_why(busy: Session) -> None:
    """In the REASON column."""
    rows = {line.split()[0]: line for line in busy.text("list").splitlines()[1:]}
    assert "exit 3; retries in" in rows["3"] or "exit 3; retries at" in rows["3"]
    assert "exit 1" in rows["2"]
    busy.result("queue pause default")
    assert "queue default is paused" in busy.text("list 4")


def test_one_job_is_shown_whole(busy: Session) -> None:
    """With policy, origin and attempts."""
    text = busy.text("status 2")
    for part in (
        "job 2: dead (exit 1)",
        "command",
        "max-retries 0",
        "1 of 1",
        busy.ctx.submitter,
        busy.ctx.cwd,
        "exit 1",
    ):
        assert part in text
    whole = busy.json("status 2")
    assert [attempt["reason"] for attempt in whole["history"]] == ["exit 1"]
    assert [job["id"] for job in busy.json("status 1 2")] == [1, 2]


def test_status_counts_and_shows_what_goes_on(busy: Session) -> None:
    """Waiting jobs in the order in which they will run."""
    data = busy.json("status")
    assert data["counts"] == {
        "pending": 2, "processing": 0, "completed": 1, "failed": 1, "dead": 1, "cancelled": 0,
    }  # fmt: skip
    assert [job["id"] for job in data["waiting"]] == [4, 5, 3]
    assert [job["id"] for job in data["finished"]] == [2, 1]
    assert (
        busy.text("status").splitlines()[0] == "2 pending, 1 completed, 1 failed, 1 dead; 1 worker"
    )


def test_status_says_which_queues_are_paused(session: Session) -> None:
    """One that paused itself always, with its reason; another when something waits in it."""
    session.result("queue create h --halt-on 1 --max-retries 0")
    session.result("queue create idle")
    session.result("queue pause idle")
    session.result("queue create p")
    session.result("enqueue -q h false")
    session.result("enqueue -q p true")
    session.result("queue pause p")
    session.ends(1)
    lines = session.text("status").splitlines()
    assert "queue h paused itself: 1 job died (halt-on 1); `queue resume h` opens it" in lines
    assert "queue p is paused: 1 job waits; `queue resume p` opens it" in lines
    assert not any("idle" in line for line in lines)
    assert session.json("status")["paused_queues"] == [
        {"queue": "h", "why": "1 job died (halt-on 1)", "waiting": 0},
        {"queue": "p", "why": None, "waiting": 1},
    ]
    session.result("enqueue -q h true")
    assert "queue h paused itself" in session.text("list 3")


def test_help_names_every_field_of_json(session: Session) -> None:
    """And nothing that is none."""
    text = " ".join(session.text("help enqueue").split())
    listed = text.partition("fields of a job as JSON: ")[2].partition(".")[0]
    assert set(listed.split(", ")) == set(_READERS)


def test_status_says_what_it_does_not_show(tmp_path: Path) -> None:
    """So that nobody takes the first few for all of them."""
    session = Session(tmp_path, screen=Screen(terminal=True, width=80, height=24))
    session.many(60)
    result = session.result("status")
    table = result.blocks[-1]
    shown = len(list(table.rows))  # type: ignore[union-attr]
    assert table.title == f"Waiting (first {shown} of 60)"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("set max-retries 5", "max-retries is 5; applies to jobs enqueued from now on\n"),
        ("set max_retries 5", "max-retries is 5; applies to jobs enqueued from now on\n"),
        ("set timeout 90", "timeout is 1m30s; applies to jobs enqueued from now on\n"),
        (
            "set max-retries --default",
            "max-retries is 3 again, from default; applies to jobs enqueued from now on\n",
        ),
        ("set env-capture PATH HOME", "env-capture is PATH HOME\n"),
        (
            "set timeout 5 --queue default",
            "timeout is 5s for queue default; applies to jobs enqueued from now on\n",
        ),
    ],
)
def test_set_answers_with_the_value(session: Session, line: str, shown: str) -> None:
    """In its canonical form."""
    assert session.text(line) == shown


def test_set_shows_where_a_value_comes_from(session: Session) -> None:
    """Queue before store before default."""
    session.result("set timeout 5")
    session.result("set timeout 7 --queue default")
    values = {row["setting"]: (row["value"], row["from"]) for row in session.json("set")}
    assert values["timeout"] == ("5s", "store")
    assert values["max-retries"] == ("3", "default")
    assert session.json("set timeout --queue default")["value"] == "7s"


def test_queues_are_listed(session: Session) -> None:
    """With their limits and switches."""
    session.result("queue create gpu --limit 2")
    session.result("queue pause gpu")
    found = {row["queue"]: (row["limit"], row["paused"]) for row in session.json("queue list")}
    assert found["gpu"] == (2, True)
    assert found["default"] == (None, False)


def test_help_is_written_from_the_table(session: Session) -> None:
    """With aliases and examples."""
    assert "list jobs (also: ps)" in session.text("help")
    text = session.text("help ps")
    assert "usage: list" in text
    assert "--state STATE" in text
    assert "list failed,dead" in text
    assert "worker stop" in session.text("help worker")
    assert session.text("worker start --help") == session.text("help worker start")
