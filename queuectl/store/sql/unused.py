"""Environments and policies that no job has any more: found now and then, and deleted.

Whoever enqueues marks what it takes up with the day (`SqlStore.intern`), in the transaction of its
jobs, and keeps an id in memory for that day only. So what nobody has marked for some days, and no
job has, nobody is about to give to a job: not even one whose clock is a day behind.
"""

from __future__ import annotations

from queuectl.timespec import DAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queuectl.store.sql.reads import Reads
    from queuectl.store.sql.sqlstore import SqlStore

#: days that one stays without a job
DAYS = 3
TABLES = ("environment", "policy")
#: rows deleted in one transaction
_PIECE = 500


def find(store: Reads) -> dict[str, list[int]]:
    """Return what `Store.unused` says. Rows without a mark are an older version's, and stay."""
    found = {}
    before = store.now() // DAY - DAYS
    for table in TABLES:
        old = store.rows(
            f"SELECT id FROM {table} WHERE used_day BETWEEN 1 AND ?"
            f" AND id < (SELECT max(id) FROM {table})",
            (before,),
        )
        if old:
            used = {row for (row,) in store.rows(f"SELECT DISTINCT {table} FROM job")}
            found[table] = [row for (row,) in old if row not in used]
    return {table: rows for table, rows in found.items() if rows}


def drop(store: SqlStore, found: Mapping[str, Sequence[int]]) -> int:
    """Do what `Store.drop_unused` says."""
    gone = 0
    before = store.now() // DAY - DAYS
    for table in TABLES:
        rows = found.get(table, ())
        for first in range(0, len(rows), _PIECE):
            some = rows[first : first + _PIECE]
            marks = ", ".join("?" * len(some))
            with store.transaction():
                gone += store.run(
                    f"DELETE FROM {table} WHERE id IN ({marks}) AND used_day BETWEEN 1 AND ?"
                    f" AND id < (SELECT max(id) FROM {table})",
                    (*some, before),
                ).rowcount
    return gone
