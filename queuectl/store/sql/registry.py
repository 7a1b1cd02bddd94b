"""What a SQL store keeps beside jobs: queues, settings, hosts, schedules, notes."""

from __future__ import annotations

from queuectl.errors import Refused
from queuectl.store.base import Existing, Filter, HostInfo, QueueInfo, Rate, Schedule
from queuectl.store.room import spacing
from queuectl.store.rules import pack_pairs
from queuectl.store.sql.changes import Changes
from queuectl.store.sql.sqlstore import unpack_needs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queuectl.job import NewJob, State

#: queues that are always there
STANDING = ("default", "hooks")
_HOST_COLUMNS = (
    "id, hostname, user_name, pid, version, workers, queues, started_at, seen_at, stop_requested,"
    " stop_workers, resources, lease"
)
_SCHEDULE_COLUMNS = (
    "name, spec, zone, overlap, missed, job, next_at, paused, last_at, last_job, note"
)


class Registry(Changes):
    """Small tables, few rows. Writing methods: one thread at a time."""

    # ---- queues -------------------------------------------------------------------------------

    def queues(self) -> list[QueueInfo]:
        """Return every queue, by name."""
        counts: dict[str, dict[State, int]] = {}
        for queue, state, jobs in self.counter_rows():
            counts.setdefault(queue, {})[state] = jobs
        now = self.now()
        return [
            QueueInfo(
                name, bool(paused), limit, counts.get(name, {}),
                None if starts is None else Rate(starts, period), bool(pull), why, deaths,
                opens if starts is not None and opens is not None and opens > now else None,
            )
            for name, paused, limit, starts, period, opens, pull, why, deaths in self.rows(
                "SELECT name, paused, job_limit, rate_starts, rate_period, rate_next, pull,"
                " paused_why, deaths FROM queue ORDER BY name"
            )
        ]  # fmt: skip

    def create_queue(
        self, name: str, *, limit: int | None = None, rate: Rate | None = None, pull: bool = False
    ) -> bool:
        """Create a queue; False if it was there already."""
        with self.transaction():
            made = self.run(
                "INSERT INTO queue (name, job_limit, rate_starts, rate_period, pull)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (name, limit, *(rate or (None, None)), int(pull)),
            )
            self.limits_changed()
            return made.rowcount == 1

    def change_queue(self, name: str, changes: Mapping[str, object]) -> None:
        """Change `limit`, `rate` and `pull` of a queue; its jobs are looked at anew."""
        with self.transaction():
            self.known_queue(name)
            for field, value in changes.items():
                if field == "limit":
                    self.run("UPDATE queue SET job_limit = ? WHERE name = ?", (value, name))
                elif field == "rate":
                    self._change_rate(name, value)  # type: ignore[arg-type]
                elif field == "pull":
                    self.run("UPDATE queue SET pull = ? WHERE name = ?", (int(bool(value)), name))
                else:
                    raise ValueError(f"a queue has no {field}")
            self.limits_changed()
            self.work_made = True

    def _change_rate(self, name: str, rate: Rate | None) -> None:
        """Set a rate; what the old one still kept closed opens no later than the new one says."""
        opens = None if rate is None else self.now() + spacing(rate)
        self.run(
            "UPDATE queue SET rate_starts = ?, rate_period = ?,"
            " rate_next = CASE WHEN rate_next > ? THEN ? ELSE rate_next END WHERE name = ?",
            (*(rate or (None, None)), opens or 0, opens, name),
        )

    def pause_queue(self, name: str, *, paused: bool) -> None:
        """Stop or resume claims from a queue."""
        with self.transaction():
            self.known_queue(name)
            self.set_paused(name, paused=paused, why=None)
            if not paused:
                self.run("UPDATE queue SET deaths = 0 WHERE name = ?", (name,))

    def remove_queue(self, name: str) -> None:
        """Delete a queue that has no jobs, with its settings."""
        with self.transaction():
            self.known_queue(name)
            if name in STANDING:
                raise Refused(f"the queue {name} is always there")
            jobs = self.count(Filter(queues=(name,)))
            if jobs:
                what = f"{jobs} jobs" if jobs > 1 else "a job"
                raise Refused(f"the queue {name} has {what}: move or remove them first")
            for table, column in (
                ("setting", "queue"), ("counter", "queue"), ("track", "queue"), ("queue", "name"),
            ):  # fmt: skip
                self.run(f"DELETE FROM {table} WHERE {column} = ?", (name,))
            self.limits_changed()

    def limits_changed(self) -> None:
        """Hear that limits of queues are not what they were. For engines that remember them."""

    # ---- settings -----------------------------------------------------------------------------

    def set(self, name: str, text: str | None, queue: str | None = None) -> None:
        """Make a setting, or take it back."""
        with self.transaction():
            if text is None:
                statement = "DELETE FROM setting WHERE queue = ? AND name = ?"
                self.run(statement, (queue or "", name))
            else:
                self.run(
                    "INSERT INTO setting (queue, name, value) VALUES (?, ?, ?)"
                    " ON CONFLICT (queue, name) DO UPDATE SET value = excluded.value",
                    (queue or "", name, text),
                )

    # ---- hosts --------------------------------------------------------------------------------

    def hosts(self) -> list[HostInfo]:
        """Return the registered hosts, oldest first."""
        rows = self.rows(f"SELECT {_HOST_COLUMNS} FROM host ORDER BY started_at, id")
        return [
            HostInfo._make(
                (*row[:6], tuple(row[6].split()), *row[7:11], unpack_needs(row[11]), row[12])
            )
            for row in rows
        ]

    def register(self, host: HostInfo) -> None:
        """Add a host, or write its row again."""
        with self.transaction():
            resources = pack_pairs({name: str(n) for name, n in host.resources.items()})
            row = (*host[:6], " ".join(host.queues), *host[7:11], resources, host.lease)
            self.run(
                f"INSERT INTO host ({_HOST_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET workers = excluded.workers,"
                " queues = excluded.queues, seen_at = excluded.seen_at,"
                " stop_requested = excluded.stop_requested, stop_workers = excluded.stop_workers,"
                " resources = excluded.resources, lease = excluded.lease",
                row,
            )

    def renew(self, host_id: str) -> bool:
        """Say that a host lives: to people, and for a lease of its own; else its file says so."""
        with self.transaction():
            done = self.run("UPDATE host SET seen_at = ? WHERE id = ?", (self.now(), host_id))
            return done.rowcount == 1

    def expired(self) -> list[str]:
        """Return the hosts whose own lease has ended; of others their file tells whether they live."""
        rows = self.rows(
            "SELECT id FROM host WHERE lease IS NOT NULL AND seen_at + lease < ? ORDER BY id",
            (self.now(),),
        )
        return [row[0] for row in rows]

    def forget(self, host_id: str) -> None:
        """Delete the row of a host that holds no claim."""
        with self.transaction():
            # without its row nobody would look for the claims that it still holds
            if not self.held_by(host_id):
                self.run("DELETE FROM wish WHERE host = ?", (host_id,))
                self.run("DELETE FROM host WHERE id = ?", (host_id,))
                # it knew when the retries of its jobs are due; the others are to look
                self.work_made = True

    def ask_stop(self, host_id: str, how: str, workers: int | None = None) -> bool:
        """Ask a host to stop some or all workers."""
        with self.transaction():
            done = self.run(
                "UPDATE host SET stop_requested = ?, stop_workers = ? WHERE id = ?",
                (how, workers, host_id),
            )
            self.work_made = True
            return done.rowcount == 1

    # ---- schedules ----------------------------------------------------------------------------

    def schedules(self) -> list[Schedule]:
        """Return every schedule, by name."""
        rows = self.rows(f"SELECT {_SCHEDULE_COLUMNS} FROM schedule ORDER BY name")
        return [
            Schedule._make((*row[:5], bytes(row[5]), row[6], bool(row[7]), *row[8:]))
            for row in rows
        ]

    def put_schedule(self, schedule: Schedule) -> None:
        """Write a schedule, whether it is there or not."""
        with self.transaction():
            self.run("DELETE FROM schedule WHERE name = ?", (schedule.name,))
            self.run(
                f"INSERT INTO schedule ({_SCHEDULE_COLUMNS})"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*schedule[:7], int(schedule.paused), *schedule[8:]),
            )
            self.work_made = True

    def remove_schedule(self, name: str) -> bool:
        """Delete a schedule, not its jobs; False: there is none of that name."""
        with self.transaction():
            return self.run("DELETE FROM schedule WHERE name = ?", (name,)).rowcount == 1

    def fire(
        self, name: str, due: int, next_at: int | None, jobs: Sequence[NewJob], note: str | None
    ) -> list[int] | None:
        """Fire a schedule whose `next_at` is still `due`, see Store: one of several does."""
        with self.transaction():
            moved = self.run(
                "UPDATE schedule SET next_at = ?, last_at = ?, note = ?"
                " WHERE name = ? AND next_at = ? AND paused = 0",
                (next_at, self.now(), note, name, due),
            )
            if moved.rowcount != 1:
                return None
            ids = self.add(jobs)
            made = [job_id for job_id in ids if not isinstance(job_id, Existing)]
            if made:
                self.run("UPDATE schedule SET last_job = ? WHERE name = ?", (made[-1], name))
            return ids

    # ---- notes --------------------------------------------------------------------------------

    def note(self, name: str) -> bytes | None:
        """Return what was last noted under a name, or None."""
        rows = self.rows("SELECT data FROM note WHERE name = ?", (name,))
        return bytes(rows[0][0]) if rows else None

    def put_note(self, name: str, data: bytes | None) -> None:
        """Note something under a name, or forget it."""
        with self.transaction():
            if data is None:
                self.run("DELETE FROM note WHERE name = ?", (name,))
                return
            self.run(
                "INSERT INTO note (name, data, at) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET data = excluded.data, at = excluded.at",
                (name, data, self.now()),
            )

    def prune_notes(self, prefix: str, before: int) -> int:
        """Delete the notes whose name begins so and that were put before a time; count them."""
        with self.transaction():
            return self.run(
                "DELETE FROM note WHERE substr(name, 1, length(?)) = ? AND at < ?",
                (prefix, prefix, before),
            ).rowcount
