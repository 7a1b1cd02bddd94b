"""The token of a client: of its URL, of a file that QUEUECTL_TOKEN_FILE names, or none."""

from __future__ import annotations

import os

VARIABLE = "QUEUECTL_TOKEN_FILE"


def token_for(url: str) -> str | None:
    """Return the token to send; one in the URL is left to whoever takes that apart.

    A file may hold one token, or a server's lines of `role:token`: then the strongest is taken.
    Raises UsageError, Refused for a file that others can read.
    """
    path = os.environ.get(VARIABLE)
    if not path or "@" in url.partition("://")[2].partition("/")[0]:
        return None
    return strongest(os.path.expanduser(path))


def strongest(path: str) -> str:
    """Return the token of a file that is good for most. Raises UsageError, Refused."""
    from queuectl.errors import UsageError
    from queuectl.store.remote.wire import ROLES

    pairs = read_pairs(path)
    for role, _ in pairs:
        if role not in ROLES:
            raise UsageError(f"token file {path}: {role!r} is not a role ({', '.join(ROLES)})")
    return max(pairs, key=lambda pair: ROLES.index(pair[0]))[1]


def read_pairs(path: str) -> list[tuple[str, str]]:
    """Return (role, token) for the lines of a token file; one token alone is admin's.

    Raises UsageError, Refused for a file that others can read.
    """
    from queuectl.errors import Refused, UsageError
    from queuectl.store.remote.wire import ADMIN

    try:
        with open(path, encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = [line.strip() for line in file.read(64 * 1024).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not ASCII text"
        raise UsageError(f"token file {path}: {why}") from None
    if mode & 0o077:
        raise Refused(f"token file {path} can be read by others: chmod 600 {path}")
    pairs = []
    for line in lines:
        if line and not line.startswith("#"):
            role, colon, token = line.partition(":")
            pairs.append((role.strip(), token.strip()) if colon else (ADMIN, line))
    if not pairs:
        raise UsageError(f"token file {path}: no token in it")
    return pairs
