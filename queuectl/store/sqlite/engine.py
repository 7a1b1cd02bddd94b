"""The SQLite store: one file, nothing to set up."""

from __future__ import annotations

import os
from _thread import get_ident

from queuectl.paths import hosts_directory
from queuectl.store.sqlite.claims import SqliteClaims
from queuectl.store.sqlite.file import LONG_LOG, connect, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from queuectl.store.base import Check, Listener


class SqliteStore(SqliteClaims):
    """A store in a SQLite database in WAL mode, durable at every commit (synchronous = FULL)."""

    def listener(self, host_id: str) -> Listener:
        """Return a listener for a registered host's wake-ups."""
        from queuectl.store.sqlite.listen import SqliteListener

        self.host_id = host_id
        self.writer.execute(f"PRAGMA wal_autocheckpoint = {LONG_LOG}")
        return SqliteListener(self, hosts_directory(self.local_directory), host_id)

    def renew(self, host_id: str) -> bool:
        """Say that a host lives; in a host from any thread, over a connection of its own."""
        if self.host_id is None or (self.depth and get_ident() == self.writing_thread):
            return super().renew(host_id)
        connection = connect(self.path)
        try:
            with translated(self.path):
                done = connection.execute(
                    "UPDATE host SET seen_at = ? WHERE id = ?", (self.now(), host_id)
                )
                return done.rowcount == 1
        finally:
            connection.close()

    def backup(self, path: str) -> None:
        """Write a consistent copy to a new file, readable for its owner only.

        It appears whole or not at all, and can be opened as a store. Work goes on meanwhile.
        Raises Refused where the file is there already or cannot be written, StoreFull.
        """
        from queuectl.store.sqlite.checks import backup

        backup(self, path)

    def checks(self) -> list[Check]:
        """Look at version, integrity, log, room on disk and locks. Takes 10 s at the most."""
        from queuectl.store.sqlite.checks import checks

        return checks(self)


class MemoryStore(SqliteStore):
    """A store that goes when it is closed: a SQLite store in a private directory of its own."""

    def __init__(
        self, local_settings: Mapping[str, str], clock: Callable[[], int] | None = None
    ) -> None:
        import atexit
        import tempfile

        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
        self._directory = tempfile.TemporaryDirectory(prefix="queuectl-", dir=base)
        super().__init__(f"{self._directory.name}/queue.db", local_settings, clock)
        self.name, self.public_url = "memory:", ""
        atexit.register(self.close)

    def close(self) -> None:
        """Close and delete it. Idempotent."""
        super().close()
        self._directory.cleanup()


def open_memory(local_settings: Mapping[str, str]) -> MemoryStore:
    """Return a new store that only this process sees and that goes with it."""
    return MemoryStore(local_settings)
