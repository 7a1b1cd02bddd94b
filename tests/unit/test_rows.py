"""Lines of `list` and `status`: several jobs of an array on one, and where jobs ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.commands.context import Screen
from queuectl.commands.views import JOB_COLUMNS
from queuectl.job import EXIT, Array, NewJob, Outcome
from queuectl.render import Look, render
from queuectl.store.base import LOOKED_AT, Settlement, Start
from tests.support.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture
def terminal(tmp_path: Path) -> Session:
    """A session at a terminal."""
    return Session(tmp_path, screen=Screen(terminal=True, width=120, height=40))


def column(session: Session, line: str, name: str, block: int = -1) -> list[str | None]:
    """Return the cells of a column of a table in an answer."""
    table = session.result(line).blocks[block]
    at = [one.name for one in JOB_COLUMNS].index(name)
    return [row[at] for row in table.rows]  # type: ignore[union-attr]


def run(session: Session, host: str, jobs: int = 1, code: int | None = 0) -> None:
    """Let a host run some jobs, to their ends unless there is no code."""
    now = session.store.now()
    claims = session.store.claim(host, jobs)
    session.store.start([Start(claim.job_id, claim.token, claim.run, now) for claim in claims])
    if code is not None:
        outcome = Outcome(EXIT, code, started_at=now, finished_at=now)
        session.store.settle(
            [Settlement(claim.job_id, claim.token, claim.run, outcome) for claim in claims]
        )


def shown(session: Session, line: str) -> list[str]:
    """Return the lines of an answer as they stand on the terminal."""
    look = Look(terminal=True, width=120)
    return b"".join(data for _, data in render(session.result(line), look)).decode().splitlines()


def test_an_array_is_a_line_of_each_kind(terminal: Session) -> None:
    """What has ended, each one that runs, and what waits, with the limit as it was given."""
    terminal.result("enqueue true")
    terminal.result("enqueue --array 0-99%2 './sim $QUEUECTL_INDEX'")
    host = terminal.with_host(4)
    run(terminal, host, 5)
    run(terminal, host, 1, code=None)
    lines = [line.split() for line in shown(terminal, "list")]
    lines[1].pop(2), lines[3].pop(3)  # how long they took
    assert lines == [
        ["ID", "STATE", "ARRAY", "TIME", "COMMAND"],
        ["1", "completed", "true"],
        ["2-3", "completed", "2[0-1]", "./sim", "$QUEUECTL_INDEX"],
        ["4", "processing", "2[2]", "./sim", "$QUEUECTL_INDEX"],
        ["5-101", "pending", "2[3-99%2]", "./sim", "$QUEUECTL_INDEX"],
    ]


def test_an_array_with_a_name_is_a_line_too(terminal: Session) -> None:
    """Its jobs are called by their indices, each by itself where it is meant; all or none."""
    said = terminal.text("enqueue --array 3,7-9 --name sim true")
    assert said == "array 1: jobs 1-4: true  (name sim-*)\n"
    assert [terminal.job(number).name for number in range(1, 5)] == ["sim-3", "sim-7", "sim-8", "sim-9"]  # fmt: skip
    assert column(terminal, "list", "NAME") == ["sim-*"]
    assert column(terminal, "list", "ARRAY") == ["1[3…9]"]
    terminal.result("edit sim-7 --name other")
    assert column(terminal, "list", "NAME") == ["sim-3", "other", "sim-*"]
    terminal.result("cancel --yes --name sim-*")
    assert terminal.states() == "1:cancelled 2:pending 3:cancelled 4:cancelled"
    terminal.result("enqueue --name sim-12 true")
    code, said = terminal.refused("enqueue --array 10-13 --name sim true")
    assert (code, said) == (1, "the name 'sim-12' is taken by job 5, which is not finished")
    assert terminal.store.id_of_name("sim-10") is None
    terminal.result("""enqueue --array 1-2 '{"command": "true", "name": "j"}'""")
    assert terminal.job(7).name == "j-2"


def test_a_long_name_hides_no_column(tmp_path: Path) -> None:
    """It is cut, so that those of other jobs are still there, with queue and tries."""
    session = Session(tmp_path, screen=Screen(terminal=True, width=80, height=40))
    session.result("queue create gpu")
    session.result(f"enqueue --name {'long-' * 14}end --queue gpu ./train --with many --words here")
    session.result("enqueue --name short false")
    session.ends(1, 2)
    look = Look(terminal=True, width=80)
    text = b"".join(data for _, data in render(session.result("list"), look)).decode()
    head, first, second = text.splitlines()
    assert [word for word in head.split() if word in ("QUEUE", "NAME", "TRIES")] == ["QUEUE", "NAME", "TRIES"]  # fmt: skip
    assert "long-long" in first
    assert "…" in first
    assert "short" in second
    assert max(map(len, text.splitlines())) <= 80


def ids(session: Session, line: str) -> Sequence[str | None]:
    """Return the ID column."""
    return column(session, line, "ID")


def test_who_wants_each_job_gets_it(terminal: Session) -> None:
    """A flag, programs, what is written out, the tree; a selection is a line as far as it goes."""
    terminal.result("enqueue --array 0-4 true")
    each = ["1", "2", "3", "4", "5"]
    assert ids(terminal, "list") == ids(terminal, "ps") == ["1-5"]
    assert ids(terminal, "list --each") == each
    assert ids(terminal, "status") == ["1-5"]
    assert ids(terminal, "status --each") == each
    assert ids(terminal, "list 2-4") == ["2-4"]
    assert ids(terminal, "list 2 3") == ["2", "3"]
    assert ids(terminal, "list --tree") == each
    assert [job["id"] for job in terminal.json("list")] == [1, 2, 3, 4, 5]
    assert [job["id"] for job in terminal.json("status")["waiting"]] == [1, 2, 3, 4, 5]


def test_a_pipe_gets_each_job(session: Session) -> None:
    """As scripts know it."""
    session.result("enqueue --array 0-4 true")
    assert [line.split()[0] for line in session.text("list").splitlines()] == ["ID", *"12345"]
    assert len(session.text("status").splitlines()) == 8


def test_the_range_is_what_other_commands_take(terminal: Session) -> None:
    """And nothing else is in it."""
    terminal.result("enqueue --array 0-9 true")
    terminal.result("pause 4")
    assert ids(terminal, "list") == ["1-3", "4", "5-10"]
    terminal.result("cancel 5-10 --yes")
    assert column(terminal, "list", "STATE") == ["pending", "pending", "cancelled"]


def test_a_page_has_fifty_lines(terminal: Session) -> None:
    """However many jobs they are; what is not shown is counted in jobs."""
    terminal.result("enqueue --array 0-19 true")
    terminal.many(52)
    assert ids(terminal, "list") == [str(number) for number in range(23, 73)]
    assert terminal.notes("list")[0].startswith("22 older jobs are not shown")
    terminal.result("enqueue --array 0-99 true")
    assert ids(terminal, "list")[-2:] == ["72", "73-172"]
    assert terminal.notes("list")[0].startswith("23 older jobs are not shown")
    assert ids(terminal, "list --limit 2") == ["72", "73-172"]
    assert terminal.notes("list --limit 2") == []


def test_a_page_looks_at_so_many_jobs(terminal: Session) -> None:
    """An array of more is shown as far as that, unless more is asked for."""
    terminal.result(f"enqueue --array 1-{LOOKED_AT + 500} true")
    assert ids(terminal, "list") == [f"501-{LOOKED_AT + 500}"]
    assert terminal.notes("list")[0].startswith("500 older jobs are not shown")
    assert ids(terminal, "list --limit 1") == [f"1-{LOOKED_AT + 500}"]
    table = terminal.result("status").blocks[-1]
    assert table.title == f"Waiting (first {LOOKED_AT} of {LOOKED_AT + 500})"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("indices", "shown"),
    [
        ("3-6", "[3-6]"),
        ("1,3,7-9", "[1…9]"),
        ("0-20:5", "[0…20]"),
        ("7,2", "[7…2]"),
        ("4%1", "[4]"),
    ],
)
def test_indices_are_told_by_their_ends(terminal: Session, indices: str, shown: str) -> None:
    """As a range only where they are one."""
    terminal.result(f"enqueue --array {indices} true")
    assert column(terminal, "list", "ARRAY") == [f"1{shown}"]


def test_commands_that_have_their_number_are_told_by_the_first(terminal: Session) -> None:
    """With what says that the others differ."""
    terminal.store.add(
        [NewJob("./sim", (str(number),), array=Array("a", number)) for number in range(10)]
    )
    assert column(terminal, "list", "COMMAND") == ["./sim 0 …"]


# ---- hosts --------------------------------------------------------------------------------------


def test_one_host_is_not_told(terminal: Session) -> None:
    """Nor those on this machine that have ended."""
    terminal.many(3)
    gone = terminal.with_host()
    run(terminal, gone)
    terminal.store.forget(gone)
    host = terminal.with_host()
    run(terminal, host)
    run(terminal, host, code=None)
    for line in ("list", "status"):
        assert "HOST" not in "\n".join(shown(terminal, line))


def test_several_hosts_are_told(terminal: Session) -> None:
    """Which runs what, and which ran what has ended; what waits has none."""
    terminal.many(5)
    first, second = terminal.with_host(), terminal.with_host()
    run(terminal, first, 2)
    run(terminal, second)
    run(terminal, first, code=None)
    assert column(terminal, "list", "HOST") == [first, first, second, first, None]
    assert column(terminal, "list --each", "HOST") == [first, first, second, first, None]
    assert column(terminal, "status", "HOST", 1) == [first]
    assert "HOST" in "\n".join(shown(terminal, "list"))
    assert [job["host"] for job in terminal.json("list")] == [first, first, second, first, None]
    assert [job["host"] for job in terminal.json("status")["running"]] == [first]


def test_a_host_is_told_by_its_machine(terminal: Session) -> None:
    """Where it is the only one there."""
    terminal.many(3)
    first, second, third = (terminal.with_host() for _ in range(3))
    (info,) = [host for host in terminal.store.hosts() if host.id == first]
    terminal.store.forget(first)
    terminal.store.register(info._replace(hostname="ada"))
    for host in (first, second, third):
        run(terminal, host, code=None)
    assert column(terminal, "list", "HOST") == ["ada", second, third]
