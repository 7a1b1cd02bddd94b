"""What the shell knows about the store without asking it: for the toolbar and for completion.

A thread looks at the counters now and then, and at the jobs themselves only while somebody types
and something has changed. Whoever draws or completes reads the latest picture, an immutable
record, so no key ever waits for SQL.
"""

from __future__ import annotations

import threading
import time

from queuectl.commands.result import plural, short_id
from queuectl.host.life import living
from queuectl.job import CANCELLED, COMPLETED, DEAD, FAILED, PENDING, PROCESSING
from queuectl.record import Record
from queuectl.resources import format_amount
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from queuectl.commands.context import Context
    from queuectl.job import State
    from queuectl.store.base import HostInfo

#: seconds between two looks: while things change, and after a long time in which nothing did
LOOK, SLOWEST = 0.5, 2.0
#: a person who has not typed for so many seconds needs no new list of jobs
ATTENTION = 10.0
#: jobs of each state that completion offers
MOST = 40
#: the part of its time that the thread may spend on lists
SHARE = 0.1
#: whose jobs are offered first, and whether the newest of them are
_ORDER: tuple[tuple[State, bool], ...] = (
    (PROCESSING, False), (FAILED, True), (PENDING, True), (DEAD, True),
    (COMPLETED, True), (CANCELLED, True),
)  # fmt: skip


class KnownJob(Record):
    """As much of a job as completion shows."""

    id: int
    name: str | None
    state: State
    command: str


class KnownQueue(Record):
    """A queue and a word about it."""

    name: str
    about: str


class Picture(Record):
    """All that is known. Nothing in it changes."""

    counts: Mapping[State, int] = {}
    #: workers of this shell, and how many of them run a job
    workers: int = 0
    running: int = 0
    #: workers of other processes
    elsewhere: int = 0
    queues: tuple[KnownQueue, ...] = ()
    #: other hosts: a short id and what to say about it
    hosts: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, str] = {}
    newest_id: int | None = None
    #: what keeps the store from being used, or jobs from being started, if anything does
    trouble: str | None = None
    #: queues that have paused themselves
    halted: tuple[str, ...] = ()
    #: schedules: a name and what to say about it
    schedules: tuple[tuple[str, str], ...] = ()
    #: resources that hosts have: a name and what to say about it
    resources: tuple[tuple[str, str], ...] = ()
    #: hosts that have died and that nobody has recovered yet
    dead: int = 0


class Known:
    """The thread and its latest pictures."""

    def __init__(self, context: Context, on_change: Callable[[], None]) -> None:
        """Know nothing yet. `on_change` is called on the thread of this object."""
        self._context = context
        self._on_change = on_change
        #: the latest picture; one attribute, so that readers need no lock
        self.picture = Picture()
        #: jobs to offer, the likeliest first
        self.jobs: tuple[KnownJob, ...] = ()
        self._stale = True
        self._attention_until = 0.0
        self._lists_after = 0.0
        self._looked = float("-inf")
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="known", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it must not outlive the store."""
        self._stopped.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def nudge(self) -> None:
        """Look soon: this session changed something."""
        self._stale = True
        self._wake.set()

    def attend(self) -> None:
        """Keep the list of jobs fresh for a while: somebody types. Cheap enough for every key."""
        self._attention_until = time.monotonic() + ATTENTION
        if self._stale:
            self._wake.set()

    def _run(self) -> None:
        pause = 0.0
        while True:
            asked = self._wake.wait(pause)
            # one look for all that happens within the time between two
            rest = self._looked + LOOK - time.monotonic() if asked else 0.0
            if self._stopped.wait(max(0.0, rest)):
                return
            self._wake.clear()
            if self._stopped.is_set():
                return
            changed = self._look()
            pause = LOOK if changed else min(max(pause, LOOK) * 1.5, SLOWEST)

    def _look(self) -> bool:
        """Take a new picture; say whether it differs from the last."""
        self._looked = time.monotonic()
        try:
            picture = self._take()
            changed = picture != self.picture
            self._stale = self._stale or changed
            if (
                self._stale
                and self._looked < self._attention_until
                and self._looked >= self._lists_after
            ):
                self._stale = False
                self._lists(picture)
                changed = True
        except Exception as error:  # noqa: BLE001 - the prompt must outlive any store
            picture = self.picture._replace(trouble=str(error))
            changed = picture != self.picture
        self.picture = picture
        if changed:
            self._on_change()
        return changed

    def _take(self) -> Picture:
        store, own = self._context.store, self._context.running_host
        registered = store.hosts()
        everyone = living(store, registered)
        hosts = [host for host in everyone if own is None or host.id != own.id]
        queues = store.queues()
        return Picture(
            store.counts(),
            own.workers if own else 0,
            len(own.running()) if own else 0,
            sum(host.workers for host in hosts),
            tuple(
                KnownQueue(queue.name, _about_queue(queue.counts, queue.limit, paused=queue.paused))
                for queue in queues
            ),
            tuple(
                (
                    short_id(host.id),
                    f"{host.hostname}, pid {host.pid}, {plural(host.workers, 'worker')}",
                )
                for host in hosts
                if host.workers
            ),
            {**store.local_settings, **store.settings()},
            store.newest_id(),
            own.trouble if own else None,
            tuple(queue.name for queue in queues if queue.paused_why),
            tuple(
                (one.name, f"{'paused, ' if one.paused else ''}{one.spec} {one.zone}".rstrip())
                for one in store.schedules()
            ),
            tuple(_resources(everyone)),
            len(registered) - len(everyone),
        )

    def _lists(self, picture: Picture) -> None:
        began = time.monotonic()
        self.jobs = tuple(self._some_jobs(picture))
        took = time.monotonic() - began
        self._lists_after = began + took / SHARE

    def _some_jobs(self, picture: Picture) -> Iterator[KnownJob]:
        for state, newest in _ORDER:
            # asking for no more than there are lets the store stop looking when it has them
            limit = min(MOST, picture.counts.get(state, 0))
            if not limit:
                continue
            where = Filter(states=(state,))
            for job in self._context.store.jobs(where, limit=limit, newest=newest):
                yield KnownJob(job.id, job.name, job.state, job.words)


def _resources(hosts: Sequence[HostInfo]) -> Iterator[tuple[str, str]]:
    """Yield the resources of any host, with the most that one of them has."""
    most: dict[str, int] = {}
    for host in hosts:
        for name, amount in host.resources.items():
            most[name] = max(amount, most.get(name, 0))
    for name in sorted(most):
        yield name, f"at most {format_amount(most[name])} on a host"


def _about_queue(counts: Mapping[State, int], limit: int | None, *, paused: bool) -> str:
    parts = ["paused"] if paused else []
    parts += [f"{number} {state}" for state, number in counts.items() if number]
    if limit is not None:
        parts.append(f"limit {limit}")
    return ", ".join(parts)
