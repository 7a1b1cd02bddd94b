"""Verbs that change selected jobs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from queuectl.commands.context import SHELL
from tests.support.session import Session

if TYPE_CHECKING:
    from pathlib import Path


def test_the_fixture(busy: Session) -> None:
    """Is what its text says."""
    assert busy.states() == "1:completed 2:dead 3:failed 4:pending 5:pending"


@pytest.mark.parametrize(
    ("line", "states"),
    [
        ("cancel 4", "1:completed 2:dead 3:failed 4:cancelled 5:pending"),
        ("cancel five", "1:completed 2:dead 3:failed 4:pending 5:cancelled"),
        ("cancel last", "1:completed 2:dead 3:failed 4:pending 5:cancelled"),
        ("cancel 1-4 --yes", "1:completed 2:dead 3:cancelled 4:cancelled 5:pending"),
        ("cancel 4- --yes", "1:completed 2:dead 3:failed 4:cancelled 5:cancelled"),
        ("cancel all --yes", "1:completed 2:dead 3:cancelled 4:cancelled 5:cancelled"),
        ("cancel failed", "1:completed 2:dead 3:cancelled 4:pending 5:pending"),
        ("cancel 3 4 --state pending", "1:completed 2:dead 3:failed 4:cancelled 5:pending"),
        ("cancel --name 'f*'", "1:completed 2:dead 3:failed 4:pending 5:cancelled"),
        ("cancel --exit 3", "1:completed 2:dead 3:cancelled 4:pending 5:pending"),
        ("cancel --since 1h --yes", "1:completed 2:dead 3:cancelled 4:cancelled 5:cancelled"),
        ("kill --queue default --yes", "1:completed 2:dead 3:cancelled 4:cancelled 5:cancelled"),
        ("cancel 100-200", "1:completed 2:dead 3:failed 4:pending 5:pending"),
        ("retry 2", "1:completed 2:pending 3:failed 4:pending 5:pending"),
        ("retry 1", "1:pending 2:dead 3:failed 4:pending 5:pending"),
        ("retry all", "1:completed 2:pending 3:failed 4:pending 5:pending"),
        ("retry 1-5", "1:pending 2:pending 3:failed 4:pending 5:pending"),
        ("retry --queue default", "1:completed 2:pending 3:failed 4:pending 5:pending"),
        ("dlq retry all", "1:completed 2:pending 3:failed 4:pending 5:pending"),
        ("dlq retry 1-3", "1:completed 2:pending 3:failed 4:pending 5:pending"),
        ("dlq purge", "1:completed 3:failed 4:pending 5:pending"),
        ("remove 1", "2:dead 3:failed 4:pending 5:pending"),
        ("rm completed", "2:dead 3:failed 4:pending 5:pending"),
        ("remove all --yes", ""),
        ("prune --older-than 0 --yes", "2:dead 3:failed 4:pending 5:pending"),
        ("prune --older-than 1d", "1:completed 2:dead 3:failed 4:pending 5:pending"),
        ("prune --older-than 0 --state dead", "1:completed 3:failed 4:pending 5:pending"),
        ("prune", "1:completed 2:dead 3:failed 4:pending 5:pending"),
    ],
)
def test_a_verb_acts_on_what_is_selected(busy: Session, line: str, states: str) -> None:
    """Ranges, filters and `all` skip what does not fit."""
    assert busy.result(line).exit_code == 0
    assert busy.states() == states


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("cancel", 2, "cancel what?"),
        ("retry", 2, "(failed, dead)"),
        ("cancel 99", 3, "no job 99"),
        ("cancel 4 99", 3, "no job 99"),
        ("cancel 4 nobody", 3, "no job nobody"),
        ("cancel runing", 3, "no job runing"),
        ("cancel running", 3, "did you mean processing?"),
        ("cancel 4 --queue nope", 3, "no queue 'nope'"),
        ("cancel 9-5", 2, "runs backwards"),
        ("cancel all", 2, "add --yes"),
        ("cancel 4 5", 2, "add --yes"),
        ("remove all", 2, "add --yes"),
        ("dlq retry 99", 3, "no job 99"),
        ("prune --state failed --older-than 1d", 2, "a final state"),
        ("prune --state dead", 2, "how old?"),
        ("prune --state completed,dead --older-than 7d", 2, "more than 7d ago; up to 2)"),
        ("status 99", 3, "no job 99"),
        ("output 99", 3, "no job 99"),
        ("output 1-3", 2, "can be many jobs"),
        ("output 4", 1, "job 4 has not started"),
        ("output 1 --attempt 7", 3, "there are: 1"),
        ("output 1 --stdout --stderr", 2, "exclude each other"),
        ("list --queue nope", 3, "no queue"),
        ("list --since soon", 2, "--since"),
        ("worker stop --host x", 3, "no host"),
        ("worker start --queue nope", 3, "no queue"),
        ("worker start --until-empty", 2, "for the command line"),
        ("set nope", 2, "no setting"),
        ("set max-retires 3", 2, "did you mean max-retries?"),
        ("set max-retries 2.5", 2, "2.5"),
        ("set --default", 2, "which setting?"),
        ("set timeout 5 --default", 2, "not both"),
        ("set env-capture A --queue default", 2, "not a setting of jobs"),
        ("set timeout 5 --queue nope", 3, "no queue"),
        ("queue create default", 1, "already"),
        ("queue create 'a b'", 2, "a queue's name"),
        ("queue pause nope", 3, "no queue"),
        ("help nope", 2, "no command 'nope'"),
        ("help worker nope", 2, "no command 'worker nope'"),
        ("cd /no/such/place", 1, "No such file"),
        ("!", 2, "run what?"),
    ],
)
def test_a_verb_refuses(busy: Session, line: str, code: int, said: str) -> None:
    """One line says why, with the right exit status; nothing changes."""
    before = busy.states(), busy.json("set")
    status, message = busy.refused(line)
    assert (status, said in message) == (code, True), message
    assert (busy.states(), busy.json("set")) == before


@pytest.mark.parametrize(
    ("line", "note", "states"),
    [
        (
            "cancel 1 4 --yes",
            "job 1 is already completed",
            "1:completed 2:dead 3:failed 4:cancelled 5:pending",
        ),
        (
            "retry 4 2",
            "job 4 has not been run yet",
            "1:completed 2:pending 3:failed 4:pending 5:pending",
        ),
        (
            "dlq retry 1 2",
            "job 1 is completed, not dead",
            "1:completed 2:pending 3:failed 4:pending 5:pending",
        ),
    ],
)
def test_what_is_written_out_and_does_not_fit_is_told(
    busy: Session, line: str, note: str, states: str
) -> None:
    """The others are done; exit status 1."""
    result = busy.result(line)
    assert (result.exit_code, list(result.notes)) == (1, [note])
    assert busy.states() == states


def test_nothing_matched_is_a_sentence(busy: Session) -> None:
    """And no failure."""
    result = busy.result("cancel 100-200")
    assert result.exit_code == 0
    assert result.notes[0] == "nothing to cancel: no jobs among 100-200"


def test_many_are_asked_about_first(tmp_path: Path) -> None:
    """A person who says no has changed nothing; one job needs no question."""
    asked: list[str] = []
    answers = [False, True]

    def confirm(question: str) -> bool:
        asked.append(question)
        return answers.pop(0)

    session = Session(tmp_path, mode=SHELL, confirm=confirm)
    session.result("enqueue true")
    session.result("enqueue true")
    session.result("enqueue true")
    session.result("cancel 3")
    assert session.refused("cancel all") == (1, "nothing was changed")
    session.result("cancel all")
    assert asked == ["cancel 2 jobs?", "cancel 2 jobs?"]
    assert session.states() == "1:cancelled 2:cancelled 3:cancelled"


def test_a_running_job_is_being_stopped(session: Session) -> None:
    """Cancel says so, remove and retry refuse."""
    session.result("enqueue sleep 9")
    session.with_host()
    session.store.claim("host0", 1)
    assert session.text("cancel 1") == "job 1 is being stopped\n"
    assert session.result("remove 1").exit_code == 1
    assert session.result("retry 1").exit_code == 1


def test_paused_jobs_are_resumed(busy: Session) -> None:
    """And say so in the list."""
    busy.result("pause 4-5")
    assert [job["id"] for job in busy.json("list") if job["paused"]] == [4, 5]
    assert busy.text("list 4").splitlines()[1].split()[-2:] == ["paused", "true"]
    busy.result("resume all")
    assert [job["id"] for job in busy.json("list") if job["paused"]] == []


def test_many_changes_are_counted_not_listed(session: Session) -> None:
    """In batches, in constant memory."""
    from queuectl.commands import acting

    session.many(acting.BATCH + 5)
    assert session.text("cancel all --yes") == f"{acting.BATCH + 5} jobs cancelled\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cancel --queue thumbs", "nothing to cancel: no jobs in queue thumbs"),
        ("remove --state pending --name 'x*'", "nothing to remove: no jobs named x*"),
        ("remove dead --name 'f*'", "nothing to remove: no dead jobs named f*; there is 1 pending"),
        ("cancel --queue other", "nothing to cancel: no pending, failed or processing jobs in queue other; there is 1 cancelled"),
        ("cancel --exit 0", "nothing to cancel: no pending, failed or processing jobs that ended with exit 0; there is 1 completed"),
        ("cancel completed", "nothing to cancel: only pending, failed or processing jobs can be"),
        ("remove processing --name five", "nothing to remove: only pending, failed, completed, dead or cancelled jobs can be"),
        ("list --name zz", "no jobs named zz"),
        ("list --exit 7 3 4", "no jobs among 3, 4 that ended with exit 7"),
        ("list 7-9", "no jobs among 7-9"),
        ("list dead --queue other,thumbs", "no dead jobs in queues other or thumbs; there is 1 cancelled"),
        ("follow processing", "nothing to follow: no processing jobs; there are 2 pending, 1 completed, 1 failed, 1 dead, 1 cancelled; the next retry is in a while"),
    ],
)  # fmt: skip
def test_nothing_is_said_of_what_was_asked_for(busy: Session, line: str, said: str) -> None:
    """With its filters, and numbers of the same jobs in other states only."""
    busy.result("queue create thumbs")
    busy.result("queue create other")
    busy.result("enqueue --queue other true")
    busy.result("cancel 6")
    (note,) = busy.notes(line)
    assert re.sub("is in [0-9hms]+$", "is in a while", note) == said


def test_the_next_retry_is_no_schedule(session: Session) -> None:
    """A job whose retry is due already does not wait for the next time of a schedule."""
    session.result("schedule add nightly '0 3 * * *' -- true")
    session.result("enqueue --backoff-base 1 --max-retries 3 false")
    session.ends(1)
    session.result("pause 1")
    assert session.notes("list --state dead") == ["no dead jobs; there is 1 failed"]


def test_nothing_in_an_empty_store_is_a_sentence(session: Session) -> None:
    """What could be enqueued is not glued into it."""
    assert session.notes("cancel all --yes") == ["nothing to cancel: there are no jobs yet"]
    assert session.notes("follow dead") == ["nothing to follow: there are no jobs yet"]
