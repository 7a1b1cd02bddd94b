"""Every setting once: its name, type, default, and how its value is read and shown.

A value is decided by the first of: job, queue, store, environment (QUEUECTL_MAX_RETRIES), default.
Settings marked `per_job` are copied into a job when it is enqueued, so a change applies to jobs
enqueued from then on; the others apply at once.
"""

from __future__ import annotations

from queuectl.errors import BadValue, UsageError, did_you_mean
from queuectl.record import Record
from queuectl.timespec import format_duration, parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Value = int | float | bool | str

#: where a value can come from, weakest first
DEFAULT, ENVIRONMENT, STORE, QUEUE, JOB = "default", "env", "store", "queue", "job"

_NO_BOUND = 1e15


class Setting(Record):
    """One setting. `kind` names the reader in `_READERS`; the default is canonical text."""

    name: str
    kind: str
    default: str
    help: str
    #: copied into each job at enqueue
    per_job: bool = True
    #: about a queue and nothing else: made with `queue set`
    per_queue: bool = False
    #: smallest and largest value of a number
    lowest: float = 0
    highest: float = _NO_BOUND
    #: words that a choice takes
    choices: tuple[str, ...] = ()


SETTINGS: tuple[Setting, ...] = (
    Setting("max-retries", "int", "3", "retries after the first attempt; 0 means never retry", highest=1_000_000),
    Setting("backoff-base", "number", "2", "a retry waits base ** attempts seconds; 0 means at once", highest=1_000_000),
    Setting("backoff-max", "duration", "5m", "the longest wait before a retry"),
    Setting("jitter", "number", "0", "random share added to or taken from each wait, 0 to 1", highest=1),
    Setting("timeout", "duration", "0s", "end an attempt that runs longer; 0 means never"),
    Setting("idle-timeout", "duration", "0s", "end an attempt that writes nothing for so long; 0 means never"),
    Setting("kill-grace", "duration", "10s", "time between SIGTERM and SIGKILL"),
    Setting("output-limit", "size", "256MiB", "output kept of one attempt; see output-full for the rest"),
    Setting("ship-limit", "size", "8MiB", "output of one attempt that a shared store keeps for other machines; the rest stays with its host"),
    Setting("output-full", "choice", "drop", "what an attempt that writes more does: drop the rest, or fail", choices=("drop", "fail")),
    Setting("retry-on", "endings", "", "retry only after these: exit codes, signals by name or all `signals`, timeout, lost; empty is all"),
    Setting("no-retry-on", "endings", "", "never retry after these"),
    Setting("merge", "switch", "off", "one stream for stdout and stderr, in the exact order"),
    Setting("interactive", "switch", "off", "keep standard input open for `send`"),
    Setting("leave-children", "switch", "off", "spare what a job left running in its process group"),
    Setting("on-success", "line", "", "command line enqueued when a job has completed"),
    Setting("on-failure", "line", "", "command line enqueued when an attempt has failed"),
    Setting("on-dead", "line", "", "command line enqueued when a job has gone to the dead-letter queue"),
    Setting("unmet", "choice", "cancel", "a job whose dependency can never be met is cancelled, or kept waiting", choices=("cancel", "keep")),
    Setting("on-lost-contact", "choice", "kill", "a job whose host cannot reach a shared store: kill it before others may run it, or let it continue", choices=("kill", "continue")),
    Setting("on-idle", "line", "", "command line enqueued when nothing is left to run", per_job=False),
    Setting("priority", "int", "0", "higher runs first", per_job=False, per_queue=True, lowest=-_NO_BOUND),
    Setting("command", "line", "", "the command that the queue's messages are arguments of", per_job=False, per_queue=True),
    Setting("command-shell", "switch", "off", "that command is a line for a shell, with the message as $1", per_job=False, per_queue=True),
    Setting("command-cwd", "path", "", "the directory that command runs in; empty: that of who submits", per_job=False, per_queue=True),
    Setting("accept-messages", "switch", "off", "take messages for this queue from the network and from spool files", per_job=False, per_queue=True),
    Setting("halt-on", "int", "0", "the queue pauses itself when so many of its jobs have died; 0 means never", per_job=False, per_queue=True),
    Setting("shell", "path", "/bin/sh", "the shell that runs command lines"),
    Setting("env-capture", "words", "PATH LANG LC_* TZ VIRTUAL_ENV CONDA_* PYTHONPATH LD_LIBRARY_PATH CUDA_VISIBLE_DEVICES",
            "variables that a job takes with it when it is enqueued", per_job=False),
    Setting("stdin-limit", "size", "1MiB", "standard input of a job that the store keeps; a larger file is read when it runs", per_job=False),
    Setting("intake-connections", "int", "1000", "clients at once of each way into a service", per_job=False, lowest=1, highest=100_000),
    Setting("intake-request", "size", "64MiB", "the longest request on the Unix socket", per_job=False, lowest=1024),
    Setting("intake-rate", "int", "5000", "messages a second that one network client may send, the rest has to wait; 0 is no limit", per_job=False),
    Setting("intake-idle", "duration", "5m", "a network client that says nothing for so long is sent away; 0 means never", per_job=False),
    Setting("keep-completed", "duration", "30d", "completed jobs older than this are pruned; 0 keeps them", per_job=False),
    Setting("keep-completed-count", "int", "100000", "completed jobs above this number are pruned, oldest first; 0 keeps them", per_job=False),
    Setting("keep-cancelled", "duration", "30d", "cancelled jobs older than this are pruned; 0 keeps them", per_job=False),
)  # fmt: skip

BY_NAME: dict[str, Setting] = {setting.name: setting for setting in SETTINGS}
#: names of the settings that a job carries
PER_JOB: tuple[str, ...] = tuple(setting.name for setting in SETTINGS if setting.per_job)
_SIZES = {"": 1, "b": 1, "k": 1024, "kib": 1024, "m": 1024**2, "mib": 1024**2, "g": 1024**3, "gib": 1024**3,
          "kb": 1000, "mb": 1000**2, "gb": 1000**3}  # fmt: skip
_SWITCH = {"on": True, "true": True, "yes": True, "1": True,
           "off": False, "false": False, "no": False, "0": False}  # fmt: skip


def find(name: str) -> Setting:
    """Return the setting of that name, `_` and `-` being equal. Raises UsageError with the nearest."""
    setting = BY_NAME.get(name.replace("_", "-"))
    if setting is None:
        close = did_you_mean(name.replace("_", "-"), BY_NAME)
        raise UsageError(f"no setting {name!r}{close or '; `set` lists them'}")
    return setting


def parse(setting: Setting, text: str) -> Value:
    """Return the value that `text` means for this setting; durations in ms, sizes in bytes.

    Raises BadValue naming the setting and what it takes.
    """
    return _READERS[setting.kind](setting, text.strip())


def canonical(setting: Setting, text: str) -> str:
    """Return the one text kept for a value: `90` as a duration is `1m30s`. Raises BadValue."""
    value = parse(setting, text)
    if setting.kind == "duration":
        return format_duration(int(value))
    if setting.kind == "number":
        return _plain(float(value))
    if setting.kind == "int":
        return str(value)
    if setting.kind == "switch":
        return "on" if value else "off"
    return text.strip()


def value_of(name: str, policy: Mapping[str, str]) -> Value:
    """Return the parsed value of a setting in a job's policy, or its default."""
    setting = BY_NAME[name]
    return parse(setting, policy.get(name, setting.default))


def from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings given as QUEUECTL_NAME variables, canonical. Raises BadValue."""
    found = {}
    for setting in SETTINGS:
        if setting.per_queue:
            continue
        variable = "QUEUECTL_" + setting.name.replace("-", "_").upper()
        if variable in environ:
            try:
                found[setting.name] = canonical(setting, environ[variable])
            except BadValue as error:
                raise BadValue(f"{variable}: {error}") from None
    return found


def format_size(count: int) -> str:
    """Return the shortest exact form of a number of bytes: `256MiB`, `1000B`."""
    for unit in ("GiB", "MiB", "KiB"):
        if count and count % _SIZES[unit.lower()] == 0:
            return f"{count // _SIZES[unit.lower()]}{unit}"
    return f"{count}B"


def _plain(number: float) -> str:
    """Return a number as people write it, every digit of it."""
    return str(int(number)) if number == int(number) else repr(number)


def _number(setting: Setting, text: str, *, whole: bool) -> float:
    bound = "up" if setting.highest == _NO_BOUND else f"to {_plain(setting.highest)}"
    span = "" if setting.lowest == -_NO_BOUND else f" from {_plain(setting.lowest)} {bound}"
    expected = f"a {'whole ' if whole else ''}number{span}"
    try:
        value: float = int(text) if whole else float(text)
    except ValueError:
        value = float("nan")
    # the comparison also refuses nan
    if not setting.lowest <= value <= setting.highest or "_" in text:
        raise BadValue(what=setting.name, value=text, expected=expected)
    return value


def _read_int(setting: Setting, text: str) -> Value:
    return int(_number(setting, text, whole=True))


def _read_number(setting: Setting, text: str) -> Value:
    return _number(setting, text, whole=False)


def _read_duration(setting: Setting, text: str) -> Value:
    return parse_duration(text, setting.name)


def _read_size(setting: Setting, text: str) -> Value:
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = text[len(digits) :].strip().lower()
    bad = BadValue(what=setting.name, value=text, expected="a size such as 500k, 64MiB or 2G")
    if unit not in _SIZES or not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        raise bad
    size = int(digits) * _SIZES[unit]
    if size > setting.highest:
        raise bad
    return size


def _read_path(setting: Setting, text: str) -> Value:
    if text != setting.default and (not text.startswith("/") or "\0" in text or "\n" in text):
        raise BadValue(what=setting.name, value=text, expected="an absolute path such as /bin/bash")
    return text


def _read_words(setting: Setting, text: str) -> Value:
    if "\0" in text or "\n" in text:
        raise BadValue(what=setting.name, value=text, expected="names with blanks between them")
    return text


def _read_switch(setting: Setting, text: str) -> Value:
    if text.lower() not in _SWITCH:
        raise BadValue(what=setting.name, value=text, expected="on or off")
    return _SWITCH[text.lower()]


def _read_choice(setting: Setting, text: str) -> Value:
    if text not in setting.choices:
        expected = " or ".join(setting.choices)
        raise BadValue(what=setting.name, value=text, expected=expected)
    return text


def _read_line(setting: Setting, text: str) -> Value:
    if "\0" in text:
        raise BadValue(what=setting.name, value=text, expected="a command line")
    return text


def _read_endings(setting: Setting, text: str) -> Value:
    from queuectl.endings import parse_endings

    parse_endings(text, setting.name)
    return text


_READERS = {
    "switch": _read_switch,
    "choice": _read_choice,
    "line": _read_line,
    "endings": _read_endings,
    "int": _read_int,
    "number": _read_number,
    "duration": _read_duration,
    "size": _read_size,
    "path": _read_path,
    "words": _read_words,
}
