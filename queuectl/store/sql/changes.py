"""What people ask of jobs in a SQL store: cancel, retry, hold, move, remove, prune, wish."""

from __future__ import annotations

import os

from queuectl import job as j
from queuectl.store import rules
from queuectl.store.base import Changed, Wish
from queuectl.store.sql.dependents import Dependents, Put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from typing import Any

    from queuectl.job import State
    from queuectl.store.rules import Facts
    from queuectl.store.sql.together import Together


#: tables that have rows of a job beside its own, and the column with its id
HISTORY = (
    ("output", "job_id"), ("attempt", "job_id"), ("payload", "job_id"), ("dependency", "job_id"),
)  # fmt: skip


class Changes(Dependents):
    """Guarded changes, each job by itself, all in one transaction. One thread at a time."""

    def together(self, ids: Sequence[int], write: Callable[[list[Any]], None]) -> Together:
        """Return what decides on jobs one after the other, and `write`s them at once."""
        from queuectl.store.sql.together import Together

        return Together(self, ids, write)

    def cancel(self, ids: Sequence[int], *, now: bool = False) -> list[Changed]:
        """Cancel each job."""
        kind = "cancel-now" if now else "cancel"
        with self.transaction(), self.together(ids, self.put_all) as jobs:
            at = self.now()
            return [self._cancel(jobs, job_id, kind, at) for job_id in ids]

    def _cancel(self, jobs: Together, job_id: int, kind: str, now: int) -> Changed:
        facts = jobs.facts(job_id)
        if facts is None:
            return missing(job_id)
        if facts.state in j.FINAL:
            why = f"already {facts.state}"
            return Changed(job_id, done=False, why=why, state=facts.state)
        if facts.lane == rules.RUNNING:
            self.run("UPDATE job SET cancel_requested = 1 WHERE id = ?", (job_id,))
            self._wish(job_id, facts, kind, b"")
            return _done(job_id, facts.state)
        jobs.later(Put(job_id, facts, rules.cancelled(facts, now, "cancelled"), False))
        if facts.awaited:
            jobs.follow(job_id, j.CANCELLED)
        return _done(job_id, j.CANCELLED)

    def retry(self, ids: Sequence[int], *, keep_attempts: bool = False) -> list[Changed]:
        """Make failed jobs due now; start dead, cancelled and completed ones afresh."""
        from queuectl.store.order import dependencies_first

        with self.transaction(), self.together(ids, self.put_all) as jobs:
            test, value = self.among("id", ids)
            read = (
                f"SELECT id FROM job WHERE {test} AND (name IS NOT NULL OR unique_key IS NOT NULL)"
            )
            now = self.now()
            named = frozenset(row[0] for row in self.rows(read, (value,)))
            first: dict[int, Changed | None] = {
                job_id: self._retry(jobs, job_id, now, named, keep_attempts=keep_attempts)
                for job_id in dependencies_first(ids, self.waits(ids))
            }
            # an id that was given twice has an answer of its own for the second time
            return [
                first.pop(job_id, None)
                or self._retry(jobs, job_id, now, named, keep_attempts=keep_attempts)
                for job_id in ids
            ]

    def _retry(
        self, jobs: Together, job_id: int, now: int, named: Container[int], *, keep_attempts: bool
    ) -> Changed:
        facts = jobs.facts(job_id)
        if facts is None:
            return missing(job_id)
        state = facts.state
        if facts.lane == rules.RUNNING:
            return Changed(job_id, done=False, why="is being run", state=state)
        if state == j.PENDING:
            return Changed(job_id, done=False, why="has not been run yet", state=state)
        if state == j.FAILED:
            jobs.later(Put(job_id, facts, rules.retried(facts, now), False))
            return _done(job_id, state)
        unmet, why, never = 0, "", None
        if job_id in named or facts.unmet or facts.awaited:
            # it depends on what was decided of those before it
            jobs.write()
            why = self._taken(job_id)
            if not why:
                unmet, why, never = self.reopen(job_id, facts)
        if why:
            return Changed(job_id, done=False, why=why, state=state, waits_for=never)
        if unmet != facts.unmet:
            self.run("UPDATE job SET unmet = ? WHERE id = ?", (unmet, job_id))
        # a fresh start also with attempts kept: what was lost before does not bury it
        turn = rules.restarted(facts, now, unmet, facts.attempts if keep_attempts else 0)
        jobs.later(Put(job_id, facts, turn, True))
        return _done(job_id, j.PENDING)

    def _taken(self, job_id: int) -> str:
        """Return who has a final job's name or unique key by now, as the reason why it must wait."""
        for column, what in (("name", "name"), ("unique_key", "unique key")):
            found = self.rows(
                f"SELECT id FROM job WHERE {column} = (SELECT {column} FROM job WHERE id = ?)"
                # so said, an index of what is taken serves for both
                f" AND {column} IS NOT NULL AND lane < 4 AND id <> ?",
                (job_id, job_id),
            )
            if found:
                return f"its {what} is taken by job {found[0][0]}"
        return ""

    def remove(self, ids: Sequence[int]) -> list[Changed]:
        """Delete jobs with their history and output."""
        with self.transaction(), self.together(ids, self._delete_all) as jobs:
            return [self._remove(jobs, job_id) for job_id in ids]

    def _remove(self, jobs: Together, job_id: int) -> Changed:
        facts = jobs.facts(job_id)
        if facts is None:
            return missing(job_id)
        if facts.lane == rules.RUNNING:
            why = "is running; cancel it first"
            return Changed(job_id, done=False, why=why, state=facts.state)
        jobs.later((job_id, facts.queue, facts.state, facts.track))
        if facts.awaited and facts.state not in j.FINAL:
            jobs.follow(job_id, None)
        return _done(job_id, facts.state)

    #: see HISTORY; what an engine keeps besides comes first
    history: tuple[tuple[str, str], ...] = HISTORY

    def _delete_all(self, rows: Sequence[tuple[int, str, State, int]]) -> None:
        """Delete jobs, each (id, queue, state, track), with all that is kept of them."""
        ids = [row[0] for row in rows]
        test, value = self.among("job_id", ids)
        read = f"SELECT path FROM output WHERE {test} AND path IS NOT NULL"
        for (path,) in self.rows(read, (value,)):
            name = self.from_column(path)
            self.after_commit.append(lambda name=name: _unlink(name))  # type: ignore[misc]
        for table, column in (*self.history, ("job", "id")):
            test, value = self.among(column, ids)
            self.run(f"DELETE FROM {table} WHERE {test}", (value,))
        for _, queue, state, _ in rows:
            self.moved(queue, state, None)
        arrays = {self.track(track).array_id for track in {row[3] for row in rows}} - {0}
        if arrays:
            # ids are not used again, and so is no array: who has its tracks in memory reads old ones
            test, value = self.among("array_id", sorted(arrays))
            self.run(
                f"DELETE FROM track WHERE {test} AND array_id > 0"
                " AND NOT EXISTS (SELECT 1 FROM job WHERE job.array_id = track.array_id)",
                (value,),
            )

    def prune(self, states: Sequence[State], before: int | None, most: int = 1000) -> int:
        """Delete up to `most` final jobs that finished before a time."""
        if not states:
            return 0
        with self.transaction():
            statement = self.block("old_done").format(states=", ".join("?" * len(states)))
            bound = before if before is not None else 2**62
            rows = self.rows(statement, (bound, *states, most))
            if rows:
                self._delete_all(rows)
            return len(rows)

    def drop_unused(self, found: Mapping[str, Sequence[int]]) -> int:
        """Delete environments and policies that nobody uses."""
        from queuectl.store.sql.unused import drop

        return drop(self, found)

    def wish(self, ids: Sequence[int], kind: str, payload: bytes = b"") -> list[Changed]:
        """Ask the hosts of running jobs for something."""
        changes = []
        with self.transaction():
            self.lock(ids)
            for job_id in ids:
                facts = self.facts(job_id)
                if facts is None:
                    changes.append(missing(job_id))
                elif facts.state != j.PROCESSING:
                    why = "is not running"
                    changes.append(Changed(job_id, done=False, why=why, state=facts.state))
                else:
                    self._wish(job_id, facts, kind, payload)
                    changes.append(Changed(job_id, done=True, state=facts.state))
        return changes

    def _wish(self, job_id: int, facts: Facts, kind: str, payload: bytes) -> None:
        self.run(
            "INSERT INTO wish (host, job_id, token, kind, payload) VALUES (?, ?, ?, ?, ?)",
            (facts.host, job_id, facts.token, kind, payload),
        )
        self.work_made = True

    def take_wishes(self, host_id: str) -> list[Wish]:
        """Return and delete what a host was asked for."""
        read = "SELECT id, job_id, token, kind, payload FROM wish WHERE host = ? ORDER BY id"
        if not self.rows(read, (host_id,)):
            return []
        with self.transaction():
            wishes = [Wish._make((*row[:4], bytes(row[4]))) for row in self.rows(read, (host_id,))]
            self.run_many("DELETE FROM wish WHERE id = ?", [(wish.id,) for wish in wishes])
        return wishes

    def hold(self, ids: Sequence[int], *, held: bool) -> list[Changed]:
        """Hold waiting jobs and stop running ones (SIGSTOP), or let them go on."""
        with self.transaction(), self.together(ids, self._write_held) as jobs:
            now = self.now()
            return [self._hold(jobs, job_id, now, held=held) for job_id in ids]

    def _write_held(self, rows: Sequence[Sequence[object]]) -> None:
        self.write_jobs(("paused", "lane", "next_run_at"), rows)

    def _hold(self, jobs: Together, job_id: int, now: int, *, held: bool) -> Changed:
        facts = jobs.facts(job_id)
        if facts is None:
            return missing(job_id)
        state = facts.state
        if state in j.FINAL:
            return Changed(job_id, done=False, why=f"is {state}", state=state)
        if bool(facts.paused) == held:
            why = "is paused already" if held else "is not paused"
            return Changed(job_id, done=False, why=why, state=state)
        if facts.lane == rules.RUNNING:
            self.run("UPDATE job SET paused = ? WHERE id = ?", (int(held), job_id))
            self._wish(job_id, facts, "pause" if held else "resume", b"")
        else:
            due_at = facts.due_at
            lane = rules.lane_of(due_at, now, paused=bool(held or facts.unmet))
            jobs.later((int(held), lane, due_at if due_at > now else None, job_id))
            if lane == rules.READY:
                self.became_ready(facts.track, facts.priority, due_at, job_id)
            self.work_made = True
        return _done(job_id, state)

    def move(self, ids: Sequence[int], *, first: bool) -> list[Changed]:
        """Put waiting jobs before, or behind, all that is ready in their queues, in the given order."""
        with self.transaction(), self.together(ids, self._write_moved) as jobs:
            ends: dict[str, tuple[int, int, int] | None] = {}
            now = self.now()
            changes = [
                self._move(jobs, job_id, ends, now, first=first)
                for job_id in (reversed(ids) if first else ids)
            ]
        return changes[::-1] if first else changes

    def _write_moved(self, rows: Sequence[Sequence[object]]) -> None:
        self.write_jobs(("priority", "lane", "due_at", "next_run_at"), rows)

    def _move(
        self,
        jobs: Together,
        job_id: int,
        ends: dict[str, tuple[int, int, int] | None],
        now: int,
        *,
        first: bool,
    ) -> Changed:
        """Move one; `ends` has the first, or last, ready job of queues, of which it may be a new one."""
        facts = jobs.facts(job_id)
        if facts is None:
            return missing(job_id)
        if facts.state in j.FINAL or facts.lane == rules.RUNNING:
            why = f"is {facts.state}" if facts.state in j.FINAL else "is running"
            return Changed(job_id, done=False, why=why, state=facts.state)
        queue = facts.queue
        if queue not in ends:
            jobs.write()
            ends[queue] = self.end_of_line(queue, first=first)
        end = ends[queue]
        # with nothing before it, it is the line; what is due and not ready then is held
        moves = facts.due_at > now if end is None else end[2] != job_id
        priority, due_at = facts.priority, min(facts.due_at, now)
        if end is not None and moves:
            priority, due_at = end[0], end[1] + (-1 if first else 1)
        if moves:
            # ready at once, also a moment behind a job that has become due just now
            lane = rules.lane_of(due_at, due_at, paused=facts.held)
            jobs.later((priority, lane, due_at, None, job_id))
            if lane == rules.READY:
                ends[queue] = priority, due_at, job_id
                self.became_ready(facts.track, priority, due_at, job_id)
            self.work_made = True
        return _done(job_id, facts.state, _moved(facts, priority, now))


def _moved(facts: Facts, priority: int, now: int) -> str:
    """Return what else has changed of a job that was put to an end of the line."""
    changed = [f"its priority is {priority} now"] if priority != facts.priority else []
    if facts.due_at > now and facts.lane != rules.READY:
        changed.append("it is due now")
    return " and ".join(changed)


def _done(job_id: int, state: State, note: str = "") -> Changed:
    return Changed(job_id, True, "", state, note=note)


def missing(job_id: int) -> Changed:
    """Return that there is no such job."""
    return Changed(job_id, done=False, why="does not exist")


def _unlink(path: str) -> None:
    for name in (path, path + ".marks"):
        try:
            os.unlink(name)
        except OSError:
            pass
