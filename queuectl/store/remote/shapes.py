"""Whether a value from a stranger is what an annotation of the contract says. Pure.

The annotations in store/base.py, store/readable.py, store/records.py and job.py are texts at run time; they are read
here as they stand, so what a server takes over the wire cannot drift from what the contract says.
"""

from __future__ import annotations

from queuectl.job import STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Check = Callable[[object], bool]

#: what every engine can keep as a whole number
_LARGEST = 2**63 - 1

_checks: dict[str, Check] = {}


def fits(value: object, annotation: str) -> bool:
    """Whether a value is of a type written as `int | None` or `Mapping[str, tuple[int, ...]]`.

    A record's name means that record, its fields checked in turn. Raises ValueError for an
    annotation that cannot be read.
    """
    check = _checks.get(annotation)
    if check is None:
        check = _checks[annotation] = _union(annotation)
    return check(value)


def misfit(record: Any) -> str | None:
    """Return the first field of a record whose value is not what it should be, None if all are."""
    types: Mapping[str, str] = type(record)._field_types  # noqa: SLF001
    for name, value in zip(record._fields, record, strict=True):
        if not fits(value, types[name]):
            return str(name)
    return None


def has_large(value: object) -> bool:
    """Whether a number is in a value that no engine can keep."""
    if type(value) is int:
        return abs(value) > _LARGEST
    if isinstance(value, (list, tuple)):
        return any(map(has_large, value))
    return isinstance(value, dict) and any(map(has_large, value.values()))


def _union(text: str) -> Check:
    checks = [_single(part) for part in _split(text, "|")]
    if len(checks) == 1:
        return checks[0]
    return lambda value: any(check(value) for check in checks)


def _single(text: str) -> Check:
    plain = _PLAIN.get(text)
    if plain is not None:
        return plain
    outer, bracket, inner = text.partition("[")
    if not bracket:
        return lambda value: type(value).__name__ == text and misfit(value) is None
    parts = _split(inner.removesuffix("]"), ",")
    if outer == "Sequence":
        return _items(_union(parts[0]), (list, tuple))
    if outer == "tuple" and parts[-1] == "...":
        return _items(_union(parts[0]), (tuple,))
    if outer == "tuple":
        each = [_union(part) for part in parts]
        return lambda value: (
            isinstance(value, tuple)
            and len(value) == len(each)
            and all(check(item) for check, item in zip(each, value, strict=True))
        )
    if outer in ("Mapping", "dict"):
        key, item = map(_union, parts)
        return lambda value: (
            isinstance(value, dict) and all(key(k) and item(v) for k, v in value.items())
        )
    raise ValueError(f"cannot check {text!r}")


def _items(check: Check, kinds: tuple[type, ...]) -> Check:
    def fit(value: object) -> bool:
        if not isinstance(value, kinds):
            return False
        items: Any = value
        return all(map(check, items))

    return fit


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value and _can_be_bytes(value)


def _can_be_bytes(text: str) -> bool:
    """Whether a text is valid, or stands for bytes that are not UTF-8 (PEP 383)."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


_PLAIN: dict[str, Check] = {
    "object": lambda _: True,
    "None": lambda value: value is None,
    "str": _is_text,
    "bytes": lambda value: isinstance(value, bytes),
    "bool": lambda value: isinstance(value, bool),
    # ids are asked for however large they are; what is written down is held to `has_large`
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) in (int, float),
    "State": lambda value: value in STATES,
}


def _split(text: str, mark: str) -> list[str]:
    """Return the parts of a text between marks that stand outside brackets."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        if char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
        elif char == mark and not depth:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()]
