"""Scripts: lines from standard input or -c, one command each, fast and with exact acknowledgement.

Consecutive `enqueue` lines are added in one transaction when they are there already; their answers
are written after its commit, so a job whose answer has been seen is in the store. A line that fails
ends the script; lines before it stay done.
"""

from __future__ import annotations

from queuectl.commands import GRAMMAR
from queuectl.commands.result import parts
from queuectl.errors import EXIT_OK, QueuectlError
from queuectl.grammar.reading import goes_on, joined
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.commands.context import Context
    from queuectl.commands.jobs import Prepared
    from queuectl.commands.result import Result
    from queuectl.grammar.table import Invocation

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
        self._ended = False
        #: of the first line that failed
        self.exit_code = EXIT_OK

    def run(self, lines: Iterator[Line]) -> int:
        """Run lines until one fails or says `exit`; return the exit code of the first failure."""
        for line in lines:
            self._run(line)
            if self._ended or self._ctx.leaving:
                break
        self._add_group()
        return self.exit_code

    def _run(self, line: Line) -> None:
        """Run a line; a job is kept back when another line, and perhaps another job, follows."""
        try:
            invocation = GRAMMAR.parse_line(line.text)
            prepared = None if invocation is None else self._prepare(invocation)
        except QueuectlError as error:
            self._add_group()
            self._fail(line, error, json=bool(error.facts.get("json")))
            return
        if invocation is not None and prepared is not None:
            self._group.append(_Waiting(line, prepared, self._json or invocation.json))
        elif invocation is not None:
            self._add_group()
            self._run_alone(line, invocation)
        if not line.more or len(self._group) >= GROUP:
            self._add_group()

    def _prepare(self, invocation: Invocation) -> Prepared | None:
        if invocation.command.path != ENQUEUE:
            return None
        from queuectl.commands.jobs import looks_back, prepare

        if self._group and looks_back(invocation.args):
            # at jobs of the lines above, perhaps
            self._add_group()
        return prepare(self._ctx, invocation.args)

    def _run_alone(self, line: Line, invocation: Invocation) -> None:
        if self._ended:
            return
        json = self._json or invocation.json
        try:
            result: Result = invocation.command.load()(self._ctx, invocation.args)
            for part in parts(result):
                self._show(part, json)
                self._note(part.exit_code)
        except QueuectlError as error:
            self._fail(line, error, json=json)

    def _add_group(self) -> None:
        """Add the jobs that wait, all in one transaction; when that fails, one after the other."""
        group, self._group = self._group, []
        if not group or self._ended or self._add(group) or len(group) == 1:
            return
        for waiting in group:
            if not self._ended:
                self._add([waiting])

    def _add(self, group: list[_Waiting]) -> bool:
        """Add jobs and show the answers; the error of a single one is shown."""
        from queuectl.commands.jobs import reply

        try:
            ids = self._ctx.write(lambda store: store.add([one.prepared.new for one in group]))
        except QueuectlError as error:
            if len(group) == 1:
                self._fail(group[0].line, error, json=group[0].json)
            return False
        for waiting, job_id in zip(group, ids, strict=True):
            self._show(reply(self._ctx, waiting.prepared, job_id), waiting.json)
        return True

    def _fail(self, line: Line, error: QueuectlError, *, json: bool) -> None:
        if not self._ended:
            self._note(error.exit_status)
            self._show_error(error, f"{self._name}:{line.number}: ", self._json or json)

    def _note(self, exit_code: int) -> None:
        self.exit_code = self.exit_code or exit_code
        self._ended = bool(exit_code) and not self._keep_going


def commands(lines: Iterator[Line]) -> Iterator[Line]:
    """Join lines that belong together: behind a backslash, and while the braces of JSON are open."""
    held: Line | None = None
    for line in lines:
        if held is not None:
            text = joined(f"{held.text}\n{line.text}")
            line = Line(held.number, text, line.more)  # noqa: PLW2901
            held = None
        if goes_on(line.text) or GRAMMAR.needs_more(line.text):
            held = line
        else:
            yield line
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
