"""Jobs as JSON objects: every field once, with the type it must have."""

from __future__ import annotations

import json
import os

from queuectl.commands.drafts import check_variable, directory, due_time
from queuectl.errors import BadValue, UsageError, did_you_mean
from queuectl.grammar.selection import check_name
from queuectl.job import LONGEST_WORD, SLOTS
from queuectl.settings import BY_NAME, PER_JOB, canonical
from queuectl.timespec import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from queuectl.commands.context import Context
    from queuectl.job import After

    Fields = dict[str, object]

#: fields that name jobs to wait for
_AFTER = frozenset(("after", "after_any", "after_failed"))


def read_job(text: str, ctx: Context) -> Fields:
    """Return the fields of NewJob that a JSON object gives. Raises UsageError naming the field."""
    return read_fields(load_object(text), ctx)


def read_fields(given: dict[str, object], ctx: Context) -> Fields:
    """Return the fields of NewJob that an object gives. Raises UsageError naming the field."""
    if "command" not in given:
        close = "" if not given else _near("command", given)
        raise UsageError(f'command: missing; a job is at least {{"command": "…"}}{close}')
    fields: Fields = {}
    for name, value in given.items():
        read = _READERS.get(name)
        if name == "array":
            raise UsageError("no field 'array': enqueue --array 0-3 makes one of a job")
        if read is None:
            raise UsageError(f"no field {name!r}{did_you_mean(name, _READERS) or _list_fields()}")
        read(name, value, fields)
    if "id" in given and "name" in given and given["id"] != given["name"]:
        raise UsageError("id: is taken as the name, and there is a name too; give one of them")
    if "delay" in fields or "at" in fields:
        delay, at = fields.pop("delay", None), fields.pop("at", None)
        fields["due_at"] = due_time(ctx, delay, at)  # type: ignore[arg-type]
    if "cwd" in fields:
        fields["cwd"] = directory(ctx, str(fields["cwd"]))
    if "stdin" in given or "stdin_file" in given:
        _take_stdin(ctx, given, fields)
    if not _AFTER.isdisjoint(fields):
        _take_after(ctx, fields)
    return fields


def _take_after(ctx: Context, fields: Fields) -> None:
    """Make one field of the three that say what a job waits for."""
    from queuectl.commands.demands import WHEN, check_after, jobs_before

    found: dict[After, None] = {}
    for name, when in WHEN:
        words = [str(item) for item in fields.pop(name, ())]  # type: ignore[attr-defined]
        found.update(dict.fromkeys(jobs_before(ctx, name, words, when)))
    check_after(found)
    fields["after"] = tuple(found)


def _take_stdin(ctx: Context, given: dict[str, object], fields: Fields) -> None:
    from queuectl.commands.payloads import from_file, from_text

    if "stdin" in given and "stdin_file" in given:
        raise UsageError(
            "stdin: is the text itself, and there is a stdin_file too; give one of them"
        )
    if "stdin_file" in given:
        fields.update(from_file(ctx, "stdin_file:", str(fields.pop("stdin_file"))))
    else:
        fields.update(from_text(ctx, fields.pop("stdin")))  # type: ignore[arg-type]


def load_object(text: str) -> dict[str, object]:
    """Return the object a text holds. Raises UsageError with the character where it stops."""
    found = load_json(text)
    if not isinstance(found, dict):
        raise UsageError("bad JSON: a job is an object: {…}")
    return found


def load_json(text: str) -> object:
    """Return what a text holds. Raises UsageError with the character where it stops."""
    try:
        found: object = json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"at character {error.pos + 1}" if error.lineno == 1 else f"in line {error.lineno}"
        message = "something follows the object" if error.msg == "Extra data" else error.msg.lower()
        hint = "; for a shell group: enqueue -- { …; }" if error.pos < 3 else ""
        raise UsageError(f"bad JSON {where}: {message}{hint}", position=error.pos) from None
    except RecursionError:
        raise UsageError("bad JSON: nested too deeply") from None
    return found


def _no_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{twin}: given twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise UsageError(f"bad JSON: {name} is not a JSON number")


def _near(wanted: str, given: dict[str, object]) -> str:
    from queuectl.errors import nearest

    close = nearest(wanted, given)
    return f"; did you mean {wanted} by {close!r}?" if close else ""


def _list_fields() -> str:
    return f"; there are {', '.join(_READERS)}"


def _wrong(name: str, value: object, expected: str) -> NoReturn:
    shown = json.dumps(value)
    if len(shown) > 60:
        shown = shown[:59] + "…"
    raise UsageError(f"{name}: {shown} is not {expected}")


def _string(name: str, value: object) -> str:
    """Return a string that a program can be given. Raises UsageError."""
    if not isinstance(value, str):
        _wrong(name, value, "a string")
    if "\0" in value:
        _wrong(name, value, "a string without NUL characters")
    try:
        size = len(value) if value.isascii() else len(os.fsencode(value))
    except UnicodeEncodeError:
        # such as "\ud800" alone
        _wrong(name, value, "text: half a character")
    if size > LONGEST_WORD:
        raise UsageError(f"{name}: more than {LONGEST_WORD} bytes, which no program can be given")
    return value


def _read_string(name: str, value: object, fields: Fields) -> None:
    fields[name] = _string(name, value)


def _read_command(name: str, value: object, fields: Fields) -> None:
    if not _string(name, value).strip():
        _wrong(name, value, "a command")
    fields[name] = value


def _read_args(name: str, value: object, fields: Fields) -> None:
    if value is None:
        return
    if not isinstance(value, list):
        _wrong(name, value, "a list of strings")
    words = tuple(_string(f"{name}[{at}]", word) for at, word in enumerate(value))
    fields[name] = words or None


def _read_shell(name: str, value: object, fields: Fields) -> None:
    if isinstance(value, str):
        fields[name] = True
        _policy(fields)["shell"] = canonical(BY_NAME["shell"], _string(name, value))
    elif isinstance(value, bool):
        fields[name] = value
    else:
        _wrong(name, value, "true, false or the path of a shell")


def _read_name(name: str, value: object, fields: Fields) -> None:
    if name == "id" and not isinstance(value, str):
        _wrong(name, value, "a string; queuectl gives the numbers, a string is taken as name")
    try:
        fields["name"] = check_name(_string(name, value))
    except BadValue as error:
        _wrong(name, value, str(error.facts["expected"]))


def _read_whole(name: str, value: object, fields: Fields) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        _wrong(name, value, "a whole number")
    fields[name] = value


def _read_bool(name: str, value: object, fields: Fields) -> None:
    if not isinstance(value, bool):
        _wrong(name, value, "true or false")
    fields[name] = value


def _read_delay(name: str, value: object, fields: Fields) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        _wrong(name, value, _JSON_TYPES["duration"][1])
    fields[name] = parse_duration(value if isinstance(value, str) else format(value, "f"), name)


def _read_env(name: str, value: object, fields: Fields) -> None:
    if not isinstance(value, dict):
        _wrong(name, value, "an object of strings")
    for variable, text in value.items():
        check_variable(name, variable)
        _string(f"{name}.{variable}", text)
    fields[name] = value


def _read_after(name: str, value: object, fields: Fields) -> None:
    items = value if isinstance(value, list) else [value]
    for item in items:
        if isinstance(item, str):
            good = bool(item.strip())
        else:
            good = isinstance(item, int) and not isinstance(item, bool) and 0 < item < 2**63
        if not good:
            _wrong(name, item, "the id or name of a job, or a list of them")
    fields[name] = items


def _read_unique(name: str, value: object, fields: Fields) -> None:
    from queuectl.commands.demands import check_key

    try:
        fields[name] = check_key(_string(name, value))
    except BadValue as error:
        _wrong(name, value, str(error.facts["expected"]))


def _read_keep(name: str, value: object, fields: Fields) -> None:
    if not isinstance(value, bool):
        _wrong(name, value, "true or false")
    _policy(fields)["unmet"] = "keep" if value else "cancel"


def _read_need(name: str, value: object, fields: Fields) -> None:
    from queuectl.resources import read_needs

    needs = {SLOTS: value} if name == SLOTS else value
    if not isinstance(needs, dict):
        _wrong(name, value, 'an object of amounts such as {"gpu": 1, "mem": "8G"}')
    have: dict[str, int] = fields.setdefault("needs", {})  # type: ignore[assignment]
    fields["needs"] = {**have, **read_needs(needs)}


def _read_stdin(name: str, value: object, fields: Fields) -> None:
    if not isinstance(value, str):
        _wrong(name, value, "a string")
    fields[name] = value.encode("utf-8", "surrogatepass")


def _read_policy(name: str, value: object, fields: Fields) -> None:
    setting = BY_NAME[name.replace("_", "-")]
    types, expected = _JSON_TYPES[setting.kind]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        _wrong(name, value, " or ".join(setting.choices) or expected)
    if isinstance(value, bool):
        text = "on" if value else "off"
    else:
        text = _string(name, value) if isinstance(value, str) else repr(value)
    try:
        _policy(fields)[setting.name] = canonical(setting, text)
    except BadValue as error:
        _wrong(name, value, str(error.facts.get("expected", "valid")))


#: by kind of setting: what it is in JSON, and how to say so
_JSON_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "duration": ((int, float, str), "a number of seconds, or a text such as 30s"),
    "size": ((int, str), "a number of bytes, or a text such as 64MiB"),
    "endings": ((int, str), "an exit code, or a text such as 75,100-110"),
    "switch": ((bool,), "true or false"),
    "line": ((str,), "a command line"),
    "choice": ((str,), "one of its words"),
}


def _policy(fields: Fields) -> dict[str, str]:
    return fields.setdefault("policy", {})  # type: ignore[return-value]


_READERS: dict[str, Callable[[str, object, Fields], None]] = {
    "command": _read_command,
    "args": _read_args,
    "shell": _read_shell,
    "queue": _read_string,
    "name": _read_name,
    "id": _read_name,
    "priority": _read_whole,
    **{name.replace("-", "_"): _read_policy for name in PER_JOB if name != "shell"},
    "delay": _read_delay,
    "at": _read_string,
    "cwd": _read_string,
    "env": _read_env,
    "stdin": _read_stdin,
    "stdin_file": _read_string,
    "paused": _read_bool,
    "after": _read_after,
    "after_any": _read_after,
    "after_failed": _read_after,
    "keep_waiting": _read_keep,
    "unique": _read_unique,
    SLOTS: _read_need,
    "need": _read_need,
}
