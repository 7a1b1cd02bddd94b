"""Takes back the claims of hosts that no file on this machine tells of, once their lease has ended.

Such hosts are clients of the Python API and whoever works over HTTP. Nothing is known of them but
what the store says: what had started counts as lost, what had not as a delivery only.
"""

from __future__ import annotations

from queuectl.job import LOST, Outcome
from queuectl.store.base import Settlement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from queuectl.store.base import Store


def recover_expired(store: Store, call: Callable[[Callable[[Store], Any]], Any]) -> int:
    """Recover every host that has let its own lease run out; return how many claims that were.

    `call` runs a write where this process writes. A host that has renewed in between is left.
    """
    done = 0
    for host_id in store.expired():
        done += call(lambda store, host_id=host_id: _take_back(store, host_id))  # type: ignore[misc]
    return done


def _take_back(store: Store, host_id: str) -> int:
    with store.transaction():
        if host_id not in store.expired():
            return 0
        held = store.held_by(host_id)
        for claim in held:
            if claim.started_at is None:
                store.lose([(claim.job_id, claim.token)])
            else:
                outcome = Outcome(LOST, started_at=claim.started_at, finished_at=store.now())
                store.settle([Settlement(claim.job_id, claim.token, claim.run, outcome)])
        store.forget(host_id)
        return len(held)
