"""Statements and values of the shared SQL as psycopg wants them. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: statements in our style and in psycopg's, and whether they write
_STYLED: dict[str, tuple[str, bool]] = {}


def styled(statement: str) -> tuple[str, bool]:
    """Return a statement with its `?` written as psycopg wants them, and whether it writes."""
    found = _STYLED.get(statement)
    if found is None:
        text = statement.replace("%", "%%").replace("?", "%s")
        found = text, not text.startswith(("SELECT", "WITH RECURSIVE"))
        if len(_STYLED) > 1000:
            _STYLED.clear()
        _STYLED[statement] = found
    return found


def told(values: Sequence[object]) -> Sequence[object]:
    """Return values with lists of numbers written as PostgreSQL reads them.

    psycopg would type such a list by its numbers, and prepare a statement for each type.
    """
    for value in values:
        if type(value) is list:
            return [_array(value) if type(value) is list else value for value in values]
    return values


def _array(items: list[Any]) -> object:
    for item in items:
        if item is not None:
            if type(item) is not int:
                return items
            break
    return f"{{{','.join(['NULL' if item is None else str(item) for item in items])}}}"


def columns_of(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return rows as columns, the form in which they go to the server in one statement."""
    return [list(column) for column in zip(*rows, strict=True)]
