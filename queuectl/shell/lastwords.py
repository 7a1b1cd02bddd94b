"""The terminal of a shell whose process was killed: put in order, and told what happened.

Runs in the front (queuectl.front), so it imports nothing that is not needed, and holds nothing open.
"""

from __future__ import annotations

import os
import signal
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: no marks around pastes, a cursor, no colours; and nothing below the line
_IN_ORDER = b"\x1b[?2004l\x1b[?25h\x1b[0m"
_FRESH_LINE, _FRESH_LINE_ONLY = b"\r\n\x1b[J", b"\r\n"
#: what a state of a job means for one that ran when its host was killed
_MEANS = {"failed": "failed and will be retried"}
_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC


class Terminal:
    """A terminal as it was before the shell."""

    def __init__(
        self, states_of: Callable[[Sequence[int]], list[str]], environ: Mapping[str, str]
    ) -> None:
        """Remember how standard input is set; `states_of` looks up jobs, those that there still are."""
        self._states_of = states_of
        self._draws = environ.get("TERM", "").lower() not in ("", "dumb", "unknown")
        self._name = ""
        try:
            self._modes = termios.tcgetattr(0)
            self._name = os.ttyname(0)
        except (OSError, termios.error):
            # no name: it cannot be found again
            pass

    def put_in_order(self) -> None:
        """Bring its modes back and go to a new line, unless it is another program's by now."""
        terminal = self._open()
        if terminal is None:
            return
        # one that is in the background and touches it would be stopped
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
        try:
            if os.tcgetpgrp(terminal) == os.getpgrp():
                termios.tcsetattr(terminal, termios.TCSANOW, self._modes)
                os.write(terminal, _IN_ORDER + _FRESH_LINE if self._draws else _FRESH_LINE_ONLY)
        except (OSError, termios.error):
            # it has gone, or takes nothing
            pass
        os.close(terminal)

    def say_killed(self, number: int, ran: Sequence[int]) -> None:
        """Say in a line which signal ended the shell, and what became of the jobs that it ran."""
        terminal = self._open()
        if terminal is None:
            return
        text = f"queuectl: the shell's process was killed (signal {number}){self._fates(ran)}\r\n"
        try:
            os.write(terminal, text.encode())
        except OSError:
            pass
        os.close(terminal)

    def _open(self) -> int | None:
        try:
            return os.open(self._name, _FLAGS) if self._name else None
        except OSError:
            return None

    def _fates(self, ran: Sequence[int]) -> str:
        """Return what there is to say of the jobs that ran, in the store's own words."""
        if not ran:
            return ""
        its = f"its job {ran[0]}" if len(ran) == 1 else f"its {len(ran)} jobs"
        try:
            states = self._states_of(ran)
        except Exception:  # noqa: BLE001 (whatever it is, the line must come)
            return f"; what becomes of {its} is not known: the store cannot be read"
        meant = [_MEANS.get(state, state) for state in states]
        each = dict.fromkeys(meant)
        if len(ran) == 1 or not meant:
            return f"; {its}: {meant[0] if meant else 'removed'}"
        return f"; {its}: {', '.join(f'{meant.count(what)} {what}' for what in each)}"
