"""What stands where in a line, and what may come next: for colouring and completing. Pure."""

from __future__ import annotations

from queuectl.grammar.reading import (
    BANG,
    BLANK,
    FLAG_WORD,
    VALUE,
    LineSource,
    Reading,
    Token,
    read,
)
from queuectl.grammar.table import FLAG, OPTION, TAIL, Command, Param
from queuectl.grammar.tokens import next_word
from queuectl.quoting import BLANKS
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.grammar.reading import Index

#: kinds of what can be expected
A_COMMAND, ARGUMENTS, A_VALUE, IN_TAIL, NOTHING = "command", "arguments", "value", "tail", "nothing"


class Expected(Record):
    """What may be typed at the cursor."""

    #: command: a word of `words`; arguments: one of `flags`, or a value of `param`; value: of
    #: `param` only; tail: the job's own words; nothing: a comment, or too many words
    kind: str
    #: where the word under the cursor begins; what is completed replaces start..cursor
    start: int
    #: that word so far, without quotes
    prefix: str = ""
    #: the quote it stands in, or an empty string
    quote: str = ""
    command: Command | None = None
    #: words that begin or go on a command path
    words: tuple[str, ...] = ()
    #: flags that may come here, used up ones left out
    flags: tuple[Param, ...] = ()
    #: the parameter whose value may come here
    param: Param | None = None


def tokenize(index: Index, text: str) -> tuple[Token, ...]:
    """Return tokens that cover the whole text, blanks included, each with its class."""
    covered: list[Token] = []
    position = 0
    for token in read(index, LineSource(text)).tokens:
        if token.start > position:
            covered.extend(_between(text, position, token.start))
        covered.append(token)
        position = token.end
    if position < len(text):
        covered.extend(_between(text, position, len(text)))
    return tuple(covered)


def _between(text: str, start: int, end: int) -> list[Token]:
    """Return blanks, and what nobody read because something before it was wrong."""
    found: list[Token] = []
    while start < end:
        stop = start
        blank = text[start] in BLANKS
        while stop < end and (text[stop] in BLANKS) == blank:
            stop += 1
        found.append(Token(BLANK if blank else VALUE, start, stop, text[start:stop]))
        start = stop
    return found


def expected_at(index: Index, text: str, cursor: int) -> Expected:
    """Return what may be typed at a cursor; what stands behind it is not looked at."""
    line = text[:cursor]
    start, prefix, quote = _word_under(line)
    before = read(index, LineSource(line[:start]))
    if line.startswith("#", start) and before.tail is None:
        return Expected(NOTHING, start, prefix)
    if before.tail is not None and before.tail.start < start:
        return Expected(IN_TAIL, start, prefix, quote, before.command, param=_tail(before))
    if before.command is None:
        if prefix.startswith(BANG):
            return Expected(IN_TAIL, start, prefix)
        return _expected_command(index, before, start, prefix, quote)
    return _expected_argument(before.command, before, start, prefix, quote)


def _word_under(line: str) -> tuple[int, str, str]:
    """Return start, text and open quote of the word that ends at the end of the line."""
    position = 0
    while (word := next_word(line, position)) is not None:
        if word.end == len(line):
            return word.start, word.text, word.open_quote
        position = word.end
    return len(line), "", ""


def _tail(reading: Reading) -> Param | None:
    return reading.command.tail if reading.command else None


def _expected_command(
    index: Index, before: Reading, start: int, prefix: str, quote: str
) -> Expected:
    if before.group:
        entry = index[before.group]
        words = tuple(entry) if isinstance(entry, dict) and len(before.tokens) == 1 else ()
    elif before.tokens:
        # a comment, or a word that is no command
        return Expected(NOTHING, start, prefix, quote)
    else:
        words = tuple(word for word in index if word != BANG)
    return Expected(A_COMMAND, start, prefix, quote, words=words)


def _expected_argument(
    command: Command, before: Reading, start: int, prefix: str, quote: str
) -> Expected:
    if before.awaiting is not None:
        return Expected(A_VALUE, *_piece(before.awaiting, start, prefix), quote, command,
                        param=before.awaiting)  # fmt: skip
    if prefix.startswith("--") and "=" in prefix:
        name, _, value = prefix.partition("=")
        param = command.flag(name)
        if param is None or param.kind != OPTION:
            return Expected(NOTHING, start, prefix, quote, command)
        return Expected(
            A_VALUE, *_piece(param, start + len(name) + 1, value), quote, command, param=param
        )
    used = {token.param for token in before.tokens if token.kind == FLAG_WORD}
    flags = () if before.flags_ended else tuple(
        param for param in command.flags if param.repeat or param not in used
    )  # fmt: skip
    param = _next_place(command, before)
    if not flags and param is None:
        return Expected(NOTHING, start, prefix, quote, command)
    if param is not None and param.kind == TAIL and prefix.startswith("{"):
        return Expected(IN_TAIL, start, prefix, quote, command, param=param)
    if param is not None and not prefix.startswith("-"):
        start, prefix = _piece(param, start, prefix)
    return Expected(ARGUMENTS, start, prefix, quote, command, flags=flags, param=param)


def _piece(param: Param, start: int, prefix: str) -> tuple[int, str]:
    """Return start and text of the last of several values with commas between them."""
    if not param.commas or "," not in prefix:
        return start, prefix
    head, _, last = prefix.rpartition(",")
    return start + len(head) + 1, last


def _next_place(command: Command, before: Reading) -> Param | None:
    """Return the positional, or the tail, that the next word without a hyphen would be."""
    filled = sum(
        1 for token in before.tokens
        if token.kind == VALUE and (token.param is None or token.param.kind not in (OPTION, FLAG))
    )  # fmt: skip
    for param in command.params:
        if param.kind == TAIL or (param.kind not in (OPTION, FLAG) and param.nargs in ("*", "+")):
            return param
        if param.kind not in (OPTION, FLAG):
            if not filled:
                return param
            filled -= 1
    return None
