"""Verbs on many jobs.

100,000 jobs, all of them alike, changed by one command: held, let go, moved, edited, cancelled,
retried, removed, retried and purged from the dead-letter queue, pruned; the whole process, on SQLite
and on a PostgreSQL server that is durable, on this machine and on a disk. Goal: >= 30,000 jobs/s on
SQLite, 10,000 on PostgreSQL.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.report import Line, at_least
from tests.benchmarks.run import python, run
from tests.support.postgres import Server, new_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.benchmarks.bench import Bench

#: one after the other; what is not measured has no name
_STEPS: tuple[tuple[str, str], ...] = (
    ("pause", "pause all"),
    ("resume", "resume all"),
    ("move", "move all --last"),
    ("edit", "edit 1- --priority 5"),
    ("cancel", "cancel all --yes"),
    ("retry", "retry cancelled"),
    ("remove", "remove all --yes"),
    ("", "enqueue -"),
    ("", "cancel all --yes"),
    ("", "bury"),
    ("dlq retry", "dlq retry all"),
    ("", "cancel all --yes"),
    ("", "bury"),
    ("dlq purge", "dlq purge --yes"),
    ("", "enqueue -"),
    ("", "cancel all --yes"),
    ("prune", "prune --older-than 0 --yes"),
)
_BURY = (
    "UPDATE {schema}job SET state = 'dead' WHERE state = 'cancelled'",
    "DELETE FROM {schema}counter",
    "INSERT INTO {schema}counter (queue, state, jobs)"
    " SELECT queue, state, count(*) FROM {schema}job GROUP BY queue, state",
)


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    jobs = bench.pick(quick=2000, normal=100_000)
    rounds = bench.pick(quick=1, normal=3)
    lines = bench.file(f"true {n}" for n in range(jobs))
    yield from _lines("mass", jobs, [_on_sqlite(bench, lines) for _ in range(rounds)], 30_000)
    server = Server({"shared_buffers": "512MB"}, on_disk=True)
    try:
        found = [_on_postgres(server, lines) for _ in range(rounds)]
    finally:
        server.close()
    yield from _lines("mass postgres", jobs, found, 10_000)


def _lines(name: str, jobs: int, rounds: list[dict[str, float]], goal: float) -> Iterator[Line]:
    for verb in rounds[0]:
        seconds = median(one[verb] for one in rounds)
        figures = f"{jobs:,} jobs in {seconds:.2f} s"
        yield Line(f"{name} {verb}", figures, jobs / seconds, at_least(goal, "jobs/s"))


def _on_sqlite(bench: Bench, lines: Path) -> dict[str, float]:
    place = bench.place()

    def bury() -> None:
        with closing(sqlite3.connect(place.path, isolation_level=None)) as database:
            for statement in _BURY:
                database.execute(statement.format(schema=""))

    try:
        return _seconds(place.url, lines, bury)
    finally:
        place.delete()


def _on_postgres(server: Server, lines: Path) -> dict[str, float]:
    schema = new_schema()

    def bury() -> None:
        for statement in _BURY:
            server.execute(statement.format(schema=f"{schema}."))

    try:
        return _seconds(server.url(schema=schema), lines, bury)
    finally:
        server.drop(schema)


def _seconds(url: str, lines: Path, bury: Callable[[], None]) -> dict[str, float]:
    """Return how long each verb takes; `bury` makes dead jobs of cancelled ones."""
    found = {}
    store = python("-m", "queuectl", "--store", url)
    run([*store, "enqueue", "-"], stdin=lines)
    for name, words in _STEPS:
        if words == "bury":
            bury()
            continue
        stdin = lines if words == "enqueue -" else None
        seconds = run([*store, *words.split()], stdin=stdin).seconds
        if name:
            found[name] = seconds
    return found
