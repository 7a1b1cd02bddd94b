"""Hosts that are killed, stopped and starved, in processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fifo import Gate
from tests.support.hosts import Hosts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Hosts on one store; nothing of them or of their jobs outlives the test."""
    hosts = Hosts(tmp_path)
    yield hosts
    hosts.end()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.close()
