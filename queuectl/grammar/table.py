"""What a command table is made of: parameters, commands, and what a parsed line becomes.

A table of `Command` rows is all there is to know about commands; parser, help, completion and
highlighting derive from it. Cheap to import and to make: a one-shot command makes all of it.
"""

from __future__ import annotations

from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

#: kinds of parameters: a word by its place; --name VALUE; --name; the verbatim rest of the line
POSITIONAL, OPTION, FLAG, TAIL = "positional", "option", "flag", "tail"


class Param(Record):
    """One parameter of a command."""

    #: its name in the arguments; a flag is spelled with hyphens
    name: str
    kind: str
    help: str
    #: name of the reader in queuectl.grammar.engine
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
#: more than these are not spelled out in one line
FLAGS_IN_USAGE = 4
#: flags that every command has
COMMON = (JSON, HELP)
#: flags of a whole session: on a command line they stand in front of the command or among its flags
SESSION = (
    Param("store", OPTION, "where the jobs live", metavar="URL"),
    Param("schema", OPTION, "the schema of a PostgreSQL store", metavar="NAME"),
    Param("token_file", OPTION, "what to show a `serve`", metavar="FILE"),
)


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
    #: whether it acts on the session or machine of who typed it, so that no socket may ask for it
    local: bool = False
    #: whether it only looks at what is in the store, so that none is made for it
    looks: bool = False

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
            if word == param.flag or (param.short and text == param.short):
                return param
        return None

    def session_flag(self, text: str) -> Param | None:
        """Return the flag of the session that `--name` or `--name=value` gives, or None.

        A flag of the command's own of that name comes first.
        """
        if self.flag(text) is not None:
            return None
        word = text.partition("=")[0]
        return next((param for param in SESSION if param.flag == word), None)

    @property
    def usage(self) -> str:
        """One line: the command and what may follow."""
        parts = [self.name]
        flags = self.flags[: -len(COMMON)]
        if len(flags) > FLAGS_IN_USAGE:
            parts.append("[FLAG]…")
            flags = ()
        for param in flags:
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
        def __setattr__(self, name: str, value: object) -> None: ...

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"Args({given})"


class Invocation(Record):
    """A command together with its arguments, ready to run."""

    command: Command
    args: Args
    #: flags of the session that stood among the command's, by their names
    session: Mapping[str, str] = {}

    @property
    def json(self) -> bool:
        """Whether one JSON document is asked for."""
        return bool(self.args.json)
