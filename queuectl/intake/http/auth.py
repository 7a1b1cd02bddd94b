"""Who may do what over HTTP: bearer tokens with roles, kept in a file for their owner only.

`submit` may look, submit messages to queues that have a command, and wait. `work` may also run
jobs and enqueue commands, which is to run anything as the server's user. `admin` may do all.
"""

from __future__ import annotations

import hmac
import os
import secrets

from queuectl.errors import UsageError
from queuectl.store.remote.token import read_lines
from queuectl.store.remote.wire import ROLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: the file's name in the state directory
FILE = "tokens"
#: a token given by a person is at least as long as this
SHORTEST = 16

_HEADER = "# queuectl: role:token; who has one may do what the role may. Keep it to yourself.\n"


class Tokens:
    """The tokens of a server. Immutable; any thread."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take (role, token) pairs. Raises UsageError for an unknown role or a short token."""
        self._pairs: list[tuple[str, bytes]] = []
        for role, token in pairs:
            if role not in ROLES:
                raise UsageError(f"token: {role!r} is not a role ({', '.join(ROLES)})")
            if len(token) < SHORTEST or not token.isascii() or not token.isprintable():
                raise UsageError(
                    f"token of {role}: at least {SHORTEST} printable ASCII characters, no blank"
                )
            self._pairs.append((role, token.encode()))
        if not self._pairs:
            raise UsageError("no token is given: nobody could use the server")

    def role_of(self, token: str) -> str | None:
        """Return the strongest role a token has, None for an unknown one.

        Takes the same time whatever the token is (hmac.compare_digest).
        """
        given = token.encode("utf-8", "surrogateescape")
        found = None
        for role, known in self._pairs:
            same = hmac.compare_digest(given, known)
            if same and (found is None or ROLES.index(role) > ROLES.index(found)):
                found = role
        return found


def load_tokens(path: str, *, make: bool = False) -> Tokens:
    """Return the tokens of a file: lines of `role:token`.

    `make`: a file that is not there is made, mode 0600, with a fresh token for every role. A token
    without a role is refused: only a client's file may hold one alone.
    Raises UsageError naming the fault, Refused for a file that others can read.
    """
    if make and not os.path.exists(path):
        _write_new(path)
    pairs = []
    for line in read_lines(path):
        if line.role is None:
            raise line.fault(path)
        pairs.append((line.role, line.token))
    try:
        return Tokens(pairs)
    except UsageError as error:
        raise UsageError(f"token file {path}: {error}") from None


def _write_new(path: str) -> None:
    from queuectl.paths import make_private

    text = _HEADER + "".join(f"{role}:{secrets.token_urlsafe(32)}\n" for role in ROLES)
    try:
        make_private(os.path.dirname(os.path.abspath(path)))
        # complete before it has its name, and never over one that is there
        draft = f"{path}.{secrets.token_hex(4)}"
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(fd)
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    except OSError as error:
        raise UsageError(f"token file {path}: {error.strerror}") from None
