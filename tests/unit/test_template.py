"""A queue's command and its messages."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.errors import BadValue, UsageError
from queuectl.job import LONGEST_WORD, NewJob
from queuectl.template import Template, check_message, read_template, template_of

MESSAGES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("./thumb.sh {}", ("./thumb.sh", "b c")),
        ("./thumb.sh", ("./thumb.sh", "b c")),
        ("cp {} 'out dir'/{}.bak", ("cp", "b c", "out dir/b c.bak")),
        ("run --file={} -x", ("run", "--file=b c", "-x")),
        ('say "a {}"', ("say", "a b c")),
        ("{}", ("b c",)),
    ],
)
def test_a_message_is_one_argument(line: str, words: tuple[str, ...]) -> None:
    """In place of each {}, or behind the last word."""
    command, args, shell = read_template(line).argv("b c")
    assert (command, *(args or ())) == words
    assert not shell


@given(MESSAGES)
def test_no_message_is_changed_or_taken_apart(message: str) -> None:
    """Whatever is in it."""
    assert read_template("x {}").argv(message) == ("x", (message,), False)
    assert read_template("x").argv(message) == ("x", (message,), False)
    assert read_template("x {}", shell=True).argv(message) == ("x {}", (message,), True)


@pytest.mark.parametrize(
    "message", ["a  b", "*", "$(id)", "'", '"', "-n", "", "a\nb", "{}", "\udcff"]
)
def test_a_shell_gets_it_as_its_first_argument(message: str) -> None:
    """So that a shell never reads what is in it."""
    line, args, shell = read_template('printf %s "$1"', shell=True).argv(message)
    assert shell
    argv = ["/bin/sh", "-c", line, "sh", *(args or ())]
    assert subprocess.run(argv, capture_output=True, check=True).stdout == message.encode(
        "utf-8", "surrogateescape"
    )


@pytest.mark.parametrize("line", ["", "  ", "echo 'x", 'echo "', "echo \\", "''", "a\0b"])
def test_a_command_that_cannot_be_run_is_refused(line: str) -> None:
    """When the queue is made, not when its jobs run."""
    with pytest.raises(UsageError, match="command: "):
        read_template(line)


def test_a_shell_judges_its_own_quotes() -> None:
    """A line for a shell may hold a here-document."""
    line = "cat <<EOF\nit's $1\nEOF"
    assert read_template(line, shell=True).words == (line,)


@pytest.mark.parametrize("message", ["a\0b", "x" * (LONGEST_WORD + 1), "é" * LONGEST_WORD])
def test_what_cannot_be_an_argument_is_refused(message: str) -> None:
    """No program could be given it."""
    with pytest.raises(UsageError, match="message: "):
        check_message(message)
    with pytest.raises(UsageError, match="message: "):
        read_template("x {}").argv(message)
    check_message("x" * LONGEST_WORD)


def test_settings_make_a_template() -> None:
    """Those of the queue; none without a command."""
    assert template_of({}) is None
    assert template_of({"command": " ", "timeout": "1m"}) is None
    settings = {"command": "a 'b c'", "command-cwd": "/x"}
    assert template_of(settings) == Template(("a", "b c"), shell=False, cwd="/x")
    assert template_of({"command": "a 'b", "command-shell": "on"}) == Template(
        ("a 'b",), shell=True
    )
    with pytest.raises(UsageError):
        template_of({"command": "a 'b"})


def test_jobs_are_like_the_one_given() -> None:
    """But for the command, the message and the directory."""
    like = NewJob(
        "", queue="q", priority=3, cwd="/here", env={"A": "b"}, unique="k", needs={"gpu": 1}
    )
    template = read_template("do {}", cwd="/there")
    assert template.maker(like)("m") == like._replace(
        command="do", args=("m",), shell=False, cwd="/there", message="m"
    )
    assert read_template("do").maker(like)("m").cwd == "/here"
    with pytest.raises(BadValue):
        template.maker(like)("\0")


@given(st.lists(MESSAGES.filter(str.strip), min_size=1))
def test_words_are_split_as_a_shell_splits_them(words: list[str]) -> None:
    """Whatever is quoted."""
    words = [word.replace("{}", "") or "x" for word in words]
    assert read_template(shlex.join(words)).words == tuple(words)
