"""The HTTP API as an application: roles, limits, errors and repeats around the table of routes.

Whatever a client sends, it gets JSON with a fitting status: {"error", "exit_code"} for a failure.
Handlers run in threads, so that a slow store holds up nobody's connection; bodies are read and
waits are waited on the event loop, so that a slow client holds no thread.
"""

from __future__ import annotations

import json
from functools import partial

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Path

from queuectl.errors import (
    EXIT_FAILED,
    EXIT_NOT_FOUND,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    QueuectlError,
    UsageError,
)
from queuectl.intake.http.call import Answer, Call, Refusal, Write, check_role
from queuectl.intake.http.repeat import KEY, Repeats, check_key
from queuectl.intake.http.watch import Watch
from queuectl.store.remote.wire import ADMIN, ROLES, error_data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from queuectl.intake.http.auth import Tokens
    from queuectl.intake.http.routes import Route
    from queuectl.intake.http.server import Backend

#: threads for reading, for writes that wait for a commit, and for files
_READERS, _WRITERS, _FILES = 16, 64, 16
#: seconds within which each piece of a body must come
_PATIENCE = 30.0

_STATUS = {EXIT_USAGE: 400, EXIT_NOT_FOUND: 404, EXIT_FAILED: 409, EXIT_UNAVAILABLE: 503}


class Api:
    """What all requests share."""

    def __init__(
        self,
        backend: Backend,
        tokens: Tokens | None,
        anonymous: str,
        failed: Callable[[Exception], None],
    ) -> None:
        self.backend = backend
        self.tokens = tokens
        self.anonymous = anonymous
        self.failed = failed
        # a counter in a file's shared memory; over a network it takes a round trip
        self.watch = Watch(
            # in tests it is now one store, now another
            lambda: (backend.store, backend.store.version()),
            quick=backend.store.lease is None,
        )
        self.repeats = Repeats(backend)
        self.readers = anyio.CapacityLimiter(_READERS)
        self.writers = anyio.CapacityLimiter(_WRITERS)
        self.files = anyio.CapacityLimiter(_FILES)

    def closing(self) -> None:
        """End what waits for something to happen. Any thread."""
        self.watch.close()

    # ---- one request --------------------------------------------------------------------------

    async def serve(self, route: Route, request: Request) -> Response:
        """Answer a request. Raises nothing but what ends a connection."""
        try:
            role = self._admit(route, request)
            call = Call(self, route, request, role)
            if route.body is not None and not route.streams_in:
                call.body = await read_body(request, route.most)
            answer = await self._run(route, call)
        except ClientDisconnect:
            return Response(status_code=499)
        except Refusal as refusal:
            return refusal.response()
        except QueuectlError as error:
            return error_response(error)
        except Exception as error:  # noqa: BLE001 (a client is never shown a traceback)
            self.failed(error)
            return problem(
                500, f"internal error: {type(error).__name__}; the server's log says more"
            )
        return answer if isinstance(answer, Response) else answer.response()

    def _admit(self, route: Route, request: Request) -> str:
        """Return the role of who asks. Raises Refusal."""
        if route.role is None:
            return ROLES[0]
        role = self.anonymous
        if self.tokens is not None:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            known = self.tokens.role_of(token.strip()) if scheme.lower() == "bearer" else None
            if known is None:
                what = "a token is needed" if not scheme else "no such token"
                headers = {"WWW-Authenticate": 'Bearer realm="queuectl"'}
                raise Refusal(401, f"{what}: Authorization: Bearer TOKEN", headers)
            role = known
        check_role(role, route.role)
        return role

    async def _run(self, route: Route, call: Call) -> Answer | Response:
        if route.waits:
            waiting: Callable[[Call], Awaitable[Answer | Response]] = route.load()
            return await waiting(call)
        handler = partial(route.load(), call)
        if route.method == "GET":
            found: Answer = await self.in_thread(handler)
            return found
        done: Answer = await self.written(call, await self.in_thread(handler))
        return done

    async def in_thread(self, act: Callable[[], Any]) -> Any:
        """Run something that reads the store."""
        return await to_thread.run_sync(act, limiter=self.readers)

    async def write(self, change: Callable[..., Any]) -> Any:
        """Run a change of the store; return after the commit."""
        done = await to_thread.run_sync(partial(self.backend.call, change), limiter=self.writers)
        self.watch.look_now()
        return done

    async def written(self, call: Call, answer: Any) -> Any:
        """Do what a handler wants to be written, once for each request key."""
        if not isinstance(answer, Write):
            return answer
        key = check_key(call.request.headers.get(KEY))
        if key is None:
            return await self.write(answer.change)
        return await self.write(self.repeats.once(call, key, answer.change))


async def read_body(request: Request, most: int) -> bytes:
    """Return a body of at most so many bytes. Raises Refusal for a longer or slower one."""
    return b"".join([part async for part in body_parts(request, most)])


async def body_parts(request: Request, most: int) -> Any:
    """Yield a body as it comes. Raises Refusal when it is too long, or nothing comes for long."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > most:
        raise Refusal(413, f"the body is longer than {most} bytes")
    size = 0
    pieces = request.stream()
    while True:
        try:
            with anyio.fail_after(_PATIENCE):
                part = await anext(pieces, None)
        except TimeoutError:
            raise Refusal(408, f"nothing came for {_PATIENCE:g} s") from None
        if part is None:
            return
        size += len(part)
        if size > most:
            raise Refusal(413, f"the body is longer than {most} bytes")
        yield part


def error_response(error: QueuectlError) -> Response:
    """Return the answer for an error of ours."""
    if error.facts.get("status"):
        status = int(str(error.facts["status"]))
    else:
        status = _STATUS.get(error.exit_status, 409)
    data = error_data(error)
    headers = {"Retry-After": "1"} if status == 503 else None
    return Response(json.dumps(data), status, headers, "application/json")


def problem(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return the answer for what is no error of the store's."""
    return Refusal(status, text, headers).response()


async def _http_error(_: Request, error: Exception) -> Response:
    """Say in JSON what Starlette says in text: no such path, no such method."""
    if not isinstance(error, HTTPException):
        return problem(500, "internal error")
    text = {404: "no such path; see /openapi.json", 405: "no such method here; see /openapi.json"}
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, text.get(error.status_code, str(error.detail)), headers)


def make_app(
    backend: Backend,
    tokens: Tokens | None,
    *,
    anonymous: str = ADMIN,
    failed: Callable[[Exception], None] = lambda _: None,
) -> Starlette:
    """Return the application over a way to read and write. Without tokens all have one role."""
    from queuectl.intake.http.routes import ROUTES

    api = Api(backend, tokens, anonymous, failed)
    if anonymous not in ROLES:
        raise UsageError(f"{anonymous!r} is not a role ({', '.join(ROLES)})")
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    paths = [
        Path(path, _endpoint(api, routes), methods=list(routes)) for path, routes in by_path.items()
    ]
    app = Starlette(
        routes=paths,
        exception_handlers={HTTPException: _http_error, Exception: _http_error},
    )
    app.router.redirect_slashes = False
    app.state.api = api
    return app


def _endpoint(api: Api, routes: dict[str, Route]) -> Any:
    async def endpoint(request: Request) -> Response:
        route = routes.get(request.method) or routes["GET"]
        return await api.serve(route, request)

    return endpoint
