"""How a host hears that another process committed work to its SQLite store.

Each host reads a named pipe beside the database; whoever commits work writes a byte to every one
of them. `PRAGMA data_version` (https://sqlite.org/pragma.html#pragma_data_version) is the net
below: it tells that any other connection has committed.
"""

from __future__ import annotations

import os
import sqlite3

from queuectl.errors import StoreUnavailable
from queuectl.paths import make_private, wake_path
from queuectl.store.base import Listener
from queuectl.store.sqlite.file import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.store.sqlite.base import SqliteBase


class SqliteListener(Listener):
    """A named pipe and a reading connection of its own. One thread."""

    def __init__(self, store: SqliteBase, hosts: str, host_id: str) -> None:
        self._store = store
        self._path = wake_path(hosts, host_id)
        try:
            make_private(hosts)
            os.mkfifo(self._path, 0o600)
            # opened for writing as well, so that it never reads end of file
            self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            reason = f"{error.strerror}: {error.filename}"
            raise StoreUnavailable(store=store.path, reason=reason) from None
        self._reader = store.lend_reader()
        self._version = self._data_version()

    def fileno(self) -> int:
        """Return the pipe."""
        return self._pipe

    def clear(self) -> None:
        """Empty the pipe."""
        try:
            while len(os.read(self._pipe, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass

    def changed(self) -> bool:
        """Whether anything was committed since the last call. Raises StoreUnavailable."""
        if self._store.replaced():
            raise StoreUnavailable(
                store=self._store.path, reason="the file was moved, deleted or replaced"
            )
        version = self._data_version()
        changed, self._version = version != self._version, version
        return changed

    def _data_version(self) -> int:
        try:
            return int(self._reader.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise translate(error, self._store.path) from error

    def close(self) -> None:
        """Remove the pipe."""
        if self._pipe < 0:
            return
        try:
            os.unlink(self._path)
        except OSError:
            pass
        os.close(self._pipe)
        self._pipe = -1
        self._store.take_back(self._reader)
