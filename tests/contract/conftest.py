"""One empty store of every engine; the tests beside this file say what it must do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.remote import OTHERWISE
from tests.support.stores import ENGINES, SHARED, quick_directory, watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.store.base import Store
    from tests.support.clock import Clock
    from tests.support.stores import Engine


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory for what an engine keeps."""
    with quick_directory() as name:
        yield Path(name)


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest, directory: Path) -> Iterator[Engine]:
    """Every engine in turn."""
    _skip_what_is_otherwise(request)
    made = ENGINES[request.param](directory)
    yield made
    made.close()


@pytest.fixture(params=SHARED)
def shared(request: pytest.FixtureRequest, directory: Path) -> Iterator[Engine]:
    """Every engine on which several Store objects can be opened, in turn."""
    _skip_what_is_otherwise(request)
    made = ENGINES[request.param](directory)
    yield made
    made.close()


def _skip_what_is_otherwise(request: pytest.FixtureRequest) -> None:
    why = OTHERWISE.get(request.node.originalname) if request.param == "remote" else None
    if why:
        pytest.skip(why)


@pytest.fixture
def store(engine: Engine) -> Store:
    """An empty store whose counters are compared with its jobs after every write."""
    store = engine.open()
    return watched(store, engine.beneath)


@pytest.fixture
def clock(engine: Engine) -> Clock:
    """The clock that `store` goes by."""
    return engine.clock
