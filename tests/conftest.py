"""Profiles of hypothesis: the same quick examples for everybody, or many new ones; stores on a server.

`HYPOTHESIS_PROFILE=thorough` looks for an hour or so where the default looks for seconds.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.backend import drop_stores

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile(
    "quick",
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough",
    max_examples=5000,
    stateful_step_count=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(autouse=True)
def _no_store_stays() -> Iterator[None]:
    """Stores that a test had on the PostgreSQL server go with it."""
    yield
    drop_stores()
