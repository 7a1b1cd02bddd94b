"""Stores with jobs in them: some through the command line, millions by copying rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from queuectl.job import COMPLETED, PENDING
from tests.benchmarks.run import queuectl, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.bench import Place

#: rows copied in one transaction
_BATCH = 100_000
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"


def enqueue(place: Place, lines: Path, *flags: str) -> None:
    """Enqueue every line of a file."""
    run(queuectl(place, "enqueue", "--quiet", *flags, "-"), stdin=lines)


def fill(place: Place, *, pending: int, completed: int = 0) -> None:
    """Make a store with that many jobs `true`, run without a shell; those completed stand first.

    One of each kind is made as any other, and its rows are copied within the database, with the
    counters. A copied pending job stands behind the first, so the queue's head stays right.
    """
    if completed:
        run(queuectl(place, "enqueue", "--no-shell", "true"))
        run(queuectl(place, "worker", "start", "1", "--until-empty"))
        _multiply(place.path, 1, completed - 1)
    run(queuectl(place, "enqueue", "--no-shell", "true"))
    _fill_up(place, pending, completed)


def fill_with_array(place: Place, jobs: int) -> None:
    """Make a store with so many waiting jobs of one array, ten of which may run at once."""
    run(queuectl(place, "enqueue", "--array", "0%10", "--no-shell", "true"))
    _fill_up(place, jobs, 0)
    with closing(sqlite3.connect(place.path, isolation_level=None)) as database:
        database.execute("UPDATE job SET array_index = id - array_id")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill_up(place: Place, pending: int, completed: int) -> None:
    """Copy the newest job until so many wait."""
    with closing(place.open()) as store:
        newest = store.newest_id()
        assert newest is not None
        _multiply(place.path, newest, pending - 1)
        counts = store.counts()
        assert (counts[PENDING], counts[COMPLETED]) == (pending, completed)


def _multiply(path: str, template: int, copies: int) -> None:
    """Copy a job's rows; the copies' ids follow on the newest."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        columns = ", ".join(name for name in _columns(database, "job") if name != "id")
        others = ", ".join(name for name in _columns(database, "attempt") if name != "job_id")
        for size in _batches(copies):
            database.execute("BEGIN IMMEDIATE")
            (newest,) = database.execute("SELECT max(id) FROM job").fetchone()
            database.execute(
                f"{_NUMBERS} INSERT INTO job ({columns}) SELECT {columns} FROM job, n WHERE id = ?",
                (size, template),
            )
            database.execute(
                f"INSERT INTO attempt (job_id, {others}) SELECT copy.id, {others}"
                " FROM attempt, (SELECT id FROM job WHERE id > ?) AS copy WHERE job_id = ?",
                (newest, template),
            )
            database.execute(
                "UPDATE counter SET jobs = jobs + ?"
                " WHERE (queue, state) = (SELECT queue, state FROM job WHERE id = ?)",
                (size, template),
            )
            database.execute("UPDATE sequence SET last = last + ? WHERE name = 'job'", (size,))
            database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]


def _batches(total: int) -> Iterator[int]:
    while total > 0:
        yield min(total, _BATCH)
        total -= _BATCH
