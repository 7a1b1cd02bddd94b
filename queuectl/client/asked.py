"""What a program gives to the Python API, checked before any store sees it: the same everywhere.

Each function returns what it was given, in the form that goes on, or raises UsageError.
"""

from __future__ import annotations

import math
import os

from queuectl.demands import WHEN, check_after
from queuectl.errors import BadValue, UsageError, did_you_mean
from queuectl.grammar.selection import check_name
from queuectl.job import LONGEST_WORD, OTHER_WORDS, STATES, After

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, NoReturn

    from queuectl.job import State

    #: one job or several, by id or name
    Jobs = int | str | Iterable[int | str]

#: as many seconds as a store has room for: a thousand years
_LONGEST = 1000 * 366 * 86400.0
_MOST = 2**63 - 1


def wrong(what: str, value: object, expected: str) -> NoReturn:
    """Raise BadValue, with no more of the value than fits a line."""
    shown = value if isinstance(value, (str, bytes, int, float)) else type(value).__name__
    if isinstance(shown, (str, bytes)):
        shown = shown[:60]
    raise BadValue(what=what, value=shown, expected=expected)


def text(what: str, value: Any) -> str:
    """Return a text that a program can be given; bytes that are not UTF-8 as in `os.fsdecode`."""
    if not isinstance(value, str):
        raise UsageError(f"{what}: a {type(value).__name__} is no text")
    if "\0" in value:
        wrong(what, value, "a text without NUL characters")
    try:
        size = len(value) if value.isascii() else len(os.fsencode(value))
    except UnicodeEncodeError:
        raise UsageError(f"{what}: {value[:60]!a} is no text: half a character") from None
    if size > LONGEST_WORD:
        raise UsageError(f"{what}: more than {LONGEST_WORD} bytes, which no program can be given")
    return value


def command(first: Any, rest: Sequence[Any]) -> tuple[str, tuple[str, ...] | None]:
    """Return a command and its arguments."""
    if not text("command", first).strip():
        raise UsageError("the command is empty")
    return first, tuple(text("command", word) for word in rest) or None


def whole(what: str, value: Any, lowest: int = -_MOST, highest: int = _MOST) -> int:
    """Return a whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        least = "" if lowest == -_MOST else f" from {lowest}"
        most = "" if highest == _MOST else f" to {highest}"
        wrong(what, value, f"a whole number{least}{most}")
    return value


def seconds(what: str, value: Any) -> float:
    """Return a number of seconds."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or not 0 <= value <= _LONGEST:
        wrong(what, value, "a number of seconds from 0 up")
    return float(value)


def flag(what: str, value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        wrong(what, value, "True or False")
    return value


def data(what: str, value: Any) -> bytes:
    """Return bytes."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise UsageError(f"{what}: a {type(value).__name__} is no bytes")
    return bytes(value)


def name(value: Any) -> str | None:
    """Return a name for a job, or none."""
    return None if value is None else check_name(text("name", value))


def queue_name(value: Any) -> str:
    """Return a name for a queue."""
    checked = text("queue", value)
    if not checked or any(char in " ,'\"/" for char in checked) or not checked.isprintable():
        raise UsageError(f"queue: {checked[:60]!r} is no name: no blank, comma, slash or quote")
    return checked


def directory(value: Any) -> str:
    """Return an absolute directory; without one that where this program is."""
    try:
        given = os.fspath(value) if value is not None else os.getcwd()
    except TypeError:
        wrong("cwd", value, "a path")
    except OSError as error:
        raise UsageError(f"cwd: {error.strerror}") from None
    return os.path.abspath(text("cwd", os.fsdecode(given)))


def variables(value: Any) -> dict[str, str]:
    """Return variables of an environment."""
    if value is None:
        return {}
    if not hasattr(value, "items"):
        wrong("env", value, "a mapping from names to texts")
    for variable, content in value.items():
        if not isinstance(variable, str) or not variable.isidentifier() or not variable.isascii():
            wrong("env", variable, "a variable")
        text(f"env: {variable}", content)
    return dict(value)


def policy(given: Mapping[str, object], known: Iterable[str]) -> dict[str, str]:
    """Return settings by name, in their canonical text; `known` are words beside them."""
    from queuectl.settings import BY_NAME, PER_JOB, canonical

    found = {}
    for word, value in given.items():
        setting = BY_NAME.get(word.replace("_", "-"))
        if setting is None:
            there = (*known, *(one.replace("-", "_") for one in PER_JOB))
            hint = did_you_mean(word, there)
            raise UsageError(f"no setting {word!r}{hint or '; `set` lists them'}")
        if not setting.per_job:
            raise UsageError(f"{word}: is no setting of a job")
        if not isinstance(value, (str, int, float)):
            wrong(word, value, "a text, a number, True or False")
        shown = ("on" if value else "off") if isinstance(value, bool) else str(value)
        found[setting.name] = canonical(setting, shown)
    return found


def needs(value: Any) -> dict[str, int]:
    """Return amounts of resources: of `{"gpu": 1, "mem": "8G"}`, or `"gpu=1,mem=8G"`."""
    from queuectl.resources import read_needs

    if value is None:
        return {}
    if not isinstance(value, str) and not hasattr(value, "items"):
        wrong("needs", value, 'a mapping such as {"gpu": 1, "mem": "8G"}')
    return read_needs(value if isinstance(value, str) else dict(value))


def several(what: str, jobs: Any) -> list[int | str]:
    """Return jobs, each by its id or name."""
    try:
        items = [jobs] if isinstance(jobs, (int, str)) else list(jobs)
    except TypeError:
        items = [jobs]
    for item in items:
        one_job(what, item)
    return items


def one_job(what: str, value: Any) -> int | str:
    """Return what may be the id or the name of a job."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        wrong(what, value, "the id or name of a job")
    return text(what, value) if isinstance(value, str) else value


def before(asked: Mapping[str, Jobs]) -> tuple[After, ...]:
    """Return what a job waits for; `asked` has the arguments that WHEN names."""
    found: dict[After, None] = {}
    for what, when in WHEN:
        for job in several(what, asked[what]):
            if isinstance(job, str):
                check_name(job)
            else:
                whole(what, job, 1)
            found[After(job, when)] = None
    check_after(found)
    return tuple(found)


def states(given: State | Sequence[State]) -> tuple[State, ...]:
    """Return states of jobs."""
    found: Any = (given,) if isinstance(given, str) else given
    try:
        found = tuple(found)
    except TypeError:
        wrong("state", given, "a state")
    for word in found:
        if word not in STATES:
            ours = OTHER_WORDS.get(word.lower()) if isinstance(word, str) else None
            hint = f"; did you mean {ours}?" if ours else did_you_mean(str(word), STATES)
            there = f"; there are {', '.join(STATES)}"
            raise UsageError(f"state: {str(word)[:60]!r} is no state{hint or there}")
    return found  # type: ignore[no-any-return]
