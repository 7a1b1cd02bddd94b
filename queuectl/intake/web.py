"""The HTTP API as one of a service's ways in: its tokens, its certificate, and reading them again."""

from __future__ import annotations

from queuectl.intake.http.server import HttpIntake, Tls, load_tokens, token_path
from queuectl.intake.log import ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.host.worker import WorkerHost
    from queuectl.intake.http.auth import Tokens
    from queuectl.intake.log import Log


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
