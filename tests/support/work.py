"""Short ways to put a job into a store and lead it through its life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from queuectl.job import EXIT, STOPPED, NewJob, Outcome
from queuectl.store.base import HostInfo, Settlement, Start

if TYPE_CHECKING:
    from queuectl.job import Claim, Job
    from queuectl.store.base import Settled, Store

HOST = "host-a"
OTHER = "host-b"
EXIT_0 = Outcome(EXIT, 0)
EXIT_3 = Outcome(EXIT, 3)
GIVEN_BACK = Outcome(STOPPED)


def put(store: Store, command: str = "true", **fields: Any) -> int:
    """Enqueue one job; return its id."""
    return store.add([NewJob(command, **fields)])[0]


def put_many(store: Store, jobs: int, **fields: Any) -> list[int]:
    """Enqueue so many jobs alike; return their ids."""
    return store.add([NewJob("true", **fields)] * jobs)


def job_of(store: Store, job_id: int) -> Job:
    """Return a job that must be there."""
    job = store.get(job_id)
    assert job is not None
    return job


def claim_one(store: Store, host: str = HOST) -> Claim:
    """Claim the best job, which must be there."""
    (claim,) = store.claim(host, 1)
    return claim


def claim_all(store: Store, **how: Any) -> list[int]:
    """Claim until nothing is left; return the ids in the order of the claims."""
    ids: list[int] = []
    while found := store.claim(HOST, 100, **how):
        ids += [claim.job_id for claim in found]
    return ids


def start(store: Store, claim: Claim) -> bool:
    """Record that a claim's process runs."""
    return store.start([Start(claim.job_id, claim.token, claim.run, store.now())])[0]


def settle(store: Store, claim: Claim, outcome: Outcome = EXIT_0) -> Settled:
    """Record how a claim ended."""
    return store.settle([Settlement(claim.job_id, claim.token, claim.run, outcome)])[0]


def claim_and_start(store: Store, host: str = HOST) -> Claim:
    """Claim the best job and record its start."""
    claim = claim_one(store, host)
    assert start(store, claim)
    return claim


def run_one(store: Store, outcome: Outcome = EXIT_0) -> Settled:
    """Claim, start and settle the best job."""
    return settle(store, claim_and_start(store), outcome)


def release(store: Store, claim: Claim) -> int:
    """Give a claim back; return how many were taken back."""
    return store.release([(claim.job_id, claim.token)])


def lose(store: Store, claim: Claim) -> Settled:
    """Take a claim back from a lost host."""
    return store.lose([(claim.job_id, claim.token)])[0]


def a_host(host_id: str = HOST, started_at: int = 0, **fields: Any) -> HostInfo:
    """Return a host's row."""
    return HostInfo(
        host_id, "box", "me", 4321, "0.1.0", 2, fields.pop("queues", ()), started_at, started_at,
        **fields,
    )  # fmt: skip


def ahead_of(store: Store, job_id: int, most: int = 1000) -> int:
    """Return how many ready jobs stand before one, counting to `most`."""
    return sum(jobs for _, jobs in store.line(job_id, most))
