"""Enqueueing in a SQL store: jobs to rows, in one pass however many they are."""

from __future__ import annotations

from queuectl import job as j
from queuectl.errors import DependencyCycle, NameTaken, NoSuchJob
from queuectl.record import Record
from queuectl.store import rules
from queuectl.store.base import Existing
from queuectl.store.sql.dependents import cycle_in, has_met, shown_cycle
from queuectl.store.sql.editing import Editing
from queuectl.store.sql.sqlstore import pack_needs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from queuectl.job import NewJob, State

#: the columns of an engine's block `add`, in the order of the values that are given to it; a new
#: job's state is pending, and what is not here is 0 or NULL
ADD_COLUMNS = (
    "id, queue, track, name, lane, priority, due_at, command, args, shell, cwd, environment, policy,"
    " max_retries, submitter, paused, has_stdin, created_at, next_run_at"
)
#: those of `add_more`, for jobs that have one of these
MORE_COLUMNS = ADD_COLUMNS + ", message, unique_key, array_id, array_index, schedule, unmet"


class _Place(Record):
    """What jobs of one queue with the same own policy have in common."""

    policy: int
    max_retries: int
    priority: int
    track: int


class _Waiting(Record):
    """A new job that waits for others: its row is made when it is known for how many."""

    job_id: int
    new: NewJob
    environment: int
    place: _Place
    array: int


class _Batch:
    """What the jobs of one `add` know of each other, and the rows they become."""

    def __init__(self, now: int, ids: Iterable[int]) -> None:
        self.now = now
        self.ids = iter(ids)
        self.places: dict[tuple[str, tuple[tuple[str, str], ...]], _Place] = {}
        self.env: Mapping[str, str] | None = None
        self.environment = 0
        self.names: dict[str, int] = {}
        #: jobs that have names of these already, and are not final
        self.held: Mapping[str, int] = {}
        self.uniques: dict[str, int] = {}
        #: ids of arrays, by key
        self.arrays: dict[str, int] = {}
        self.tracks: dict[tuple[str, int, bytes], int] = {}
        self.waiting: list[_Waiting] = []
        self.plain: list[tuple[Any, ...]] = []
        self.more: list[tuple[Any, ...]] = []
        self.last_id = 0
        #: how many jobs came into each queue
        self.pending: dict[str, int] = {}


class Adding(Editing):
    """`add`. One thread at a time."""

    def add(self, jobs: Sequence[NewJob]) -> list[int]:
        """Enqueue all of `jobs` or none; return their ids."""
        with self.transaction():
            batch = _Batch(self.now(), self.new_ids(len(jobs)))
            names = [new.name for new in jobs if new.name is not None]
            if names:
                batch.held = self.holders("name", names)
            ids = [self._enqueue(new, batch) for new in jobs]
            waits = self._resolve(batch, ids)
            ended = self._look_at(waits, ids)
            for one in batch.waiting:
                batch.environment = one.environment
                pairs = waits[one.job_id]
                unmet = sum(not has_met(kind, on, ended) for on, kind in pairs)
                batch.more.append(
                    self._longer_row(one.new, one.job_id, batch, one.place, one.array, unmet)
                )
            if batch.plain:
                self.run_many(self.block("add"), batch.plain)
            if batch.more:
                self.run_many(self.block("add_more"), batch.more)
            if batch.last_id:
                self.used_ids(batch.last_id)
            for queue, jobs_there in batch.pending.items():
                self.moved(queue, None, j.PENDING, jobs_there)
            self.link(waits, ended)
            return ids

    def _enqueue(self, new: NewJob, batch: _Batch) -> int:
        """Make a job's row; return its id."""
        if new.unique is not None and (found := self._existing(new, batch)) is not None:
            return Existing(found)
        queue, env = new.queue, new.env
        key = (queue, tuple(new.policy.items()))
        place = batch.places.get(key)
        if place is None:
            place = batch.places[key] = self._place_of(new)
        if new.name is not None:
            _refuse_known_name(new.name, batch)
        # after what may refuse it: an id of a sequence does not come back
        batch.last_id = job_id = next(batch.ids)
        if env is not batch.env:
            batch.env, batch.environment = env, self.intern("environment", env)
        if new.name is not None:
            batch.names[new.name] = job_id
        batch.pending[queue] = batch.pending.get(queue, 0) + 1
        if _is_plain(new):
            batch.plain.append(self._row(new, job_id, batch, place))
        else:
            place, array = self._in_array(new, job_id, batch, place)
            if new.after:
                batch.waiting.append(_Waiting(job_id, new, batch.environment, place, array))
            else:
                batch.more.append(self._longer_row(new, job_id, batch, place, array, 0))
        if new.stdin is not None or new.stdin_path is not None:
            self.keep_payload(job_id, new.stdin, new.stdin_path)
        return job_id

    def _existing(self, new: NewJob, batch: _Batch) -> int | None:
        """Return the id of the job that has a new one's unique key already, if one has."""
        key = new.unique or ""
        found = batch.uniques.get(key) or self.holder("unique_key", key)
        if found is not None and new.name is not None:
            # who depends on the new one by its name depends on that one
            batch.names.setdefault(new.name, found)
        return found

    def _place_of(self, new: NewJob) -> _Place:
        """Return what is decided by the queue and the job's own settings. Raises NoSuchQueue."""
        queue = self.settings(self.known_queue(new.queue))
        policy = rules.policy_of(new, queue, self.settings(), self.local_settings)
        max_retries = int(policy.pop("max-retries"))
        track = self.track_of(new.queue, 0, None, b"")
        priority = int(queue.get("priority", "0"))
        return _Place(self.intern("policy", policy), max_retries, priority, track)

    def _row(self, new: NewJob, job_id: int, batch: _Batch, place: _Place) -> tuple[Any, ...]:
        """Return the values of ADD_COLUMNS of a plain job."""
        now, due_at = batch.now, new.due_at
        if due_at is None or due_at < now:
            due_at = now
        policy, max_retries, priority, track = place
        if new.priority is not None:
            priority = new.priority
        if new.paused:
            lane = rules.HELD
        elif due_at <= now:
            lane = rules.READY
            self.became_ready(track, priority, due_at, job_id)
        else:
            lane = rules.LATER
            self.work_made = True
        args, shell = new.args, new.shell
        return (
            job_id,
            new.queue,
            track,
            new.name,
            lane,
            priority,
            due_at,
            self.to_column(new.command),
            None if args is None else rules.pack_words(args),
            int(not args if shell is None else shell),
            self.to_column(new.cwd),
            batch.environment,
            policy,
            max_retries,
            new.submitter,
            int(new.paused),
            rules.kind_of_payload(new.stdin, new.stdin_path),
            now,
            due_at if due_at > now else None,
        )

    def _in_array(
        self, new: NewJob, job_id: int, batch: _Batch, place: _Place
    ) -> tuple[_Place, int]:
        """Return the place of a job that is not plain, and the id of its array or 0."""
        array, limit = 0, None
        if new.array is not None:
            array = batch.arrays.setdefault(new.array.key, job_id)
            limit = new.array.limit
        if new.unique is not None:
            batch.uniques[new.unique] = job_id
        if new.needs or limit is not None:
            key = (new.queue, array if limit is not None else 0, pack_needs(new.needs))
            if key not in batch.tracks:
                batch.tracks[key] = self.track_of(key[0], key[1], limit, key[2])
            place = place._replace(track=batch.tracks[key])
        return place, array

    def _longer_row(
        self, new: NewJob, job_id: int, batch: _Batch, place: _Place, array: int, unmet: int
    ) -> tuple[Any, ...]:
        """Return the values of MORE_COLUMNS of any job."""
        held = new._replace(paused=True) if unmet else new
        row = list(self._row(held, job_id, batch, place))
        row[_PAUSED] = int(new.paused)
        return (
            *row,
            None if new.message is None else self.to_column(new.message),
            new.unique,
            array or None,
            None if new.array is None else new.array.number,
            new.schedule,
            unmet,
        )

    def _resolve(self, batch: _Batch, ids: Sequence[int]) -> dict[int, list[tuple[int, str]]]:
        """Return what the jobs of a batch wait for. Raises NoSuchJob, DependencyCycle."""
        waits: dict[int, list[tuple[int, str]]] = {}
        fresh = {job_id for job_id in ids if not isinstance(job_id, Existing)}
        for one in batch.waiting:
            for after in one.new.after:
                # nobody can know the id of a job that is only being enqueued
                if after.on in fresh:
                    raise NoSuchJob(job=after.on)
            waits[one.job_id] = self.resolved(one.new.after, batch.names)
        if any(on >= job_id for job_id, pairs in waits.items() for on, _ in pairs):
            cycle = cycle_in({job_id: [on for on, _ in pairs] for job_id, pairs in waits.items()})
            if cycle is not None:
                names = {one.job_id: one.new.name or str(one.job_id) for one in batch.waiting}
                raise DependencyCycle(cycle=shown_cycle([names[node] for node in cycle]))
        return waits

    def _look_at(
        self, waits: Mapping[int, Sequence[tuple[int, str]]], ids: Sequence[int]
    ) -> dict[int, State]:
        """Return how those have ended that jobs of a batch wait for and that were there before it."""
        fresh = {job_id for job_id in ids if not isinstance(job_id, Existing)}
        return self.ended_of({on for pairs in waits.values() for on, _ in pairs} - fresh)


def _refuse_known_name(name: str, batch: _Batch) -> None:
    """Refuse a name that a job not final has, or one earlier in the batch."""
    taken = batch.held.get(name, batch.names.get(name))
    if taken is not None:
        raise NameTaken(name=name, job=taken)


_PAUSED = ADD_COLUMNS.split(", ").index("paused")


def _is_plain(new: NewJob) -> bool:
    """Whether a job has none of MORE_COLUMNS and is of its queue's plain track."""
    # the fields from `message` on, all at once: this is asked for every job of a bulk
    return new[_FIRST_MORE:] == _PLAIN


_FIRST_MORE = j.NewJob._fields.index("message")
_PLAIN = tuple(j.NewJob(""))[_FIRST_MORE:]
