"""What people type by habit or by a slip: it is noticed, and the right thing is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from queuectl.commands import GRAMMAR
from queuectl.commands.help import explain, overview
from queuectl.errors import QueuectlError
from queuectl.timespec import iso_time

if TYPE_CHECKING:
    from pathlib import Path

    from queuectl.commands.result import Result
    from queuectl.grammar import Command
    from tests.support.session import Session


def argv(session: Session, *words: str) -> Result:
    """Run the words of a command line."""
    invocation = GRAMMAR.parse_argv(words)
    answer: Result = invocation.command.load()(session.ctx, invocation.args)
    return answer


def printed(session: Session, line: str) -> str:
    """Return what a dry run prints."""
    (block,) = session.result(line).blocks
    return b"".join(data for _, data in block.pieces).decode()  # type: ignore[union-attr]


@pytest.mark.parametrize("flag", ["--store=http://x", "--schema", "--token-file", "--json"])
def test_a_flag_of_the_session_behind_the_command_is_noticed(session: Session, flag: str) -> None:
    """It went to the job, whether a shell reads the command or not; behind -- that is meant."""
    session.with_host()
    name = flag.partition("=")[0]
    (note,) = session.notes(f"enqueue echo -j4 {flag} x")
    assert note.startswith(f"{name} stands behind the command and goes to it")
    assert ("the job is not in that store" in note) == (name == "--store")
    (note,) = argv(session, "enqueue", "echo", flag, "x").notes
    assert note.startswith(name)
    assert session.notes(f"enqueue --dry-run echo {flag}") == [note]
    assert session.notes(f"enqueue -- echo {flag}") == []
    assert session.notes(f"enqueue --array 1-2 -- echo {flag}") == []
    assert session.notes(f"enqueue --array 1-2 echo {flag}") == [note]
    assert session.notes(f"enqueue echo {flag} ::: a") == [note]


def test_a_time_that_has_passed_is_noticed(session: Session) -> None:
    """More than a day ago it is a slip; what JSON says is taken, as it may come from a program."""
    session.with_host()
    now = session.store.now()
    hour_ago, week_ago = iso_time(now - 3_600_000), iso_time(now - 7 * 86_400_000)
    (note,) = session.notes(f"enqueue --at {hour_ago} true")
    assert "has passed: it may start at once" in note
    session.result("enqueue --paused true")
    (note,) = session.notes(f"edit 2 --at {hour_ago}")
    assert "has passed" in note
    for line in (f"enqueue --at {week_ago} true", f"edit 2 --at {week_ago}"):
        code, said = session.refused(line)
        assert (code, "more than a day past" in said) == (2, True)
    given = json.dumps({"command": "true", "at": week_ago})
    (note,) = session.notes(f"enqueue {given}")
    assert "has passed" in note
    assert session.notes("enqueue --delay 0 true") == []


def test_a_delay_is_taken_back(session: Session) -> None:
    """As a time is; of a new job there is none."""
    session.result("enqueue --delay 1h true")
    assert session.text("edit 1 --delay none") == "job 1 changed\n"
    due = session.job(1).next_run_at
    assert due is None or due <= session.store.now()
    assert session.refused("enqueue --delay none true")[0] == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kill -9 trap", "cancel: -9 is no job; to send a signal: signal KILL trap; to end it at once: cancel --now trap"),
        ("cancel -10 3 4", "cancel: -10 is no job; to send a signal: signal USR1 3 4"),
        ("edit pending --priority 4", "it takes ids, ranges or names"),
        ("edit pending --priority 4", "3-9 or 4,7 are many at once"),
        ("output 1-3", "output takes one job, and 1-3 can be many jobs: `follow 1-3` shows"),
        ("output failed", "`follow failed`"),
    ],
)  # fmt: skip
def test_what_is_meant_is_said(session: Session, line: str, said: str) -> None:
    """In place of looking for a job of that name."""
    with pytest.raises(QueuectlError) as caught:
        session.result(line)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("wait --for runing", "did you mean processing?"), ("wait --for pendign", "did you mean pending?"),
        ("list --state finshed", "did you mean completed?"), ("cancel runing", "did you mean processing?"),
        ("cancel lats", "did you mean last?"), ("cancel COMPLETED", "did you mean completed?"),
    ],
)  # fmt: skip
def test_a_state_that_is_misspelt_is_named(session: Session, line: str, said: str) -> None:
    """Also by the word that other queues have for it; no word is near to just anything."""
    assert said in session.refused(line)[1]
    assert "did you mean" not in session.refused("cancel oldie")[1]


def test_a_state_may_be_written_large(session: Session) -> None:
    session.result("enqueue true")
    assert [job["id"] for job in session.json("list --state PENDING,Failed")] == [1]


def test_a_dry_run_tells_the_jobs_apart(session: Session, tmp_path: Path) -> None:
    """By index, by name, by what they wait for; for machines, too."""
    assert printed(session, "enqueue --array 0-10:5 --dry-run echo") == (
        "echo  # index 0\necho  # index 5\necho  # index 10\n"
    )
    assert [job["index"] for job in session.json("enqueue --dry-run --json --array 1-2 echo")] == [1, 2]  # fmt: skip
    jobs: list[dict[str, object]] = [
        {"name": "a", "command": "make"},
        {"name": "b", "command": "t", "after": ["a"]},
        {"command": "u", "after": ["a"], "after_any": ["b"]},
    ]
    (tmp_path / "graph").write_text(json.dumps(jobs))
    assert printed(session, "enqueue --dry-run --from graph") == (
        "make  # name a\nt  # name b, after a\nu  # after a, after-any b\n"
    )


def test_a_place_in_another_shells_code_is_noticed(session: Session) -> None:
    """Also before anything is enqueued."""
    session.with_host()
    line = "sh -c 'echo {} | cat' ::: 'x y'"
    for flag in ("", "--dry-run"):
        (note,) = session.notes(f"enqueue {flag} {line}")
        assert note.endswith("""sh -c '… "$1"' sh {} passes it as an argument""")
    assert session.notes("enqueue sh -c 'echo \"$1\"' sh {} ::: 'x y'") == []


@pytest.mark.parametrize("width", [40, 58, 80, 100])
@pytest.mark.parametrize("command", GRAMMAR.table, ids=lambda command: command.name)
def test_help_breaks_between_words(command: Command, width: int) -> None:
    """No line is wider than the terminal, but for examples, and no word is cut."""
    lines = list(explain(command, width))
    examples = {f"  {example}" for example in command.examples}
    assert not [line for line in lines if len(line) > width and line not in examples and " " in line.strip()]  # fmt: skip
    words = " ".join(lines).split()
    for param in command.params:
        assert set(param.help.split()) <= set(words)
    assert all(len(line) <= width for line in overview(width))
