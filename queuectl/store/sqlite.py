"""The SQLite store: one file, nothing to set up."""

from __future__ import annotations

import os

from queuectl import job as j
from queuectl.errors import NameTaken, NoSuchQueue, did_you_mean
from queuectl.store import rules
from queuectl.store.base import Changed, Wish
from queuectl.store.paths import hosts_directory
from queuectl.store.sqlite_base import SQL, to_any
from queuectl.store.sqlite_claims import SqliteClaims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from queuectl.job import NewJob, State
    from queuectl.store.base import HostInfo, Listener


class SqliteStore(SqliteClaims):
    """A store in a SQLite database in WAL mode, durable at every commit (synchronous = FULL)."""

    # ---- enqueue ------------------------------------------------------------------------------

    def add(self, jobs: Sequence[NewJob]) -> list[int]:
        """Enqueue all of `jobs` or none; return their ids."""
        with self.transaction():
            now = self.now()
            policies: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[int, int]] = {}
            last = self.writer.execute(SQL["last_id"]).fetchone()
            first = (last[0] if last else 0) + 1
            env: Mapping[str, str] | None = None
            environment = 0
            rows: list[tuple[Any, ...]] = []
            for job_id, new in enumerate(jobs, first):
                key = (new.queue, tuple(new.policy.items()))
                if key not in policies:
                    policies[key] = self._policy(new)
                if new.env is not env:
                    env, environment = new.env, self.intern("environment", new.env)
                if new.name is not None:
                    self._claim_name(new.name, rows)
                rows.append(self._row(new, job_id, now, environment, *policies[key]))
                if new.stdin is not None:
                    self.writer.execute("INSERT INTO payload VALUES (?, ?)", (job_id, new.stdin))
            self.writer.executemany(SQL["add"], rows)
            return list(range(first, first + len(rows)))

    def _policy(self, new: NewJob) -> tuple[int, int]:
        """Return the id of the settings a job carries, and its max-retries."""
        known = [row[0] for row in self.writer.execute("SELECT name FROM queue").fetchall()]
        if new.queue not in known:
            raise NoSuchQueue(name=new.queue, hint=did_you_mean(new.queue, known))
        policy = rules.policy_of(
            new, self.settings(new.queue), self.settings(), self.local_settings
        )
        max_retries = int(policy.pop("max-retries"))
        return self.intern("policy", policy), max_retries

    def _claim_name(self, name: str, rows: list[tuple[Any, ...]]) -> None:
        found = self.writer.execute(
            "SELECT id FROM job WHERE name = ? AND lane < 4", (name,)
        ).fetchone()
        taken = found[0] if found else next((row[-1] for row in rows if row[1] == name), None)
        if taken is not None:
            raise NameTaken(name=name, job=taken)

    def _row(
        self, new: NewJob, job_id: int, now: int, environment: int, policy: int, max_retries: int
    ) -> tuple[object, ...]:
        due_at = new.due_at if new.due_at is not None and new.due_at > now else now
        lane = rules.lane_of(due_at, now, paused=new.paused)
        priority = new.priority or 0
        self.moved(new.queue, None, j.PENDING)
        if lane == rules.READY:
            self.became_ready(new.queue, priority, due_at, job_id)
        elif lane == rules.LATER:
            self.work_made = True
        shell = new.shell if new.shell is not None else not new.args
        return (
            new.queue,
            new.name,
            lane,
            priority,
            due_at,
            to_any(new.command),
            rules.pack_words(new.args),
            int(shell),
            to_any(new.cwd),
            environment,
            policy,
            max_retries,
            new.submitter,
            int(new.paused),
            int(new.stdin is not None),
            now,
            due_at if due_at > now else None,
            job_id,
        )

    # ---- what people ask for ------------------------------------------------------------------

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

    def retry(self, ids: Sequence[int]) -> list[Changed]:
        """Make failed jobs due now; start dead, cancelled and completed ones afresh."""
        with self.transaction():
            return [self._retry(job_id) for job_id in ids]

    def _retry(self, job_id: int) -> Changed:
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
            self._change(job_id, row, j.PENDING, lane, now, None, None, None, 0)
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
            reason = self.writer.execute("SELECT reason FROM job WHERE id = ?", (job_id,)).fetchone()[0]
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

    def _facts_of(self, job_id: int) -> Sequence[Any] | None:
        if not 0 < job_id < 2**63:
            return None
        row: Sequence[Any] | None = self.writer.execute(SQL["facts"], (job_id,)).fetchone()
        return row

    # ---- queues, settings, hosts --------------------------------------------------------------

    def create_queue(self, name: str, *, limit: int | None = None) -> bool:
        """Create a queue; False if it was there already."""
        with self.transaction():
            self._limited_queues = None
            made = self.writer.execute(
                "INSERT INTO queue (name, job_limit) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (name, limit),
            )
            return made.rowcount == 1

    def pause_queue(self, name: str, *, paused: bool) -> None:
        """Stop or resume claims from a queue."""
        with self.transaction():
            done = self.writer.execute(
                "UPDATE queue SET paused = ? WHERE name = ?", (int(paused), name)
            )
            if done.rowcount == 0:
                known = [queue.name for queue in self.queues()]
                raise NoSuchQueue(name=name, hint=did_you_mean(name, known))
            self.work_made = True

    def set(self, name: str, text: str | None, queue: str | None = None) -> None:
        """Make a setting, or take it back."""
        with self.transaction():
            if text is None:
                statement, values = "DELETE FROM setting WHERE queue = ? AND name = ?", (queue or "", name)
                self.writer.execute(statement, values)
            else:
                self.writer.execute(
                    "INSERT INTO setting (queue, name, value) VALUES (?1, ?2, ?3)"
                    " ON CONFLICT DO UPDATE SET value = ?3",
                    (queue or "", name, text),
                )

    def register(self, host: HostInfo) -> None:
        """Add a host, or write its row again."""
        with self.transaction():
            row = (*host[:6], " ".join(host.queues), *host[7:])
            self.writer.execute(SQL["put_host"], row)

    def renew(self, host_id: str) -> None:
        """Say that a host lives. On one machine its own file says so; this is for people to see."""
        with self.transaction():
            self.writer.execute("UPDATE host SET seen_at = ? WHERE id = ?", (self.now(), host_id))

    def forget(self, host_id: str) -> None:
        """Delete the row of a host that holds no claim."""
        with self.transaction():
            self.writer.execute("DELETE FROM wish WHERE host = ?", (host_id,))
            self.writer.execute("DELETE FROM host WHERE id = ?", (host_id,))

    def ask_stop(self, host_id: str, how: str, workers: int | None = None) -> bool:
        """Ask a host to stop some or all workers."""
        with self.transaction():
            done = self.writer.execute(
                "UPDATE host SET stop_requested = ?, stop_workers = ? WHERE id = ?",
                (how, workers, host_id),
            )
            self.work_made = True
            return done.rowcount == 1

    def listener(self, host_id: str) -> Listener:
        """Return a listener for a registered host's wake-ups."""
        from queuectl.store.sqlite_listen import SqliteListener

        self.host_id = host_id
        return SqliteListener(self, hosts_directory(self.local_directory), host_id)


class MemoryStore(SqliteStore):
    """A store that goes when it is closed: a SQLite store in a private directory of its own."""

    def __init__(
        self, local_settings: Mapping[str, str], clock: Callable[[], int] | None = None
    ) -> None:
        import atexit
        import tempfile

        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
        self._directory = tempfile.TemporaryDirectory(prefix="queuectl-", dir=base)
        super().__init__(f"{self._directory.name}/queue.db", local_settings, clock)
        self.name = "memory:"
        atexit.register(self.close)

    def close(self) -> None:
        """Close and delete it. Idempotent."""
        super().close()
        self._directory.cleanup()


def open_memory(local_settings: Mapping[str, str]) -> MemoryStore:
    """Return a new store that only this process sees and that goes with it."""
    return MemoryStore(local_settings)


def _missing(job_id: int) -> Changed:
    return Changed(job_id, done=False, why="does not exist")


def _unlink(path: str | bytes) -> None:
    for name in (path, path + (".marks" if isinstance(path, str) else b".marks")):  # type: ignore[operator]
        try:
            os.unlink(name)
        except OSError:
            pass
