"""What a job may ask for beside its command, checked: other jobs before it, no second one like it.

Pure; shared by the command line, JSON and the Python API.
"""

from __future__ import annotations

import os

from queuectl.errors import BadValue, UsageError
from queuectl.job import WHEN_COMPLETED, WHEN_ENDED, WHEN_FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from queuectl.job import After, NewJob

#: the command of a job that only programs claim: a worker that takes it all the same fails
PULLED = "exit 1  # for a program that claims it"
_LONGEST_KEY = 200
#: by flag, field or argument: what it waits for
WHEN = (("after", WHEN_COMPLETED), ("after_any", WHEN_ENDED), ("after_failed", WHEN_FAILED))


def check_key(key: str, what: str = "--unique") -> str:
    """Return a unique key. Raises BadValue for what cannot be one."""
    if not key.strip() or len(key) > _LONGEST_KEY or not key.isprintable():
        expected = f"a key: at most {_LONGEST_KEY} printable characters, or `auto`"
        raise BadValue(what=what, value=key, expected=expected)
    return key


def key_of(new: NewJob) -> str:
    """Return the key that `auto` means: queue, command, args and shell, hashed."""
    import hashlib

    shell = new.policy.get("shell", "") if new.in_shell else "-"
    parts = (new.queue, shell, new.command, *(new.args or ()))
    data = b"\0".join(os.fsencode(part) for part in parts)
    return "auto:" + hashlib.blake2b(data, digest_size=16).hexdigest()


def check_after(after: Iterable[After]) -> None:
    """Raise UsageError for a job that is to complete and to die."""
    ends: dict[int | str, str] = {}
    for on, when in after:
        if when != WHEN_ENDED and ends.setdefault(on, when) != when:
            raise UsageError(f"it cannot wait for job {on} both to complete and to die")
