"""argparse, driven by the command table: arity, types and choices of one command's words.

Imported only for lines that have flags or positionals. Its errors are one line and never exit.
"""

from __future__ import annotations

import argparse

from queuectl.errors import BadValue, UsageError, did_you_mean
from queuectl.grammar.table import COMMON, FLAG, OPTION, TAIL, Args, Command, Param
from queuectl.job import STATES, state_meant
from queuectl.timespec import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

LARGEST = 2**63 - 1


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are exceptions."""

    def __init__(self, command: Command) -> None:
        super().__init__(prog=command.name, add_help=False, allow_abbrev=False)
        self._command = command

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        for wordy, short in _SHORTER:
            message = message.replace(wordy, short)
        hint = self._as_flag(message) or f"; see `help {self._command.name}`"
        raise UsageError(f"{self._command.name}: {message}{hint}")

    def _as_flag(self, message: str) -> str:
        """Return what was meant by words like `limit 3` that should have been `--limit 3`."""
        words = message.partition("too many words: ")[2]
        flag = self._command.flag(f"--{words.partition(' ')[0]}") if words else None
        return f"; did you mean {flag.flag}{words[len(flag.flag) - 2 :]}?" if flag else ""


_SHORTER = (
    ("the following arguments are required:", "missing"),
    ("unrecognized arguments: --", "too many words:"),
    ("unrecognized arguments:", "too many words:"),
    ("argument --", "--"),
    (": expected one argument", " needs a value"),
)


def parser_for(command: Command) -> argparse.ArgumentParser:
    """Return a parser for the flags and positionals of one command."""
    parser = _Parser(command)
    for param in command.params + COMMON:
        if param.kind == TAIL:
            continue
        names = [param.flag] if param.kind in (OPTION, FLAG) else [param.name]
        if param.short:
            names.append(param.short)
        parser.add_argument(*names, **_options(command, param))
    return parser


def bind(parser: argparse.ArgumentParser, flags: Sequence[str], positionals: Sequence[str]) -> Args:
    """Return the arguments these words give. Raises UsageError.

    Flags come first and joined with their values, so that no positional is taken for one.
    """
    args = Args()
    if positionals and parser.prog == "cancel" and _is_signal(positionals[0]):
        raise UsageError(_signal_meant(positionals))
    parser.parse_args([*flags, "--", *positionals] if positionals else flags, namespace=args)
    return args


def _is_signal(word: str) -> bool:
    return word[:1] == "-" and word[1:].isdigit()


def _signal_meant(words: Sequence[str]) -> str:
    """Say what stands here for `kill -9 3`."""
    import signal

    number = words[0][1:]
    known = {str(int(one)): one.name.removeprefix("SIG") for one in signal.Signals}
    jobs = " ".join(words[1:]) or "JOB"
    name = known.get(number, number)
    now = f"; to end it at once: cancel --now {jobs}" if name == "KILL" else ""
    return f"cancel: {words[0]} is no job; to send a signal: signal {name} {jobs}{now}"


def _options(command: Command, param: Param) -> dict[str, Any]:
    if param.kind == FLAG:
        return {"action": "store_true", "dest": param.name}
    options: dict[str, Any] = {"type": reader_of(param, command.name), "metavar": param.placeholder}
    if param.kind == OPTION:
        options["dest"] = param.name
        if param.repeat:
            options.update(action="append", default=[])
    elif param.nargs:
        options["nargs"] = param.nargs
        if param.nargs in ("*", "+"):
            options["default"] = []
    return options


def reader_of(param: Param, command: str) -> Callable[[str], object]:
    """Return what turns the text of a parameter into its value, raising BadValue."""
    name = f"{command}: {param.flag if param.kind == OPTION else param.placeholder}"
    if param.choices:
        return lambda text: choose(name, text, param.choices)
    read = READERS[param.type]
    return lambda text: read(name, text)


def choose(name: str, text: str, choices: Sequence[str]) -> str:
    """Return the text if it is one of the choices; BadValue names the nearest."""
    if text in choices:
        return text
    expected = f"one of {', '.join(choices)}{did_you_mean(text, choices)}"
    raise BadValue(what=name, value=text, expected=expected)


def read_states(name: str, text: str) -> tuple[str, ...]:
    """Return the states of a comma list; a word that other queues use names ours."""
    return tuple(_state(name, word) for word in text.split(",") if word) or _none(name, text)


def _state(name: str, word: str) -> str:
    if word.lower() in STATES:
        return word.lower()
    ours = state_meant(word)
    hint = f"; did you mean {ours}?" if ours else ""
    raise BadValue(what=name, value=word, expected=f"a state ({', '.join(STATES)}){hint}")


def _none(name: str, text: str) -> NoReturn:
    raise BadValue(what=name, value=text, expected=f"a state ({', '.join(STATES)})")


def _text(name: str, text: str) -> str:
    if "\0" in text:
        raise BadValue(what=name, value=text, expected="a text without NUL characters")
    return text


def _whole(name: str, text: str, lowest: int | None) -> int:
    try:
        number = int(text) if "_" not in text else None
    except ValueError:
        number = None
    if number is None or abs(number) > LARGEST or (lowest is not None and number < lowest):
        more = "" if lowest is None else f" from {lowest} up"
        raise BadValue(what=name, value=text, expected=f"a whole number{more}")
    return number


def _one_job(name: str, text: str) -> str:
    """Return a text that is no selection of many jobs, as far as it shows. Raises UsageError."""
    first, dash, last = text.partition("-")
    is_range = first.isdigit() and bool(dash) and (not last or last.isdigit())
    if is_range or "," in text or text == "all" or text in STATES:
        command = name.partition(":")[0]
        raise UsageError(
            f"{command} takes one job, and {text} can be many jobs: `follow {text}` shows what they wrote"
        )
    return text


READERS: dict[str, Callable[[str, str], object]] = {
    "text": _text,
    "int": lambda name, text: _whole(name, text, None),
    "size": lambda name, text: _whole(name, text, 0),
    "count": lambda name, text: _whole(name, text, 1),
    "duration": lambda name, text: parse_duration(text, name),
    "duration-or-none": lambda name, text: text if text == "none" else parse_duration(text, name),
    "one-job": _one_job,
    "states": read_states,
}
