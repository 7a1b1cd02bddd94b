"""The store of a running `serve`, over HTTP: shell, command line and workers on other machines.

Each call is atomic by itself and done once: it carries a UUID, and when no answer comes it is sent
again with the same one, so the server gives the first answer (the server keeps it in the
transaction of the call). `transaction()` groups nothing: calls within it are in the store one by
one. So that a group may all the same be tried again after the server was lost in the middle of it,
what has been done in it is remembered, and the same call then gets the answer it had.
"""

from __future__ import annotations

import os
import time
import uuid
from urllib.parse import quote

from queuectl.errors import QueuectlError, Refused, StoreUnavailable, UsageError
from queuectl.job import Output
from queuectl.paths import make_private, output_path
from queuectl.store.base import LOOKED_AT, PAGE, Check, Filter, Store
from queuectl.store.records import beyond
from queuectl.store.remote import wire
from queuectl.store.remote.http import Requests, Unclear, parse_address
from queuectl.store.remote.memory import LostClaim, Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any

    from queuectl.job import Claim, Job
    from queuectl.store.base import Alike, HostInfo, Listener, Room, Settled, Settlement

#: bytes of one request
MOST = 64 * 1024 * 1024
#: seconds of a host's lease on the server
LEASE = 600.0
#: seconds for which the difference between the server's clock and ours is believed
_CLOCK = 60.0
#: seconds within which a sign of life must be answered
_RENEW = 5.0


class RemoteStore(Store):
    """The Store contract over `POST /store/{method}`. See the module's text for transactions."""

    lease = LEASE
    groups = False
    tended = True

    def __init__(
        self,
        url: str,
        local_settings: Mapping[str, str],
        *,
        token: str | None = None,
        token_file: str = "",
        directory: str | None = None,
        clock_age: float = _CLOCK,
    ) -> None:
        """Connect to nothing yet. Raises UsageError for what is no address.

        `token_file` is where the token is from, for who is told that it is not known. `directory`
        is where this machine's hosts keep their files.
        """
        address = parse_address(url, token, token_file)
        self.name = self.public_url = address.shown
        self.url = url
        self.local_directory = directory or _directory(self.name)
        self.local_settings = local_settings
        self._requests = Requests(address)
        self._memory = Memory()
        self._role: str | None = None
        self._clock_age = clock_age
        #: server's clock less ours, ms, and when that was found
        self._ahead: tuple[float, float] | None = None
        self._depth = 0
        #: copies of files of the server's that claimed jobs read, by token: they are ours to delete
        self._payloads: dict[str, str] = {}

    # ---- life ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections and delete what was fetched. Idempotent."""
        self._requests.close()
        for path in self._payloads.values():
            _unlink(path)
        self._payloads.clear()

    def now(self) -> int:
        """Return the server's time in ms, by our clock since it was last asked."""
        at = time.monotonic()
        if self._ahead is None or at - self._ahead[1] >= self._clock_age:
            told = self._call("now")
            behind = time.monotonic()
            self._ahead = told - (at + behind) / 2 * 1000, behind
            return int(told)
        return int(self._ahead[0] + at * 1000)

    def transaction(self) -> AbstractContextManager[None]:
        """Group nothing: each call within is atomic by itself. See the module's text."""
        return _Group(self)

    def listener(self, host_id: str) -> Listener:
        """Return a listener that asks the server to tell of changes. A thread of its own."""
        from queuectl.store.remote.listen import RemoteListener

        return RemoteListener(self._requests.address, host_id)

    # ---- calls --------------------------------------------------------------------------------

    def _call(self, name: str, *args: object, **named: object) -> Any:
        """Do one method on the server and return its result. Raises what it raises."""
        method = wire.METHODS.get(name)
        given: dict[str, object] = {"args": list(args), "named": named}
        body = wire.dumps(given)
        if method is None or method.kind != wire.ONCE:
            return self._result(
                self._requests.send("POST", f"/store/{name}", body, **_patience(name))
            )
        if len(body) > MOST:
            what = "jobs" if name == "add" else "data"
            raise UsageError(
                f"more {what} than the {MOST // 1024**2} MiB that one request has room for: in parts, then"
            )
        call = name, body
        known = self._memory.answer(call)
        if known is not None:
            self._memory.done(call, known)
            return self._result(known)
        key = self._memory.key(call) or uuid.uuid4().hex
        try:
            answer = self._requests.send("POST", f"/store/{name}", body, key=key)
        except Unclear:
            self._memory.unclear(call, key)
            raise
        if self._depth:
            self._memory.done(call, answer)
        return self._result(answer)

    def _result(self, answer: bytes) -> Any:
        try:
            return wire.loads(answer)["result"]
        except (ValueError, TypeError, KeyError):
            reason = "its answer cannot be read: is it the same version of queuectl?"
            raise StoreUnavailable(store=self.name, reason=reason) from None

    # ---- what is done otherwise than by the call alone ----------------------------------------

    def jobs(
        self, where: Filter, *, limit: int | None = None, newest: bool = False
    ) -> Iterator[Job]:
        """Yield jobs by id, a page a request."""
        left = limit
        rest: Filter | None = where
        while rest is not None and (left is None or left > 0):
            page = PAGE if left is None else min(left, PAGE)
            found: list[Job] = self._call("jobs", rest, limit=page, newest=newest)
            yield from found
            if len(found) < page:
                return
            left = None if left is None else left - len(found)
            rest = beyond(rest, found[-1].id, newest=newest)

    def alike(
        self, where: Filter, limit: int, *, newest: bool = False, most: int = LOOKED_AT
    ) -> list[Alike]:
        """Return jobs by id, those of an array that look the same as one, a page a request."""
        found: list[Alike] = []
        rest: Filter | None = where
        while rest is not None and limit > len(found) and most > 0:
            size = min(limit - len(found), PAGE)
            page: list[Alike] = self._call("alike", rest, size, newest=newest, most=most)
            found += page
            if len(page) < size:
                break
            most -= sum(one.jobs for one in page)
            rest = beyond(rest, (page[-1].first if newest else page[-1].last).id, newest=newest)
        return found

    def claim(
        self,
        host_id: str,
        want: int,
        queues: Sequence[str] = (),
        ahead: int = 0,
        room: Room | None = None,
    ) -> list[Claim]:
        """Claim jobs; first of all those of an earlier claim whose answer never came."""
        whose = host_id, tuple(queues)
        lost = self._memory.lost_claim(whose)
        if lost is not None:
            found = self._claim(lost)
            if found:
                return found
        body = wire.dumps({"args": [host_id, want, tuple(queues), ahead, room]})
        return self._claim(LostClaim(whose, body, uuid.uuid4().hex, None, time.monotonic()))

    def _claim(self, asked: LostClaim) -> list[Claim]:
        """Send a claim, or send it again; one that is not answered is remembered."""
        answer = asked.answer
        if answer is None:
            try:
                answer = self._requests.send("POST", "/store/claim", asked.body, key=asked.key)
            except Unclear:
                self._memory.lose(asked)
                raise
        if self._depth:
            self._memory.claimed(asked._replace(answer=answer))
        return self._with_payloads(self._result(answer))

    def _with_payloads(self, claims: list[Claim]) -> list[Claim]:
        """Return claims whose standard input is a file of the server's with a copy of it here."""
        ready = []
        for claim in claims:
            if claim.stdin_path is not None and claim.token not in self._payloads:
                try:
                    self._payloads[claim.token] = self._fetch_payload(claim.job_id)
                except (OSError, QueuectlError):
                    # it is opened at the start, which then says what is missing
                    pass
            path = self._payloads.get(claim.token, claim.stdin_path)
            ready.append(claim._replace(stdin_path=path))
        return ready

    def _fetch_payload(self, job_id: int) -> str:
        directory = f"{self.local_directory}/payloads"
        make_private(directory)
        path = f"{directory}/{job_id}-{uuid.uuid4().hex[:8]}"
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            try:
                self._requests.download(f"/store/payload/{job_id}", file)
            except BaseException:
                _unlink(path)
                raise
        return path

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Record how attempts ended; the copies of their standard input go."""
        done: list[Settled] = self._call("settle", list(settlements))
        for settlement in settlements:
            self._drop_payload(settlement.token)
        return done

    def release(self, claims: Sequence[tuple[int, str]]) -> int:
        """Give claims back; the copies of their standard input go."""
        done = int(self._call("release", list(claims)))
        for _, token in claims:
            self._drop_payload(token)
        return done

    def _drop_payload(self, token: str) -> None:
        """Delete the copy of a claim's standard input, if there is one."""
        path = self._payloads.pop(token, None)
        if path is not None:
            _unlink(path)

    def register(self, host: HostInfo) -> None:
        """Add a host, or write its row again; a host that says nothing of a lease has ours."""
        self._call("register", host._replace(lease=host.lease or int(LEASE * 1000)))

    def output(self, job_id: int, run: int) -> Output | None:
        """Return what an attempt wrote, or where: what this machine has, it has whole."""
        found: Output | None = self._call("output", job_id, run)
        if found is None or found.path is None:
            return found
        here = output_path(self.local_directory, job_id, run)
        if not os.path.exists(here):
            return found
        size = os.path.getsize(here)
        return found._replace(path=here, complete=size >= found.stdout_bytes + found.stderr_bytes)

    def role(self) -> str:
        """Return what our token is good for (see wire.ROLES); asked once."""
        if self._role is None:
            self._role = str(self._call("hello")["role"])
        return self._role

    def submit(self, queue: str, messages: Sequence[str]) -> list[int]:
        """Submit messages to a queue, as who has a token for no more may; return the ids.

        They run where and as the server says. Raises NoSuchQueue, Refused, UsageError.
        """
        import json

        body = json.dumps([_as_text(message) for message in messages]).encode()
        path = f"/queues/{quote(queue, safe='')}/messages"
        answer = self._requests.send(
            "POST", path, body, key=uuid.uuid4().hex, media="application/json"
        )
        return [int(job_id) for job_id in json.loads(answer)["ids"]]

    def backup(self, path: str) -> None:  # noqa: ARG002
        """Refuse: the engine has its own way where it runs."""
        raise Refused(
            f"{self.name} cannot be copied from here: run `queuectl backup` where it runs"
        )

    def checks(self) -> list[Check]:
        """Return what the server finds about its engine, and what it is."""
        told = self._call("hello")
        text = f"{self.name}: queuectl {told['version']} over {told['name']}, as {told['role']}"
        found = [Check("server", True, text)]
        if wire.allows(told["role"], wire.METHODS["checks"].role):
            found += self._call("checks")
        return found

    # ---- groups -------------------------------------------------------------------------------

    def enter(self) -> None:
        """Begin a group."""
        if not self._depth:
            self._memory.begin()
        self._depth += 1

    def leave(self, error: BaseException | None) -> None:
        """End a group; after the loss of the server, what it has done is remembered."""
        self._depth -= 1
        if not self._depth:
            self._memory.end(failed=isinstance(error, StoreUnavailable))


def remote_store(url: str, local_settings: Mapping[str, str], **options: Any) -> RemoteStore:
    """Return the store of a server; see RemoteStore."""
    # most of its methods are made below, which no type checker sees
    return RemoteStore(url, local_settings, **options)  # type: ignore[abstract]


def _plain(name: str) -> Callable[..., Any]:
    def method(self: RemoteStore, *args: object, **named: object) -> Any:
        return self._call(name, *args, **named)

    method.__name__ = name
    method.__doc__ = getattr(Store, name).__doc__
    return method


for _name in wire.METHODS.keys() | {"shipped"}:
    if _name not in RemoteStore.__dict__:
        setattr(RemoteStore, _name, _plain(_name))
# they are all there by now
RemoteStore.__abstractmethods__ = frozenset(
    _name for _name in RemoteStore.__abstractmethods__ if _name not in RemoteStore.__dict__
)


def _patience(name: str) -> dict[str, Any]:
    """Return how long a method may take: a sign of life comes too late sooner than others."""
    return {"timeout": _RENEW, "tries": 1} if name == "renew" else {}


def _directory(name: str) -> str:
    from queuectl.paths import state_directory

    safe = "".join(
        char if char.isalnum() or char in ".-" else "_" for char in name.partition("://")[2]
    )
    return os.path.join(state_directory(os.environ), "remote", f"{safe}.d")


def _as_text(message: str) -> str:
    try:
        message.encode()
    except UnicodeEncodeError:
        raise UsageError(
            "a message over HTTP is UTF-8: put bytes into a file, or use a payload"
        ) from None
    return message


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


class _Group:
    """What `transaction()` returns."""

    def __init__(self, store: RemoteStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._store.leave(error)
