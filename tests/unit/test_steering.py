"""Jobs changed while they wait, and spoken to while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.store.base import Filter

if TYPE_CHECKING:
    from tests.support.session import Session


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        ("--priority 5", "priority", 5),
        ("--command 'make -j4'", "command", "make -j4"),
        ("--timeout 90", "policy", {"timeout": "1m30s"}),
        ("--max-retries 9", "max_retries", 9),
        ("--name other", "name", "other"),
        ("--cwd /usr", "cwd", "/usr"),
        ("--queue gpu", "queue", "gpu"),
        ("--shell /bin/bash", "policy", {"shell": "/bin/bash"}),
    ],
)
def test_edit_changes_what_its_flags_say(
    session: Session, flags: str, field: str, value: object
) -> None:
    """And nothing else."""
    session.result("queue create gpu")
    session.result("enqueue --no-shell echo 'a b'")
    before = session.job(1)._asdict()
    assert session.text(f"edit 1 {flags}") == "job 1 changed\n"
    after = session.job(1)._asdict()
    assert after[field] == value
    expected = {field} | ({"args", "shell"} if field == "command" or "--shell" in flags else set())
    assert {name for name in after if after[name] != before[name]} <= expected


def test_edit_adds_variables(session: Session) -> None:
    """Those that were captured stay."""
    session.result("enqueue true")
    before = session.job(1).env
    session.result("edit 1 --env A=1 --env SECRET")
    assert session.job(1).env == {**before, "A": "1", "SECRET": "s"}


@pytest.mark.parametrize(
    ("made", "flags", "field", "value"),
    [
        ("--after 1", "--after none", "unmet", 0),
        ("--after-any 1", "--after-any none", "unmet", 0),
        ("--unique k", "--unique none", "unique", None),
        ("--need gpu=1,mem=8G", "--need none", "needs", {}),
        ("--need gpu=1 --slots 2", "--need none", "needs", {"slots": 2}),
        ("--need gpu=1 --slots 2", "--need none --slots 3", "needs", {"slots": 3}),
        ("--timeout 5m", "--timeout none", "policy", {}),
        ("--timeout 5m --retry-on 75", "--retry-on none", "policy", {"timeout": "5m"}),
        ("--on-success ls", "--on-success none", "policy", {}),
        ("--max-retries 9", "--max-retries none", "max_retries", 3),
        ("--name n", "--name none", "name", None),
        ("--after 1 --keep-waiting", "--no-keep-waiting", "policy", {"unmet": "cancel"}),
        ("--merge", "--no-merge", "policy", {"merge": "off"}),
        ("--leave-children", "--no-leave-children", "policy", {"leave-children": "off"}),
    ],
)
def test_none_takes_a_value_back(
    session: Session, made: str, flags: str, field: str, value: object
) -> None:
    """As it does with `queue set`; a switch has a flag that turns it off."""
    session.result("enqueue true")
    session.result(f"enqueue {made} true")
    assert session.text(f"edit 2 {flags}") == "job 2 changed\n"
    assert session.job(2)._asdict()[field] == value


def test_a_job_keeps_a_directory(session: Session) -> None:
    """`none` is not taken for the name of one."""
    session.result("enqueue true")
    before = session.job(1).cwd
    assert session.refused("edit 1 --cwd none")[0] == 2
    assert session.job(1).cwd == before
    session.result("edit 1 --cwd ./none")
    assert session.job(1).cwd == f"{before}/none"


def test_a_time_is_taken_back(session: Session) -> None:
    """The job is due at once."""
    session.result("enqueue --delay 1h true")
    session.result("edit 1 --at none")
    assert session.job(1).due_at <= session.store.now()


def test_on_and_off_at_once_is_refused(session: Session) -> None:
    """Nothing is changed."""
    session.result("enqueue true")
    assert session.refused("edit 1 --merge --no-merge")[0] == 2


def test_move_reorders_and_changes_the_queue(session: Session) -> None:
    """In the order given."""
    session.result("queue create gpu")
    session.many(4)
    session.result("move 3 4 --first")
    session.result("move 1 --last")
    session.result("move 2 --to gpu")
    session.with_host()
    assert [claim.job_id for claim in session.store.claim("host0", 9, ["default"])] == [3, 4, 1]
    assert [job.id for job in session.store.jobs(Filter(queues=("gpu",)))] == [2]


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "term", "15"])
def test_a_signal_is_passed_on(session: Session, name: str) -> None:
    """By any of its names, to running jobs."""
    session.result("enqueue sleep 9")
    session.starts()
    session.result("enqueue true")
    assert session.text(f"signal {name} all") == "job 1 signalled\n"
    assert [(wish.kind, wish.payload) for wish in session.store.take_wishes("host0")] == [
        ("signal", b"15")
    ]
    assert session.result(f"signal {name} 2").notes == ("job 2 is not running",)


def test_a_line_is_sent(session: Session) -> None:
    """To a job that listens."""
    session.result("enqueue --interactive cat")
    session.starts()
    session.result("send 1 a 'b  c'")
    session.result("send 1 --raw x")
    assert [wish.payload for wish in session.store.take_wishes("host0")] == [b"a b  c\n", b"x"]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("edit 4", 2, "change what? for example: edit 4 "),
        ("edit", 2, "missing SELECTION"),
        ("edit all --priority 5", 2, "ids, ranges or names"),
        ("edit failed --priority 5", 2, "ids, ranges or names"),
        ("edit 99 --priority 5", 3, "no job 99"),
        ("edit 4 --queue nope", 3, "no queue"),
        ("edit 4 --name five", 1, "is taken"),
        ("edit 4 --command ''", 2, "the command is empty"),
        ("edit 4 --priority x", 2, "whole number"),
        ("edit 4 --timeout ''", 2, "is not a duration"),
        ("move 4", 2, "move where?"),
        ("move 4 --first --last", 2, "move where?"),
        ("move 4 --to nope", 3, "no queue"),
        ("signal TREM 4", 2, "did you mean TERM?"),
        ("signal 99 4", 2, "is not a signal"),
        ("signal TERM", 2, "signal what?"),
        ("send 4 x", 1, "enqueue it with --interactive"),
        ("send 99 x", 3, "no job 99"),
    ],
)
def test_what_cannot_be_done_is_refused(busy: Session, line: str, code: int, said: str) -> None:
    """In one line, and nothing changes."""
    before = busy.json("list")
    status, message = busy.refused(line)
    assert (status, said in message) == (code, True), message
    assert busy.json("list") == before


def test_running_jobs_are_not_edited(session: Session) -> None:
    """Nor moved."""
    session.result("enqueue sleep 9")
    session.starts()
    assert session.result("edit 1 --priority 5").notes == ("job 1 is running",)
    assert session.result("move 1 --first").exit_code == 1
