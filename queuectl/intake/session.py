"""One client of the socket: its lines are commands, run in order on a thread that lasts as long.

A line is a command of the grammar, with the arguments it has everywhere, and its answer is what
`--json` prints, on one line. Jobs enqueued in a row are added in one transaction.
"""

from __future__ import annotations

import time

from queuectl.commands import GRAMMAR
from queuectl.commands.context import SCRIPT, Context
from queuectl.commands.result import Stream, parts
from queuectl.errors import EXIT_FAILED, Interrupted, QueuectlError, Refused, UsageError
from queuectl.intake import legacy
from queuectl.intake.log import ERROR
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from queuectl.commands.jobs import Prepared
    from queuectl.commands.result import Result
    from queuectl.grammar.table import Invocation
    from queuectl.host.worker import WorkerHost
    from queuectl.intake.log import Log
    from queuectl.store.base import Store

    #: takes a piece of an answer; False: nobody is there to read it
    Send = Callable[[bytes], bool]

#: jobs added in one transaction at the most
GROUP = 1000
#: bytes of an answer sent at once
_CHUNK = 64 * 1024
#: seconds after which a command ends whose client is gone: what was asked for in passing is done
_PATIENCE = 1.0
#: what would have to be typed on the service's own terminal
_NOT_HERE = ("VISUAL", "EDITOR")


class PeerContext(Context):
    """A session on the service's own store and workers. Never closed: they are the service's."""

    def __init__(
        self, host: WorkerHost, environ: Mapping[str, str], is_gone: Callable[[], bool]
    ) -> None:
        own = {name: value for name, value in environ.items() if name not in _NOT_HERE}
        watched: Any = _Watched(host.store, is_gone)
        super().__init__(lambda: watched, environ=own, mode=SCRIPT)
        self._host = host
        self._watched = watched

    def begin(self) -> None:
        """Say that a command begins."""
        self._watched.began = time.monotonic()


class _Watched:
    """The store, for commands that look at it again and again: it ends them once nobody waits."""

    def __init__(self, store: Store, is_gone: Callable[[], bool]) -> None:
        self._store = store
        self._is_gone = is_gone
        self.began = time.monotonic()

    def __getattr__(self, name: str) -> object:
        if time.monotonic() - self.began > _PATIENCE and self._is_gone():
            raise Interrupted("nobody waits for the answer any more")
        return getattr(self._store, name)


class Request(Record):
    """Something a client said."""

    text: str
    #: as clients of taskspooler send it: without a newline, and one to a connection
    unframed: bool = False


class Session:
    """Runs what a client says. One thread at a time."""

    def __init__(
        self, host: WorkerHost, environ: Mapping[str, str], send: Send, log: Log,
        is_gone: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._ctx = PeerContext(host, environ, is_gone)
        self._send = send
        self._log = log
        self._group: list[Prepared] = []

    def run(self, requests: Sequence[Request]) -> None:
        """Run requests and answer each. Raises nothing."""
        for request in requests:
            self._run(request)
        self._add_group()

    def _run(self, request: Request) -> None:
        self._ctx.begin()
        try:
            if legacy.is_request(request.text):
                self._add_group()
                self._stream(legacy.answer(self._ctx, request.text))
                return
            invocation = _understood(request.text)
            prepared = None if invocation is None else self._prepared(invocation)
        except Exception as error:  # noqa: BLE001 - a session outlives anything
            self._add_group()
            self._fail(error)
            return
        if prepared is not None:
            self._group.append(prepared)
            if len(self._group) >= GROUP:
                self._add_group()
            return
        self._add_group()
        if invocation is not None:
            self._answer(invocation)

    def _prepared(self, invocation: Invocation) -> Prepared | None:
        if invocation.command.path != ("enqueue",):
            return None
        from queuectl.commands.jobs import looks_back, prepare

        if self._group and looks_back(invocation.args):
            # at jobs of the lines above, perhaps
            self._add_group()
        return prepare(self._ctx, invocation.args)

    def _add_group(self) -> None:
        """Add the jobs that wait, all in one transaction; when that fails, one after the other."""
        group, self._group = self._group, []
        if group and not self._add(group) and len(group) > 1:
            for prepared in group:
                self._add([prepared])

    def _add(self, group: list[Prepared]) -> bool:
        from queuectl.commands.jobs import reply

        self._ctx.begin()
        try:
            ids = self._ctx.write(lambda store: store.add([one.new for one in group]))
            answers = [reply(self._ctx, *both) for both in zip(group, ids, strict=True)]
        except Exception as error:  # noqa: BLE001 - a session outlives anything
            if len(group) == 1:
                self._fail(error)
            return False
        # at once: each would wake the thread that writes
        self._stream(("\n".join("".join(_json(answer.data)) for answer in answers),))
        return True

    def _answer(self, invocation: Invocation) -> None:
        """Run a command and send its answer, one document whatever parts it has."""
        try:
            data: object = None
            code = 0
            notes: list[str] = []
            for part in parts(invocation.command.load()(self._ctx, invocation.args)):
                self._pass_over(part)
                data = part.data if part.data is not None else data
                if part.exit_code:
                    code = code or part.exit_code
                    notes += part.notes
            if code:
                self._stream(
                    _failed("; ".join(notes) or f"it ended with exit code {code}", code, data)
                )
            else:
                self._stream(_json(data))
        except Exception as error:  # noqa: BLE001 - a session outlives anything
            self._fail(error)

    def _pass_over(self, part: Result) -> None:
        """Let what is live come to its end: only how it ended is answered."""
        for block in part.blocks:
            if isinstance(block, Stream) and block.live:
                for _ in block.pieces:
                    pass

    def _fail(self, error: Exception) -> None:
        if isinstance(error, QueuectlError):
            self._stream(_failed(str(error), error.exit_status))
            return
        self._log(ERROR, f"socket: {type(error).__name__}: {error}")
        self._stream(_failed(f"internal error: {type(error).__name__}: {error}", EXIT_FAILED))

    def _stream(self, pieces: Iterable[str]) -> None:
        """Send a document and its newline, in pieces of bounded size."""
        waiting: list[str] = []
        size = 0
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size > _CHUNK:
                if not self._send("".join(waiting).encode("ascii")):
                    return
                waiting, size = [], 0
        waiting.append("\n")
        self._send("".join(waiting).encode("ascii"))


def failure(message: str, exit_code: int) -> bytes:
    """Return the answer for something that cannot be done, as a line."""
    return ("".join(_failed(message, exit_code)) + "\n").encode("ascii")


def _understood(text: str) -> Invocation | None:
    """Return what a line asks for; None: it is empty. Raises UsageError, Refused."""
    try:
        invocation = GRAMMAR.parse_line(text)
    except UsageError as error:
        raise UsageError(_without_bang(str(error)), **error.facts) from None
    if invocation is not None and invocation.command.local:
        name = invocation.command.name
        raise Refused(f"{name} is for the one who types it: it cannot be asked for over a socket")
    if invocation is not None:
        invocation.args.json = True
    return invocation


def _without_bang(advice: str) -> str:
    """Return advice on an unknown command without the `!` that is refused here."""
    before, bang, behind = advice.partition("un it now: !")
    if not bang:
        return advice
    letter = "Q" if before.endswith("R") else "q"
    return f"{before[:-1]}{letter}ueue it: {behind.partition('; queue it: ')[2]}"


def _failed(message: str, exit_code: int, data: object = None) -> Iterator[str]:
    import json

    yield f'{{"error": {json.dumps(message)}, "exit_code": {exit_code}'
    if data is not None:
        yield ', "data": '
        yield from _json(data)
    yield "}"


def _json(data: object) -> Iterator[str]:
    """Yield a document on one line; an iterator is an array, written as it is read."""
    import json

    if not hasattr(data, "__next__"):
        # what is answered with nothing is answered all the same
        yield json.dumps({} if data is None else data, default=list)
        return
    items: Iterator[object] = data  # type: ignore[assignment]
    opening = "["
    for item in items:
        yield opening + json.dumps(item)
        opening = ", "
    yield "[]" if opening == "[" else "]"
