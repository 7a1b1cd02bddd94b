"""The database file itself: making, opening, checking it, and naming what is wrong with it.

Never opens, hashes or copies the file by other means than SQLite: closing any descriptor of it
would drop this process's POSIX locks on it.
"""

from __future__ import annotations

import errno
import os
import sqlite3

from queuectl.errors import (
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreTooNew,
    StoreUnavailable,
)
from queuectl.paths import make_private, sync_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

#: "qctl" in the file's header, so that file(1) and we know it
APPLICATION_ID = 0x7163746C
#: version of the schema, in the header's user_version
SCHEMA = 2
#: how long a writer waits for another process
BUSY_SECONDS = 15.0
#: pages of the write-ahead log after which a commit moves them into the database. A one-shot command
#: leaves without closing (a checkpoint would cost it more than its own work), and the next one reads
#: the log it left, so it is kept short; a host that stays lets it grow longer.
SHORT_LOG, LONG_LOG = 200, 1000
_OLDEST_SQLITE = (3, 37)
_REMOTE_SYSTEMS = frozenset(
    "nfs nfs4 cifs smb2 smb3 smbfs ncpfs afs 9p ceph lustre gpfs fuse.sshfs fuse.glusterfs beegfs"
    .split()
)  # fmt: skip
#: what the kernel writes for blanks and backslashes in the names of mount points
_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))

#: what waiting or more space does not mend
_MISTAKES = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
)
# primary result codes, https://sqlite.org/rescode.html
_BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 5, 6, 8, 10, 11, 13, 14, 26


def translate(error: sqlite3.Error, path: str) -> Exception:
    """Return our error for one of SQLite's; one that tells of a mistake of ours is left as it is."""
    if isinstance(error, _MISTAKES):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (_BUSY, _LOCKED):
        return StoreBusy(store=path, seconds=BUSY_SECONDS)
    if code == _FULL:
        return StoreFull(store=path)
    if str(error).startswith("Could not decode to UTF-8"):
        return StoreCorrupt(store=path, reason="what should be text is none")
    if code in (_CORRUPT, _NOTADB):
        return StoreCorrupt(store=path, reason=str(error))
    if code == _READONLY:
        return StoreUnavailable(store=path, reason="it or its directory is read-only")
    if code == _IOERR and _disk_is_full(path):
        return StoreFull(store=path)
    return StoreUnavailable(store=path, reason=str(error))


class translated:
    """Turns SQLite's errors inside a `with` block into ours."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, sqlite3.Error):
            raise translate(error, self._path) from error


def connect(path: str, *, reader: bool = False) -> sqlite3.Connection:
    """Open a connection in autocommit mode, durable at every commit. Raises StoreUnavailable and its kin."""
    with translated(path):
        connection = sqlite3.connect(
            path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {SHORT_LOG}")
            if reader:
                connection.execute("PRAGMA query_only = 1")
        except BaseException:
            connection.close()
            raise
        return connection


def open_or_make(path: str, blocks: Mapping[str, str]) -> sqlite3.Connection:
    """Return the writing connection of a database; make the database if there is none.

    An existing file is never replaced: an empty, damaged, foreign or newer one is refused, an older
    one brought up to the present schema.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreUnavailable(
            store=path,
            reason=f"SQLite {sqlite3.sqlite_version} is too old, 3.37 is the oldest that works",
        )
    try:
        status = os.stat(path)
    except FileNotFoundError:
        _make(path, blocks)
    except OSError as error:
        raise StoreUnavailable(store=path, reason=error.strerror or str(error)) from None
    else:
        if status.st_size == 0:
            raise StoreCorrupt(store=path, reason="the file is empty")
        # file systems without a local disk below them have no device number of their own
        if os.major(status.st_dev) == 0:
            refuse_network(path)
    connection = connect(path)
    try:
        if check(connection, path) < SCHEMA:
            from queuectl.store.sqlite.migrate import bring_up

            bring_up(connection, path, blocks)
    except BaseException:
        connection.close()
        raise
    return connection


def check(connection: sqlite3.Connection, path: str) -> int:
    """Return a file's schema; refuse one that is no store of ours or of a newer queuectl."""
    with translated(path):
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        schema = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != APPLICATION_ID:
        raise StoreCorrupt(store=path, reason="it is some other program's database")
    if schema > SCHEMA:
        raise StoreTooNew(store=path, found=schema, known=SCHEMA)
    return int(schema)


def _make(path: str, blocks: Mapping[str, str]) -> None:
    """Make a database under another name and link it into place: it appears whole or not at all."""
    directory = os.path.dirname(path)
    # in this order: another process may be making it just now, and the log comes second
    if os.path.exists(path + "-wal") and not os.path.exists(path):
        raise StoreCorrupt(store=path, reason=f"the database is gone but {path}-wal is there")
    temporary = f"{path}.new-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        refuse_network(path)
        make_private(directory)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with translated(path):
            _fill(temporary, blocks)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was first; its database is as good
        sync_directory(directory)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreFull(store=path) from None
        reason = f"{error.strerror}: {error.filename or directory}"
        raise StoreUnavailable(store=path, reason=reason) from None
    finally:
        remove_temporary(temporary)


def remove_temporary(path: str) -> None:
    """Delete a database that was made under another name, with what SQLite put beside it."""
    for leftover in (path, path + "-wal", path + "-shm", path + "-journal"):
        try:
            os.unlink(leftover)
        except OSError:
            # not there, as a rule
            pass


def _fill(path: str, blocks: Mapping[str, str]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.executescript(
            f"BEGIN; {blocks['schema']} PRAGMA user_version = {SCHEMA}; COMMIT"
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def refuse_network(path: str) -> None:
    """Raise StoreUnavailable if a path lies on a network file system, where locks cannot be trusted."""
    kind = file_system(path)
    if kind in _REMOTE_SYSTEMS:
        raise StoreUnavailable(
            store=path,
            reason=f"{kind} is a network file system, on which SQLite's locks are not safe:"
            " choose a local directory, as in QUEUECTL_STATE_DIR=/var/tmp/queuectl",
        )


def file_system(path: str) -> str | None:
    """Return the type of the file system a path is or would be on; None where nobody says (macOS)."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            return file_system_in(mounts, os.path.realpath(path))
    except (OSError, IndexError):
        return None


def file_system_in(mounts: Iterable[str], real: str) -> str | None:
    """Return the type of the file system of a real path, from the lines of proc_pid_mountinfo(5)."""
    best, kind = "", None
    for line in mounts:
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4]
        if "\\" in point:
            for escaped, character in _ESCAPES:
                point = point.replace(escaped, character)
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ", 1)[0]
    return kind


def _disk_is_full(path: str) -> bool:
    try:
        room = os.statvfs(os.path.dirname(path))
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < 64 * 1024
