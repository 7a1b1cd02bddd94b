"""What is written when a job's life takes a turn; and how bytes are packed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl import job as j
from queuectl.job import NewJob, Outcome, may_follow
from queuectl.store.rules import (
    DONE,
    HELD,
    LATER,
    READY,
    Facts,
    Turn,
    give_back,
    lane_of,
    lose,
    pack_pairs,
    pack_words,
    policy_of,
    settle,
    unpack_pairs,
    unpack_words,
)

NOW = 1_000_000
#: an attempt that runs, with retries left
RUNNING = Facts(
    state="processing", attempts=1, deliveries=1, max_retries=3, due_at=NOW - 500,
    cancel_requested=0, paused=False, lane=3,
)  # fmt: skip
#: a claim that has not been started
CLAIMED = RUNNING._replace(state="pending", attempts=0)
OUTCOMES = {
    j.EXIT: Outcome(j.EXIT, 1),
    j.SIGNAL: Outcome(j.SIGNAL, 9),
    j.TIMEOUT: Outcome(j.TIMEOUT, 9, "3s"),
    j.CANNOT_START: Outcome(j.CANNOT_START, None, "x"),
    j.LOST: Outcome(j.LOST),
    j.OUTPUT: Outcome(j.OUTPUT, None, "1MiB"),
}


@pytest.mark.parametrize(
    ("due_at", "paused", "lane"),
    [(NOW, False, READY), (NOW - 1, False, READY), (NOW + 1, False, LATER), (NOW, True, HELD),
     (NOW + 1, True, HELD)],
)  # fmt: skip
def test_a_job_that_waits_stands_in_the_lane_of_its_time(
    due_at: int, paused: bool, lane: int
) -> None:
    """Held comes before all."""
    assert lane_of(due_at, NOW, paused=paused) == lane


@pytest.mark.parametrize("facts", [RUNNING, CLAIMED])
@pytest.mark.parametrize("cancel", [0, 1])
def test_exit_0_completes(facts: Facts, cancel: int) -> None:
    """Cancelled meanwhile or not."""
    turn = settle(facts._replace(cancel_requested=cancel), Outcome(j.EXIT, 0), {}, NOW, 0.5)
    assert turn == Turn("completed", DONE, NOW - 500, None, 1, NOW, "exit 0")


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
@pytest.mark.parametrize("facts", [RUNNING, CLAIMED])
def test_a_failure_waits_for_its_retry(facts: Facts, outcome: Outcome) -> None:
    """The attempt is counted once, whether its start was known or not."""
    turn = settle(facts, outcome, {}, NOW, 0.5)
    assert turn == Turn("failed", LATER, NOW + 2000, NOW + 2000, 1, None, outcome.reason)


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
def test_a_failure_without_a_retry_left_is_buried(outcome: Outcome) -> None:
    """With its reason."""
    turn = settle(RUNNING._replace(attempts=4), outcome, {}, NOW, 0.5)
    assert turn == Turn("dead", DONE, NOW - 500, None, 4, NOW, outcome.reason)


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
def test_a_cancelled_failure_is_cancelled(outcome: Outcome) -> None:
    """Retries left or not."""
    for attempts in (1, 4):
        facts = RUNNING._replace(cancel_requested=1, attempts=attempts)
        turn = settle(facts, outcome, {}, NOW, 0.5)
        assert turn == Turn("cancelled", DONE, NOW - 500, None, attempts, NOW, outcome.reason)


def test_a_jobs_own_line_stands_behind_the_reason() -> None:
    """It knows best what went wrong."""
    turn = settle(RUNNING, Outcome(j.EXIT, 4, message="disk on fire"), {}, NOW, 0.5)
    assert turn.reason == "exit 4: disk on fire"


def test_a_held_failure_is_held() -> None:
    """It knows when it would have been due."""
    turn = settle(RUNNING._replace(paused=True), Outcome(j.EXIT, 1), {}, NOW, 0.5)
    assert (turn.state, turn.lane, turn.due_at) == ("failed", HELD, NOW + 2000)


def test_a_failure_that_need_not_wait_is_ready() -> None:
    """Base 0 is at once."""
    turn = settle(RUNNING, Outcome(j.EXIT, 1), {"backoff-base": "0"}, NOW, 0.5)
    assert (turn.lane, turn.due_at) == (READY, NOW)


def test_too_many_deliveries_bury_a_failure() -> None:
    """Both reasons are said."""
    turn = settle(RUNNING._replace(deliveries=7), Outcome(j.EXIT, 1), {}, NOW, 0.5)
    assert (turn.state, turn.reason) == ("dead", "exit 1 (claimed 7 times without an end)")


@pytest.mark.parametrize(
    ("facts", "state", "attempts"),
    [
        (CLAIMED, "pending", 0),
        (CLAIMED._replace(state="failed", attempts=2), "failed", 2),
        (CLAIMED._replace(state="pending", attempts=2), "pending", 2),
        (RUNNING, "pending", 0),
        (RUNNING._replace(attempts=3), "failed", 2),
    ],
)
def test_what_is_given_back_goes_where_it_was(facts: Facts, state: str, attempts: int) -> None:
    """Due since the same time; nothing is said about an end."""
    assert give_back(facts, NOW) == Turn(state, READY, NOW - 500, None, attempts, None, None)  # type: ignore[arg-type]
    assert give_back(facts._replace(paused=True), NOW).lane == HELD


def test_a_cancelled_job_is_not_given_back() -> None:
    """Nobody else shall get it."""
    for way in (give_back, lose):
        turn = way(CLAIMED._replace(cancel_requested=1, deliveries=99), NOW)
        assert turn == Turn("cancelled", DONE, NOW - 500, None, 0, NOW, "cancelled")


def test_a_lost_claim_goes_back_until_it_has_been_lost_too_often() -> None:
    """Then it is buried."""
    assert lose(CLAIMED._replace(deliveries=6), NOW) == give_back(CLAIMED, NOW)
    turn = lose(CLAIMED._replace(deliveries=7), NOW)
    assert turn == Turn("dead", DONE, NOW - 500, None, 0, NOW, "claimed 7 times without an end")


_facts = st.builds(
    Facts,
    state=st.sampled_from(["pending", "failed"]),
    attempts=st.integers(0, 5),
    deliveries=st.integers(1, 12),
    max_retries=st.integers(0, 4),
    due_at=st.integers(0, 2 * NOW),
    cancel_requested=st.integers(0, 1),
    paused=st.booleans(),
    lane=st.just(3),
)
_outcomes = st.sampled_from([*OUTCOMES.values(), Outcome(j.EXIT, 0), Outcome(j.STOPPED)])


@given(_facts, st.booleans(), _outcomes)
def test_every_turn_is_legal_and_whole(facts: Facts, started: bool, outcome: Outcome) -> None:
    """States follow the table; final is done; what waits has a time."""
    if started:
        facts = facts._replace(state="processing", attempts=facts.attempts + 1)
    for turn in (settle(facts, outcome, {}, NOW, 0.5), give_back(facts, NOW), lose(facts, NOW)):
        assert turn.state == facts.state or may_follow(facts.state, turn.state)
        is_final = turn.state in j.FINAL
        assert (turn.lane == DONE) == is_final == (turn.finished_at is not None)
        assert turn.attempts >= 0
        assert turn.next_run_at in (None, turn.due_at)
        if is_final:
            assert turn.reason


# ---- policy ------------------------------------------------------------------------------------


def test_policy_is_looked_for_in_four_places() -> None:
    """Every combination of places that have a value; the first of them wins."""
    for places in itertools.product([False, True], repeat=4):
        values = [{"timeout": f"{number}m"} if has else {} for number, has in enumerate(places, 1)]
        job, queue, store, local = values
        policy = policy_of(NewJob("x", policy=job), queue, store, local)
        first = next((number for number, has in enumerate(places, 1) if has), None)
        assert policy.get("timeout") == (f"{first}m" if first else None)


def test_what_equals_the_default_is_left_out_but_not_the_retries() -> None:
    """They have a column of their own."""
    assert policy_of(NewJob("x", policy={"backoff-base": "2"}), {}, {}, {}) == {"max-retries": "3"}


def test_settings_that_are_not_per_job_are_left_out() -> None:
    """Wherever they come from."""
    given = {"keep-completed": "1d", "on-idle": "x"}
    assert policy_of(NewJob("x"), given, given, given) == {"max-retries": "3"}


# ---- bytes -------------------------------------------------------------------------------------

#: what a program may be given: any bytes but NUL
_words = st.binary(max_size=12).map(
    lambda data: data.replace(b"\0", b"").decode(errors="surrogateescape")
)
_names = _words.map(lambda word: word.replace("=", ""))


@given(st.lists(_words))
def test_packed_words_come_back(words: list[str]) -> None:
    """Empty ones, in order."""
    assert unpack_words(pack_words(tuple(words))) == tuple(words)


def test_no_words_are_not_an_empty_list_of_words() -> None:
    """None is a command line."""
    assert (pack_words(None), unpack_words(None)) == (None, None)
    assert (pack_words(()), unpack_words(b"")) == (b"", ())
    assert pack_words(("", "")) == b"\0\0"


@given(st.dictionaries(_names, _words))
def test_packed_pairs_come_back(pairs: dict[str, str]) -> None:
    """An equals sign may be in a value."""
    assert unpack_pairs(pack_pairs(pairs)) == pairs


@given(st.dictionaries(_names, _words, min_size=2))
def test_equal_pairs_are_packed_alike(pairs: dict[str, str]) -> None:
    """In whatever order they come, so each set is stored once."""
    assert pack_pairs(dict(reversed(pairs.items()))) == pack_pairs(pairs)


def test_pairs_are_packed_as_an_environment() -> None:
    """The form of environ(7)."""
    assert pack_pairs({"B": "2=3", "A": ""}) == b"A=\0B=2=3\0"
    assert pack_pairs({}) == b""
