"""`ctl`: a line to the Unix socket of a running service, and its answer."""

from __future__ import annotations

import json
import os
import socket

from queuectl.commands.result import Result, say
from queuectl.errors import EXIT_FAILED, QueuectlError, StoreUnavailable, UsageError
from queuectl.paths import socket_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args, Tail

_CHUNK = 1024 * 1024
_LEGACY = ("queue:", "status:")


class NoService(StoreUnavailable):
    """no service answers at {path}: {reason}{hint}"""  # noqa: D400, D415


def ctl(ctx: Context, args: Args) -> Result:
    """Run the command; its exit status is that of the command that was sent."""
    path = args.socket and os.path.join(ctx.cwd, os.path.expanduser(args.socket))
    path = path or socket_path(ctx.environ)
    seconds = None if args.timeout is None else args.timeout / 1000
    answer = _ask(path, _request(args.request), seconds)
    try:
        data = json.loads(answer)
    except ValueError:
        raise NoService(path=path, reason="what answers there is no queuectl", hint="") from None
    if isinstance(data, dict) and "error" in data:
        code = int(data.get("exit_code", EXIT_FAILED))
        if "data" in data:
            # what there is to see all the same
            shown = data["data"]
            return say(
                json.dumps(shown, indent=2), shown, notes=(str(data["error"]),), exit_code=code
            )
        error = QueuectlError(str(data["error"]))
        error.exit_status = code
        raise error
    return say(json.dumps(data, indent=2), data)


def _request(tail: Tail) -> bytes:
    """Return what is sent. Raises UsageError."""
    words = tail.words
    if words is None:
        text = tail.text or ""
    elif len(words) == 1:
        (text,) = words
    else:
        import shlex

        # a command of taskspooler's is the rest of the line as it is
        text = " ".join(words) if words[0] in _LEGACY else shlex.join(words)
    text = text.strip()
    if not text:
        raise UsageError("ctl: ask what? for example: ctl 'status: all'")
    if "\n" in text and not text.startswith(_LEGACY):
        raise UsageError("ctl: a request is one line")
    # one of several lines ends where the connection does
    return os.fsencode(text if "\n" in text else text + "\n")


def _ask(path: str, request: bytes, seconds: float | None) -> bytes:
    """Return the answer to a request. Raises NoService."""
    from queuectl.sockets import connect

    try:
        with connect(path) as sock:
            sock.settimeout(seconds)
            try:
                sock.sendall(request)
                sock.shutdown(socket.SHUT_WR)
            except BrokenPipeError:
                # refused, perhaps with an answer that says why
                pass
            return _read_line(sock)
    except TimeoutError:
        raise NoService(path=path, reason="it did not answer in time", hint="") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise NoService(path=path, reason=reason, hint=_hint(error)) from None


def _hint(error: OSError) -> str:
    """Return what to do about it."""
    if isinstance(error, PermissionError):
        return "; a service answers only its own user and root"
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return "; start one with `queuectl serve`"
    return ""


def _read_line(sock: socket.socket) -> bytes:
    parts = []
    while data := sock.recv(_CHUNK):
        parts.append(data)
        if data.endswith(b"\n"):
            break
    return b"".join(parts)
