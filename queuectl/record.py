"""Immutable records that cost next to nothing to import.

To a type checker `Record` is `typing.NamedTuple`, and a record is one: a tuple with named fields,
`_replace`, `_make`, `_asdict` and `_fields`. At run time a class takes 25 us to make instead of
the 110 us of `collections.namedtuple` and the 1,500 of a dataclass; a one-shot `queuectl enqueue`
makes forty of them (docs/adr/0002).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    try:
        from _collections import _tuplegetter as _getter
    except ImportError:
        from operator import itemgetter

        def _getter(index, doc):
            return property(itemgetter(index), doc=doc)

    def _new(cls, *args, **named):
        if named or len(args) != len(cls._fields):
            args = _filled(cls, args, named)
        return tuple.__new__(cls, args)

    def _filled(cls, args, named):
        """Return the values of all fields, in order. Raises TypeError as a call would."""
        fields, defaults = cls._fields, cls._field_defaults
        if len(args) > len(fields):
            raise TypeError(f"{cls.__name__} takes {len(fields)} values, {len(args)} were given")
        values = list(args)
        for field in fields[len(args) :]:
            if field in named:
                values.append(named.pop(field))
            elif field in defaults:
                values.append(defaults[field])
            else:
                raise TypeError(f"{cls.__name__} needs {field!r}")
        if named:
            raise TypeError(f"{cls.__name__} has no {', '.join(named)}, or it was given twice")
        return values

    def _make(cls, values):
        return cls(*values)

    def _replace(self, **changes):
        unknown = changes.keys() - set(self._fields)
        if unknown:
            raise ValueError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        return tuple.__new__(
            type(self), [changes.get(f, v) for f, v in zip(self._fields, self, strict=True)]
        )

    def _asdict(self):
        return dict(zip(self._fields, self, strict=True))

    def _plain(self):
        return tuple(self)

    def _repr(self):
        values = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
        return f"{type(self).__name__}({values})"

    _COMMON = {
        "__slots__": (),
        "__new__": _new,
        "__repr__": _repr,
        "__getnewargs__": _plain,
        "_make": classmethod(_make),
        "_replace": _replace,
        "_asdict": _asdict,
    }

    class _RecordMeta(type):
        def __new__(mcs, name, bases, namespace):
            if not bases:
                return super().__new__(mcs, name, bases, namespace)
            types = namespace.pop("__annotations__", {})
            fields = tuple(types)
            defaults = {field: namespace.pop(field) for field in fields if field in namespace}
            made = {**_COMMON, "_fields": fields, "_field_defaults": defaults, **namespace}
            # as they are written, for who takes records from strangers (queuectl.store.remote.shapes)
            made["_field_types"] = types
            made["__match_args__"] = fields
            for index, field in enumerate(fields):
                made[field] = _getter(index, None)
            return type(name, (tuple,), made)

    class Record(metaclass=_RecordMeta):
        """Base of the records: subclass it with annotated fields, defaults last."""


__all__ = ["Record"]
