"""Scripts: lines from standard input or -c, one command each, fast and with exact acknowledgement.

Consecutive `enqueue` lines are added in one transaction when they are there already; their answers
are written after its commit, so a job whose answer has been seen is in the store. A line that fails
ends the script; lines before it stay done.
"""

from __future__ import annotations

from queuectl.commands import GRAMMAR
from queuectl.commands.context import Context
from queuectl.errors import EXIT_OK, QueuectlError
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.commands.jobs import Prepared
    from queuectl.commands.result import Result
    from queuectl.grammar import Invocation

    #: shows an answer (its result, whether as JSON)
    Show = Callable[[Result, bool], None]
    #: shows an error (itself, what stands in front of it, whether as JSON)
    ShowError = Callable[[QueuectlError, str, bool], None]

#: jobs added in one transaction at the most
GROUP = 1000
ENQUEUE = ("enqueue",)


class Line(Record):
    """A command of a script; `number` is that of its first line."""

    number: int
    text: str
    #: whether the next line is there already, without waiting for who writes it
    more: bool = False


class _Waiting(Record):
    line: Line
    prepared: Prepared
    json: bool


class Script:
    """Runs lines one after the other in one context."""

    def __init__(
        self, ctx: Context, show: Show, show_error: ShowError, *, name: str = "script",
        keep_going: bool = False, json: bool = False,
    ) -> None:  # fmt: skip
        self._ctx = ctx
        self._show = show
        self._show_error = show_error
        self._name = name
        self._keep_going = keep_going
        self._json = json
        self._group: list[_Waiting] = []
        #: of the first line that failed
        self.exit_code = EXIT_OK

    def run(self, lines: Iterator[Line]) -> int:
        """Run lines until one fails or says `exit`; return the exit code of the first failure."""
        for line in lines:
            if not self._run(line) and not self._keep_going:
                return self.exit_code
            if self._ctx.leaving:
                break
        self._add_group()
        return self.exit_code

    def _run(self, line: Line) -> bool:
        """Run a line, or keep it for the group; False when something failed."""
        try:
            invocation = GRAMMAR.parse_line(line.text)
            if invocation is None:
                return line.more or self._add_group()
            prepared = self._prepare(invocation)
        except QueuectlError as error:
            return self._add_group() & self._failed(line, error)
        if prepared is not None:
            self._group.append(_Waiting(line, prepared, self._json or invocation.json))
            return (line.more and len(self._group) < GROUP) or self._add_group()
        return self._add_group(stop_on_failure=True) and self._run_alone(line, invocation)

    def _prepare(self, invocation: Invocation) -> Prepared | None:
        if invocation.command.path != ENQUEUE:
            return None
        from queuectl.commands.jobs import prepare

        return prepare(self._ctx, invocation.args)

    def _run_alone(self, line: Line, invocation: Invocation) -> bool:
        json = self._json or invocation.json
        try:
            result: Result = invocation.command.load()(self._ctx, invocation.args)
            self._show(result, json)
        except QueuectlError as error:
            return self._failed(line, error, json=json)
        self.exit_code = self.exit_code or result.exit_code
        return result.exit_code == EXIT_OK

    def _add_group(self, *, stop_on_failure: bool = False) -> bool:
        """Add the jobs that wait, all in one transaction; when that fails, one after the other."""
        group, self._group = self._group, []
        if not group:
            return True
        try:
            ids = self._ctx.write(lambda store: store.add([w.prepared.new for w in group]))
        except QueuectlError as error:
            if len(group) == 1:
                return self._failed(group[0].line, error, json=group[0].json) or (
                    self._keep_going and stop_on_failure
                )
        else:
            for waiting, job_id in zip(group, ids, strict=True):
                self._reply(waiting, job_id)
            return True
        good = True
        for waiting in group:
            self._group = [waiting]
            good &= self._add_group()
            if not good and not self._keep_going:
                return False
        return good or (self._keep_going and stop_on_failure)

    def _reply(self, waiting: _Waiting, job_id: int) -> None:
        from queuectl.commands.jobs import reply

        self._show(reply(self._ctx, waiting.prepared, job_id), waiting.json)

    def _failed(self, line: Line, error: QueuectlError, *, json: bool | None = None) -> bool:
        self.exit_code = self.exit_code or error.exit_status
        prefix = f"{self._name}:{line.number}: "
        self._show_error(error, prefix, self._json if json is None else json)
        return False


def commands(lines: Iterator[Line]) -> Iterator[Line]:
    """Join lines that belong together: JSON whose braces have not closed goes on."""
    held: Line | None = None
    for line in lines:
        if held is not None:
            line = Line(held.number, f"{held.text}\n{line.text}", line.more)  # noqa: PLW2901
            held = None
        if line.text.endswith(("}", "]")) or not GRAMMAR.needs_more(line.text):
            if not GRAMMAR.needs_more(line.text):
                yield line
                continue
        held = line
    if held is not None:
        yield held


def read_lines(read: Callable[[int], bytes]) -> Iterator[Line]:
    """Yield the lines of a file as they arrive; `read` returns what there is, b'' at the end."""
    number = 1
    rest = b""
    while data := read(65536):
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        last = len(lines) - 1
        for at, line in enumerate(lines):
            yield Line(number, line.decode("utf-8", "surrogateescape").rstrip("\r"), at < last)
            number += 1
    if rest:
        yield Line(number, rest.decode("utf-8", "surrogateescape"))


def given_lines(texts: list[str]) -> Iterator[Line]:
    """Yield the lines of -c arguments, each of which may hold several."""
    lines = [line for text in texts for line in text.split("\n")]
    for number, line in enumerate(lines, 1):
        yield Line(number, line, number < len(lines))
