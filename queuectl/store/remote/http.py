"""Requests of a RemoteStore: connections that stay open, tries, and what a failure means.

A request that changes something carries a UUID and is repeated with it until its answer is known,
so that it is done once. Foreign exceptions become StoreUnavailable here. Any thread.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections import deque
from urllib.parse import urlsplit

from queuectl.errors import StoreUnavailable, UsageError
from queuectl.record import Record
from queuectl.store.remote import wire
from queuectl.store.remote.trouble import fault, is_ours, say, speaks_http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

#: seconds to connect, and to wait for an answer
_CONNECT, _ANSWER = 5.0, 30.0
#: seconds before each further try
_PAUSES = (0.05, 0.2, 0.5, 1.0)
#: connections kept for the next request
_KEPT = 8
_MOST_ANSWER = 512 * 1024 * 1024


class Address(Record):
    """Where a server is, and what it is told."""

    secure: bool
    host: str
    port: int
    #: in front of every path, without a slash at its end
    prefix: str
    token: str | None
    #: where the token is from, for people
    source: str = ""

    @property
    def shown(self) -> str:
        """The URL without secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.prefix}"


def parse_address(url: str, token: str | None, token_file: str = "") -> Address:
    """Return the address of `http[s]://[TOKEN@]host[:port][/prefix]`. Raises UsageError.

    `token`, of `token_file`, is for a URL without one.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(f"{_hidden(url)}: not an address: http://host:port") from None
    if not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"{_hidden(url)}: not an address: http://host:port")
    # with a name in front, the password is the token
    given = parts.password or parts.username
    secure = parts.scheme == "https"
    chosen = given or token
    if chosen is not None and not (chosen.isascii() and chosen.isprintable()):
        raise UsageError("the token is not printable ASCII text")
    default = 443 if secure else wire.PORT
    source = "the token in its URL" if given else f"the token in {token_file or 'use'}"
    prefix = parts.path.rstrip("/")
    return Address(secure, parts.hostname, port or default, prefix, chosen, source)


def _hidden(url: str) -> str:
    scheme, slashes, rest = url.partition("://")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}"


class Unclear(StoreUnavailable):
    """the server {store} did not answer ({reason}): whether it was done is not known"""  # noqa: D400, D415 (the message itself)


class Requests:
    """Sends requests to one server."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._kept: deque[http.client.HTTPConnection] = deque()
        self._closed = False
        self._context: ssl.SSLContext | None = None

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._closed = True
        while self._kept:
            self._kept.pop().close()

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        key: str | None = None,
        timeout: float = _ANSWER,
        tries: int = len(_PAUSES) + 1,
        media: str | None = None,
    ) -> bytes:
        """Return the body of an answer that says it went well.

        With a `key`, or a method that only reads, it is sent again when no answer comes. Raises
        what the server answers, StoreUnavailable when it cannot be reached, Unclear when it may
        have been done.
        """
        headers = self._headers(key)
        if media is not None:
            headers["Content-Type"] = media
        unclear = False
        for attempt in range(tries):
            if attempt:
                time.sleep(_PAUSES[min(attempt, len(_PAUSES)) - 1])
            try:
                return self._once(method, path, body, headers, timeout)
            except _Lost as lost:
                if lost.hopeless:
                    raise StoreUnavailable(store=self.address.shown, reason=lost.reason) from None
                unclear = unclear or lost.sent
                reason, refused = lost.reason, lost.refused
                # nobody listens: one more try, for a server that is being started anew
                if refused and not unclear and attempt:
                    break
        if unclear and key is not None:
            raise Unclear(store=self.address.shown, reason=reason)
        raise StoreUnavailable(store=self.address.shown, reason=reason)

    def download(self, path: str, to: BinaryIO) -> None:
        """Write the body of an answer to a file. Raises what the server answers, StoreUnavailable.

        That also where the file cannot be written. It is not tried again.
        """
        connection = self._connection(_ANSWER)
        try:
            answer = self._exchange(connection, "GET", path, None, self._headers(None), _ANSWER)
            if answer.status != 200:
                raise fault(self.address, answer.status, answer.read(_MOST_ANSWER))
            while data := answer.read(256 * 1024):
                to.write(data)
        except (_Lost, http.client.HTTPException, OSError) as error:
            reason = say(error, self.address)
            raise StoreUnavailable(store=self.address.shown, reason=reason) from None
        finally:
            connection.close()

    # ---- one request --------------------------------------------------------------------------

    def _headers(self, key: str | None) -> dict[str, str]:
        headers = {"Queuectl-Protocol": str(wire.PROTOCOL), "Accept": "application/json"}
        if self.address.token is not None:
            headers["Authorization"] = f"Bearer {self.address.token}"
        if key is not None:
            headers["Idempotency-Key"] = key
        return headers

    def _once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: float
    ) -> bytes:
        connection = self._connection(timeout)
        reused = connection.sock is not None
        try:
            answer = self._exchange(connection, method, path, body, headers, timeout)
            data = answer.read(_MOST_ANSWER)
        except _Lost as lost:
            connection.close()
            # the server closes what was idle: that was nobody's fault, try at once on a new one
            if reused and not self._closed:
                return self._fresh(method, path, body, headers, timeout, lost)
            raise
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise _Lost(say(error, self.address), sent=True) from None
        self._keep(connection, answer)
        if answer.status // 100 == 2:
            return data
        if answer.status in (502, 504) or (answer.status == 503 and not is_ours(data)):
            # a proxy in front, or too many at once
            raise _Lost(f"status {answer.status}", sent=answer.status != 503)
        raise fault(self.address, answer.status, data)

    def _fresh(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: float,
        lost: _Lost,
    ) -> bytes:  # fmt: skip
        """Try again on a new connection what failed on one that had been idle."""
        if "Idempotency-Key" not in headers and method != "GET" and lost.sent and not _reads(path):
            raise lost
        while self._kept:
            self._kept.pop().close()
        return self._once(method, path, body, headers, timeout)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None,
        headers: dict[str, str], timeout: float,
    ) -> http.client.HTTPResponse:  # fmt: skip
        sent = False
        try:
            if connection.sock is None:
                connection.connect()
            link: socket.socket = connection.sock
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.settimeout(timeout)
            sent = True
            connection.request(method, self.address.prefix + path, body, headers)
            return connection.getresponse()
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            refused = isinstance(error, (ConnectionRefusedError, socket.gaierror, ssl.SSLError))
            raise _Lost(
                say(error, self.address),
                sent=sent,
                refused=refused,
                hopeless=not speaks_http(error),
            ) from None

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        try:
            connection = self._kept.pop()
        except IndexError:
            pass
        else:
            return connection
        host, port = self.address.host, self.address.port
        wait = min(timeout, _CONNECT)
        if not self.address.secure:
            return http.client.HTTPConnection(host, port, timeout=wait)
        if self._context is None:
            self._context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=wait, context=self._context)

    def _keep(
        self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
    ) -> None:
        if self._closed or answer.will_close or len(self._kept) >= _KEPT:
            connection.close()
        else:
            self._kept.append(connection)
            if self._closed:
                # by another thread, just now
                self.close()


class _Lost(Exception):  # noqa: N818 (named like the other errors)
    """No answer came. `sent`: the server may have got the request; `hopeless`: there is none."""

    def __init__(
        self, reason: str, *, sent: bool, refused: bool = False, hopeless: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.refused = refused
        self.hopeless = hopeless


def _reads(path: str) -> bool:
    method = wire.METHODS.get(path.rpartition("/")[2])
    return method is None or method.kind != wire.ONCE
