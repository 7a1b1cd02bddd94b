"""A command line on a store of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cli import Cli
from tests.support.worker import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Return queuectl on an empty store."""
    return Cli(tmp_path)


@pytest.fixture
def workers(cli: Cli) -> Iterator[Workers]:
    """Return a way to start workers, which are gone at the end."""
    with Workers(cli) as started:
        yield started
