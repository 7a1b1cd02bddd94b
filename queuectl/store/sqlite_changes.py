"""What people ask of jobs in the SQLite store: cancel, retry, hold, edit, move, remove, prune."""

from __future__ import annotations

import os

from queuectl import job as j
from queuectl.errors import NameTaken, NoSuchQueue, did_you_mean
from queuectl.settings import value_of
from queuectl.store import rules
from queuectl.store.base import Changed, Wish
from queuectl.store.queries import fitting
from queuectl.store.sqlite_base import SQL, to_any
from queuectl.store.sqlite_claims import SqliteClaims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from queuectl.job import State


class SqliteChanges(SqliteClaims):
    """Guarded changes, each job by itself, all in one transaction. One thread at a time."""

    def cancel(self, ids: Sequence[int], *, now: bool = False) -> list[Changed]:
        """Cancel each job."""
        kind = "cancel-now" if now else "cancel"
        with self.transaction():
            return [self._cancel(job_id, kind) for job_id in ids]

    def _cancel(self, job_id: int, kind: str) -> Changed:
        row = self._facts_of(job_id)
        if row is None:
            return _missing(job_id)
        state: State = row[1]
        if state in j.FINAL:
            return Changed(job_id, done=False, why=f"already {state}", state=state)
        if row[2] == rules.RUNNING:
            self.writer.execute(SQL["request_cancel"], (job_id,))
            self._wish(job_id, row, kind, b"")
            return Changed(job_id, done=True, state=state)
        now = self.now()
        self._change(job_id, row, j.CANCELLED, rules.DONE, row[8], None, now, "cancelled", row[4])
        return Changed(job_id, done=True, state=j.CANCELLED)

    def retry(self, ids: Sequence[int], *, keep_attempts: bool = False) -> list[Changed]:
        """Make failed jobs due now; start dead, cancelled and completed ones afresh."""
        with self.transaction():
            return [self._retry(job_id, keep_attempts=keep_attempts) for job_id in ids]

    def _retry(self, job_id: int, *, keep_attempts: bool) -> Changed:
        row = self._facts_of(job_id)
        if row is None:
            return _missing(job_id)
        state: State = row[1]
        if row[2] == rules.RUNNING:
            return Changed(job_id, done=False, why="is being run", state=state)
        now = self.now()
        lane = rules.lane_of(now, now, paused=bool(row[10]))
        if state == j.PENDING:
            return Changed(job_id, done=False, why="has not been run yet", state=state)
        if state == j.FAILED:
            self._change(job_id, row, state, lane, now, None, None, None, row[4])
        else:
            taken = self._name_taken(job_id)
            if taken is not None:
                why = f"its name is taken by job {taken}"
                return Changed(job_id, done=False, why=why, state=state)
            attempts = row[4] if keep_attempts else 0
            self._change(job_id, row, j.PENDING, lane, now, None, None, None, attempts)
            # a fresh start all the same: what was lost before does not bury it
            self.writer.execute("UPDATE job SET deliveries = 0 WHERE id = ?", (job_id,))
            state = j.PENDING
        return Changed(job_id, done=True, state=state)

    def _name_taken(self, job_id: int) -> int | None:
        found = self.writer.execute(
            "SELECT other.id FROM job JOIN job AS other ON other.name = job.name"
            " WHERE job.id = ? AND other.id <> job.id AND other.lane < 4",
            (job_id,),
        ).fetchone()
        return found[0] if found else None

    def _change(
        self,
        job_id: int,
        row: Sequence[Any],
        state: State,
        lane: int,
        due_at: int,
        next_run_at: int | None,
        finished_at: int | None,
        reason: str | None,
        attempts: int,
    ) -> None:
        """Put an unclaimed job somewhere else."""
        deliveries = row[5] if attempts else 0
        if reason is None and state == j.FAILED:
            reason = self.writer.execute(
                "SELECT reason FROM job WHERE id = ?", (job_id,)
            ).fetchone()[0]
        self.writer.execute(
            SQL["change"],
            (state, lane, due_at, next_run_at, finished_at, reason, attempts, deliveries, job_id),
        )
        self.moved(row[0], row[1], state)
        if lane == rules.READY:
            self.became_ready(row[0], row[13], due_at, job_id)

    def remove(self, ids: Sequence[int]) -> list[Changed]:
        """Delete jobs with their history and output."""
        with self.transaction():
            return [self._remove(job_id) for job_id in ids]

    def _remove(self, job_id: int) -> Changed:
        row = self._facts_of(job_id)
        if row is None:
            return _missing(job_id)
        if row[2] == rules.RUNNING:
            return Changed(job_id, done=False, why="is running; cancel it first", state=row[1])
        self._delete(job_id, row)
        return Changed(job_id, done=True, state=row[1])

    def _delete(self, job_id: int, row: Sequence[Any]) -> None:
        paths = self.writer.execute(
            "SELECT path FROM output WHERE job_id = ? AND path IS NOT NULL", (job_id,)
        ).fetchall()
        for (path,) in paths:
            self.after_commit.append(lambda path=path: _unlink(path))  # type: ignore[misc]
        for table, column in (("output", "job_id"), ("attempt", "job_id"), ("payload", "job_id"), ("job", "id")):  # fmt: skip
            self.writer.execute(f"DELETE FROM {table} WHERE {column} = ?", (job_id,))
        self.moved(row[0], row[1], None)

    def prune(self, states: Sequence[State], before: int | None, most: int = 1000) -> int:
        """Delete up to `most` final jobs that finished before a time."""
        if not states:
            return 0
        with self.transaction():
            statement = SQL["old_done"].format(states=", ".join("?" * len(states)))
            bound = before if before is not None else 2**62
            ids = [row[0] for row in self.writer.execute(statement, (bound, *states, most))]
            for job_id in ids:
                self._delete(job_id, self._facts_of(job_id) or ())
            return len(ids)

    def wish(self, ids: Sequence[int], kind: str, payload: bytes = b"") -> list[Changed]:
        """Ask the hosts of running jobs for something."""
        changes = []
        with self.transaction():
            for job_id in ids:
                row = self._facts_of(job_id)
                if row is None:
                    changes.append(_missing(job_id))
                elif row[1] != j.PROCESSING:
                    changes.append(Changed(job_id, done=False, why="is not running", state=row[1]))
                else:
                    self._wish(job_id, row, kind, payload)
                    changes.append(Changed(job_id, done=True, state=row[1]))
        return changes

    def _wish(self, job_id: int, row: Sequence[Any], kind: str, payload: bytes) -> None:
        self.writer.execute(
            "INSERT INTO wish (host, job_id, token, kind, payload) VALUES (?, ?, ?, ?, ?)",
            (row[12], job_id, row[3], kind, payload),
        )
        self.work_made = True

    def take_wishes(self, host_id: str) -> list[Wish]:
        """Return and delete what a host was asked for."""
        read = "SELECT id, job_id, token, kind, payload FROM wish WHERE host = ? ORDER BY id"
        if not self.rows(read, (host_id,)):
            return []
        with self.transaction():
            wishes = [Wish(*row) for row in self.rows(read, (host_id,))]
            self.writer.execute("DELETE FROM wish WHERE host = ?", (host_id,))
        return wishes

    # ---- holding, editing, moving -------------------------------------------------------------

    def hold(self, ids: Sequence[int], *, held: bool) -> list[Changed]:
        """Hold waiting jobs and stop running ones (SIGSTOP), or let them go on."""
        with self.transaction():
            return [self._hold(job_id, held=held) for job_id in ids]

    def _hold(self, job_id: int, *, held: bool) -> Changed:
        row = self._facts_of(job_id)
        if row is None:
            return _missing(job_id)
        state: State = row[1]
        if state in j.FINAL:
            return Changed(job_id, done=False, why=f"is {state}", state=state)
        if bool(row[10]) == held:
            why = "is paused already" if held else "is not paused"
            return Changed(job_id, done=False, why=why, state=state)
        self.writer.execute("UPDATE job SET paused = ? WHERE id = ?", (int(held), job_id))
        if row[2] == rules.RUNNING:
            self._wish(job_id, row, "pause" if held else "resume", b"")
        else:
            self._place(job_id, row[0], row[13], row[8], self.now(), paused=held)
        return Changed(job_id, done=True, state=state)

    def edit(self, job_id: int, changes: Mapping[str, Any]) -> Changed:
        """Change fields of a job that no host has, see Store.edit."""
        with self.transaction():
            row = self._facts_of(job_id)
            if row is None:
                return _missing(job_id)
            if row[2] == rules.RUNNING:
                return Changed(job_id, done=False, why="is running", state=row[1])
            changes, now = dict(changes), self.now()
            if "due_at" in changes:
                changes["due_at"] = max(changes["due_at"] or now, now)
            columns = self._columns(job_id, row, changes)
            names = ", ".join(f"{name} = ?" for name in columns)
            self.writer.execute(f"UPDATE job SET {names} WHERE id = ?", (*columns.values(), job_id))
            queue, priority = changes.get("queue", row[0]), changes.get("priority", row[13]) or 0
            if queue != row[0]:
                self.moved(row[0], row[1], None)
                self.moved(queue, None, row[1])
            if row[1] not in j.FINAL:
                due_at = changes.get("due_at", row[8])
                self._place(job_id, queue, priority, due_at, now, paused=bool(row[10]))
            return Changed(job_id, done=True, state=row[1])

    def _columns(
        self, job_id: int, row: Sequence[Any], changes: Mapping[str, Any]
    ) -> dict[str, object]:
        """Return the columns that changes to a job's fields come down to."""
        write: dict[str, Callable[[Any], object]] = {
            "command": to_any, "args": rules.pack_words, "cwd": to_any,
            "shell": lambda shell: int(self._is_shell(job_id, changes) if shell is None else shell),
            "name": lambda name: name, "priority": lambda priority: priority or 0, "due_at": int,
            "queue": self._known_queue,
            "env": lambda env: self.intern("environment", env),
            "policy": lambda changed: self._changed_policy(row[7], changed),
        }  # fmt: skip
        columns = {"environment" if name == "env" else name: write[name](value)
                   for name, value in changes.items() if not name.startswith("stdin")}  # fmt: skip
        if "max-retries" in changes.get("policy", ()):
            columns["max_retries"] = value_of("max-retries", _without_none(changes["policy"]))
        if changes.get("name") is not None:
            self._refuse_taken(changes["name"], job_id)
        if "stdin" in changes or "stdin_path" in changes:
            stdin, path = changes.get("stdin"), changes.get("stdin_path")
            self.writer.execute("DELETE FROM payload WHERE job_id = ?", (job_id,))
            columns["has_stdin"] = kind = rules.kind_of_payload(stdin, path)
            if kind != rules.NOTHING:
                self.keep_payload(job_id, stdin, path)
        return columns or {"id": job_id}

    def _changed_policy(self, policy: int, changed: Mapping[str, str | None]) -> int:
        """Return the id of a policy with some settings replaced, or taken back (None)."""
        pairs = _without_none({**self.pairs("policy", policy), **changed})
        pairs.pop("max-retries", None)
        return self.intern("policy", pairs)

    def _is_shell(self, job_id: int, changes: Mapping[str, Any]) -> bool:
        """Return what `shell` is when it is left open: a shell unless there are args."""
        if "args" in changes:
            return not changes["args"]
        job = self.get(job_id)
        return job is not None and not job.args

    def _known_queue(self, name: str) -> str:
        known = [row[0] for row in self.writer.execute("SELECT name FROM queue").fetchall()]
        if name not in known:
            raise NoSuchQueue(queue=name, hint=did_you_mean(name, known))
        return name

    def _refuse_taken(self, name: str, job_id: int | None = None) -> None:
        found = self.writer.execute(
            "SELECT id FROM job WHERE name = ? AND lane < 4 AND id IS NOT ?", (name, job_id)
        ).fetchone()
        if found:
            raise NameTaken(name=name, job=found[0])

    def _place(
        self, job_id: int, queue: str, priority: int, due_at: int, now: int, *, paused: bool
    ) -> None:
        """Put a waiting job into the lane it belongs in."""
        lane = rules.lane_of(due_at, now, paused=paused)
        next_run_at = due_at if due_at > now else None
        self.writer.execute(
            "UPDATE job SET lane = ?, due_at = ?, next_run_at = ? WHERE id = ?",
            (lane, due_at, next_run_at, job_id),
        )
        if lane == rules.READY:
            self.became_ready(queue, priority, due_at, job_id)
        self.work_made = True

    def move(self, ids: Sequence[int], *, first: bool) -> list[Changed]:
        """Put waiting jobs before, or behind, all that is ready in their queues, in the given order."""
        with self.transaction():
            changes = [
                self._move(job_id, first=first) for job_id in (reversed(ids) if first else ids)
            ]
            return changes[::-1] if first else changes

    def _move(self, job_id: int, *, first: bool) -> Changed:
        row = self._facts_of(job_id)
        if row is None:
            return _missing(job_id)
        if row[1] in j.FINAL or row[2] == rules.RUNNING:
            why = f"is {row[1]}" if row[1] in j.FINAL else "is running"
            return Changed(job_id, done=False, why=why, state=row[1])
        end = self.writer.execute(SQL["head_of" if first else "end_of"], (row[0],)).fetchone()
        if end is not None and end[2] != job_id:
            priority, due_at = end[0], end[1] + (-1 if first else 1)
            self.writer.execute("UPDATE job SET priority = ? WHERE id = ?", (priority, job_id))
            # ready at once, also a moment behind a job that has become due just now
            now = max(due_at, self.now())
            self._place(job_id, row[0], priority, due_at, now, paused=bool(row[10]))
        return Changed(job_id, done=True, state=row[1])

    def ahead_of(self, job_id: int, most: int = 1000) -> int:
        """Return how many ready jobs of all queues would be claimed before a waiting one."""
        rows = self.rows("SELECT priority, due_at, id FROM job WHERE id = ?", (fitting(job_id),))
        ahead = 0
        for head in self.rows(SQL["queue_heads"]) if rows else ():
            if ahead >= most:
                break
            values = (head[0], *rows[0], most - ahead)
            ahead += self.rows(SQL["ahead_of"], values)[0][0]
        return ahead


def _without_none(pairs: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in pairs.items() if text is not None}


def _missing(job_id: int) -> Changed:
    return Changed(job_id, done=False, why="does not exist")


def _unlink(path: str | bytes) -> None:
    for name in (path, path + (".marks" if isinstance(path, str) else b".marks")):  # type: ignore[operator]
        try:
            os.unlink(name)
        except OSError:
            pass
