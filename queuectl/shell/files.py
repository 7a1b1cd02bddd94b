"""Names of files at the cursor, quoted so that they mean the same to a shell and to the grammar."""

from __future__ import annotations

import os

from prompt_toolkit.completion import Completion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.grammar.cursor import Expected

#: entries of a directory looked at, and shown
MOST_READ, MOST_SHOWN = 20_000, 200
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-@%,:=~^")


def complete_path(expected: Expected, cursor: int, base: str) -> Iterator[Completion]:
    """Yield the files that go on from the word at the cursor; relative ones are in `base`.

    Names that a terminal cannot show are left out.
    """
    directories = expected.param is not None and expected.param.completer == "directories"
    folder, slash, stem = expected.prefix.rpartition("/")
    folder += slash
    for name, is_directory in _entries(folder, stem, base):
        if directories and not is_directory:
            continue
        path = f"{folder}{name}/" if is_directory else folder + name
        if path == expected.prefix:
            continue
        yield Completion(
            _quoted(path, expected.quote), expected.start - cursor,
            display=f"{name}/" if is_directory else name,
        )  # fmt: skip


def _entries(folder: str, stem: str, base: str) -> list[tuple[str, bool]]:
    """Return name and kind of what begins with `stem`, in order; nothing when it cannot be read."""
    found: list[tuple[str, bool]] = []
    try:
        with os.scandir(os.path.join(base, os.path.expanduser(folder))) as entries:
            for _, entry in zip(range(MOST_READ), entries, strict=False):
                name = entry.name
                hidden = name.startswith(".") and not stem.startswith(".")
                if name.startswith(stem) and not hidden and name.isprintable():
                    found.append((name, entry.is_dir()))
    except (OSError, ValueError):
        return []
    return sorted(found)[:MOST_SHOWN]


def _quoted(path: str, quote: str) -> str:
    """Return a path as it is typed: behind the open quote it stands in, else with backslashes."""
    if quote == "'":
        return "'" + path.replace("'", "'\\''")
    if quote == '"':
        return '"' + "".join("\\" + char if char in '"\\$`' else char for char in path)
    return "".join(char if char in _SAFE or ord(char) > 127 else "\\" + char for char in path)
