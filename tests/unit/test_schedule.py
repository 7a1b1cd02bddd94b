"""When schedules fire: cron over the changes of clocks, grids, downtime, and what is no schedule."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.errors import UsageError
from queuectl.job import After, Array, NewJob
from queuectl.schedule import (
    MOST,
    check,
    check_zone,
    decide,
    next_time,
    pack,
    times_between,
    unpack,
)
from queuectl.store.base import Schedule

ROME = "Europe/Rome"
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
DAY = 24 * HOUR


def at(text: str, zone: str = ROME, fold: int = 0) -> int:
    """Return a local time in ms."""
    local = datetime.datetime.fromisoformat(text)
    return round(local.replace(tzinfo=zoneinfo.ZoneInfo(zone), fold=fold).timestamp()) * SECOND


def coming(spec: str, start: str, count: int, zone: str = ROME) -> list[str]:
    """Return the next times as local time with its offset, without the year."""
    found, moment = [], at(start, zone)
    for _ in range(count):
        following = next_time(spec, zone, moment, 0)
        assert following is not None
        assert following > moment
        moment = following
        local = datetime.datetime.fromtimestamp(moment / SECOND, zoneinfo.ZoneInfo(zone))
        found.append(local.isoformat()[5:16] + local.isoformat()[19:22])
    return found


def schedule(spec: str, next_at: int, missed: str = "one", zone: str = ROME) -> Schedule:
    return Schedule("s", spec, zone, "skip", missed, b"{}", next_at)


@pytest.mark.parametrize(
    ("spec", "start", "times"),
    [
        # the clocks go from 2:00 to 3:00 on 29 March, and from 3:00 back to 2:00 on 25 October
        ("30 2 * * *", "2026-03-28T12:00", ["03-29T03:00+02", "03-30T02:30+02"]),
        ("0,30 2 * * *", "2026-03-28T12:00", ["03-29T03:00+02", "03-30T02:00+02"]),
        ("0 2,3 * * *", "2026-03-28T12:00", ["03-29T03:00+02", "03-30T02:00+02"]),
        ("30 2 * * *", "2026-10-24T12:00", ["10-25T02:30+02", "10-26T02:30+01"]),
        ("0 3 * * *", "2026-10-24T12:00", ["10-25T03:00+01", "10-26T03:00+01"]),
        ("0 * * * *", "2026-03-29T00:30", ["03-29T01:00+01", "03-29T03:00+02"]),
        ("0 * * * *", "2026-10-25T01:30", ["10-25T02:00+02", "10-25T02:00+01", "10-25T03:00+01"]),
        ("*/30 2 * * *", "2026-03-28T12:00", ["03-30T02:00+02", "03-30T02:30+02"]),
        ("0 0 1 * *", "2026-11-21T00:00", ["12-01T00:00+01", "01-01T00:00+01"]),
        ("@daily", "2026-11-21T00:00", ["11-22T00:00+01", "11-23T00:00+01"]),
        ("0 9 * * MON-FRI", "2026-11-20T10:00", ["11-23T09:00+01", "11-24T09:00+01"]),
        ("0 0 29 2 *", "2026-11-21T00:00", ["02-29T00:00+01"]),
    ],
)  # fmt: skip
def test_cron_over_the_changes_of_clocks(spec: str, start: str, times: list[str]) -> None:
    """A skipped time fires once right after the gap, a doubled one at the first of the two."""
    assert coming(spec, start, len(times)) == times


def test_a_time_that_comes_twice_is_over_in_the_second_hour() -> None:
    """Whoever looks then, after a restart or a resume, waits for the next day."""
    first, second = at("2026-10-25T02:30"), at("2026-10-25T02:30", fold=1)
    assert second - first == HOUR
    tomorrow = at("2026-10-26T02:30")
    for moment in range(first, second + HOUR, 5 * MINUTE):
        assert next_time("30 2 * * *", ROME, moment, 0) == tomorrow
        assert times_between("30 2 * * *", ROME, first - DAY, moment, 1) == (first,)


@given(
    spec=st.sampled_from(
        ["30 2 * * *", "0 2,3 * * *", "*/20 * * * *", "15 */2 * * *", "59 23 * * 0"]
    ),
    day=st.sampled_from(["2026-03-27", "2026-10-23", "2026-07-01"]),
    zone=st.sampled_from([ROME, "America/New_York", "America/Santiago", "UTC", "Asia/Kolkata"]),
    minutes=st.integers(0, 3 * 24 * 60),
)
def test_looking_back_finds_what_looking_ahead_found(
    spec: str, day: str, zone: str, minutes: int
) -> None:
    """So nothing is fired twice or left out because somebody looked late."""
    start = at(f"{day}T00:00", zone) + minutes * MINUTE
    ahead = [start]
    while ahead[-1] < start + 3 * DAY:
        following = next_time(spec, zone, ahead[-1], 0)
        assert following is not None
        ahead.append(following)
    found = tuple(ahead[1:])
    assert times_between(spec, zone, found[0], found[-1], len(found)) == found
    assert times_between(spec, zone, found[0], found[-1] - 1, 2) == found[:-1][-2:]


def test_what_is_due_after_a_gap_of_two_hours_is_one_of_the_times() -> None:
    """Counting backwards does not come upon it, yet it must be fired."""
    due = next_time(
        "30 1-2 * * *", "Antarctica/Troll", at("2026-03-29T00:00", "Antarctica/Troll"), 0
    )
    assert due == at("2026-03-29T03:00", "Antarctica/Troll")
    assert times_between("30 1-2 * * *", "Antarctica/Troll", due, due + MINUTE, 9) == (due,)
    assert times_between("30 1-2 * * *", "Antarctica/Troll", due, due - MINUTE, 9) == ()


def test_a_grid_counts_from_its_first_time() -> None:
    """Whatever the clocks on the wall do."""
    start = at("2026-10-25T00:07")
    assert next_time("every 10m", "", start, start) == start + 10 * MINUTE
    assert next_time("every 10m", "", start + 1, start) == start + 10 * MINUTE
    assert next_time("every 10m", "", start + 25 * MINUTE, start) == start + 30 * MINUTE
    # a clock that was set back
    assert next_time("every 10m", "", start - HOUR, start) == start
    assert times_between("every 10m", "", start, start + 25 * MINUTE, 2) == (
        start + 10 * MINUTE, start + 20 * MINUTE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("missed", "late", "times"),
    [
        ("none", 0, [0]), ("none", 59 * SECOND, [0]), ("none", 25 * MINUTE, []), ("none", 30 * MINUTE, [30]),
        ("one", 0, [0]), ("one", 25 * MINUTE, [20]), ("one", 30 * MINUTE, [30]),
        ("all", 0, [0]), ("all", 25 * MINUTE, [0, 10, 20]), ("all", 30 * MINUTE, [0, 10, 20, 30]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("spec", ["every 10m", "*/10 * * * *"])
def test_after_nobody_was_there(spec: str, missed: str, late: int, times: list[int]) -> None:
    """None, the latest, or each; and the next one is in its place."""
    due = at("2026-11-21T10:00")
    decided = decide(schedule(spec, due, missed), due + late)
    assert decided.times == tuple(due + minutes * MINUTE for minutes in times)
    assert decided.next_at == due + (late // (10 * MINUTE) + 1) * 10 * MINUTE
    assert (decided.note is not None) == (not times)


def test_a_year_of_minutes_is_bounded() -> None:
    """The latest thousand are made up for, without walking through all the others."""
    due = at("2025-11-21T10:00")
    for spec in ("* * * * *", "every 1m"):
        decided = decide(schedule(spec, due, "all"), due + 365 * DAY)
        assert len(decided.times) == MOST
        assert decided.times[-1] == due + 365 * DAY
        assert decided.times[0] == due + 365 * DAY - (MOST - 1) * MINUTE


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("61 * * * *", "minute: '61' is not 0 to 59"),
        ("0 24 * * *", "hour: '24' is not 0 to 23"),
        ("0 3 * JANN *", "month: 'JANN' is not 1 to 12 or JAN to DEC; lists 1,5, ranges 1-5 and steps */5 of them; did you mean JAN?"),
        ("0 3 * * FRI-MON", "did you mean FRI-SAT,SUN-MON?"),
        ("0 22-4 * * *", "did you mean 22-23,0-4?"),
        ("0 0 30 2 *", "day 30 never comes in month 2"),
        ("0 3 * *", "has 4 fields, and cron has five: minute, hour, day of the month, month, day of the week; did you mean '0 3 * * *'?"),
        ("0 0 3 * * *", "did you mean '0 3 * * *'?"),
        ("daily", "did you mean @daily?"),
        ("10m", "did you mean every 10m?"),
        ("every", "every: '' is not a duration"),
        ("every soon", "every: 'soon' is not a duration"),
        ("every 0", "every: '0' is not at least 1s"),
        ("", "'' is no time"),
    ],
)  # fmt: skip
def test_what_is_no_schedule_names_the_field(spec: str, said: str) -> None:
    """And the nearest right thing."""
    with pytest.raises(UsageError) as caught:
        check(spec, "UTC")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("zone", "close"),
    [("Rome", "Europe/Rome"), ("europe/rome", "Europe/Rome"), ("Europe/Roma", "Europe/Rome"), ("new york", "America/New_York"),
     ("../../etc/passwd", None), ("CEST", None), ("Europe", None)],
)  # fmt: skip
def test_what_is_no_zone_names_the_nearest(zone: str, close: str | None) -> None:
    """When there is one."""
    with pytest.raises(UsageError) as caught:
        check_zone(zone)
    hint = f"did you mean {close}?"
    assert (hint in str(caught.value)) if close else ("did you mean" not in str(caught.value))


def test_a_schedule_is_kept_in_one_form() -> None:
    """Blanks and units do not matter."""
    assert check("  0   3 * * mon ", ROME) == "0 3 * * mon"
    assert check("every 600", "") == "every 10m"
    assert check("Every 1h 30m", "") == "every 1h30m"
    assert check("@daily", "") == "@daily"


def test_a_job_is_packed_whole() -> None:
    """Bytes that are no UTF-8 too."""
    new = NewJob(
        "printf \udcff", ("a", "b"), False, "gpu", "me", 3, {"timeout": "5m"}, None, "/tmp", {"A": "\udcfe"},
        b"\0\xff", None, True, "me@here", "m\udc80", "key", (After("prep", "ended"), After(3)), Array("k", 2, 4), {"gpu": 1},
    )  # fmt: skip
    assert unpack(pack(new), "nightly") == new._replace(schedule="nightly")
    plain = NewJob("true")
    assert unpack(pack(plain), "nightly") == plain._replace(schedule="nightly")
