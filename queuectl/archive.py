"""Jobs with all their history as lines of JSON: what `export` writes and `import` reads. Pure.

One document a line. The first says what it is; then queues, settings and schedules, so that what
follows finds them; then the jobs by id. Texts that are not UTF-8 keep their bytes as lone
surrogates (PEP 383), which JSON escapes; bytes are base64 (RFC 4648).
"""

from __future__ import annotations

import base64
import json

from queuectl.errors import UsageError
from queuectl.job import STATES, Attempt, Job, Output
from queuectl.store.base import Dependency, QueueInfo, Rate, Saved, Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: the form of the lines; a reader knows this one and older ones
FORMAT = 1
#: kinds of lines
HEAD, QUEUE, SETTINGS, SCHEDULE, JOB = "queuectl", "queue", "settings", "schedule", "job"
#: what a job leaves behind when it goes: a claim is a promise of the old store; its attempts tell the rest
_LEFT_BEHIND = ("host", "token", "ending", "signal")
_QUEUE_FIELDS = ("name", "paused", "limit", "pull", "paused_why", "deaths")


def head(version: str, store: str, now: int) -> str:
    """Return the first line: the format, and where and when it was written."""
    return _line(HEAD, {"format": FORMAT, "version": version, "store": store, "at": now})


def queue_line(queue: QueueInfo, settings: Mapping[str, str]) -> str:
    """Return a queue with its settings; what is in it follows as jobs."""
    fields = {name: getattr(queue, name) for name in _QUEUE_FIELDS}
    fields["rate"] = None if queue.rate is None else list(queue.rate)
    return _line(QUEUE, {**fields, "settings": dict(settings)})


def settings_line(settings: Mapping[str, str]) -> str:
    """Return the settings made for the whole store."""
    return _line(SETTINGS, dict(settings))


def schedule_line(schedule: Schedule) -> str:
    """Return a schedule."""
    fields = schedule._asdict()
    fields["job"] = _pack(schedule.job)
    return _line(SCHEDULE, fields)


def job_line(saved: Saved) -> str:
    """Return a job with its attempts, what they wrote, its dependencies and its standard input."""
    job = {name: _plain(value) for name, value in saved.job._asdict().items()}
    for name in _LEFT_BEHIND:
        del job[name]
    return _line(JOB, {
        **job,
        "history": [attempt._asdict() for attempt in saved.attempts],
        "outputs": [{"run": run, **_output(output)} for run, output in saved.outputs],
        "waits_for": [dependency._asdict() for dependency in saved.after],
        "stdin": None if saved.stdin is None else _pack(saved.stdin),
        "stdin_path": saved.stdin_path,
    })  # fmt: skip


def read_line(text: str, number: int) -> tuple[str, Any]:
    """Return what a line is and holds: (kind, fields or record).

    A HEAD gives its fields, a QUEUE (QueueInfo, settings), SETTINGS a mapping, a SCHEDULE a
    Schedule, a JOB a Saved. Raises UsageError, naming the line, for what is no line of an export.
    """
    try:
        document = json.loads(text)
        ((kind, fields),) = document.items()
        return kind, _READERS[kind](fields)
    except UsageError as error:
        raise UsageError(f"line {number}: {error}") from None
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        raise UsageError(f"line {number} is no line of a queuectl export") from None


def _read_head(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(fields["format"], int) or fields["format"] > FORMAT:
        raise UsageError(
            f"written by a newer queuectl (format {fields['format']}, this one knows {FORMAT}):"
            " upgrade queuectl"
        )
    return fields


def _read_queue(fields: Mapping[str, Any]) -> tuple[QueueInfo, dict[str, str]]:
    _check(fields, {"name": str, "paused": bool, "pull": bool, "deaths": int})
    rate = None if fields["rate"] is None else Rate(*map(int, fields["rate"]))
    plain = {name: fields[name] for name in _QUEUE_FIELDS}
    return QueueInfo(**plain, counts={}, rate=rate), _texts(fields["settings"])


def _read_schedule(fields: Mapping[str, Any]) -> Schedule:
    _check(fields, {"name": str, "spec": str, "zone": str, "overlap": str, "missed": str})
    return Schedule(**{**fields, "job": _unpack(fields["job"])})


def _read_job(fields: Mapping[str, Any]) -> Saved:
    given = dict(fields)
    _check(given, {"id": int, "queue": str, "state": str, "command": str, "cwd": str,
                   "priority": int, "max_retries": int, "created_at": int, "due_at": int})  # fmt: skip
    if given["state"] not in STATES:
        raise UsageError(f"{given['state']!r} is no state of a job")
    history = [Attempt(**attempt) for attempt in given.pop("history")]
    outputs = [_read_output(output) for output in given.pop("outputs")]
    after = [Dependency(**dependency) for dependency in given.pop("waits_for")]
    stdin, path = given.pop("stdin"), given.pop("stdin_path")
    args = given.pop("args")
    job = Job(
        **{**given, "policy": _texts(given["policy"]), "env": _texts(given["env"])},
        args=None if args is None else tuple(map(_text, args)),
        host=None,
        token=None,
    )
    data = None if stdin is None else _unpack(stdin)
    return Saved(job, tuple(history), tuple(outputs), tuple(after), data, path)


def _output(output: Output) -> dict[str, object]:
    fields = output._asdict()
    del fields["path"]
    return {**fields, "data": _pack(output.data), "marks": _pack(output.marks)}


def _read_output(fields: Mapping[str, Any]) -> tuple[int, Output]:
    given = dict(fields)
    run = given.pop("run")
    _check({"run": run}, {"run": int})
    data, marks = _unpack(given.pop("data")), _unpack(given.pop("marks"))
    return run, Output(data, marks, **given)


def _check(fields: Mapping[str, Any], types: Mapping[str, type]) -> None:
    """Raise UsageError for the first field that is not of its type; KeyError when it is missing."""
    for name, kind in types.items():
        value = fields[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise UsageError(f"{name}: {value!r} is not {_NAMES[kind]}")


_NAMES = {str: "a text", int: "a whole number", bool: "true or false"}


def _texts(fields: object) -> dict[str, str]:
    if not isinstance(fields, dict):
        raise TypeError
    return {name: _text(value) for name, value in fields.items()}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _plain(value: object) -> object:
    """Return a field's value in a form that JSON has."""
    from collections.abc import Mapping

    return dict(value) if isinstance(value, Mapping) else value


def _pack(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unpack(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _line(kind: str, fields: object) -> str:
    return json.dumps({kind: fields}, separators=(",", ":")) + "\n"


_READERS = {
    HEAD: _read_head,
    QUEUE: _read_queue,
    SETTINGS: _texts,
    SCHEDULE: _read_schedule,
    JOB: _read_job,
}
