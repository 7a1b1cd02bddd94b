"""The interactive shell: a prompt that knows the jobs.

Imported only when somebody sits at a terminal: prompt_toolkit takes longer to import than a
one-shot command takes altogether.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from queuectl.store.base import Store


def run(
    open_store: Callable[[], Store], *, url: Callable[[], str] | None = None, json: bool = False
) -> int:
    """Talk to the person at this process's terminal until they leave; return the exit status.

    Call from the main thread: it takes over SIGTERM and SIGHUP meanwhile. Workers of the shell
    have ended when it returns. Raises what opening the store raises.
    """
    from queuectl.shell.session import Session

    return Session(open_store, url=url, json=json).run()
