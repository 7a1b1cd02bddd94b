"""Enqueueing: ids, names, queues, and the policy that a job takes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from queuectl.errors import EXIT_NOT_FOUND, NameTaken, NoSuchQueue
from queuectl.job import CANCELLED, PENDING, NewJob
from queuectl.store.base import Filter
from tests.support.work import (
    EXIT_0,
    EXIT_3,
    claim_one,
    job_of,
    put,
    put_many,
    run_one,
)

if TYPE_CHECKING:
    from queuectl.store.base import Store
    from tests.support.clock import Clock
    from tests.support.stores import Engine


def test_a_new_job_is_pending_and_says_what_it_was_given(store: Store, clock: Clock) -> None:
    """Everything in a NewJob comes back in the Job."""
    job_id = put(
        store, "rsync", args=("-a", "src"), name="copy", priority=7, cwd="/srv",
        env={"A": "1"}, submitter="me@box", policy={"timeout": "5m", "max-retries": "1"},
    )  # fmt: skip
    job = job_of(store, job_id)
    assert (job.command, job.args, job.shell) == ("rsync", ("-a", "src"), False)
    assert (job.name, job.priority, job.cwd, job.env) == ("copy", 7, "/srv", {"A": "1"})
    assert (job.submitter, job.queue, job.state) == ("me@box", "default", PENDING)
    assert (job.max_retries, job.policy) == (1, {"timeout": "5m"})
    assert (job.created_at, job.due_at, job.next_run_at) == (clock.now, clock.now, None)
    assert (job.attempts, job.deliveries, job.runs) == (0, 0, 0)
    assert (job.host, job.token, job.reason, job.exit_code) == (None, None, None, None)
    assert (job.started_at, job.finished_at, job.cancel_requested) == (None, None, False)


@pytest.mark.parametrize(
    ("args", "shell", "is_shell"),
    [
        (None, None, True),
        ((), None, True),
        (("a",), None, False),
        (("a",), True, True),
        (None, False, False),
    ],
)
def test_a_shell_runs_what_has_no_args_unless_told(
    store: Store, args: tuple[str, ...] | None, shell: bool | None, is_shell: bool
) -> None:
    """Rule 10: args mean an argv, `shell` overrides."""
    job = job_of(store, put(store, "echo", args=args, shell=shell))
    assert job.shell is is_shell
    assert job.args == args


def test_ids_of_a_batch_ascend_in_the_given_order(store: Store) -> None:
    """The ids of `add` belong to the jobs one by one."""
    ids = store.add([NewJob(f"echo {number}") for number in range(50)])
    assert ids == sorted(set(ids))
    assert [job_of(store, job_id).command for job_id in ids] == [f"echo {n}" for n in range(50)]


def test_an_empty_batch_adds_nothing(store: Store) -> None:
    """No jobs, no ids."""
    assert store.add([]) == []
    assert store.count(Filter()) == 0


def test_an_id_is_not_used_again_after_its_job_was_removed(store: Store) -> None:
    """Not even the newest one's, and not even in an empty store."""
    first = put_many(store, 3)
    store.remove(first)
    second = put(store)
    assert second > max(first)
    store.remove([second])
    assert put(store) > second


def test_an_id_is_not_used_again_after_its_job_was_pruned(store: Store) -> None:
    """Pruning is removing."""
    job_id = put(store)
    run_one(store)
    assert store.prune(("completed",), None) == 1
    assert put(store) > job_id


def test_ids_go_on_where_they_were_in_another_store_object(shared: Engine) -> None:
    """The number is the store's, not the process's."""
    first, second = shared.open(), shared.open()
    ids = [put(first), put(second), put(first)]
    second.remove([ids[-1]])
    assert put(second) > ids[-1]
    assert ids == sorted(set(ids))


def test_a_name_is_unique_among_jobs_that_are_not_final(store: Store) -> None:
    """The error says which job has it."""
    job_id = put(store, name="nightly")
    with pytest.raises(NameTaken, match=rf"'nightly' is taken by job {job_id}\b"):
        put(store, name="nightly")
    assert store.count(Filter()) == 1


def test_a_name_is_taken_while_its_job_waits_for_a_retry(store: Store) -> None:
    """Failed is not final."""
    put(store, name="nightly")
    run_one(store, EXIT_3)
    with pytest.raises(NameTaken):
        put(store, name="nightly")


def test_a_name_is_taken_while_its_job_is_claimed(store: Store) -> None:
    """Nor is claimed."""
    put(store, name="nightly")
    claim_one(store)
    with pytest.raises(NameTaken):
        put(store, name="nightly")


def test_a_name_is_free_again_when_its_job_is_final(store: Store) -> None:
    """Completed, cancelled and dead jobs keep their name without standing in the way."""
    completed = put(store, name="nightly")
    run_one(store, EXIT_0)
    cancelled = put(store, name="nightly")
    store.cancel([cancelled])
    dead = put(store, name="nightly", policy={"max-retries": "0"})
    run_one(store, EXIT_3)
    waiting = put(store, name="nightly")
    assert {job_of(store, i).name for i in (completed, cancelled, dead, waiting)} == {"nightly"}


def test_a_name_may_not_come_twice_in_a_batch(store: Store) -> None:
    """The whole batch is refused."""
    with pytest.raises(NameTaken, match="nightly"):
        store.add([NewJob("true", name="nightly"), NewJob("true"), NewJob("true", name="nightly")])
    assert store.count(Filter()) == 0


def test_a_queue_must_exist(store: Store) -> None:
    """The error suggests the nearest, and is exit status 3."""
    store.create_queue("video")
    with pytest.raises(NoSuchQueue, match="no queue 'vidoe'; did you mean video") as caught:
        put(store, queue="vidoe")
    assert caught.value.exit_status == EXIT_NOT_FOUND


def test_a_batch_is_enqueued_whole_or_not_at_all(store: Store) -> None:
    """A fault in the last job leaves none of the others, and nothing that they stored."""
    before = put(store, stdin=b"kept")
    with pytest.raises(NoSuchQueue):
        store.add(
            [NewJob("true", name="a", env={"A": "1"}, stdin=b"x")] + [NewJob("true", queue="nope")]
        )
    assert [job.id for job in store.jobs(Filter())] == [before]
    assert store.counts()[PENDING] == 1
    again = put(store, name="a", env={"B": "2"}, stdin=b"y")
    claims = {claim.job_id: claim for claim in store.claim("host", 5)}
    assert claims[again].env == {"B": "2"}
    assert claims[again].stdin == b"y"
    assert claims[before].stdin == b"kept"


def test_a_batch_may_go_to_several_queues(store: Store) -> None:
    """Each job goes to its own."""
    store.create_queue("video")
    ids = store.add([NewJob("true", queue=name) for name in ("video", "default", "video")])
    assert [job_of(store, job_id).queue for job_id in ids] == ["video", "default", "video"]


def test_policy_comes_from_job_then_queue_then_store_then_environment_then_default(
    engine: Engine,
) -> None:
    """Each place is looked at only when the ones before say nothing."""
    store = engine.open({"max-retries": "5", "timeout": "50s"})
    store.create_queue("slow")

    def retries(**fields: Any) -> int:
        return job_of(store, put(store, queue="slow", **fields)).max_retries

    assert retries() == 5
    store.set("max-retries", "6")
    assert retries() == 6
    store.set("max-retries", "7", "slow")
    assert retries() == 7
    assert retries(policy={"max-retries": "0"}) == 0
    store.set("max-retries", None, "slow")
    assert retries() == 6
    store.set("max-retries", None)
    assert retries() == 5
    assert job_of(store, put(store)).policy == {"timeout": "50s"}


def test_without_any_setting_a_job_has_the_default_policy(store: Store) -> None:
    """Three retries, and nothing to be kept with the job."""
    job = job_of(store, put(store))
    assert (job.max_retries, job.policy) == (3, {})


def test_a_jobs_own_policy_may_be_the_default_against_its_queues(store: Store) -> None:
    """`timeout 0s` on a job wins over the queue's, though it is the default."""
    store.set("timeout", "30s", "default")
    assert job_of(store, put(store, policy={"timeout": "0s"})).policy.get("timeout", "0s") == "0s"


def test_a_jobs_own_policy_may_be_nothing_against_its_queues(store: Store) -> None:
    """An empty hook on a job means that its queue's is not for it."""
    store.set("on-success", "notify-send done", "default")
    assert job_of(store, put(store)).policy == {"on-success": "notify-send done"}
    assert not job_of(store, put(store, policy={"on-success": ""})).policy.get("on-success")


def test_policy_is_copied_when_a_job_is_enqueued(store: Store) -> None:
    """A later setting applies to later jobs only."""
    store.set("backoff-base", "10")
    before = put(store)
    store.set("backoff-base", "0")
    store.set("max-retries", "9")
    after = put(store)
    assert job_of(store, before).policy == {"backoff-base": "10"}
    assert job_of(store, before).max_retries == 3
    assert (job_of(store, after).policy, job_of(store, after).max_retries) == (
        {"backoff-base": "0"},
        9,
    )


def test_settings_that_are_not_per_job_are_not_copied(store: Store) -> None:
    """How long to keep completed jobs is the store's affair."""
    store.set("keep-completed", "1d")
    assert job_of(store, put(store)).policy == {}


def test_a_job_for_a_later_time_is_pending_and_says_when(store: Store, clock: Clock) -> None:
    """`next_run_at` is set only while it waits."""
    job = job_of(store, put(store, due_at=clock.now + 1))
    assert (job.state, job.due_at, job.next_run_at) == (PENDING, clock.now + 1, clock.now + 1)


def test_a_time_that_has_passed_is_now(store: Store, clock: Clock) -> None:
    """Nobody jumps the queue by asking for yesterday."""
    job = job_of(store, put(store, due_at=clock.now - 5000))
    assert (job.due_at, job.next_run_at) == (clock.now, None)


def test_a_held_job_is_pending_and_says_so(store: Store) -> None:
    """It can be cancelled like any other."""
    job_id = put(store, paused=True)
    assert (job_of(store, job_id).paused, job_of(store, job_id).state) == (True, PENDING)
    store.cancel([job_id])
    assert job_of(store, job_id).state == CANCELLED


def test_equal_environments_need_not_be_the_same_object(store: Store) -> None:
    """Nor is one job's another's."""
    ids = [put(store, env={"A": "1"}), put(store, env={"A": "1"}), put(store, env={"A": "2"})]
    assert [job_of(store, job_id).env["A"] for job_id in ids] == ["1", "1", "2"]


def test_standard_input_may_be_a_file_to_be_opened_at_the_start(store: Store) -> None:
    """Its path is kept to the byte, and not its contents."""
    put(store, stdin_path="/srv/\udcff.txt")
    claim = claim_one(store)
    assert (claim.stdin, claim.stdin_path) == (None, "/srv/\udcff.txt")
    put(store, stdin=b"bytes")
    claim = claim_one(store)
    assert (claim.stdin, claim.stdin_path) == (b"bytes", None)
    put(store)
    claim = claim_one(store)
    assert (claim.stdin, claim.stdin_path) == (None, None)


def test_ten_thousand_names_are_taken_in_one_batch(store: Store) -> None:
    """In time that grows with their number and not with its square."""
    ids = store.add([NewJob("true", name=f"n{number}") for number in range(10_000)])
    assert store.id_of_name("n9999") == ids[-1]
