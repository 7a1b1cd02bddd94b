"""What others ask for one attempt, handed on to it; kept until it runs when it does not yet."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.process.attempt import Control
    from queuectl.store.base import Wish

#: claims for which something is kept: more than are ever claimed ahead
MOST = 1000


class EarlyWishes:
    """Wishes for claims that no worker has begun to run. The caller's lock guards it."""

    def __init__(self) -> None:
        self._by_token: dict[str, list[Wish]] = {}

    def keep(self, wish: Wish) -> None:
        """Keep one; too many and the oldest go, which were about attempts that had ended."""
        self._by_token.setdefault(wish.token, []).append(wish)
        if len(self._by_token) > MOST:
            del self._by_token[next(iter(self._by_token))]

    def take(self, token: str) -> list[Wish]:
        """Return what was asked for a claim, in order, and forget it."""
        return self._by_token.pop(token, [])

    def __len__(self) -> int:
        return len(self._by_token)


def grant(control: Control, wish: Wish) -> None:
    """Hand a wish on to an attempt. Never blocks. Raises ValueError when it makes no sense."""
    if wish.kind == "cancel":
        control.cancel()
    elif wish.kind == "cancel-now":
        control.cancel(now=True)
    elif wish.kind == "signal":
        control.signal(int(wish.payload))
    elif wish.kind == "pause":
        control.pause()
    elif wish.kind == "resume":
        control.resume()
    elif wish.kind == "send":
        control.send(wish.payload)
