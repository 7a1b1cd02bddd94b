"""The picture that the toolbar and completion are drawn from."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from queuectl.commands.context import Context
from queuectl.errors import StoreUnavailable
from queuectl.job import COMPLETED, PENDING, PROCESSING
from queuectl.shell.known import Known
from queuectl.store.sqlite.engine import MemoryStore
from tests.support.clock import Clock
from tests.support.work import claim_and_start, put, run_one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.store.base import Store


class Watcher:
    """A Known whose changes can be waited for."""

    def __init__(self, store: Store) -> None:
        self.changed = threading.Event()
        self.known = Known(Context(lambda: store, environ={}), self.changed.set)

    def wait(self) -> None:
        assert self.changed.wait(10)
        self.changed.clear()


def listed(known: Known) -> list[tuple[int, str | None, str]]:
    """Return the jobs that completion would offer."""
    return [(job.id, job.name, job.state) for job in known.jobs]


@pytest.fixture
def store() -> Store:
    return MemoryStore({}, Clock())


@pytest.fixture
def watcher(store: Store) -> Iterator[Watcher]:
    watcher = Watcher(store)
    yield watcher
    watcher.known.stop()


def test_it_sees_what_is_there_and_what_changes(store: Store, watcher: Watcher) -> None:
    put(store)
    run_one(store)
    put(store, "sleep 1", name="late")
    watcher.known.start()
    watcher.wait()
    assert watcher.known.picture.counts[PENDING] == 1
    assert watcher.known.picture.counts[COMPLETED] == 1
    assert "default" in [queue.name for queue in watcher.known.picture.queues]
    put(store)
    watcher.known.nudge()
    watcher.wait()
    assert watcher.known.picture.counts[PENDING] == 2


def test_it_lists_jobs_only_while_somebody_types(store: Store, watcher: Watcher) -> None:
    put(store, "first")
    put(store, "second", name="late")
    claim_and_start(store)
    watcher.known.start()
    watcher.wait()
    assert listed(watcher.known) == []
    watcher.known.attend()
    watcher.wait()
    assert listed(watcher.known) == [(1, None, PROCESSING), (2, "late", PENDING)]


def test_a_store_that_cannot_be_used_is_trouble_and_no_end(
    store: Store, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreUnavailable(store="x", reason="gone")

    with monkeypatch.context() as patched:
        patched.setattr(store, "counts", fail)
        watcher.known.start()
        watcher.wait()
        assert "gone" in (watcher.known.picture.trouble or "")
    watcher.known.nudge()
    watcher.wait()
    assert watcher.known.picture.trouble is None
