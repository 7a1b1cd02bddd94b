"""Bringing the schema of an older database up, after a copy of it has been put beside it.

One transaction: a crash leaves the old schema, and of two processes that come at once one does it
and the other finds it done.
"""

from __future__ import annotations

import os
import sqlite3

from queuectl.store.sqlite.checks import copy_to
from queuectl.store.sqlite.file import SCHEMA, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def bring_up(connection: sqlite3.Connection, path: str, blocks: Mapping[str, str]) -> None:
    """Make the schema the present one: by the blocks `to_2`, `to_3` …, in order.

    What the database was before stays as `PATH.schema-N`, or `.schema-N.2` where that name is taken.
    Processes of the older version that have it open go on: a schema grows by what they can do
    without. Raises StoreUnavailable and its kin; then there is no copy either.
    """
    with translated(path):
        connection.execute("BEGIN IMMEDIATE")
        copy = None
        try:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found < SCHEMA:
                copy = _keep_old(path, f"{path}.schema-{found}")
            for version in range(found + 1, SCHEMA + 1):
                for statement in blocks[f"to_{version}"].split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            if copy is not None:
                os.unlink(copy)
            raise


def _keep_old(path: str, name: str) -> str:
    """Copy the database to a file that is not there yet; return its path. Raises StoreFull, Refused."""
    names = (name, *(f"{name}.{number}" for number in range(2, 100)))
    copy = next((one for one in names if not os.path.lexists(one)), name)
    # readers see what is committed, which the transaction that is open here keeps from changing
    reader = sqlite3.connect(path, isolation_level=None)
    try:
        copy_to(reader, copy, path)
    finally:
        reader.close()
    return copy
