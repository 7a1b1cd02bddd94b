"""Exported jobs put back; backups; the look at the store's own health."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from queuectl.errors import IdTaken, NameTaken, Refused
from queuectl.job import CANCELLED, COMPLETED, FAILED, PENDING, After, Array, NewJob, Output
from queuectl.store import open_store
from queuectl.store.base import Filter, Saved
from tests.support.work import (
    EXIT_0,
    EXIT_3,
    claim_all,
    claim_and_start,
    claim_one,
    job_of,
    put,
    run_one,
    settle,
)

if TYPE_CHECKING:
    from pathlib import Path

    from queuectl.store.base import Store
    from tests.support.clock import Clock


def saved(store: Store, job_id: int) -> Saved:
    """Return a job as an export has it."""
    attempts = tuple(store.attempts(job_id))
    found = [(attempt.run, store.output(job_id, attempt.run)) for attempt in attempts]
    stdin, path = store.payload(job_id)
    return Saved(
        job_of(store, job_id), attempts, tuple((run, out) for run, out in found if out is not None),
        tuple(store.dependencies(job_id)), stdin, path,
    )  # fmt: skip


def taken_out(store: Store, *ids: int) -> list[Saved]:
    """Return jobs as an export has them, and remove them."""
    found = [saved(store, job_id) for job_id in ids]
    assert all(change.done for change in store.remove(ids))
    return found


def test_a_payload_can_be_read(store: Store) -> None:
    """Bytes, a path, or neither."""
    ids = [put(store, stdin=b"\x00\xff"), put(store, stdin_path="/x/\udcff"), put(store)]
    assert [store.payload(job_id) for job_id in ids] == [
        (b"\x00\xff", None), (None, "/x/\udcff"), (None, None),
    ]  # fmt: skip
    assert store.payload(99) == (None, None)


def test_a_job_comes_back_with_everything(store: Store) -> None:
    """As if it had never been away."""
    store.create_queue("q")
    output = Output(b"out\xff", b"", None, 4, 0)
    job_id = put(
        store, "cat \udcff", args=("a b", ""), queue="q", name="n", priority=4, stdin=b"in",
        env={"A": "\udcfe"}, policy={"timeout": "1m", "max-retries": "0"}, cwd="/srv",
        submitter="me@box", message="m", unique="k", needs={"slots": 1}, schedule="s",
        array=Array("x", 3, 2),
    )  # fmt: skip
    settle(store, claim_and_start(store), EXIT_3._replace(output=output, message="no"))
    before = saved(store, job_id)
    store.restore(taken_out(store, job_id))
    assert saved(store, job_id) == before
    assert store.output(job_id, 1) == output
    assert put(store) > job_id


def test_waiting_jobs_wait_again_in_their_place(store: Store, clock: Clock) -> None:
    """By priority and due time; held ones held, later ones later."""
    ids = [put(store), put(store, priority=3), put(store, paused=True),
           put(store, due_at=clock.now + 1000)]  # fmt: skip
    store.restore(taken_out(store, *ids))
    assert claim_all(store) == [ids[1], ids[0]]
    clock.advance(1000)
    assert claim_all(store) == [ids[3]]
    assert job_of(store, ids[2]).paused


def test_what_was_running_waits(store: Store) -> None:
    """Its attempt is over and not counted."""
    job_id = put(store)
    claim = claim_and_start(store)
    running = saved(store, job_id)
    settle(store, claim)
    store.remove([job_id])
    store.restore([running])
    job = job_of(store, job_id)
    assert (job.state, job.attempts, job.token, job.host) == (PENDING, 0, None, None)
    (attempt,) = store.attempts(job_id)
    assert (attempt.kind, attempt.finished_at) == ("stopped", store.now())
    assert claim_one(store).run == 2


def test_a_failed_job_goes_on_with_its_retries(store: Store, clock: Clock) -> None:
    """When it is due."""
    job_id = put(store)
    run_one(store, EXIT_3)
    store.restore(taken_out(store, job_id))
    job = job_of(store, job_id)
    assert (job.state, job.attempts, job.next_run_at) == (FAILED, 1, clock.now + 2000)
    clock.advance(2000)
    assert claim_all(store) == [job_id]


def test_queues_are_created_and_an_old_name_is_no_hindrance(store: Store) -> None:
    """A final job's name may be taken by now."""
    store.create_queue("gone")
    job_id = put(store, queue="gone", name="n", unique="k")
    run_one(store)
    found = taken_out(store, job_id)
    store.remove_queue("gone")
    put(store, name="n", unique="k")
    store.restore(found)
    assert job_of(store, job_id).queue == "gone"


def test_ids_names_and_keys_that_are_taken_are_refused_whole(store: Store) -> None:
    """Nothing of the batch is there then."""
    free = put(store)
    named, keyed = put(store, name="n"), put(store, unique="k")
    gone = taken_out(store, free, named, keyed)
    put(store, name="n")
    put(store, unique="k")
    there = store.count(Filter())
    with pytest.raises(NameTaken):
        store.restore([gone[0], gone[1]])
    with pytest.raises(Refused, match="unique key"):
        store.restore([gone[0], gone[2]])
    store.restore(gone[:1])
    with pytest.raises(IdTaken):
        store.restore(gone[:1])
    assert store.count(Filter()) == there + 1


def test_dependencies_come_back_in_any_order(store: Store) -> None:
    """Those on what has ended by now are decided."""
    ids = store.add(
        [
            NewJob("a", name="a", policy={"max-retries": "0"}),
            NewJob("b", name="b", after=(After("a"),)),
            NewJob("c", after=(After("b"), After("a", "ended"))),
        ]
    )
    before = [saved(store, job_id) for job_id in ids]
    store.remove(ids[::-1])
    store.restore([before[2], before[1]])
    assert store.claim("host", 9) == []
    store.restore([before[0]])
    assert [saved(store, job_id) for job_id in ids] == before
    run_one(store, EXIT_0)
    assert claim_all(store) == [ids[1]]


def test_one_that_ended_elsewhere_decides_when_it_comes_back(store: Store) -> None:
    """Its dependents were restored before."""
    first = put(store)
    second = put(store, after=(After(first),))
    waiting = saved(store, second)
    run_one(store)
    ended = saved(store, first)
    store.remove([second, first])
    store.restore([waiting])
    store.restore([ended])
    assert (job_of(store, first).state, job_of(store, second).unmet) == (COMPLETED, 0)
    assert claim_all(store) == [second]


def test_final_jobs_stay_final_and_can_be_pruned(store: Store, clock: Clock) -> None:
    """By when they finished."""
    ids = [put(store), put(store)]
    store.cancel(ids[:1])
    run_one(store)
    clock.advance(5000)
    store.restore(taken_out(store, *ids))
    assert [job_of(store, job_id).state for job_id in ids] == [CANCELLED, COMPLETED]
    assert store.prune((COMPLETED, CANCELLED), clock.now) == 2


# ---- keeping -----------------------------------------------------------------------------------


def test_a_backup_is_a_store_or_the_engine_says_how_it_is_done(
    store: Store, directory: Path
) -> None:
    """Private, whole, and never in the place of something else."""
    ids = [put(store, "echo one"), put(store)]
    run_one(store)
    path = directory / "copy.db"
    try:
        store.backup(str(path))
    except Refused:
        return
    put(store)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [name.name for name in directory.glob("copy*")] == ["copy.db"]
    copy = open_store(str(path))
    assert [job.id for job in copy.jobs(Filter())] == ids
    assert (copy.get(ids[0]), copy.attempts(ids[0])) == (
        job_of(store, ids[0]),
        store.attempts(ids[0]),
    )
    copy.close()
    before = path.read_bytes()
    with pytest.raises(Refused, match="is there already"):
        store.backup(str(path))
    with pytest.raises(Refused, match="cannot write"):
        store.backup(str(directory / "no" / "copy.db"))
    assert path.read_bytes() == before


def test_a_healthy_store_has_nothing_to_complain_of(store: Store) -> None:
    """Every check has a topic and a text."""
    put(store)
    found = store.checks()
    assert found
    assert [check for check in found if not (check.ok and check.topic and check.text)] == []
