"""The nouns: states and which may follow which, endings in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl import job as j
from queuectl.job import FINAL, OTHER_WORDS, STATES, Job, NewJob, Outcome, may_follow

if TYPE_CHECKING:
    from queuectl.job import State

ALLOWED = {
    ("pending", "processing"), ("pending", "completed"), ("pending", "failed"),
    ("pending", "dead"), ("pending", "cancelled"),
    ("processing", "completed"), ("processing", "failed"), ("processing", "dead"),
    ("processing", "cancelled"), ("processing", "pending"),
    ("failed", "processing"), ("failed", "completed"), ("failed", "failed"), ("failed", "dead"),
    ("failed", "cancelled"),
    ("completed", "pending"), ("dead", "pending"), ("cancelled", "pending"),
}  # fmt: skip

A_JOB = Job(
    1, None, "default", "pending", "echo", None, True, 0, 3, {}, "/", {}, "", False, 0, 0, None,
    None, None, 0, 0, 0, None, None, False, None, None,
)  # fmt: skip


@pytest.mark.parametrize("after", STATES)
@pytest.mark.parametrize("before", STATES)
def test_only_the_legal_transitions_are_legal(before: State, after: State) -> None:
    """The whole table."""
    assert may_follow(before, after) == ((before, after) in ALLOWED)


def test_a_final_state_is_left_only_for_a_fresh_start() -> None:
    """When somebody asks."""
    for before in FINAL:
        assert [after for after in STATES if may_follow(before, after)] == ["pending"]


def test_every_state_is_named_once() -> None:
    """In the order people expect to read them."""
    assert STATES == ("pending", "processing", "completed", "failed", "dead", "cancelled")
    assert set(STATES) == {state for pair in ALLOWED for state in pair}


def test_words_of_other_queues_lead_to_states() -> None:
    """And no state is another's word."""
    assert set(OTHER_WORDS.values()) <= set(STATES)
    assert not set(OTHER_WORDS) & set(STATES)


@pytest.mark.parametrize("state", STATES)
def test_a_job_knows_whether_it_is_final(state: State) -> None:
    """Completed, dead and cancelled are."""
    assert A_JOB._replace(state=state).is_final == (state in ("completed", "dead", "cancelled"))


@pytest.mark.parametrize("state", STATES)
def test_a_job_that_is_being_cancelled_says_so_until_it_has_ended(state: State) -> None:
    """A request that came too late shows no more."""
    job = A_JOB._replace(state=state, cancel_requested=True)
    assert job.shown_state == (state if job.is_final else "cancelling")
    assert job._replace(cancel_requested=False).shown_state == state


@pytest.mark.parametrize(
    ("command", "args", "words"),
    [
        ("a | b", None, "a | b"),
        ("a b", (), "a b"),
        ("echo", ("a b", ""), "echo 'a b' ''"),
        ("my prog", ("x",), "'my prog' x"),
    ],
)
def test_a_command_is_shown_on_one_line(
    command: str, args: tuple[str, ...] | None, words: str
) -> None:
    """Quoted where it is an argv."""
    assert A_JOB._replace(command=command, args=args).words == words


@pytest.mark.parametrize(
    ("outcome", "reason", "succeeded"),
    [
        (Outcome(j.EXIT, 0), "exit 0", True),
        (Outcome(j.EXIT, 3), "exit 3", False),
        (Outcome(j.SIGNAL, 9), "signal 9", False),
        (Outcome(j.SIGNAL, 0), "signal 0", False),
        (Outcome(j.TIMEOUT, None, "30s"), "timeout after 30s", False),
        (Outcome(j.TIMEOUT), "timeout", False),
        (Outcome(j.CANNOT_START, None, "no such file"), "cannot start: no such file", False),
        (Outcome(j.LOST), "worker lost", False),
        (Outcome(j.LOST, None, "box rebooted"), "worker lost: box rebooted", False),
        (Outcome(j.STOPPED), "stopped", False),
        (Outcome(j.OUTPUT, None, "1MiB"), "output over 1MiB", False),
    ],
)
def test_an_ending_is_named(outcome: Outcome, reason: str, succeeded: bool) -> None:
    """Exit 0 is success and nothing else is."""
    assert (outcome.reason, outcome.succeeded) == (reason, succeeded)


def test_a_new_job_leaves_all_but_its_command_open() -> None:
    """The rest is decided when it is enqueued."""
    job = NewJob("true")
    assert (job.args, job.shell, job.queue, job.name, job.due_at) == (
        None, None, "default", None, None,
    )  # fmt: skip
    assert (job.policy, job.env, job.stdin, job.paused) == ({}, {}, None, False)
