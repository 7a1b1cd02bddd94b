"""The shell itself: reads a line, runs it, shows the answer, until somebody leaves."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager, nullcontext

from queuectl import __version__
from queuectl.commands import GRAMMAR
from queuectl.commands.context import SHELL, Context
from queuectl.commands.progress import Progress
from queuectl.commands.result import Stream, parts, plural
from queuectl.errors import QueuectlError
from queuectl.grammar.reading import BANG, joined
from queuectl.host import handover
from queuectl.paths import state_directory
from queuectl.render import look_for, render, render_error, visible
from queuectl.shell import terminal
from queuectl.shell.known import Known
from queuectl.shell.listening import listened_to, tells_of_ends
from queuectl.shell.notices import Notices
from queuectl.shell.started import GrammarHere, program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.commands.result import Result
    from queuectl.grammar import Invocation
    from queuectl.host.worker import WorkerHost
    from queuectl.render import Look
    from queuectl.store.base import Store

HUNG_UP_STATUS = 128 + signal.SIGHUP
HISTORY = "history"
#: first word of the commands about this shell's workers
WORKER = "worker"


class Session:
    """One shell. Belongs to the main thread."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        url: Callable[[], str] | None = None,
        json: bool = False,
    ) -> None:
        """Open the store and make the prompt. Raises what opening the store raises."""
        self._json = json
        self._notices = Notices()
        self._context = Context(
            open_store,
            environ=os.environ,
            url=url,
            mode=SHELL,
            screen=terminal.screen(),
            confirm=self._confirm,
            progress=self._progress,
            on_settled=self._notices.settled,
        )
        store = self._context.store
        from queuectl.shell.prompt import Prompt

        start = program(sys.argv[0], sys.executable, os.environ.get("PATH"))
        self._grammar = GrammarHere(GRAMMAR.table, start)
        self._known = Known(self._context, self._ring)
        history = os.path.join(state_directory(os.environ), HISTORY)
        self._prompt = Prompt(self._context, self._grammar, self._known, self._notices, history)
        self._notices.bell = self._ring
        self._notices.start(store)
        self._reporter = Progress()
        #: whether a line of it stands on the screen
        self._reported = False
        self._busy = False
        #: the signal that ends this shell
        self._ended_by = 0
        self._modes: terminal.Modes | None = None
        #: what the front is told when this process goes on without it
        self._alone = b""

    def run(self) -> int:
        """Go on until somebody leaves; return the exit status."""
        self._prompt.ready = self._start_helpers
        front = handover.link()
        if front is not None:
            front.watch(self._front_gone)
        with terminal.quiet() as self._modes:
            try:
                self._greet()
                with terminal.ended_by_signals(self._end):
                    self._take_back()
                    while not self._safe_turn():
                        pass
            except terminal.Terminated as error:
                if error.status == HUNG_UP_STATUS:
                    self._alone = handover.HUNG_UP
                return error.status
            finally:
                self._close()
        return 0

    def _start_helpers(self) -> None:
        """Begin what may wait until the first prompt stands, and would only hold it up."""
        self._known.start()
        threading.Thread(target=_load_colours, name="colours", daemon=True).start()

    def _greet(self) -> None:
        self._prompt.show([
            ("bold", f"queuectl {__version__}"),
            ("class:note", "  help lists the commands, exit leaves\n"),
        ])  # fmt: skip

    def _take_back(self) -> None:
        """Take back what hosts had that died on this machine: nobody else may look for long."""
        from queuectl.commands.lost import take_back, told

        try:
            for line in told(take_back(self._context)):
                self._note(line)
        except KeyboardInterrupt:
            self._interrupted()
        except QueuectlError as error:
            self._note(str(error))

    # ---- a line -------------------------------------------------------------------------------

    def _safe_turn(self) -> bool:
        """Take a turn; a Ctrl-C that comes between two steps of it is no reason to end."""
        try:
            return self._turn()
        except KeyboardInterrupt:
            self._interrupted()
            return False
        except OSError:
            if not terminal.alive():
                # at whatever point, a question for one: its end is met before its hang-up is told
                raise terminal.Terminated(signal.SIGHUP) from None
            raise

    def _turn(self) -> bool:
        """Read a line and run it; return whether the shell is to end."""
        try:
            self._prompt.show_notices()
            if self._prompt.pasted:
                return self._run_pasted()
            line = self._prompt.read()
        except KeyboardInterrupt:
            if not self._prompt.text.strip():
                self._note("to leave: exit, or Ctrl-D")
            return False
        except (EOFError, OSError) as error:
            if not terminal.alive():
                raise terminal.Terminated(signal.SIGHUP) from None
            if isinstance(error, OSError):
                raise
            return self._leave()
        finally:
            for fault in self._prompt.faults():
                self._internal_error(fault)
        if line.strip():
            self._run(line)
        return self._context.leaving and self._leave()

    def _run_pasted(self) -> bool:
        """Run pasted lines one after the other, until one of them leaves or Ctrl-C is pressed."""
        with terminal.interruptible():
            while not self._context.leaving:
                line = self._prompt.next_pasted()
                if line is None:
                    break
                self._run(line)
                self._prompt.show_notices()
        return self._context.leaving and self._leave()

    def _run(self, line: str) -> None:
        """Run a line; whatever becomes of it, the shell goes on."""
        self._context.screen = terminal.screen()
        try:
            invocation = self._grammar.parse_line(joined(line))
            if invocation is not None:
                self._execute(invocation)
        except KeyboardInterrupt:
            self._interrupted()
        except QueuectlError as error:
            terminal.flush()
            json = self._json or bool(error.facts.get("json"))
            terminal.write(render_error(error, self._look(json=json), ""))
        except Exception as error:  # noqa: BLE001 - a fault in one command must not cost running jobs
            self._internal_error(error)
        finally:
            self._end_report()
            self._known.nudge()

    def _execute(self, invocation: Invocation) -> None:
        if invocation.command.path == (BANG,):
            with terminal.lent(self._modes):
                result = invocation.command.load()(self._context, invocation.args)
            terminal.fresh_line()
            if result.exit_code:
                self._note(f"exit {result.exit_code}")
            return
        json = invocation.args.json = self._json or invocation.json
        changes_session = invocation.command.local or invocation.command.path[0] == WORKER
        with (
            self._undisturbed() if changes_session else terminal.interruptible(),
            self._notices.held() if tells_of_ends(invocation) else nullcontext() as told,
        ):
            for part in parts(invocation.command.load()(self._context, invocation.args)):
                self._show(part if told is None else listened_to(part, told), json=json)

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Let nothing interrupt what is short and must not be left half done: starting workers."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
        if self._ended_by:
            self._end(self._ended_by)

    def _show(self, result: Result, *, json: bool) -> None:
        self._end_report()
        streams = [block for block in result.blocks if isinstance(block, Stream)]
        live = any(stream.live for stream in streams)
        terminal.write(render(result, self._look(json=json)), live=live)
        if streams and not json:
            terminal.fresh_line()

    def _look(self, *, json: bool) -> Look:
        return look_for(
            json=json, terminal=True, width=self._context.screen.width, environ=os.environ
        )

    def _interrupted(self) -> None:
        terminal.fresh_line()
        dropped = self._prompt.drop_pasted()
        lost = f"; {plural(dropped, 'pasted line')} not run" if dropped else ""
        self._note(f"interrupted{lost}")

    def _note(self, text: str) -> None:
        self._prompt.show([("class:note", text), ("", "\n")])

    def _internal_error(self, error: Exception) -> None:
        if os.environ.get("QUEUECTL_DEBUG"):
            import traceback

            traceback.print_exception(error)
        detail = visible(" ".join(str(error).split()))
        self._prompt.show(
            [("class:error", f"internal error: {type(error).__name__}: {detail}"), ("", "\n")]
        )

    # ---- what commands ask of a session -------------------------------------------------------

    def _confirm(self, question: str) -> bool:
        self._end_report()
        terminal.flush()
        try:
            with terminal.quiet():
                answers = {"y": "yes", "n": "no"}
                return self._prompt.ask(f"{question} [y/n]", answers, safe="n") == "y"
        except EOFError:
            return False

    def _progress(self, done: int, total: int) -> None:
        line = self._reporter.line(done, total)
        if line is None or terminal.is_dumb():
            return
        self._reported = bool(line)
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()

    def _end_report(self) -> None:
        if self._reported:
            self._reported = False
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    # ---- the end ------------------------------------------------------------------------------

    def _ring(self) -> None:
        self._prompt.ring()

    def _end(self, number: int) -> None:
        """Leave because of a signal: raised here, or by the prompt that is being edited."""
        self._ended_by = number
        if not self._busy:
            self._prompt.end(terminal.Terminated(number))

    def _leave(self) -> bool:
        """Return whether the shell may end now."""
        from queuectl.shell.leaving import Leaving

        self._context.leaving = False
        host = self._context.running_host
        if host is None:
            return True
        leaving = Leaving(self._prompt, host)
        may_end = leaving.run()
        if leaving.handed_over:
            self._alone = handover.ALONE
        self._known.nudge()
        return may_end

    def _front_gone(self) -> None:
        """Leave as after a hang-up: the shell above has taken the terminal back."""
        if not self._alone:
            os.kill(os.getpid(), signal.SIGHUP)

    def _close(self) -> None:
        """Let go of everything. Jobs that still run here are stopped and handed back.

        Not so after a hand-over or a hang-up: then this returns when they have ended.
        """
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, terminal.ignore)
        self._known.stop()
        self._notices.stop()
        host = self._context.running_host
        if self._alone and host is not None and host.running():
            self._go_on_alone(host)
            return
        if not terminal.alive():
            terminal.let_go()
        if host is not None and not host.join(0):
            from queuectl.shell.leaving import Leaving

            Leaving(self._prompt, host, asks=False).run()
        self._context.close(now=True)

    def _go_on_alone(self, host: WorkerHost) -> None:
        from queuectl.shell.leaving import finish_alone

        if self._modes is not None:
            terminal.put_back(self._modes)
        finish_alone(self._context, host, self._alone)
        self._context.close()


def _load_colours() -> None:
    from queuectl.shell.lexer import load_pygments

    load_pygments()
