"""Retry when, or bury."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.endings import parse_endings
from queuectl.errors import BadValue
from queuectl.job import CANNOT_START, EXIT, LOST, SIGNAL, STOPPED, TIMEOUT
from queuectl.retry import (
    SPARE_DELIVERIES,
    Bury,
    Retry,
    after_failure,
    after_lost_claim,
    backoff,
    refused,
)


@pytest.mark.parametrize("max_retries", [0, 1, 3, 10])
def test_n_retries_are_n_plus_one_runs(max_retries: int) -> None:
    """0 means never retry."""
    verdicts = [after_failure(attempts, max_retries, {}) for attempts in range(1, max_retries + 3)]
    assert [isinstance(verdict, Retry) for verdict in verdicts] == [True] * max_retries + [
        False
    ] * 2
    assert verdicts[-1] == Bury()


@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_lost_claims_are_spared_three_more_than_retries(max_retries: int) -> None:
    """Then the job is buried, and why is said."""
    last = max_retries + SPARE_DELIVERIES
    assert after_lost_claim(last, max_retries) == Retry(0)
    assert after_lost_claim(last + 1, max_retries) == Bury(
        f"claimed {last + 1} times without an end"
    )


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        ({}, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        ({"backoff-base": "3"}, [3, 9, 27, 81, 243, 300]),
        ({"backoff-base": "1"}, [1, 1, 1]),
        ({"backoff-base": "0"}, [0, 0, 0]),
        ({"backoff-base": "1.5"}, [1.5, 2.25, 3.375]),
        ({"backoff-base": "0.5"}, [0.5, 0.25, 0.125]),
        ({"backoff-max": "5s"}, [2, 4, 5, 5]),
        ({"backoff-max": "0s"}, [0, 0]),
        ({"backoff-max": "1d", "backoff-base": "10"}, [10, 100, 1000, 10_000, 86_400]),
    ],
)
def test_the_wait_is_a_power_of_the_base_up_to_a_bound(
    policy: dict[str, str], waits: list[float]
) -> None:
    """In seconds, exactly."""
    assert [backoff(number, policy) / 1000 for number in range(1, len(waits) + 1)] == waits


@pytest.mark.parametrize("attempts", [1000, 10**6, 10**9])
def test_a_power_too_large_for_a_number_is_the_bound(attempts: int) -> None:
    """Not an error."""
    assert backoff(attempts, {}) == 300_000
    assert backoff(attempts, {"backoff-base": "1000000"}) == 300_000


def test_jitter_spreads_the_wait_around_itself() -> None:
    """Half of it each way, and none in the middle."""
    policy = {"backoff-base": "10", "jitter": "0.5"}
    assert [backoff(1, policy, random) for random in (0, 0.25, 0.5, 0.75)] == [
        5000, 7500, 10_000, 12_500,
    ]  # fmt: skip


@given(
    st.integers(1, 2000), st.floats(0, 1_000_000), st.integers(0, 10**9), st.floats(0, 1),
    st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_a_wait_is_never_negative_nor_twice_the_bound(
    attempts: int, base: float, longest: int, jitter: float, random: float
) -> None:
    """Whatever the settings."""
    policy = {
        "backoff-base": repr(base), "backoff-max": f"{longest}ms", "jitter": repr(jitter),
    }  # fmt: skip
    assert 0 <= backoff(attempts, policy, random) <= 2 * longest + 1


@pytest.mark.parametrize(
    ("text", "endings"),
    [
        ("", set()),
        ("75", {(EXIT, 75)}),
        ("1,2 3", {(EXIT, 1), (EXIT, 2), (EXIT, 3)}),
        ("100-102", {(EXIT, 100), (EXIT, 101), (EXIT, 102)}),
        ("255-255", {(EXIT, 255)}),
        ("TERM", {(SIGNAL, 15)}),
        ("sigkill,int", {(SIGNAL, 9), (SIGNAL, 2)}),
        ("signals,75", {(SIGNAL, None), (EXIT, 75)}),
        ("timeout, LOST", {(TIMEOUT, None), (LOST, None)}),
    ],
)
def test_endings_are_read(text: str, endings: set[tuple[str, int | None]]) -> None:
    """Exit codes and ranges of them, signals by name, and two words."""
    assert parse_endings(text, "retry-on") == endings


@pytest.mark.parametrize(
    "text", ["0", "256", "1-300", "3-2", "-1", "1-", "x", "9x", "SIG", "1-2-3", "٣", "1-٣"]
)
def test_what_is_no_ending_is_refused(text: str) -> None:
    """By the setting's name."""
    with pytest.raises(BadValue, match=r"^retry-on: "):
        parse_endings(text, "retry-on")


@pytest.mark.parametrize(
    ("policy", "kind", "code", "why"),
    [
        ({}, EXIT, 1, ""),
        ({"retry-on": "75"}, EXIT, 75, ""),
        ({"retry-on": "75"}, EXIT, 1, "not in retry-on"),
        ({"retry-on": "75"}, SIGNAL, 75, "not in retry-on"),
        ({"retry-on": "75"}, CANNOT_START, None, "not in retry-on"),
        ({"retry-on": "timeout"}, TIMEOUT, 15, ""),
        ({"retry-on": "lost"}, LOST, None, ""),
        ({"no-retry-on": "2"}, EXIT, 2, "in no-retry-on"),
        ({"no-retry-on": "2"}, EXIT, 3, ""),
        ({"no-retry-on": "KILL"}, SIGNAL, 9, "in no-retry-on"),
        ({"no-retry-on": "signals"}, SIGNAL, 9, "in no-retry-on"),
        ({"retry-on": "signals"}, EXIT, 137, "not in retry-on"),
        ({"no-retry-on": "timeout"}, TIMEOUT, 9, "in no-retry-on"),
        ({"retry-on": "1-5", "no-retry-on": "3"}, EXIT, 3, "in no-retry-on"),
        ({"retry-on": "1-5", "no-retry-on": "3"}, EXIT, 4, ""),
        ({"no-retry-on": "1"}, STOPPED, None, ""),
    ],
)
def test_a_jobs_own_rules_can_forbid_a_retry(
    policy: dict[str, str], kind: str, code: int | None, why: str
) -> None:
    """Only what `retry-on` names, never what `no-retry-on` names."""
    assert refused(kind, code, policy) == why
