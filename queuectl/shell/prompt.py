"""The prompt: one line read at a time, with notices printed above it while it is edited."""

from __future__ import annotations

import asyncio
import sys

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.renderer import print_formatted_text

from queuectl.render import visible
from queuectl.shell import terminal
from queuectl.shell.asking import answering, typed_before
from queuectl.shell.bindings import bindings, unfinished
from queuectl.shell.completer import ShellCompleter
from queuectl.shell.history import ShellHistory
from queuectl.shell.lexer import ShellLexer
from queuectl.shell.notices import fragments
from queuectl.shell.style import STYLE
from queuectl.shell.toolbar import toolbar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

    from queuectl.commands.context import Context
    from queuectl.grammar import Grammar
    from queuectl.shell.known import Known
    from queuectl.shell.notices import Notices

    Fragments = list[tuple[str, str]]

PROMPT, NARROW_PROMPT = "queuectl> ", "> "
#: columns below which the prompt is a short one
NARROW = 40
#: rows kept for the menu below the prompt, and the share of a low terminal
MENU_ROWS, MENU_SHARE = 8, 3
#: seconds between two looks whether a question is still one
MOOT = 0.1
_MORE = "the job's JSON goes on until its braces close; Ctrl-C drops it"
_BACKSLASH = "the line goes on behind its backslash; Ctrl-C drops it"


class Prompt:
    """Reads lines. Belongs to the main thread; only `ring` may be called from others."""

    def __init__(
        self,
        context: Context,
        grammar: Grammar,
        known: Known,
        notices: Notices,
        history: str,
        *,
        keys: Input | None = None,
        output: Output | None = None,
    ) -> None:
        """Make the prompt; `history` is its file, `keys` and `output` stand in for a terminal."""
        self._context = context
        self._known = known
        self._notices = notices
        self._bell: asyncio.Event | None = None
        #: pasted lines that wait for their turn, and the unfinished one behind them
        self.pasted: list[str] = []
        self._rest = ""
        #: called once, when the first prompt stands
        self.ready: Callable[[], None] | None = None
        self._faults: list[Exception] = []
        self._end: BaseException | None = None
        #: the prompt that is being edited
        self._reading: PromptSession[str] | None = None
        self._completer = ShellCompleter(grammar, known, lambda: context.cwd)
        self._goes_on = unfinished(grammar, lambda: self.text)
        self._streams = (keys, output)
        self._session = self._new_session(
            message=self._message,
            multiline=self._goes_on,
            prompt_continuation=self._continuation,
            lexer=ShellLexer(grammar),
            completer=self._completer,
            auto_suggest=AutoSuggestFromHistory(),
            history=ShellHistory(history),
            key_bindings=bindings(grammar, self._completer, self._run_later),
            bottom_toolbar=self._toolbar,
        )
        app = self._session.app
        # SIGWINCH tells when the size changes, so nobody has to look twice a second
        app.terminal_size_polling_interval = None
        # without the answer there is no toolbar; that needs no warning
        app.renderer.cpr_not_supported_callback = None

    def _new_session(self, **options: Any) -> PromptSession[str]:
        keys, output = self._streams
        options |= {"style": STYLE, "include_default_pygments_style": False}
        if output is None and terminal.is_dumb():
            # given this way prompt_toolkit still knows that it has a terminal, and which one
            with create_app_session(output=PlainTextOutput(sys.stdout)):
                return PromptSession(**options)
        return PromptSession(input=keys, output=output, **options)

    @property
    def text(self) -> str:
        """What stands in the line, also just after Ctrl-C."""
        return self._session.default_buffer.text

    def read(self) -> str:
        """Return the next line. Raises KeyboardInterrupt, EOFError, and what `end` was given."""
        rest, self._rest = self._rest, ""
        rows = terminal.screen().height
        self._session.reserve_space_for_menu = min(MENU_ROWS, rows // MENU_SHARE)
        before_run = None if terminal.is_dumb() else self._attend
        if before_run is None:
            self._say_ready()
        return self._read(
            self._session, default=rest, pre_run=before_run, set_exception_handler=not before_run
        )

    def _read(self, session: PromptSession[str], **options: Any) -> str:
        """Prompt; raises what `end` was given meanwhile, whatever else may have come of it."""
        self._reading = session
        try:
            return session.prompt(**options)
        finally:
            self._reading = None
            if self._end is not None:
                raise self._end

    def faults(self) -> list[Exception]:
        """Return what went wrong while a line was edited, each once."""
        faults, self._faults = self._faults, []
        return faults

    def next_pasted(self) -> str | None:
        """Return the next pasted line as if it had been typed, None when there is none."""
        if not self.pasted:
            return None
        line = self.pasted.pop(0)
        first, *others = line.split("\n")
        self.show([("class:prompt", self._prompt), ("", f"{visible(first)}\n")])
        self.show([("", f"{self._dots}{visible(row)}\n") for row in others])
        self._session.history.append_string(line)
        return line

    def drop_pasted(self) -> int:
        """Forget pasted lines that have not been run; return how many there were."""
        dropped = len(self.pasted) + bool(self._rest.strip())
        self.pasted, self._rest = [], ""
        return dropped

    def ask(
        self,
        question: str,
        answers: Mapping[str, str],
        *,
        safe: str = "",
        moot: Callable[[], bool] | None = None,
    ) -> str:
        """Return the key of the chosen answer, '' once `moot` says that there is nothing to ask.

        Only a key pressed by itself on an empty line answers at once; `safe` is what Enter and
        Escape answer there. What was typed before the question was shown is left for the next
        prompt. Raises KeyboardInterrupt and EOFError.
        """
        session = self._new_session(
            message=[("class:question", f"{question} ")], key_bindings=answering(answers, safe)
        )
        with typed_before(session.input):
            return self._ask(session, answers, moot)

    def _ask(
        self,
        session: PromptSession[str],
        answers: Mapping[str, str],
        moot: Callable[[], bool] | None,
    ) -> str:
        def watch() -> None:
            self._leave_if_ended(session)
            if moot is not None:
                session.app.create_background_task(_withdraw(session, moot))

        while True:
            typed = self._read(session, pre_run=None if terminal.is_dumb() else watch)
            answer = typed.strip().lower()
            if answer in answers:
                return answer
            if moot is not None and moot():
                return ""
            self.show(
                [
                    ("class:note", "; ".join(f"{key}: {text}" for key, text in answers.items())),
                    ("", "\n"),
                ]
            )

    def show(self, text: Fragments) -> None:
        """Print styled text, in which control characters have been made visible."""
        output = self._session.output
        if text and terminal.is_dumb():
            output.write("".join(piece for _, piece in text))
        elif text:
            print_formatted_text(
                output, FormattedText([*text]), STYLE, color_depth=self._session.app.color_depth
            )
        output.flush()

    def show_notices(self) -> None:
        """Print what has been noticed. Between prompts only."""
        self.show(fragments(self._notices.take()))

    def end(self, error: BaseException) -> None:
        """Make a prompt that is being edited raise this; between prompts raise it at once.

        For the main thread's signal handlers. An exception out of nowhere would leave the prompt's
        event loop waiting for tasks that never end.
        """
        session = self._reading
        if session is None or terminal.is_dumb():
            raise error
        self._end = error
        loop = session.app.loop
        if loop is not None:
            # else it begins just now, and looks itself
            loop.call_soon_threadsafe(self._leave_if_ended, session)

    def _leave_if_ended(self, session: PromptSession[str]) -> None:
        if self._end is not None and session.app.is_running and not session.app.is_done:
            session.app.exit(exception=self._end)

    # ---- while a line is edited ---------------------------------------------------------------

    def ring(self) -> None:
        """Say that there is something new to show. Any thread; never blocks."""
        loop, bell = self._session.app.loop, self._bell
        if loop is None or bell is None:
            return
        try:
            loop.call_soon_threadsafe(bell.set)
        except RuntimeError:
            # the loop has closed: the next prompt will show it
            pass

    def _attend(self) -> None:
        """Begin to show news; runs on the event loop of the prompt, which ends it."""
        asyncio.get_running_loop().set_exception_handler(self._remember)
        self._leave_if_ended(self._session)
        self._bell = asyncio.Event()
        self._session.app.create_background_task(self._show_news(self._bell))

    def _remember(self, _: asyncio.AbstractEventLoop, found: dict[str, Any]) -> None:
        """Keep a fault for later: it must not cost the line that is being typed."""
        error = found.get("exception")
        self._faults.append(error if isinstance(error, Exception) else Exception(found["message"]))

    def _say_ready(self) -> None:
        if self.ready is not None:
            ready, self.ready = self.ready, None
            ready()

    async def _show_news(self, bell: asyncio.Event) -> None:
        self._say_ready()
        app = self._session.app
        # once the line is done it stands on the screen for good; the next prompt has the news then
        while not app.is_done:
            lines = self._notices.take()
            if lines:
                self._print_above(fragments(lines))
            self._refresh_menu()
            app.invalidate()
            await bell.wait()
            bell.clear()

    def _print_above(self, text: Fragments) -> None:
        """Print above the line without leaving raw mode, in which no typed key can be lost.

        (prompt_toolkit's run_in_terminal changes the terminal's mode meanwhile; a key pressed just
        then would be echoed into the output.)
        """
        renderer = self._session.app.renderer
        renderer.erase()
        self.show(text)
        renderer.request_absolute_cursor_position()

    def _refresh_menu(self) -> None:
        """Offer jobs anew when what is known of them has changed and nobody has chosen yet."""
        buffer = self._session.default_buffer
        state = buffer.complete_state
        chosen = state is not None and state.complete_index is not None
        if not buffer.text or chosen or self._completer.wanted_jobs_for != buffer.text:
            return
        offers = list(
            self._completer.get_completions(buffer.document, CompleteEvent(text_inserted=True))
        )
        if offers != (state.completions if state is not None else []):
            buffer.cancel_completion()
            buffer.start_completion(complete_event=CompleteEvent(text_inserted=True))

    def _run_later(self, lines: Sequence[str], rest: str) -> None:
        self.pasted.extend(lines)
        self._rest = rest

    # ---- what stands around the line ----------------------------------------------------------

    @property
    def _prompt(self) -> str:
        return PROMPT if terminal.screen().width >= NARROW else NARROW_PROMPT

    @property
    def _dots(self) -> str:
        return "." * (len(self._prompt) - 1) + " "

    def _message(self) -> Fragments:
        return [("class:prompt", self._prompt)]

    def _continuation(self, width: int, row: int, wraps: int) -> Fragments:  # noqa: ARG002
        return [] if wraps else [("class:continuation", self._dots)]

    def _toolbar(self) -> Fragments:
        hint = ""
        if self._goes_on():
            hint = _BACKSLASH if self.text.endswith("\\") else _MORE
        return toolbar(
            self._known.picture,
            self._context.store.name,
            self._session.output.get_size().columns,
            hint,
        )


async def _withdraw(session: PromptSession[str], moot: Callable[[], bool]) -> None:
    """End a question without an answer when it is none any more."""
    while not moot():  # noqa: ASYNC110 (it is threads that end it)
        await asyncio.sleep(MOOT)
    if not session.app.is_done:
        session.app.exit(result="")
