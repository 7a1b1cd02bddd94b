"""What a handler is given, a Call, and what it gives back: an Answer, a Write or a Refusal."""

from __future__ import annotations

import json
import os

from starlette.responses import Response

from queuectl.commands.context import Context
from queuectl.errors import (
    EXIT_FAILED,
    EXIT_NOT_FOUND,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    UsageError,
    did_you_mean,
)
from queuectl.record import Record
from queuectl.store.remote.wire import allows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from starlette.requests import Request

    from queuectl.intake.http.app import Api
    from queuectl.intake.http.routes import Route
    from queuectl.store.base import Store

    T = TypeVar("T")

JSON = "application/json"
BYTES = "application/octet-stream"
#: the largest number a store keeps
LARGEST = 2**63 - 1
_ON, _OFF = ("1", "true", "on", "yes"), ("0", "false", "off", "no")


class Answer:
    """A status and a JSON document, or bytes that are one already."""

    def __init__(
        self,
        data: object,
        status: int = 200,
        *,
        raw: bytes | None = None,
        media: str = JSON,
        kept: bool = True,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`kept` False: nothing was changed, so a repeat of the request may as well be done anew."""
        self.data = data
        self.status = status
        self.media = media
        self.kept = kept
        self._raw = raw
        self._headers = headers

    def body(self) -> bytes:
        """Return the bytes that are sent."""
        if self._raw is None:
            self._raw = json.dumps(self.data).encode()
        return self._raw

    def response(self) -> Response:
        """Return it as Starlette sends it."""
        return Response(self.body(), self.status, self._headers, self.media)


class Write(Record):
    """A change of the store that is the answer. Run where this process writes, maybe twice."""

    change: Callable[[Store], Answer]


class Refusal(Exception):  # noqa: N818 (named like the other errors)
    """A request that is not done, for a reason that is HTTP's."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers

    def response(self) -> Response:
        """Return the answer."""
        other = EXIT_UNAVAILABLE if self.status >= 500 else EXIT_FAILED
        code = {400: EXIT_USAGE, 404: EXIT_NOT_FOUND}.get(self.status, other)
        data = {"error": str(self), "exit_code": code}
        return Response(json.dumps(data), self.status, self.headers, JSON)


def check_role(role: str, needed: str) -> None:
    """Raise Refusal for a role that is not enough."""
    if not allows(role, needed):
        raise Refusal(403, f"this needs a token with the role {needed}; yours is for {role}")


class Call:
    """One request, as its handler sees it."""

    def __init__(self, api: Api, route: Route, request: Request, role: str) -> None:
        self.api = api
        self.route = route
        self.request = request
        self.role = role
        self.body = b""
        #: a digest of a body that came piece by piece
        self.streamed = b""
        self._given: dict[str, str] = {}
        known = {query.name: query for query in route.query}
        for name, value in request.query_params.multi_items():
            if name not in known:
                hint = did_you_mean(name, known) or (
                    f"; there are {', '.join(known)}" if known else ""
                )
                raise UsageError(f"no parameter {name!r}{hint}")
            if name in self._given:
                raise UsageError(f"{name}: given twice")
            self._given[name] = value

    @property
    def store(self) -> Store:
        """The store, for reading."""
        return self.api.backend.store

    @property
    def submitter(self) -> str:
        """Who asks, as role@address."""
        client = self.request.client
        return f"{self.role}@{client.host if client else 'http'}"

    def context(self) -> Context:
        """Return a session as the commands know it, for one thread."""
        return _Session(self)

    # ---- parameters ---------------------------------------------------------------------------

    def job_id(self) -> int:
        """Return the job the path names. Raises NoSuchJob."""
        text = self.request.path_params["job_id"]
        if text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= LARGEST:
            return int(text)
        from queuectl.errors import NoSuchJob

        found = self.store.id_of_name(text) if _is_plain(text) else None
        if found is None:
            raise NoSuchJob(job=text if text.isprintable() else ascii(text))
        return found

    def part(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])

    def text(self, name: str) -> str | None:
        """Return a parameter as it was given. Raises UsageError for a NUL character."""
        value = self._given.get(name)
        if value is not None and not _is_plain(value):
            raise UsageError(f"{name}: no text: it has a NUL or half a character")
        return value

    def whole(self, name: str, default: int, lowest: int = 0, highest: int = LARGEST) -> int:
        """Return a whole number between two bounds. Raises UsageError."""
        text = self._given.get(name)
        if text is None:
            return default
        digits = text.removeprefix("-")
        good = digits.isascii() and digits.isdecimal() and len(digits) < 20
        if not good or not lowest <= int(text) <= highest:
            raise UsageError(f"{name}: {text!r} is not a whole number from {lowest} to {highest}")
        return int(text)

    def seconds(self, name: str, default: float, most: float) -> float:
        """Return a time in seconds, at most `most`. Raises UsageError."""
        text = self.text(name)
        if text is None:
            return default
        from queuectl.timespec import parse_duration

        return min(parse_duration(text, name) / 1000, most)

    def switch(self, name: str, *, default: bool = False) -> bool:
        """Return a switch. Raises UsageError."""
        text = self._given.get(name)
        if text is None:
            return default
        if text.lower() in _ON:
            return True
        if text.lower() in _OFF:
            return False
        raise UsageError(f"{name}: {text!r} is not true or false")

    # ---- bodies -------------------------------------------------------------------------------

    def json(self) -> Any:
        """Return the JSON document of the body. Raises UsageError."""
        return read_json(self.body)

    def object(self, **types: str) -> dict[str, Any]:
        """Return the body as an object with these fields only, each of its type (see shapes).

        A field whose type allows None need not be there. Raises UsageError naming the field.
        """
        from queuectl.store.remote.shapes import fits

        data = self.json() if self.body.strip() else {}
        if not isinstance(data, dict):
            raise UsageError("the body is not a JSON object")
        for name in data:
            if name not in types:
                hint = did_you_mean(name, types) or f"; there are {', '.join(types)}"
                raise UsageError(f"no field {name!r}{hint}")
        for name, annotation in types.items():
            if not fits(data.get(name), annotation):
                expected = _IN_WORDS.get(annotation.removesuffix(" | None"), annotation)
                raise UsageError(
                    f"{name}: missing" if name not in data else f"{name}: not {expected}"
                )
        return {name: data.get(name) for name in types}


_IN_WORDS = {
    "str": "a text", "int": "a whole number", "bool": "true or false", "float": "a number",
    "Mapping[str, str]": "an object of texts", "Sequence[str]": "a list of texts",
}  # fmt: skip


def read_json(data: bytes) -> Any:
    """Return a JSON document. Raises UsageError for what is none, or has a name twice."""
    from queuectl.commands.jsonjobs import _no_constant, _no_twins

    try:
        return json.loads(data, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise UsageError("bad JSON: it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"bad JSON at character {error.pos + 1}: {error.msg.lower()}") from None
    except (RecursionError, ValueError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        raise UsageError(f"bad JSON: {why}") from None


def _is_plain(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Session(Context):
    """A command's context for one request: it writes where the server writes."""

    def __init__(self, call: Call) -> None:
        super().__init__(lambda: call.store, environ=os.environ)
        self._call = call
        self._submitter = call.submitter

    def write(self, change: Callable[[Store], T]) -> T:
        """Run a change; return after the commit."""
        return self._call.api.backend.call(change)

    def close(self, *, now: bool = False) -> None:
        """Leave the store to the server."""
