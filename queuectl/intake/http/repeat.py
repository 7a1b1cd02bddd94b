"""A request that is sent twice is done once: its answer is kept in the transaction that did it.

A client names a request with a key of its own (header Idempotency-Key, a UUID). When the answer was
lost, the same request with the same key is given the first answer, although the server, or another
one over the same store, may have been started anew since.
"""

from __future__ import annotations

import hashlib
import json
import time

from queuectl.intake.http.call import Answer, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from queuectl.intake.http.call import Call
    from queuectl.intake.http.server import Backend
    from queuectl.store.base import Store

KEY = "Idempotency-Key"
_LONGEST = 200
_PREFIX = "request/"
#: ms that answers are kept; seconds between two looks for older ones
_KEEP = 24 * 3600 * 1000
_PRUNE = 600.0


def check_key(key: str | None) -> str | None:
    """Return the key a client gave. Raises Refusal for one that cannot be kept."""
    if key is None:
        return None
    if not 0 < len(key) <= _LONGEST or not key.isascii() or not key.isprintable() or " " in key:
        raise Refusal(400, f"{KEY}: 1 to {_LONGEST} printable ASCII characters, such as a UUID")
    return key


class Repeats:
    """Answers given before. Any thread."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._pruned = time.monotonic() - _PRUNE

    def once(
        self, call: Call, key: str, change: Callable[[Store], Answer]
    ) -> Callable[[Store], Answer]:
        """Return a change that gives the kept answer where there is one, else does it and keeps it."""
        name = f"{_PREFIX}{call.role}/{key}"
        digest = _digest(call)

        def act(store: Store) -> Answer:
            kept = store.note(name)
            if kept is not None:
                return _replayed(kept, digest)
            self._prune(store)
            answer = change(store)
            if answer.kept:
                store.put_note(name, _packed(answer, digest))
            return answer

        return act

    def _prune(self, store: Store) -> None:
        now = time.monotonic()
        if now - self._pruned >= _PRUNE:
            self._pruned = now
            store.prune_notes(_PREFIX, store.now() - _KEEP)


def _digest(call: Call) -> str:
    request = call.request
    kind = request.headers.get("content-type", "")
    head = f"{request.method} {request.url.path}?{request.url.query} {kind}\n"
    return hashlib.sha256(head.encode() + (call.streamed or call.body)).hexdigest()


def _packed(answer: Answer, digest: str) -> bytes:
    head = {"digest": digest, "status": answer.status, "type": answer.media}
    return json.dumps(head).encode() + b"\n" + answer.body()


def _replayed(kept: bytes, digest: str) -> Answer:
    head, _, body = kept.partition(b"\n")
    facts = json.loads(head)
    if facts["digest"] != digest:
        raise Refusal(422, f"{KEY}: it was used for another request")
    return Answer(None, facts["status"], raw=body, media=facts["type"])
