"""HTTP/1.1 connections that are not waited for without end.

uvicorn bounds how long a connection may be idle between two requests, but not how long the head of
a request may take, nor the rest of a body after its answer; a few thousand clients that never come
to an end would keep out everybody else.
"""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from typing import Any

#: seconds within which line and headers of a request must be there, from its first byte (of the
#: first request: from the connection), and within which a body must end that nobody reads
PATIENCE = 30.0

_BODY = b'{"error": "the request did not come in time", "exit_code": 1}'
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class Protocol(H11Protocol):
    """One connection."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; if that is the beginning of a head, wait for the rest of it."""
        super().data_received(data)
        if self._serves:
            self._stop_waiting()
        elif self._due is None:
            self._wait()

    def on_response_complete(self) -> None:
        """Go on with the next request; a part of it, or of this one, may be on its way."""
        super().on_response_complete()
        self._stop_waiting()
        if not self._serves and (
            self.conn.trailing_data[0] or self.conn.their_state is h11.SEND_BODY
        ):
            self._wait()

    @property
    def _serves(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        if not self.transport.is_closing():
            self._due = self.loop.call_later(PATIENCE, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _too_slow(self) -> None:
        self._due = None
        if self._serves or self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE:
            self.transport.write(_TOO_SLOW)
        self.transport.close()
