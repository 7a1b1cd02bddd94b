"""Which spool directories are read by the services of a state directory, for whoever appends to another.

Each service that reads one keeps a file in `spools`, locked for as long as it lives.
"""

from __future__ import annotations

import os

from queuectl.paths import make_private, state_directory
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Place(Record):
    """What a service reads."""

    #: without symbolic links
    directory: str
    #: the queues whose files it reads; empty: all
    queues: tuple[str, ...] = ()

    def covers(self, queue: str) -> bool:
        """Whether it reads the file of a queue."""
        return not self.queues or queue in self.queues


class Reading:
    """Says that this process reads a spool directory, until `close` or its end. Fails silently."""

    def __init__(self, environ: Mapping[str, str], directory: str, queues: Sequence[str]) -> None:
        self._fd, self._path = -1, ""
        try:
            self._begin(_directory(environ), directory, queues)
        except OSError:
            # it is only for a remark
            self.close()

    def _begin(self, place: str, directory: str, queues: Sequence[str]) -> None:
        import fcntl
        import json
        import uuid

        make_private(place)
        for _ in _living(place):
            # what dead ones have left goes
            pass
        name = uuid.uuid4().hex
        self._path = f"{place}/.{name}"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.write(self._fd, json.dumps([directory, list(queues)]).encode())
        # locked before anybody takes it for a dead one's
        os.rename(self._path, f"{place}/{name}")
        self._path = f"{place}/{name}"

    def close(self) -> None:
        """Read no more. Any number of times."""
        if self._fd >= 0:
            try:
                os.unlink(self._path)
            except OSError:
                # somebody cleans up
                pass
            os.close(self._fd)
            self._fd = -1


def reading_here(environ: Mapping[str, str]) -> list[Place]:
    """Return what the living services of a state directory read; forget dead ones."""
    import json

    found = []
    for data in _living(_directory(environ)):
        try:
            directory, queues = json.loads(data)
            found.append(Place(str(directory), tuple(map(str, queues))))
        except (ValueError, TypeError):
            # not ours
            continue
    return found


def _directory(environ: Mapping[str, str]) -> str:
    return os.path.join(state_directory(environ), "spools")


def _living(place: str) -> Iterator[bytes]:
    """Yield what stands in the files that are locked; delete the others."""
    import fcntl

    try:
        names = [name for name in os.listdir(place) if not name.startswith(".")]
    except OSError:
        return
    for name in names:
        try:
            fd = os.open(
                f"{place}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            )
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            os.unlink(f"{place}/{name}")
        except BlockingIOError:
            yield os.read(fd, 65536)
        except OSError:
            # somebody else was faster
            pass
        finally:
            os.close(fd)
