"""How the Store contract goes over a wire: values as JSON, and which method needs which role.

JSON has no bytes, tuples or records, so these are objects with one key that begins with `!`:
`{"!b": base64}`, `{"!t": […]}`, `{"!r": [name, field, field, …]}`, `{"!e": id}` (Existing) and
`{"!m": [[key, value], …]}` for mappings whose keys are not plain texts. Fields of a record go by
their order; new ones are added at the end with a default, so either side may be older: what it
does not know is ignored, what it misses has its default. Texts may hold surrogates (bytes that
are not UTF-8, see os.fsdecode); JSON escapes them.

Decoding makes records of the names in `_records` only, and nothing else is ever looked up.
"""

from __future__ import annotations

import json
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from queuectl import errors, job
from queuectl.record import Record
from queuectl.store import base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: both sides must speak the same; raised when an old client would misunderstand
PROTOCOL = 1
#: the port of a server when a URL names none
PORT = 8470
#: nesting of a value that is decoded; real ones have six
_DEEPEST = 40

# ---- roles --------------------------------------------------------------------------------------

#: may look, submit messages and wait; may also run jobs and enqueue commands; may do everything
SUBMIT, WORK, ADMIN = "submit", "work", "admin"
ROLES = (SUBMIT, WORK, ADMIN)


def allows(role: str, needed: str) -> bool:
    """Whether a role is enough for what needs another."""
    return ROLES.index(role) >= ROLES.index(needed)


#: reads; a write that may be repeated; a write whose answer is kept for a repeat
READ, AGAIN, ONCE = "read", "again", "once"


class Method(Record):
    """How one method of the store is called from afar."""

    role: str
    kind: str


METHODS: dict[str, Method] = {
    **dict.fromkeys(
        "now version get jobs ids states_of alike ran_on finished tally count id_of_name attempts counts line next_due newest_id"
        " queues dependencies dependents waits given_up roots schedules settings hosts expired".split(),
        Method(SUBMIT, READ),
    ),
    **dict.fromkeys("held_by note payload".split(), Method(WORK, READ)),
    "checks": Method(ADMIN, READ),
    **dict.fromkeys("renew prune_notes put_note register".split(), Method(WORK, AGAIN)),
    **dict.fromkeys(
        "add claim start settle release lose cancel retry hold edit edit_all move wish take_wishes prune"
        " fire forget ask_stop ship".split(),
        Method(WORK, ONCE),
    ),
    **dict.fromkeys(
        "restore remove create_queue remove_queue remove_schedule".split(), Method(ADMIN, ONCE)
    ),
    **dict.fromkeys("change_queue pause_queue put_schedule set".split(), Method(ADMIN, AGAIN)),
}
#: methods that have a way of their own over the wire, or none
OTHERS = frozenset(
    "close transaction listener output backup shipped unused drop_unused".split()
)  # fmt: skip

# ---- values -------------------------------------------------------------------------------------

_records: dict[str, type[Any]] = {}


def _known() -> dict[str, type[Any]]:
    """Return every record of the contract, by name."""
    if not _records:
        known = {**vars(job), **vars(base)}
        _records.update(
            (name, found) for name, found in known.items()
            if isinstance(found, type) and issubclass(found, tuple) and hasattr(found, "_make")
        )  # fmt: skip
    return _records


def pack(value: object) -> object:
    """Return what stands for a value in JSON. Raises TypeError for what the contract has not."""
    if value is None or value is True or value is False or type(value) in (int, float, str):
        return value
    if isinstance(value, bytes):
        return {"!b": b2a_base64(value, newline=False).decode("ascii")}
    if isinstance(value, tuple):
        if hasattr(value, "_fields"):
            return {"!r": [type(value).__name__, *(pack(item) for item in value)]}
        return {"!t": [pack(item) for item in value]}
    if isinstance(value, base.Existing):
        return {"!e": int(value)}
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("!") for key in value):
            return {key: pack(item) for key, item in value.items()}
        return {"!m": [[pack(key), pack(item)] for key, item in value.items()]}
    if isinstance(value, (list, range)):
        return [pack(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return {"!t": [pack(item) for item in value]}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def unpack(value: object, depth: int = 0) -> Any:
    """Return the value that `pack` packed. Raises ValueError for what it never makes."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [unpack(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key.startswith("!"):
            return _tagged(key, inner, depth)
    return {key: unpack(item, depth + 1) for key, item in value.items()}


def _tagged(tag: str, inner: object, depth: int) -> object:
    if tag == "!b" and isinstance(inner, str):
        try:
            return a2b_base64(inner.encode("ascii"), strict_mode=True)
        except (Base64Error, UnicodeEncodeError) as error:
            raise ValueError(f"bad base64: {error}") from None
    if tag == "!e" and type(inner) is int:
        return base.Existing(inner)
    if isinstance(inner, list):
        if tag == "!t":
            return tuple(unpack(item, depth + 1) for item in inner)
        if tag == "!r" and inner and isinstance(inner[0], str):
            return _record(inner[0], [unpack(item, depth + 1) for item in inner[1:]])
        if tag == "!m":
            return _mapping(inner, depth)
    raise ValueError(f"no value is tagged {tag!r} so")


def _mapping(inner: list[object], depth: int) -> dict[object, object]:
    found = {}
    for pair in inner:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError("a mapping is a list of pairs")
        key = unpack(pair[0], depth + 1)
        try:
            found[key] = unpack(pair[1], depth + 1)
        except TypeError:
            raise ValueError("a key cannot be hashed") from None
    return found


def _record(name: str, values: list[Any]) -> object:
    kind = _known().get(name)
    if kind is None:
        raise ValueError(f"no record {name!r}")
    try:
        return kind(*values[: len(kind._fields)])
    except TypeError as error:
        raise ValueError(str(error)) from None


def dumps(value: object) -> bytes:
    """Return a value as bytes of JSON, ASCII only. Raises TypeError."""
    return json.dumps(pack(value), separators=(",", ":")).encode("ascii")


def loads(data: bytes) -> Any:
    """Return the value that `dumps` wrote. Raises ValueError for anything else."""
    try:
        return unpack(json.loads(data))
    except RecursionError:
        raise ValueError("nested too deeply") from None


# ---- errors -------------------------------------------------------------------------------------


def error_data(error: errors.QueuectlError) -> dict[str, object]:
    """Return an error as a plain JSON object: for people and other languages as it stands."""
    facts = {}
    for name, fact in error.facts.items():
        try:
            facts[name] = pack(fact)
        except TypeError:
            facts[name] = str(fact)
    return {
        "error": error.message,
        "exit_code": error.exit_status,
        "kind": type(error).__name__,
        "facts": facts,
    }


def error_from(data: Mapping[str, Any]) -> errors.QueuectlError:
    """Return the error that `error_data` described: of its class, if this side has that."""
    kind = getattr(errors, str(data.get("kind")), None)
    message = str(data.get("error", "the server refused"))
    if not (isinstance(kind, type) and issubclass(kind, errors.QueuectlError)):
        kind = _by_status.get(data.get("exit_code"), errors.QueuectlError)
    try:
        facts = unpack(data.get("facts") or {})
    except ValueError:
        facts = {}
    named = {str(name): fact for name, fact in facts.items()} if isinstance(facts, dict) else {}
    named.pop("message", None)
    return kind(message, **named)


_by_status: dict[object, type[errors.QueuectlError]] = {
    errors.EXIT_USAGE: errors.UsageError,
    errors.EXIT_NOT_FOUND: errors.NotFound,
    errors.EXIT_UNAVAILABLE: errors.StoreUnavailable,
    errors.EXIT_FAILED: errors.Refused,
}
