"""Backups of the SQLite store, and the look at its own health."""

from __future__ import annotations

import errno
import os
import sqlite3
import time

from queuectl.errors import Refused, StoreFull
from queuectl.paths import sync_directory
from queuectl.store.base import Check
from queuectl.store.sqlite.file import remove_temporary, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.store.sqlite.base import SqliteBase

#: seconds that the look at the pages may take
LOOK_SECONDS = 10.0
#: a log that no checkpoint could shorten, and room on the disk, that are worth a word
LONG_LOG_BYTES, LITTLE_ROOM = 256 * 1024**2, 64 * 1024**2
#: versions whose WAL can be reset under a reader (sqlite.org/wal.html, "the WAL-reset bug")
_RESET_BUG = ((3, 7, 0), (3, 51, 2))
_MIB = 1024**2


def backup(store: SqliteBase, path: str) -> None:
    """Write a copy to a new file, see Store.backup."""
    source = store.lend_reader()
    try:
        copy_to(source, os.path.abspath(path), store.path)
    finally:
        store.take_back(source)


def copy_to(source: sqlite3.Connection, path: str, store: str) -> None:
    """Copy a database to a new file, whole and durable or not at all. Raises Refused, StoreFull."""
    if os.path.lexists(path):
        raise Refused(f"{path} is there already: name a new file")
    temporary = f"{path}.new-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with translated(store):
            _copy(source, temporary)
        # a link, unlike a rename, replaces nothing
        os.link(temporary, path)
        sync_directory(os.path.dirname(path))
    except FileExistsError:
        raise Refused(f"{path} is there already: name a new file") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreFull(store=path) from None
        raise Refused(f"cannot write {path}: {error.strerror}") from None
    finally:
        remove_temporary(temporary)


def _copy(source: sqlite3.Connection, path: str) -> None:
    """Copy page by page, as https://sqlite.org/backup.html does it."""
    target = sqlite3.connect(path, isolation_level=None)
    try:
        target.execute("PRAGMA synchronous = FULL")
        source.backup(target)
    finally:
        target.close()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checks(store: SqliteBase) -> list[Check]:
    """Look at everything that can be wrong with a database file, see Store.checks."""
    return [*_version(), *_pages(store), *_files(store), *_locks(store)]


def _version() -> Iterator[Check]:
    text = f"SQLite {sqlite3.sqlite_version}"
    if _RESET_BUG[0] <= sqlite3.sqlite_version_info <= _RESET_BUG[1]:
        text += " (has the rare WAL-reset bug of 3.7.0 to 3.51.2; fixed in 3.51.3)"
    yield Check("sqlite", ok=True, text=text)


def _pages(store: SqliteBase) -> Iterator[Check]:
    """Run quick_check, as long as it may take."""
    reader = store.lend_reader()
    began = time.monotonic()
    try:
        mode = reader.execute("PRAGMA journal_mode").fetchone()[0]
        yield Check("journal", ok=mode == "wal", text=f"journal mode {mode}")
        reader.set_progress_handler(lambda: int(time.monotonic() - began > LOOK_SECONDS), 10_000)
        lines = [str(row[0]) for row in reader.execute("PRAGMA quick_check(5)")]
        sound = lines == ["ok"]
        text = "every page is sound" if sound else "; ".join(" ".join(lines).splitlines())
        yield Check("integrity", ok=sound, text=text)
    except sqlite3.DatabaseError as error:
        if time.monotonic() - began > LOOK_SECONDS:
            text = (
                f"no damage found in {LOOK_SECONDS:g} s; the database is too large to look at all"
            )
            yield Check("integrity", ok=True, text=text)
        else:
            yield Check("integrity", ok=False, text=str(error))
    finally:
        reader.set_progress_handler(None, 0)
        store.take_back(reader)


def _files(store: SqliteBase) -> Iterator[Check]:
    """Look at what lies on the disk."""
    try:
        log = os.stat(store.path + "-wal").st_size
    except OSError:
        log = 0
    text = f"write-ahead log of {log / _MIB:.1f} MiB"
    if log > LONG_LOG_BYTES:
        text += ": something reads for so long that it cannot be shortened"
    yield Check("log", ok=log <= LONG_LOG_BYTES, text=text)
    try:
        status = os.stat(store.path)
        disk = os.statvfs(os.path.dirname(store.path))
    except OSError as error:
        yield Check("file", ok=False, text=f"{error.filename}: {error.strerror}")
        return
    if store.replaced():
        yield Check("file", ok=False, text=f"{store.path} is not the file that was opened")
    is_private = not status.st_mode & 0o077
    text = f"database of {status.st_size / _MIB:.1f} MiB"
    if not is_private:
        text += f", which others may read: chmod 600 {store.path}"
    yield Check("file", ok=is_private, text=text)
    free = disk.f_bavail * disk.f_frsize
    yield Check("disk", ok=free >= LITTLE_ROOM, text=f"{free / _MIB:,.0f} MiB free")


def _locks(store: SqliteBase) -> Iterator[Check]:
    """Look whether the kernel still has this process's lock on the file, where it tells.

    A POSIX lock goes when any descriptor of the file is closed (fcntl(2)): then two writers meet.
    """
    if store.identity is None:
        return
    try:
        with open("/proc/locks", encoding="ascii") as lines:
            held = _holders(lines, store.identity[1])
    except OSError:
        return
    ok = os.getpid() in held
    text = "held" if ok else "gone: something in this process opened and closed the file"
    yield Check("locks", ok=ok, text=text)


def _holders(lines: Iterator[str], inode: int) -> set[int]:
    """Return the processes that lock a file, of the lines of proc_locks(5)."""
    found = set()
    for line in lines:
        words = line.split()
        if "POSIX" in words and words[-3].rpartition(":")[2] == str(inode):
            found.add(int(words[-4]))
    return found
