"""How a host hears of changes from a server: a thread with a request that is answered late."""

from __future__ import annotations

import os
import threading

from queuectl.errors import QueuectlError
from queuectl.store.base import Listener
from queuectl.store.remote import wire
from queuectl.store.remote.http import Requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.store.remote.http import Address


#: seconds between two requests when one has been answered with a change
_PACE = 0.03


class RemoteListener(Listener):
    """A thread that waits for the server to say that something has changed."""

    def __init__(self, address: Address, host_id: str) -> None:
        self._requests = Requests(address)
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)
        self._lock = threading.Lock()
        self._told = self._seen = 0
        self._trouble: QueuectlError | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._listen, name=f"listener-{host_id[:8]}", daemon=True
        )
        self._thread.start()

    def fileno(self) -> int:
        """Return the pipe."""
        return self._out

    def clear(self) -> None:
        """Empty the pipe."""
        try:
            while len(os.read(self._out, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass

    def changed(self) -> bool:
        """Whether the server has told of a change since the last call. Raises StoreUnavailable."""
        with self._lock:
            trouble, self._trouble = self._trouble, None
            told, self._seen = self._told != self._seen, self._told
        if trouble is not None:
            raise trouble
        return told

    def close(self) -> None:
        """Stop listening; the thread ends with its request."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._requests.close()
        with self._lock:
            os.close(self._in)
            os.close(self._out)

    def _listen(self) -> None:
        since = ""
        while not self._ended.is_set():
            try:
                path = f"/store/changes?timeout=25&since={since}"
                now = wire.loads(self._requests.send("GET", path, timeout=40, tries=1))["since"]
            except (QueuectlError, ValueError, TypeError, KeyError) as error:
                since = ""
                self._stumbled(error)
                self._ended.wait(1.0)
                continue
            if now != since:
                since = now
                self._tell()
                # those that follow closely are the same change
                self._ended.wait(_PACE)

    def _tell(self) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._told += 1
            try:
                os.write(self._in, b"c")
            except BlockingIOError:
                # full of changes: it will wake
                pass

    def _stumbled(self, error: Exception) -> None:
        if isinstance(error, QueuectlError):
            with self._lock:
                self._trouble = error
