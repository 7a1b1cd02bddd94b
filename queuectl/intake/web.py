"""The HTTP API as one of a service's ways in: its tokens, its certificate, and reading them again."""

from __future__ import annotations

import os

from queuectl.intake.http.auth import SHORTEST, Tokens
from queuectl.intake.http.server import HttpIntake, Solo, Tls, check_extra, load_tokens, token_path
from queuectl.intake.http.tls import check
from queuectl.intake.log import ERROR
from queuectl.store.remote.wire import WORK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.host.worker import WorkerHost
    from queuectl.intake.log import Log
    from queuectl.store.base import Store


def check_web(
    store: Store, bind: str, environ: Mapping[str, str], *,
    token_file: str | None, tls: tuple[str, str] | None, allow_insecure: bool,
) -> None:  # fmt: skip
    """Raise what a WebIntake would raise at once: UsageError, Refused. Opens and makes nothing."""
    check_extra()
    path = token_file or token_path(environ)
    files = None if tls is None else Tls(*tls)
    # those that are not there will be made
    there = token_file is not None or os.path.exists(path)
    tokens = load_tokens(path) if there else Tokens([(WORK, "x" * SHORTEST)])
    HttpIntake(Solo(store), bind, files, tokens, allow_insecure=allow_insecure)
    if files is not None:
        check(files)


class WebIntake:
    """The intake."""

    kind = "http"

    def __init__(
        self, host: WorkerHost, bind: str, log: Log, environ: Mapping[str, str], *,
        token_file: str | None = None, tls: tuple[str, str] | None = None,
        allow_insecure: bool = False,
    ) -> None:  # fmt: skip
        """Read the tokens; a file that is not there is made when none was named."""
        #: the file with the tokens
        self.tokens = token_file or token_path(environ)
        self._make = token_file is None
        self._running = HttpIntake(
            host, bind, None if tls is None else Tls(*tls), self._tokens(),
            allow_insecure=allow_insecure,
            failed=lambda error: log(ERROR, f"http: {type(error).__name__}: {error}"),
        )  # fmt: skip

    @property
    def where(self) -> str:
        """The URL."""
        return self._running.url

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._running.alive

    def start(self) -> None:
        """Begin to serve. Raises Refused, UsageError."""
        self._running.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Finish what is being answered and close."""
        self._running.stop(timeout)

    def reload(self) -> None:
        """Take new tokens and certificate; nothing is cut off. As before if they cannot be used."""
        self._running.reload(self._tokens())

    def _tokens(self) -> Tokens:
        return load_tokens(self.tokens, make=self._make)
