"""Whatever a client sends, the service answers in JSON, lives on, and loses no job."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queuectl.intake.http.routes import ROUTES, Route
from queuectl.job import NewJob
from queuectl.store import open_store
from queuectl.store.remote.wire import METHODS
from tests.support.http_server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

#: seconds that the description is tried out for, about
BOUND = 45.0

TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        "default",
        "pull",
        "1",
        "2",
        "-1",
        "0",
        "9" * 30,
        "\0",
        "\ud800",
        "a/b",
        "%",
        "..",
        "true",
        "1.1.x",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            TEXTS | st.sampled_from(["command", "args", "named", "queue", "!r", "!b", "!t", "!m", "wait",
                                     "want", "env", "timeout", "policy", "lease", "limit", "rate"]),
            inner, max_size=4,
        )
    ),
    max_leaves=10,
)  # fmt: skip
BODIES = st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode())
TYPES = st.sampled_from(
    ["application/json", "text/plain", "application/octet-stream", "x", "a/b; c=\xe9"]
)
#: those that only wait, and the ones that would end what the test needs
QUICK = [route for route in ROUTES if route.path not in ("/store/changes",)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a job that must outlive everything, and a pull queue."""
    store = open_store("memory:")
    store.create_queue("pull", pull=True)
    store.add([NewJob("the one to keep", name="keeper", paused=True)])
    with Server(store) as made:
        yield made
        keeper = [job for job in store.jobs(_everything()) if job.command == "the one to keep"]
        assert keeper
    store.close()


def _everything() -> Any:
    from queuectl.store.base import Filter

    return Filter()


def alive(server: Server) -> None:
    """The service answers, and has met no error of its own."""
    status, answer = server.json("GET", "/healthz", role=None)
    assert (status, answer["ok"]) == (200, True)
    assert not server.errors, server.errors


def send(  # noqa: PLR0917 - parameters of the test
    server: Server, route: Route, parts: list[str], query: str, body: bytes, kind: str
) -> tuple[int, bytes]:
    path = route.path
    for name in ("job_id", "queue", "token", "name"):
        if f"{{{name}}}" in path:
            path = path.replace(
                f"{{{name}}}", quote(parts.pop().encode("utf-8", "replace"), safe="")
            )
    role = "work" if route.role else None
    status, answer, _ = server.raw(
        route.method,
        path + query,
        body or None,
        role,
        Content_Type=kind.encode("latin-1").decode("latin-1"),
    )
    return status, answer


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(QUICK),
    st.lists(TEXTS.filter(bool), min_size=1, max_size=1),
    st.sampled_from(["", "?x=1", "?limit=5", "?state=dead&state=dead", "?timeout=0.01", "?queue=%00",
                     "?exit_code=900", "?follow=x", "?attempt=-1", "?since=%ff", "?%ff=%ff", "?&&=&"]),
    BODIES,
    TYPES,
)  # fmt: skip
def test_no_request_breaks_it(  # noqa: PLR0917 - parameters of the test
    server: Server, route: Route, parts: list[str], query: str, body: bytes, kind: str
) -> None:
    """A status below 500, a JSON document for every failure."""
    if "wait" in route.path and "timeout" not in query:
        query = "?timeout=0.01"
    if route.path == "/claims" and b"wait" in body:
        body = body.replace(b"wait", b"want")
    if "output" in route.path:
        query = query.replace("follow=x", "follow=0")
    status, answer = send(server, route, list(parts), query, body, kind)
    assert status < 500, (status, answer)
    if status >= 400:
        told = json.loads(answer)
        assert told["error"]
        assert "\n" not in told["error"]
        assert b"Traceback" not in answer
    alive(server)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(METHODS)), JSON | st.dictionaries(TEXTS, JSON))
def test_no_call_of_the_stores_methods_breaks_it(server: Server, name: str, args: Any) -> None:
    """Arguments that are none of the contract's are refused, by whoever may do all."""
    if name in ("remove", "restore", "prune"):
        return
    for body in ({"args": args}, {"args": [args]}, {"named": args}, args):
        status, answer, _ = server.raw("POST", f"/store/{name}", json.dumps(body).encode())
        assert status < 500, (name, body, answer)
        assert b"Traceback" not in answer
    assert not server.errors, server.errors


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_that_are_no_http_break_nothing(server: Server, data: bytes) -> None:
    """The next client is served."""
    host, _, port = server.url.rpartition("/")[2].partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        try:
            while raw.recv(4096):
                pass
        except OSError:
            pass
    alive(server)


def test_half_requests_and_broken_bodies(server: Server) -> None:
    """A client that goes in the middle changes nothing."""
    before = sum(server.ok("GET", "/status")["counts"].values())
    host, _, port = server.url.rpartition("/")[2].partition(":")
    token = server.tokens["work"].encode()
    head = b"POST /jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n"
    for rest in (
        b'Content-Length: 50\r\n\r\n{"command"', b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"com',
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"Content-Length: -5\r\n\r\n", b"X" * 50_000,
    ):  # fmt: skip
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(head + rest)
    alive(server)
    assert sum(server.ok("GET", "/status")["counts"].values()) == before


def test_a_huge_body_is_refused(server: Server) -> None:
    """However long it says it is, and however long it is."""
    address = server.url.partition("://")[2]
    for headers, body in (
        ({"Content-Length": str(10**12)}, b""),
        ({"Transfer-Encoding": "chunked"}, None),
    ):
        connection = http.client.HTTPConnection(address, timeout=30)
        connection.putrequest("POST", "/claims")
        connection.putheader("Authorization", f"Bearer {server.tokens['work']}")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        if body is None:
            try:
                for _ in range(200):
                    connection.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            except OSError:
                pass
        try:
            assert connection.getresponse().status == 413
        except (OSError, http.client.HTTPException):
            # it has hung up on us, which is as good
            pass
        connection.close()
    alive(server)


@pytest.mark.timeout(180)
def test_it_does_what_its_description_says(server: Server) -> None:
    """Schemathesis makes requests of the description and compares the answers with it."""
    import schemathesis
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    document = server.ok("GET", "/openapi.json")
    schema = schemathesis.openapi.from_dict(document)
    token = {"Authorization": f"Bearer {server.tokens['admin']}"}
    checks = [
        schemathesis.checks.not_a_server_error, status_code_conformance, content_type_conformance,
        response_schema_conformance,
    ]  # fmt: skip
    began = time.monotonic()
    tried = 0
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        if operation.path in ("/store/{name}", "/store/changes") or operation.method == "delete":
            continue

        @settings(max_examples=15, deadline=None)
        @given(operation.as_strategy())
        def check(case: Any) -> None:
            if time.monotonic() - began > BOUND:
                return
            _be_brief(case)
            answer = case.call(base_url=server.url, headers=token, timeout=30)
            case.validate_response(answer, checks=checks)

        check()
        tried += 1
    assert tried > 20
    alive(server)


def _be_brief(case: Any) -> None:
    """Nothing is waited for."""
    if "timeout" in (case.query or {}) or case.path.endswith("/wait"):
        case.query = {**(case.query or {}), "timeout": "0.01"}
    if "follow" in (case.query or {}):
        case.query = {name: value for name, value in case.query.items() if name != "follow"}
    if case.path == "/claims" and isinstance(case.body, dict):
        case.body.pop("wait", None)
