"""The reads that every SQL engine answers alike: columns, filters, pages.

Parameters are written `?`; a store with another style translates them.
"""

from __future__ import annotations

from queuectl.job import (
    CANCELLED,
    DEAD,
    EXIT,
    FAILED,
    FINAL,
    PROCESSING,
    SIGNAL,
    STOPPED,
    Attempt,
    Job,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from queuectl.job import State
    from queuectl.store.base import Filter
    from queuectl.store.sql.sqlstore import TrackInfo

    #: makes the condition that a column matches a glob, and its value
    GlobTest = Callable[[str, str], tuple[str, str]]

JOB_COLUMNS = (
    "id, name, queue, state, command, args, shell, priority, max_retries, policy, cwd, environment,"
    " submitter, paused, created_at, due_at, next_run_at, started_at, finished_at, attempts,"
    " deliveries, runs, reason, exit_code, cancel_requested, host, token, message, unique_key,"
    " array_id, array_index, schedule, unmet, track"
)
ATTEMPT_COLUMNS = (
    "job_id, run, host, due_at, started_at, finished_at, kind, code, reason, user_ms, system_ms,"
    " max_rss_kib, stdout_bytes, stderr_bytes, message"
)

#: attempts that have ended, and were not given back
_ENDED = "FROM attempt AS ended"
_OF_JOB = f"ended.job_id = job.id AND ended.kind <> '{STOPPED}'"
#: what is read of a job: JOB_COLUMNS, and how its last attempt ended where that is no exit
JOB_READ = (
    f"{JOB_COLUMNS}, CASE WHEN exit_code IS NULL AND runs > 0 THEN (SELECT"
    f" ended.kind || ' ' || coalesce(ended.code, 0) {_ENDED} WHERE {_OF_JOB}"
    " ORDER BY ended.run DESC LIMIT 1) END"
)

_TROUBLE = frozenset((FAILED, DEAD, CANCELLED))


def job_from(
    row: Sequence[Any],
    text: Callable[[Any], str],
    words: Callable[[Any], tuple[str, ...] | None],
    policy: Callable[[int], Mapping[str, str]],
    environment: Callable[[int], Mapping[str, str]],
    track: Callable[[int], TrackInfo],
) -> Job:
    """Return the job in a row of JOB_READ; the readers turn what is packed into values."""
    alike = track(row[33])
    kind, _, code = ("" if row[34] is None else row[34]).partition(" ")
    return Job(
        row[0], row[1], row[2], row[3], text(row[4]), words(row[5]), bool(row[6]), row[7], row[8],
        policy(row[9]), text(row[10]), environment(row[11]), row[12], bool(row[13]), row[14],
        row[15], row[16], row[17], row[18], row[19], row[20], row[21], row[22], row[23],
        bool(row[24]), row[25], row[26], None if row[27] is None else text(row[27]), row[28],
        row[29], row[30], alike.needs, row[31], row[32], alike.array_limit,
        (kind or None) if row[23] is None else EXIT, int(code) if kind == SIGNAL else None,
    )  # fmt: skip


def attempt_from(row: Sequence[Any]) -> Attempt:
    """Return the attempt in a row of ATTEMPT_COLUMNS."""
    return Attempt(*row)


def conditions(where: Filter, glob: GlobTest) -> tuple[list[str], list[Any]]:
    """Return the SQL conditions of a filter and their parameters."""
    tests: list[str] = []
    values: list[Any] = []
    few = where.states == (PROCESSING,)
    if where.states:
        tests.append(f"state IN ({_marks(where.states)})")
        values.extend(where.states)
        tests += _index_terms(frozenset(where.states))
    if where.queues:
        tests.append(f"queue IN ({_marks(where.queues)})")
        values.extend(where.queues)
    for test, more in (*_within(where.ranges), *_ended(where.endings)):
        tests.append(test)
        values += more
    for column, operator, value in (
        ("created_at", ">=", where.since),
        ("paused", "=", None if where.paused is None else int(where.paused)),
        # an expression is not looked up in an index: not to walk a whole array for the few that run
        ("coalesce(array_id, 0)" if few else "array_id", "=", where.array),
    ):
        if value is not None:
            tests.append(f"{column} {operator} ?")
            values.append(capped(value))
    for column, words in (("schedule", where.schedule), ("unique_key", where.unique)):
        if words is not None:
            tests.append(f"{column} = ?")
            values.append(words)
    if where.name is not None:
        test, pattern = glob("name", where.name)
        tests += ["name IS NOT NULL", test]
        values.append(pattern)
    return tests, values


def _within(ranges: Sequence[tuple[int, int | None]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the condition that an id is in one of these ranges, and its values; of none nothing."""
    spans, values = [], []
    for first, last in ranges:
        spans.append("id >= ?" if last is None else "id BETWEEN ? AND ?")
        values += [capped(first)] if last is None else [capped(first), capped(last)]
    if spans:
        yield f"({' OR '.join(spans)})", values


def _ended(endings: Sequence[tuple[str, int | None]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the condition that the last attempt that has ended did so, and its values; likewise.

    A job's exit_code is that attempt's; only where it has none is the attempt looked at.
    """
    codes = [capped(code) for kind, code in endings if kind == EXIT and code is not None]
    tests = [f"exit_code IN ({_marks(codes)})"] if codes else []
    kinds: list[str] = []
    values: list[Any] = list(codes)
    for kind, code in endings:
        if kind != EXIT:
            kinds.append("last.kind = ?" if code is None else "(last.kind = ? AND last.code = ?)")
            values += [kind] if code is None else [kind, capped(code)]
    if kinds:
        tests.append(
            "exit_code IS NULL AND runs > 0 AND EXISTS (SELECT 1 FROM attempt AS last"
            f" WHERE last.job_id = job.id AND last.run = (SELECT max(ended.run) {_ENDED}"
            f" WHERE {_OF_JOB}) AND ({' OR '.join(kinds)}))"
        )
    if endings:
        # an exit without a code is none
        yield f"({' OR '.join(tests) or '1 = 0'})", values


def _index_terms(states: frozenset[State]) -> list[str]:
    """Return what follows from the states anyway, in the words of the narrowest index that has them.

    A partial index is used only where a query repeats its condition (sqlite.org/partialindex.html).
    """
    if states == {PROCESSING}:
        return ["lane = 3"]
    if states <= _TROUBLE:
        return ["state IN ('failed', 'dead', 'cancelled')"]
    if not FINAL.intersection(states):
        return ["lane < 4"]
    return ["lane = 4"] if states <= FINAL else []


def fitting(number: int) -> int:
    """Return an id, or one that no job has where it would overflow a column of integers."""
    return number if -(2**63) <= number < 2**63 else -1


def capped(number: int) -> int:
    """Return the nearest number that a column of integers can be compared with."""
    return max(-(2**63), min(number, 2**63 - 1))


def page_of_jobs(
    where: Filter, after: int | None, limit: int, glob: GlobTest, *, newest: bool
) -> tuple[str, list[Any]]:
    """Return the SELECT of one page in order of id, going on behind the id `after`."""
    tests, values = conditions(where, glob)
    # the running jobs are few: better sort them than walk the table in order of id to find them
    key = "id + 0" if where.states == (PROCESSING,) else "id"
    if after is not None:
        tests.append(f"{key} {'<' if newest else '>'} ?")
        values.append(after)
    condition = f" WHERE {' AND '.join(tests)}" if tests else ""
    order = "DESC" if newest else "ASC"
    values.append(limit)
    return f"SELECT {JOB_READ} FROM job{condition} ORDER BY {key} {order} LIMIT ?", values


def page_of_ids(where: Filter, after: int, limit: int, glob: GlobTest) -> tuple[str, list[Any]]:
    """Return the SELECT of the ids of one page, going on behind the id `after`."""
    tests, values = conditions(where, glob)
    statement = f"SELECT id FROM job WHERE {' AND '.join([*tests, 'id > ?'])} ORDER BY id LIMIT ?"
    return statement, [*values, capped(after), limit]


def count_of_jobs(where: Filter, glob: GlobTest) -> tuple[str, list[Any]]:
    """Return the SELECT that counts what a filter matches."""
    tests, values = conditions(where, glob)
    condition = f" WHERE {' AND '.join(tests)}" if tests else ""
    return f"SELECT count(*) FROM job{condition}", values


def answers_from_counters(where: Filter) -> bool:
    """Whether counter rows can tell how many jobs match."""
    return where._replace(states=(), queues=()) == type(where)()


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
