"""Drains no-op jobs with other queues on PostgreSQL; run by the Python of an environment that has them.

`python postgres_rivals.py NAME fill URL JOBS` makes their tables and enqueues; `NAME drain URL`
works until nothing is left and prints when it began and ended, on CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

#: jobs that one claim takes, as pgqueuer's own benchmark has it
BATCH = 100
#: coroutines that work at once in a process of procrastinate
CONCURRENCY = 20


def _procrastinate(url: str) -> tuple[Any, Any]:
    import procrastinate  # type: ignore[import-not-found]

    # it warns of apps in a main module, whose tasks this one names itself
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

    @app.task(name="noop")  # type: ignore[untyped-decorator]
    async def noop() -> None:
        pass

    return app, noop


async def _fill_procrastinate(url: str, jobs: int) -> None:
    app, noop = _procrastinate(url)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for _ in range(0, jobs, 1000):
            await noop.batch_defer_async(*[{}] * 1000)


async def _drain_procrastinate(url: str) -> None:
    app, _ = _procrastinate(url)
    async with app.open_async():
        await app.run_worker_async(
            wait=False, concurrency=CONCURRENCY, install_signal_handlers=False, listen_notify=False
        )


async def _pgqueuer(url: str) -> Any:
    import asyncpg  # type: ignore[import-not-found]
    from pgqueuer import PgQueuer  # type: ignore[import-not-found]
    from pgqueuer.db import AsyncpgDriver  # type: ignore[import-not-found]

    return PgQueuer(AsyncpgDriver(await asyncpg.connect(url)))


async def _fill_pgqueuer(url: str, jobs: int) -> None:
    queuer = await _pgqueuer(url)
    await queuer.queries.install()
    for _ in range(0, jobs, 1000):
        await queuer.queries.enqueue(["noop"] * 1000, [None] * 1000, [0] * 1000)


async def _drain_pgqueuer(url: str) -> None:
    from pgqueuer.domain.types import QueueExecutionMode  # type: ignore[import-not-found]

    queuer = await _pgqueuer(url)

    @queuer.entrypoint("noop")  # type: ignore[untyped-decorator]
    async def noop(_: object) -> None:
        pass

    await queuer.run(batch_size=BATCH, mode=QueueExecutionMode.drain)


def main() -> None:
    """Do what the command line says."""
    name, what, url = sys.argv[1:4]
    if what == "fill":
        asyncio.run(globals()[f"_fill_{name}"](url, int(sys.argv[4])))
        return
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    asyncio.run(globals()[f"_drain_{name}"](url))
    print(json.dumps([began, time.monotonic()]))


if __name__ == "__main__":
    main()
