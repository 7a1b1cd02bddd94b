"""What rows are given: throw-away stores on a real disk, and how much work they are to do."""

from __future__ import annotations

import os
import shutil
import tempfile
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from queuectl.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from queuectl.store.base import Store

T = TypeVar("T")

#: file systems that forget: a commit on one of them costs nothing
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class Size(Enum):
    """How much is measured: a smoke test, the goals as they stand, or their largest form."""

    QUICK = auto()
    NORMAL = auto()
    FULL = auto()


class Place:
    """A store that does not exist until somebody opens it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = str(directory / "queue.db")
        self.url = f"sqlite://{self.path}"

    def open(self) -> Store:
        """Open the store in this process; the caller closes it."""
        return open_store(self.url)

    def delete(self) -> None:
        """Remove the store and all that lies beside it."""
        shutil.rmtree(self.directory)


class Bench:
    """A directory for stores and files that goes when the run ends."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self._made = 0
        base = os.environ.get("TMPDIR") or "/var/tmp"
        kind = file_system(base)
        if kind in IN_MEMORY:
            raise SystemExit(f"{base} is {kind}: set TMPDIR to a directory on a disk")
        self.directory = Path(tempfile.mkdtemp(prefix="queuectl-bench-", dir=base))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def pick(self, quick: T, normal: T, full: T | None = None) -> T:
        """Return what fits the size of this run; `full` is as `normal` when not given."""
        if self.size is Size.QUICK:
            return quick
        return full if self.size is Size.FULL and full is not None else normal

    def place(self) -> Place:
        """Return a place for a new store."""
        self._made += 1
        directory = self.directory / f"store-{self._made}"
        directory.mkdir(mode=0o700)
        return Place(directory)

    def file(self, lines: Iterable[str]) -> Path:
        """Return a file of these lines."""
        self._made += 1
        path = self.directory / f"lines-{self._made}"
        with path.open("w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in lines)
        return path


def file_system(path: str) -> str | None:
    """Return the type of the file system a path is on; None where /proc does not say."""
    real = os.path.realpath(path) + "/"
    best, kind = "", None
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in mounts.splitlines():
        _, point, name, *_ = line.split(" ")
        if real.startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, kind = point, name
    return kind
