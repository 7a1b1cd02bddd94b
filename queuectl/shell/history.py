"""The lines typed before, in a file that only its owner can read."""

from __future__ import annotations

import os
import time

from prompt_toolkit.history import History

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: bytes of the file that are read at start, and above which it is cut down to those
READ, LARGEST = 256 * 1024, 1024 * 1024
#: lines that are kept at hand
MOST = 2000


class ShellHistory(History):
    """A history file that several shells may append to at once.

    A line that begins with a blank is not kept, nor one that repeats the last. Where the file
    cannot be written, history lasts as long as the shell.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def append_string(self, string: str) -> None:
        """Add a line."""
        last = self._loaded_strings[0] if self._loaded_strings else None
        if string.strip() and not string[0].isspace() and string != last:
            super().append_string(string)

    def load_history_strings(self) -> Iterable[str]:
        """Return the lines of the file, newest first."""
        try:
            text = self._read()
        except OSError:
            return []
        found: list[str] = []
        rows: list[str] | None = None
        for row in text.split("\n"):
            if row.startswith("+"):
                if rows is None:
                    rows = []
                rows.append(row[1:])
            elif rows is not None:
                found.append("\n".join(rows))
                rows = None
        return found[::-1][:MOST]

    def _read(self) -> str:
        """Return the end of the file from the beginning of an entry on; cut the file if it is long."""
        with open(self._path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - READ))
            data = file.read()
        if size > READ:
            data = data[data.find(b"\n#") + 1 :]
        if size > LARGEST:
            self._replace(data)
        return data.decode("utf-8", "replace")

    def _replace(self, data: bytes) -> None:
        draft = f"{self._path}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
        os.replace(draft, self._path)

    def store_string(self, string: str) -> None:
        """Append a line in one write, so that shells that do it at once do not mix."""
        rows = "".join(f"+{row}\n" for row in string.split("\n"))
        entry = f"# {time.strftime('%Y-%m-%d %H:%M:%S')}\n{rows}\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, flags, 0o600)
            try:
                # an old file, or a strange umask, may have left it open to others
                os.fchmod(descriptor, 0o600)
                os.write(descriptor, entry.encode("utf-8", "replace"))
            finally:
                os.close(descriptor)
        except OSError:
            pass
