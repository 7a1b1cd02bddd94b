"""A pasted text taken apart into lines to run, as if each had been typed. Pure."""

from __future__ import annotations

from queuectl.grammar.reading import goes_on, joined
from queuectl.grammar.tokens import json_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.grammar import Grammar


def lines_of(grammar: Grammar, text: str) -> tuple[list[str], str]:
    """Return the complete lines of a text and the unfinished one behind them.

    JSON goes on over rows until its braces close, any line behind a backslash. Empty lines are left
    out.
    """
    lines: list[str] = []
    position = 0
    while (end := text.find("\n", position)) >= 0:
        while end >= 0 and goes_on(joined(text[position:end])):
            end = text.find("\n", end + 1)
        if end < 0:
            break
        if grammar.needs_more(text[position:end]):
            # the whole rest is looked at once, not once for each row that it goes on
            tail = grammar.read(text[position:]).tail
            closed = -1 if tail is None else json_end(text, position + tail.start)
            end = -1 if closed < 0 else text.find("\n", closed)
            if end < 0:
                break
        line = text[position:end]
        if line.strip():
            lines.append(line)
        position = end + 1
    return lines, text[position:]
