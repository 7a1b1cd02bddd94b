"""Places where a test can make this process die or stop, to see what becomes of its jobs.

QUEUECTL_FAILPOINT=NAME:HOW[:N] does HOW (`kill`, `stop` or `exit`) when `reach(NAME)` is called for
the Nth time, N being 1 unless given. Without the variable `reach` does nothing.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "QUEUECTL_FAILPOINT"


def _nothing(name: str) -> None:
    """Go on."""


def _armed(text: str) -> Callable[[str], None]:
    wanted, how, *rest = text.split(":")
    left = int(rest[0]) if rest else 1

    def reach(name: str) -> None:
        nonlocal left
        if name == wanted:
            left -= 1
            if not left:
                _end(how)

    return reach


def _end(how: str) -> None:
    import signal

    if how == "exit":
        os._exit(1)
    os.kill(os.getpid(), signal.SIGSTOP if how == "stop" else signal.SIGKILL)


_text = os.environ.get(VARIABLE)
#: to be called at a failpoint, with its name
reach: Callable[[str], None] = _armed(_text) if _text else _nothing
