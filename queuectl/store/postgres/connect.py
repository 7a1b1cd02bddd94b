"""Connections to PostgreSQL: opening one, what is said to it first, and naming what is wrong.

psycopg is imported here and in the modules above, which are imported for a postgresql:// URL only.
"""

from __future__ import annotations

import logging

import psycopg
from psycopg.types.numeric import Int8BinaryDumper

from queuectl.errors import (
    Refused,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreUnavailable,
    UsageError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from psycopg import Connection

    from queuectl.store.postgres.url import Target

# what it warns of is told by our errors; without a handler it would be printed into the shell
logging.getLogger("psycopg").addHandler(logging.NullHandler())

#: how long a statement waits for a lock that another transaction holds
LOCK_SECONDS = 15
#: after which the server ends a transaction whose process has stopped in the middle of it
IDLE_SECONDS = 60
#: PostgreSQL before this lacks what the store needs (gen_random_uuid without an extension)
OLDEST = 130000
#: psycopg's errors that waiting does not mend: mistakes of ours, or of who gave the values
_MISTAKES = (
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    psycopg.InterfaceError,
    psycopg.DataError,
    psycopg.NotSupportedError,
)
# SQLSTATEs, appendix A of PostgreSQL's manual
#: a serialization failure, a deadlock: doing the same again can succeed
_CONFLICTS = frozenset(("40001", "40P01"))
_TAKEN = "23505"
#: indexes that stop a second job of the same name that another transaction has just added
_NAMES = frozenset(("job_open_name", "job_open_unique"))
_WAITED_TOO_LONG = frozenset(("55P03", "57014"))
_NO_SPACE = frozenset(("53100",))
_READ_ONLY = "25006"
_NOT_ALLOWED = "42501"
_NO_TABLE = frozenset(("42P01", "3F000"))
_DAMAGED = frozenset(("XX001", "XX002"))
_ABORTED = "25P02"


class Conflict(StoreBusy):
    """the store {store} is busy: others changed the same jobs at the same moment; try again"""  # noqa: D400, D415 - it is the message


class _Int(Int8BinaryDumper):
    """Every whole number is a bigint, so that a statement is prepared once and not per size."""


class _Bool(Int8BinaryDumper):
    """Truth is kept as 0 and 1, as SQLite keeps it."""

    def dump(self, obj: Any) -> Any:
        return super().dump(int(obj))


def connect(target: Target) -> Connection[Any]:
    """Open a connection in autocommit mode. Raises StoreUnavailable, with one line and no secrets.

    UsageError for a parameter in the URL that nobody knows.
    """
    try:
        connection = psycopg.connect(target.conninfo, autocommit=True)
    except psycopg.Error as error:
        _, unknown, name = str(error).partition("invalid URI query parameter: ")
        if unknown:
            from queuectl.store.postgres.url import unknown_parameter

            raise UsageError(unknown_parameter(name.strip().strip('"'))) from None
        raise StoreUnavailable(store=target.shown, reason=in_one_line(error, target)) from None
    try:
        adapters = connection.adapters
        adapters.register_dumper(int, _Int)
        adapters.register_dumper(bool, _Bool)
        if not target.prepare:
            connection.prepare_threshold = None
        _refuse_old(connection, target)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_old(connection: Connection[Any], target: Target) -> None:
    version = connection.info.server_version
    if version < OLDEST:
        reason = f"PostgreSQL {version // 10000} is too old, 13 is the oldest that works"
        raise StoreUnavailable(store=target.shown, reason=reason)


def manners(schema: str, *, local: bool) -> str:
    """Return what is said to a connection first; `local`: at the head of every transaction.

    A plan made while a table was small must not walk over it when it is large, so that a walk over
    a whole table is chosen only where there is no index.
    """
    scope = "LOCAL " if local else ""
    return "; ".join(
        f"SET {scope}{name} TO {value}"
        for name, value in (
            ("search_path", f'"{schema}", pg_catalog'),
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
            ("jit", "off"),
            ("client_min_messages", "warning"),
            ("lock_timeout", f"'{LOCK_SECONDS}s'"),
            ("idle_in_transaction_session_timeout", f"'{IDLE_SECONDS}s'"),
        )
    )


def is_lost(error: BaseException) -> bool:
    """Whether an error means that the connection is gone, or as good as gone."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    state = error.sqlstate or ""
    return not state or state.startswith(("08", "57P")) or state == _READ_ONLY


def translate(error: psycopg.Error, target: Target) -> Exception:
    """Return our error for one of psycopg's; one that tells of a mistake of ours is left as it is."""
    state, store = error.sqlstate or "", target.shown
    if state in _CONFLICTS or (state == _TAKEN and error.diag.constraint_name in _NAMES):
        return Conflict(store=store)
    if state in _WAITED_TOO_LONG:
        return StoreBusy(store=store, seconds=LOCK_SECONDS)
    if state in _NO_SPACE:
        return StoreFull(store=store)
    if state == _READ_ONLY:
        return StoreUnavailable(store=store, reason="the server is read-only, a standby perhaps")
    if state == _ABORTED:
        reason = "an earlier error undid the transaction"
        return StoreUnavailable(store=store, reason=reason)
    if state == _NOT_ALLOWED:
        return Refused(f"the store {store} does not allow that to this role: {_first_line(error)}")
    if state in _NO_TABLE:
        reason = f"the schema {target.schema} is not as it was: {_first_line(error)}"
        return StoreUnavailable(store=store, reason=reason)
    if state in _DAMAGED:
        return StoreCorrupt(store=store, reason=_first_line(error))
    if isinstance(error, _MISTAKES):
        return error
    return StoreUnavailable(store=store, reason=in_one_line(error, target))


def in_one_line(error: BaseException, target: Target) -> str:
    """Return what an error says on one line, a password in it hidden."""
    text = " ".join(str(error).split()) or type(error).__name__
    # libpq names every address it tried, one after the other
    text = text.removeprefix("connection failed: ").partition(" Multiple connection attempts")[0]
    if target.secret and len(target.secret) > 2:
        from urllib.parse import quote

        for secret in (target.secret, quote(target.secret, safe="")):
            text = text.replace(secret, "***")
    return text


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
