"""The HTTP way in: a server in a thread of its own, over a host or any other way to write.

`HttpIntake` listens and serves the API (app.py) until it is stopped. It never listens beyond
this machine without TLS, and never without tokens, unless it is told that this is meant: whoever
may enqueue commands may run anything as this user.
"""

from __future__ import annotations

import os
import socket
import threading

from queuectl.errors import MissingExtra, QueuectlError, Refused, UsageError
from queuectl.intake.http.auth import FILE, Tokens, load_tokens
from queuectl.intake.http.tls import Tls, check, load
from queuectl.store.remote.wire import PORT, WORK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol, TypeVar

    import uvicorn

    from queuectl.store.base import Store

    T = TypeVar("T")

    class Backend(Protocol):
        """What the API works on: a WorkerHost is one."""

        store: Store

        def call(self, request: Callable[[Store], T]) -> T:
            """Run a write where this process writes; return after the commit. Any thread."""


__all__ = ["HttpIntake", "Solo", "Tls", "Tokens", "load_tokens", "token_path"]

#: seconds to listen, and to end: what runs then is cut off
_START, _END = 15.0, 5
#: seconds between the server's ticks: its answers' date
_TICK = 1.0
#: seconds between looks for leases that have ended
_RECOVER = 2.0
#: connections at once; more are told to come again
_CONNECTIONS = 2000
#: bytes of a request's line and headers
_HEADERS = 32 * 1024


class Solo:
    """A way to write for a process without workers: one thread at a time, directly."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()

    def call(self, request: Callable[[Store], T]) -> T:
        """Run a write; return after the commit."""
        with self._lock, self.store.transaction():
            return request(self.store)


def token_path(environ: Mapping[str, str]) -> str:
    """Return where a server's tokens are when no file is named."""
    from queuectl.paths import state_directory

    return os.path.join(state_directory(environ), FILE)


def parse_bind(text: str) -> tuple[str, int]:
    """Return host and port of `8470`, `:8470`, `box:8470`, `[::1]:8470` or an IP address alone.

    Without a host it is this machine only. Raises UsageError.
    """
    host, port = text.strip(), ""
    if host.isdecimal():
        host, port = "", host
    elif host.startswith("["):
        host, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":")
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if port and not (port.isdecimal() and port.isascii() and int(port) < 65536):
        raise UsageError(f"--http {text}: not an address: HOST:PORT, such as 127.0.0.1:{PORT}")
    if host and not port and not _is_address(host):
        # a word alone is rather a slip than a machine
        raise UsageError(f"--http {text}: no port: HOST:PORT, such as 127.0.0.1:{PORT}")
    return host or "127.0.0.1", int(port) if port else PORT


def check_extra() -> None:
    """Raise MissingExtra when queuectl was installed without its extra `serve`."""
    try:
        import uvicorn  # noqa: F401

        import queuectl.intake.http.app
        import queuectl.intake.http.protocol  # noqa: F401
    except ImportError as error:
        raise MissingExtra(what="HTTP", module=error.name, extra="serve") from None


class HttpIntake:
    """A running server. Make it, `start`, `stop`; from any thread."""

    def __init__(
        self,
        host: Backend,
        bind: str = "",
        tls: Tls | None = None,
        tokens: Tokens | None = None,
        *,
        allow_insecure: bool = False,
        anonymous: str = WORK,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Open nothing yet. Raises UsageError, Refused.

        `bind` as in `parse_bind`; port 0 takes a free one. Without `tokens`, which needs
        `allow_insecure`, everybody has the role `anonymous`. `failed` hears of errors that should
        not have been.
        """
        self._backend = host
        self._host, self._port = parse_bind(bind)
        self._tls = tls
        self._tokens = tokens
        self._anonymous = anonymous
        self._failed = failed or (lambda _: None)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        #: tells the server's loop to look whether it should end
        self._end_soon: Callable[[], object] = lambda: None
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._check(allow_insecure=allow_insecure)

    def _check(self, *, allow_insecure: bool) -> None:
        if allow_insecure:
            return
        if self._tokens is None:
            raise Refused(
                "HTTP without tokens lets everybody run commands as you: --allow-insecure if meant"
            )
        if self._tls is None and not _is_loopback(self._host):
            raise Refused(
                f"HTTP on {self._host} without TLS shows tokens to the network: give --tls-cert and"
                " --tls-key, listen on 127.0.0.1 behind a proxy or an SSH tunnel, or"
                " --allow-insecure"
            )

    @property
    def url(self) -> str:
        """Where it can be reached; the port is known once it has been started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    def start(self) -> None:
        """Listen and serve in a thread. Returns when requests are answered.

        Raises Refused when the address is taken or the certificate cannot be used, MissingExtra
        when queuectl was installed without its extra `serve`.
        """
        server = self._make_server()
        bound = self._listen()
        self._port = bound.getsockname()[1]
        self._server = server
        self._thread = threading.Thread(
            target=self._run, args=(server, bound), name="http", daemon=True
        )
        self._thread.start()
        threading.Thread(target=self._keep, name="http-keeper", daemon=True).start()
        if not self._ready.wait(_START) or not server.started:
            self.stop()
            raise Refused(f"HTTP on {self.url}: the server did not start")

    def stop(self, timeout: float = 2 * _END) -> bool:
        """Take no more requests, finish those that run; False: it goes on beyond the time given."""
        thread, server = self._thread, self._server
        if thread is None or server is None:
            return True
        self._ended.set()
        server.should_exit = True
        app: Any = server.config.app
        app.state.api.closing()
        try:
            self._end_soon()
        except RuntimeError:
            # its loop has ended by itself
            pass
        thread.join(timeout)
        return not thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def where(self) -> str:
        """What it listens to, for people."""
        return self.url

    def reload(self, tokens: Tokens | None = None) -> None:
        """Take other tokens, and the certificate as its file has it now. Any thread.

        Raises Refused for a certificate that cannot be used; then all stays as it was.
        """
        server = self._server
        if server is None:
            self._tokens = tokens or self._tokens
            return
        app: Any = server.config.app
        if self._tls is not None and server.config.ssl is not None:
            # in a context of its own first: one that has failed half-way has neither
            check(self._tls)
            load(self._tls, server.config.ssl)
        self._tokens = app.state.api.tokens = tokens or self._tokens

    def _keep(self) -> None:
        """Take jobs back from clients and hosts that work over HTTP and let their leases run out."""
        from queuectl.store.expiry import recover_expired

        while not self._ended.wait(_RECOVER):
            try:
                recover_expired(self._backend.store, self._backend.call)
            except QueuectlError:
                # the store cannot be used now: the next round comes
                continue
            except Exception as error:  # noqa: BLE001 (it must go on)
                self._failed(error)

    def _make_server(self) -> uvicorn.Server:
        import asyncio
        import contextlib

        check_extra()
        import uvicorn

        from queuectl.intake.http.app import make_app
        from queuectl.intake.http.protocol import Protocol

        if self._tls is not None:
            check(self._tls)
        app = make_app(self._backend, self._tokens, anonymous=self._anonymous, failed=self._failed)
        config = uvicorn.Config(
            app,
            http=Protocol, ws="none", loop="asyncio", lifespan="off",
            log_config=None, access_log=False, server_header=False, proxy_headers=False,
            limit_concurrency=_CONNECTIONS, h11_max_incomplete_event_size=_HEADERS,
            timeout_keep_alive=75, timeout_graceful_shutdown=_END,
            ssl_certfile=self._tls.certificate if self._tls else None,
            ssl_keyfile=self._tls.key if self._tls else None,
        )  # fmt: skip
        config.load()
        intake = self
        _tell_errors(self._failed)

        class Server(uvicorn.Server):
            """Tells when it answers."""

            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                over, loop = asyncio.Event(), asyncio.get_running_loop()
                intake._end_soon = lambda: loop.call_soon_threadsafe(over.set)
                self._over = over
                intake._ready.set()

            async def main_loop(self) -> None:
                # uvicorn's own looks ten times a second
                while not self.should_exit:
                    await self.on_tick(0)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._over.wait(), _TICK)

        return Server(config)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # named, or asyncio leaves Nagle's algorithm on and each answer comes 40 ms late
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._host, self._port))
            bound.listen(1024)
        except OSError as error:
            bound.close()
            raise Refused(f"HTTP on {self._host}:{self._port}: {error.strerror}") from None
        return bound

    def _run(self, server: uvicorn.Server, bound: socket.socket) -> None:
        try:
            server.run(sockets=[bound])
        except Exception as error:  # noqa: BLE001 (the host goes on without it, and says so)
            self._failed(error)
        finally:
            self._ready.set()
            bound.close()


def _tell_errors(failed: Callable[[Exception], None]) -> None:
    """Have errors that uvicorn and asyncio would log told to `failed`; what clients do wrong is not."""
    import logging

    class Told(logging.Handler):
        """Tells."""

        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info and record.exc_info[1]
            if isinstance(error, Exception):
                failed(error)

    for name in ("uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.handlers = [Told()]


def _is_address(host: str) -> bool:
    """Whether it is an IP address, or the name that every machine has for itself."""
    import ipaddress

    try:
        return host == "localhost" or bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    """Whether a name or address leads to this machine only."""
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run(
    host: Backend, bind: str, tls: Tls | None, tokens: Tokens | None, **options: Any
) -> HttpIntake:
    """Make a server and start it. Raises what both raise."""
    intake = HttpIntake(host, bind, tls, tokens, **options)
    intake.start()
    return intake
