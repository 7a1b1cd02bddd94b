"""Claims over HTTP: work for clients in any language, with leases and fencing.

Each request that claims is a host of its own in the store, with a lease of its own; a claim's token
in the API says which job, which attempt and which claim, and is refused when it is no longer so.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from binascii import b2a_base64
from functools import partial

from anyio import to_thread

from queuectl import __version__
from queuectl.errors import ClaimOver, NoSuchQueue, Refused, UsageError, did_you_mean
from queuectl.intake.http.call import Answer, Refusal, Write
from queuectl.intake.http.jobs import MOST_WAIT
from queuectl.intake.http.output import file_parts, streamed
from queuectl.intake.http.repeat import KEY, check_key
from queuectl.job import EXIT, FAILED, PENDING, Outcome
from queuectl.process.output import INLINE_LIMIT
from queuectl.record import Record
from queuectl.store.base import HostInfo, Settlement, Start
from queuectl.store.results import Draft
from queuectl.timespec import iso_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from starlette.responses import Response

    from queuectl.intake.http.call import Call
    from queuectl.job import Claim, Job
    from queuectl.store.base import Store

#: jobs in one request; seconds of a lease: when nothing is said, and bounds
_MOST_CLAIMS = 100
LEASE, _SHORTEST, _LONGEST = 60.0, 1.0, 3600.0
#: seconds between looks when nothing tells of a change
_PAUSE = 5.0
_MOST_MESSAGE = 1000


class Wanted(Record):
    """What a client asks for."""

    queue: str
    want: int
    wait: float
    lease: int


async def claim(call: Call) -> Answer:
    """POST /claims: returns as soon as there is something, an empty list when the time is over."""
    wanted = _wanted(call)
    key = check_key(call.request.headers.get(KEY))
    deadline = time.monotonic() + wanted.wait
    watch = call.api.watch
    while True:
        seen = watch.count
        waiting, pause = await call.api.in_thread(partial(_look, call.store, wanted.queue))
        if waiting or key is not None:
            answer = await call.api.written(call, Write(partial(_claim, call, wanted)))
            if answer.kept:
                return await _delivered(call, answer)
        left = deadline - time.monotonic()
        if left <= 0 or watch.closed or await call.request.is_disconnected():
            return Answer({"claims": []})
        await watch.wait(seen, min(left, pause))


async def _delivered(call: Call, answer: Answer) -> Answer:
    """Return the answer; give the claims back when nobody is there any more to have them."""
    if answer.data is not None and await call.request.is_disconnected():
        tokens = [one["token"] for one in answer.data["claims"]]  # type: ignore[index]
        pairs = [(job_id, token) for job_id, _, token in map(_parts, tokens)]
        await call.api.write(lambda store: store.release(pairs))
    return answer


def _wanted(call: Call) -> Wanted:
    given = call.object(queue="str", want="int | None", wait="float | None", lease="float | None")
    want = 1 if given["want"] is None else given["want"]
    wait = 0.0 if given["wait"] is None else given["wait"]
    lease = LEASE if given["lease"] is None else given["lease"]
    if not 1 <= want <= _MOST_CLAIMS:
        raise UsageError(f"want: not a whole number from 1 to {_MOST_CLAIMS}")
    if not 0 <= wait <= MOST_WAIT:
        raise UsageError(f"wait: not a number of seconds from 0 to {MOST_WAIT:g}")
    if not _SHORTEST <= lease <= _LONGEST:
        raise UsageError(f"lease: not a number of seconds from {_SHORTEST:g} to {_LONGEST:g}")
    return Wanted(given["queue"], want, float(wait), int(lease * 1000))


def _look(store: Store, queue: str) -> tuple[bool, float]:
    """Return whether a claim is worth a try, and the seconds until it may be without any change.

    Raises NoSuchQueue.
    """
    queues = {one.name: one for one in store.queues()}
    if queue not in queues:
        raise NoSuchQueue(queue=queue, hint=did_you_mean(queue, queues))
    counts = queues[queue].counts
    due, now = store.next_due(), store.now()
    ahead = (due - now) / 1000 + 0.001 if due is not None and due > now else _PAUSE
    return bool(counts.get(PENDING, 0) + counts.get(FAILED, 0)), min(_PAUSE, ahead)


def _claim(call: Call, wanted: Wanted, store: Store) -> Answer:
    """Claim and start; what is claimed has a host of its own."""
    now = store.now()
    client = call.request.client
    host = HostInfo(
        f"api{uuid.uuid4().hex}", client.host if client else "http", call.role, 0, __version__,
        0, (wanted.queue,), now, now, lease=wanted.lease,
    )  # fmt: skip
    store.register(host)
    claims = store.claim(host.id, wanted.want, (wanted.queue,))
    if not claims:
        store.forget(host.id)
        return Answer({"claims": []}, kept=False)
    store.start([Start(one.job_id, one.token, one.run, now) for one in claims])
    return Answer({"claims": [_data(one, wanted.lease) for one in claims]})


def _data(claim: Claim, lease: int) -> dict[str, object]:
    token = f"{claim.job_id}.{claim.run}.{claim.token}"
    data, large = claim.stdin, claim.stdin_path is not None
    if data is not None and len(data) > INLINE_LIMIT:
        data, large = None, True
    return {
        "token": token,
        "job_id": claim.job_id,
        "attempt": claim.run,
        "queue": claim.queue,
        "name": claim.name,
        "message": claim.message,
        "command": claim.command,
        "args": None if claim.args is None else list(claim.args),
        "payload": None if data is None else b2a_base64(data, newline=False).decode(),
        "payload_url": f"/claims/{token}/payload" if large else None,
        "attempts_left": max(0, claim.max_retries - claim.attempts),
        "lease": lease / 1000,
    }


# ---- one claim ----------------------------------------------------------------------------------


def _parts(token: str) -> tuple[int, int, str]:
    """Return job, attempt and fencing token. Raises Refusal for what is no token."""
    job_id, _, rest = token.partition(".")
    run, _, inner = rest.partition(".")
    numbers = all(text.isascii() and text.isdecimal() and len(text) < 19 for text in (job_id, run))
    if not numbers or not inner.isascii() or "\0" in inner:
        raise Refusal(404, "no such claim")
    return int(job_id), int(run), inner


def _held(store: Store, token: str) -> Job:
    """Return the job of a claim that is still the current one. Raises Refused, Refusal."""
    job_id, run, inner = _parts(token)
    job = store.get(job_id)
    if job is None:
        raise Refusal(404, "no such claim")
    if job.token != inner or job.host is None or job.runs != run:
        raise ClaimOver(job=job_id)
    return job


async def payload(call: Call) -> Response:
    """GET /claims/{token}/payload."""
    job = await call.api.in_thread(lambda: _held(call.store, call.part("token")))
    return await payload_of(call, job.id)


async def payload_of(call: Call, job_id: int) -> Response:
    """Return a job's standard input as a response."""
    data, path = await call.api.in_thread(lambda: call.store.payload(job_id))
    if path is None:
        return streamed(_once(data or b""), len(data or b""))
    try:
        parts = file_parts(call, path)
        first = await anext(parts, b"")
    except OSError as error:
        raise Refused(f"the payload {path} cannot be read: {error.strerror}") from None
    return streamed(_chained(first, parts))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


def renew(call: Call) -> Write:
    """POST /claims/{token}/renew."""
    token = call.part("token")
    _parts(token)

    def change(store: Store) -> Answer:
        job = _held(store, token)
        if not store.renew(str(job.host)):
            raise ClaimOver(job=job.id)
        # asked for or not: who looks at the answer sees what is wanted
        return Answer({"cancel_requested": job.cancel_requested, "now": iso_time(store.now())})

    return Write(change)


def release(call: Call) -> Write:
    """POST /claims/{token}/release."""
    token = call.part("token")
    _parts(token)

    def change(store: Store) -> Answer:
        job = _held(store, token)
        store.release([(job.id, str(job.token))])
        store.forget(str(job.host))
        return Answer({"released": True})

    return Write(change)


async def settle(call: Call) -> Answer:
    """POST /claims/{token}/settle: the body goes to a file while it comes."""
    token = call.part("token")
    code = call.whole("exit_code", 0, 0, 255)
    message = call.text("message")
    if message is not None and (len(message) > _MOST_MESSAGE or not message.isprintable()):
        raise UsageError(f"message: one line of at most {_MOST_MESSAGE} characters")
    key = check_key(call.request.headers.get(KEY))
    job_id, run, inner = _parts(token)
    if key is None:
        await call.api.in_thread(lambda: _held(call.store, token))
    draft = await _receive(call, Draft(call.store, job_id, run))
    try:
        if call.store.lease is not None:
            ship = partial(draft.ship, call.store, job_id, run, inner)
            await to_thread.run_sync(ship, limiter=call.api.files)
        change = partial(_settle, token=token, code=code, message=message, draft=draft)
        answer: Answer = await call.api.written(call, Write(change))
    finally:
        draft.discard()
    return answer


async def _receive(call: Call, draft: Draft) -> Draft:
    """Take a body in. Raises Refusal; then nothing is left of it."""
    from queuectl.intake.http.app import body_parts

    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        digest.update(part)
        draft.add(part)

    try:
        async for part in body_parts(call.request, call.route.most):
            await to_thread.run_sync(add, part, limiter=call.api.files)
        await to_thread.run_sync(draft.finish, limiter=call.api.files)
        call.streamed = digest.digest()
    except OSError as error:
        draft.discard()
        raise Refusal(507, f"the result cannot be kept: {error.strerror}") from None
    except BaseException:
        draft.discard()
        raise
    return draft


def _settle(store: Store, *, token: str, code: int, message: str | None, draft: Draft) -> Answer:
    job = _held(store, token)
    outcome = Outcome(
        EXIT, code, started_at=job.started_at, finished_at=store.now(),
        output=draft.output(shipped=store.lease is not None), message=message,
    )  # fmt: skip
    (settled,) = store.settle([Settlement(job.id, str(job.token), job.runs, outcome)])
    if settled.state is None:
        raise ClaimOver(job=job.id)
    store.forget(str(job.host))
    data: dict[str, Any] = {"job_id": job.id, "state": settled.state}
    return Answer({**data, "next_run_at": iso_time(settled.next_run_at)})
