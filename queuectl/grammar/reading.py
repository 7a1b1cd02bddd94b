"""What a line or an argv says, word by word, right or wrong. Pure; raises nothing.

The same reading is what gets parsed, coloured and completed, so the three cannot disagree.
"""

from __future__ import annotations

from queuectl.errors import did_you_mean
from queuectl.grammar.table import FLAG, HELP, JSON, OPTION, SESSION, Command, Param, Tail
from queuectl.grammar.tokens import (
    COMMENT,
    OPERATOR,
    OPERATORS,
    Word,
    next_word,
    skip_blanks,
)
from queuectl.quoting import BLANKS
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Index = Mapping[str, Command | dict[str, Command]]

#: classes of tokens
BLANK, COMMAND, VALUE, TAIL_TEXT, JSON_TEXT, REMARK, ERROR = (
    "blank", "command", "value", "tail", "json", "comment", "error",
)  # fmt: skip
FLAG_WORD = "flag"
#: a tail that means the lines of standard input
STANDARD_INPUT = "-"
#: a line that begins with it is a command to run now
BANG = "!"
#: how this program is started, for hints
PROGRAM = "queuectl"
#: characters of what stands before an operator that a hint repeats
_REPEATED = 60
#: what separates commands: here that is the end of a line
_SEPARATORS = frozenset((";", "&&", "||"))
#: what a line ends with that goes on
_GOES_ON = "\\"


class Token(Record):
    """A piece of a line and what it is."""

    kind: str
    start: int
    end: int
    #: without quotes
    text: str = ""
    #: the parameter it gives, or is a value of
    param: Param | None = None
    #: what is wrong with it, as a message
    fault: str = ""


class Reading(Record):
    """A whole line, read."""

    command: Command | None
    tokens: tuple[Token, ...]
    tail: Tail | None = None
    #: an option that stands last and still waits for its value
    awaiting: Param | None = None
    #: first word of a group whose second word is missing
    group: str = ""
    #: whether only positionals can follow, because of `--`
    flags_ended: bool = False

    @property
    def asks_help(self) -> bool:
        """Whether `--help` stands among its flags."""
        return any(token.param is HELP for token in self.tokens)

    @property
    def asks_json(self) -> bool:
        """Whether `--json` stands among its flags."""
        return any(token.param is JSON for token in self.tokens)

    @property
    def session(self) -> dict[str, str | None]:
        """The flags of the session among those of the command; None: without a value."""
        given: dict[str, str | None] = {}
        for token in self.tokens:
            if token.param in SESSION:
                _, equals, value = token.text.partition("=")
                if token.kind == FLAG_WORD:
                    given[token.param.name] = value if equals else None
                else:
                    given[token.param.name] = token.text
        return given

    def split(self) -> tuple[list[str], list[str]]:
        """Return flags, each joined with its value, and positionals; those of the session apart."""
        flags: list[str] = []
        positionals: list[str] = []
        for token in self.tokens:
            if token.param in SESSION:
                continue
            if token.kind == FLAG_WORD and token.param is not None:
                flags.append(token.text)
            elif token.kind == VALUE and token.param is not None and token.param.kind == OPTION:
                # joined, so that argparse takes a value for one that begins with a hyphen
                flags[-1] = f"{token.param.flag}={token.text}"
            elif token.kind == VALUE:
                positionals.append(token.text)
        return flags, positionals


class LineSource:
    """Words of a line of text. Positions are offsets."""

    from_argv = False

    def __init__(self, text: str, program: str = PROGRAM) -> None:
        """`program` is what a hint says to start this program in a shell."""
        self.text = text
        self._program = program
        self._position = 0

    def next(self) -> Word | None:
        """Return the next word, None at the end. Ends of rows that go on are passed over."""
        start = skip_blanks(self.text, self._position)
        while self.text.startswith(f"{_GOES_ON}\n", start):
            start = skip_blanks(self.text, start + 2)
        word = next_word(self.text, start)
        if word is not None:
            self._position = word.end
        return word

    def tail(self, word: Word, *, verbatim: bool) -> Tail:
        """Return what begins with `word`, or follows it when that was `--`."""
        start = skip_blanks(self.text, word.end) if verbatim else word.start
        text = self.text[start:]
        trimmed = text.rstrip(BLANKS)
        # a backslash at the end escapes the blank after it
        return Tail(text if trimmed.endswith("\\") else trimmed, None, verbatim, start)

    def in_shell(self, word: Word) -> str:
        """Return how a line goes on in a shell that has an operator here."""
        before = self.text[: word.start].strip()
        if not before or len(before) > _REPEATED:
            before = "list"
        blank = "" if word.text == ";" else " "
        more = "" if word.text == "&" else " …"
        return f"{BANG}{self._program} {before}{blank}{word.text}{more}"

    def shell_out(self) -> Tail | None:
        """Return what follows a `!` that the line begins with."""
        start = skip_blanks(self.text, 0)
        if not self.text.startswith(BANG, start):
            return None
        after = skip_blanks(self.text, start + 1)
        return Tail(self.text[after:].rstrip(BLANKS), None, verbatim=True, start=after)


class WordsSource:
    """Words of an argv, already taken apart by a shell. Positions are their numbers."""

    from_argv = True

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)
        self._position = 0

    def next(self) -> Word | None:
        """Return the next word, None at the end."""
        at = self._position
        if at == len(self._words):
            return None
        self._position = at + 1
        return Word(self._words[at], at, at + 1)

    def tail(self, word: Word, *, verbatim: bool) -> Tail:
        """Return what begins with `word`, or follows it when that was `--`."""
        start = word.end if verbatim else word.start
        return Tail(None, self._words[start:], verbatim, start)

    def in_shell(self, word: Word) -> str:
        """Return the word: a shell has taken its operators out of a command line."""
        return word.text

    def shell_out(self) -> Tail | None:
        """Return None: on a command line the user's own shell is there to run things."""
        return None


def goes_on(text: str) -> bool:
    """Whether a line ends in a backslash that says, as in a shell, that the next row belongs to it.

    Not one that is escaped, in single quotes or in a comment.
    """
    if not text.endswith(_GOES_ON):
        return False
    position, quote, blank = 0, "", True
    while position < len(text):
        char = text[position]
        if char == "\\" and quote != "'":
            if position + 1 == len(text):
                return True
            position += 2
            blank = False
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and blank:
            end = text.find("\n", position)
            if end < 0:
                return False
            position = end
        blank = not quote and (text[position] in BLANKS or text[position] in OPERATORS)
        position += 1
    return False


def joined(text: str) -> str:
    """Return rows as the one line that they make: a backslash at the end of a row is taken out."""
    if f"{_GOES_ON}\n" not in text:
        return text
    whole = ""
    *rows, last = text.split("\n")
    for row in rows:
        whole += row
        whole = whole[:-1] if goes_on(whole) else f"{whole}\n"
    return whole + last


def read(index: Index, source: LineSource | WordsSource) -> Reading:
    """Read a whole line or argv against the words that begin commands."""
    bang = source.shell_out()
    if bang is not None:
        entry = index.get(BANG)
        command = entry if isinstance(entry, Command) else None
        mark = Token(COMMAND, 0, bang.start, BANG)
        return Reading(command, (mark, *_tail_tokens(bang)), bang)
    tokens: list[Token] = []
    word = source.next()
    if word is None:
        return Reading(None, ())
    if word.kind == COMMENT:
        return Reading(None, (Token(REMARK, word.start, word.end, word.text),))
    entry = index.get(word.text) if word.kind != OPERATOR else None
    group = ""
    if isinstance(entry, dict):
        tokens.append(Token(COMMAND, word.start, word.end, word.text))
        group, first, word = word.text, word, source.next()
        if word is None or word.kind != "word":
            fault = f"{group} what? {_one_of(entry)}"
            tokens[0] = Token(COMMAND, first.start, first.end, group, None, fault)
            return Reading(None, tuple(tokens), group=group)
        group_entry = entry
        entry = entry.get(word.text)
        if entry is None:
            fault = _unknown_second(group, word.text, group_entry)
            tokens.append(Token(ERROR, word.start, word.end, word.text, None, fault))
            return Reading(None, tuple(tokens), group=group)
    if entry is None:
        fault = _operator_fault(word, source) or _unknown(index, word.text, source)
        return Reading(None, (Token(ERROR, word.start, word.end, word.text, None, fault),))
    tokens.append(Token(COMMAND, word.start, word.end, word.text))
    return _read_arguments(entry, source, tokens)


def _read_arguments(
    command: Command, source: LineSource | WordsSource, tokens: list[Token]
) -> Reading:
    awaiting: Param | None = None
    tail: Tail | None = None
    places = list(command.positionals)
    # an alias is named as it was typed
    typed = " ".join(token.text for token in tokens)
    ended = False
    while (word := source.next()) is not None:
        if word.kind == COMMENT:
            tokens.append(Token(REMARK, word.start, word.end, word.text))
            continue
        flag_like = not ended and len(word.text) > 1 and word.text.startswith("-")
        if awaiting is not None and not (flag_like and _is_flag(command, word.text)):
            tokens.append(_value(word, awaiting, source))
            awaiting = None
        elif flag_like and word.text == "--":
            tokens.append(Token(FLAG_WORD, word.start, word.end, word.text))
            if command.tail is not None:
                return _with_tail(command, source.tail(word, verbatim=True), tokens)
            ended = True
        elif flag_like and not _is_number(word.text):
            token = _flag(command, word, typed, from_argv=source.from_argv)
            tokens.append(token)
            wants = token.param is not None and token.param.kind == OPTION
            awaiting = token.param if wants and "=" not in word.text else None
        elif places or command.tail is None or tail is not None:
            # what has its place comes before a tail
            place = places[0] if places else None
            if place is not None and place.nargs not in ("*", "+"):
                places.pop(0)
            tokens.append(_value(word, place, source))
        elif word.text != STANDARD_INPUT:
            return _with_tail(command, source.tail(word, verbatim=False), tokens)
        else:
            # it stands for many tails, so flags may follow it
            tail = Tail(STANDARD_INPUT, None, verbatim=False, start=word.start)
            tokens.append(Token(TAIL_TEXT, word.start, word.end, word.text))
    return Reading(command, tuple(tokens), tail, awaiting=awaiting, flags_ended=ended)


def _with_tail(command: Command, tail: Tail, tokens: list[Token]) -> Reading:
    return Reading(command, (*tokens, *_tail_tokens(tail)), tail)


def _tail_tokens(tail: Tail) -> tuple[Token, ...]:
    """Return the tokens of a tail: JSON apart from what wrongly follows it."""
    if tail.text is None:
        return ()
    end = tail.start + len(tail.text)
    if tail.text.startswith("{") and not tail.verbatim:
        return (Token(JSON_TEXT, tail.start, end, tail.text),)
    return (Token(TAIL_TEXT, tail.start, end, tail.text),) if tail.text else ()


def _value(word: Word, param: Param | None, source: LineSource | WordsSource) -> Token:
    fault = _operator_fault(word, source)
    if word.open_quote:
        fault = f"the quote {word.open_quote} is not closed"
    kind = ERROR if fault else VALUE
    return Token(kind, word.start, word.end, word.text, param, fault)


def _is_flag(command: Command, text: str) -> bool:
    return command.flag(text) is not None or command.session_flag(text) is not None


def _flag(command: Command, word: Word, typed: str, *, from_argv: bool) -> Token:
    session = command.session_flag(word.text)
    param = session or command.flag(word.text)
    fault = ""
    if session is not None and not from_argv:
        fault = f"{session.flag} is for the command line: queuectl {session.flag} {session.placeholder} …"
    elif param is None:
        name = word.text.partition("=")[0]
        known = [flag.flag for flag in (*command.flags, *(SESSION if from_argv else ()))]
        hint = did_you_mean(name, known)
        fault = f"{typed}: no flag {name}{hint}{_or(hint, _behind_hyphens(command, name))}"
    elif param.kind == FLAG and "=" in word.text:
        fault = f"{typed}: {param.flag} takes no value"
    return Token(ERROR if fault else FLAG_WORD, word.start, word.end, word.text, param, fault)


def _behind_hyphens(command: Command, name: str) -> str:
    """Say how a job's command may begin with what looks like a flag, or hold it."""
    if command.tail is None:
        return ""
    if command.positionals:
        return f"what belongs to the command stands behind --: {command.name} … -- COMMAND {name} …"
    return f"for a program of that name: {command.name} -- {name}"


def _or(hint: str, more: str) -> str:
    """Return more advice behind a question, or alone."""
    if not more:
        return ""
    return f" {more[0].upper()}{more[1:]}" if hint.endswith("?") else f"; {more}"


def _is_number(text: str) -> bool:
    """Whether a word that begins with a hyphen is a negative number rather than a flag."""
    return text[1:].replace(".", "", 1).isdigit()


def _operator_fault(word: Word, source: LineSource | WordsSource) -> str:
    if word.kind != OPERATOR:
        return ""
    alone = ": one command a line" if word.text in _SEPARATORS else ""
    return f"{word.text} means nothing here{alone}; to use a shell: {source.in_shell(word)}"


def _one_of(words: Mapping[str, Command]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _unknown_second(group: str, word: str, entry: Mapping[str, Command]) -> str:
    hint = did_you_mean(word, entry) or f"; there is {group} {_one_of(entry)}"
    return f"no command '{group} {word}'{hint}"


def _unknown(index: Index, word: str, source: LineSource | WordsSource) -> str:
    """Say what somebody may have meant who typed a word that is no command."""
    hint = did_you_mean(word, [known for known in index if known != BANG])
    if word.startswith("-"):
        return f"no flag {word} here{hint}; flags follow the command"
    if source.from_argv:
        more = f"queue it: queuectl enqueue {word}; jobs: queuectl list"
    else:
        more = f"run it now: !{word}; queue it: enqueue {word}; jobs: list"
    return f"no command {word!r}{hint}{_or(hint, more)}"
