"""Durations and points in time as people type and read them. Pure: the clock is passed in.

Inside queuectl a time is an integer of milliseconds since 1970 in UTC and a duration an integer
of milliseconds. Text is local time.
"""

from __future__ import annotations

from queuectl.errors import BadValue

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_HOURS = {"noon": "12:00", "midnight": "00:00"}
LONGEST = 1000 * 365 * DAY


def parse_duration(text: str, what: str = "duration") -> int:
    """Return the milliseconds of `30s`, `1h30m`, `2.5h` or a bare number of seconds.

    Raises BadValue for anything else, for a negative and for more than a thousand years.
    """
    total = 0.0
    rest = text.strip().lower()
    bad = BadValue(what=what, value=text, expected="a duration such as 90, 30s, 10m, 2h or 1d")
    if not rest:
        raise bad
    while rest:
        number, unit, rest = _split_quantity(rest)
        if not number or number.count(".") > 1 or number == ".":
            raise bad
        if not unit and rest:
            raise bad
        if unit not in _UNITS and unit:
            raise bad
        total += float(number) * _UNITS[unit or "s"]
        rest = rest.lstrip()
    if total > LONGEST:
        raise BadValue(what=what, value=text, expected="at most 1000 years")
    return round(total)


def _split_quantity(text: str) -> tuple[str, str, str]:
    """Split `10m5s` into `10`, `m` and `5s`."""
    end = 0
    while end < len(text) and (text[end] in "0123456789."):
        end += 1
    unit_end = end
    while unit_end < len(text) and text[unit_end].isalpha():
        unit_end += 1
    return text[:end], text[end:unit_end], text[unit_end:]


def format_duration(milliseconds: int) -> str:
    """Return the shortest exact form that parse_duration reads back: `90s` is `1m30s`."""
    if milliseconds <= 0:
        return "0s"
    parts = []
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def describe_duration(milliseconds: int) -> str:
    """Return a length for reading, two units at the most: `0.3s`, `12s`, `4m10s`, `3d2h`."""
    milliseconds = max(0, milliseconds)
    if milliseconds < 10 * SECOND:
        return f"{milliseconds / SECOND:.1f}s" if milliseconds else "0s"
    for size, unit, small, small_unit in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "m"),
        (MINUTE, "m", SECOND, "s"),
    ):
        if milliseconds >= size:
            count, left = divmod(milliseconds, size)
            rest = left // small
            return f"{count}{unit}{rest}{small_unit}" if rest else f"{count}{unit}"
    return f"{milliseconds // SECOND}s"


def parse_time(text: str, now: int, what: str = "time") -> int:
    """Return the milliseconds of a local time: `18:30` (the next one), a date, or ISO 8601.

    A time with an offset (`2026-12-01T10:00+01:00`, `…Z`) is taken as it says. A date alone is its
    midnight. `noon`, `midnight` and `tomorrow 9:00` are taken as well. Raises BadValue for anything
    else; for a duration it says how that is given.
    """
    import datetime

    given = _without_words(text.strip(), now)
    try:
        if "-" not in given:
            clock = datetime.time.fromisoformat(given)
            today = datetime.datetime.fromtimestamp(now / SECOND, clock.tzinfo)
            moment = datetime.datetime.combine(today.date(), clock)
            if moment <= today:
                moment = datetime.datetime.combine(today.date() + datetime.timedelta(days=1), clock)
        else:
            moment = datetime.datetime.fromisoformat(given)
        return round(moment.timestamp() * SECOND)
    except (ValueError, OverflowError, OSError):
        expected = f"a time such as 18:30 or 2026-12-01T10:00{_as_delay(text)}"
        raise BadValue(what=what, value=text, expected=expected) from None


def _without_words(text: str, now: int) -> str:
    """Return a time as ISO 8601 has it, where it is said in words or with an hour of one digit."""
    first, _, rest = text.lower().partition(" ")
    day = ""
    if first in ("today", "tomorrow"):
        import datetime
        import time

        date = datetime.date(*time.localtime(now / SECOND)[:3])
        date += datetime.timedelta(days=first == "tomorrow")
        day, text = date.isoformat(), rest.strip()
        if not text:
            return day
    clock = _HOURS.get(text.lower(), text)
    if clock[:1].isdigit() and clock[1:2] == ":":
        clock = f"0{clock}"
    return f"{day}T{clock}" if day else clock


def _as_delay(text: str) -> str:
    """Return a hint where somebody says how long from now: `2h`, `+2h`, `now+2h`; else nothing."""
    plain = text.strip().lower().removeprefix("now").removeprefix("in ").strip(" +")
    try:
        delay = parse_duration(plain)
    except BadValue:
        return ""
    return f"; for so long from now: --delay {format_duration(delay)}"


def format_time(milliseconds: int, now: int) -> str:
    """Return a local time for reading: `18:30:05` today, `2026-12-01 18:30` on another day."""
    import time

    moment = time.localtime(milliseconds / SECOND)
    today = time.localtime(now / SECOND)
    same_day = moment[:3] == today[:3]
    return time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M", moment)


def iso_time(milliseconds: int | None) -> str | None:
    """Return `2026-11-21T07:20:00.000Z` for machines to read, None for None."""
    import time

    if milliseconds is None:
        return None
    seconds, rest = divmod(milliseconds, SECOND)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"
