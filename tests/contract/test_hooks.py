"""Hooks: jobs that follow from how another job ended, added with its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.job import CANCELLED, FAILED, PENDING, Outcome
from queuectl.store.base import Filter
from tests.support.work import (
    EXIT_0,
    EXIT_3,
    GIVEN_BACK,
    claim_and_start,
    claim_one,
    job_of,
    lose,
    put,
    release,
    run_one,
    settle,
)

if TYPE_CHECKING:
    from queuectl.job import Job
    from queuectl.store.base import Store

HOOKED = {"on-success": "yes", "on-failure": "no", "on-dead": "buried", "max-retries": "1",
          "backoff-base": "0"}  # fmt: skip


def hooks_in(store: Store) -> list[Job]:
    """Return the jobs of the queue of hooks."""
    return list(store.jobs(Filter(queues=("hooks",))))


def ended(outcome: Outcome, store: Store) -> Outcome:
    """Return the outcome of a process that did start."""
    return outcome._replace(started_at=store.now())


def test_a_completed_job_adds_its_success_hook(store: Store) -> None:
    """With what it is about in its environment."""
    job_id = put(store, "make", name="n", env={"A": "1"}, cwd="/srv", policy=HOOKED)
    run_one(store, ended(EXIT_0, store))
    (hook,) = hooks_in(store)
    assert (hook.command, hook.state, hook.cwd, hook.shell) == ("yes", PENDING, "/srv", True)
    assert hook.env["A"] == "1"
    assert hook.env["QUEUECTL_HOOK_JOB_ID"] == str(job_id)
    assert hook.env["QUEUECTL_HOOK_EVENT"] == "success"
    assert hook.env["QUEUECTL_HOOK_REASON"] == "exit 0"
    assert hook.env["QUEUECTL_HOOK_COMMAND"] == "make"


def test_each_failed_attempt_and_the_burial_add_their_hooks(store: Store) -> None:
    """In order."""
    put(store, policy=HOOKED)
    for _ in range(2):
        (claim,) = store.claim("host", 1, ("default",))
        settle(store, claim, ended(EXIT_3, store))
    assert [hook.command for hook in hooks_in(store)] == ["no", "no", "buried"]


def test_what_is_given_back_or_cancelled_adds_no_hook(store: Store) -> None:
    """Nothing has ended by itself."""
    put(store, policy=HOOKED)
    settle(store, claim_and_start(store), GIVEN_BACK)
    release(store, claim_and_start(store))
    lose(store, claim_one(store))
    claim = claim_and_start(store)
    store.cancel([1])
    assert settle(store, claim, EXIT_3).state == CANCELLED
    assert hooks_in(store) == []


def test_a_refused_settle_adds_no_hook(store: Store) -> None:
    """It is not an end."""
    put(store, policy=HOOKED)
    claim = claim_and_start(store)
    settle(store, claim, ended(EXIT_0, store))
    settle(store, claim, ended(EXIT_0, store))
    assert len(hooks_in(store)) == 1


def test_a_hook_has_no_hooks(store: Store) -> None:
    """Else they would never end."""
    store.set("on-success", "again")
    put(store)
    run_one(store)
    assert run_one(store).state == "completed"
    assert len(hooks_in(store)) == 1


def test_hooks_are_undone_with_the_settle_that_added_them(store: Store) -> None:
    """One transaction: neither lost nor run twice."""
    put(store, policy=HOOKED)
    claim = claim_and_start(store)
    with pytest.raises(KeyError), store.transaction():
        settle(store, claim, ended(EXIT_0, store))
        raise KeyError
    assert hooks_in(store) == []
    settle(store, claim, ended(EXIT_0, store))
    assert len(hooks_in(store)) == 1


def test_a_hook_is_told_in_strange_bytes_too(store: Store) -> None:
    """What the job was and said is kept to the byte."""
    put(store, "\udcff", policy=HOOKED)
    run_one(store, ended(EXIT_3, store)._replace(message="b\udcffd"))
    (hook,) = hooks_in(store)
    assert hook.env["QUEUECTL_HOOK_COMMAND"] == "\udcff"
    assert hook.env["QUEUECTL_HOOK_MESSAGE"] == "b\udcffd"


def test_the_idle_hook_is_added_when_nothing_is_left(store: Store) -> None:
    """After the last end, not before, and once."""
    store.set("on-idle", "poweroff")
    put(store)
    put(store)
    run_one(store)
    assert hooks_in(store) == []
    run_one(store)
    assert [hook.command for hook in hooks_in(store)] == ["poweroff"]
    run_one(store)
    assert len(hooks_in(store)) == 1


def test_a_job_that_waits_for_a_retry_is_something_left(store: Store) -> None:
    """The idle hook waits for it."""
    store.set("on-idle", "poweroff")
    put(store)
    assert run_one(store, EXIT_3).state == FAILED
    assert hooks_in(store) == []


def test_the_retry_rules_of_a_job_hold(store: Store) -> None:
    """`no-retry-on` buries at once; `retry-on` spares only what it names."""
    put(store, policy={"no-retry-on": "3"})
    assert run_one(store, EXIT_3).state == "dead"
    put(store, policy={"retry-on": "4"})
    assert run_one(store, EXIT_3).state == "dead"
    put(store, policy={"retry-on": "3"})
    assert run_one(store, EXIT_3).state == FAILED
    assert job_of(store, 1).reason == "exit 3 (in no-retry-on)"
