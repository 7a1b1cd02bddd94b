"""What a store must do. tests/contract is the same page in the form of tests.

A store is the truth about jobs. Every writing method is atomic and, when it has returned outside a
transaction, durable; within `transaction()` it becomes durable with the outermost one. Writing
methods of one Store object belong to one thread at a time (in a worker host: the pump); reading
methods may be called from any thread and see what has been committed.

A job is *eligible* for a claim when it is due, not held, its queue is not paused and has room
below its limit, and no host holds a claim on it. Claims are handed out by priority (higher first),
then the time the job became due, then id, across all queues asked for.

Every claim carries a fresh token. Whatever is later said about the claim (started, settled,
released) names the token, and is refused without effect when the job has another one by then: of
all who believe they run a job, one can settle it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from queuectl.job import Attempt, Claim, Job, NewJob, Outcome, Output, State

#: a page of `jobs()` when nothing else is asked
PAGE = 1000


class Filter(Record):
    """Which jobs; what is empty or None does not restrict."""

    states: tuple[State, ...] = ()
    queues: tuple[str, ...] = ()
    #: ranges of ids, both ends included; None is open
    ranges: tuple[tuple[int, int | None], ...] = ()
    #: glob over names
    name: str | None = None
    #: enqueued at or after, ms
    since: int | None = None
    #: last attempt's exit status
    exit_code: int | None = None
    #: held jobs only (True), or jobs that are not held (False)
    paused: bool | None = None


class Start(Record):
    """A claimed job's process is running."""

    job_id: int
    token: str
    run: int
    started_at: int


class Settlement(Record):
    """A claimed attempt has ended."""

    job_id: int
    token: str
    run: int
    outcome: Outcome


class Settled(Record):
    """What became of a settlement. `state` is None when it was refused."""

    job_id: int
    state: State | None
    next_run_at: int | None = None


class Held(Record):
    """A claim that a host holds, as recovery sees it."""

    job_id: int
    token: str
    #: the run its start would have, or has
    run: int
    #: None while the store has not heard of a start
    started_at: int | None


class QueueInfo(Record):
    """A queue and what is in it."""

    name: str
    paused: bool
    #: running jobs at the most; None is no limit
    limit: int | None
    counts: Mapping[State, int]


class HostInfo(Record):
    """A process with workers."""

    id: str
    #: machine name
    hostname: str
    user: str
    pid: int
    version: str
    workers: int
    #: queues its workers take from; empty: all
    queues: tuple[str, ...]
    started_at: int
    seen_at: int
    #: set when somebody asked it to stop: drain or now
    stop_requested: str | None = None
    #: how many of its workers should stop; None all
    stop_workers: int | None = None


class Wish(Record):
    """Something a running job's host is asked to do, in order of asking."""

    id: int
    job_id: int
    token: str
    #: cancel, cancel-now, signal, pause, resume, send
    kind: str
    payload: bytes = b""


class Changed(Record):
    """What came of asking to change one job. `done` False: nothing changed, `why` says so."""

    job_id: int
    done: bool
    why: str = ""
    state: State | None = None


class Listener(ABC):
    """Tells a host that something may have changed. One thread uses it."""

    @abstractmethod
    def fileno(self) -> int:
        """Return a descriptor that becomes readable when somebody committed work."""

    @abstractmethod
    def clear(self) -> None:
        """Forget what has been said so far. Call before looking, not after."""

    @abstractmethod
    def changed(self) -> bool:
        """Whether the store was written since the last call, told or not: the net below."""

    @abstractmethod
    def close(self) -> None:
        """Stop listening."""


class Store(ABC):
    """Where jobs live. See the module's text for what a caller may rely on."""

    #: what to show a user, without secrets
    name: str
    #: where hosts on this machine keep their files and their jobs' larger output
    local_directory: str
    #: settings from the environment, weaker than any in the store
    local_settings: Mapping[str, str]

    # ---- life ---------------------------------------------------------------------------------

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. Idempotent."""

    @abstractmethod
    def now(self) -> int:
        """Return the store's time in ms: the clock all its decisions go by."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Group writes: all of them happen or none. Nested ones are savepoints."""

    @abstractmethod
    def listener(self, host_id: str) -> Listener:
        """Return a listener for a registered host's wake-ups."""

    # ---- enqueue ------------------------------------------------------------------------------

    @abstractmethod
    def add(self, jobs: Sequence[NewJob]) -> list[int]:
        """Enqueue all of `jobs` or none; return their ids, ascending in the given order.

        Policy that a job leaves open is decided here, from queue, store, environment and default.
        Raises NoSuchQueue, NameTaken.
        """

    # ---- the life of a claim ------------------------------------------------------------------

    @abstractmethod
    def claim(
        self, host_id: str, want: int, queues: Sequence[str] = (), ahead: int = 0
    ) -> list[Claim]:
        """Claim up to `want` eligible jobs for a host, best first; `queues` empty means all.

        Up to `ahead` more are claimed for workers that will be free soon, never from a queue with
        a limit. Promotes jobs that have become due first, and goes on until it has found what was
        wanted or nothing more is due; where more than 20,000 became due since the last claim, the
        order holds among those that became due first. No work is an empty list.
        """

    @abstractmethod
    def start(self, starts: Sequence[Start]) -> list[bool]:
        """Record that claimed jobs run: state processing, attempts and runs counted.

        Returns for each whether the token was still the current one.
        """

    @abstractmethod
    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Record how attempts ended and decide what follows (queuectl.store.rules).

        A start that was never recorded is recorded with it. Refused tokens change nothing.
        """

    @abstractmethod
    def release(self, claims: Sequence[tuple[int, str]]) -> int:
        """Give (job id, token) claims back as if they had never been made; return how many were.

        A recorded start is taken back too: the attempt ends as `stopped` and is not counted.
        """

    @abstractmethod
    def lose(self, claims: Sequence[tuple[int, str]]) -> list[Settled]:
        """Take back claims of a lost host of which no start is known: the delivery stays counted."""

    @abstractmethod
    def held_by(self, host_id: str) -> list[Held]:
        """Return every claim that a host holds."""

    # ---- what people ask for ------------------------------------------------------------------

    @abstractmethod
    def cancel(self, ids: Sequence[int], *, now: bool = False) -> list[Changed]:
        """Cancel each job: at once when no host has it, else by asking its host (`now`: SIGKILL)."""

    @abstractmethod
    def retry(self, ids: Sequence[int], *, keep_attempts: bool = False) -> list[Changed]:
        """Make failed jobs due now; start dead, cancelled and completed ones afresh.

        `keep_attempts`: these keep the attempts they have used and have what is left of their
        retries, at least one run; a dead job is run once more and, failing, is dead again.
        """

    @abstractmethod
    def hold(self, ids: Sequence[int], *, held: bool) -> list[Changed]:
        """Hold waiting jobs and SIGSTOP running ones (`held`), or let them go on."""

    @abstractmethod
    def edit(self, job_id: int, changes: Mapping[str, object]) -> Changed:
        """Change fields of a job that no host has; `changes` has names and types of NewJob's fields.

        `policy` is merged into the job's own, None taking a setting back. Raises NameTaken,
        NoSuchQueue.
        """

    @abstractmethod
    def move(self, ids: Sequence[int], *, first: bool) -> list[Changed]:
        """Put waiting jobs before (or behind) all that is ready in their queues.

        They take the priority of the job they are put next to, and keep the order given.
        """

    @abstractmethod
    def remove(self, ids: Sequence[int]) -> list[Changed]:
        """Delete jobs with their history and output; a claimed one is refused."""

    @abstractmethod
    def prune(self, states: Sequence[State], before: int | None, most: int = 1000) -> int:
        """Delete up to `most` final jobs that finished before a time (None: any); return how many."""

    @abstractmethod
    def wish(self, ids: Sequence[int], kind: str, payload: bytes = b"") -> list[Changed]:
        """Ask the hosts of running jobs for something (see Wish)."""

    @abstractmethod
    def take_wishes(self, host_id: str) -> list[Wish]:
        """Return and delete what a host was asked for."""

    @abstractmethod
    def version(self) -> object:
        """Return something that is different after any commit by anybody. Cheap: for polling."""

    # ---- reading ------------------------------------------------------------------------------

    @abstractmethod
    def get(self, job_id: int) -> Job | None:
        """Return a job or None."""

    @abstractmethod
    def jobs(
        self, where: Filter, *, limit: int | None = None, newest: bool = False
    ) -> Iterator[Job]:
        """Yield jobs by id (`newest`: descending). Reads a page at a time; holds no snapshot."""

    @abstractmethod
    def finished(self, limit: int) -> list[Job]:
        """Return the final jobs that finished last, newest first."""

    @abstractmethod
    def count(self, where: Filter) -> int:
        """Return how many jobs match; states alone are answered from counters."""

    @abstractmethod
    def id_of_name(self, name: str) -> int | None:
        """Return the id of the job of that name: the one not final, else the newest."""

    @abstractmethod
    def attempts(self, job_id: int) -> list[Attempt]:
        """Return the attempts of a job, oldest first."""

    @abstractmethod
    def output(self, job_id: int, run: int) -> Output | None:
        """Return what an attempt wrote, or where; None when it wrote nothing or it was pruned."""

    @abstractmethod
    def counts(self) -> dict[State, int]:
        """Return the number of jobs in every state, from counters."""

    @abstractmethod
    def ahead_of(self, job_id: int, most: int = 1000) -> int:
        """Return how many ready jobs would be claimed before a waiting one, counting to `most`."""

    @abstractmethod
    def next_due(self) -> int | None:
        """Return when the next waiting job becomes due, or None."""

    @abstractmethod
    def newest_id(self, submitter: str | None = None) -> int | None:
        """Return the id of the newest job, of one submitter if given."""

    # ---- queues, settings, hosts --------------------------------------------------------------

    @abstractmethod
    def queues(self) -> list[QueueInfo]:
        """Return every queue, by name."""

    @abstractmethod
    def create_queue(self, name: str, *, limit: int | None = None) -> bool:
        """Create a queue; False if it was there already (and is left as it is)."""

    @abstractmethod
    def pause_queue(self, name: str, *, paused: bool) -> None:
        """Stop or resume claims from a queue. Raises NoSuchQueue."""

    @abstractmethod
    def settings(self, queue: str | None = None) -> dict[str, str]:
        """Return the settings made for the store (None) or one queue, canonical text."""

    @abstractmethod
    def set(self, name: str, text: str | None, queue: str | None = None) -> None:
        """Make a setting (canonical text), or take it back (None)."""

    @abstractmethod
    def register(self, host: HostInfo) -> None:
        """Add a host, or write its row again."""

    @abstractmethod
    def renew(self, host_id: str) -> None:
        """Say that a host lives: its lease runs anew from now."""

    @abstractmethod
    def forget(self, host_id: str) -> None:
        """Delete the row of a host that holds no claim."""

    @abstractmethod
    def hosts(self) -> list[HostInfo]:
        """Return the registered hosts, oldest first. A dead one is there until it is recovered."""

    @abstractmethod
    def ask_stop(self, host_id: str, how: str, workers: int | None = None) -> bool:
        """Ask a host to stop (`drain` or `now`) some or all workers; False: no such host."""
