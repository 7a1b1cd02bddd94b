"""The token of a client: of its URL, of a file that QUEUECTL_TOKEN_FILE names, or none."""

from __future__ import annotations

import os

from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.errors import UsageError

VARIABLE = "QUEUECTL_TOKEN_FILE"


class Line(Record):
    """A line of a token file."""

    number: int
    #: None: it names none
    role: str | None
    token: str

    def fault(self, path: str) -> UsageError:
        """Return what is wrong with a line without a role where there must be one."""
        from queuectl.errors import UsageError
        from queuectl.store.remote.wire import ROLES

        *others, last = (f"{role}:TOKEN" for role in ROLES)
        forms = f"{', '.join(others)} or {last}"
        return UsageError(f"token file {path}: line {self.number}: no role: {forms}")


def token_for(url: str, path: str | None = None) -> tuple[str | None, str]:
    """Return the token to send and its file; one in the URL is left to whoever takes that apart.

    A file may hold one token, or a server's lines of `role:token`: then the strongest is taken.
    Raises UsageError, Refused for a file that others can read.
    """
    if path is None and "@" not in url.partition("://")[2].partition("/")[0]:
        path = os.environ.get(VARIABLE)
    if not path:
        return None, ""
    path = os.path.expanduser(path)
    return strongest(path), path


def strongest(path: str) -> str:
    """Return the token of a file that is good for most. Raises UsageError, Refused."""
    from queuectl.errors import UsageError
    from queuectl.store.remote.wire import ROLES

    lines = read_lines(path)
    if len(lines) == 1 and lines[0].role is None:
        return lines[0].token
    ranked: list[tuple[int, str]] = []
    for line in lines:
        if line.role is None:
            raise line.fault(path)
        if line.role not in ROLES:
            raise UsageError(f"token file {path}: {line.role!r} is not a role ({', '.join(ROLES)})")
        ranked.append((ROLES.index(line.role), line.token))
    return max(ranked, key=lambda pair: pair[0])[1]


def read_lines(path: str) -> list[Line]:
    """Return the lines of a token file that hold a token, one at least.

    Raises UsageError, Refused for a file that others can read.
    """
    from queuectl.errors import Refused, UsageError

    try:
        with open(path, encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            texts = [text.strip() for text in file.read(64 * 1024).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not ASCII text"
        raise UsageError(f"token file {path}: {why}") from None
    if mode & 0o077:
        raise Refused(f"token file {path} can be read by others: chmod 600 {path}")
    lines = []
    for number, text in enumerate(texts, 1):
        if text and not text.startswith("#"):
            role, colon, token = text.partition(":")
            lines.append(
                Line(number, role.strip(), token.strip()) if colon else Line(number, None, text)
            )
    if not lines:
        raise UsageError(f"token file {path}: no token in it")
    return lines
