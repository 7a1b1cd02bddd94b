"""Renamed spool files that were never read under their queue's name: found, and told of.

A file that was made and renamed between two looks is not to be told from somebody's copy of one that
was read. To read it might do everything twice, so it is only said. Files that were read to their end
are remembered in the store for as long as they stand in the directory.
"""

from __future__ import annotations

import os

from queuectl.errors import QueuectlError
from queuectl.intake.spoolfile import Place, SpoolFile, open_file, pack, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from queuectl.store.base import Store

#: renamed files of a queue that are remembered, the newest
MOST = 1000


class Unread:
    """What is known of the renamed files of one queue. One thread's."""

    def __init__(
        self, store: Store, write: Callable[[Callable[[Store], object]], object], key: str
    ) -> None:
        """`write` runs a change of the store; what is remembered is the note `key`."""
        self._write = write
        self._key = key
        self._known = {place.inode: place for place in unpack(store.note(key))}
        self._seen: frozenset[str] = frozenset()

    def remember(self, places: Sequence[Place]) -> None:
        """Keep in the store that these files have been read. Raises StoreUnavailable."""
        if places:
            known = {**self._known, **{place.inode: place for place in places}}
            newest = list(known.values())[-MOST:]
            self._write(lambda store: store.put_note(self._key, pack(newest)))
            self._known = {place.inode: place for place in newest}

    def look(
        self, directory: str, names: Collection[str], open_ones: Collection[int]
    ) -> Iterator[str]:
        """Yield the names of files that nobody has read, each once. Raises StoreUnavailable.

        `names` are those of renamed files in the directory, `open_ones` the inodes being read.
        """
        present = frozenset(names)
        if present == self._seen:
            return
        places = []
        for name in sorted(present - self._seen):
            place = self._strange(f"{directory}/{name}", open_ones)
            if place is not None:
                places.append(place)
                yield name
        self.remember(places)
        self._seen = present

    def _strange(self, path: str, open_ones: Collection[int]) -> Place | None:
        """Return the place at the end of a file that is not known, None for any other."""
        try:
            fd = open_file(path)
        except (QueuectlError, OSError):
            return None
        inode = os.fstat(fd).st_ino
        known = self._known.get(inode)
        file = SpoolFile(fd, known) if known else None
        try:
            if inode in open_ones or not os.fstat(fd).st_size or (file and file.check()):
                return None
            return SpoolFile(fd, Place(inode)).end()
        finally:
            os.close(fd)
