"""How far a long command is, in one line of a terminal: a bar, numbers and the time that is left."""

from __future__ import annotations

import time

from queuectl.timespec import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: seconds between two lines, and before the first guess of what is left
EVERY, FIRST_GUESS = 0.1, 0.5
#: columns of a bar between its brackets
_BAR = 20


def meter(done: int, total: int) -> str:
    """Return `[#####-----]`; full when there is nothing to do."""
    filled = _BAR * done // total if total else _BAR
    return f"[{'#' * filled}{'-' * (_BAR - filled)}]"


class Progress:
    """Says when there is a new line to show. The total may be a guess, and change."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._clock = clock
        self._began: float | None = None
        self._told = 0.0
        self._done = 0

    def line(self, done: int, of: int) -> str | None:
        """Return the line for so many jobs (`of` 0: nobody knows of how many), None: not yet.

        An empty line means that all is done.
        """
        now = self._clock()
        if self._began is None or done < self._done:
            # the first, or the first of the next command
            self._began, self._told = now, 0.0
        self._done = done
        if done >= of > 0:
            self._began = None
            return ""
        if self._told and now - self._told < EVERY:
            return None
        self._told = now
        if not of:
            return f"{done:,} jobs"
        return f"{meter(done, of)} {done:,} of about {of:,} jobs{self._left(done, of, now)}"

    def _left(self, done: int, of: int, now: float) -> str:
        took = now - (self._began or now)
        if not done or took < FIRST_GUESS:
            return ""
        left = took * (of - done) / done
        return f", {describe_duration(round(left) * 1000)} left"
