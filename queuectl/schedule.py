"""When a schedule fires, and the job it makes. Pure: the clock is passed in.

Times of cron are those of Debian's: a fixed time that the clocks skip in spring fires once, right
after the gap; one that comes twice in autumn fires at the first; what has a star in its minutes or
hours goes on as real time does, so that nothing of it comes in the gap. Where clocks are set by half
an hour (Lord Howe) a time with such a star that lies within an hour after that may be left out.
`every 10m` is a grid of real time and knows no zone.
"""

from __future__ import annotations

from queuectl.errors import BadValue, UsageError, did_you_mean, nearest
from queuectl.job import After, Array, NewJob
from queuectl.record import Record
from queuectl.timespec import HOUR, SECOND, format_duration, format_time, parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Sequence

    from queuectl.store.base import Schedule

#: what to do while the last job has not ended: leave this time out, or enqueue one more
SKIP, QUEUE = "skip", "queue"
#: what to make up for after nobody was there
NONE, ONE, ALL = "none", "one", "all"
#: times that are made up for at the most, the latest of them
MOST = 1000
#: ms after which a time counts as missed
LATE = 60 * SECOND
#: the shortest grid, ms
SHORTEST = SECOND

_EVERY = "every"
_ALIASES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_DAYS = "SUN MON TUE WED THU FRI SAT".split()
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
#: by the names that cronsim has for them: the names of the five fields, what each takes, its words,
#: its first and last
_FIELDS = {
    "minute": ("minute", "0 to 59", (), ("0", "59")),
    "hour": ("hour", "0 to 23", (), ("0", "23")),
    "day-of-month": ("day of the month", "1 to 31, or L, the last", (), ("1", "31")),
    "month": ("month", "1 to 12 or JAN to DEC", _MONTHS, ("JAN", "DEC")),
    "day-of-week": ("day of the week", "0 to 7 or SUN to SAT, or 5L, the last Friday", _DAYS, ("SUN", "SAT")),
}  # fmt: skip
#: clocks are set back by less than this
_FOLD = 3 * HOUR


class Decision(Record):
    """What is to be done about a schedule that is due."""

    #: the times to enqueue a job for, oldest first
    times: tuple[int, ...]
    #: when it fires next; None: never again
    next_at: int | None
    #: why there is nothing to enqueue
    note: str | None = None


def decide(schedule: Schedule, now: int) -> Decision:
    """Return what a schedule whose time has come does now, overlap not considered."""
    due = schedule.next_at
    if due is None:
        return Decision((), None)
    next_at = next_time(schedule.spec, schedule.zone, now, due)
    most = MOST if schedule.missed == ALL else 1
    times = times_between(schedule.spec, schedule.zone, due, now, most)
    if schedule.missed == NONE and times and now - times[-1] > LATE:
        return Decision((), next_at, f"missed: nobody was there at {format_time(times[-1], now)}")
    return Decision(times, next_at)


# ---- times --------------------------------------------------------------------------------------


def check(spec: str, zone: str) -> str:
    """Return a schedule as it is kept. Raises BadValue and UsageError, naming the field at fault."""
    check_zone(zone)
    words = spec.split()
    if words and words[0].lower() == _EVERY:
        return f"{_EVERY} {format_duration(_period(spec))}"
    text = " ".join(words)
    expression = _expression(text)
    if len(expression.split()) != len(_FIELDS):
        raise UsageError(_count_fault(text))
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(expression, _moment(0, "UTC")))
    except CronSimError as error:
        raise _field_fault(expression, str(error)) from None
    except StopIteration:
        raise UsageError(f"schedule: {text!r} never comes") from None
    return text


def check_zone(zone: str) -> None:
    """Raise BadValue, with the nearest name, unless this is a time zone or empty."""
    if not zone:
        return
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        # people know the city; an abbreviation such as CEST is near to nothing that is right
        place = zone.rpartition("/")[2].replace(" ", "_").casefold()
        same = sorted(name for name in known if name.rpartition("/")[2].casefold() == place)
        near = nearest(zone, known) if "/" in zone else None
        close = same[0] if same else near
        expected = "a time zone such as Europe/Rome" + (f"; did you mean {close}?" if close else "")
        raise BadValue(what="schedule: time zone", value=zone, expected=expected) from None


def next_time(spec: str, zone: str, after: int, anchor: int) -> int | None:
    """Return the first time after a moment, None if there is none.

    `anchor` is any time of an `every` grid, at or before which there may be others.
    """
    if spec.startswith(_EVERY):
        period = _period(spec)
        return anchor + max(0, (after - anchor) // period + 1) * period
    for moment in _cron(spec, zone, after):
        if moment > after:
            return moment
    return None


def times_between(spec: str, zone: str, first: int, last: int, most: int) -> tuple[int, ...]:
    """Return the times from `first`, which is one, to `last`; of more than `most` the latest."""
    if spec.startswith(_EVERY):
        period = _period(spec)
        count = (last - first) // period + 1
        return tuple(first + at * period for at in range(max(0, count - most), count))
    found: list[int] = []
    # backwards, so that a year of minutes costs no more than `most`; from a little later on, as a
    # clock that was set back shows a time before one that has been already
    for moment in _cron(spec, zone, last + _FOLD, backwards=True):
        if moment < first or len(found) == most:
            break
        if moment <= last:
            found.append(moment)
    if first <= last and len(found) < most and first not in found[-1:]:
        # made up for a gap of the clocks, which counting backwards may not do
        found.append(first)
    return tuple(reversed(found))


def _cron(spec: str, zone: str, start: int, *, backwards: bool = False) -> Iterator[int]:
    from cronsim import CronSim

    for moment in CronSim(_expression(spec), _moment(start, zone), reverse=backwards):
        yield round(moment.timestamp()) * SECOND


def _expression(spec: str) -> str:
    return _ALIASES.get(spec.lower(), spec)


def _moment(milliseconds: int, zone: str) -> datetime.datetime:
    import datetime

    return datetime.datetime.fromtimestamp(milliseconds // SECOND, _zone(zone))


def _zone(name: str) -> datetime.tzinfo:
    """Return a time zone; the empty name is that of this machine."""
    import datetime
    import zoneinfo

    if name == "UTC":
        return datetime.UTC
    if name:
        return zoneinfo.ZoneInfo(name)
    try:
        with open("/etc/localtime", "rb") as file:
            return zoneinfo.ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return datetime.UTC


def _period(spec: str) -> int:
    text = spec.split(None, 1)[1] if len(spec.split(None, 1)) > 1 else ""
    period = parse_duration(text.replace(" ", ""), "schedule: every")
    if period < SHORTEST:
        raise BadValue(what="schedule: every", value=text, expected="at least 1s")
    return period


def _count_fault(text: str) -> str:
    """Say what is wrong with what is neither five fields nor anything else."""
    words = text.split()
    if len(words) <= 1:
        named = did_you_mean(f"@{text.lstrip('@')}", _ALIASES)
        if _is_duration(text):
            named = f"; did you mean every {text}?"
        return f"schedule: {text!r} is no time: five fields of cron, or every 10m{named}"
    hint = f"; did you mean '{text} *'?" if len(words) == len(_FIELDS) - 1 else ""
    if len(words) == len(_FIELDS) + 1:
        hint = f"; there are no seconds: did you mean '{' '.join(words[1:])}'?"
    return (
        f"schedule: {text!r} has {len(words)} fields, and cron has five:"
        f" minute, hour, day of the month, month, day of the week{hint}"
    )


def _is_duration(text: str) -> bool:
    try:
        return bool(parse_duration(text, ""))
    except BadValue:
        return False


def _field_fault(expression: str, message: str) -> UsageError:
    """Return the error for the field that cronsim's `Bad hour` names."""
    key = message.removeprefix("Bad ")
    if key not in _FIELDS:
        return BadValue(what="schedule", value=expression, expected=f"five fields ({message})")
    name, takes, known, ends = _FIELDS[key]
    words = expression.split()
    value = words[list(_FIELDS).index(key)]
    if key == "day-of-month" and value.isdigit() and 1 <= int(value) <= 31:
        return UsageError(f"schedule: day {value} never comes in month {words[3]}")
    hint = _word_hint(value, known)
    first, dash, last = value.partition("-")
    if dash and not hint and "," not in value and first.isalnum() and last.isalnum():
        hint = f"; a range runs upwards: did you mean {first}-{ends[1]},{ends[0]}-{last}?"
    expected = f"{takes}; lists 1,5, ranges 1-5 and steps */5 of them{hint}"
    return BadValue(what=f"schedule: {name}", value=value, expected=expected)


def _word_hint(value: str, known: Sequence[str]) -> str:
    """Return which month or day somebody meant who misspelled one."""
    words = "".join(char if char.isalpha() else " " for char in value.upper()).split()
    wrong = next((word for word in words if known and word not in known), None)
    return did_you_mean(wrong, known) if wrong else ""


# ---- the job ------------------------------------------------------------------------------------


def pack(new: NewJob) -> bytes:
    """Return a job as a schedule keeps it; what it leaves open is decided whenever it fires."""
    import base64
    import json

    kept: dict[str, object] = {}
    for name, value in new._asdict().items():
        if value is None or name == "schedule":
            continue
        kept[name] = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    return json.dumps(kept).encode()


def unpack(data: bytes, schedule: str) -> NewJob:
    """Return the job that a schedule of that name makes."""
    import base64
    import json

    kept = json.loads(data)
    if kept.get("args") is not None:
        kept["args"] = tuple(kept["args"])
    if "stdin" in kept:
        kept["stdin"] = base64.b64decode(kept["stdin"])
    kept["after"] = tuple(After(*item) for item in kept.get("after", ()))
    if "array" in kept:
        kept["array"] = Array(*kept["array"])
    return NewJob(**{**kept, "schedule": schedule})
