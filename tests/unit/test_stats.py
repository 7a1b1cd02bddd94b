"""What queues have done lately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from queuectl.commands import stats
from queuectl.commands.stats import lengths, middle_and_most
from queuectl.job import CANCELLED, COMPLETED, DEAD, Job

if TYPE_CHECKING:
    from tests.support.session import Session

HOUR = 3_600_000
NOW = 100 * HOUR


def ended(ago: int, **changes: Any) -> Job:
    """Return a job that ended some ms ago, ran for 2 s and waited 1 s before."""
    end = NOW - ago
    plain = Job(
        1, None, "default", COMPLETED, "true", None, True, 0, 3, {}, "/", {}, "me@here", False, 0, end - 3000, None,
        end - 2000, end, 1, 1, 1, "exit 0", 0, False, None, None,
    )  # fmt: skip
    return plain._replace(**changes)


def test_lengths_are_of_what_ran_to_its_end() -> None:
    """Not of what was cancelled."""
    jobs = [
        ended(0),
        ended(2 * HOUR, attempts=2),
        ended(3 * HOUR, state=DEAD),
        ended(5, state=CANCELLED),
    ]
    assert lengths(jobs) == (3, (1000, 1000), (2000, 2000))
    assert lengths([]) == (0, None, None)


def test_counts_are_of_all_though_lengths_are_of_some(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, for people and for programs."""
    session.many(9)
    session.ends(0, 7)
    (one,) = session.json("stats")
    assert (one["hour"], one["day"], one["measured"], one["sampled"]) == (7, 7, 7, False)
    assert session.notes("stats") == []
    monkeypatch.setattr(stats, "RECENT", 4)
    session.ends(0, 2)
    (one,) = session.json("stats")
    assert (one["hour"], one["day"], one["measured"], one["sampled"]) == (9, 9, 4, True)
    (said,) = session.notes("stats")
    assert said.startswith("WAITED and RAN are of the 4 jobs that ended last")


@pytest.mark.parametrize(
    ("spans", "answer"),
    [([5], (5, 5)), ([1, 9], (1, 9)), ([3, 1, 2], (2, 3)), (list(range(101)), (50, 95)), ([], None)],
)  # fmt: skip
def test_middle_and_most(spans: list[int], answer: tuple[int, int] | None) -> None:
    """Half, and 95 of 100."""
    assert middle_and_most(spans) == answer


def test_stats_are_by_queue(session: Session) -> None:
    """Those in which something ended; one that is asked for in any case."""
    assert session.notes("stats") == ["nothing has ended in the last day"]
    session.result("queue create gpu")
    session.result("enqueue true")
    session.ends(0)
    (one,) = session.json("stats")
    assert (one["queue"], one["hour"], one["dead"]) == ("default", 1, 0)
    assert one["ran_p50_ms"] is not None
    assert [one["day"] for one in session.json("stats --queue gpu")] == [0]
    assert session.refused("stats --queue gpuu") == (3, "no queue 'gpuu'; did you mean gpu?")
    assert session.text("stats").split()[:3] == ["QUEUE", "HOUR", "DAY"]
