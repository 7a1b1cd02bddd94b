"""A command table and the two ways into it: a line of text, or the words of an argv.

What only some lines need (argparse, colouring, completion) is imported for them.
"""

from __future__ import annotations

from queuectl.errors import UsageError, did_you_mean
from queuectl.grammar.reading import LineSource, WordsSource, read
from queuectl.grammar.table import (
    COMMON,
    FLAG,
    OPTION,
    POSITIONAL,
    TAIL,
    Args,
    Command,
    Invocation,
    Param,
    Tail,
)
from queuectl.grammar.tokens import json_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from queuectl.grammar.cursor import Expected
    from queuectl.grammar.reading import Reading, Token


class Grammar:
    """A command table and the questions one can ask it."""

    def __init__(self, table: tuple[Command, ...]) -> None:
        self.table = table
        #: first words: a command, or the commands of a group by their second word
        self.index: dict[str, Command | dict[str, Command]] = {}
        groups: dict[str, dict[str, Command]] = {}
        for command in table:
            if len(command.path) == 1:
                self.index[command.path[0]] = command
            else:
                group = groups.setdefault(command.path[0], {})
                group[command.path[1]] = command
                self.index[command.path[0]] = group
            for alias in command.aliases:
                self.index[alias] = command
        self._parsers: dict[tuple[str, ...], Any] = {}

    def read(self, text: str) -> Reading:
        """Return what a line says word by word, faults included; raises nothing."""
        return read(self.index, LineSource(text))

    def parse_line(self, text: str) -> Invocation | None:
        """Return what a line asks for, None when it is empty or a comment.

        Raises UsageError; its facts hold the `position` of the fault.
        """
        return self._invocation(self.read(text))

    def parse_argv(self, words: Sequence[str]) -> Invocation:
        """Return what the words of a command line ask for. Raises UsageError."""
        invocation = self._invocation(read(self.index, WordsSource(words)))
        if invocation is None:
            raise UsageError("no command given; `queuectl help` lists them")
        return invocation

    def needs_more(self, text: str) -> bool:
        """Whether a line goes on: its JSON has braces that have not closed."""
        if "{" not in text:
            return False
        tail = self.read(text).tail
        if tail is None or tail.verbatim or not (tail.text or "").startswith("{"):
            return False
        return json_end(text, tail.start) < 0

    def tokenize(self, text: str) -> tuple[Token, ...]:
        """Return tokens that cover a line, blanks included, each with its class."""
        from queuectl.grammar.cursor import tokenize

        return tokenize(self.index, text)

    def expected_at(self, text: str, cursor: int) -> Expected:
        """Return what may be typed at a cursor."""
        from queuectl.grammar.cursor import expected_at

        return expected_at(self.index, text, cursor)

    def find(self, words: Sequence[str]) -> list[Command]:
        """Return the commands of that path, alias or group. Raises UsageError for none."""
        entry = self.index.get(words[0]) if words else None
        if isinstance(entry, dict):
            if len(words) == 1:
                return list(entry.values())
            if words[1] in entry:
                return [entry[words[1]]]
            name = " ".join(words)
            raise UsageError(f"no command {name!r}{did_you_mean(words[1], entry)}")
        if entry is None:
            name = " ".join(words)
            raise UsageError(f"no command {name!r}{did_you_mean(name, self.index)}")
        return [entry]

    def _invocation(self, reading: Reading) -> Invocation | None:
        try:
            return self._checked(reading)
        except UsageError as error:
            # whoever shows the error wants to know how
            error.facts["json"] = reading.asks_json
            raise

    def _checked(self, reading: Reading) -> Invocation | None:
        for token in reading.tokens:
            if token.fault:
                raise UsageError(token.fault, position=token.start)
        command = reading.command
        if command is None:
            return None
        if reading.asks_help:
            args = Args((("json", reading.asks_json), ("command", list(command.path))))
            (helper,) = self.find(("help",))
            return Invocation(helper, args)
        return Invocation(command, self._bind(command, reading), _session(reading))

    def _bind(self, command: Command, reading: Reading) -> Args:
        flags, positionals = reading.split()
        if flags or positionals or any(param.required for param in command.params):
            from queuectl.grammar.engine import bind, parser_for

            parser = self._parsers.get(command.path)
            if parser is None:
                parser = self._parsers[command.path] = parser_for(command)
            args = bind(parser, flags, positionals)
        else:
            args = Args(_defaults(command))
        for param in command.params:
            if param.commas:
                setattr(args, param.name, _pieces(getattr(args, param.name)))
        if command.tail:
            setattr(args, command.tail.name, reading.tail or Tail())
        return args


def _pieces(values: Sequence[object]) -> list[object]:
    """Return the values that commas separate, each by itself; what is no text has been read as a list."""
    pieces: list[object] = []
    for value in values:
        found = [piece for piece in value.split(",") if piece] if isinstance(value, str) else []
        # one of nothing but commas is for whoever says that it is wrong
        pieces += found or [value]
    return pieces


def _session(reading: Reading) -> dict[str, str]:
    """Return the flags of the session. Raises UsageError for one without its value."""
    given: dict[str, str] = {}
    for name, value in reading.session.items():
        if value is None:
            raise UsageError(f"--{name.replace('_', '-')} needs a value")
        given[name] = value
    return given


def _defaults(command: Command) -> list[tuple[str, object]]:
    """Return the arguments of a command typed without any; the same as argparse would."""
    values: list[tuple[str, object]] = []
    for param in command.params + COMMON:
        if param.kind == FLAG:
            values.append((param.name, False))
        elif param.repeat or param.nargs in ("*", "+"):
            values.append((param.name, []))
        else:
            values.append((param.name, None))
    return values


__all__ = [
    "FLAG", "OPTION", "POSITIONAL", "TAIL", "Args", "Command", "Grammar", "Invocation", "Param", "Tail",
]  # fmt: skip
