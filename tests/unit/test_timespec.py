"""Durations and times: what people type, what is shown, and that one reads the other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.errors import EXIT_USAGE, BadValue
from queuectl.timespec import (
    DAY,
    HOUR,
    LONGEST,
    MINUTE,
    SECOND,
    describe_duration,
    format_duration,
    format_time,
    iso_time,
    parse_duration,
    parse_time,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: 2026-11-21 12:00:00 UTC, a Saturday
NOON = 1_795_262_400_000


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The machine's time zone, several in turn."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("90", 90 * SECOND),
        ("1.5", 1500),
        (".5", 500),
        ("5.", 5000),
        ("30s", 30 * SECOND),
        ("10m", 10 * MINUTE),
        ("2h", 2 * HOUR),
        ("1d", DAY),
        ("2w", 14 * DAY),
        ("250ms", 250),
        ("2.5h", 150 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("1h 30m 5s", 90 * MINUTE + 5 * SECOND),
        ("10m5", 10 * MINUTE + 5 * SECOND),
        ("  7S  ", 7 * SECOND),
        ("1D2H", 26 * HOUR),
        ("0s", 0),
        ("0.0004s", 0),
        ("365000d", LONGEST),
    ],
)
def test_a_duration_is_read(text: str, milliseconds: int) -> None:
    """A bare number is seconds; units add up."""
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "s", "-5", "-5s", "+5", "5 s", "5x", "5sec", "5 5", "1..5", "1.2.3s", ".", ".s", "1e3",
        "ten", "5s5x", "5,5", "0x10", "1_000", "٥", "5ſ", "inf", "nan", "1h-5m", "\n", "5\0",
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    """The error names the setting and says what one looks like."""
    with pytest.raises(BadValue, match="timeout: .* is not a duration such as 90, 30s") as caught:
        parse_duration(text, "timeout")
    assert caught.value.exit_status == EXIT_USAGE


@pytest.mark.parametrize("text", ["365001d", "1" * 30, "9" * 400, "9" * 400 + "d"])
def test_more_than_a_thousand_years_is_refused(text: str) -> None:
    """However long the number."""
    with pytest.raises(BadValue, match="at most 1000 years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0s"), (-5, "0s"), (1, "1ms"), (1000, "1s"), (1500, "1s500ms"), (90_000, "1m30s"),
        (HOUR, "1h"), (DAY + 1, "1d1ms"), (400 * DAY, "400d"), (26 * HOUR + 61_001, "1d2h1m1s1ms"),
    ],
)  # fmt: skip
def test_a_duration_is_written_in_the_shortest_exact_form(milliseconds: int, text: str) -> None:
    """No unit without a number."""
    assert format_duration(milliseconds) == text


@given(st.integers(0, LONGEST))
def test_a_written_duration_reads_as_itself(milliseconds: int) -> None:
    """Of any length."""
    assert parse_duration(format_duration(milliseconds)) == milliseconds


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    """Never anything else."""
    try:
        assert 0 <= parse_duration(text) <= LONGEST
    except BadValue:
        pass


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0s"), (-1, "0s"), (300, "0.3s"), (9_400, "9.4s"), (10_000, "10s"), (59_999, "59s"),
        (60_000, "1m"), (250_000, "4m10s"), (HOUR, "1h"), (HOUR + 59_000, "1h"),
        (HOUR + MINUTE, "1h1m"), (3 * DAY + 2 * HOUR, "3d2h"), (3 * DAY + 59 * MINUTE, "3d"),
    ],
)  # fmt: skip
def test_a_length_is_described_with_two_units_at_the_most(milliseconds: int, text: str) -> None:
    """For reading, not for computing."""
    assert describe_duration(milliseconds) == text


@given(st.integers(0, LONGEST))
def test_a_described_length_is_never_more_than_it_was_by_much(milliseconds: int) -> None:
    """It can be read back, and is right to its smaller unit."""
    described = parse_duration(describe_duration(milliseconds))
    assert abs(milliseconds - described) <= max(50, milliseconds / 10)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("13:30", "2026-11-21T13:30:00.000Z"),
        ("12:00:01", "2026-11-21T12:00:01.000Z"),
        ("12:00", "2026-11-22T12:00:00.000Z"),
        ("11:59", "2026-11-22T11:59:00.000Z"),
        ("00:00", "2026-11-22T00:00:00.000Z"),
        ("2026-12-01", "2026-12-01T00:00:00.000Z"),
        ("2026-12-01T10:00", "2026-12-01T10:00:00.000Z"),
        ("2026-12-01 10:00", "2026-12-01T10:00:00.000Z"),
        (" 2026-12-01T10:00:30.25 ", "2026-12-01T10:00:30.250Z"),
        ("2026-12-01T10:00Z", "2026-12-01T10:00:00.000Z"),
        ("2026-12-01T10:00+01:00", "2026-12-01T09:00:00.000Z"),
        ("2020-01-01", "2020-01-01T00:00:00.000Z"),
        ("18:30Z", "2026-11-21T18:30:00.000Z"),
        ("0:05", "2026-11-22T00:05:00.000Z"),
        ("9:30:10", "2026-11-22T09:30:10.000Z"),
        ("noon", "2026-11-22T12:00:00.000Z"),
        ("Midnight", "2026-11-22T00:00:00.000Z"),
        ("tomorrow", "2026-11-22T00:00:00.000Z"),
        ("tomorrow 9:00", "2026-11-22T09:00:00.000Z"),
        ("tomorrow noon", "2026-11-22T12:00:00.000Z"),
        ("today 18:30", "2026-11-21T18:30:00.000Z"),
        ("13:30+02:00", "2026-11-22T11:30:00.000Z"),
        ("23:30+05:30", "2026-11-21T18:00:00.000Z"),
    ],
)
def test_a_time_is_read(in_utc: None, text: str, expected: str) -> None:
    """A time alone is the next one; an offset is taken as it says."""
    assert iso_time(parse_time(text, NOON)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "teatime", "25:00", "12:60", "2026-13-01", "2026-02-30", "tomorrow x", "12-30", "1:2:3:4",
        "2026-12-01T", "-", "0000-01-01", "99999-01-01", "12:00-", "now", "0:60", "1:", "today 9",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    """The error names the field and says what one looks like."""
    with pytest.raises(BadValue, match="at: .* is not a time such as 18:30"):
        parse_time(text, NOON, "at")


@pytest.mark.parametrize(
    ("text", "delay"),
    [("2h", "2h"), ("+1h", "1h"), ("now+1h", "1h"), ("now + 90m", "1h30m"), ("in 2d", "2d")],
)
def test_who_says_how_long_from_now_is_told_of_delay(text: str, delay: str) -> None:
    with pytest.raises(BadValue, match=f"; for so long from now: --delay {delay}$"):
        parse_time(text, NOON, "at")


@given(st.text("0123456789:-+TZ. W", max_size=20))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    """Never anything else, whatever the parser of the library thinks of it."""
    try:
        assert isinstance(parse_time(text, NOON), int)
    except BadValue:
        pass


def test_a_time_is_local(zone: str) -> None:
    """What the clock on the wall says."""
    at = parse_time("2026-12-01T10:00", NOON)
    assert time.strftime("%Y-%m-%d %H:%M", time.localtime(at / 1000)) == "2026-12-01 10:00"


def test_a_time_alone_is_within_the_next_day(zone: str) -> None:
    """Whatever the zone."""
    for hour in range(24):
        at = parse_time(f"{hour:02}:15", NOON)
        assert NOON < at <= NOON + DAY
        assert time.localtime(at / 1000)[3:5] == (hour, 15)


def test_the_next_time_is_right_over_the_end_of_summer_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A day may have 25 hours."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    evening = parse_time("2026-10-24T20:00", NOON)
    morning = parse_time("08:00", evening)
    monkeypatch.undo()
    time.tzset()
    assert morning - evening == 13 * HOUR


def test_a_time_of_today_is_shown_without_its_date(zone: str) -> None:
    """And another day's with it."""
    today = parse_time("2026-11-21T18:30:05", NOON)
    assert format_time(today, today - HOUR) == "18:30:05"
    assert format_time(today, today + 3 * DAY) == "2026-11-21 18:30"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000Z"),
        (NOON + 7, "2026-11-21T12:00:00.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_machines_read_iso_8601_in_utc(milliseconds: int | None, text: str | None) -> None:
    """With milliseconds, always."""
    assert iso_time(milliseconds) == text


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_for_machines_reads_as_itself(milliseconds: int) -> None:
    """It can be given back to `--at`."""
    text = iso_time(milliseconds)
    assert text is not None
    assert parse_time(text, NOON) == milliseconds
