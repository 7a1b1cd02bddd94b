"""Workers, waiting and the session itself."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from queuectl.commands import GRAMMAR
from queuectl.commands.context import ONE_SHOT, SHELL, Screen
from queuectl.commands.jobs import NO_WORKERS
from queuectl.commands.result import Text
from queuectl.render import Look, render
from queuectl.store.base import Start
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
        asked_to_stop(session, "worker stop 1")
        == "host host0: 1 worker stopping when job 1 has ended"
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


@pytest.mark.parametrize(("term", "drawn"), [("xterm", True), ("dumb", False), ("", False)])
def test_wait_draws_a_bar_where_it_can(tmp_path: Path, term: str, drawn: bool) -> None:
    """A terminal that cannot move its cursor would show it again and again."""
    session = Session(tmp_path, screen=Screen(terminal=True))
    session.ctx.environ = {**session.ctx.environ, "TERM": term}
    session.result("enqueue true")
    shown = b"".join(data for _, data in render(session.answer("wait --timeout 0.1s"), Look()))
    assert (b"\x1b" in shown) is drawn


def test_a_command_runs_now(session: Session) -> None:
    """Its exit status is the answer's."""
    assert session.result("!exit 7").exit_code == 7
    assert session.result("! true").exit_code == 0


@pytest.mark.parametrize("words", [["echo a  b; exit 7"], ["sh", "-c", "echo 'a  b'; exit 7"]])
def test_words_of_a_command_line_run_now(
    tmp_path: Path, words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """One is a line for a shell; of several each stays what it is."""
    invocation = GRAMMAR.parse_argv(["!", *words])
    session = Session(tmp_path, mode=ONE_SHOT)
    assert invocation.command.load()(session.ctx, invocation.args).exit_code == 7
    assert capfd.readouterr().out.split() == ["a", "b"]


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


def test_a_host_that_drains_is_stopping(session: Session) -> None:
    """Also when it has heard, and has no workers any more."""
    name = session.with_host()
    session.result("enqueue true")
    session.starts()
    (host,) = session.store.hosts()
    session.store.register(host._replace(workers=0))
    assert session.text("worker list").splitlines()[1].endswith("stopping")
    session.store.register(host._replace(seen_at=session.store.now() - 600_000))
    header, row = session.text("worker list").splitlines()
    assert row[header.index("SEEN") :].startswith("10m ago")
    assert name in row


def test_a_host_is_meant_by_enough_of_its_id(session: Session) -> None:
    """Or all of it; a slip of a finger drains nothing."""
    session.with_host()
    status, said = session.refused("worker stop --host h")
    assert (status, said) == (
        2,
        "worker stop: 'h' is too little of an id: give 4 characters or more",
    )
    asked_to_stop(session, "worker stop --host host")
    (host,) = session.store.hosts()
    session.store.register(host._replace(id="a1", stop_requested=None))
    asked_to_stop(session, "worker stop --host a1")


def test_a_job_says_where_it_runs(session: Session) -> None:
    """As `worker list` does: the machine, and a short id; JSON has all of it."""
    host_id = "0123456789abcdef" * 2
    session.with_host()
    (host,) = session.store.hosts()
    session.store.register(host._replace(id=host_id, hostname="mill"))
    session.store.forget("host0")
    session.result("enqueue true")
    (claim,) = session.store.claim(host_id, 1)
    session.store.start([Start(claim.job_id, claim.token, claim.run, session.store.now())])
    shown = session.text("status 1")
    assert shown.count("mill 01234567 ") + shown.count("mill 01234567\n") == 2
    assert host_id not in shown
    assert session.json("status 1")["history"][0]["host"] == host_id


def test_commas_separate_queues_everywhere(session: Session) -> None:
    """As the table says; split where lines are read."""
    session.result("queue create a")
    session.result("queue create b")
    assert [row["queue"] for row in session.json("stats --queue a,b")] == ["a", "b"]
    assert session.json("list --queue a,b --queue default") == []
    for line in ("stats --queue a,c", "worker start --queue a,c", "serve --queue a,c"):
        invocation = GRAMMAR.parse_line(line)
        assert invocation is not None
        assert invocation.args.queue == ["a", "c"]
    invocation = GRAMMAR.parse_line("enqueue --need gpu=1,mem=8G --after 1,2 -- true")
    assert invocation is not None
    assert (invocation.args.need, invocation.args.after) == (["gpu=1", "mem=8G"], ["1", "2"])
    # nothing but commas is wrong, not nothing
    assert session.refused("enqueue --after , -- true")[0] == 2


def test_settings_without_a_value_show_it(session: Session) -> None:
    """As `-`; and `default` is no value."""
    assert session.text("set env-capture ''").startswith("env-capture is -")
    assert session.text("set env-capture").startswith("env-capture is - (store): ")
    assert session.refused("set max-retries default")[1].endswith(
        "; to take a change back: set max-retries --default"
    )


def test_doctor_counts_no_paused_jobs(session: Session) -> None:
    """For them no worker is missing."""
    session.result("enqueue true")
    session.result("enqueue true")
    assert _found(session, "work") == [
        (False, "2 jobs wait and there are no workers: start one with `worker start`")
    ]
    session.result("pause all")
    assert _found(session, "work") == []


def test_doctor_looks_at_the_clock(session: Session) -> None:
    """What is dated in the future tells that it was set back."""
    assert _found(session, "clock") == [(True, "nothing is dated in the future")]
    session.with_host()
    (host,) = session.store.hosts()
    session.store.register(host._replace(seen_at=session.store.now() + 3_700_000))
    ((well, said),) = _found(session, "clock")
    assert not well
    assert said.startswith("host host0 was seen 1h1m in the future: ")


def test_doctor_judges_a_host_with_a_lease_by_that(session: Session) -> None:
    """Its file is elsewhere: of a worker behind HTTP on this machine, of a program that claims."""
    session.with_host()
    (host,) = session.store.hosts()
    here = host._replace(hostname=socket.gethostname(), workers=1)
    session.store.register(here)
    ((well, said),) = _found(session, "host")
    assert not well
    assert "its file is missing" in said
    now = session.store.now()
    session.store.register(here._replace(lease=600_000, seen_at=now - 200_000))
    ((well, said),) = _found(session, "host")
    assert well
    assert "1 worker: seen 200 s ago" in said
    session.store.register(here._replace(lease=60_000, seen_at=now - 200_000))
    ((well, said),) = _found(session, "host")
    assert not well
    assert "its lease has ended" in said


def _found(session: Session, topic: str) -> list[tuple[bool, str]]:
    return [(row["ok"], row["text"]) for row in session.json("doctor") if row["topic"] == topic]
