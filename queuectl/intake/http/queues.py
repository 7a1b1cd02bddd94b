"""Queues, their messages, settings, hosts and the state of things over HTTP."""

from __future__ import annotations

from queuectl import __version__
from queuectl.commands.views import job_data
from queuectl.demands import PULLED
from queuectl.errors import NoSuchQueue, Refused, UsageError, did_you_mean
from queuectl.intake.http.call import Answer, Refusal, Write, read_json
from queuectl.intake.http.jobs import MOST_JOBS, added
from queuectl.job import PENDING, PROCESSING, NewJob
from queuectl.settings import BY_NAME, SETTINGS, canonical, find
from queuectl.store.base import Filter, Rate
from queuectl.store.remote.wire import SUBMIT
from queuectl.timespec import iso_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from queuectl.intake.http.call import Call
    from queuectl.store.base import QueueInfo, Store

#: running jobs that `status` names
_SHOWN = 50


# ---- queues -------------------------------------------------------------------------------------


def queue_data(queue: QueueInfo) -> dict[str, object]:
    """Return a queue as the API shows it."""
    rate = queue.rate
    return {
        "queue": queue.name,
        "paused": queue.paused,
        "paused_why": queue.paused_why,
        "limit": queue.limit,
        "rate": None if rate is None else {"starts": rate.starts, "seconds": rate.period / 1000},
        "pull": queue.pull,
        "counts": {str(state): jobs for state, jobs in queue.counts.items()},
    }


def list_queues(call: Call) -> Answer:
    """GET /queues."""
    return Answer({"queues": [queue_data(queue) for queue in call.store.queues()]})


def create(call: Call) -> Write:
    """POST /queues."""
    given = call.object(
        queue="str", limit="int | None", pull="bool | None", rate="Mapping[str, float] | None"
    )
    name, limit = given["queue"], given["limit"]
    _check_name(name)
    if limit is not None and not 1 <= limit < 2**31:
        raise UsageError("limit: not a whole number from 1 up")
    rate = _rate(given["rate"])
    pull = bool(given["pull"])

    def change(store: Store) -> Answer:
        if not store.create_queue(name, limit=limit, rate=rate, pull=pull):
            raise Refused(f"there is a queue {name} already")
        made = next(queue for queue in store.queues() if queue.name == name)
        return Answer(queue_data(made), 201)

    return Write(change)


def _check_name(name: str) -> None:
    if (
        not name.isprintable() or not 0 < len(name) <= 100
        or name.startswith(("-", "{")) or any(char in " ,'\"/" for char in name)
    ):  # fmt: skip
        raise UsageError(
            f"queue: {name!r} is no name: no blank, comma, slash, quote or leading hyphen"
        )


def _rate(given: Mapping[str, float] | None) -> Rate | None:
    if given is None:
        return None
    starts, seconds = given.get("starts"), given.get("seconds")
    whole = isinstance(starts, int) and 1 <= starts < 2**31
    if set(given) != {"starts", "seconds"} or not whole or not 0.001 <= (seconds or 0) <= 1e9:
        raise UsageError('rate: not {"starts": N, "seconds": S}, both above 0')
    return Rate(int(starts or 1), round((seconds or 1) * 1000))


# ---- messages -----------------------------------------------------------------------------------


def submit(call: Call) -> Write:
    """POST /queues/{queue}/messages."""
    name = call.part("queue")
    queue = _queue(call, name)
    settings = call.store.settings(name)
    if call.role == SUBMIT and settings.get("accept-messages") != "on":
        raise Refusal(
            403, f"queue {name} takes no messages from the network: its accept-messages is off"
        )
    maker = _maker(call, queue, settings)
    kind = call.request.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    if kind == "application/octet-stream":
        if not queue.pull:
            raise UsageError("a payload is for a pull queue; a message for others is a text")
        jobs = [maker("")._replace(message=None, stdin=call.body)]
    else:
        jobs = [maker(message) for message in _messages(kind, call.body)]
    if not jobs:
        raise UsageError("there is no message")
    if len(jobs) > MOST_JOBS:
        raise UsageError(f"more than {MOST_JOBS} messages in one request")
    return Write(lambda store: added(store, jobs))


def _queue(call: Call, name: str) -> QueueInfo:
    queues = {queue.name: queue for queue in call.store.queues()}
    if name not in queues:
        raise NoSuchQueue(queue=name, hint=did_you_mean(name, queues))
    return queues[name]


def _maker(call: Call, queue: QueueInfo, settings: Mapping[str, str]) -> Callable[[str], NewJob]:
    from queuectl.commands.drafts import captured
    from queuectl.template import template_of

    context = call.context()
    like = NewJob(
        PULLED, queue=queue.name, cwd=context.cwd, env=captured(context), submitter=call.submitter
    )
    template = template_of(settings)
    if template is not None:
        return template.maker(like)
    if queue.pull:
        return lambda message: like._replace(message=_checked(message))
    raise Refused(
        f"queue {queue.name} has no command for messages: queue set {queue.name} command '…'"
    )


def _checked(message: str) -> str:
    if "\0" in message:
        raise UsageError("a message has a NUL character: send it as application/octet-stream")
    return message


def _messages(kind: str, body: bytes) -> list[str]:
    """Return the messages of a body. Raises UsageError, Refusal."""
    if kind == "application/json":
        given = read_json(body)
        if isinstance(given, str):
            given = [given]
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise UsageError("the body is not a list of texts")
        # as everywhere: bytes that are not UTF-8 stay as they are, half a character is no text
        for one in given:
            try:
                one.encode()
            except UnicodeEncodeError:
                raise UsageError(f"{one[:40]!a} is no text: half a character") from None
        return given
    if kind == "text/plain":
        import os

        return [os.fsdecode(line) for line in body.removesuffix(b"\n").split(b"\n")] if body else []
    raise Refusal(415, f"Content-Type is {kind[:60]!a}: give text/plain (a message a line),"
                  " application/json (a list of texts) or application/octet-stream (one payload)")  # fmt: skip


# ---- settings -----------------------------------------------------------------------------------


def settings(call: Call) -> Answer:
    """GET /settings."""
    return Answer(_settings(call.store, call.text("queue")))


def _settings(store: Store, queue: str | None) -> dict[str, object]:
    made: list[tuple[str, Mapping[str, str]]] = [
        ("env", store.local_settings),
        ("store", store.settings()),
    ]
    if queue is not None:
        known = [one.name for one in store.queues()]
        if queue not in known:
            raise NoSuchQueue(queue=queue, hint=did_you_mean(queue, known))
        made.append(("queue", store.settings(queue)))
    shown: dict[str, object] = {}
    for setting in SETTINGS:
        if setting.per_queue and queue is None:
            continue
        value, source = setting.default, "default"
        for where, values in made:
            if setting.name in values:
                value, source = values[setting.name], where
        shown[setting.name] = {"value": value, "source": source, "help": setting.help}
    return {"settings": shown}


def change_settings(call: Call) -> Write:
    """PUT /settings."""
    queue = call.text("queue")
    given = call.json()
    if not isinstance(given, dict):
        raise UsageError("the body is not a JSON object")
    changes = [_setting(name, value, queue) for name, value in given.items()]

    def change(store: Store) -> Answer:
        if queue is not None and queue not in {one.name for one in store.queues()}:
            raise NoSuchQueue(queue=queue, hint="")
        for name, text in changes:
            store.set(name, text, queue)
        return Answer(_settings(store, queue))

    return Write(change)


def _setting(name: str, value: Any, queue: str | None) -> tuple[str, str | None]:
    """Return a setting's name and canonical text. Raises UsageError."""
    setting = find(name)
    if setting.per_queue and queue is None:
        raise UsageError(f"{setting.name}: is a queue's: ?queue=NAME")
    if queue is not None and not (setting.per_job or setting.per_queue):
        raise UsageError(f"{setting.name}: is the whole store's, not a queue's")
    if value is None:
        return setting.name, None
    if isinstance(value, bool):
        text = "on" if value else "off"
    elif isinstance(value, (int, float)):
        text = repr(value)
    elif isinstance(value, str) and "\0" not in value and value.isprintable():
        text = value
    else:
        raise UsageError(f"{setting.name}: not a text, number, true, false or null")
    return setting.name, canonical(BY_NAME[setting.name], text)


# ---- looking ------------------------------------------------------------------------------------


def hosts(call: Call) -> Answer:
    """GET /hosts."""
    return Answer({"hosts": [
        {
            "id": host.id, "hostname": host.hostname, "user": host.user, "pid": host.pid,
            "version": host.version, "workers": host.workers, "queues": list(host.queues),
            "resources": dict(host.resources), "started_at": iso_time(host.started_at),
            "seen_at": iso_time(host.seen_at), "stopping": host.stop_requested,
        }
        for host in call.store.hosts()
    ]})  # fmt: skip


def status(call: Call) -> Answer:
    """GET /status."""
    store = call.store
    running = list(store.jobs(Filter((PROCESSING,)), limit=_SHOWN))
    waiting = list(store.jobs(Filter((PENDING,)), limit=_SHOWN))
    everybody = store.hosts()
    return Answer({
        "version": __version__,
        "now": iso_time(store.now()),
        "counts": {str(state): jobs for state, jobs in store.counts().items()},
        "workers": sum(host.workers for host in everybody),
        "hosts": len(everybody),
        "running": [job_data(job) for job in running],
        "waiting": [job_data(job) for job in waiting],
        "finished": [job_data(job) for job in store.finished(_SHOWN)],
    })  # fmt: skip
