"""What a shell may know, without a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from queuectl.job import COMPLETED, DEAD, FAILED, PENDING, PROCESSING
from queuectl.shell.known import Known, KnownJob, KnownQueue, Picture

if TYPE_CHECKING:
    from queuectl.commands.context import Context

PICTURE = Picture(
    counts={PENDING: 2, PROCESSING: 1, COMPLETED: 7, FAILED: 1, DEAD: 1},
    workers=2,
    running=1,
    queues=(KnownQueue("default", "2 pending"), KnownQueue("gpu", "paused")),
    hosts=(("0123abcd", "box, pid 5"),),
    settings={"max-retries": "7"},
    newest_id=12,
    schedules=(("nightly", "0 3 * * * Europe/Rome"), ("beat", "every 10m")),
    resources=(("gpu", "at most 2 on a host"), ("mem", "at most 24G on a host")),
)
JOBS = (
    KnownJob(3, None, PROCESSING, "sleep 60"),
    KnownJob(5, "nightly", FAILED, "make\x1b[2J all"),
    KnownJob(12, None, PENDING, "true"),
    KnownJob(11, None, PENDING, "true"),
    KnownJob(4, None, DEAD, "false"),
    KnownJob(1, None, COMPLETED, "echo hi"),
)


def something_known() -> Known:
    """Return an object whose thread was never started and that knows PICTURE and JOBS."""
    known = Known(cast("Context", None), lambda: None)
    known.picture = PICTURE
    known.jobs = JOBS
    return known
