"""What people ask of jobs in a SQL store: cancel, retry, hold, move, remove, prune, wish."""

from __future__ import annotations

import os

from queuectl import job as j
from queuectl.store import rules
from queuectl.store.base import Changed, Wish
from queuectl.store.sql.dependents import Dependents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.job import State
    from queuectl.store.rules import Facts


class Changes(Dependents):
    """Guarded changes, each job by itself, all in one transaction. One thread at a time."""

    def cancel(self, ids: Sequence[int], *, now: bool = False) -> list[Changed]:
        """Cancel each job."""
        kind = "cancel-now" if now else "cancel"
        with self.transaction():
            self.lock(ids)
            return [self._cancel(job_id, kind) for job_id in ids]

    def _cancel(self, job_id: int, kind: str) -> Changed:
        facts = self.facts(job_id)
        if facts is None:
            return missing(job_id)
        if facts.state in j.FINAL:
            why = f"already {facts.state}"
            return Changed(job_id, done=False, why=why, state=facts.state)
        if facts.lane == rules.RUNNING:
            self.run("UPDATE job SET cancel_requested = 1 WHERE id = ?", (job_id,))
            self._wish(job_id, facts, kind, b"")
            return Changed(job_id, done=True, state=facts.state)
        turn = rules.Turn(
            j.CANCELLED, rules.DONE, facts.due_at, None, facts.attempts, self.now(), "cancelled"
        )
        self.put(job_id, facts, turn)
        if facts.awaited:
            self.follow(job_id, j.CANCELLED)
        return Changed(job_id, done=True, state=j.CANCELLED)

    def retry(self, ids: Sequence[int], *, keep_attempts: bool = False) -> list[Changed]:
        """Make failed jobs due now; start dead, cancelled and completed ones afresh."""
        with self.transaction():
            self.lock(ids)
            return [self._retry(job_id, keep_attempts=keep_attempts) for job_id in ids]

    def _retry(self, job_id: int, *, keep_attempts: bool) -> Changed:
        facts = self.facts(job_id)
        if facts is None:
            return missing(job_id)
        state = facts.state
        if facts.lane == rules.RUNNING:
            return Changed(job_id, done=False, why="is being run", state=state)
        if state == j.PENDING:
            return Changed(job_id, done=False, why="has not been run yet", state=state)
        now = self.now()
        if state == j.FAILED:
            lane = rules.lane_of(now, now, paused=facts.held)
            turn = rules.Turn(state, lane, now, None, facts.attempts, None, facts.reason)
            self.put(job_id, facts, turn)
            return Changed(job_id, done=True, state=state)
        why = self._taken(job_id)
        unmet = 0
        if not why:
            unmet, why = self.reopen(job_id, facts)
        if why:
            return Changed(job_id, done=False, why=why, state=state)
        if unmet != facts.unmet:
            self.run("UPDATE job SET unmet = ? WHERE id = ?", (unmet, job_id))
        lane = rules.lane_of(now, now, paused=bool(facts.paused or unmet))
        attempts = facts.attempts if keep_attempts else 0
        # a fresh start all the same: what was lost before does not bury it
        turn = rules.Turn(j.PENDING, lane, now, None, attempts, None, None)
        self.put(job_id, facts, turn, afresh=True)
        return Changed(job_id, done=True, state=j.PENDING)

    def _taken(self, job_id: int) -> str:
        """Return who has a final job's name or unique key by now, as the reason why it must wait."""
        for column, what in (("name", "name"), ("unique_key", "unique key")):
            found = self.rows(
                f"SELECT other.id FROM job JOIN job AS other ON other.{column} = job.{column}"
                " WHERE job.id = ? AND other.id <> job.id AND other.lane < 4",
                (job_id,),
            )
            if found:
                return f"its {what} is taken by job {found[0][0]}"
        return ""

    def remove(self, ids: Sequence[int]) -> list[Changed]:
        """Delete jobs with their history and output."""
        with self.transaction():
            self.lock(ids)
            return [self._remove(job_id) for job_id in ids]

    def _remove(self, job_id: int) -> Changed:
        facts = self.facts(job_id)
        if facts is None:
            return missing(job_id)
        if facts.lane == rules.RUNNING:
            why = "is running; cancel it first"
            return Changed(job_id, done=False, why=why, state=facts.state)
        self._delete(job_id, facts)
        if facts.awaited and facts.state not in j.FINAL:
            self.follow(job_id, None)
        return Changed(job_id, done=True, state=facts.state)

    def _delete(self, job_id: int, facts: Facts) -> None:
        paths = self.rows(
            "SELECT path FROM output WHERE job_id = ? AND path IS NOT NULL", (job_id,)
        )
        for (path,) in paths:
            name = self.from_column(path)
            self.after_commit.append(lambda name=name: _unlink(name))  # type: ignore[misc]
        for table, column in (
            ("output", "job_id"), ("attempt", "job_id"), ("payload", "job_id"),
            ("dependency", "job_id"), ("job", "id"),
        ):  # fmt: skip
            self.run(f"DELETE FROM {table} WHERE {column} = ?", (job_id,))
        self.moved(facts.queue, facts.state, None)
        array = self.track(facts.track).array_id
        if array:
            # ids are not used again, and so is no array: who has its tracks in memory reads old ones
            self.run(
                "DELETE FROM track WHERE array_id = ?"
                " AND NOT EXISTS (SELECT 1 FROM job WHERE job.array_id = track.array_id)",
                (array,),
            )

    def prune(self, states: Sequence[State], before: int | None, most: int = 1000) -> int:
        """Delete up to `most` final jobs that finished before a time."""
        if not states:
            return 0
        with self.transaction():
            statement = self.block("old_done").format(states=", ".join("?" * len(states)))
            bound = before if before is not None else 2**62
            pruned = 0
            for (job_id,) in self.rows(statement, (bound, *states, most)):
                facts = self.facts(job_id)
                if facts is not None and facts.lane == rules.DONE:
                    self._delete(job_id, facts)
                    pruned += 1
            return pruned

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
        with self.transaction():
            self.lock(ids)
            return [self._hold(job_id, held=held) for job_id in ids]

    def _hold(self, job_id: int, *, held: bool) -> Changed:
        facts = self.facts(job_id)
        if facts is None:
            return missing(job_id)
        state = facts.state
        if state in j.FINAL:
            return Changed(job_id, done=False, why=f"is {state}", state=state)
        if bool(facts.paused) == held:
            why = "is paused already" if held else "is not paused"
            return Changed(job_id, done=False, why=why, state=state)
        self.run("UPDATE job SET paused = ? WHERE id = ?", (int(held), job_id))
        if facts.lane == rules.RUNNING:
            self._wish(job_id, facts, "pause" if held else "resume", b"")
        else:
            self.place(job_id, facts._replace(paused=int(held)), self.now())
        return Changed(job_id, done=True, state=state)

    def move(self, ids: Sequence[int], *, first: bool) -> list[Changed]:
        """Put waiting jobs before, or behind, all that is ready in their queues, in the given order."""
        with self.transaction():
            self.lock(ids)
            changes = [
                self._move(job_id, first=first) for job_id in (reversed(ids) if first else ids)
            ]
            return changes[::-1] if first else changes

    def _move(self, job_id: int, *, first: bool) -> Changed:
        facts = self.facts(job_id)
        if facts is None:
            return missing(job_id)
        if facts.state in j.FINAL or facts.lane == rules.RUNNING:
            why = f"is {facts.state}" if facts.state in j.FINAL else "is running"
            return Changed(job_id, done=False, why=why, state=facts.state)
        end = self.end_of_line(facts.queue, first=first)
        if end is not None and end[2] != job_id:
            priority, due_at = end[0], end[1] + (-1 if first else 1)
            self.run("UPDATE job SET priority = ? WHERE id = ?", (priority, job_id))
            # ready at once, also a moment behind a job that has become due just now
            now = max(due_at, self.now())
            self.place(job_id, facts._replace(priority=priority, due_at=due_at), now)
        return Changed(job_id, done=True, state=facts.state)


def missing(job_id: int) -> Changed:
    """Return that there is no such job."""
    return Changed(job_id, done=False, why="does not exist")


def _unlink(path: str) -> None:
    for name in (path, path + ".marks"):
        try:
            os.unlink(name)
        except OSError:
            pass
