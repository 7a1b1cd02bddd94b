"""A clock that goes only when it is told to."""

from __future__ import annotations

#: 2026-11-21 00:00:00 UTC, in ms
START = 1_795_219_200_000
SECOND = 1000


class Clock:
    """Milliseconds since 1970 that stand still between calls of `advance`."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, milliseconds: int) -> int:
        """Go on by so much; return the new time."""
        self.now += milliseconds
        return self.now
