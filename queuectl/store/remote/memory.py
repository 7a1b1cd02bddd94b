"""What a RemoteStore remembers of calls whose caller may ask for them again.

A caller that tries a group of calls again after the server was lost in the middle of it (the pump
of a host does) must not do a part of it twice: what had been done is answered from here, and what
may have been done is sent again under its first key. Claims are never asked for in the same words
again, so those that nobody has got are handed out by the next claim of the same host and queues.
"""

from __future__ import annotations

import time
from collections import deque

from queuectl.record import Record

#: seconds for which a group that failed can be tried again, and for which claims are worth a look
_REMEMBER, _CLAIMED = 120.0, 600.0
#: calls that are remembered
_MOST = 1000

#: the name of a method and the bytes of its arguments
Call = tuple[str, bytes]


class LostClaim(Record):
    """A claim whose jobs nobody has got."""

    whose: tuple[str, tuple[str, ...]]
    body: bytes
    #: its request key
    key: str
    #: None: it may have been done
    answer: bytes | None
    at: float


class Memory:
    """One thread writes, as to any store."""

    def __init__(self) -> None:
        #: keys of calls whose answer never came, with the time
        self._keys: dict[Call, tuple[str, float]] = {}
        #: answers of groups that failed later, with the time
        self._answers: dict[Call, deque[tuple[bytes, float]]] = {}
        self._claims: list[LostClaim] = []
        #: what the present group has done
        self._group: list[tuple[Call, bytes]] = []
        self._claimed: list[LostClaim] = []

    def begin(self) -> None:
        """Begin a group."""
        self._group.clear()
        self._claimed.clear()

    def done(self, call: Call, answer: bytes) -> None:
        """Note a call of the present group."""
        if len(self._group) < _MOST:
            self._group.append((call, answer))

    def end(self, *, failed: bool) -> None:
        """End the group; what a group that failed has done is kept for another try."""
        if failed:
            now = time.monotonic()
            for call, answer in self._group:
                self._answers.setdefault(call, deque(maxlen=_MOST)).append((answer, now))
            self._claims += self._claimed
        self.begin()

    def unclear(self, call: Call, key: str) -> None:
        """Note that a call may have been done."""
        self._keys[call] = key, time.monotonic()
        if len(self._keys) > _MOST:
            del self._keys[next(iter(self._keys))]

    def key(self, call: Call) -> str | None:
        """Return the key under which a call may have been done, once."""
        key, at = self._keys.pop(call, ("", 0.0))
        return key if key and time.monotonic() - at < _REMEMBER else None

    def answer(self, call: Call) -> bytes | None:
        """Return the answer of a call that was done in a group that failed, once."""
        kept = self._answers.get(call)
        if kept is None:
            return None
        answer, at = kept.popleft()
        if not kept:
            del self._answers[call]
        return answer if time.monotonic() - at < _REMEMBER else None

    # ---- claims -------------------------------------------------------------------------------

    def claimed(self, claim: LostClaim) -> None:
        """Note a claim of the present group, which is lost if the group fails."""
        self._claimed.append(claim)

    def lose(self, claim: LostClaim) -> None:
        """Note a claim whose answer has not come."""
        self._claims.append(claim)

    def lost_claim(self, whose: tuple[str, tuple[str, ...]]) -> LostClaim | None:
        """Return a claim that nobody has got, once."""
        now = time.monotonic()
        self._claims = [one for one in self._claims if now - one.at < _CLAIMED]
        for at, one in enumerate(self._claims):
            if one.whose == whose:
                return self._claims.pop(at)
        return None
