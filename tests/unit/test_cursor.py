"""What can be typed at a cursor."""

from __future__ import annotations

import pytest

from queuectl.commands import GRAMMAR


@pytest.mark.parametrize(
    ("text", "kind", "start", "prefix", "param"),
    [
        ("", "command", 0, "", None),
        ("  li", "command", 2, "li", None),
        ("worker ", "command", 7, "", None),
        ("worker st", "command", 7, "st", None),
        ("lst ", "nothing", 4, "", None),
        ("# x", "nothing", 0, "# x", None),
        ("list # x", "nothing", 5, "# x", None),
        ("list ", "arguments", 5, "", "which"),
        ("list fa", "arguments", 5, "fa", "which"),
        ("list --st", "arguments", 5, "--st", "which"),
        ("list 3,fa", "arguments", 7, "fa", "which"),
        ("list --state ", "value", 13, "", "state"),
        ("list --state failed,de", "value", 20, "de", "state"),
        ("list --state=de", "value", 13, "de", "state"),
        ("list --json=x", "nothing", 5, "--json=x", None),
        ("list --state failed ", "arguments", 20, "", "which"),
        ("set ", "arguments", 4, "", "setting"),
        ("set max-retries ", "arguments", 16, "", "value"),
        ("worker start 3 ", "arguments", 15, "", None),
        ("version ", "arguments", 8, "", None),
        ("cancel -- ", "arguments", 10, "", "which"),
        ("worker stop 1 -- ", "nothing", 17, "", None),
        ("help wor", "arguments", 5, "wor", "command"),
        ("enqueue ", "arguments", 8, "", "job"),
        ("enqueue --queue g", "value", 16, "g", "queue"),
        ("enqueue ma", "arguments", 8, "ma", "job"),
        ("enqueue make -j", "tail", 13, "-j", "job"),
        ('enqueue {"comm', "tail", 8, "{comm", "job"),
        ("enqueue -- ma", "arguments", 11, "ma", "job"),
        ("!gi", "tail", 0, "!gi", None),
        ("!git st", "tail", 5, "st", "command_line"),
        ("list --name 'a b", "value", 12, "a b", "name"),
    ],
)
def test_something_is_expected(
    text: str, kind: str, start: int, prefix: str, param: str | None
) -> None:
    """What, what of it is there already, and from where it is replaced."""
    expected = GRAMMAR.expected_at(text, len(text))
    found = expected.param.name if expected.param else None
    assert (expected.kind, expected.start, expected.prefix, found) == (kind, start, prefix, param)


def test_what_stands_behind_the_cursor_does_not_matter() -> None:
    """Only what has been typed before it."""
    assert GRAMMAR.expected_at("list --state de nonsense |", 15) == GRAMMAR.expected_at(
        "list --state de", 15
    )


def test_commands_and_their_aliases_are_offered_at_the_beginning() -> None:
    """But not the mark of a command to run now."""
    words = GRAMMAR.expected_at("", 0).words
    assert {"enqueue", "worker", "ps", "quit"} <= set(words)
    assert "!" not in words
    assert GRAMMAR.expected_at("worker ", 7).words == ("start", "stop", "list")


def test_flags_are_offered_once_unless_they_repeat() -> None:
    """And none behind `--`."""
    names = {param.name for param in GRAMMAR.expected_at("list --limit 3 --queue a ", 25).flags}
    assert "limit" not in names
    assert {"queue", "state", "json", "help"} <= names
    assert GRAMMAR.expected_at("list -- ", 8).flags == ()


def test_an_open_quote_is_known() -> None:
    """So that a completion can go on inside it."""
    assert GRAMMAR.expected_at("list --name 'a", 14).quote == "'"
