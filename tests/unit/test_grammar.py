"""The command table: what lines and argvs mean, and what is wrong with them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.commands import GRAMMAR, TABLE
from queuectl.errors import UsageError
from queuectl.grammar.reading import goes_on, joined
from queuectl.grammar.table import COMMON, FLAG, OPTION, TAIL


def given_args(text: str) -> tuple[str, dict[str, Any]]:
    """Return the command of a line and those of its arguments that say something."""
    invocation = GRAMMAR.parse_line(text)
    assert invocation is not None
    return invocation.command.name, {
        k: v for k, v in vars(invocation.args).items() if v not in (None, False, [])
    }


@pytest.mark.parametrize(
    ("text", "command", "args"),
    [
        ("status", "status", {}),
        ("  list --state failed,dead  # those", "list", {"state": [("failed", "dead")]}),
        ("list failed --queue gpu 3", "list", {"which": ["failed", "3"], "queue": ["gpu"]}),
        ("list --queue=a --queue b", "list", {"queue": ["a", "b"]}),
        ("ps", "list", {}),
        ("worker start 3", "worker start", {"workers": 3}),
        ("worker stop --now", "worker stop", {"now": True}),
        ("set max-retries 5", "set", {"setting": "max-retries", "value": ["5"]}),
        ("set env-capture PATH LANG", "set", {"setting": "env-capture", "value": ["PATH", "LANG"]}),
        ("set jitter -1", "set", {"setting": "jitter", "value": ["-1"]}),
        ("list --exit -9", "list", {"exit": ["-9"]}),
        ("list --name '--x'", "list", {"name": "--x"}),
        ("cancel -- --odd", "cancel", {"which": ["--odd"]}),
        ("list --json", "list", {"json": True}),
        ("help worker start", "help", {"command": ["worker", "start"]}),
        ("worker start --help", "help", {"command": ["worker", "start"]}),
        ("ps -h", "help", {"command": ["list"]}),
        ("quit", "exit", {}),
        ("prune --older-than 1d12h", "prune", {"older_than": 129_600_000}),
    ],
)
def test_a_line_means(text: str, command: str, args: dict[str, Any]) -> None:
    """A command and its arguments, converted."""
    assert given_args(text) == (command, args)


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("enqueue sleep 5 && echo done", "sleep 5 && echo done"),
        ("enqueue ls -l", "ls -l"),
        ("enqueue   make  -j4   ", "make  -j4"),
        ("enqueue --timeout 5m make -j4 --queue x", "make -j4 --queue x"),
        ("enqueue --quiet --name=x 'make && make test'", "'make && make test'"),
        ("enqueue echo a # b", "echo a # b"),
        ("enqueue -- -weird --help", "-weird --help"),
        ('enqueue {"command": "a b"}', '{"command": "a b"}'),
        ("enqueue {\n}", "{\n}"),
        ("enqueue echo a\\ ", "echo a\\ "),
        ("!ls -l | less", "ls -l | less"),
        ("  ! ls", "ls"),
        ("enqueue - --keep-going", "-"),
    ],
)
def test_a_tail_is_kept_verbatim(text: str, tail: str) -> None:
    """Flags end at the first word that is neither a flag nor a flag's value."""
    invocation = GRAMMAR.parse_line(text)
    assert invocation is not None
    param = invocation.command.tail
    assert param is not None
    assert getattr(invocation.args, param.name).text == tail


@pytest.mark.parametrize(
    ("words", "tail"),
    [
        (["enqueue", "make", "-j4"], ("make", "-j4")),
        (["enqueue", "--timeout", "5m", "a b"], ("a b",)),
        (["enqueue", "--", "--x"], ("--x",)),
        (["enqueue", "#", "x|y"], ("#", "x|y")),
        (["add", "'q'"], ("'q'",)),
    ],
)
def test_an_argv_keeps_its_words(words: list[str], tail: tuple[str, ...]) -> None:
    """They went through a shell already: nothing is unquoted, nothing separates."""
    assert GRAMMAR.parse_argv(words).args.job.words == tail


@pytest.mark.parametrize("text", ["", "   ", "# only this", "\n"])
def test_nothing_is_asked_for(text: str) -> None:
    """By empty lines and comments."""
    assert GRAMMAR.parse_line(text) is None


@pytest.mark.parametrize(
    ("text", "said", "position"),
    [
        ("lst", "did you mean list?", 0),
        ("ls -l", "Run it now: !ls; queue it: enqueue ls; jobs: list", 0),
        ("worker", "worker what? start, stop or list", 0),
        ("worker strat", "did you mean start?", 7),
        ("worker x", "there is worker start, stop or list", 7),
        ("list | less", "!queuectl list | …", 5),
        ("list; status", "one command a line; to use a shell: !queuectl list; …", 4),
        ("list --json > x", "!queuectl list --json > …", 12),
        ("status && list", "!queuectl status && …", 7),
        ("status &", "!queuectl status &", 7),
        ("; list", "!queuectl list; …", 0),
        ("list --stat failed", "did you mean --state?", 5),
        ("enqueue --timout 5m x", "did you mean --timeout?", 8),
        ("enqueue -x y", "enqueue -- -x", 8),
        ("list --sta failed", "no flag --sta", 5),
        ("list --json=yes", "takes no value", 5),
        ("list 'a", "the quote ' is not closed", 5),
        ("--state failed list", "flags follow the command", 0),
        ("list --state", "--state needs a value", None),
        ("list --state running", "did you mean processing?", None),
        ("list --state ,", "is not a state", None),
        ("worker start 0", "worker start: N: '0' is not a whole number from 1 up", None),
        ("worker start 1_0", "whole number", None),
        ("worker start 1 2", "too many words: 2", None),
        ("version 1", "too many words: 1", None),
        ("queue create", "missing NAME", None),
        ("enqueue - x", "too many words: x", None),
        ("wait --for done", "did you mean completed?", None),
        ("prune --older-than soon", "is not a duration", None),
    ],
)
def test_a_fault_is_named_in_one_line(text: str, said: str, position: int | None) -> None:
    """With the nearest right thing, and where it stands."""
    with pytest.raises(UsageError) as caught:
        GRAMMAR.parse_line(text)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert caught.value.facts.get("position") == position


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("queue", "set", "q", "limit", "3"), "did you mean --limit 3?"),
        (("schedule", "add", "n", "@daily", "ls", "-l"), "schedule add … -- COMMAND -l …"),
    ],
)
def test_a_flag_in_the_wrong_place_is_told_where_it_belongs(
    words: tuple[str, ...], hint: str
) -> None:
    """Without its hyphens, or in front of them."""
    with pytest.raises(UsageError) as caught:
        GRAMMAR.parse_argv(words)
    assert hint in str(caught.value)


def test_on_a_command_line_an_unknown_word_names_commands_that_work_there() -> None:
    """No `!ls`: there is a shell."""
    with pytest.raises(UsageError, match="Queue it: queuectl enqueue ls; jobs: queuectl list"):
        GRAMMAR.parse_argv(["ls"])
    with pytest.raises(UsageError, match="no command '!ls'"):
        GRAMMAR.parse_argv(["!ls"])


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ('enqueue {"command":', True),
        ('enqueue --queue x {"command": "a", "args": [', True),
        ('enqueue {"command": "a"}', False),
        ('enqueue {"command": "a', False),
        ("enqueue -- {", False),
        ("enqueue echo {", False),
        ("list {", False),
        ("enqueue {", True),
        ("", False),
    ],
)
def test_json_goes_on_until_its_braces_close(text: str, more: bool) -> None:
    """And nothing else does; a newline in a JSON string is a fault to show at once."""
    assert GRAMMAR.needs_more(text + "\n") is more


@given(st.text())
def test_any_text_is_covered_by_its_tokens(text: str) -> None:
    """Putting the tokens of a line together gives the line."""
    tokens = GRAMMAR.tokenize(text)
    assert "".join(text[token.start : token.end] for token in tokens) == text


@given(
    st.lists(
        st.sampled_from(
            [
                *GRAMMAR.index,
                "--state",
                "failed",
                "--",
                "-",
                "{",
                "}",
                "'",
                '"',
                "|",
                "#",
                "3",
                "--json",
                "=",
                " ",
            ]
        )
    ).map("".join)
    | st.lists(
        st.sampled_from(
            [
                *GRAMMAR.index,
                "--state",
                "failed",
                "--",
                "-",
                "{}",
                "'a'",
                "|",
                "# x",
                "3-5",
                "--json",
            ]
        )
    ).map(" ".join)
)
def test_a_line_is_parsed_or_refused(text: str) -> None:
    """Never anything else, and tokens cover it; completion has an answer everywhere in it."""
    with contextlib.suppress(UsageError):
        GRAMMAR.parse_line(text)
    assert "".join(text[token.start : token.end] for token in GRAMMAR.tokenize(text)) == text
    for cursor in range(len(text) + 1):
        expected = GRAMMAR.expected_at(text, cursor)
        assert 0 <= expected.start <= cursor


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("list --state failed", "command flag value"),
        ("worker start 3 # x", "command command value comment"),
        ("enqueue --quiet make -j4", "command flag tail"),
        ('enqueue {"a": 1}', "command json"),
        ("!ls -l", "command tail"),
        ("lst x", "error value"),
        ("list --x", "command error"),
        ("list | x", "command error value"),
        ("# x", "comment"),
    ],
)
def test_tokens_have_classes(text: str, kinds: str) -> None:
    """For colouring."""
    assert [t.kind for t in GRAMMAR.tokenize(text) if t.kind != "blank"] == kinds.split()


@pytest.mark.parametrize("command", TABLE, ids=lambda command: command.name)
def test_every_row_is_sound(command: Any) -> None:
    """What runs it can be imported, names are not used twice, and the texts are there."""
    assert callable(command.load())
    assert command.summary
    assert not command.summary.endswith(".")
    flags = [param.flag for param in command.flags] + [
        param.short for param in command.flags if param.short
    ]
    assert len(set(flags)) == len(flags)
    assert all(param.help for param in command.params)
    assert all(param.kind != TAIL for param in command.params[:-1])
    assert command.topic


@pytest.mark.parametrize("command", TABLE, ids=lambda command: command.name)
def test_every_example_parses(command: Any) -> None:
    """And is an example of that command."""
    for example in command.examples:
        invocation = GRAMMAR.parse_line(example)
        assert invocation is not None
        assert invocation.command == command


@pytest.mark.parametrize("command", TABLE, ids=lambda command: command.name)
def test_a_command_typed_bare_has_the_defaults_of_argparse(command: Any) -> None:
    """Argparse is skipped for it, so this holds the two together."""
    from queuectl.grammar import _defaults
    from queuectl.grammar.engine import bind, parser_for

    if not any(param.required for param in command.params):
        by_argparse = vars(bind(parser_for(command), [], []))
        by_hand = dict(_defaults(command))
        tail = {command.tail.name} if command.tail else set()
        assert {name: by_hand[name] for name in by_hand.keys() - tail} == by_argparse


def test_options_and_flags_are_told_apart() -> None:
    """A flag takes no value; common flags belong to every command."""
    kinds = {param.kind for command in TABLE for param in command.flags}
    assert kinds == {OPTION, FLAG}
    assert all(command.flags[-2:] == COMMON for command in TABLE)


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("enqueue a \\", True),
        ("\\", True),
        ('enqueue "a \\', True),
        ("enqueue a\\ #\\", True),
        ("enqueue a \\\\", False),
        ("enqueue a \\ ", False),
        ("enqueue 'a \\", False),
        ("enqueue a # b \\", False),
        ("enqueue a#b \\", True),
        ("enqueue a", False),
    ],
)
def test_a_line_goes_on_behind_a_backslash(text: str, more: bool) -> None:
    assert goes_on(text) is more


def test_rows_are_joined_as_a_shell_joins_them() -> None:
    assert joined("enqueue a \\\n&& b\\\nc") == "enqueue a && bc"
    assert joined('enqueue {"a":\n1}') == 'enqueue {"a":\n1}'
    assert joined("enqueue 'a\\\nb'") == "enqueue 'a\\\nb'"
