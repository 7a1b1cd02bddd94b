"""TCP messages: lines of `QUEUE MESSAGE`, answered with `ok ID` or `error …`, as many as one likes.

A client that closes without a newline has said its last line all the same. What comes from all
clients in one turn is committed together.
"""

from __future__ import annotations

import time

from queuectl.errors import QueuectlError, quote
from queuectl.intake.connection import Connection
from queuectl.intake.deliver import Deliverer, add_each
from queuectl.intake.limits import limits_of, listen, shown_address
from queuectl.intake.lines import LineServer
from queuectl.intake.log import ERROR, WARNING
from queuectl.intake.session import PeerContext
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from queuectl.host.worker import WorkerHost
    from queuectl.intake.log import Log
    from queuectl.job import NewJob

#: messages committed together at the most
GROUP = 1000
#: how a browser begins, on behalf of some page: whoever speaks HTTP does not speak to us
_HTTP = (b" HTTP/1.0", b" HTTP/1.1", b" HTTP/2.0")


class _Said(Record):
    conn: Connection
    queue: str
    message: str
    #: why the client is sent away behind this answer; then there is no message
    away: str = ""


class _Bucket:
    """How many lines a client may send now (a token bucket of one second)."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._at = time.monotonic()

    def take(self) -> float:
        """Take one; return the seconds to wait, 0 if there was one."""
        if not self._rate:
            return 0
        now = time.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0


class MessageIntake(LineServer):
    """The intake."""

    kind = "messages"

    def __init__(
        self, host: WorkerHost, where: str, log: Log, environ: Mapping[str, str], *,
        allow_remote: bool = False,
    ) -> None:  # fmt: skip
        """Listen, but serve nobody yet. Raises UsageError, Refused."""
        listener = listen("--messages", where, allow_remote=allow_remote)
        super().__init__(listener, limits_of(host.store, messages=True), log)
        self.where = shown_address(listener)
        self._host = host
        self._deliverer = Deliverer(PeerContext(host, environ, lambda: False))
        self._said: list[_Said] = []
        self._buckets: dict[Connection, _Bucket] = {}
        self._over: set[Connection] = set()

    def reload(self) -> None:
        """Read the limits again."""
        self.limits = limits_of(self._host.store, messages=True)

    # ---- as the server asks -------------------------------------------------------------------

    def admit(self, sock: socket.socket) -> tuple[str, str]:
        """Let everybody in who can reach the address."""
        return str(sock.getpeername()[0]), ""

    def refusal(self, why: str) -> bytes:
        """Say so as every failure is said."""
        return _error(why)

    def done(self, conn: Connection) -> bool:
        """Whether all it said has been answered: at the end of a turn everything has."""
        return conn.idle

    def received(self, conn: Connection) -> None:
        """Take whole lines, as many as the client's rate allows."""
        if conn in self._over:
            conn.take_rest()
            return
        bucket = self._buckets.setdefault(conn, _Bucket(self.limits.rate))
        while conn.has_line or (conn.ended and conn.buffer):
            wait = bucket.take()
            if wait:
                conn.wants_input = False
                conn.wake_at = time.monotonic() + wait
                return
            line = conn.take_line()
            if not self._hear(conn, conn.take_rest() if line is None else line):
                return
        conn.wants_input = True
        if len(conn.buffer) > self.limits.line:
            self._send_away(conn, f"a line of more than {self.limits.line} bytes")

    def _hear(self, conn: Connection, line: bytes) -> bool:
        """Heed a line; False: nothing more is heard of this client."""
        line = line.removesuffix(b"\r")
        if line.endswith(_HTTP):
            self._send_away(conn, "this is no HTTP server")
            return False
        if len(line) > self.limits.line:
            self._send_away(conn, f"a line of more than {self.limits.line} bytes")
            return False
        if not line.strip():
            return True
        queue, blank, message = line.decode("utf-8", "surrogateescape").partition(" ")
        if blank and message:
            self._said.append(_Said(conn, queue, message))
        else:
            # in its place among the answers
            self._said.append(_Said(conn, queue, ""))
        return True

    def _send_away(self, conn: Connection, why: str) -> None:
        self.log(WARNING, f"{self.kind}: {conn.peer} was sent away: {why}", peer=conn.peer)
        self._over.add(conn)
        conn.take_rest()
        self._said.append(_Said(conn, "", "", why))

    # ---- jobs ---------------------------------------------------------------------------------

    def turned(self) -> None:
        """Enqueue what was said, and answer."""
        said, self._said = self._said, []
        if said:
            self._deliverer.look_again()
        for first in range(0, len(said), GROUP):
            self._deliver(said[first : first + GROUP])
        if len(self._buckets) > len(self.connections):
            self._buckets = {c: b for c, b in self._buckets.items() if not c.gone}
            self._over = {conn for conn in self._over if not conn.gone}

    def _deliver(self, said: Sequence[_Said]) -> None:
        answers: list[bytes] = []
        jobs: list[NewJob] = []
        places: list[int] = []
        for one in said:
            try:
                jobs.append(self._job(one))
                places.append(len(answers))
                answers.append(b"")
            except QueuectlError as error:
                answers.append(_error(str(error)))
        for place, answer in zip(places, self._add(jobs), strict=True):
            answers[place] = answer
        for one, answer in zip(said, answers, strict=True):
            one.conn.send(answer, wait=False)
            if one.away:
                one.conn.close_when_drained()

    def _job(self, said: _Said) -> NewJob:
        """Return the job of a message. Raises QueuectlError."""
        if said.away:
            raise QueuectlError(said.away)
        if not said.queue:
            raise QueuectlError("no queue before the blank: a line is QUEUE MESSAGE")
        if not said.message:
            raise QueuectlError(
                f"no message for queue {quote(said.queue)}: a line is QUEUE MESSAGE"
            )
        return self._deliverer.maker(said.queue)(said.message)

    def _add(self, jobs: Sequence[NewJob]) -> list[bytes]:
        """Enqueue jobs; return what to say about each."""
        if not jobs:
            return []
        try:
            found = self._host.call(lambda store: add_each(store, jobs))
        except QueuectlError as error:
            return [_error(str(error))] * len(jobs)
        except Exception as error:  # noqa: BLE001 - every line is answered
            self.log(ERROR, f"{self.kind}: {type(error).__name__}: {error}")
            return [_error("it could not be enqueued")] * len(jobs)
        return [
            _error(str(one)) if isinstance(one, QueuectlError) else b"ok %d\n" % one
            for one in found
        ]


def _error(why: str) -> bytes:
    from queuectl.render import visible

    return f"error {visible(why)}\n".encode("utf-8", "backslashreplace")
