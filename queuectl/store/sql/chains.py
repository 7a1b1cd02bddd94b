"""Chains of jobs that wait for each other, read as a whole: what a job took with it, what it lacks.

Whatever their length each is one statement, which the database walks along the index of
dependencies; both engines understand it.
"""

from __future__ import annotations

from queuectl.job import CANCELLED
from queuectl.store.sql.queries import fitting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.store.sql.reads import Reads

#: in `dependency` as `d`: a row that is not met
_OPEN = "(d.met IS NULL OR d.met = 0)"
#: what `d` is on has ended, or is gone: as the dependency is not met, it never will be so
_NEVER = (
    f"{_OPEN} AND coalesce((SELECT other.lane FROM job AS other WHERE other.id = d.on_id), 4) = 4"
)
#: how the reason of a job begins whose dependency could never be met, see Dependents.follow
_BEGINS = "dependency "
#: such a job, as `job`: the reason names the other, which may have been retried since then, and have
#: completed even; or it names one of several that took it
_TAKEN = (
    "EXISTS (SELECT 1 FROM job WHERE job.id = d.job_id AND job.lane = 4"
    f" AND job.state = '{CANCELLED}' AND substr(job.reason, 1, {len(_BEGINS)}) = '{_BEGINS}'"
    f" AND ({_NEVER} OR substr(job.reason, {len(_BEGINS) + 1}, length(d.on_id || ' ')) = d.on_id || ' '))"
)
_GIVEN_UP = """\
WITH RECURSIVE gone(id) AS (
  SELECT d.job_id FROM dependency AS d WHERE {test} AND {taken}
  UNION
  SELECT d.job_id FROM gone CROSS JOIN dependency AS d WHERE d.on_id = gone.id AND {taken})
SELECT id FROM gone ORDER BY id"""
_ROOTS = f"""\
WITH RECURSIVE up(id) AS (
  SELECT d.on_id FROM dependency AS d WHERE d.job_id = ? AND {_NEVER}
  UNION
  SELECT d.on_id FROM up CROSS JOIN dependency AS d WHERE d.job_id = up.id AND {_NEVER})
SELECT id FROM up WHERE NOT EXISTS (
    SELECT 1 FROM job WHERE job.id = up.id AND job.state = '{CANCELLED}'
      AND substr(job.reason, 1, {len(_BEGINS)}) = '{_BEGINS}')
  OR NOT EXISTS (SELECT 1 FROM dependency AS d WHERE d.job_id = up.id AND {_NEVER})
ORDER BY id LIMIT ?"""


def waits(store: Reads, ids: Sequence[int]) -> list[tuple[int, int]]:
    """Return what `Store.waits` says."""
    test, value = store.among("d.job_id", ids)
    read = f"SELECT DISTINCT d.job_id, d.on_id FROM dependency AS d WHERE {test} AND {_OPEN}"
    return [(job_id, on) for job_id, on in store.rows(read, (value,))]


def given_up(store: Reads, ids: Sequence[int]) -> list[int]:
    """Return what `Store.given_up` says."""
    test, value = store.among("d.on_id", ids)
    return [row[0] for row in store.rows(_GIVEN_UP.format(test=test, taken=_TAKEN), (value,))]


def roots(store: Reads, job_id: int, most: int) -> list[int]:
    """Return what `Store.roots` says."""
    return [row[0] for row in store.rows(_ROOTS, (fitting(job_id), most))]
