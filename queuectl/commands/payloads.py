"""What a job gets on its standard input: little is kept in the store, a large file by its path."""

from __future__ import annotations

import os
import stat

from queuectl.errors import UsageError
from queuectl.settings import value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.commands.context import Context

    Fields = dict[str, object]

_CHUNK = 64 * 1024


def from_flag(ctx: Context, path: str) -> Fields:
    """Return the fields of NewJob for `--stdin PATH`; - is standard input. Raises UsageError."""
    limit, shown = stdin_limit(ctx)
    if path == "-":
        if ctx.stdin is None:
            raise UsageError("--stdin -: standard input is not free here; name a file")
        data = ctx.stdin.read(limit + 1)
        if len(data) > limit:
            raise UsageError(
                f"--stdin -: more than {shown} (stdin-limit); put it into a file and name that"
            )
        return {"stdin": data}
    return from_file(ctx, "--stdin", path)


def from_file(ctx: Context, what: str, path: str) -> Fields:
    """Return the fields for a file: its bytes, or beyond the limit where it is."""
    from queuectl.commands.drafts import directory

    limit, shown = stdin_limit(ctx)
    absolute = directory(ctx, path)
    try:
        fd = os.open(absolute, os.O_RDONLY | os.O_CLOEXEC)
        try:
            mode = os.fstat(fd).st_mode
            data = _read(fd, limit)
        finally:
            os.close(fd)
    except OSError as error:
        raise UsageError(f"{what} {path}: {error.strerror}") from None
    if len(data) <= limit:
        return {"stdin": data}
    if not stat.S_ISREG(mode):
        raise UsageError(
            f"{what} {path}: more than {shown} (stdin-limit), and no file that will be there later"
        )
    return {"stdin_path": absolute}


def from_text(ctx: Context, text: bytes) -> Fields:
    """Return the fields for a text that was given as it is. Raises UsageError when it is too long."""
    limit, shown = stdin_limit(ctx)
    if len(text) > limit:
        raise UsageError(f"stdin: more than {shown} (stdin-limit); put it into a file: stdin_file")
    return {"stdin": text}


def stdin_limit(ctx: Context) -> tuple[int, str]:
    """Return the bytes that the store keeps for one job, and how to say so."""
    text = ctx.setting("stdin-limit")
    return int(value_of("stdin-limit", {"stdin-limit": text})), text


def _read(fd: int, limit: int) -> bytes:
    """Return what can be read, one byte more than the limit at the most."""
    parts: list[bytes] = []
    left = limit + 1
    while left > 0 and (data := os.read(fd, min(left, _CHUNK))):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)
