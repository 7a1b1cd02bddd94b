"""`help` and `version`, written from the command table."""

from __future__ import annotations

from queuectl.commands import GRAMMAR, TABLE
from queuectl.commands.result import Result, Text, say
from queuectl.grammar.table import COMMON, FLAG, OPTION, SESSION, Command, Param

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args

#: columns that a text beside a name has at least
_NARROWEST = 24


def show(ctx: Context, args: Args) -> Result:
    """Run `help`, `help COMMAND` and `COMMAND --help`."""
    width = min(100, ctx.screen.width)
    if not args.command:
        return Result([_data(command) for command in TABLE], (Text("\n".join(overview(width))),))
    commands = GRAMMAR.find(args.command)
    if len(commands) > 1:
        lines = [
            line
            for command in commands
            for line in (
                *_wrapped(command.usage, width, 4),
                *_wrapped(command.summary, width, 4, 4),
            )
        ]
        return Result([_data(command) for command in commands], (Text("\n".join(lines)),))
    return Result(_data(commands[0]), (Text("\n".join(explain(commands[0], width))),))


def version(ctx: Context, args: Args) -> Result:  # noqa: ARG001
    """Run `version`."""
    from queuectl import __version__

    return say(f"queuectl {__version__}", {"version": __version__})


def overview(columns: int = 100) -> Iterator[str]:
    """Yield the lines of `help`: every command under its topic."""
    width = max(len(command.name) for command in TABLE)
    topics = dict.fromkeys(command.topic for command in TABLE)
    for topic in topics:
        yield f"{topic}:"
        for command in TABLE:
            if command.topic == topic:
                also = f" (also: {', '.join(command.aliases)})" if command.aliases else ""
                yield from _row(command.name, width, f"{command.summary}{also}", columns)
        yield ""
    yield from _wrapped(
        "`help COMMAND`, or `COMMAND --help`, explains one. Every command takes --json."
        f" On the command line every one takes {_session()} as well.",
        columns,
    )


def explain(command: Command, width: int = 80) -> Iterator[str]:
    """Yield the lines of `help COMMAND`."""
    yield from _wrapped(f"usage: {command.usage}", width, 4)
    yield ""
    yield from _wrapped(f"{command.summary[0].upper()}{command.summary[1:]}.", width)
    if command.description:
        for paragraph in command.description.split("\n"):
            yield from _wrapped(paragraph, width)
    if command.aliases:
        yield f"Also: {', '.join(command.aliases)}."
    rows = list(_parameters(command))
    widest = max(len(name) for name, _ in rows)
    yield ""
    for name, text in rows:
        yield from _row(name, widest, text, width)
    yield ""
    yield from _wrapped(f"On the command line also {_session(command)}.", width)
    if command.examples:
        yield ""
        yield "For example:"
        for example in command.examples:
            yield f"  {example}"


def _row(name: str, widest: int, text: str, width: int) -> Iterator[str]:
    """Yield the lines of a row: the text beside the name, or below it where that is too narrow."""
    indent = widest + 4
    if width - indent < _NARROWEST:
        yield f"  {name}"
        yield from _wrapped(text, width, 8, 8)
        return
    first, *rest = _wrapped(text, width - indent)
    yield f"  {name.ljust(widest)}  {first}"
    for line in rest:
        yield f"{' ' * indent}{line}"


def _wrapped(text: str, width: int, hanging: int = 0, first: int = 0) -> list[str]:
    """Return the lines of a text, broken between words only."""
    from textwrap import wrap

    return wrap(
        text, width, initial_indent=" " * first, subsequent_indent=" " * hanging,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _session(command: Command | None = None) -> str:
    """Return the flags of the session, but for those that mean something else to a command."""
    flags = [
        f"{param.flag} {param.placeholder}"
        for param in SESSION
        if command is None or command.session_flag(param.flag)
    ]
    return f"{', '.join(flags[:-1])} and {flags[-1]}"


def _parameters(command: Command) -> Iterator[tuple[str, str]]:
    for param in command.params:
        if param.kind not in (OPTION, FLAG):
            yield param.placeholder, param.help
    for param in (*command.params, *COMMON):
        if param.kind in (OPTION, FLAG):
            yield _spelling(param), param.help


def _spelling(param: Param) -> str:
    short = f"{param.short}, " if param.short else "    "
    value = f" {param.placeholder}" if param.kind == OPTION else ""
    return f"{short}{param.flag}{value}"


def _data(command: Command) -> dict[str, object]:
    return {
        "command": command.name,
        "aliases": list(command.aliases),
        "summary": command.summary,
        "usage": command.usage,
        "parameters": [{"name": name.strip(), "help": text} for name, text in _parameters(command)],
        "examples": list(command.examples),
    }
