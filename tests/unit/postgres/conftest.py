"""A PostgreSQL store for each test that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.postgres import new_schema, open_schema, server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.store.postgres.engine import PostgresStore


@pytest.fixture
def schema() -> Iterator[str]:
    """A schema that is not there yet, and goes after the test."""
    name = new_schema()
    yield name
    server().drop(name)


@pytest.fixture
def store(schema: str) -> Iterator[PostgresStore]:
    """A store in it, by the server's clock."""
    made = open_schema(schema)
    yield made
    made.close()
