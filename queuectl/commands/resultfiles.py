"""Result files: what a job wrote to its standard output, whole and on disk, or not there at all."""

from __future__ import annotations

import os
import time

from queuectl.errors import Refused
from queuectl.process.output import STDOUT, pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.store.base import Store

#: a unique key that begins so names the file that the job's output is for
KEY = "result:"
_DRAFT, _DRAFT_END = ".queuectl-", ".part"
#: seconds after which half a result of another machine is taken for left behind
_LEFT_BEHIND = 86400.0


def key_of(path: str) -> str:
    """Return the unique key of the job for a result; any name of a file can be told from it."""
    text = path.replace("%", "%25")
    return KEY + "".join(
        f"%{ord(char) - 0xDC00:02x}" if "\udc80" <= char <= "\udcff" else char for char in text
    )


def path_of(key: str | None) -> str | None:
    """Return the result that a job's unique key names, None for any other key."""
    if key is None or not key.startswith(KEY):
        return None
    first, *parts = key.removeprefix(KEY).split("%")
    data = os.fsencode(first)
    for part in parts:
        data += bytes((int(part[:2], 16),)) + os.fsencode(part[2:])
    return os.fsdecode(data)


def write_result(store: Store, job_id: int, path: str) -> None:
    """Write what the newest attempt wrote to its stdout into a file, in one step, and to disk.

    Call `paths.sync_directory` after the last one. Raises Refused when the output is not whole any more,
    OSError when it cannot be written; the file is as it was then.
    """
    attempts = store.attempts(job_id)
    attempt = attempts[-1]
    found = store.output(job_id, attempt.run)
    if found is None and attempt.stdout_bytes:
        raise Refused("its output has been pruned")
    if found is not None and not found.complete:
        raise Refused("its output is not complete")
    draft = os.path.join(os.path.dirname(path), _draft_name(os.getpid(), job_id))
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(draft, flags, 0o666)
    try:
        try:
            for piece in pieces(found, stream=STDOUT) if found is not None else ():
                data = memoryview(piece.data)
                while data:
                    data = data[os.write(fd, data) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def is_draft(path: str) -> bool:
    """Whether a name is that of a result which is, or was, being written."""
    name = os.path.basename(path)
    return name.startswith(_DRAFT) and name.endswith(_DRAFT_END)


def remove_drafts(directory: str) -> None:
    """Remove what processes that are gone have left half written; of other machines what is old."""
    for name in os.listdir(directory):
        if not is_draft(name):
            continue
        path = os.path.join(directory, name)
        machine, _, rest = name.removeprefix(_DRAFT).removesuffix(_DRAFT_END).partition("--")
        pid = rest.partition("-")[0]
        try:
            if machine == _machine() and pid.isascii() and pid.isdigit():
                os.kill(int(pid), 0)
            elif time.time() - os.stat(path).st_mtime > _LEFT_BEHIND:
                os.unlink(path)
        except ProcessLookupError:
            os.unlink(path)
        except OSError:
            pass


def _draft_name(pid: int, job_id: int) -> str:
    return f"{_DRAFT}{_machine()}--{pid}-{job_id}{_DRAFT_END}"


def _machine() -> str:
    """Return this machine's name as a part of a file's."""
    name = os.uname().nodename
    return "".join(char if char.isalnum() or char in ".-" else "_" for char in name)
