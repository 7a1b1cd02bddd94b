"""Why a job is not running."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.session import Session


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["enqueue true"], "job 1 waits for a worker, and there are none anywhere; `worker start`"),
        (["enqueue --delay 2h true"], "job 1 is not to start before its time, at "),
        (["enqueue --delay 9 true"], "job 1 is not to start before its time, in "),
        (["enqueue --paused true"], "job 1 is paused; `resume 1` lets it start"),
        (["enqueue true", "queue pause default"], "`queue resume default` opens it"),
        (["enqueue true", "cancel 1"], "job 1 is cancelled; `retry 1` runs it again"),
    ],
)
def test_the_reason_that_must_change_first_is_named(
    session: Session, lines: list[str], said: str
) -> None:
    """With the command that changes it."""
    for line in lines:
        session.result(line)
    assert said in session.text("why 1")


def test_workers_that_take_from_other_queues_do_not_help(session: Session) -> None:
    """Then the command names the queue."""
    session.result("queue create gpu")
    session.with_host(queues=("default",))
    session.result("enqueue --queue gpu true")
    assert "`worker start --queue gpu`" in session.text("why")


def test_what_is_ahead_is_counted(session: Session) -> None:
    """The first is next."""
    session.with_host()
    session.many(3)
    assert "is next" in session.text("why 1")
    assert "has 2 jobs ahead of it" in session.text("why 3")
    session.result("enqueue --priority 1 true")
    assert "has 1 job ahead of it" in session.text("why 1")


def test_a_full_queue_names_what_runs_there(session: Session) -> None:
    """And its limit."""
    session.result("queue create gpu --limit 1")
    session.result("enqueue --queue gpu true")
    session.result("enqueue --queue gpu true")
    session.starts()
    assert "whose limit is used up: 1/1 by #1" in session.text("why 2")
    assert "job 1 is running for " in session.text("why 1")


def test_failed_jobs_say_when_they_are_tried_again(busy: Session) -> None:
    """And many are answered at once."""
    assert "failed (exit 3) and is tried again" in busy.text("why 3")
    answers = busy.json("why 1-3")
    assert [(answer["id"], answer["state"]) for answer in answers] == [
        (1, "completed"), (2, "dead"), (3, "failed"),
    ]  # fmt: skip
    assert busy.json("why 2")["why"].startswith("is dead (exit 1)")
    assert busy.refused("why 99")[0] == 3


@pytest.mark.parametrize(
    ("flags", "waits", "remedy"),
    [
        (
            "--need gpu=1,mem=8G",
            "a worker with gpu 1, mem 8G",
            "worker start --resource gpu=1,mem=8G",
        ),
        ("--slots 3", "3 workers of one host", "worker start 3"),
        (
            "--slots 3 --need gpu=1",
            "3 workers of one host with gpu 1",
            "worker start 3 --resource gpu=1",
        ),
    ],
)
def test_without_workers_what_it_needs_is_named(
    session: Session, flags: str, waits: str, remedy: str
) -> None:
    """A worker without that would not do."""
    session.result(f"enqueue {flags} ./train")
    assert session.text("why 1") == (
        f"job 1 waits for {waits}, and there are none anywhere; `{remedy}` starts {'them' if '3' in remedy else 'one'}\n"
    )
