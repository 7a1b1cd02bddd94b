"""Results as bytes: tables fitted to a terminal, plain columns for pipes, or one JSON document.

Whatever came from elsewhere (commands, names, reasons) has its control characters written out, so
that no job can send escape sequences to a terminal. Only `output` passes bytes as they are.
"""

from __future__ import annotations

from queuectl.commands.result import Column, Result, Stream, Table, Text
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from queuectl.errors import QueuectlError

    Pieces = Iterator[tuple[int, bytes]]

STDOUT, STDERR = 1, 2
_STYLES = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}
#: an elastic column is not cut below this while others can be left out
_NARROWEST = 12
#: nor ever below this
_LEAST = 4
_GAP = 2
#: in front of what goes on with the line above
_HANGING = "  "
#: one column wide, and in no cell: what is not printable has been written out
_BLANK = "\ue000"


class Look(Record):
    """How an answer is to look."""

    json: bool = False
    terminal: bool = False
    width: int = 80
    colour: bool = False


def look_for(*, json: bool, terminal: bool, width: int, environ: Mapping[str, str]) -> Look:
    """Return the look for a place; colour only on terminals, and not against NO_COLOR."""
    plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
    return Look(json, terminal, width, terminal and not plain)


def render(result: Result, look: Look) -> Pieces:
    """Yield (1 or 2 for stdout or stderr, bytes). Lazy: rows are read as they are written."""
    if look.json:
        if result.data is not None:
            yield from _json(result.data)
        yield from _json_notes(result)
        return
    for block in result.blocks:
        if isinstance(block, Stream):
            yield from block.pieces
        elif isinstance(block, Text):
            yield STDOUT, _encode(visible(block.text, keep="\n") + "\n")
        elif look.terminal:
            yield STDOUT, _encode(_fitted(block, look))
        else:
            yield from _plain(block)
    for note in result.notes:
        yield STDERR, _encode(_style(_folded(visible(note), look), "dim", look) + "\n")


def render_error(error: QueuectlError, look: Look, prefix: str = "queuectl: ") -> Pieces:
    """Yield the one line that says what went wrong."""
    message = f"{prefix}{error}"
    if look.json:
        yield _json_error(message.removeprefix("queuectl: "), error.exit_status)
    else:
        yield STDERR, _encode(_style(_folded(visible(message), look), "red", look) + "\n")


def visible(text: str, keep: str = "") -> str:
    """Return a text with control characters written out, as a Python string literal has them."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else _written_out(char) for char in text
    )


def _folded(text: str, look: Look) -> str:
    """Return a line of prose as lines that fit the terminal, broken between words only."""
    if not look.terminal or width_of(text) <= look.width:
        return text
    lines, used = [""], 0
    for word in text.split(" "):
        needed = width_of(word)
        if used and used + 1 + needed > look.width:
            lines.append(_HANGING + word)
            used = len(_HANGING) + needed
        else:
            lines[-1] += f" {word}" if used else word
            used += needed + bool(used)
    return "\n".join(lines)


def _written_out(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _style(text: str, style: str | None, look: Look) -> str:
    if not look.colour or style is None:
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


# ---- JSON ---------------------------------------------------------------------------------------


def _json(data: object) -> Pieces:
    import json

    if not hasattr(data, "__next__"):
        yield STDOUT, _encode(json.dumps(data, default=list) + "\n")
        return
    # an array written as it is read: a million jobs take no more memory than one
    opening = "["
    items: Iterator[object] = data  # type: ignore[assignment]
    for item in items:
        yield STDOUT, _encode(opening + json.dumps(item))
        opening = ",\n "
    yield STDOUT, b"[]\n" if opening == "[" else b"]\n"


def _json_notes(result: Result) -> Pieces:
    if result.exit_code and result.notes:
        yield _json_error("; ".join(result.notes), result.exit_code)
        return
    import json

    for note in result.notes:
        yield STDERR, _encode(json.dumps({"note": note}) + "\n")


def _json_error(message: str, exit_code: int) -> tuple[int, bytes]:
    import json

    return STDERR, _encode(json.dumps({"error": message, "exit_code": exit_code}) + "\n")


# ---- tables -------------------------------------------------------------------------------------


def _cells(row: Sequence[str | None]) -> list[str]:
    return [visible(cell) if cell else "" for cell in row]


def _plain(table: Table) -> Pieces:
    """Yield every column, aligned as far as the first rows tell, a row at a time.

    On a pipe nothing is cut or left out, so that scripts find each column in its place, and nothing
    waits for the last row: tabulate would hold all of them, and takes longer to import than the
    rest of a command.
    """
    if table.title:
        yield STDOUT, _encode(f"{table.title}:\n")
    columns = table.columns
    rows = iter(table.rows)
    page = [[cell or "-" for cell in _cells(row)] for _, row in zip(range(100), rows, strict=False)]
    names = [column.name for column in columns]
    widths = [
        max(width_of(text) for text in (name, *(cells[at] for cells in page)))
        for at, name in enumerate(names)
    ]
    yield STDOUT, _line(names, widths, columns)
    for cells in page:
        yield STDOUT, _line(cells, widths, columns)
    for row in rows:
        yield STDOUT, _line([cell or "-" for cell in _cells(row)], widths, columns)


def _line(row: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> bytes:
    cells = []
    for cell, width, column in zip(row, widths, columns, strict=True):
        blanks = " " * (width - width_of(cell))
        cells.append(blanks + cell if column.right else cell + blanks)
    return _encode((" " * _GAP).join(cells).rstrip() + "\n")


def _tabulate() -> Callable[..., str]:
    """Return tabulate's function, imported without what tabulate wants for its version number only.

    `importlib.metadata` brings email, zipfile and more with it: 36 ms of 62, and a `status` takes 90.
    Other threads must not meet what stands in for it, so only a process with one thread does this.
    """
    import sys
    import threading

    wanted = "importlib.metadata"
    if wanted in sys.modules or threading.active_count() > 1:
        from tabulate import tabulate

        return tabulate
    stand_in: Any = type(sys)(wanted)
    stand_in.version, stand_in.PackageNotFoundError = lambda name: "", LookupError  # noqa: ARG005
    sys.modules[wanted] = stand_in
    try:
        from tabulate import tabulate
    finally:
        del sys.modules[wanted]
    return tabulate


def _fitted(table: Table, look: Look) -> str:
    """Return a table no wider than the terminal, without its empty columns."""
    tabulate = _tabulate()
    rows = [_cells(row) for row in table.rows]
    used = [
        at for at, column in enumerate(table.columns)
        if not column.optional or any(row[at] for row in rows)
    ]  # fmt: skip
    columns = [table.columns[at] for at in used]
    rows = [[row[at] for at in used] for row in rows]
    columns, rows = _without_least(columns, rows, look.width)
    widths = _widths(columns, rows, look.width)
    # the names are a row like others: given as headers they would get two blanks more each
    names = [cut(column.name, width) for column, width in zip(columns, widths, strict=True)]
    shown = [[_style(name, "bold", look) for name in names]]
    for row in rows:
        cells = zip(row, widths, columns, strict=True)
        shown.append(
            [
                _style(_indented(cut(cell, width)), (of.styles or {}).get(cell), look)
                for cell, width, of in cells
            ]
        )
    text: str = tabulate(
        shown,
        tablefmt="plain",
        disable_numparse=True,
        colalign=["right" if column.right else "left" for column in columns],
    )
    lines = "\n".join(line.rstrip() for line in text.replace(_BLANK, " ").split("\n"))
    title = f"\n{_style(table.title, 'bold', look)}\n" if table.title else ""
    return f"{title}{lines}\n"


def _indented(cell: str) -> str:
    """Return a cell whose blanks in front, the branches of a tree, tabulate will not strip."""
    bare = cell.lstrip(" ")
    return _BLANK * (len(cell) - len(bare)) + bare


def _without_least(
    columns: list[Column], rows: list[list[str]], width: int
) -> tuple[list[Column], list[list[str]]]:
    """Leave out optional columns, those that say least first, until the others can be made to fit."""
    while True:
        needed = [
            min(at, _NARROWEST) if column.elastic else at
            for at, column in zip(_natural(columns, rows), columns, strict=True)
        ]
        spare = [at for at, column in enumerate(columns) if column.optional]
        if not spare or sum(needed) + _GAP * (len(needed) - 1) <= width:
            return columns, rows
        filled = [sum(1 for row in rows if row[at]) for at in range(len(columns))]
        # of equals the last
        out = min(
            reversed(spare), key=lambda at: (columns[at].telling or columns[at].elastic, filled[at])
        )
        columns = columns[:out] + columns[out + 1 :]
        rows = [row[:out] + row[out + 1 :] for row in rows]


def _natural(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> list[int]:
    """Return how wide each column would be."""
    widths = [width_of(column.name) for column in columns]
    for row in rows:
        for at, cell in enumerate(row):
            widths[at] = max(widths[at], width_of(cell))
    return widths


def _widths(columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int) -> list[int]:
    """Return the width of each column, the elastic ones cut until all fit, the widest first."""
    widths = _natural(columns, rows)
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    for least in (_NARROWEST, _LEAST):
        while over > 0:
            elastic = [
                at for at, column in enumerate(columns) if column.elastic and widths[at] > least
            ]
            if not elastic:
                break
            widest = max(widths[at] for at in elastic)
            tied = [at for at in elastic if widths[at] == widest]
            then = max((widths[at] for at in elastic if widths[at] < widest), default=least)
            less = max(1, min(widest - then, over // len(tied)))
            for at in reversed(tied):
                widths[at] -= min(less, max(over, 0))
                over -= less
    return widths


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    width: int = wcswidth(text)
    return width if width >= 0 else len(text)


def cut(text: str, width: int) -> str:
    """Return a text that takes at most `width` columns, the end replaced by an ellipsis."""
    if width_of(text) <= width:
        return text
    kept = text[: width - 1]
    while width_of(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"
