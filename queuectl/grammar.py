"""The types of the command table and the two ways into it: a line of text, or words of an argv.

A table of `Command` rows is all there is to know about commands; parser, help, completion and
highlighting derive from it. Cheap to import: what only some lines need is imported for them.
"""

from __future__ import annotations

from queuectl.errors import UsageError, did_you_mean
from queuectl.record import Record
from queuectl.tokens import json_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from queuectl.reading import Reading

#: kinds of parameters: a word by its place; --name VALUE; --name; the verbatim rest of the line
POSITIONAL, OPTION, FLAG, TAIL = "positional", "option", "flag", "tail"


class Param(Record):
    """One parameter of a command."""

    #: its name in the arguments; a flag is spelled with hyphens
    name: str
    kind: str
    help: str
    #: name of the reader in queuectl.engine
    type: str = "text"
    #: what stands for its value in help
    metavar: str = ""
    choices: tuple[str, ...] = ()
    #: which living things complete it: job-ids, states, settings, queues, commands, files, …
    completer: str = ""
    #: of a positional, as in argparse: exactly one, or ?, *, +
    nargs: str = ""
    #: a one-letter flag beside the long one
    short: str = ""
    #: an option that may be given several times; its value is a list
    repeat: bool = False
    #: whether commas separate several values in one word
    commas: bool = False

    @property
    def flag(self) -> str:
        """The flag as it is typed."""
        return "--" + self.name.replace("_", "-")

    @property
    def placeholder(self) -> str:
        """What stands for the value in usage and help."""
        return self.metavar or self.name.upper()

    @property
    def required(self) -> bool:
        """Whether a command cannot do without it."""
        return self.kind == POSITIONAL and self.nargs in ("", "+")


JSON = Param("json", FLAG, "print one JSON document")
HELP = Param("help", FLAG, "show this help", short="-h")
#: flags that every command has
COMMON = (JSON, HELP)


class Command(Record):
    """One row of the table."""

    path: tuple[str, ...]
    summary: str
    #: what runs it, as module:function; imported when it runs
    run: str
    params: tuple[Param, ...] = ()
    #: other first words for the same thing
    aliases: tuple[str, ...] = ()
    description: str = ""
    examples: tuple[str, ...] = ()
    #: heading under which help lists it
    topic: str = ""
    #: whether it changes the store
    mutates: bool = False
    #: whether it acts on the session or machine of who typed it, so that no socket may ask for it
    local: bool = False

    @property
    def name(self) -> str:
        """The command as it is typed."""
        return " ".join(self.path)

    @property
    def tail(self) -> Param | None:
        """The parameter that takes the rest of the line verbatim, if it has one."""
        last = self.params[-1] if self.params else None
        return last if last is not None and last.kind == TAIL else None

    @property
    def positionals(self) -> tuple[Param, ...]:
        """Parameters given by their place."""
        return tuple(param for param in self.params if param.kind == POSITIONAL)

    @property
    def flags(self) -> tuple[Param, ...]:
        """Options and flags, those of every command last."""
        return tuple(param for param in self.params if param.kind in (OPTION, FLAG)) + COMMON

    def flag(self, text: str) -> Param | None:
        """Return the parameter that `--name`, `--name=value` or `-n` gives, or None."""
        word = text.partition("=")[0]
        for param in self.flags:
            if word == param.flag or param.short and text == param.short:
                return param
        return None

    @property
    def usage(self) -> str:
        """One line: the command and what may follow."""
        parts = [self.name]
        for param in self.flags[: -len(COMMON)]:
            value = f" {param.placeholder}" if param.kind == OPTION else ""
            parts.append(f"[{param.flag}{value}]" + ("…" if param.repeat else ""))
        for param in self.positionals:
            more = "…" if param.nargs in ("*", "+") else ""
            word = param.placeholder + more
            parts.append(word if param.required else f"[{word}]")
        if self.tail:
            parts.append(self.tail.placeholder)
        return " ".join(parts)

    def load(self) -> Callable[..., Any]:
        """Import and return the function that runs it."""
        module, _, function = self.run.partition(":")
        loaded: Callable[..., Any] = getattr(__import__(module, fromlist=[function]), function)
        return loaded


class Tail(Record):
    """The part of a line that is not queuectl's: a text as it was typed, or words of an argv."""

    text: str | None = None
    words: tuple[str, ...] | None = None
    #: after `--`: to be taken as it is
    verbatim: bool = False
    #: where it begins in the line
    start: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.text if self.words is None else self.words)


class Args:
    """The arguments of a command, one attribute for each of its parameters."""

    def __init__(self, values: Iterable[tuple[str, object]] = ()) -> None:
        self.__dict__.update(values)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"Args({given})"


class Invocation(Record):
    """A command together with its arguments, ready to run."""

    command: Command
    args: Args

    @property
    def json(self) -> bool:
        """Whether one JSON document is asked for."""
        return bool(self.args.json)


class Grammar:
    """A command table and the questions one can ask it."""

    def __init__(self, table: tuple[Command, ...]) -> None:
        self.table = table
        #: first words: a command, or the commands of a group by their second word
        self.index: dict[str, Command | dict[str, Command]] = {}
        for command in table:
            if len(command.path) == 1:
                self.index[command.path[0]] = command
            else:
                group = self.index.setdefault(command.path[0], {})
                assert isinstance(group, dict)
                group[command.path[1]] = command
            for alias in command.aliases:
                self.index[alias] = command
        self._parsers: dict[tuple[str, ...], Any] = {}

    def read(self, text: str) -> Reading:
        """Return what a line says word by word, faults included; raises nothing."""
        from queuectl.reading import LineSource, read

        return read(self.index, LineSource(text))

    def parse_line(self, text: str) -> Invocation | None:
        """Return what a line asks for, None when it is empty or a comment.

        Raises UsageError; its facts hold the `position` of the fault.
        """
        return self._invocation(self.read(text))

    def parse_argv(self, words: Sequence[str]) -> Invocation:
        """Return what the words of a command line ask for. Raises UsageError."""
        from queuectl.reading import WordsSource, read

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
        return Invocation(command, self._bind(command, reading))

    def _bind(self, command: Command, reading: Reading) -> Args:
        flags, positionals = reading.split()
        if flags or positionals or any(param.required for param in command.params):
            from queuectl.engine import bind, parser_for

            parser = self._parsers.get(command.path)
            if parser is None:
                parser = self._parsers[command.path] = parser_for(command)
            args = bind(parser, flags, positionals)
        else:
            args = Args(_defaults(command))
        if command.tail:
            setattr(args, command.tail.name, reading.tail or Tail())
        return args


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
