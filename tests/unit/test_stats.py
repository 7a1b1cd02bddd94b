"""What queues have done lately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from queuectl.commands.stats import middle_and_most, summary
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


def test_a_summary_counts_and_measures() -> None:
    """The last hour, the last day; not what was cancelled or is older."""
    jobs = [
        ended(0),
        ended(2 * HOUR, attempts=2),
        ended(3 * HOUR, state=DEAD),
        ended(30 * HOUR),
        ended(5, state=CANCELLED),
    ]
    one = summary(jobs, NOW)
    assert (one.hour, one.day, one.dead, one.retried) == (1, 3, 1, 1)
    assert (one.waited, one.ran) == ((1000, 1000), (2000, 2000))
    assert summary([], NOW).ran is None


@pytest.mark.parametrize(
    ("lengths", "answer"),
    [([5], (5, 5)), ([1, 9], (1, 9)), ([3, 1, 2], (2, 3)), (list(range(101)), (50, 95)), ([], None)],
)  # fmt: skip
def test_middle_and_most(lengths: list[int], answer: tuple[int, int] | None) -> None:
    """Half, and 95 of 100."""
    assert middle_and_most(lengths) == answer


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
