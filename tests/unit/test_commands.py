"""Workers, waiting and the session itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.commands.context import ONE_SHOT, SHELL
from queuectl.commands.jobs import NO_WORKERS
from queuectl.commands.result import Text
from queuectl.render import Look, render
from tests.support.session import Session

if TYPE_CHECKING:
    from pathlib import Path


def asked_to_stop(session: Session, line: str) -> str:
    """Return what is said before the end of the host is waited for; these hosts never end."""
    (block,) = session.answer(line).blocks
    assert isinstance(block, Text)
    return block.text


def test_hosts_are_listed_and_asked_to_stop(session: Session) -> None:
    """The only one without being named; of several one has to be."""
    assert session.text("worker stop") == "no workers are running\n"
    assert session.notes("worker list") == ["no workers are running: start one with `worker start`"]
    session.with_host(2)
    session.result("enqueue sleep 9")
    (claim,) = session.store.claim("host0", 1)
    from queuectl.store.base import Start

    session.store.start([Start(claim.job_id, claim.token, claim.run, session.store.now())])
    assert session.json("worker list")[0]["running"] == [1]
    assert (
        asked_to_stop(session, "worker stop 1") == "host host0: 1 worker stopping when job 1 ended"
    )
    assert session.store.hosts()[0].stop_requested == "drain"
    session.with_host()
    assert "which of host0" in session.refused("worker stop")[1]
    asked_to_stop(session, "worker stop --host host1 --now")
    assert [host.stop_requested for host in session.store.hosts()] == ["drain", "now"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("wait 1", 0), ("wait 2", 4), ("wait 2 --for dead", 0), ("wait 1 2", 4), ("wait 1-2 --for completed,dead", 0),
        ("wait 4 --timeout 0", 4), ("wait 4 --for pending", 0), ("wait --timeout 0", 4),
    ],
)  # fmt: skip
def test_waiting_for_what_has_ended_ends_at_once(busy: Session, line: str, code: int) -> None:
    """With status 4 when it ended otherwise, or has not."""
    assert busy.result(line).exit_code == code


def test_wait_tells_of_changes(session: Session) -> None:
    """A line for each, while they happen."""
    session.result("enqueue true")
    result = session.answer("wait")
    session.ends(0)
    shown = b"".join(data for _, data in render(result, Look()) if _ == 1).decode()
    assert shown.startswith("job 1: pending → completed (exit 0, ")


def test_a_command_runs_now(session: Session) -> None:
    """Its exit status is the answer's."""
    assert session.result("!exit 7").exit_code == 7
    assert session.result("! true").exit_code == 0


def test_the_directory_of_jobs_can_be_changed(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For jobs enqueued from then on."""
    monkeypatch.chdir("/")
    session.result("cd /usr")
    session.result("cd bin")
    assert session.text("pwd") == "/usr/bin\n"
    session.result("enqueue true")
    assert session.job(1).cwd == "/usr/bin"


def test_a_directory_changed_by_a_single_command_is_none(tmp_path: Path) -> None:
    """The process ends with it: that is said instead of nothing."""
    session = Session(tmp_path, mode=ONE_SHOT)
    code, said = session.refused("cd /usr")
    assert code == 2
    assert "enqueue --cwd /usr" in said


def test_that_nobody_works_is_said_once_until_that_changes(tmp_path: Path) -> None:
    """In the shell, where one job after the other is typed; a script hears it once."""
    session = Session(tmp_path, mode=SHELL)
    assert session.notes("enqueue true") == [NO_WORKERS]
    assert session.notes("enqueue true") == []
    assert session.notes("enqueue true ::: a b") == []
    host = session.with_host()
    assert session.notes("enqueue true") == []
    session.store.forget(host)
    assert session.notes("enqueue true") == [NO_WORKERS]
    session.result("worker stop")
    assert session.notes("enqueue true") == [NO_WORKERS]
    assert session.notes("enqueue true") == []
    session.result("queue pause default")
    paused = "queue default is paused: it waits until `queue resume default`"
    assert session.notes("enqueue true") == [paused]
    assert session.notes("enqueue true") == []
    session.result("queue resume default")
    session.result("queue pause default")
    assert session.notes("enqueue true") == [paused]


def test_exit_leaves(session: Session) -> None:
    """By telling the session."""
    session.result("quit")
    assert session.ctx.leaving
