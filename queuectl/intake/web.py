"""The HTTP API as one of a service's ways in: its tokens, its certificate, and reading them again."""

from __future__ import annotations

from queuectl.errors import UsageError
from queuectl.intake.http import HttpIntake, Tls, load_tokens, token_path
from queuectl.intake.log import ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.intake.http_auth import Tokens
    from queuectl.intake.log import Log
    from queuectl.worker import WorkerHost


class WebIntake:
    """The intake. Its address stays the same when it is read again."""

    kind = "http"

    def __init__(
        self, host: WorkerHost, bind: str, log: Log, environ: Mapping[str, str], *,
        token_file: str | None = None, tls: tuple[str, str] | None = None,
        allow_insecure: bool = False,
    ) -> None:  # fmt: skip
        """Read the tokens; a file that is not there is made when none was named."""
        self._host = host
        self._bind = bind
        self._log = log
        self._tls = None if tls is None else Tls(*tls)
        self._token_file = token_file or token_path(environ)
        self._make = token_file is None
        self._allow_insecure = allow_insecure
        self._running = self._new(self._tokens())

    @property
    def where(self) -> str:
        """The URL."""
        return self._running.url

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        thread = self._running._thread  # noqa: SLF001 (its own has no way to ask)
        return thread is not None and thread.is_alive()

    def start(self) -> None:
        """Begin to serve. Raises Refused, UsageError."""
        self._running.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Finish what is being answered and close."""
        self._running.stop(timeout)

    def reload(self) -> None:
        """Serve with new tokens and certificate; as before if they cannot be used."""
        tokens = self._tokens()
        before = self._running
        # the port that the system chose stays
        self._bind = before.url.partition("://")[2]
        fresh = self._new(tokens)
        before.stop()
        try:
            fresh.start()
        except UsageError:
            before.start()
            raise
        self._running = fresh

    def _tokens(self) -> Tokens:
        return load_tokens(self._token_file, make=self._make)

    def _new(self, tokens: Tokens) -> HttpIntake:
        return HttpIntake(
            self._host, self._bind, self._tls, tokens, allow_insecure=self._allow_insecure,
            failed=lambda error: self._log(ERROR, f"http: {type(error).__name__}: {error}"),
        )  # fmt: skip
