"""What others wait for comes before them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from queuectl.store.order import dependencies_first


def test_what_waits_for_nothing_stays_where_it_is() -> None:
    """Also where it waits for a job that is not asked for; what is given twice is there once."""
    assert dependencies_first([3, 1, 2, 1], []) == [3, 1, 2]
    assert dependencies_first([3, 1, 2], [(3, 9)]) == [3, 1, 2]


def test_a_long_chain_is_turned_round() -> None:
    """However deep."""
    ids = list(range(50_000))
    assert dependencies_first(ids, [(one, one + 1) for one in ids]) == ids[::-1]


def test_a_circle_ends() -> None:
    """Each of it is there once."""
    assert sorted(dependencies_first([1, 2, 3], [(1, 2), (2, 3), (3, 1), (1, 1)])) == [1, 2, 3]


@given(st.permutations(range(12)), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11))))
def test_every_job_is_behind_those_it_waits_for(
    ids: list[int], pairs: list[tuple[int, int]]
) -> None:
    """In any graph without a circle."""
    waits = [(max(pair), min(pair)) for pair in pairs if pair[0] != pair[1]]
    ordered = dependencies_first(ids, waits)
    assert sorted(ordered) == sorted(ids)
    place = {job_id: at for at, job_id in enumerate(ordered)}
    assert all(place[other] < place[job_id] for job_id, other in waits)
