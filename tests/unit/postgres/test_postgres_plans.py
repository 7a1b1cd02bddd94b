"""What a claim and a settle read of a large store, as PostgreSQL itself counts it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.job import EXIT, NewJob, Outcome
from queuectl.store.base import Settlement
from queuectl.store.postgres.engine import PostgresStore
from queuectl.store.postgres.url import parse
from tests.support.postgres import new_schema, server

if TYPE_CHECKING:
    from collections.abc import Iterator

#: half of a million each: those that wait, and those that are done
JOBS = 500_000
BATCH = 20
#: pages of 8 KiB that one job's claim or settle may touch, indexes and all
PAGES_PER_JOB = 60

_FILL = """
INSERT INTO job (id, queue, track, lane, state, priority, due_at, command, shell, cwd, environment,
  policy, max_retries, submitter, created_at, finished_at)
SELECT nextval('job_id'), queue, track, %(lane)s, %(state)s, 0, 1000 + n, command, shell, cwd,
  environment, policy, max_retries, submitter, created_at, 1000 + n
FROM job AS model, generate_series(1, %(jobs)s) AS n WHERE model.id = %(model)s
"""


class _Explained(PostgresStore):
    """A store that has the server explain what it is asked, while it is recorded."""

    plans: list[dict[str, Any]]
    recording = False

    def _send(self, statements: Any) -> Any:
        if not self.recording:
            return super()._send(statements)
        answers = []
        for text, values in statements:
            if text.startswith(("SELECT", "WITH", "UPDATE", "INSERT", "DELETE")):
                # said first in a savepoint that is undone: then it is done
                self.writer.execute("SAVEPOINT explained")
                row = self.writer.execute(
                    f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", values or None
                ).fetchone()
                self.writer.execute("ROLLBACK TO explained; RELEASE explained")
                assert row is not None
                self.plans.append({"text": text, **row[0][0]["Plan"]})
            answers += super()._send([(text, values)])
        return answers


def _rows(plan: dict[str, Any]) -> float:
    """Return the rows that scans of tables brought up, what was filtered out counted too."""
    own = 0.0
    if "Scan" in plan["Node Type"] and "Relation Name" in plan:
        out = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        own = (plan["Actual Rows"] + out) * plan["Actual Loops"]
    return own + sum(_rows(child) for child in plan.get("Plans", ()))


def _pages(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.fixture(scope="module")
def store() -> Iterator[_Explained]:
    schema = new_schema()
    store = _Explained(parse(server().url(schema=schema), {}), {})
    store.plans = []
    (model,) = store.add([NewJob("true", paused=True)])
    for queue in ("default", "paused"):
        store.create_queue(queue)
    with store.transaction():
        for lane, state in ((0, "pending"), (4, "completed")):
            store.writer.execute(
                _FILL, {"lane": lane, "state": state, "jobs": JOBS, "model": model}
            )
    yield store
    store.close()
    server().drop(schema)


def _explain(store: _Explained, analyze: bool) -> tuple[float, int]:
    """Return rows and pages for each job of a batch that is claimed and settled."""
    if analyze:
        server().execute(f'ANALYZE "{store.target.schema}".job_open')
        server().execute(f'ANALYZE "{store.target.schema}".job_done')
    store.plans.clear()
    store.recording = True
    try:
        claims = store.claim("host", BATCH)
        assert len(claims) == BATCH
        store.settle([Settlement(c.job_id, c.token, c.run, Outcome(EXIT, 0)) for c in claims])
    finally:
        store.recording = False
    return (
        sum(map(_rows, store.plans)) / BATCH,
        sum(map(_pages, store.plans)) // BATCH,
    )


@pytest.mark.parametrize("analyze", [False, True], ids=["as filled", "analyzed"])
def test_a_claim_reads_a_few_rows_for_each_job(store: _Explained, analyze: bool) -> None:
    """However many wait, and however many are done; also before the server has looked at them."""
    for _ in range(3):
        rows, pages = _explain(store, analyze)
    worst = sorted(store.plans, key=_rows)[-1]
    assert rows <= 8, json.dumps(worst, indent=1)
    assert pages <= PAGES_PER_JOB
