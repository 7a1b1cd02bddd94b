"""The store's own methods over HTTP, for `--store http://…`: the other end of store/remote.

A host that registers here has a lease, as nothing on this machine tells of its life. What its jobs
wrote comes in pieces (`ship`) into this machine's output files, unless the store keeps such pieces
itself.
"""

from __future__ import annotations

import os
import time
from functools import partial

from queuectl import __version__
from queuectl.errors import QueuectlError, StoreUnavailable, UsageError, did_you_mean
from queuectl.intake.http import shipped
from queuectl.intake.http.call import JSON, Answer, Refusal, Write, check_role
from queuectl.intake.http.claims import payload_of
from queuectl.intake.http.jobs import MOST_WAIT, WAIT
from queuectl.intake.http.veil import shown_to
from queuectl.job import NewJob, Output
from queuectl.paths import output_path
from queuectl.process.output import remove
from queuectl.store.base import LOOKED_AT, PAGE, Filter, HostInfo, Settlement, Store
from queuectl.store.remote import shapes, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from starlette.responses import Response

    from queuectl.intake.http.call import Call
    from queuectl.job import Claim

#: what a client says it speaks
PROTOCOL_HEADER = "Queuectl-Protocol"
#: ms of the lease of a host that asks for none
LEASE = 600_000
_LONGEST_LEASE = 3600_000
#: bytes of a call that is read aside
_LARGE = 128 * 1024
#: methods whose numbers go into the store
_WRITTEN_DOWN = frozenset(
    "add edit edit_all fire put_schedule register restore create_queue change_queue".split()
)

_EDITS = ("edit", "edit_all")
#: ids that one call answers with
_MOST_IDS = 10_000


async def call(request: Call) -> Answer | Response:
    """POST /store/{name}."""
    name = request.part("name")
    method = wire.METHODS.get(name) or _OWN.get(name)
    if method is None:
        raise UsageError(f"no method {name!r}{did_you_mean(name, wire.METHODS)}")
    _check_protocol(request)
    check_role(request.role, method.role)
    try:
        if len(request.body) > _LARGE:
            # for long enough to keep others waiting
            args, named = await request.api.in_thread(partial(_arguments, request.body))
        else:
            args, named = _arguments(request.body)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    if name in _OWN:
        act = partial(_HERE[name], request, *args)
        return _answer(await request.api.in_thread(partial(_guarded, request, name, act)))
    check = partial(_checked, name, args, named)
    checked = await request.api.in_thread(check) if len(request.body) > _LARGE else check()
    if method.kind == wire.READ:
        read = partial(_read, request.store, name, checked)
        found = await request.api.in_thread(partial(_guarded, request, name, read))
        return _answer(shown_to(request.role, found))
    change = partial(_write, name=name, given=checked)
    if name in _HERE_WRITES:
        change = partial(_HERE_WRITES[name], given=checked)
    done: Answer = await request.api.written(
        request, Write(lambda store: _kept(_guarded(request, name, partial(change, store)), method))
    )
    return done


def _check_protocol(request: Call) -> None:
    """Raise Refusal for a client that would misunderstand this server."""
    spoken = request.request.headers.get(PROTOCOL_HEADER)
    if spoken is not None and spoken != str(wire.PROTOCOL):
        raise Refusal(
            426,
            f"the server is queuectl {__version__} (protocol {wire.PROTOCOL}), the client speaks"
            f" protocol {spoken[:20]!a}: use the same version on both sides",
        )


def _arguments(body: bytes) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call. Raises ValueError."""
    given = wire.loads(body or b"{}")
    if not isinstance(given, dict) or not set(given) <= {"args", "named"}:
        raise ValueError('a call is {"args": […], "named": {…}}')
    args, named = given.get("args", []), given.get("named", {})
    if not isinstance(args, list) or not isinstance(named, dict):
        raise ValueError("args is a list, named an object")  # noqa: TRY004 (it is what was sent)
    return args, named


def _checked(name: str, args: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, each of the type that the contract says. Raises UsageError."""
    types: Mapping[str, str] = {
        key: text for key, text in getattr(Store, name).__annotations__.items() if key != "return"
    }
    if len(args) > len(types):
        raise UsageError(f"{name}: {len(args)} arguments, it takes {len(types)}")
    given = {**dict(zip(types, args, strict=False)), **named}
    for key, value in given.items():
        if key not in types:
            raise UsageError(f"{name}: no argument {key!r}")
        if not shapes.fits(value, types[key]):
            raise UsageError(f"{name}: {key} is not {types[key]}{_where(value)}")
    written = given.get("changes", {}) if name in _EDITS else list(given.values())
    if name in _WRITTEN_DOWN and shapes.has_large(written):
        raise UsageError(f"{name}: a number is larger than a store can keep")
    if name in _EDITS:
        _check_edit(given.get("changes", {}))
    return given


def _where(value: object) -> str:
    """Return which field of a record does not fit, if it is one."""
    for item in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(item, tuple) and hasattr(item, "_fields"):
            field = shapes.misfit(item)
            if field:
                return f": its {field} does not fit"
    return ""


def _check_edit(changes: Mapping[str, object]) -> None:
    types = {**NewJob._field_types, "policy": "Mapping[str, str | None]"}  # noqa: SLF001
    for field, value in changes.items():
        if field not in types or not (value is None or shapes.fits(value, types[field])):
            raise UsageError(f"edit: {field} does not fit")


def _guarded(request: Call, name: str, act: Any) -> Any:
    """Run a method; what it makes of arguments that fit and make no sense is the client's fault.

    A file that cannot be used is the server's: its log says so, and the client may try again.
    """
    try:
        return act()
    except QueuectlError:
        raise
    except NotImplementedError:
        raise UsageError(f"{name}: this store has no such method") from None
    except OSError as error:
        request.api.failed(error)
        what = f"{error.filename}: " if error.filename else ""
        reason = f"where it is served, {what}{error.strerror or error}"
        raise StoreUnavailable(store=request.store.name, reason=reason) from None
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise UsageError(f"{name}: bad arguments: {error}") from None


def _read(store: Store, name: str, given: dict[str, Any]) -> object:
    if name == "jobs":
        limit = given.get("limit")
        given["limit"] = PAGE if limit is None else max(0, min(limit, PAGE))
        return list(store.jobs(given.pop("where", Filter()), **given))
    if name == "ids":
        given["limit"] = max(0, min(given.get("limit", PAGE), _MOST_IDS))
    if name == "alike":
        given["limit"] = max(0, min(given["limit"], PAGE))
    if "most" in given:
        given["most"] = max(0, min(given["most"], LOOKED_AT))
    return getattr(store, name)(**given)


def _write(store: Store, *, name: str, given: dict[str, Any]) -> object:
    return getattr(store, name)(**given)


def _answer(value: object) -> Answer:
    return Answer(None, raw=wire.dumps({"result": value}), media=JSON)


def _kept(value: object, method: wire.Method) -> Answer:
    answer = _answer(value)
    # nothing came of it: a repeat may as well be done anew, and nothing need be written down
    answer.kept = method.kind == wire.ONCE and bool(value)
    return answer


# ---- what is done otherwise here ----------------------------------------------------------------


def _register(store: Store, *, given: dict[str, Any]) -> None:
    host: HostInfo = given["host"]
    lease = LEASE if host.lease is None else max(1000, min(host.lease, _LONGEST_LEASE))
    store.register(host._replace(lease=lease, seen_at=min(host.seen_at, store.now() + 1000)))


def _claim(store: Store, *, given: dict[str, Any]) -> object:
    claims: list[Claim] = store.claim(**given)
    if store.lease is None:
        for claim in claims:
            # what an earlier claim of the same attempt shipped, and was not heard of again
            remove(output_path(store.local_directory, claim.job_id, claim.run))
    return claims


def _settle(store: Store, *, given: dict[str, Any]) -> object:
    here = [_with_output(store, one) for one in given["settlements"]]
    return store.settle(here)


def _with_output(store: Store, settlement: Settlement) -> Settlement:
    """Return a settlement whose output is where this machine has it, as far as it was shipped."""
    output = settlement.outcome.output
    if output is None or output.path is None or store.lease is not None:
        return settlement
    path = output_path(store.local_directory, settlement.job_id, settlement.run)
    written = output.stdout_bytes + output.stderr_bytes
    try:
        size = os.path.getsize(path)
    except OSError:
        here = output._replace(path=None, complete=False)
    else:
        here = output._replace(path=path, complete=output.complete and size >= written)
    return settlement._replace(outcome=settlement.outcome._replace(output=here))


def _hello(request: Call) -> dict[str, object]:
    return {
        "version": __version__, "protocol": wire.PROTOCOL, "role": request.role,
        "name": request.store.name,
    }  # fmt: skip


def _output(request: Call, job_id: int, run: int) -> Output | None:
    return request.store.output(job_id, run)


def _shipped(request: Call, job_id: int, run: int, offset: int = 0) -> object:
    return shipped.shipped(request.store, job_id, run, offset)


_OWN = {
    "hello": wire.Method(wire.SUBMIT, wire.READ),
    "output": wire.Method(wire.SUBMIT, wire.READ),
    "shipped": wire.Method(wire.SUBMIT, wire.READ),
}
_HERE: dict[str, Callable[..., object]] = {"hello": _hello, "output": _output, "shipped": _shipped}
_HERE_WRITES: dict[str, Any] = {
    "claim": _claim, "register": _register, "settle": _settle, "ship": shipped.ship,
}  # fmt: skip


async def changes(request: Call) -> Answer:
    """GET /store/changes: returns when the store may have changed since the last answer."""
    watch = request.api.watch
    deadline = time.monotonic() + request.seconds("timeout", WAIT, MOST_WAIT)
    since = request.text("since") or ""
    while f"{watch.epoch}.{watch.count}" == since and not watch.closed:
        left = deadline - time.monotonic()
        if left <= 0 or await request.request.is_disconnected():
            break
        await watch.wait(watch.count, min(left, 30))
    return Answer({"since": f"{watch.epoch}.{watch.count}"})


async def payload(request: Call) -> Response:
    """GET /store/payload/{job_id}."""
    return await payload_of(request, request.job_id())
