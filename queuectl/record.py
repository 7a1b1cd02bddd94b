"""Immutable records that cost next to nothing to import.

To a type checker `Record` is `typing.NamedTuple`. At run time it is a few lines over
`collections.namedtuple`, because importing `typing` or `dataclasses` would cost a one-shot
`queuectl enqueue` more than everything else it does (docs/adr/0002).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from collections import namedtuple

    class _RecordMeta(type):
        def __new__(mcs, name, bases, namespace):
            if not bases:
                return super().__new__(mcs, name, bases, namespace)
            fields = namespace.get("__annotations__", {})
            defaults = [namespace[field] for field in fields if field in namespace]
            base = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            rest = {
                key: value
                for key, value in namespace.items()
                if key not in fields and key != "__annotations__"
            }
            return type(name, (base,), {"__slots__": (), **rest})

    class Record(metaclass=_RecordMeta):
        """Base of the records: subclass it with annotated fields, defaults last."""


__all__ = ["Record"]
