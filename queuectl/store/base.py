"""What a store must do. tests/contract is the same page in the form of tests.

A store is the truth about jobs. Every writing method is atomic and, when it has returned outside a
transaction, durable; within `transaction()` it becomes durable with the outermost one. Writing
methods of one Store object belong to one thread at a time (in a worker host: the pump). What may be
read, by any thread, is in queuectl.store.readable.

A job is *eligible* for a claim when it is due, not held, waits for no other job, its queue is not
paused and has room below its limit and its rate, its array has room below its own limit, the host
has what the job needs, and no host holds a claim on it. Claims are handed out by priority (higher
first), then the time the job became due, then id, across all queues asked for. Only what a host
lacks at the moment lets others pass, see `Room`.

A dependency is decided in the transaction in which the job it is on ends (or is removed): it is
met, or can never be met; then the job that waits is cancelled with the reason, and what waits for
that one in turn, unless its policy says `unmet = keep`. A job that was kept goes on waiting, and is
met if the other one is retried and then ends so.

Any method raises StoreUnavailable, or one of its kin, when the store cannot be used. A write that
raised has changed nothing, unless the error says that this is not known.

Every claim carries a fresh token. Whatever is later said about the claim (started, settled,
released) names the token, and is refused without effect when the job has another one by then: of
all who believe they run a job, one can settle it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from queuectl.store.readable import Readable
from queuectl.store.records import (
    LOOKED_AT,
    PAGE,
    Alike,
    Changed,
    Check,
    Dependency,
    Ended,
    Existing,
    Filter,
    Held,
    HostInfo,
    QueueInfo,
    Rate,
    Room,
    Saved,
    Schedule,
    Settled,
    Settlement,
    Start,
    Wish,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from queuectl.job import Claim, NewJob, State

__all__ = [
    "LOOKED_AT",
    "PAGE",
    "Alike",
    "Changed",
    "Check",
    "Dependency",
    "Ended",
    "Existing",
    "Filter",
    "Held",
    "HostInfo",
    "Listener",
    "QueueInfo",
    "Rate",
    "Room",
    "Saved",
    "Schedule",
    "Settled",
    "Settlement",
    "Start",
    "Store",
    "Wish",
]


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
        """Whether the store was written since the last call, told or not: the net below.

        Raises StoreUnavailable when that cannot be seen.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop listening."""


class Store(Readable):
    """Where jobs live. See the module's text for what a caller may rely on."""

    #: what to show a user, without secrets
    name: str
    #: URL by which another process here opens the same store, without secrets; empty: none can
    public_url: str = ""
    #: where hosts on this machine keep their files and their jobs' larger output; never one that
    #: another machine sees too
    local_directory: str
    #: settings from the environment, weaker than any in the store
    local_settings: Mapping[str, str]
    #: seconds within which a host must renew, else others take its jobs; None: its file tells
    lease: float | None = None
    #: whether `transaction` makes one of several calls; else each is atomic by itself
    groups: bool = True
    #: whether who serves it takes the claims of expired hosts back, so that no host needs to look
    tended: bool = False

    # ---- life ---------------------------------------------------------------------------------

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. Idempotent."""

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
        Where a job that is not final has the same unique key, its id is returned as `Existing`
        and nothing is enqueued in that place. Raises NoSuchQueue, NameTaken, NoSuchJob (a
        dependency), DependencyCycle.
        """

    @abstractmethod
    def restore(self, jobs: Sequence[Saved]) -> None:
        """Put exported jobs back under their ids, all or none; queues they name are created.

        One that was running is restored as waiting. Raises IdTaken, NameTaken.
        """

    # ---- the life of a claim ------------------------------------------------------------------

    @abstractmethod
    def claim(
        self,
        host_id: str,
        want: int,
        queues: Sequence[str] = (),
        ahead: int = 0,
        room: Room | None = None,
    ) -> list[Claim]:
        """Claim up to `want` eligible jobs for a host, best first; `queues` empty means all.

        Up to `ahead` more are claimed for workers that will be free soon, never from a queue with
        a limit or a rate, of an array with a limit, or with needs. A job that needs slots counts
        for as many of `want`. `room` None: a host of `want` workers without resources. Pull
        queues give only to who names them. Promotes jobs that have become due first, and goes on
        until it has found what was wanted or nothing more is due; where more than 20,000 became due
        since the last claim, the order holds among those that became due first. No work is an empty
        list.
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

    # ---- what people ask for ------------------------------------------------------------------

    @abstractmethod
    def cancel(self, ids: Sequence[int], *, now: bool = False) -> list[Changed]:
        """Cancel each job: at once when no host has it, else by asking its host (`now`: SIGKILL)."""

    @abstractmethod
    def retry(self, ids: Sequence[int], *, keep_attempts: bool = False) -> list[Changed]:
        """Make failed jobs due now; start dead, cancelled and completed ones afresh.

        What others of them wait for is restarted first; the answers are in the order given. One
        that waits for what can never be is refused, and `Changed.waits_for` says for what.
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
    def edit_all(self, ids: Sequence[int], changes: Mapping[str, object]) -> list[Changed]:
        """Change the same fields of each job as `edit` does, in the order given; all or none."""

    @abstractmethod
    def move(self, ids: Sequence[int], *, first: bool) -> list[Changed]:
        """Put waiting jobs before (or behind) all that is ready in their queues.

        They take the priority of the job they are put next to, keep the order given, and are due
        then, also where nothing was ready. `Changed.note` says what of a job this has changed.
        """

    @abstractmethod
    def remove(self, ids: Sequence[int]) -> list[Changed]:
        """Delete jobs with their history and output; a claimed one is refused."""

    @abstractmethod
    def prune(self, states: Sequence[State], before: int | None, most: int = 1000) -> int:
        """Delete up to `most` final jobs that finished before a time (None: any); return how many."""

    def drop_unused(self, found: Mapping[str, Sequence[int]]) -> int:  # noqa: ARG002
        """Delete what `unused` found, but for what has been given to a job since; return how many."""
        return 0

    @abstractmethod
    def wish(self, ids: Sequence[int], kind: str, payload: bytes = b"") -> list[Changed]:
        """Ask the hosts of running jobs for something (see Wish)."""

    @abstractmethod
    def take_wishes(self, host_id: str) -> list[Wish]:
        """Return and delete what a host was asked for."""

    # ---- output for other machines ------------------------------------------------------------

    # only a store with a `lease` is asked: its hosts may be on other machines

    def ship(
        self, job_id: int, run: int, token: str, offset: int, data: bytes, marks: bytes
    ) -> bool:
        """Keep a piece of a running attempt's output for readers on other machines.

        `data` stands at `offset` of its output file, `marks` are the records of queuectl.process.recorder
        that end within it. A piece that is there already is left. Like `renew` it may be called
        from any thread. False: the token is no longer the current one.
        """
        raise NotImplementedError

    def shipped(self, job_id: int, run: int, offset: int = 0) -> list[tuple[int, bytes, bytes]]:
        """Return (offset, data, marks) of pieces kept that begin at or after `offset`, in order.

        About 4 MiB at the most: ask again behind the last. They go with the attempt's output.
        """
        raise NotImplementedError

    # ---- queues, settings, hosts --------------------------------------------------------------

    @abstractmethod
    def create_queue(
        self, name: str, *, limit: int | None = None, rate: Rate | None = None, pull: bool = False
    ) -> bool:
        """Create a queue; False if it was there already (and is left as it is)."""

    @abstractmethod
    def change_queue(self, name: str, changes: Mapping[str, object]) -> None:
        """Change `limit` and `rate` (None: none) and `pull` of a queue. Raises NoSuchQueue."""

    @abstractmethod
    def pause_queue(self, name: str, *, paused: bool) -> None:
        """Stop or resume claims from a queue; resumed, it counts its deaths anew.

        Raises NoSuchQueue.
        """

    @abstractmethod
    def remove_queue(self, name: str) -> None:
        """Delete a queue that has no jobs, with its settings.

        Raises NoSuchQueue, and Refused for one with jobs, `default` and `hooks`.
        """

    # ---- dependencies, schedules, notes -------------------------------------------------------

    @abstractmethod
    def put_schedule(self, schedule: Schedule) -> None:
        """Write a schedule, whether it is there or not."""

    @abstractmethod
    def remove_schedule(self, name: str) -> bool:
        """Delete a schedule, not its jobs; False: there is none of that name."""

    @abstractmethod
    def fire(
        self, name: str, due: int, next_at: int | None, jobs: Sequence[NewJob], note: str | None
    ) -> list[int] | None:
        """Fire a schedule that is not paused and whose `next_at` is still `due`; else do nothing.

        Enqueues `jobs` and moves it on, in one transaction: of several hosts one fires. Returns
        the ids, or None when somebody else did it or it has changed.
        """

    @abstractmethod
    def put_note(self, name: str, data: bytes | None) -> None:
        """Note something under a name, or forget it; in a transaction it happens with the rest.

        For what must be as durable as jobs: offsets of spool files, answers given to clients.
        """

    @abstractmethod
    def prune_notes(self, prefix: str, before: int) -> int:
        """Delete the notes whose name begins so and that were put before a time (ms); count them."""

    @abstractmethod
    def set(self, name: str, text: str | None, queue: str | None = None) -> None:
        """Make a setting (canonical text), or take it back (None)."""

    @abstractmethod
    def register(self, host: HostInfo) -> None:
        """Add a host, or write its row again."""

    @abstractmethod
    def renew(self, host_id: str) -> bool:
        """Say that a host lives: its lease runs anew from now. False: it has been recovered.

        May be called from any thread, beside all else: it has a connection of its own, and comes
        back (StoreUnavailable) within seconds when the server does not answer.
        """

    @abstractmethod
    def forget(self, host_id: str) -> None:
        """Delete the row of a host that holds no claim."""

    @abstractmethod
    def ask_stop(self, host_id: str, how: str, workers: int | None = None) -> bool:
        """Ask a host to stop (`drain` or `now`) some or all workers; False: no such host."""

    # ---- keeping ------------------------------------------------------------------------------

    @abstractmethod
    def backup(self, path: str) -> None:
        """Write a consistent copy to a new file. Raises Refused where the engine has its own way."""

    @abstractmethod
    def checks(self) -> list[Check]:
        """Look at the engine's own health: version, integrity, log, connections."""
