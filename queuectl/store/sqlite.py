"""The SQLite store: one file, nothing to set up."""

from __future__ import annotations

import os

from queuectl import job as j
from queuectl.errors import NameTaken, NoSuchQueue, did_you_mean
from queuectl.paths import hosts_directory
from queuectl.store import rules
from queuectl.store.sqlite_base import SQL, to_any
from queuectl.store.sqlite_changes import SqliteChanges
from queuectl.store.sqlite_file import LONG_LOG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from queuectl.job import NewJob
    from queuectl.store.base import HostInfo, Listener


class SqliteStore(SqliteChanges):
    """A store in a SQLite database in WAL mode, durable at every commit (synchronous = FULL)."""

    # ---- enqueue ------------------------------------------------------------------------------

    def add(self, jobs: Sequence[NewJob]) -> list[int]:
        """Enqueue all of `jobs` or none; return their ids."""
        with self.transaction():
            now = self.now()
            policies: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[int, int]] = {}
            first = self.writer.execute(SQL["last_id"]).fetchone()[0] + 1
            env: Mapping[str, str] | None = None
            environment = 0
            rows: list[tuple[Any, ...]] = []
            names: dict[str, int] = {}
            pending: dict[str, int] = {}
            for job_id, new in enumerate(jobs, first):
                key = (new.queue, tuple(new.policy.items()))
                if key not in policies:
                    policies[key] = self._policy(new)
                if new.env is not env:
                    env, environment = new.env, self.intern("environment", new.env)
                if new.name is not None:
                    self._claim_name(new.name, job_id, names)
                pending[new.queue] = pending.get(new.queue, 0) + 1
                rows.append(self._row(new, job_id, now, environment, *policies[key]))
                if new.stdin is not None or new.stdin_path is not None:
                    self.keep_payload(job_id, new.stdin, new.stdin_path)
            self.writer.executemany(SQL["add"], rows)
            self.writer.execute(SQL["take_ids"], (first + len(rows) - 1,))
            for queue, jobs_there in pending.items():
                self.moved(queue, None, j.PENDING, jobs_there)
            return list(range(first, first + len(rows)))

    def _policy(self, new: NewJob) -> tuple[int, int]:
        """Return the id of the settings a job carries, and its max-retries."""
        known = [row[0] for row in self.writer.execute("SELECT name FROM queue").fetchall()]
        if new.queue not in known:
            raise NoSuchQueue(queue=new.queue, hint=did_you_mean(new.queue, known))
        policy = rules.policy_of(
            new, self.settings(new.queue), self.settings(), self.local_settings
        )
        max_retries = int(policy.pop("max-retries"))
        return self.intern("policy", policy), max_retries

    def _claim_name(self, name: str, job_id: int, names: dict[str, int]) -> None:
        """Refuse a name that a job not final has, or one earlier in the batch."""
        found = self.writer.execute(
            "SELECT id FROM job WHERE name = ? AND lane < 4", (name,)
        ).fetchone()
        taken = found[0] if found else names.setdefault(name, job_id)
        if taken != job_id:
            raise NameTaken(name=name, job=taken)

    def _row(
        self, new: NewJob, job_id: int, now: int, environment: int, policy: int, max_retries: int
    ) -> tuple[object, ...]:
        due_at = new.due_at if new.due_at is not None and new.due_at > now else now
        lane = rules.lane_of(due_at, now, paused=new.paused)
        priority = new.priority or 0
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
            rules.kind_of_payload(new.stdin, new.stdin_path),
            now,
            due_at if due_at > now else None,
            job_id,
        )

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
                raise NoSuchQueue(queue=name, hint=did_you_mean(name, known))
            self.work_made = True

    def set(self, name: str, text: str | None, queue: str | None = None) -> None:
        """Make a setting, or take it back."""
        with self.transaction():
            if text is None:
                statement, values = (
                    "DELETE FROM setting WHERE queue = ? AND name = ?",
                    (queue or "", name),
                )
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
            # without its row nobody would look for the claims that it still holds
            if not self.held_by(host_id):
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
        self.writer.execute(f"PRAGMA wal_autocheckpoint = {LONG_LOG}")
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
