"""Between lines: what stays on the screen, what is typed ahead, lines that go on, what is told once."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

import pytest

from queuectl.shell import terminal
from queuectl.shell.session import Session
from tests.shell.screen import CTRL_C, ENTER, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ESCAPE = "\x1b"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with Shell(tmp_path) as shell:
        yield shell


def states(shell: Shell) -> dict[int, str]:
    return {job["id"]: job["state"] for job in json.loads(shell.queuectl("list", "--json"))}


def two_jobs(shell: Shell) -> None:
    shell.run("enqueue true", "job 1 enqueued")
    shell.run("enqueue true", "job 2 enqueued")


# ---- output that does not end its line --------------------------------------------------------


@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.parametrize("short_of", [None, 2, 1, 0, -1])
def test_the_prompt_begins_a_line_of_its_own(
    tmp_path: Path, columns: int, short_of: int | None
) -> None:
    """Behind one character too, and behind a line that is exactly full: nothing lost, no gap."""
    size = 1 if short_of is None else columns - short_of
    with Shell(tmp_path, columns=columns) as shell:
        shell.run(f"!printf %0{size}d 7")
        shell.see_line("queuectl>")
        rows = shell.rows[: shell.rows.index("queuectl>")]
        command = next(at for at, row in enumerate(rows) if row.endswith("d 7"))
        assert "".join(rows[command + 1 :]) == f"{7:0{size}}"
        assert len(rows[command + 1 :]) == -(-size // columns)


def test_output_of_one_character_is_seen(shell: Shell) -> None:
    shell.run("worker start")
    shell.run("enqueue printf x", "job 1 enqueued", "job 1 completed")
    shell.run("output last")
    assert "\nx\n" in shell.text


# ---- questions --------------------------------------------------------------------------------


def test_what_is_typed_ahead_does_not_answer_a_question(shell: Shell) -> None:
    two_jobs(shell)
    shell.type(f"cancel all{ENTER}edit 1 --delay 5{ENTER}")
    shell.see("cancel 2 jobs? [y/n]")
    shell.see_line("cancel 2 jobs? [y/n]")
    shell.type("n")
    shell.see("nothing was changed")
    shell.see("job 1 changed")
    assert states(shell) == {1: "pending", 2: "pending"}


def test_what_comes_in_one_piece_with_more_is_no_answer(shell: Shell) -> None:
    """A text that is pasted where nothing marks it arrives at once."""
    two_jobs(shell)
    shell.type("cancel all" + ENTER)
    shell.see("[y/n]")
    shell.type("yes | head" + ENTER)
    shell.see("y: yes; n: no")
    shell.paste("y")
    shell.type("n" + ENTER)
    shell.wait_for(lambda: shell.text.count("y: yes; n: no") == 2, "the answers again")
    shell.type("y" + ENTER)
    shell.see("job 2 cancelled")


@pytest.mark.parametrize("key", [ENTER, ESCAPE])
def test_enter_and_escape_change_nothing(shell: Shell, key: str) -> None:
    two_jobs(shell)
    shell.type("cancel all" + ENTER)
    shell.see("[y/n]")
    shell.type(key)
    shell.see("nothing was changed")
    shell.run("version", "queuectl ")


def test_ctrl_c_takes_a_question_back(shell: Shell) -> None:
    two_jobs(shell)
    shell.type("cancel all" + ENTER)
    shell.see("[y/n]")
    shell.type(CTRL_C)
    shell.see("interrupted")
    assert states(shell) == {1: "pending", 2: "pending"}


def test_an_answer_typed_ahead_of_leaving_is_none(shell: Shell) -> None:
    shell.run("worker start")
    shell.run("enqueue sleep 60")
    shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "a running job")
    shell.type(f"exit{ENTER}sw")
    shell.see("Job 1 runs here")
    shell.see_line("Job 1 runs here")
    shell.type("c")
    shell.see_line("queuectl> sw")


# ---- lines that go on -------------------------------------------------------------------------


def test_a_line_goes_on_behind_a_backslash(shell: Shell) -> None:
    shell.type("enqueue --name two \\")
    shell.see("goes on behind its backslash")
    shell.type(ENTER)
    shell.see_line(".........")
    shell.type("echo one && \\" + ENTER)
    shell.run("echo two", "job 1 enqueued: echo one && echo two  (name two)")
    shell.paste("enqueue \\\n  echo three\nenqueue echo four\n")
    shell.see("job 2 enqueued: echo three")
    shell.see("job 3 enqueued: echo four")


def test_a_flag_is_completed_on_the_second_row(shell: Shell) -> None:
    shell.type("enqueue --name a \\" + ENTER + "--prio\t")
    shell.see_line("......... --priority")


# ---- told once --------------------------------------------------------------------------------


def test_what_follow_tells_needs_no_notice(shell: Shell) -> None:
    shell.run("worker start 2")
    os.mkfifo(shell.directory / "end")
    shell.run("enqueue read x < end", "job 1 enqueued")
    shell.run("enqueue sleep 0.2", "job 2 enqueued")
    shell.type("follow 1 2" + ENTER)
    shell.see("2 | completed")
    (shell.directory / "end").write_text("now\n")
    shell.see("1 | completed")
    shell.see_line("queuectl>")
    shell.run("enqueue echo seen", "job 3 completed")
    assert "job 1 completed" not in shell.text
    assert "job 2 completed" not in shell.text


def test_what_follow_does_not_tell_is_noticed(shell: Shell) -> None:
    shell.run("worker start 3")
    for name in ("first", "second", "other"):
        os.mkfifo(shell.directory / name)
        shell.run(f"enqueue read x < {name}")
    shell.type("follow 1 2" + ENTER)
    shell.see("2 | started")
    (shell.directory / "other").write_text("now\n")
    shell.queuectl("wait", "3")
    (shell.directory / "first").write_text("now\n")
    shell.see("1 | completed")
    shell.type(CTRL_C)
    shell.see("job 3 completed")
    (shell.directory / "second").write_text("now\n")
    shell.see("job 2 completed")
    assert "job 1 completed" not in shell.text


def test_what_worker_stop_now_tells_needs_no_notice(shell: Shell) -> None:
    shell.run("worker start")
    shell.run("enqueue sleep 60")
    shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "a running job")
    shell.run("worker stop --now", "job 1 is ended and handed back")
    shell.wait_for(lambda: shell.toolbar.startswith("1 pending"), "the job handed back")
    shell.run("worker start")
    shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "the job again")
    shell.run("cancel 1", "job 1 cancelled (")
    assert "job 1 handed back" not in shell.text


# ---- operators of a shell ---------------------------------------------------------------------


def test_the_hint_names_what_can_be_run_here(tmp_path: Path) -> None:
    with Shell(tmp_path, columns=300, environ={"PATH": "/usr/bin:/bin"}) as shell:
        shell.run("list > file")
        (hint,) = [row for row in shell.rows if "means nothing here" in row]
        _, _, command = hint.partition("to use a shell: ")
        assert command.endswith(" list > …")
        shell.run(command.replace("list > …", "version | tr q Q"), "\nQueuectl 0")


@pytest.mark.parametrize("alive", [True, False])
def test_the_end_of_a_terminal_is_a_hang_up_wherever_it_is_met(
    monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    """Also while a question is drawn, before the signal has come."""

    def fail() -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    shell = Session.__new__(Session)
    monkeypatch.setattr(shell, "_turn", fail, raising=False)
    monkeypatch.setattr(terminal, "alive", lambda: alive)
    with pytest.raises(OSError if alive else terminal.Terminated):
        shell._safe_turn()
