"""Jobs over HTTP: enqueue, list, show, change, wait."""

from __future__ import annotations

import time

from queuectl.commands.views import attempt_data, job_data
from queuectl.endings import sort_endings
from queuectl.errors import NoSuchJob, Refused, UsageError, did_you_mean
from queuectl.intake.http.call import Answer, Write
from queuectl.job import OTHER_WORDS, STATES
from queuectl.store.base import Existing, Filter
from queuectl.store.records import beyond

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from queuectl.intake.http.call import Call
    from queuectl.job import Job, NewJob, State
    from queuectl.store.base import Changed, Store

#: jobs in one request, on one page, and on a page when nothing is said
MOST_JOBS, _MOST_PAGE, _PAGE = 10_000, 1000, 100
#: seconds that one request waits at the most, and when nothing is said
MOST_WAIT, WAIT = 3600.0, 60.0


def enqueue(call: Call) -> Write:
    """POST /jobs."""
    data = call.json()
    many = isinstance(data, list)
    items: list[Any] = data if many else [data]
    if not items:
        raise UsageError("the list is empty")
    if len(items) > MOST_JOBS:
        raise UsageError(f"more than {MOST_JOBS} jobs in one request")
    jobs = _drafts(call, items, many=many)
    return Write(lambda store: added(store, jobs, many=many))


def _drafts(call: Call, items: list[Any], *, many: bool) -> list[NewJob]:
    """Return the jobs of JSON objects, as `enqueue` makes them. Raises UsageError naming which."""
    from queuectl.commands import GRAMMAR
    from queuectl.commands.drafts import Maker
    from queuectl.commands.jsonjobs import read_fields

    context = call.context()
    maker = Maker(context, GRAMMAR.parse_argv(("enqueue", "--", "true")).args)
    jobs = []
    for at, item in enumerate(items):
        try:
            jobs.append(maker.make(read_fields(_checked(item), context)))
        except UsageError as error:
            raise UsageError(f"job {at}: {error}" if many else str(error)) from None
    return jobs


def _checked(item: object) -> dict[str, Any]:
    """Return what should be a job. Raises UsageError when it is no object of texts."""
    if not isinstance(item, dict):
        raise UsageError("a job is an object: {…}")
    _check_texts(item)
    return item


def _check_texts(value: object) -> None:
    """Raise UsageError for half characters, which JSON can say and UTF-8 cannot."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{value[:40]!a} is no text: half a character") from None
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_texts(name)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


def added(store: Store, jobs: Sequence[NewJob], *, many: bool = True) -> Answer:
    """Add jobs; answer with their ids."""
    ids = store.add(jobs)
    data: dict[str, object] = {"ids": [int(job_id) for job_id in ids]}
    there = [int(job_id) for job_id in ids if isinstance(job_id, Existing)]
    data["existing"] = there
    if not many:
        data["id"] = int(ids[0])
    return Answer(data, 201)


def list_jobs(call: Call) -> Answer:
    """GET /jobs."""
    queue = call.text("queue")
    limit = call.whole("limit", _PAGE, 1, _MOST_PAGE)
    endings = sort_endings(call.text("exit") or "", "exit")
    where: Filter | None = Filter(
        _states(call.text("state")), (queue,) if queue else (), endings=endings
    )
    after = call.whole("after", 0)
    if where is not None and after:
        where = beyond(where, after, newest=False)
    jobs = [] if where is None else list(call.store.jobs(where, limit=limit + 1))
    more = len(jobs) > limit
    shown = jobs[:limit]
    return Answer(
        {"jobs": [job_data(job) for job in shown], "next": shown[-1].id if more else None}
    )


def _states(text: str | None) -> tuple[State, ...]:
    states: list[State] = []
    for word in (text or "").split(","):
        if word in STATES:
            states.append(word)
        elif word:
            ours = OTHER_WORDS.get(word.lower())
            hint = f"; did you mean {ours}?" if ours else did_you_mean(word, STATES)
            raise UsageError(f"state: {word!r} is not one of {', '.join(STATES)}{hint}")
    return tuple(states)


def found(call: Call) -> Job:
    """Return the job that the path names. Raises NoSuchJob."""
    job_id = call.job_id()
    job = call.store.get(job_id)
    if job is None:
        raise NoSuchJob(job=job_id)
    return job


def show(call: Call) -> Answer:
    """GET /jobs/{id}."""
    return Answer(job_data(found(call)))


def attempts(call: Call) -> Answer:
    """GET /jobs/{id}/attempts."""
    job = found(call)
    return Answer({"attempts": [attempt_data(one) for one in call.store.attempts(job.id)]})


# ---- verbs --------------------------------------------------------------------------------------


def _verb(call: Call, act: Callable[[Store, int], list[Changed]]) -> Write:
    job_id = call.job_id()

    def change(store: Store) -> Answer:
        (done,) = act(store, job_id)
        if not done.done:
            if store.get(job_id) is None:
                raise NoSuchJob(job=job_id)
            why = f"is {done.why}" if done.why.startswith("already") else done.why
            raise Refused(f"job {job_id} {why}")
        return Answer({"id": job_id, "state": done.state})

    return Write(change)


def cancel(call: Call) -> Write:
    """POST /jobs/{id}/cancel."""
    now = call.switch("now")
    return _verb(call, lambda store, job_id: store.cancel([job_id], now=now))


def retry(call: Call) -> Write:
    """POST /jobs/{id}/retry."""
    return _verb(call, lambda store, job_id: store.retry([job_id]))


def pause(call: Call) -> Write:
    """POST /jobs/{id}/pause."""
    return _verb(call, lambda store, job_id: store.hold([job_id], held=True))


def resume(call: Call) -> Write:
    """POST /jobs/{id}/resume."""
    return _verb(call, lambda store, job_id: store.hold([job_id], held=False))


def remove(call: Call) -> Write:
    """DELETE /jobs/{id}."""
    return _verb(call, lambda store, job_id: store.remove([job_id]))


# ---- waiting ------------------------------------------------------------------------------------


async def wait(call: Call) -> Answer:
    """POST /jobs/{id}/wait: returns when it is final, or the time is over."""
    deadline = time.monotonic() + call.seconds("timeout", WAIT, MOST_WAIT)
    watch = call.api.watch
    while True:
        seen = watch.count
        job = await call.api.in_thread(lambda: found(call))
        left = deadline - time.monotonic()
        if job.is_final or left <= 0 or watch.closed:
            return Answer({"ended": job.is_final, "job": job_data(job)})
        await watch.wait(seen, left)
