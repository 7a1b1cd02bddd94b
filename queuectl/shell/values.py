"""Words that can be the value of a parameter, by what completes it. Pure: from what is known."""

from __future__ import annotations

from queuectl.commands.drafts import AUTO
from queuectl.grammar.selection import ALL, LAST
from queuectl.job import CANCELLED, COMPLETED, DEAD, FAILED, PENDING, PROCESSING, STATES
from queuectl.record import Record
from queuectl.render import visible
from queuectl.settings import BY_NAME, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from queuectl.grammar import Grammar
    from queuectl.job import State
    from queuectl.shell.known import KnownJob, Picture

_LIVE: tuple[State, ...] = (PENDING, FAILED, PROCESSING)
#: states that a verb can act on; one that is not here takes any job
ACTS_ON: Mapping[str, tuple[State, ...]] = {
    "cancel": _LIVE,
    "pause": _LIVE,
    "resume": _LIVE,
    "wait": _LIVE,
    "why": (PENDING, FAILED),
    "edit": (PENDING, FAILED, COMPLETED, DEAD, CANCELLED),
    "move": (PENDING, FAILED),
    "signal": (PROCESSING,),
    "send": (PROCESSING,),
    "retry": (FAILED, DEAD, CANCELLED, COMPLETED),
    "remove": (PENDING, FAILED, COMPLETED, DEAD, CANCELLED),
    "output": (PROCESSING, FAILED, COMPLETED, DEAD, CANCELLED),
    "dlq list": (DEAD,),
    "dlq retry": (DEAD,),
    "dlq purge": (DEAD,),
}
_ZONE_TABLE = "/usr/share/zoneinfo/zone.tab"
_TIMES = {
    "every": "10m, 1h, 1d: a time after the other", "@hourly": "0 * * * *", "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0: on Sundays", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *",
}  # fmt: skip
_PERIODS = {"10m": "", "1h": "", "1d": ""}
_SIGNALS = {
    "TERM": "asks it to end", "INT": "as Ctrl-C", "HUP": "often: read the configuration again",
    "USR1": "", "USR2": "", "KILL": "ends it", "STOP": "makes it stand still", "CONT": "lets it go on",
}  # fmt: skip


class Offer(Record):
    """A word that may be put at the cursor, and a remark about it."""

    word: str
    about: str = ""
    #: what the menu shows in place of the word
    shown: str = ""


class Asked(Record):
    """What the words depend on."""

    grammar: Grammar
    picture: Picture
    #: values that stand in the line already
    given: tuple[str, ...]


def values(completer: str, asked: Asked) -> Iterator[Offer]:
    """Yield the words for a parameter that `completer` completes; jobs and files are not here."""
    source = _SOURCES.get(completer)
    if source is not None:
        yield from source(asked)


def jobs(
    known: Sequence[KnownJob], states: Sequence[State], prefix: str, given: Sequence[str]
) -> Iterator[Offer]:
    """Yield jobs in some states by id, or by name when the prefix begins one."""
    for job in known:
        if (
            job.state not in states
            or str(job.id) in given
            or (job.name is not None and job.name in given)
        ):
            continue
        about = f"{job.state}  {job.command}"
        if str(job.id).startswith(prefix):
            name = f" {visible(job.name)}" if job.name else ""
            yield Offer(str(job.id), about, f"{job.id}{name}")
        elif job.name and job.name.startswith(prefix):
            yield Offer(job.name, about)


def selections(
    states: Sequence[State], counts: Mapping[State, int], *, many: bool
) -> Iterator[Offer]:
    """Yield the words that select jobs without naming them."""
    yield Offer(LAST, "the newest job you enqueued")
    if many:
        yield Offer(ALL, "all it can act on")
        for state in states:
            yield Offer(state, _jobs_in_words(counts.get(state, 0)))


def first_words(grammar: Grammar, words: Iterable[str]) -> Iterator[Offer]:
    """Yield those of the words that begin a command and are no aliases."""
    for word in words:
        entry = grammar.index[word]
        if isinstance(entry, dict):
            yield Offer(word, ", ".join(entry))
        elif word == entry.path[0]:
            yield Offer(word, entry.summary)


def second_words(grammar: Grammar, group: str) -> Iterator[Offer]:
    """Yield the words that follow the first word of a group."""
    entry = grammar.index.get(group)
    if isinstance(entry, dict):
        for word, command in entry.items():
            yield Offer(word, command.summary)


def _states(asked: Asked) -> Iterator[Offer]:
    for state in STATES:
        yield Offer(state, _jobs_in_words(asked.picture.counts.get(state, 0)))


def _queues(asked: Asked) -> Iterator[Offer]:
    for queue in asked.picture.queues:
        yield Offer(queue.name, queue.about)


def _hosts(asked: Asked) -> Iterator[Offer]:
    for word, about in asked.picture.hosts:
        yield Offer(word, about)
    yield Offer(ALL, "every host")


def _schedules(asked: Asked) -> Iterator[Offer]:
    for name, about in asked.picture.schedules:
        yield Offer(name, about)


def _times(asked: Asked) -> Iterator[Offer]:
    # the schedule's name comes first
    words = asked.given[1:]
    found = _TIMES if not words else _PERIODS if words == ("every",) else {}
    for word, about in found.items():
        yield Offer(word, about)


def _keys(_: Asked) -> Iterator[Offer]:
    yield Offer(AUTO, "the same command in the same queue")


def _resources(asked: Asked) -> Iterator[Offer]:
    for name, about in asked.picture.resources:
        yield Offer(f"{name}=", about)


def _zones(_: Asked) -> Iterator[Offer]:
    yield Offer("UTC")
    try:
        # asking zoneinfo for all of them opens 600 files, which is too long for a key
        with open(_ZONE_TABLE, encoding="utf-8") as table:
            lines = [line.split("\t") for line in table if not line.startswith("#")]
    except (OSError, UnicodeDecodeError):
        return
    for zone in sorted(line[2].strip() for line in lines if len(line) > 2):
        yield Offer(zone)


def _settings(asked: Asked) -> Iterator[Offer]:
    for setting in SETTINGS:
        now = asked.picture.settings.get(setting.name, setting.default)
        yield Offer(setting.name, f"{now or '-'}: {setting.help}")


def _setting_values(asked: Asked) -> Iterator[Offer]:
    setting = BY_NAME.get(asked.given[0].replace("_", "-")) if asked.given else None
    if setting is None:
        return
    now = asked.picture.settings.get(setting.name, setting.default)
    found = {now: "as it is now", setting.default: "the default"}
    if setting.kind == "switch":
        found = {"on": "", "off": "", **found}
    elif setting.choices:
        found = {**dict.fromkeys(setting.choices, ""), **found}
    elif setting.kind == "path":
        found = {**found, "/bin/sh": "", "/bin/bash": ""}
    for value, about in found.items():
        if value:
            yield Offer(value, about)


def _commands(asked: Asked) -> Iterator[Offer]:
    if not asked.given:
        yield from first_words(asked.grammar, asked.grammar.index)
    elif len(asked.given) == 1:
        yield from second_words(asked.grammar, asked.given[0])


def _signals(_: Asked) -> Iterator[Offer]:
    for name, about in _SIGNALS.items():
        yield Offer(name, about)


def _jobs_in_words(number: int) -> str:
    return "1 job" if number == 1 else f"{number:,} jobs"


_SOURCES: Mapping[str, Callable[[Asked], Iterator[Offer]]] = {
    "states": _states, "queues": _queues, "hosts": _hosts, "settings": _settings,
    "setting-values": _setting_values, "commands": _commands, "signals": _signals,
    "schedules": _schedules, "zones": _zones, "times": _times, "keys": _keys,
    "resources": _resources,
}  # fmt: skip
