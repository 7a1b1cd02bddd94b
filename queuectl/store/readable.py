"""What a store can be asked: the half of its contract (queuectl.store.base) that changes nothing.

Any thread may ask; it sees what has been committed, within a transaction of its own also what that
has written. Every method raises StoreUnavailable, or one of its kin, when the store cannot be used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from queuectl.store.records import LOOKED_AT, PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queuectl.job import Attempt, Job, Output, State
    from queuectl.store.records import (
        Alike,
        Dependency,
        Ended,
        Filter,
        Held,
        HostInfo,
        QueueInfo,
        Schedule,
    )


class Readable(ABC):
    """A place where jobs live, for whoever looks."""

    # ---- the store ------------------------------------------------------------------------------

    @abstractmethod
    def now(self) -> int:
        """Return the store's time in ms: the clock all its decisions go by."""

    @abstractmethod
    def version(self) -> object:
        """Return something that is different after any commit by anybody. Cheap: for polling."""

    # ---- jobs -----------------------------------------------------------------------------------

    @abstractmethod
    def get(self, job_id: int) -> Job | None:
        """Return a job or None."""

    @abstractmethod
    def jobs(
        self, where: Filter, *, limit: int | None = None, newest: bool = False
    ) -> Iterator[Job]:
        """Yield jobs by id (`newest`: descending). Reads a page at a time; holds no snapshot."""

    @abstractmethod
    def ids(self, where: Filter, after: int = 0, limit: int = PAGE) -> list[int]:
        """Return the ids of the first jobs beyond the id `after`, ascending; an empty list: no more.

        Some may be fewer than `limit` although there are more.
        """

    @abstractmethod
    def states_of(self, ids: Sequence[int]) -> dict[int, State]:
        """Return by job its state; those that do not exist are left out."""

    @abstractmethod
    def alike(
        self, where: Filter, limit: int, *, newest: bool = False, most: int = LOOKED_AT
    ) -> list[Alike]:
        """Return jobs by id as `jobs` does, up to `limit` times one alone or some of an array as one.

        One are those that no host has, whose ids follow one another, and that agree in state,
        queue, priority, command line, tries, hold, need, reason and how many others they wait for,
        and in being due or when they will be. Looks at about `most` jobs, however many there are,
        and ends there, also in the middle of such.
        """

    @abstractmethod
    def ran_on(self, ids: Sequence[int]) -> dict[int, str]:
        """Return by job the host of its newest attempt; those that never ran are left out."""

    @abstractmethod
    def finished(self, limit: int) -> list[Job]:
        """Return the final jobs that finished last, newest first."""

    @abstractmethod
    def tally(self, since: int, recent: int) -> list[Ended]:
        """Count the jobs that are completed or dead and became so after a time (ms), by queue.

        And those of them after a later time. Every one is counted: a million take about a second.
        """

    @abstractmethod
    def count(self, where: Filter) -> int:
        """Return how many jobs match; states alone are answered from counters."""

    @abstractmethod
    def counts(self) -> dict[State, int]:
        """Return the number of jobs in every state, from counters."""

    @abstractmethod
    def id_of_name(self, name: str) -> int | None:
        """Return the id of the job of that name: the one not final, else the newest."""

    @abstractmethod
    def newest_id(self, submitter: str | None = None) -> int | None:
        """Return the id of the newest job, of one submitter if given."""

    # ---- one job, and what it did ---------------------------------------------------------------

    @abstractmethod
    def attempts(self, job_id: int) -> list[Attempt]:
        """Return the attempts of a job, oldest first."""

    @abstractmethod
    def output(self, job_id: int, run: int) -> Output | None:
        """Return what an attempt wrote, or where; None when it wrote nothing or it was pruned."""

    @abstractmethod
    def payload(self, job_id: int) -> tuple[bytes | None, str | None]:
        """Return a job's standard input: its bytes, or the path of a file, or neither."""

    @abstractmethod
    def held_by(self, host_id: str) -> list[Held]:
        """Return every claim that a host holds."""

    # ---- what waits for what --------------------------------------------------------------------

    @abstractmethod
    def dependencies(self, job_id: int) -> list[Dependency]:
        """Return what a job waits for, or waited for, in order of id."""

    @abstractmethod
    def dependents(self, job_id: int) -> list[int]:
        """Return the ids of the jobs that depend on one."""

    @abstractmethod
    def waits(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """Return (job, a job it waits for) for what these jobs wait for and is not met, each once."""

    @abstractmethod
    def given_up(self, ids: Sequence[int]) -> list[int]:
        """Return the jobs that were cancelled as a dependency on one of these could never be met.

        And those that were so because of these, and so on; in order of id. Not what somebody
        cancelled, nor what was so because of that.
        """

    @abstractmethod
    def roots(self, job_id: int, most: int = PAGE) -> list[int]:
        """Return the jobs because of which what a job waits for can never be, up to `most`, by id.

        What they waited for is met, or may be yet, or somebody cancelled them; or they are gone.
        Retried with all that is `given_up` for them they let the job run again.
        """

    @abstractmethod
    def line(self, before: int | None = None, most: int = 1000) -> list[tuple[int, int]]:
        """Return (first job, how many) of each kind of jobs that stand before one, in claim order.

        A kind are jobs of a queue that is not paused that are alike to a claim: with the same
        needs, and of the same array where that has a limit. Those are counted that are due and
        neither held nor waiting for others, up to `most` in all; limits, rates and what hosts have
        is not asked. `before` None: before a job that comes last of all.
        """

    @abstractmethod
    def next_due(self, since: int | None = None) -> int | None:
        """Return when the next waiting job becomes due, a rate lets one start, or a schedule fires.

        Of rates that let one start by now, those are told that did not at `since` (None: now):
        whoever claims without success and asks then says when the claim began, or it could wait
        for ever for what came about between the two.
        """

    # ---- queues, schedules, settings, hosts -----------------------------------------------------

    @abstractmethod
    def queues(self) -> list[QueueInfo]:
        """Return every queue, by name."""

    @abstractmethod
    def schedules(self) -> list[Schedule]:
        """Return every schedule, by name."""

    @abstractmethod
    def settings(self, queue: str | None = None) -> dict[str, str]:
        """Return the settings made for the store (None) or one queue, canonical text."""

    @abstractmethod
    def note(self, name: str) -> bytes | None:
        """Return what was last noted under a name, or None."""

    @abstractmethod
    def hosts(self) -> list[HostInfo]:
        """Return the registered hosts, oldest first. A dead one is there until it is recovered."""

    @abstractmethod
    def expired(self) -> list[str]:
        """Return the hosts whose lease has ended by the store's clock.

        Of a store without a `lease` only those that have one of their own (`HostInfo.lease`).
        """

    # ---- what nobody needs any more -------------------------------------------------------------

    def unused(self) -> dict[str, list[int]]:
        """Return which environments and policies no job has, and nobody gave to one for days.

        Ids by table. Reads every job: for now and then. A remote store's server sees to its own.
        """
        return {}
