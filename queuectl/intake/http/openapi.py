"""The OpenAPI description, made of the table of routes, so that it cannot say anything else."""

from __future__ import annotations

from functools import cache

from queuectl import __version__
from queuectl.intake.http.call import BYTES, JSON, Answer
from queuectl.intake.http.repeat import KEY
from queuectl.intake.http.routes import ROUTES
from queuectl.intake.http.schemas import schemas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from queuectl.intake.http.call import Call
    from queuectl.intake.http.routes import Query, Route

#: answers and bodies that are no JSON, by the name in the table
_MEDIA = {"Bytes": BYTES, "Text": "text/plain", "Html": "text/html", "Result": BYTES}
_TYPES = {"duration": "string"}
_PARTS = {
    "job_id": "id or name of a job", "queue": "name of a queue", "token": "token of a claim",
    "name": "a method",
}  # fmt: skip
_FAULTS = {
    "400": "it cannot be understood", "401": "no token, or an unknown one",
    "403": "the token is not good for this", "404": "there is no such thing",
    "408": "the request came too slowly", "409": "it cannot be done now",
    "413": "the body is too long", "415": "a body of this type is not taken",
    "422": "the request key was used for another request", "426": "another version is spoken",
    "500": "a fault of the server's: its log says more",
    "503": "the store cannot be used at the moment", "507": "no space is left",
}  # fmt: skip


def describe(call: Call) -> Answer:  # noqa: ARG001
    """GET /openapi.json."""
    return Answer(document())


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 description."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "queuectl",
            "version": __version__,
            "description": "A job queue for shell commands. Send `Authorization: Bearer TOKEN`."
            ' Failures are `{"error", "exit_code"}`.',
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    module, _, function = route.run.partition(":")
    operation: dict[str, Any] = {
        "operationId": f"{module}_{function}",
        "summary": route.summary,
        "tags": [module],
        "responses": _responses(route),
        "security": [] if route.role is None else [{"token": []}],
    }
    text = route.description
    if route.role is not None:
        text = f"{text} Role: {route.role}.".strip()
    if text:
        operation["description"] = text
    parameters = [*_path_parameters(route), *(_parameter(query) for query in route.query)]
    if route.method != "GET" and route.role is not None:
        parameters.append({
            "name": KEY, "in": "header", "description": "a UUID: a repeat is given the first answer",
            "schema": {"type": "string", "format": "uuid"},
        })  # fmt: skip
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "content": _body(route.body),
            "required": route.body != "Result",
        }
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "description": _PARTS[name],
         "schema": {"type": "string"}}
        for name in names
    ]  # fmt: skip


def _parameter(query: Query) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _TYPES.get(query.type, query.type)}
    if query.type == "duration":
        schema["examples"] = ["30s"]
    if query.choices:
        schema["enum"] = list(query.choices)
    return {"name": query.name, "in": "query", "description": query.help, "schema": schema}


def _body(name: str) -> dict[str, Any]:
    if name == "Messages":
        plain = {"schema": {"type": "string"}}
        return {JSON: _reference(name), "text/plain": plain, BYTES: plain}
    if name in _MEDIA:
        return {_MEDIA[name]: {"schema": {"type": "string", "format": "binary"}}}
    return {JSON: _reference(name)}


def _reference(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _responses(route: Route) -> dict[str, Any]:
    if route.answer in _MEDIA:
        media = _MEDIA[route.answer]
        content = {media: {"schema": {"type": "string"}}}
    else:
        content = {JSON: _reference(route.answer)}
    responses: dict[str, Any] = {str(route.status): {"description": "done", "content": content}}
    for status, why in _FAULTS.items():
        responses[status] = {"description": why, "content": {JSON: _reference("Error")}}
    return responses
