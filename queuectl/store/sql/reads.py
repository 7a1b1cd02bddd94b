"""The reading half of a SQL store. Any thread; only what has been committed."""

from __future__ import annotations

from queuectl.job import STATES, Output
from queuectl.store.base import LOOKED_AT, PAGE, Dependency, Ended, Held
from queuectl.store.rules import BYTES, NOTHING, unpack_words
from queuectl.store.sql.queries import (
    ATTEMPT_COLUMNS,
    JOB_READ,
    answers_from_counters,
    attempt_from,
    capped,
    count_of_jobs,
    fitting,
    job_from,
    page_of_ids,
    page_of_jobs,
)
from queuectl.store.sql.sqlstore import SqlStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from queuectl.job import Attempt, Job, State
    from queuectl.store.base import Alike, Filter

_OUTPUT_COLUMNS = "data, marks, path, stdout_bytes, stderr_bytes, complete"
#: jobs that one statement asks for by their ids
_ASKED = 500


class Reads(SqlStore):
    """Answers questions about jobs: themselves, attempts, output, what they wait for."""

    def _job(self, row: Sequence[Any]) -> Job:
        return job_from(
            row,
            self.from_column,
            unpack_words,
            lambda key: self.pairs("policy", key),
            lambda key: self.pairs("environment", key),
            self.track,
        )

    def get(self, job_id: int) -> Job | None:
        """Return a job or None."""
        rows = self.rows(f"SELECT {JOB_READ} FROM job WHERE id = ?", (fitting(job_id),))
        return self._job(rows[0]) if rows else None

    def jobs(
        self, where: Filter, *, limit: int | None = None, newest: bool = False
    ) -> Iterator[Job]:
        """Yield jobs by id, a page at a time."""
        after: int | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = self.rows(*page_of_jobs(where, after, size, self.glob_test, newest=newest))
            for row in page:
                yield self._job(row)
            if len(page) < size:
                return
            after = page[-1][0]
            if left is not None:
                left -= size

    def unused(self) -> dict[str, list[int]]:
        """Return environments and policies that no job has any more."""
        from queuectl.store.sql.unused import find

        return find(self)

    def alike(
        self, where: Filter, limit: int, *, newest: bool = False, most: int = LOOKED_AT
    ) -> list[Alike]:
        """Return jobs by id, those of an array that look the same as one."""
        from queuectl.store.sql.alike import alike

        return alike(self, where, limit, newest=newest, most=most)

    def ran_on(self, ids: Sequence[int]) -> dict[int, str]:
        """Return by job the host of its newest attempt."""
        found: dict[int, str] = {}
        for at in range(0, len(ids), _ASKED):
            asked = [fitting(job_id) for job_id in ids[at : at + _ASKED]]
            found.update(
                self.rows(
                    "SELECT job.id, attempt.host FROM job JOIN attempt ON job_id = job.id"
                    " AND run = job.runs WHERE attempt.host IS NOT NULL AND job.id IN"
                    f" ({', '.join('?' * len(asked))})",
                    asked,
                )
            )
        return found

    def ids(self, where: Filter, after: int = 0, limit: int = PAGE) -> list[int]:
        """Return the ids of the first jobs beyond one."""
        return [row[0] for row in self.rows(*page_of_ids(where, after, limit, self.glob_test))]

    def states_of(self, ids: Sequence[int]) -> dict[int, State]:
        """Return by job its state."""
        test, value = self.among("id", ids)
        return dict(self.rows(f"SELECT id, state FROM job WHERE {test}", (value,)))

    def finished(self, limit: int) -> list[Job]:
        """Return the final jobs that finished last, newest first."""
        statement = self.block("finished").format(columns=JOB_READ)
        return [self._job(row) for row in self.rows(statement, (limit,))]

    def tally(self, since: int, recent: int) -> list[Ended]:
        """Count the jobs that completed or died after a time, and after a later one, by queue."""
        rows = self.rows(self.block("tally"), (capped(recent), capped(since)))
        return [Ended(*row) for row in rows]

    def count(self, where: Filter) -> int:
        """Return how many jobs match."""
        if answers_from_counters(where):
            return sum(
                jobs
                for queue, state, jobs in self.counter_rows()
                if (not where.states or state in where.states)
                and (not where.queues or queue in where.queues)
            )
        return int(self.rows(*count_of_jobs(where, self.glob_test))[0][0])

    def id_of_name(self, name: str) -> int | None:
        """Return the id of the job of that name: the one not final, else the newest."""
        rows = self.rows(
            "SELECT id FROM job WHERE name = ? ORDER BY lane < 4 DESC, id DESC LIMIT 1", (name,)
        )
        return rows[0][0] if rows else None

    def attempts(self, job_id: int) -> list[Attempt]:
        """Return the attempts of a job, oldest first."""
        statement = f"SELECT {ATTEMPT_COLUMNS} FROM attempt WHERE job_id = ? ORDER BY run"
        return [attempt_from(row) for row in self.rows(statement, (fitting(job_id),))]

    def output(self, job_id: int, run: int) -> Output | None:
        """Return what an attempt wrote, or where."""
        rows = self.rows(
            f"SELECT {_OUTPUT_COLUMNS} FROM output WHERE job_id = ? AND run = ?",
            (fitting(job_id), fitting(run)),
        )
        if not rows:
            return None
        data, marks, path, stdout, stderr, complete = rows[0]
        where = None if path is None else self.from_column(path)
        return Output(bytes(data), bytes(marks), where, stdout, stderr, bool(complete))

    def payload(self, job_id: int) -> tuple[bytes | None, str | None]:
        """Return a job's standard input: its bytes, or the path of a file, or neither."""
        rows = self.rows(
            "SELECT has_stdin, data FROM job JOIN payload ON job_id = id WHERE id = ?",
            (fitting(job_id),),
        )
        if not rows or rows[0][0] == NOTHING:
            return None, None
        kind, data = rows[0]
        if kind == BYTES:
            return bytes(data), None
        import os

        return None, os.fsdecode(bytes(data))

    def counts(self) -> dict[State, int]:
        """Return the number of jobs in every state."""
        found = dict.fromkeys(STATES, 0)
        for _, state, jobs in self.counter_rows():
            found[state] += jobs
        return found

    def line(self, before: int | None = None, most: int = 1000) -> list[tuple[int, int]]:
        """Return the first of each kind of ready jobs, and how many, that come before a job."""
        from queuectl.store.sql.line import line

        return line(self, before, most)

    def next_due(self, since: int | None = None) -> int | None:
        """Return when the next waiting job becomes due, a rate lets one start, or a schedule fires."""
        since = self.now() if since is None else since
        found: int | None = self.rows(self.block("next_due"), (since,))[0][0]
        return found

    def newest_id(self, submitter: str | None = None) -> int | None:
        """Return the id of the newest job, of one submitter if given."""
        if submitter is None:
            rows = self.rows("SELECT max(id) FROM job")
        else:
            rows = self.rows(
                "SELECT id FROM job WHERE submitter = ? ORDER BY id DESC LIMIT 1", (submitter,)
            )
        return rows[0][0] if rows else None

    def dependencies(self, job_id: int) -> list[Dependency]:
        """Return what a job waits for, or waited for, in order of id."""
        rows = self.rows(
            "SELECT on_id, kind, met FROM dependency WHERE job_id = ? ORDER BY on_id, kind",
            (fitting(job_id),),
        )
        return [Dependency(on, kind, None if met is None else bool(met)) for on, kind, met in rows]

    def dependents(self, job_id: int) -> list[int]:
        """Return the ids of the jobs that depend on one."""
        statement = "SELECT DISTINCT job_id FROM dependency WHERE on_id = ? ORDER BY job_id"
        return [row[0] for row in self.rows(statement, (fitting(job_id),))]

    def waits(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """Return (job, a job it waits for) for what these jobs wait for and is not met."""
        from queuectl.store.sql.chains import waits

        return waits(self, ids)

    def given_up(self, ids: Sequence[int]) -> list[int]:
        """Return the jobs that were cancelled as they waited for one of these, and so on."""
        from queuectl.store.sql.chains import given_up

        return given_up(self, ids)

    def roots(self, job_id: int, most: int = PAGE) -> list[int]:
        """Return the jobs because of which one waits for what can never be."""
        from queuectl.store.sql.chains import roots

        return roots(self, job_id, most)

    def held_by(self, host_id: str) -> list[Held]:
        """Return every claim that a host holds."""
        return [Held(*row) for row in self.rows(self.block("held_by"), (host_id,))]
