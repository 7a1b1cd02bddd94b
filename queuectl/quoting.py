r"""Words as the POSIX shell reads them (XCU 2.2), nothing being expanded. Pure.

'…' is literal; in "…" a backslash escapes $ ` " and itself and takes a newline out; elsewhere it escapes any
character and takes a newline out. (shlex differs: in "…" it keeps the backslash before $ and `.)
"""

from __future__ import annotations

BLANKS = " \t\r\n"
_ESCAPED_IN_DOUBLE = '$`"\\'


def quoted(text: str, start: int) -> tuple[str, int, bool]:
    """Read the quoted part that begins at `start`: what it says, where it ends, whether it was closed."""
    quote = text[start]
    if quote == "'":
        end = text.find("'", start + 1)
        if end < 0:
            return text[start + 1 :], len(text), False
        return text[start + 1 : end], end + 1, True
    parts: list[str] = []
    position = start + 1
    while position < len(text):
        char = text[position]
        if char == '"':
            return "".join(parts), position + 1, True
        if char == "\\":
            follower = text[position + 1 : position + 2]
            if follower == "\n":
                position += 2
                continue
            if follower in _ESCAPED_IN_DOUBLE:
                position += 1
                char = follower
        parts.append(char)
        position += 1
    return "".join(parts), len(text), False


def split_words(line: str) -> list[str]:
    """Return the words of a command line, in which operators and # are characters like any other.

    Raises ValueError, with a reason for people, for a quote or a backslash that has no end.
    """
    words: list[str] = []
    parts: list[str] | None = None
    position = 0
    while position < len(line):
        char = line[position]
        if char in BLANKS:
            if parts is not None:
                words.append("".join(parts))
            parts = None
            position += 1
            continue
        if char == "\\" and line.startswith("\n", position + 1):
            position += 2
            continue
        parts = [] if parts is None else parts
        if char in "'\"":
            part, position, closed = quoted(line, position)
            if not closed:
                raise ValueError("No closing quotation")
        elif char == "\\":
            part = line[position + 1 : position + 2]
            if not part:
                raise ValueError("No escaped character")
            position += 2
        else:
            part = char
            position += 1
        parts.append(part)
    if parts is not None:
        words.append("".join(parts))
    return words
