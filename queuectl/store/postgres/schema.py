"""The schema of a PostgreSQL store: made on first use, brought up to date, refused when too new.

A schema grows by what older programs can do without ("expand first"): its row tells its own
version, and the oldest program that can still work with it. So hosts of two versions work side by
side while a fleet is being upgraded, and only a change that they must know shuts older ones out.
"""

from __future__ import annotations

import psycopg

from queuectl.errors import StoreTooNew, StoreUnavailable
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from psycopg import Connection

    from queuectl.store.postgres.url import Target

#: version of the schema that this program makes and knows
SCHEMA = 2
#: the oldest version that a program may know and work with what this one makes
COMPATIBLE = 1
#: blocks of postgres.sql that bring an older schema up, by the version they lead to
MIGRATIONS = {2: "to_2"}
#: class of our advisory locks, so that they meet nobody else's
LOCKS = 0x7163746C


class SchemaFacts(Record):
    """What a connection found when it was opened."""

    #: the server's clock, ms
    clock: int
    database: str
    #: what a server and its standbys have in common, and no other server has
    system: str
    #: the process that answers is not the one that was connected to
    is_pooled: bool


def prepare(connection: Connection[Any], target: Target, blocks: Mapping[str, str]) -> SchemaFacts:
    """See that the schema is there and fits. Raises StoreTooNew, StoreUnavailable, psycopg's errors."""
    schema = quoted(target.schema)
    read = blocks["facts_of_store"].format(schema=schema)
    row = _facts(connection, read)
    if row is None or row[0] < SCHEMA:
        _build(connection, target, blocks, read)
        row = _facts(connection, read)
    if row is None:
        reason = f"the schema {target.schema} holds a table named store that is not ours"
        raise StoreUnavailable(store=target.shown, reason=reason)
    version, compatible, backend, clock, database = row
    if compatible > SCHEMA:
        raise StoreTooNew(store=target.shown, found=version, known=SCHEMA)
    pooled = backend != connection.info.backend_pid
    return SchemaFacts(clock, database, _system(connection), pooled)


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _facts(connection: Connection[Any], read: str) -> tuple[Any, ...] | None:
    """Return the store's row, or None where there is no store yet."""
    try:
        row: tuple[Any, ...] | None = connection.execute(read).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    return row


def _system(connection: Connection[Any]) -> str:
    """Return the server's system identifier, the same on every standby of it."""
    try:
        row = connection.execute(
            "SELECT system_identifier::text FROM pg_control_system()"
        ).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        row = None
    return str(row[0]) if row else f"{connection.info.host} {connection.info.port}"


def _build(
    connection: Connection[Any], target: Target, blocks: Mapping[str, str], read: str
) -> None:
    """Make the schema, or bring it up to date, while nobody else does."""
    schema = quoted(target.schema)
    try:
        with connection.transaction():
            connection.execute(
                "SELECT pg_advisory_xact_lock(%s::int, hashtext(%s))", (LOCKS, target.schema)
            )
            there = connection.execute(
                "SELECT to_regclass(%s) IS NOT NULL", (f"{schema}.store",)
            ).fetchone()
            if there and there[0]:
                _migrate(connection, schema, blocks, read)
                return
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            connection.execute(f"SET LOCAL search_path TO {schema}")
            connection.execute(blocks["schema"])
            connection.execute(
                "INSERT INTO store (version, compatible) VALUES (%s, %s)", (SCHEMA, COMPATIBLE)
            )
    except psycopg.errors.InsufficientPrivilege as error:
        reason = (
            f"its schema {target.schema} is not there or not up to date, and this role may not"
            f" change that: {str(error).partition(chr(10))[0]}"
        )
        raise StoreUnavailable(store=target.shown, reason=reason) from None


def _migrate(
    connection: Connection[Any], schema: str, blocks: Mapping[str, str], read: str
) -> None:
    """Run the migrations that an older schema lacks."""
    row = connection.execute(read).fetchone()
    found = row[0] if row else SCHEMA
    connection.execute(f"SET LOCAL search_path TO {schema}")
    for version in range(found + 1, SCHEMA + 1):
        connection.execute(blocks[MIGRATIONS[version]])
        connection.execute("UPDATE store SET version = %s", (version,))


def grants(schema: str, worker: str, enqueuer: str, blocks: Mapping[str, str]) -> str:
    """Return the statements that let a role work, and another one enqueue and read, without DDL."""
    return blocks["roles"].format(
        schema=quoted(schema), worker=quoted(worker), enqueuer=quoted(enqueuer)
    )
