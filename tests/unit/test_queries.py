"""The SQL of filters and pages: what is in it, and that it never says less than the filter."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.job import FINAL, STATES
from queuectl.store.base import Filter
from queuectl.store.rules import DONE, HELD, LATER, READY, RUNNING
from queuectl.store.sql.queries import (
    JOB_READ,
    answers_from_counters,
    conditions,
    count_of_jobs,
    fitting,
    page_of_jobs,
)

if TYPE_CHECKING:
    from queuectl.job import State

#: where a job in a state can stand
LANES: dict[str, tuple[int, ...]] = {
    "pending": (READY, LATER, HELD, RUNNING),
    "failed": (READY, LATER, HELD, RUNNING),
    "processing": (RUNNING,),
    **dict.fromkeys(FINAL, (DONE,)),
}


def glob(column: str, pattern: str) -> tuple[str, str]:
    """The way SQLite matches."""
    return f"{column} GLOB ?", pattern


SUBSETS = [states for size in range(1, 7) for states in combinations(STATES, size)]


def test_an_empty_filter_has_no_condition() -> None:
    """All jobs."""
    assert conditions(Filter(), glob) == ([], [])
    assert page_of_jobs(Filter(), None, 5, glob, newest=False) == (
        f"SELECT {JOB_READ} FROM job ORDER BY id ASC LIMIT ?",
        [5],
    )
    assert count_of_jobs(Filter(), glob) == ("SELECT count(*) FROM job", [])


def test_every_value_is_a_parameter() -> None:
    """Nothing that a user typed becomes SQL."""
    nasty = "'; DROP TABLE job; --"
    where = Filter(states=("dead",), queues=(nasty,), ranges=((1, 2), (5, None)), name=nasty,
                   since=3, endings=(("exit", 4), ("signal", 7), (nasty, None)), paused=True, array=7, schedule=nasty, unique=nasty)  # fmt: skip
    statement, values = page_of_jobs(where, 9, 10, glob, newest=True)
    assert nasty not in statement
    assert statement.count("?") == len(values)
    assert values == [
        "dead", nasty, 1, 2, 5, 4, "signal", 7, nasty, 3, 1, 7, nasty, nasty, nasty, 9, 10,
    ]  # fmt: skip


@pytest.mark.parametrize("states", SUBSETS, ids="-".join)
def test_what_is_added_for_an_index_leaves_no_job_out(states: tuple[State, ...]) -> None:
    """Every state in every lane it can stand in, for every set of states."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE job (state TEXT, lane INTEGER)")
        rows = [(state, lane) for state, lanes in LANES.items() for lane in lanes]
        connection.executemany("INSERT INTO job VALUES (?, ?)", rows)
        tests, values = conditions(Filter(states=states), glob)
        statement = f"SELECT state, lane FROM job WHERE {' AND '.join(tests)}"
        found = connection.execute(statement, values).fetchall()
    assert sorted(found) == sorted(row for row in rows if row[0] in states)


@pytest.mark.parametrize(
    ("where", "from_counters"),
    [
        (Filter(), True),
        (Filter(states=("dead", "failed")), True),
        (Filter(queues=("a",)), True),
        (Filter(states=("dead",), queues=("a",)), True),
        (Filter(ranges=((1, 2),)), False),
        (Filter(name="a"), False),
        (Filter(since=0), False),
        (Filter(endings=(("exit", 0),)), False),
        (Filter(paused=False), False),
        (Filter(array=1), False),
        (Filter(schedule="s"), False),
        (Filter(unique="u"), False),
    ],
)
def test_counters_answer_for_states_and_queues_only(where: Filter, from_counters: bool) -> None:
    """The rest has to be looked at."""
    assert answers_from_counters(where) is from_counters


@given(st.integers())
def test_an_id_of_any_size_fits_a_column(number: int) -> None:
    """One that is too large is nobody's."""
    assert -(2**63) <= fitting(number) < 2**63
    assert fitting(number) in (number, -1)


@given(st.integers(), st.integers() | st.none(), st.integers(), st.integers())
def test_numbers_of_any_size_can_be_asked_for(
    first: int, last: int | None, since: int, exit_code: int
) -> None:
    """They bind, and compare as they should."""
    where = Filter(ranges=((first, last),), since=since, endings=(("exit", exit_code),))
    _, values = conditions(where, glob)
    with closing(sqlite3.connect(":memory:")) as connection:
        marks = ", ".join("?" * len(values))
        bound = connection.execute(f"SELECT {marks}", values).fetchone()
    for given_number, number in zip(
        (n for n in (first, last, exit_code, since) if n is not None), bound, strict=True
    ):
        assert number == max(-(2**63), min(given_number, 2**63 - 1))
