"""The client of jqueue, over a queue: a program of jqueue's runs with only its import changed.

from queuectl import client

handler_thread = client.ClientThread("server.hostname")
handler_thread.start()
while (job := handler_thread.get_job()) is not None:
    handler_thread.submit_result(work_on(job.data))
handler_thread.terminate()
handler_thread.join()
"""

from __future__ import annotations

import threading
import time

from queuectl.client.queue import Queue, connect
from queuectl.errors import QueuectlError, Refused
from queuectl.store.remote.wire import PORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import EllipsisType

    from queuectl.client.work import ClaimedJob

#: where `queuectl batch` and the like have their jobs
QUEUE = "batch"
#: seconds of one wait for a job; between tries while the server is away, and how long that may last
_ROUND, _RETRY, _PATIENCE = 2.0, 0.5, 60.0


class FetchedJob:
    """A job that was fetched: `data` are its bytes, empty ones too."""

    def __init__(self, job: ClaimedJob) -> None:
        self.claimed = job
        self.id = job.id
        self.name = job.name
        # the jobs of `queuectl batch` have both: there the message only names the file
        self.data: bytes = (
            job.payload
            if job.has_payload or job.message is None
            else job.message.encode("utf-8", "surrogateescape")
        )


class ClientThread:
    """Works on the jobs of a server, one at a time. Call its methods from one thread.

    The thread of its own renews the claim on the job that is worked on, however long that takes. A
    job whose result was not submitted when the program ends goes to another client.
    """

    def __init__(
        self, server: str = "", queue: str = QUEUE, *, token_file: str | None = None
    ) -> None:
        """Connect to nothing yet: `host`, `host:port`, `http(s)://…`, or any URL of a store.

        The token is that of `token_file`, else of the file QUEUECTL_TOKEN_FILE names.
        """
        self._url = _url_of(server)
        self._name = queue
        self._token_file = token_file
        self._queue: Queue | None = None
        self._job: FetchedJob | None = None
        self._ended = threading.Event()
        #: whether it has been said that the server is away
        self._warned = False

    def start(self) -> None:
        """Connect. Raises UsageError, StoreUnavailable."""
        if self._queue is None:
            self._queue = connect(self._url, token_file=self._token_file)

    def get_job(self, timeout: float | EllipsisType | None = None) -> FetchedJob | None:
        """Return the next job; None when no work is left: all has ended, nobody holds any.

        While others still work on some it waits, as those may come back. With a number it waits no
        longer than so many seconds. The one before that was not submitted is given back. While the
        server cannot be reached it is tried again, with one warning (logging, `queuectl.client`);
        raises StoreUnavailable when it has been away for a minute.
        """
        queue = self._opened()
        self._give_back()
        deadline = time.monotonic() + timeout if isinstance(timeout, (int, float)) else None
        away: float | None = None
        while not self._ended.is_set():
            left = _ROUND if deadline is None else min(_ROUND, deadline - time.monotonic())
            try:
                job = queue.claim_one(self._name, wait=max(0.0, left) if away is None else 0.0)
                self._warned = False
                if job is not None:
                    self._job = _fetched(job)
                    if self._job is not None:
                        return self._job
                    continue
                if (deadline is not None and time.monotonic() >= deadline) or self._is_empty(queue):
                    return None
                away = None
            except QueuectlError as error:
                if error.exit_status != 75:
                    raise
                now = time.monotonic()
                away = now if away is None else away
                if now - away > _PATIENCE or (deadline is not None and now >= deadline):
                    raise
                self._warn(error)
                self._ended.wait(_RETRY)
        return None

    def submit_result(self, data: bytes) -> None:
        """Hand in the result of the job that `get_job` returned last. Durable on return.

        Raises Refused when there is none, or the claim is over: then another client has the job,
        and this result is not kept.
        """
        if self._job is None:
            raise Refused("there is no job: get_job first, and submit one result for each")
        job, self._job = self._job, None
        job.claimed.complete(data)

    def fail(self, reason: str = "") -> None:
        """Say that the job that `get_job` returned last cannot be done: it is retried by its policy."""
        if self._job is None:
            raise Refused("there is no job: get_job first")
        job, self._job = self._job, None
        job.claimed.fail(reason)

    def terminate(self) -> None:
        """Take no more; what was fetched and not submitted goes back."""
        self._ended.set()

    def join(self, timeout: float | None = None) -> None:  # noqa: ARG002 (as a thread's)
        """Let go of the server."""
        self._ended.set()
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.close()

    def _opened(self) -> Queue:
        if self._queue is None:
            raise Refused("start() first; after join() it is over")
        return self._queue

    def _give_back(self) -> None:
        job, self._job = self._job, None
        if job is not None and job.claimed.ended is None:
            job.claimed.release()

    def _warn(self, error: QueuectlError) -> None:
        """Say once why nothing comes, until the server has answered."""
        if not self._warned:
            import logging

            self._warned = True
            text = "%s; trying again for %g s"
            logging.getLogger("queuectl.client").warning(text, error, _PATIENCE)

    def _is_empty(self, queue: Queue) -> bool:
        counts = queue.queue(self._name).counts
        return not any(counts.get(state) for state in ("pending", "processing", "failed"))


def _fetched(job: ClaimedJob) -> FetchedJob | None:
    """Return a job with its data; None when its file cannot be read: that is its failure."""
    try:
        return FetchedJob(job)
    except Refused as error:
        job.fail(str(error))
        return None


def _url_of(server: str) -> str | None:
    """Return the URL of what a program of jqueue's calls a server."""
    if not server:
        return None
    if ":/" in server or server.startswith(("/", ".", "~")) or server == "memory:":
        return server
    host, colon, port = server.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.startswith("[")):
        return f"http://{server}"
    name = f"[{server}]" if ":" in server else server
    return f"http://{name}:{PORT}"
