"""`top`: the status on the whole screen, again and again, until q or Ctrl-C."""

from __future__ import annotations

import os

from queuectl.commands.context import is_dumb
from queuectl.commands.looking import overview
from queuectl.commands.result import Result, Stream, Text
from queuectl.job import PROCESSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args

#: seconds between two pictures
_EVERY = 1.0
_STDOUT = 1
#: to the first corner, and everything from there on erased
_CLEAR = b"\x1b[H\x1b[J"
_KEYS = "q leaves"


def top(ctx: Context, args: Args) -> Result:
    """Run the command; without a terminal to draw on, or with --json, it is `status`."""
    drawn = ctx.screen.terminal and not args.json and not is_dumb(ctx.environ)
    if not (drawn and os.isatty(0) and os.isatty(_STDOUT)):
        return overview(ctx, args)
    return _Live(ctx, args).picture()


class _Live:
    """One picture after the other, each asked for when the one before has been shown."""

    def __init__(self, ctx: Context, args: Args) -> None:
        self._ctx = ctx
        self._args = args
        self._version: object = None

    def picture(self) -> Result:
        """Return how things stand now, for the whole screen."""
        ctx = self._ctx
        size = os.get_terminal_size(_STDOUT)
        ctx.screen = ctx.screen._replace(width=size.columns, height=size.lines)
        self._version = ctx.store.version()
        now = overview(ctx, self._args)
        blocks = (Stream(((_STDOUT, _CLEAR),)), *now.blocks, Text(_KEYS))
        return Result(None, blocks, now.notes, then=self._next)

    def _next(self) -> Result:
        """Wait for a key or for something to have changed; return what to show then."""
        try:
            while not _key("q", _EVERY):
                # what runs takes longer by the second
                if (
                    self._ctx.store.version() != self._version
                    or self._ctx.store.counts()[PROCESSING]
                ):
                    return self.picture()
        except KeyboardInterrupt:
            pass
        return Result()


def _key(wanted: str, seconds: float) -> bool:
    """Wait so long for a key; True if it was one of those wanted, or the terminal is gone."""
    import select
    import termios
    import tty

    before = termios.tcgetattr(0)
    try:
        tty.setcbreak(0, termios.TCSANOW)
        readable, _, _ = select.select((0,), (), (), seconds)
        if not readable:
            return False
        typed = os.read(0, 100)
    finally:
        termios.tcsetattr(0, termios.TCSANOW, before)
    return not typed or wanted in typed.decode("utf-8", "replace").lower()
