"""Colours of the line, pasted lines, and the toolbar: all pure."""

from __future__ import annotations

import pytest

from queuectl.commands import GRAMMAR
from queuectl.job import COMPLETED, PENDING
from queuectl.render import width_of
from queuectl.shell import lexer
from queuectl.shell.known import Picture
from queuectl.shell.lexer import ShellLexer, load_pygments
from queuectl.shell.paste import lines_of
from queuectl.shell.toolbar import toolbar
from tests.shell.known import PICTURE

LINES = (
    "enqueue --timeout 5m make | grep 'x y' $HOME # c",
    'enqueue {"command": "echo",\n "args": [1, true, null, "a"]}',
    "list --state failed --nonsense x",
    "worker",
    "nonsense 1 2",
    "!ls -l | wc",
    "status # why",
    "cancel 'open",
    "",
    "   ",
)


def styles(line: str, cursor: int | None = None) -> dict[str, str]:
    """Return the class of each piece of a line."""
    at = len(line) if cursor is None else cursor
    return {text: style for style, text in ShellLexer(GRAMMAR).fragments(line, at)}


@pytest.mark.parametrize("line", LINES)
def test_colouring_changes_no_character(line: str) -> None:
    load_pygments()
    assert "".join(text for _, text in ShellLexer(GRAMMAR).fragments(line, len(line))) == line


def test_words_have_the_class_of_what_they_are() -> None:
    found = styles("list --state failed # x")
    assert found["list"] == "class:word.command"
    assert found["--state"] == "class:word.flag"
    assert found["failed"] == "class:word.value"
    assert found["# x"] == "class:word.comment"


def test_errors_are_marked_but_not_while_a_word_is_being_typed() -> None:
    assert styles("nonsens")["nonsens"] == "class:word.error"
    assert styles("statu")["statu"] != "class:word.error"
    assert styles("statu", cursor=0)["statu"] == "class:word.error"
    assert styles("list --sta")["--sta"] != "class:word.error"
    assert styles("list --sta x")["--sta"] == "class:word.error"
    assert styles("cancel 'open")["'open"] != "class:word.error"


def test_tails_are_plain_until_pygments_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexer, "_lexers", {})
    before = ShellLexer(GRAMMAR).invalidation_hash()
    assert styles('enqueue {"a": 1}')['{"a": 1}'] == "class:word.json"
    load_pygments()
    assert ShellLexer(GRAMMAR).invalidation_hash() != before
    assert "pygments" in styles('enqueue {"a": 1}')["1"]
    assert "pygments" in styles("enqueue echo $HOME")["$HOME"]


def test_a_very_long_tail_stays_plain() -> None:
    load_pygments()
    tail = "x" * (lexer.LONGEST + 1)
    assert styles(f"enqueue {tail}")[tail] == "class:word.tail"


@pytest.mark.parametrize(
    ("text", "lines", "rest"),
    [
        ("list\nstatus\n", ["list", "status"], ""),
        ("list\nsta", ["list"], "sta"),
        ("\n\nlist\n\n", ["list"], ""),
        ('enqueue {"command":\n"x"}\nlist\n', ['enqueue {"command":\n"x"}', "list"], ""),
        ('enqueue {"command":\n"x"', [], 'enqueue {"command":\n"x"'),
        ("enqueue a \\\nb\nlist\n", ["enqueue a \\\nb", "list"], ""),
        ("list\nenqueue a \\\nb", ["list"], "enqueue a \\\nb"),
        ("list", [], "list"),
        ("", [], ""),
    ],
)
def test_a_pasted_text_is_taken_apart_into_lines(text: str, lines: list[str], rest: str) -> None:
    assert lines_of(GRAMMAR, text) == (lines, rest)


def shown(
    picture: Picture, width: int, store: str = "sqlite:////var/lib/q/queue.db", hint: str = ""
) -> str:
    return "".join(text for _, text in toolbar(picture, store, width, hint))


def test_the_toolbar_counts_jobs_and_workers() -> None:
    assert shown(PICTURE, 120) == (
        " 2 pending  1 processing  7 completed  1 failed  1 dead  1/2 workers busy"
        "  sqlite:////var/lib/q/queue.db"
    )
    assert shown(Picture(), 80) == " no jobs  no workers  sqlite:////var/lib/q/queue.db"
    assert "workers: 3 elsewhere" in shown(Picture(elsewhere=3), 80)
    assert "1,000,000 pending" in shown(Picture(counts={PENDING: 10**6, COMPLETED: 0}), 80)


def test_the_toolbar_names_a_queue_that_has_paused_itself() -> None:
    assert "  queue gpu halted  " in shown(PICTURE._replace(halted=("gpu",)), 120)
    assert "  2 queues halted  " in shown(PICTURE._replace(halted=("a", "b")), 120)
    assert "\x1b" not in shown(PICTURE._replace(halted=("\x1b[2J",)), 120)


@pytest.mark.parametrize("width", range(1, 130))
def test_the_toolbar_fits_any_width(width: int) -> None:
    assert width_of(shown(PICTURE, width)) <= width
    assert width_of(shown(PICTURE._replace(trouble="no space left"), width)) <= width
    assert width_of(shown(PICTURE._replace(halted=("gpu",)), width)) <= width


def test_trouble_stands_before_all_else_and_cannot_control_the_terminal() -> None:
    assert shown(PICTURE._replace(trouble="disk\x1b[2J full"), 80, hint="x") == " disk\\x1b[2J full"
    assert shown(PICTURE, 80, hint="go on") == " go on"
    assert "\x1b" not in shown(PICTURE, 200, store="/tmp/\x1b[2J")
