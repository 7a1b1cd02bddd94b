"""JSON schemas of what goes in and out over HTTP, by the names that the table of routes uses."""

from __future__ import annotations

from queuectl.job import STATES
from queuectl.settings import BY_NAME, PER_JOB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
#: texts that become arguments and names: no NUL, which no program can be given
_WORD: Schema = {"type": "string", "pattern": "^[^\\u0000\\ud800-\\udfff]*$"}
_WHOLE: Schema = {"type": "integer"}
_YES: Schema = {"type": "boolean"}
_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
_STATE: Schema = {"type": "string", "enum": list(STATES)}
_DURATION: Schema = {
    "oneOf": [{"type": "number", "minimum": 0}, {"type": "string", "examples": ["30s"]}]
}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _object(required: str = "", **properties: Schema) -> Schema:
    """Return an object that always has what is `required`, words; `*` is everything."""
    names = list(properties) if required == "*" else required.split()
    made: Schema = {"type": "object", "properties": properties}
    return {**made, "required": names} if names else made


def _strict(required: str = "", **properties: Schema) -> Schema:
    return {**_object(required, **properties), "additionalProperties": False}


_KINDS: dict[str, Schema] = {
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "duration": _DURATION,
    "size": {"type": ["integer", "string"]},
    "endings": {"type": ["integer", "string"]},
    "switch": _YES,
    "line": _TEXT,
    "choice": _TEXT,
    "path": _TEXT,
}


def _policy() -> dict[str, Schema]:
    return {
        name.replace("-", "_"): {
            **_KINDS.get(BY_NAME[name].kind, _TEXT), "description": BY_NAME[name].help,
        }
        for name in PER_JOB
        if name != "shell"
    }  # fmt: skip


def _new_job() -> Schema:
    from queuectl.commands.jsonjobs import _READERS

    told: dict[str, Schema] = {
        "command": {**_WORD, "description": "the program, or without args a line for the shell"},
        "args": {"type": ["array", "null"], "items": _WORD, "description": "its arguments: then no shell is used"},
        "shell": {"type": ["boolean", "string"], "description": "whether, or which, shell runs it"},
        "queue": _WORD, "name": _WORD, "id": {**_WORD, "description": "taken as the name"},
        "priority": _WHOLE, "cwd": _WORD, "at": _TEXT, "delay": _DURATION,
        "env": {"type": "object", "additionalProperties": _WORD},
        "stdin": _TEXT, "stdin_file": _TEXT, "paused": _YES,
        **_policy(),
    }  # fmt: skip
    return _strict("command", **{name: told.get(name, {}) for name in _READERS})


_JOB = _object(
    "id state queue command",
    id=_WHOLE, name=_or_null(_TEXT), queue=_TEXT, state=_STATE, cancelling=_YES, command=_TEXT,
    args={"type": ["array", "null"], "items": _TEXT}, shell=_YES, priority=_WHOLE,
    attempts=_WHOLE, max_retries=_WHOLE, runs=_WHOLE, paused=_YES, reason=_or_null(_TEXT),
    exit_code=_or_null(_WHOLE), ending=_or_null(_TEXT), signal=_or_null(_WHOLE), created_at=_TIME, due_at=_TIME, next_run_at=_TIME,
    started_at=_TIME, finished_at=_TIME, cwd=_TEXT, submitter=_TEXT,
    policy={"type": "object", "additionalProperties": _TEXT},
)  # fmt: skip

_RATE: Schema = {
    **_strict("starts seconds", starts={"type": "integer", "minimum": 1},
              seconds={"type": "number", "minimum": 0.001}),
    "type": ["object", "null"],
}  # fmt: skip


def schemas() -> dict[str, Schema]:
    """Return every schema by name."""
    changes = {"type": ["string", "number", "boolean", "null"]}
    counts = {"type": "object", "additionalProperties": _WHOLE}
    return {
        "Error": _object("error exit_code", error=_TEXT, exit_code=_WHOLE, kind=_TEXT,
                         facts={"type": "object"}),
        "Anything": {},
        "NewJob": _new_job(),
        "NewJobs": {"oneOf": [_ref("NewJob"), {**_list(_ref("NewJob")), "minItems": 1}]},
        "Ids": _object("ids existing", id=_WHOLE, ids=_list(_WHOLE), existing={
            **_list(_WHOLE), "description": "ids of jobs that were there already (unique)"}),
        "Job": _JOB,
        "JobPage": _object("*", jobs=_list(_ref("Job")), next=_or_null(_WHOLE)),
        "Changed": _object("*", id=_WHOLE, state=_or_null(_TEXT)),
        "Attempts": _object("*", attempts=_list(_object(
            "attempt started_at", attempt=_WHOLE, host=_or_null(_TEXT), started_at=_TIME,
            finished_at=_TIME, kind=_or_null(_TEXT), code=_or_null(_WHOLE), reason=_or_null(_TEXT),
        ))),
        "Waited": _object("*", ended=_YES, job=_ref("Job")),
        "Queue": _object("queue paused limit pull counts", queue=_TEXT, paused=_YES,
                         paused_why=_or_null(_TEXT), limit=_or_null(_WHOLE), rate=_RATE, pull=_YES,
                         counts=counts),
        "Queues": _object("*", queues=_list(_ref("Queue"))),
        "NewQueue": _strict("queue", queue={**_WORD, "minLength": 1, "maxLength": 100},
                            limit={"type": ["integer", "null"], "minimum": 1}, rate=_RATE,
                            pull={"type": ["boolean", "null"]}),
        "Messages": _list(_WORD),
        "Settings": _object("*", settings={"type": "object", "additionalProperties": _object(
            "*", value=_TEXT, source=_TEXT, help=_TEXT)}),
        "NewSettings": {"type": "object", "additionalProperties": changes},
        "Hosts": _object("*", hosts=_list(_object("id workers", id=_TEXT, workers=_WHOLE))),
        "Status": _object("*", version=_TEXT, now=_TIME, counts=counts, workers=_WHOLE, hosts=_WHOLE,
                          running=_list(_ref("Job")), waiting=_list(_ref("Job")),
                          finished=_list(_ref("Job"))),
        "ClaimRequest": _strict(
            "queue", queue=_WORD, want={"type": ["integer", "null"], "minimum": 1, "maximum": 100},
            wait={"type": ["number", "null"], "minimum": 0, "maximum": 3600,
                  "description": "seconds to wait for a job"},
            lease={"type": ["number", "null"], "minimum": 1, "maximum": 3600,
                   "description": "seconds until it must be renewed; 60 if not given"}),
        "Claims": _object("*", claims=_list(_object(
            "token job_id attempt queue lease", token=_TEXT, job_id=_WHOLE, attempt=_WHOLE,
            queue=_TEXT, name=_or_null(_TEXT), message=_or_null(_TEXT), command=_TEXT,
            args={"type": ["array", "null"], "items": _TEXT},
            payload={"type": ["string", "null"], "contentEncoding": "base64"},
            payload_url=_or_null(_TEXT), attempts_left=_WHOLE, lease={"type": "number"},
        ))),
        "Renewed": _object("*", cancel_requested=_YES, now=_TIME),
        "Released": _object("*", released=_YES),
        "Settled": _object("*", job_id=_WHOLE, state=_STATE, next_run_at=_TIME),
        "Health": _object("*", ok=_YES, version=_TEXT, milliseconds=_WHOLE),
        "Change": _object("*", since=_TEXT),
        "StoreCall": _strict(args={"type": "array"}, named={"type": "object"}),
        "StoreAnswer": _object(),
    }  # fmt: skip
