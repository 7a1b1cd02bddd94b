"""The look at a PostgreSQL store's own health: server, connection, standby, dead rows, clock, notices."""

from __future__ import annotations

import time

import psycopg

from queuectl.errors import QueuectlError
from queuectl.store.base import Check
from queuectl.store.postgres.connections import SQL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.store.postgres.engine import PostgresStore

#: ms that an answer takes, and clocks may differ, before it is worth a word
_SLOW, _APART = 100.0, 2000
#: dead rows in a table, and their share, that hold up claims
_DEAD_ROWS, _DEAD_SHARE = 50_000, 0.5
#: seconds that a transaction of anybody may be open: rows that died since then cannot be cleared away
_LONG = 600


def checks(store: PostgresStore) -> list[Check]:
    """Look at everything that can be seen from a connection, see Store.checks."""
    found: list[Check] = []
    for look in (_server, _latency, _clock, _dead_rows, _transactions, _notices):
        try:
            found += look(store)
        except (psycopg.Error, QueuectlError) as error:
            found.append(Check(look.__name__.strip("_"), ok=False, text=str(error)))
            break
    return found


def _server(store: PostgresStore) -> Iterator[Check]:
    ((version, standby, read_only, sync),) = store.rows(SQL["check_server"])
    yield Check("postgresql", ok=True, text=f"PostgreSQL {version}, schema {store.target.schema}")
    text = "takes writes"
    if standby:
        text = "is a standby, which takes no writes: name the primary too, host=one,other"
    elif read_only == "on":
        text = "transactions are read-only by default (default_transaction_read_only)"
    yield Check("writes", ok=not standby and read_only != "on", text=text)
    kept = sync != "off"
    text = f"synchronous_commit is {sync}"
    if not kept:
        text += ": a crash of the server loses jobs that were acknowledged just before"
    yield Check("durability", ok=kept, text=text)


def _latency(store: PostgresStore) -> Iterator[Check]:
    took = []
    for _ in range(5):
        began = time.monotonic()
        store.rows("SELECT 1")
        took.append((time.monotonic() - began) * 1000)
    best = min(took)
    yield Check("latency", ok=best < _SLOW, text=f"{best:.1f} ms for an answer")


def _clock(store: PostgresStore) -> Iterator[Check]:
    ((there,),) = store.rows(SQL["clock"])
    apart = int(there) - time.time_ns() // 1_000_000
    text = f"this machine's clock is {abs(apart) / 1000:.1f} s {'behind' if apart > 0 else 'ahead'}"
    yield Check("clock", ok=abs(apart) < _APART, text=f"{text}; the store goes by the server's")


def _dead_rows(store: PostgresStore) -> Iterator[Check]:
    rows = store.rows(SQL["check_dead"], (store.target.schema,))
    bad = [
        f"{dead:,} in {table}"
        for table, live, dead in rows
        if dead > _DEAD_ROWS and dead > _DEAD_SHARE * (live + dead)
    ]
    text = "few" if not bad else ", ".join(bad) + ": vacuuming does not keep up"
    yield Check("dead rows", ok=not bad, text=text)


def _transactions(store: PostgresStore) -> Iterator[Check]:
    rows = store.rows(SQL["check_transactions"], (_LONG,))
    text = "none open for long"
    if rows:
        pid, user, seconds = rows[0]
        text = (
            f"one of {user or '?'} (process {pid}) has been open for {seconds} s: claims grow slow"
        )
    yield Check("transactions", ok=not rows, text=text)


def _notices(store: PostgresStore) -> Iterator[Check]:
    from queuectl.store.postgres.listen import PostgresListener

    before, ring = store.host_id, store.ring
    try:
        listener = PostgresListener(store)
        hears = listener.hears
        listener.close()
    finally:
        store.host_id, store.ring = before, ring
    if hears:
        yield Check("notices", ok=True, text="LISTEN works")
        return
    text = "LISTEN does not work here"
    if store.is_pooled:
        text += ", as behind PgBouncer in transaction mode"
    yield Check("notices", ok=True, text=f"{text}: hosts look every second instead")
