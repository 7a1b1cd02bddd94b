"""Where the Unix socket is, who may listen there, and who may speak to it.

Who listens holds a lock on PATH.lock for as long as it lives. With it in hand a socket that nobody
answers on is a dead one's and is replaced; one that is answered is never touched.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys

from queuectl.errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

#: bytes of a path in a socket's address (unix(7)), its NUL left out
_LONGEST = 107 if sys.platform == "linux" else 103
_SECONDS_TO_ANSWER = 5.0


class SocketLock:
    """The right to listen at a path. Kept until `close`."""

    def __init__(self, path: str) -> None:
        """Take it. Raises Refused when somebody has it, or the file cannot be made."""
        import fcntl

        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._fd = os.open(f"{path}.lock", flags, 0o600)
        except OSError as error:
            raise Refused(f"no socket at {path}: {path}.lock: {error.strerror}") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            who = f" (pid {pid})" if pid else ""
            raise Refused(
                f"another serve{who} listens at {path}; for a second one: --socket PATH"
            ) from None
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            # the number is for people; on a full disk the lock is as good without it
            pass

    def close(self) -> None:
        """Let go. The lock file stays: to remove it would take it from who has opened it."""
        os.close(self._fd)


def check_place(path: str) -> None:
    """Raise Refused where no socket can be made, whoever listens now. Changes nothing."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise Refused(f"no socket at {path}: {directory} is no directory")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise Refused(f"no socket at {path}: {directory} cannot be written to")
    _is_there(path)


def listen_at(lock: SocketLock) -> socket.socket:
    """Return a listening socket, for its owner only. Raises Refused."""
    path = lock.path
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with ShortPath(path) as short:
            listener.bind(short.name)
        # nobody can connect before listen, so nobody sees it with other permissions
        os.chmod(path, 0o600)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise Refused(f"no socket at {path}: {error.strerror or error}") from None
    return listener


def _is_there(path: str) -> bool:
    """Whether there is a socket. Raises Refused for anything else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Refused(f"no socket at {path}: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise Refused(f"no socket at {path}: there is a file that is none; it was left alone")
    return True


def _clear(path: str) -> None:
    """Remove a socket that nobody answers on. Raises Refused for anything else that is there."""
    if not _is_there(path):
        return
    try:
        connect(path).close()
    except (ConnectionRefusedError, FileNotFoundError):
        pass
    except OSError as error:
        raise Refused(f"no socket at {path}: the one that is there: {error.strerror}") from None
    else:
        raise Refused(f"another program listens at {path}; it was left alone")
    try:
        os.unlink(path)
    except OSError as error:
        raise Refused(f"no socket at {path}: {error.strerror}") from None


def connect(path: str, timeout: float = _SECONDS_TO_ANSWER) -> socket.socket:
    """Return a socket connected to a path. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        with ShortPath(path) as short:
            sock.connect(short.name)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


class ShortPath:
    """A name for a path that an address has room for: through its directory's descriptor."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._path = path
        self._fd = -1

    def __enter__(self) -> Self:
        if len(os.fsencode(self._path)) > _LONGEST and sys.platform == "linux":
            directory, base = os.path.split(self._path)
            self._fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self.name = f"/proc/self/fd/{self._fd}/{base}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """Return pid (0: not known) and uid of who is at the other end. Raises OSError."""
    if hasattr(socket, "SO_PEERCRED"):
        size = struct.calcsize("3i")
        pid, uid, _ = struct.unpack(
            "3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        )
        return pid, uid
    # LOCAL_PEERCRED of the BSDs and macOS: version, uid, …
    _, uid = struct.unpack("2I", sock.getsockopt(0, 1, 8))
    return 0, uid
