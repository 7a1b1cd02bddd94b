"""Words of a line."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.grammar.tokens import (
    COMMENT,
    OPERATOR,
    WORD,
    json_end,
    next_word,
    quotes_closed,
    unquote_whole,
)


def words(text: str) -> list[tuple[str, str]]:
    """Return kind and text of every word."""
    found = []
    position = 0
    while (word := next_word(text, position)) is not None:
        assert text[word.start : word.end]
        found.append((word.kind, word.text))
        position = word.end
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t ", []),
        ("list --state failed", ["list", "--state", "failed"]),
        ("a'b c'd", ["ab cd"]),
        ('"a \\" b" c', ['a " b', "c"]),
        ('"a\\nb"', ["a\\nb"]),
        ('"[\\$1] \\` \\\\ \\x"', ["[$1] ` \\ \\x"]),
        ('"a\\\nb"', ["ab"]),
        ("'a\\'", ["a\\"]),
        ("a\\ b", ["a b"]),
        ("''", [""]),
        ("a#b", ["a#b"]),
        ("日本 x", ["日本", "x"]),
    ],
)
def test_words_are_quoted_like_a_shells(text: str, expected: list[str]) -> None:
    """Quotes and backslashes mean what POSIX says."""
    assert words(text) == [(WORD, word) for word in expected]


@pytest.mark.parametrize(
    ("text", "operators"),
    [
        ("list|less", ["|"]),
        ("a;b", [";"]),
        ("a && b", ["&&"]),
        ("a > b < c", [">", "<"]),
        ("'a|b' \\;", []),
    ],
)
def test_operators_are_words_of_their_own(text: str, operators: list[str]) -> None:
    """Unless they are quoted."""
    assert [word for kind, word in words(text) if kind == OPERATOR] == operators


def test_a_comment_ends_with_its_line() -> None:
    """What follows the newline is a word again."""
    assert words("a # b 'c\nd") == [(WORD, "a"), (COMMENT, "# b 'c"), (WORD, "d")]


@pytest.mark.parametrize(("text", "quote"), [("'abc", "'"), ('x"y z', '"'), ("abc", "")])
def test_a_quote_that_is_not_closed_is_reported(text: str, quote: str) -> None:
    """With the quote itself."""
    word = next_word(text, 0)
    assert word is not None
    assert word.open_quote == quote


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1)))
def test_what_shlex_quotes_is_read_back(texts: list[str]) -> None:
    """Quoting and reading are inverse, for any words."""
    assert [word for _, word in words(shlex.join(texts))] == texts


@given(st.text())
def test_words_stand_in_order_and_never_overlap(text: str) -> None:
    """Any text at all can be read to its end."""
    position = 0
    while (word := next_word(text, position)) is not None:
        assert position <= word.start < word.end <= len(text)
        position = word.end


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'make && make test'", "make && make test"),
        ('"echo \\$HOME"', "echo $HOME"),
        ("'a' 'b'", "'a' 'b'"),
        ("'a'\"b\"'c'", "'a'\"b\"'c'"),
        ("echo 'a'", "echo 'a'"),
        ("'a", "'a"),
        ("'", "'"),
        ("", ""),
    ],
)
def test_only_a_whole_quoted_string_is_unquoted(text: str, expected: str) -> None:
    """Quotes inside a command line are the job's."""
    assert unquote_whole(text) == expected


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("{}", 2),
        ('{"a": "}"}', 10),
        ('{"a": [1, 2', -1),
        ('{"a": "\\"', -1),
        ('{"a"} x', 5),
        ("{\n\n", -1),
        ('{"a\nb"}', 3),
    ],
)
def test_json_ends_where_its_braces_close(text: str, end: int) -> None:
    """A string broken by a newline can never become JSON, so it ends there."""
    assert json_end(text, 0) == end


@pytest.mark.parametrize(
    ("text", "closed"), [("a 'b'", True), ("it's", False), ("it\\'s", True), ('"a', False)]
)
def test_open_quotes_are_seen(text: str, closed: bool) -> None:
    """In a whole shell line."""
    assert quotes_closed(text) is closed
