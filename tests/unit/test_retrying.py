"""`retry` of jobs that wait for each other, and what `why` advises."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from queuectl.commands import acting
from queuectl.job import After, NewJob

if TYPE_CHECKING:
    from tests.support.session import Session

CANCELLED = "`retry 1 --dependents` runs that again, with what was cancelled because of it"


def chain(session: Session, jobs: int = 3) -> None:
    """Let job 1 die, for which 2 waits, for which 3 waits, and so on."""
    session.result("enqueue --max-retries 0 false")
    for job_id in range(2, jobs + 1):
        session.result(f"enqueue --after {job_id - 1} true")
    session.ends(1)


def states(session: Session) -> str:
    return " ".join(session.job(job_id).state for job_id in range(1, session.store.newest_id() + 1))  # type: ignore[operator]


@pytest.mark.parametrize(
    "line", ["retry 3 2 1", "retry 1-3", "retry 3,1-2", "retry dead,cancelled", "retry 1-3 --exit 1 --state dead --dependents",
             "retry 1 --dependents", "dlq retry 1 --dependents", "dlq retry all --dependents", "retry all --dependents"],
)  # fmt: skip
def test_a_chain_goes_on_whole(session: Session, line: str) -> None:
    """However it is selected."""
    chain(session)
    result = session.result(line)
    assert (result.exit_code, list(result.notes)) == (0, [])
    assert states(session) == "pending pending pending"


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_a_graph_goes_on_whole_across_batches(
    session: Session, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Its ids are in no order."""
    place = list(range(2, 41))
    random.Random(1).shuffle(place)
    names = {0: "j0", **{one: f"j{at}" for one, at in enumerate(place, 1)}}
    jobs = [
        NewJob("true", name=names[one], policy={"max-retries": "0"},
               after=(After(names[random.Random(one).randrange(one)]),) if one else ())
        for one in range(40)
    ]  # fmt: skip
    random.Random(2).shuffle(jobs)
    session.store.add(jobs)
    session.ends(1)
    monkeypatch.setattr(acting, "BATCH", batch)
    assert session.text("retry 1-40") == "40 jobs to be run again\n"
    assert set(states(session).split()) == {"pending"}


def test_what_cannot_go_on_is_counted_and_told(session: Session) -> None:
    """Also of a range or a filter: one line, exit status 1; as JSON each of them."""
    chain(session)
    for line in ("retry 2-3", "retry cancelled", "retry 3 2"):
        result = session.result(line)
        assert result.exit_code == 1
        assert list(result.notes) == [
            f"2 jobs still wait for what can never be: job 2 waits for job 1, which is dead; {CANCELLED}"
        ]
        assert sorted(session.json(line)["refused"]) == [
            "job 2 waits for job 1, which is dead", "job 3 waits for job 2, which is cancelled",
        ]  # fmt: skip
    assert session.notes("retry 3") == [f"job 3 waits for job 2, which is cancelled; {CANCELLED}"]
    assert states(session) == "dead cancelled cancelled"


def test_what_is_in_another_state_is_skipped_as_before(session: Session) -> None:
    """Silently where it is not written out."""
    chain(session)
    session.result("enqueue true")
    result = session.result("retry 1-4")
    assert (result.exit_code, list(result.notes)) == (0, [])


def test_dependents_are_told_in_the_answer(session: Session) -> None:
    """Not those that somebody cancelled, nor are they retried without the flag."""
    chain(session)
    session.result("enqueue --after 1 true")
    assert session.json("retry all") == {"changed": [{"id": 1, "state": "pending"}], "refused": []}
    session.result("cancel 1")
    answer = session.json("retry 1 --dependents")
    assert [one["id"] for one in answer["changed"]] == [1, 2, 3, 4]
    assert answer["dependents"] == [2, 3, 4]
    session.result("cancel 3")
    session.ends(1)
    assert session.text("retry 1 --dependents") == (
        "job 1 starts afresh\njob 2 starts afresh\njob 4 starts afresh\n"
        "of these 2 had been cancelled because of others\n"
    )


# ---- why -----------------------------------------------------------------------------------------


def test_why_names_the_root_and_what_helps(session: Session) -> None:
    """The advice works."""
    chain(session)
    assert session.text("why 2 3") == (
        f"job 2 is cancelled (dependency 1 is dead); {CANCELLED}\n"
        f"job 3 is cancelled (dependency 2 is cancelled, as job 1 is dead); {CANCELLED}\n"
    )
    assert session.text("why 3") == session.text("why 2 3").splitlines(keepends=True)[1]
    session.result("retry 1 --dependents")
    assert states(session) == "pending pending pending"


def test_the_root_of_a_long_chain_is_named(session: Session) -> None:
    """Of all of them at once too, and with reads that do not grow with its length."""
    jobs = [NewJob("true", policy={"max-retries": "0"}, after=(After(f"c{at - 1}"),) if at else (), name=f"c{at}")
            for at in range(2000)]  # fmt: skip
    session.store.add(jobs)
    session.ends(1)
    assert "as job 1 is dead" in session.text("why c1999")
    lines = session.text("why cancelled").splitlines()
    assert sum(CANCELLED in line for line in lines) == 1999


def test_when_the_root_was_retried_the_rest_is_named(session: Session) -> None:
    """What is nearest to it lets the others go on."""
    chain(session)
    session.result("retry 1")
    assert session.text("why 2") == "job 2 is cancelled (dependency 1 is dead); `retry 2` runs it again\n"  # fmt: skip
    assert "`retry 2 --dependents`" in session.text("why 3")
    session.result("retry 2 --dependents")
    assert states(session) == "pending pending pending"


def test_why_names_several_roots(session: Session) -> None:
    """All of them are to be retried."""
    for _ in range(5):
        session.result("enqueue --max-retries 0 false")
    session.result("enqueue --after 1-5 true")
    session.ends(1, 5)
    said = session.text("why 6")
    assert "as job 1 is dead, job 2 is dead, job 3 is dead and 2 more" in said
    assert "`retry 1,2,3,4,5 --dependents` runs those again" in said
    session.result("retry 1,2,3,4,5 --dependents")
    assert session.job(6).state == "pending"


def test_what_is_gone_cannot_be_retried_and_what_helps_is_said(session: Session) -> None:
    """It works too."""
    session.result("enqueue true")
    session.result("enqueue --after 1 true")
    session.result("enqueue --after 2 true")
    session.result("remove 1")
    said = "job 1 is gone: `edit 2 --after none` and `retry 2 --dependents` do without it"
    assert said in session.text("why 3")
    session.result("edit 2 --after none")
    session.result("retry 2 --dependents")
    assert (session.job(2).state, session.job(3).state) == ("pending", "pending")


def test_a_job_that_keeps_waiting_is_advised_likewise(session: Session) -> None:
    """Where what it waits for was cancelled itself."""
    session.result("enqueue --max-retries 0 false")
    session.result("enqueue --after 1 true")
    session.result("enqueue --after 2 --keep-waiting true")
    session.ends(1)
    said = f"so that this can never be; {CANCELLED}, `cancel 3` gives it up"
    assert said in session.text("why 3")
    assert said in session.text("status 3")
