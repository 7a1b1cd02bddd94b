"""Several at once on one store: threads, and processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from queuectl.job import COMPLETED, PENDING
from queuectl.store import open_store
from queuectl.store.base import Filter, Settlement
from tests.support.stores import assert_counters_are_right
from tests.support.work import EXIT_0, HOST, OTHER, put, put_many

if TYPE_CHECKING:
    from queuectl.store.base import Store
    from tests.support.stores import Engine

JOBS = 2000
ROOT = str(Path(__file__).parents[2])

#: claims and settles until nothing is left, and prints the ids
_HOST_PROCESS = """
import json, sys
from queuectl.job import EXIT, Outcome
from queuectl.store import open_store
from queuectl.store.base import Settlement
store = open_store(sys.argv[1])
ids = []
print("ready", flush=True)
sys.stdin.readline()
while claims := store.claim(sys.argv[2], 7):
    ids += [claim.job_id for claim in claims]
    settled = store.settle([Settlement(c.job_id, c.token, c.run, Outcome(EXIT, 0)) for c in claims])
    assert all(one.state == "completed" for one in settled)
store.close()
print(json.dumps(ids))
"""


def _drain(store: Store, host: str, ids: list[int]) -> None:
    while claims := store.claim(host, 7):
        ids += [claim.job_id for claim in claims]
        store.settle([Settlement(c.job_id, c.token, c.run, EXIT_0) for c in claims])


def _assert_each_ran_once(store: Store, ids: list[int]) -> None:
    assert sorted(ids) == [job.id for job in store.jobs(Filter())]
    assert store.counts()[COMPLETED] == JOBS
    assert {job.runs for job in store.jobs(Filter())} == {1}
    assert_counters_are_right(store)


def test_two_threads_with_a_store_each_share_all_jobs(shared: Engine) -> None:
    """None is claimed twice and none is lost."""
    stores = [shared.open() for _ in range(2)]
    put_many(stores[0], JOBS)
    taken: list[list[int]] = [[], []]
    threads = [
        threading.Thread(target=_drain, args=(store, f"host-{number}", taken[number]))
        for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _assert_each_ran_once(stores[0], taken[0] + taken[1])


def test_two_processes_share_all_jobs(shared: Engine) -> None:
    """None is claimed twice and none is lost."""
    store = shared.open()
    put_many(store, JOBS)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _HOST_PROCESS, shared.url, host],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for host in (HOST, OTHER)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    answers = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        answers.append(json.loads(out))
    _assert_each_ran_once(store, answers[0] + answers[1])


def test_two_threads_never_exceed_a_limit(shared: Engine) -> None:
    """Counted where it is claimed, never by one host alone."""
    stores = [shared.open() for _ in range(2)]
    stores[0].create_queue("gpu", limit=3)
    put_many(stores[0], 300, queue="gpu")
    most: list[int] = []

    def drain(store: Store, host: str) -> None:
        while store.count(Filter(states=(PENDING,))):
            claims = store.claim(host, 2)
            # one read, so what it sees was so at one moment
            waiting = list(store.jobs(Filter(states=(PENDING,))))
            most.append(sum(job.host is not None for job in waiting))
            store.settle([Settlement(c.job_id, c.token, c.run, EXIT_0) for c in claims])

    threads = [
        threading.Thread(target=drain, args=(store, f"host-{number}"))
        for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].counts()[COMPLETED] == 300
    assert max(most) <= 3


def test_two_threads_enqueue_without_losing_or_mixing_ids(shared: Engine) -> None:
    """Each batch's ids are its own and ascend."""
    stores = [shared.open() for _ in range(2)]
    batches: list[tuple[str, list[int]]] = []

    def fill(store: Store, word: str) -> None:
        batches.extend((word, put_many(store, 10, submitter=word)) for _ in range(50))

    threads = [
        threading.Thread(target=fill, args=(store, f"user-{number}"))
        for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(ids == sorted(ids) for _, ids in batches)
    owners = {job_id: word for word, ids in batches for job_id in ids}
    assert {job.id: job.submitter for job in stores[0].jobs(Filter())} == owners
    assert Counter(owners.values()) == {"user-0": 500, "user-1": 500}


def test_one_settle_wins_when_two_say_how_a_claim_ended(shared: Engine) -> None:
    """A host that comes back late against the one that settled for it."""
    first, second = shared.open(), shared.open()
    put(first)
    (claim,) = first.claim(HOST, 1)
    settlement = [Settlement(claim.job_id, claim.token, claim.run, EXIT_0)]
    answers = [first.settle(settlement)[0].state, second.settle(settlement)[0].state]
    assert answers == [COMPLETED, None]


def test_what_one_store_object_caches_another_may_change(shared: Engine) -> None:
    """Environments, policies, queues and settings are never stale."""
    first, second = shared.open(), shared.open()
    put(first, env={"A": "1"}, policy={"timeout": "1s"})
    put(second, env={"A": "2"}, policy={"timeout": "2s"})
    put(first, env={"A": "2"}, policy={"timeout": "2s"})
    second.create_queue("q")
    second.set("max-retries", "8", "q")
    job_id = put(first, queue="q", env={"A": "3"})
    for store in (first, second):
        assert [job.env["A"] for job in store.jobs(Filter())] == ["1", "2", "2", "3"]
        assert [job.policy.get("timeout") for job in store.jobs(Filter())] == [
            "1s",
            "2s",
            "2s",
            None,
        ]
        job = store.get(job_id)
        assert job is not None
        assert job.max_retries == 8


def test_the_public_url_opens_the_same_store(shared: Engine, tmp_path: Path) -> None:
    """It has no secrets: what is needed beside it is given apart."""
    store = shared.open()
    put_many(store, 2)
    token = shared.url.rpartition("@")[0].rpartition("/")[2]
    given = None
    if store.public_url.startswith("http"):
        assert token
        assert token not in store.public_url
        (tmp_path / "token").write_text(token)
        (tmp_path / "token").chmod(0o600)
        given = str(tmp_path / "token")
    other = open_store(store.public_url, token_file=given)
    try:
        assert [job.id for job in other.jobs(Filter())] == [1, 2]
        assert other.public_url == store.public_url
    finally:
        other.close()


def test_a_store_in_memory_has_no_public_url() -> None:
    assert open_store("memory:").public_url == ""
