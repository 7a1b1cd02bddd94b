"""A queue for Python programs, over any store: SQLite, PostgreSQL or a server's HTTP."""

from __future__ import annotations

import os
import threading
import time

from queuectl.client import asked
from queuectl.client.work import LEASE, ClaimedJob, Crew
from queuectl.demands import PULLED, check_key, key_of
from queuectl.errors import (
    NoSuchJob,
    NoSuchQueue,
    NotFound,
    Refused,
    StoreUnavailable,
    did_you_mean,
)
from queuectl.job import FINAL, NewJob
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self, TypeVar

    from queuectl.client.asked import Jobs
    from queuectl.job import Attempt, Job, Output, State
    from queuectl.store.base import Changed, QueueInfo, Store

    T = TypeVar("T")

#: seconds between looks while waiting
_QUICK, _SLOW = 0.02, 0.5
#: what `enqueue` takes beside settings, for who misspells one
_ARGUMENTS = (
    "queue", "name", "priority", "delay", "cwd", "env", "stdin", "paused", "unique", "after",
    "after_any", "after_failed", "needs",
)  # fmt: skip
#: a unique key that means: the queue and the command
_AUTO = "auto"


def connect(
    url: str | None = None, *, token_file: str | None = None, lease: float = LEASE
) -> Queue:
    """Open a queue: a path, `sqlite:///…`, `postgresql://…`, `http://host:port`, or `memory:`.

    Without a URL it is that of QUEUECTL_STORE, else the one the command line uses. `token_file` is
    for http (else QUEUECTL_TOKEN_FILE); `lease` the seconds after which jobs that this program has
    claimed go to others when it has died. Raises UsageError, StoreUnavailable.
    """
    from queuectl.paths import default_url
    from queuectl.settings import from_environment
    from queuectl.store import check_place, open_store

    if url is not None:
        asked.text("url", url)
    asked.seconds("lease", lease)
    chosen = url or os.environ.get("QUEUECTL_STORE") or default_url(os.environ)
    if token_file is not None and chosen.startswith(("http:", "https:")):
        # it goes before one in the URL
        scheme, _, rest = chosen.partition("://")
        chosen = f"{scheme}://{rest.rpartition('@')[2]}"
    if chosen != default_url(os.environ):
        check_place(chosen)
    store = open_store(chosen, from_environment(os.environ), token_file=token_file)
    return Queue(store, lease=lease)


class Queue:
    """A connection to a store. Methods may be called from any thread; close it, or use `with`."""

    def __init__(self, store: Store, *, lease: float = LEASE) -> None:
        """Take over a store, which is closed with it."""
        self.store = store
        self._lock = threading.RLock()
        self._lease = lease
        self._crew: Crew | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is claimed and not settled, and let go of the store. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._crew is not None:
                self._crew.close()
        finally:
            self.store.close()

    def _write(self, change: Callable[[Store], T]) -> T:
        with self._lock:
            return change(self.store)

    def _opened(self) -> Store:
        """Return the store. Raises StoreUnavailable once this Queue is closed, whatever the store."""
        if self._closed:
            raise StoreUnavailable(store=self.store.name, reason="this Queue is closed")
        return self.store

    # ---- putting in ---------------------------------------------------------------------------

    def enqueue(
        self,
        command: str,
        *args: str,
        queue: str = "default",
        name: str | None = None,
        priority: int | None = None,
        delay: float = 0.0,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        paused: bool = False,
        unique: str | None = None,
        after: Jobs = (),
        after_any: Jobs = (),
        after_failed: Jobs = (),
        needs: Mapping[str, int | str] | str | None = None,
        **policy: object,
    ) -> int:
        """Enqueue a job and return its id. Durable on return.

        One text is a line for the shell; with `args` it is a program and its arguments, no shell.
        `policy` are settings of the job, such as max_retries=5, timeout="10m". It runs in `cwd`,
        else where this program is, with the variables of the setting env-capture and `env`.

        It waits until the jobs of `after`, by id or name, have completed, those of `after_any`
        have ended, those of `after_failed` are dead. `needs` are amounts of what a host has, such
        as {"gpu": 1, "mem": "8G"}; `slots` among them are workers. With a `unique` key that a
        waiting or running job has, that job's id is returned; "auto": queue and command are the
        key. Raises UsageError, NoSuchQueue, NoSuchJob, NameTaken.
        """
        store = self._opened()
        first, rest = asked.command(command, args)
        wait = asked.seconds("delay", delay)
        new = NewJob(
            first, rest, None, asked.text("queue", queue), asked.name(name),
            None if priority is None else asked.whole("priority", priority),
            asked.policy(policy, _ARGUMENTS), store.now() + round(wait * 1000) if wait else None,
            asked.directory(cwd), {**self._captured(), **asked.variables(env)},
            None if stdin is None else asked.data("stdin", stdin), None,
            asked.flag("paused", paused), _submitter(),
            after=asked.before({"after": after, "after_any": after_any, "after_failed": after_failed}),
            needs=asked.needs(needs),
        )  # fmt: skip
        if unique is not None:
            key = check_key(asked.text("unique", unique), "unique")
            new = new._replace(unique=key_of(new) if key == _AUTO else key)
        return int(self._write(lambda store: store.add([new]))[0])

    def submit(self, queue: str, *messages: str) -> list[int]:
        """Submit messages to a queue that has a command, or whose jobs programs claim; return ids.

        All or none. Raises NoSuchQueue, Refused for a queue that takes no messages, UsageError.
        """
        self._opened()
        asked.text("queue", queue)
        for message in messages:
            asked.text("message", message)
        ask = getattr(self.store, "submit", None)
        if ask is not None:
            # over HTTP also with a token that is good for messages only
            found: list[int] = self._write(lambda _: ask(queue, messages))
            return found
        from queuectl.template import template_of

        info = self.queue(queue)
        like = NewJob(
            PULLED, queue=queue, cwd=os.getcwd(), env=self._captured(), submitter=_submitter()
        )
        template = template_of(self.store.settings(queue))
        if template is not None:
            jobs = [template.maker(like)(message) for message in messages]
        elif info.pull:
            jobs = [like._replace(message=message) for message in messages]
        else:
            raise Refused(f"queue {queue} has no command for messages, and is no pull queue")
        return [int(job_id) for job_id in self._write(lambda store: store.add(jobs))]

    def put(self, queue: str, payload: bytes, *, name: str | None = None) -> int:
        """Put a payload into a pull queue as one job; return its id. Raises NoSuchQueue, Refused."""
        content, called = asked.data("payload", payload), asked.name(name)
        if not self.queue(queue).pull:
            raise Refused(f"queue {queue} is no pull queue: its jobs are commands")
        new = NewJob(
            PULLED, queue=queue, name=called, cwd=os.getcwd(), stdin=content,
            submitter=_submitter(),
        )  # fmt: skip
        return int(self._write(lambda store: store.add([new]))[0])

    def _captured(self) -> dict[str, str]:
        """Return the variables that a job takes with it, by the setting env-capture."""
        from fnmatch import fnmatchcase

        from queuectl.settings import BY_NAME

        name = "env-capture"
        made = {**self.store.local_settings, **self.store.settings()}
        patterns = made.get(name, BY_NAME[name].default).split()
        return {
            key: value for key, value in sorted(os.environ.items())
            if not key.startswith("QUEUECTL_") and any(fnmatchcase(key, one) for one in patterns)
        }  # fmt: skip

    # ---- looking ------------------------------------------------------------------------------

    def get(self, job: int | str) -> Job:
        """Return a job by id or name, as it is now. Raises NoSuchJob."""
        asked.one_job("job", job)
        store = self._opened()
        job_id = store.id_of_name(job) if isinstance(job, str) else job
        found = store.get(job_id) if job_id is not None and 0 < job_id < 2**63 else None
        if found is None:
            raise NoSuchJob(job=job)
        return found

    def jobs(
        self, *, state: State | Sequence[State] = (), queue: str | None = None, newest: bool = False
    ) -> Iterator[Job]:
        """Yield jobs by id, a page at a time; `newest`: the last ones first. Raises UsageError."""
        queues = () if queue is None else (asked.text("queue", queue),)
        where = Filter(asked.states(state), queues)
        return self._opened().jobs(where, newest=asked.flag("newest", newest))

    def attempts(self, job: int | str) -> list[Attempt]:
        """Return the attempts of a job, oldest first. Raises NoSuchJob."""
        return self._opened().attempts(self.get(job).id)

    def output(
        self, job: int | str, *, attempt: int | None = None, stream: int | None = None
    ) -> bytes:
        """Return what a job's newest attempt wrote, or the one given; `stream` 1 or 2: one of both.

        Raises NoSuchJob, NotFound when there is no such attempt yet.
        """
        from queuectl.process.output import pieces

        if attempt is not None:
            asked.whole("attempt", attempt, 1)
        if stream is not None:
            asked.whole("stream", stream, 1, 2)
        runs = [one.run for one in self.attempts(job)]
        run = runs[-1] if attempt is None and runs else attempt
        if run not in runs or run is None:
            raise NotFound(f"job {job} has no attempt {attempt or 'yet'}")
        found = self._output(self.get(job).id, run)
        if found is None:
            return b""
        try:
            return b"".join(piece.data for piece in pieces(found, stream=stream))
        except FileNotFoundError:
            raise NotFound(f"the output of job {job}, attempt {run}, is not here") from None

    def _output(self, job_id: int, run: int) -> Output | None:
        found = self.store.output(job_id, run)
        if found is None or found.path is None or os.path.exists(found.path):
            return found
        if self.store.lease is None:
            return found
        from queuectl.host.shipping import shipped

        parts = list(shipped(self.store, job_id, run))
        return found._replace(
            path=None, data=b"".join(data for data, _ in parts),
            marks=b"".join(marks for _, marks in parts),
        )  # fmt: skip

    def wait(self, jobs: Jobs, timeout: float | None = None) -> list[Job]:
        """Wait until jobs have ended, or `timeout` seconds; return them as they are then, in order.

        Look at `state` to see how: waiting raises nothing but NoSuchJob, also for one removed.
        """
        ids = [self.get(job).id for job in asked.several("jobs", jobs)]
        if timeout is not None:
            asked.seconds("timeout", timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _QUICK
        version: object = self
        while True:
            newest = self._opened().version()
            if newest != version:
                version, pause = newest, _QUICK
                found = [self.get(job_id) for job_id in ids]
                if all(job.state in FINAL for job in found):
                    return found
            if deadline is not None and time.monotonic() >= deadline:
                return [self.get(job_id) for job_id in ids]
            left = pause if deadline is None else min(pause, deadline - time.monotonic())
            time.sleep(max(0.0, left))
            pause = min(_SLOW, pause * 1.3)

    # ---- changing -----------------------------------------------------------------------------

    def cancel(self, jobs: Jobs, *, now: bool = False) -> None:
        """Cancel jobs; running ones are asked to end (`now`: killed). Raises NoSuchJob, Refused."""
        asked.flag("now", now)
        self._change(jobs, lambda store, ids: store.cancel(ids, now=now))

    def retry(self, jobs: Jobs) -> None:
        """Run failed jobs now, final ones afresh. Raises NoSuchJob, Refused."""
        self._change(jobs, lambda store, ids: store.retry(ids))

    def remove(self, jobs: Jobs) -> None:
        """Delete jobs that do not run, with history and output. Raises NoSuchJob, Refused."""
        self._change(jobs, lambda store, ids: store.remove(ids))

    def pause(self, jobs: Jobs) -> None:
        """Hold waiting jobs, stop running ones. Raises NoSuchJob, Refused."""
        self._change(jobs, lambda store, ids: store.hold(ids, held=True))

    def resume(self, jobs: Jobs) -> None:
        """Let jobs go on. Raises NoSuchJob, Refused."""
        self._change(jobs, lambda store, ids: store.hold(ids, held=False))

    def _change(self, jobs: Jobs, act: Callable[[Store, Sequence[int]], list[Changed]]) -> None:
        self._opened()
        ids = list(dict.fromkeys(self.get(job).id for job in asked.several("jobs", jobs)))
        refused = [one for one in self._write(lambda store: act(store, ids)) if not one.done]
        if refused:
            raise Refused("; ".join(f"job {one.job_id}: {one.why}" for one in refused))

    # ---- queues -------------------------------------------------------------------------------

    def queues(self) -> list[QueueInfo]:
        """Return every queue, by name."""
        return self._opened().queues()

    def queue(self, name: str) -> QueueInfo:
        """Return a queue. Raises NoSuchQueue."""
        asked.text("queue", name)
        queues = {one.name: one for one in self._opened().queues()}
        if name not in queues:
            raise NoSuchQueue(queue=name, hint=did_you_mean(name, queues))
        return queues[name]

    def create_queue(self, name: str, *, limit: int | None = None, pull: bool = False) -> bool:
        """Create a queue; False if it was there, and is left as it is.

        `pull`: its jobs are for programs that `claim` them, workers pass them over.
        """
        self._opened()
        asked.queue_name(name)
        asked.flag("pull", pull)
        if limit is not None:
            asked.whole("limit", limit, 1)
        return self._write(lambda store: store.create_queue(name, limit=limit, pull=pull))

    # ---- working ------------------------------------------------------------------------------

    def claim(self, queue: str, *, wait: float | None = 0.0, want: int = 1) -> Iterator[ClaimedJob]:
        """Yield jobs of a queue, claimed one after the other, until there was none for `wait` s.

        `wait` 0: until nothing can be claimed at the moment; None: for ever. `want` are claimed at
        a time. The leases are renewed in the background for as long as this Queue is open. Raises
        NoSuchQueue, StoreUnavailable.
        """
        asked.whole("want", want, 1)
        return self._working().claims(*_claiming(queue, wait), want)

    def claim_one(self, queue: str, *, wait: float | None = 0.0) -> ClaimedJob | None:
        """Claim one job, or None when there was none for `wait` seconds."""
        found = self._working().claim(*_claiming(queue, wait), 1)
        return found[0] if found else None

    def _working(self) -> Crew:
        with self._lock:
            self._opened()
            if self._crew is None:
                self._crew = Crew(self.store, self._write, self._lease)
            return self._crew


def _claiming(queue: str, wait: float | None) -> tuple[str, float | None]:
    return asked.text("queue", queue), None if wait is None else asked.seconds("wait", wait)


def _submitter() -> str:
    from queuectl.client.work import _user

    return f"{_user()}@{os.uname().nodename}"
