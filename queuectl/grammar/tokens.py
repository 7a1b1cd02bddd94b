"""Words of a line: quotes, comments, operators and JSON, with the place of each. Pure.

Quoting is the POSIX shell's (queuectl.quoting). Nothing is expanded.
"""

from __future__ import annotations

from queuectl.quoting import BLANKS, quoted
from queuectl.record import Record

#: what separates or redirects commands in a shell; here never
OPERATORS = ";|&<>"
WORD, OPERATOR, COMMENT = "word", "operator", "comment"
_SPECIAL = frozenset("'\"\\" + OPERATORS)


class Word(Record):
    """One word: `text` without its quotes, and where it stands with them."""

    text: str
    start: int
    end: int
    kind: str = WORD
    #: the quote that was never closed, or an empty string
    open_quote: str = ""


def skip_blanks(text: str, position: int) -> int:
    """Return the first position from `position` on that holds no blank."""
    size = len(text)
    while position < size and text[position] in BLANKS:
        position += 1
    return position


def next_word(text: str, position: int) -> Word | None:
    """Return the word at or after `position`, None when only blanks are left."""
    start = skip_blanks(text, position)
    if start == len(text):
        return None
    if text[start] == "#":
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        return Word(text[start:end], start, end, COMMENT)
    end = start
    size = len(text)
    while end < size and text[end] not in BLANKS:
        end += 1
    chunk = text[start:end]
    if _SPECIAL.isdisjoint(chunk):
        return Word(chunk, start, end)
    return _special_word(text, start)


def _special_word(text: str, start: int) -> Word:
    """Read a word that holds a quote, a backslash or an operator."""
    if text[start] in OPERATORS:
        end = start
        while end < len(text) and text[end] == text[start]:
            end += 1
        return Word(text[start:end], start, end, OPERATOR)
    parts: list[str] = []
    position = start
    while position < len(text):
        char = text[position]
        if char in BLANKS or char in OPERATORS:
            break
        if char in "'\"":
            part, position, closed = quoted(text, position)
            parts.append(part)
            if not closed:
                return Word("".join(parts), start, position, WORD, char)
        elif char == "\\":
            parts.append(text[position + 1 : position + 2])
            position = min(position + 2, len(text))
        else:
            parts.append(char)
            position += 1
    return Word("".join(parts), start, position)


def unquote_whole(text: str) -> str:
    """Return what a text says that is one quoted string from end to end; any other as it is."""
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return text
    inner, end, closed = quoted(text, 0)
    return inner if closed and end == len(text) else text


def quotes_closed(text: str) -> bool:
    """Whether every quote in a shell line is closed; comments and here-documents are not known."""
    position = 0
    while position < len(text):
        if text[position] in "'\"":
            _, position, closed = quoted(text, position)
            if not closed:
                return False
        else:
            position += 2 if text[position] == "\\" else 1
    return True


def json_end(text: str, start: int) -> int:
    """Return where the JSON value that begins at `start` with a brace ends; -1 while it is open.

    Only braces, brackets and strings are looked at. A string broken by a newline can never become
    JSON: then the end is where the string broke, so that nobody waits for more.
    """
    depth = 0
    in_string = False
    position = start
    while position < len(text):
        char = text[position]
        if in_string:
            if char == "\\":
                position += 1
            elif char == '"':
                in_string = False
            elif char == "\n":
                return position
        elif char == '"':
            in_string = True
        elif char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth <= 0:
                return position + 1
        position += 1
    return -1
