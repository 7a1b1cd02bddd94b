"""Every error a user can meet, each with the exit status it ends a process with.

The docstring of a class is its message; `{names}` in it are filled from keyword arguments.
A message is one line, names the fault and, where there is one, the nearest right thing.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_WAIT_FAILED = 4
EXIT_UNAVAILABLE = 75
EXIT_INTERRUPTED = 130


def quote(text: str) -> str:
    r"""Return a text in quotes as Python has them; bytes that are no text (surrogateescape) as \xff."""
    quoted = str.__repr__(text)
    if "\\udc" not in quoted:
        return quoted
    import re

    # an escape of repr's own, not one that the text spells out
    return re.sub(r"(?<!\\)((?:\\\\)*)\\udc([89a-f][0-9a-f])", r"\1\\x\2", quoted)


def readable(text: str) -> str:
    r"""Return a text in which bytes that are no text (surrogateescape) are written out as \xff."""
    if text.isascii():
        return text
    return "".join(
        f"\\x{ord(char) - 0xDC00:02x}" if "\udc80" <= char <= "\udcff" else char for char in text
    )


class _Shown(str):
    """A fact that a message may have in quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return quote(self)


class QueuectlError(Exception):
    """Something went wrong."""

    exit_status = EXIT_FAILED

    def __init__(self, message: str | None = None, **facts: object) -> None:
        self.facts = facts
        if message is None:
            shown = {
                name: _Shown(fact) if isinstance(fact, str) else fact
                for name, fact in facts.items()
            }
            message = (type(self).__doc__ or "").format(**shown)
        super().__init__(message)

    @property
    def message(self) -> str:
        """The one line to show."""
        return str(self)


class Refused(QueuectlError):
    """That cannot be done now."""


class MissingExtra(Refused):
    """{what} needs {module}: pip install '.[{extra}]' in the clone of queuectl's repository"""


class UsageError(QueuectlError):
    """That is not a command this program knows."""

    exit_status = EXIT_USAGE


class BadValue(UsageError):
    """{what}: {value!r} is not {expected}"""


class NotFound(QueuectlError):
    """There is no such thing."""

    exit_status = EXIT_NOT_FOUND


class NoSuchJob(NotFound):
    """no job {job}"""


class NoSuchQueue(NotFound):
    """no queue {queue!r}{hint}"""


class NameTaken(Refused):
    """the name {name!r} is taken by job {job}, which is not finished"""


class IdTaken(Refused):
    """there is a job {job} already: import into a store without it"""


class ClaimOver(Refused):
    """the claim on job {job} is over: its lease ended, or it was settled or released"""


class DependencyCycle(UsageError):
    """jobs cannot wait for each other: {cycle}"""


class NoSuchSchedule(NotFound):
    """no schedule {schedule!r}{hint}"""


class StoreUnavailable(QueuectlError):
    """the store {store} cannot be used: {reason}"""

    exit_status = EXIT_UNAVAILABLE


class StoreBusy(StoreUnavailable):
    """the store {store} is busy: another process has been writing for {seconds:g} s; try again"""


class StoreFull(StoreUnavailable):
    """no space left for the store {store}: free some and try again; nothing was changed"""


class StoreCorrupt(StoreUnavailable):
    """{store} is damaged or is no queuectl store ({reason}); it was left as it is: restore a backup, or name another with --store"""


class StoreTooNew(StoreUnavailable):
    """{store} was made by a newer queuectl (schema {found}, this one knows {known}): upgrade queuectl"""


class Interrupted(QueuectlError):
    """interrupted"""

    exit_status = EXIT_INTERRUPTED


def nearest(word: str, known: object) -> str | None:
    """Return the known word closest to `word`, or None if none is near (difflib's ratio, 0.6).

    What other queues call by that word comes before what is only spelled alike.
    """
    import difflib

    from queuectl.otherwords import ours

    words: list[str] = list(known)  # type: ignore[call-overload]
    meant = None if word in words else ours(word, frozenset(words))
    if meant is not None:
        return meant
    found = difflib.get_close_matches(word, words, n=1)
    return found[0] if found else None


def did_you_mean(word: str, known: object) -> str:
    """Return `; did you mean X?`, or an empty string when nothing known is near."""
    close = nearest(word, known)
    return f"; did you mean {close}?" if close else ""
