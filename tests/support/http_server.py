"""A server of the HTTP API over a store, in a thread of the test's process."""

from __future__ import annotations

import http.client
import json
import secrets
from typing import TYPE_CHECKING, Any, Self

from queuectl.intake.http.auth import Tokens
from queuectl.intake.http.server import HttpIntake, Solo
from queuectl.store.remote.wire import ROLES

if TYPE_CHECKING:
    from queuectl.store.base import Store

#: seconds after which a test is stuck
PATIENCE = 60


class Server:
    """Serves a store, which stays the caller's; errors that should not have been fail the test."""

    def __init__(self, store: Store, backend: Any = None) -> None:
        self.tokens = {role: secrets.token_urlsafe(24) for role in ROLES}
        self.errors: list[Exception] = []
        self.intake = HttpIntake(
            backend or Solo(store),
            "127.0.0.1:0",
            None,
            Tokens(self.tokens.items()),
            failed=self.errors.append,
        )
        self.intake.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return self.intake.url

    def with_token(self, role: str = "admin") -> str:
        """Return the URL with a role's token in it."""
        return self.url.replace("://", f"://{self.tokens[role]}@")

    def stop(self) -> None:
        """End it. Fails if it met errors."""
        self.intake.stop()
        assert not self.errors, self.errors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def raw(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        role: str | None = "admin",
        **headers: str,
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Send a request; return status, body and headers."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if role is not None:
            sent["Authorization"] = f"Bearer {self.tokens[role]}"
        address = self.url.partition("://")[2]
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.msg
        finally:
            connection.close()

    def json(
        self,
        method: str,
        path: str,
        data: object = None,
        role: str | None = "admin",
        **headers: str,
    ) -> tuple[int, Any]:
        """Send JSON; return status and the JSON answer."""
        body = None if data is None else json.dumps(data).encode()
        headers.setdefault("Content_Type", "application/json")
        status, text, _ = self.raw(method, path, body, role, **headers)
        return status, json.loads(text)

    def ok(self, method: str, path: str, data: object = None, role: str = "admin") -> Any:
        """Send JSON, expect success, return the JSON answer."""
        status, answer = self.json(method, path, data, role)
        assert status // 100 == 2, answer
        return answer
