"""What `wait` says of jobs that nothing moves, and of how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.session import Session


@pytest.mark.parametrize(
    ("before", "line", "notes"),
    [
        ("pause 4 5", "wait", ["2 of them are paused: 4, 5"]),
        ("pause 5", "wait 3-5", ["1 of them is paused: 5"]),
        ("pause 5", "wait five", ["job 5 is paused"]),
        ("pause 5", "wait 4", []),
        ("queue pause default", "wait", ["queue default is paused, `queue resume default` opens it; there wait 3, 4, 5"]),
        ("enqueue --after-failed 1 --keep-waiting true", "wait", ["1 of them is never going to start: 6"]),
    ],
)  # fmt: skip
def test_jobs_that_nothing_moves_are_named(
    busy: Session, before: str, line: str, notes: list[str]
) -> None:
    """At the beginning, as nobody would hear of it later."""
    busy.result(before)
    assert list(busy.answer(f"{line} --timeout 0").notes) == notes


def test_jobs_that_ended_otherwise_are_named(busy: Session) -> None:
    """With how each ended; those that have not ended too."""
    busy.result("cancel 4")
    result = busy.result("wait 1 2 4 five --timeout 0")
    assert result.exit_code == 4
    assert list(result.notes) == [
        "2 jobs did not become completed: 2 is dead (exit 1, 0s), 4 is cancelled; 1 job has not ended in time: 5"
    ]


def test_of_very_many_those_that_are_paused_are_counted(session: Session) -> None:
    """None is looked at by itself."""
    session.with_host()
    session.many(600)
    session.result("pause 7-9")
    assert list(session.answer("wait --timeout 0").notes) == ["3 of them are paused"]


def test_of_many_a_few_are_named(session: Session) -> None:
    """And the rest is counted."""
    session.with_host()
    session.many(7)
    (note,) = session.notes("wait --timeout 0")
    assert note == "7 jobs have not ended in time: 1, 2, 3, 4, 5 and 2 more"


def test_a_queue_that_no_worker_takes_from_is_named(session: Session) -> None:
    """With who waits there."""
    session.result("queue create thumbs")
    session.with_host(queues=("default",))
    session.result("enqueue --queue thumbs true")
    assert list(session.answer("wait --timeout 0").notes) == [
        "no worker takes from queue thumbs, `worker start --queue thumbs` starts one; there waits 1"
    ]
