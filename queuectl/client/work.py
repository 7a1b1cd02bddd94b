"""Claims of a program: jobs that it works on itself, with a lease that is renewed in the background.

A program is a host of the store without workers. Nothing on the machine tells of its life, so its
claims last until the lease ends: when it dies, its jobs are run again then, counted as lost.
"""

from __future__ import annotations

import os
import threading
import time
import uuid

from queuectl import __version__
from queuectl.client import asked
from queuectl.errors import ClaimOver, QueuectlError, Refused
from queuectl.job import EXIT, Outcome
from queuectl.store.base import HostInfo, Settlement, Start
from queuectl.store.results import Draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self, TypeVar

    from queuectl.job import Claim, State
    from queuectl.store.base import Store

    T = TypeVar("T")
    Call = Callable[[Callable[[Store], T]], T]

#: seconds of a lease when nothing is said, and the shortest
LEASE, _SHORTEST = 60.0, 1.0
#: renewals in a lease
_SHARE = 3
#: seconds between looks for work: soon after there was some, and at the most
_QUICK, _SLOW = 0.02, 0.25
#: seconds between looks for hosts whose lease has ended
_RECOVER = 5.0


class ClaimedJob:
    """A job that this program has claimed. `complete`, `fail` or `release` it; from any thread.

    One that is left alone is kept, its lease renewed, until the Queue is closed; then it is given
    back. As a context manager it is completed at the end, failed by an exception.
    """

    def __init__(self, crew: Crew, claim: Claim, started_at: int) -> None:
        self._crew = crew
        self._claim = claim
        self._started_at = started_at
        self._payload: bytes | None = claim.stdin
        #: how it ended: completed, failed, released or lost; None while it is held
        self.ended: str | None = None
        #: whether somebody wants it to be cancelled: then `fail` it soon, and it is cancelled. Seen
        #: when the lease is renewed, a third of it later at the most; `look` asks now
        self.cancel_requested = False

    def __repr__(self) -> str:
        return f"<ClaimedJob {self.id} of {self.queue}: {self.ended or 'held'}>"

    @property
    def id(self) -> int:
        """The job's number."""
        return self._claim.job_id

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1; its result is kept under this number."""
        return self._claim.run

    @property
    def queue(self) -> str:
        """The queue it is of."""
        return self._claim.queue

    @property
    def name(self) -> str | None:
        """Its name, if it has one."""
        return self._claim.name

    @property
    def message(self) -> str | None:
        """The message it was submitted with; bytes that are not UTF-8 as in `os.fsdecode`."""
        return self._claim.message

    @property
    def command(self) -> tuple[str, ...]:
        """The command and its arguments, for who wants to run it."""
        return (self._claim.command, *(self._claim.args or ()))

    @property
    def has_payload(self) -> bool:
        """Whether it came with a standard input; that may be empty."""
        return self._claim.stdin is not None or self._claim.stdin_path is not None

    @property
    def payload(self) -> bytes:
        """Its standard input; what is large is fetched when it is first asked for."""
        if self._payload is None:
            self._payload = self._crew.payload(self._claim)
        return self._payload

    def look(self) -> bool:
        """Ask the store now whether somebody wants it to be cancelled; a read, no write.

        Raises ClaimOver when somebody else has it by now, or it was settled or released.
        """
        if self.ended is not None:
            raise ClaimOver(job=self.id)
        if self._crew.asked_to_end(self._claim):
            self.cancel_requested = True
        return self.cancel_requested

    def complete(self, result: bytes = b"") -> None:
        """Settle it as completed; `result` is kept as its output. Durable on return.

        Raises ClaimOver when somebody else has it by now: then the result is not kept.
        """
        self._settle(0, result, None, "completed")

    def fail(self, reason: str = "", *, exit_code: int = 1, result: bytes = b"") -> None:
        """Settle it as failed: it is retried or goes to the dead-letter queue, by its policy.

        Raises ClaimOver, and UsageError for an exit code that is not 1 to 255.
        """
        asked.whole("exit_code", exit_code, 1, 255)
        line = " ".join(asked.text("reason", reason).split())[:1000] or None
        self._settle(exit_code, result, line, "failed")

    def release(self) -> None:
        """Give it back as if it had never been claimed: not counted, and due at once."""
        self._crew.drop(self)
        pair = self._claim.job_id, self._claim.token
        if not self._crew.call(lambda store: store.release([pair])):
            self.ended = "lost"
            raise ClaimOver(job=self.id)
        self.ended = "released"

    def _settle(self, code: int, result: bytes, message: str | None, ended: str) -> None:
        claim = self._claim
        if self.ended is not None:
            raise ClaimOver(job=self.id)
        outcome = Outcome(
            EXIT, code, started_at=self._started_at, finished_at=self._crew.now(), message=message
        )
        state = self._crew.settle(claim, outcome, result)
        self._crew.drop(self)
        if state is None:
            self.ended = "lost"
            raise ClaimOver(job=self.id)
        self.ended = ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if self.ended is not None:
            return
        if error is None:
            self.complete()
        elif isinstance(error, Exception):
            self.fail(f"{type(error).__name__}: {error}")
        else:
            self.release()

    @property
    def token(self) -> str:
        """What fences this claim."""
        return self._claim.token


class Crew:
    """The claims of one Queue: a host in the store, and a thread that renews its lease."""

    def __init__(self, store: Store, call: Call[Any], lease: float) -> None:
        """`call` runs a write of the store, one at a time."""
        self._store = store
        self.call = call
        self._lease = max(_SHORTEST, lease)
        self._lock = threading.Lock()
        self._held: dict[str, ClaimedJob] = {}
        self._stop = threading.Event()
        self._id = ""
        self._recovered = 0.0
        self._thread = threading.Thread(target=self._renewing, name="lease", daemon=True)

    # ---- claiming -----------------------------------------------------------------------------

    def claims(self, queue: str, wait: float | None, want: int) -> Iterator[ClaimedJob]:
        """Yield jobs as they can be claimed, until there has been none for `wait` seconds."""
        while True:
            found = self.claim(queue, wait, want)
            if not found:
                return
            yield from found

    def claim(self, queue: str, wait: float | None, want: int) -> list[ClaimedJob]:
        """Return up to `want` jobs; none when there was nothing for `wait` seconds (None: ever)."""
        deadline = None if wait is None else time.monotonic() + wait
        pause = _QUICK
        while not self._stop.is_set():
            version = self._store.version()
            found = self._try(queue, want)
            if found:
                return found
            while not self._stop.is_set():
                if deadline is not None and time.monotonic() >= deadline:
                    return []
                left = pause if deadline is None else min(pause, deadline - time.monotonic())
                self._stop.wait(max(0.0, left))
                pause = min(_SLOW, pause * 1.5)
                due = self._store.next_due()
                if self._store.version() != version or (due is not None and due <= self.now()):
                    break
                if time.monotonic() - self._recovered > _RECOVER:
                    break
        return []

    def _try(self, queue: str, want: int) -> list[ClaimedJob]:
        self._recover()
        self._register()
        host = self._id
        now = self.now()

        def take(store: Store) -> list[Claim]:
            with store.transaction():
                claims = store.claim(host, want, (queue,))
                store.start([Start(one.job_id, one.token, one.run, now) for one in claims])
            return claims

        # a claim that finds nothing is a write all the same: look first
        counts = next((one.counts for one in self._store.queues() if one.name == queue), None)
        if counts is None:
            from queuectl.errors import NoSuchQueue, did_you_mean

            known = [one.name for one in self._store.queues()]
            raise NoSuchQueue(queue=queue, hint=did_you_mean(queue, known))
        if not counts.get("pending") and not counts.get("failed"):
            return []
        jobs = [ClaimedJob(self, claim, now) for claim in self.call(take)]
        with self._lock:
            for job in jobs:
                self._held[job.token] = job
        return jobs

    def _register(self) -> None:
        if self._id:
            return
        import socket

        self._id = f"api{uuid.uuid4().hex}"
        now = self.now()
        info = HostInfo(
            self._id, socket.gethostname(), _user(), os.getpid(), __version__, 0, (), now, now,
            lease=int(self._lease * 1000),
        )  # fmt: skip
        self.call(lambda store: store.register(info))
        if not self._thread.is_alive():
            self._thread.start()

    def _recover(self) -> None:
        """Take jobs back from programs that died: perhaps nobody else looks."""
        if time.monotonic() - self._recovered <= _RECOVER:
            return
        self._recovered = time.monotonic()
        if self._store.name.startswith("http"):
            # the server does
            return
        from queuectl.store.expiry import recover_expired

        recover_expired(self._store, self.call)

    # ---- for claimed jobs ---------------------------------------------------------------------

    def now(self) -> int:
        """Return the store's time, ms."""
        return self._store.now()

    def asked_to_end(self, claim: Claim) -> bool:
        """Whether somebody wants a claimed job to be cancelled. Raises ClaimOver."""
        job = self._store.get(claim.job_id)
        if job is None or job.token != claim.token:
            raise ClaimOver(job=claim.job_id)
        return job.cancel_requested

    def payload(self, claim: Claim) -> bytes:
        """Return a job's standard input. Raises StoreUnavailable, Refused."""
        path = claim.stdin_path
        if path is None:
            return claim.stdin or b""
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise Refused(f"the payload {path} cannot be read: {error.strerror}") from None

    def settle(self, claim: Claim, outcome: Outcome, result: bytes) -> State | None:
        """Settle a claim with a result; return the job's state then, None: the claim is over."""
        content = asked.data("result", result)
        store = self._store
        draft = Draft(store, claim.job_id, claim.run)
        ships = store.lease is not None
        try:
            draft.add(content)
            draft.finish()
            if ships:
                self.call(lambda store: draft.ship(store, claim.job_id, claim.run, claim.token))
            return self.call(lambda store: _settle(store, claim, outcome, draft))  # type: ignore[no-any-return]
        except ClaimOver:
            return None
        except OSError as error:
            raise Refused(f"the result cannot be kept: {error.strerror}") from None
        finally:
            draft.discard()

    def drop(self, job: ClaimedJob) -> None:
        """Hold a job no longer."""
        with self._lock:
            self._held.pop(job.token, None)

    @property
    def held(self) -> list[ClaimedJob]:
        """What is held now."""
        with self._lock:
            return list(self._held.values())

    def close(self) -> None:
        """Give back what is held and leave the store. Idempotent. Raises StoreUnavailable."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        held = self.held
        pairs = [(job.id, job.token) for job in held]
        if pairs:
            self.call(lambda store: store.release(pairs))
        for job in held:
            job.ended = "released"
        if self._id:
            host = self._id
            self.call(lambda store: store.forget(host))

    # ---- the thread ---------------------------------------------------------------------------

    def _renewing(self) -> None:
        while not self._stop.wait(self._lease / _SHARE):
            try:
                self._renew()
            except QueuectlError:
                # the next one may come through; if not, the jobs are others' by then
                continue

    def _renew(self) -> None:
        host = self._id
        if not self.call(lambda store: store.renew(host)):
            # taken for dead: what was held is somebody else's by now
            with self._lock:
                for job in self._held.values():
                    job.ended = "lost"
                self._held.clear()
            self._id = ""
            return
        for wish in self.call(lambda store: store.take_wishes(host)):
            with self._lock:
                asked = self._held.get(wish.token)
            if asked is not None and wish.kind.startswith("cancel"):
                asked.cancel_requested = True


def _settle(store: Store, claim: Claim, outcome: Outcome, draft: Draft) -> State | None:
    with store.transaction():
        job = store.get(claim.job_id)
        if job is None or job.token != claim.token:
            return None
        output = draft.output(shipped=store.lease is not None)
        done = outcome._replace(output=output)
        return store.settle([Settlement(claim.job_id, claim.token, claim.run, done)])[0].state


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
