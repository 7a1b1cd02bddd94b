"""Leaving a shell whose workers run jobs: say which, ask what becomes of them, do it."""

from __future__ import annotations

import os
import signal
import sys
import time

from queuectl.commands.result import jobs_named
from queuectl.host.handover import go_headless, link
from queuectl.record import Record
from queuectl.shell import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from queuectl.commands.context import Context
    from queuectl.host.worker import WorkerHost
    from queuectl.shell.prompt import Prompt

#: seconds between two looks at what is typed while jobs are waited for
LOOK = 0.1
#: seconds that jobs get to end by themselves before anybody is asked about them
MOMENT = 0.2


class Choice(Record):
    """One of the answers: its key, what it says, and what it does (True: the shell may end)."""

    key: str
    text: str
    act: Callable[[Leaving], bool]


class Leaving:
    """One attempt to leave."""

    def __init__(self, prompt: Prompt, host: WorkerHost, *, asks: bool = True) -> None:
        """`asks` False: there is nobody to ask, running jobs are stopped and handed back."""
        self._prompt = prompt
        self._host = host
        self._asks = asks
        #: the shell ends, and its process goes on without a terminal until its jobs have ended
        self.handed_over = False

    def run(self) -> bool:
        """Return whether the shell may end; then its workers have."""
        if self._asks:
            self._give_a_moment()
        while running := self._running():
            choice = None
            try:
                choice = self._choose(running) if self._asks else STOP
                if choice is not None and choice.act(self):
                    return True
            except KeyboardInterrupt:
                # at the question it takes the wish to leave back; later it brings the question back
                choice = choice or STAY
            if choice is STAY:
                return False
        self._host.stop()
        if not self._ended():
            return False
        self._host.close()
        return True

    def _give_a_moment(self) -> None:
        """Let jobs that are about to end do so: nobody needs to be asked about them."""
        deadline = time.monotonic() + MOMENT
        while self._running() and time.monotonic() < deadline:
            self._host.wait_activity(MOMENT / 4)

    def _choose(self, running: list[int]) -> Choice | None:
        """Ask; None: what it was about has ended meanwhile."""
        choices = [choice for choice in CHOICES if choice is not HAND_OVER or link() is not None]
        answers = {choice.key: choice.text for choice in choices}
        offered = ", ".join(f"{text} ({key})" for key, text in answers.items())
        try:
            question = f"{_named(running)} here: {offered}?"
            key = self._prompt.ask(question, answers, moot=lambda: not self._running())
        except EOFError:
            if not terminal.alive():
                # no Ctrl-D: the end of a terminal is read before its hang-up is told
                raise terminal.Terminated(signal.SIGHUP) from None
            # Ctrl-D twice says clearly enough what is wanted
            return STOP
        return next((choice for choice in CHOICES if choice.key == key), None)

    def wait(self) -> bool:
        """Take nothing new and wait for what runs; Ctrl-C or Ctrl-D asks again."""
        self._host.stop()
        self._say(f"waiting for {jobs_named(self._running())}; Ctrl-C asks again")
        if not self._ended():
            return False
        self._host.close()
        return True

    def hand_over(self) -> bool:
        """Leave at once; what runs goes on, and nothing new is taken."""
        self._host.stop()
        if not self._running():
            return False
        self.handed_over = True
        self._say(
            f"handed over: process {os.getpid()} finishes {jobs_named(self._running())}; `status` shows how they end"
        )
        return True

    def stop(self) -> bool:
        """Stop what runs and hand it back, uncounted; Ctrl-C makes it SIGKILL."""
        running = self._running()
        self._host.stop(now=True)
        if running:
            self._say(f"stopping {jobs_named(running)}")
        while not self._ended():
            self._say(f"killing {jobs_named(self._running())}")
            for job in self._host.running():
                job.control.cancel(now=True)
        self._host.close(now=True)
        return True

    def stay(self) -> bool:
        """Go on; workers that were told to leave meanwhile do so."""
        if not self._host.workers:
            self._say("the workers stop when their jobs have ended: `worker start` starts others")
        return False

    def _ended(self) -> bool:
        """Wait until all workers have ended; False: somebody interrupted."""
        try:
            with terminal.interruptible():
                while not self._host.join(0 if self._asks else LOOK):
                    self._prompt.show_notices()
                    if self._asks and terminal.wants_to_stop(terminal.key(LOOK)):
                        return False
        except KeyboardInterrupt:
            return False
        return True

    def _running(self) -> list[int]:
        return sorted(running.claim.job_id for running in self._host.running())

    def _say(self, text: str) -> None:
        self._prompt.show([("class:note", text), ("", "\n")])


STAY = Choice("c", "stay", Leaving.stay)
STOP = Choice("s", "stop them and hand them back", Leaving.stop)
HAND_OVER = Choice("h", "hand over", Leaving.hand_over)
#: in the order in which they are offered
CHOICES = (Choice("w", "wait for them", Leaving.wait), HAND_OVER, STOP, STAY)


def finish_alone(ctx: Context, host: WorkerHost, word: bytes) -> None:
    """Finish what runs, without a terminal: signals as for `worker start`, remarks to a log.

    `word` is what the front is told, which ends then.
    """
    from queuectl.commands.foreground import Foreground
    from queuectl.commands.result import parts
    from queuectl.commands.telling import Telling

    telling = Telling(ctx.store, ctx.screen.width, each=False)
    host.on_settled = telling.settled
    host.stop()
    # signals are taken before anybody can believe that the shell has ended
    foreground = Foreground(ctx, host, (), telling, until_empty=False)
    foreground.watch()
    go_headless(ctx.store.local_directory, host.id, word)
    for part in parts(foreground.stay()):
        for note in part.notes:
            sys.stderr.write(f"{note}\n")
            sys.stderr.flush()


def _named(ids: list[int]) -> str:
    text = jobs_named(ids)
    return f"{text[0].upper()}{text[1:]} {'runs' if len(ids) == 1 else 'run'}"
