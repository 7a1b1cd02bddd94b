"""Which store the tests use that run whole processes: a SQLite file, or a schema of the test server.

`QUEUECTL_TEST_STORE=postgres` has every `Cli`, `Shell` and `Hosts` use PostgreSQL, where a test does
not say itself what it wants: a user must not be able to tell the two apart.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SQLITE, POSTGRES = "sqlite", "postgres"
#: what tests use that do not say
DEFAULT = os.environ.get("QUEUECTL_TEST_STORE", SQLITE)
#: seconds of a lease, if not said otherwise
_LEASE = 30
_made: set[str] = set()
#: for tests of what only one of them has: a database file, hosts without a front
sqlite_only = pytest.mark.skipif(
    DEFAULT != SQLITE, reason="about a SQLite file, or a host without a front"
)


def store_url(directory: Path, kind: str = DEFAULT) -> str | None:
    """Return the URL of a directory's store, always the same; None: the default of its state directory."""
    if kind == SQLITE:
        return None
    from tests.support.postgres import server

    schema = f"test_{sha256(os.fsencode(directory)).hexdigest()[:12]}"
    _made.add(schema)
    return server().url(schema=schema, lease=_LEASE)


def drop_stores() -> None:
    """Delete what the tests so far have made on the server."""
    if _made:
        from tests.support.postgres import server

        while _made:
            server().drop(_made.pop())
