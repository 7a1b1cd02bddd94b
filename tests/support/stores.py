"""The engines that the contract holds for. A new one joins with a class and a row in ENGINES."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

from queuectl.job import STATES
from queuectl.store.base import Filter
from queuectl.store.sqlite.engine import MemoryStore, SqliteStore
from tests.support.clock import Clock
from tests.support.postgres import new_schema, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from queuectl.intake.http.server import Solo
    from queuectl.store.base import Store
    from tests.support.http_server import Server


class Engine(ABC):
    """One place where jobs live, empty at first, with a clock for the stores opened on it."""

    #: seconds within which a listener hears of a commit; 0: before the commit returns
    delay = 0.0

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self._opened: list[Store] = []

    def open(self, local_settings: Mapping[str, str] | None = None) -> Store:
        """Open a Store object; on a shared engine a second one sees the same jobs."""
        store = self.make(local_settings or {})
        self._opened.append(store)
        return store

    @abstractmethod
    def make(self, local_settings: Mapping[str, str]) -> Store:
        """Return a Store object with this engine's clock."""

    @property
    def beneath(self) -> Store | None:
        """The store that this one is a way to, if it is."""
        return None

    @property
    @abstractmethod
    def url(self) -> str:
        """What another process opens to get at the same jobs."""

    def close(self) -> None:
        """Close every Store object that was opened."""
        for store in self._opened:
            store.close()


class SqliteEngine(Engine):
    """A database file."""

    def make(self, local_settings: Mapping[str, str]) -> Store:
        return SqliteStore(str(self.directory / "queue.db"), local_settings, self.clock)

    @property
    def url(self) -> str:
        return f"sqlite://{self.directory}/queue.db"


class MemoryEngine(Engine):
    """A store for one process; each Store object is another store."""

    def make(self, local_settings: Mapping[str, str]) -> Store:
        return MemoryStore(local_settings, self.clock)

    @property
    def url(self) -> str:
        return "memory:"


class PostgresEngine(Engine):
    """A schema of the test server. Its stores look at it whenever they are asked what changed."""

    delay = 0.5
    #: schemas that earlier tests have left, empty
    _clean: ClassVar[list[str]] = []

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.schema = self._clean.pop() if self._clean else new_schema()

    def make(self, local_settings: Mapping[str, str]) -> Store:
        from queuectl.store.postgres.engine import PostgresStore
        from queuectl.store.postgres.url import parse

        store = PostgresStore(parse(self.url, {}), local_settings, self.clock)
        store.local_directory = str(self.directory / "local")
        return store

    @property
    def url(self) -> str:
        return server().url(schema=self.schema, poll=0)

    def close(self) -> None:
        super().close()
        server().wipe(self.schema)
        self._clean.append(self.schema)


class RemoteEngine(Engine):
    """A server's database file, over HTTP. Calls in one transaction are not one, see RemoteStore."""

    delay = 5.0

    #: servers that nobody uses now: to start and stop one takes longer than most tests
    _idle: ClassVar[list[tuple[Server, Solo]]] = []

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._backing: Store | None = None
        self._server: tuple[Server, Solo] | None = None

    def make(self, local_settings: Mapping[str, str]) -> Store:
        from queuectl.store.remote.engine import remote_store

        if self._backing is None:
            # as for any store, it is the environment of who adds jobs: here the server's
            path = str(self.directory / "queue.db")
            self._backing = SqliteStore(path, local_settings, self.clock)
        local = str(self.directory / f"local{len(self._opened)}")
        return remote_store(self.url, local_settings, directory=local, clock_age=0)

    @property
    def url(self) -> str:
        if self._server is None:
            assert self._backing is not None
            self._server = self._idle.pop() if self._idle else self._new(self._backing)
            self._server[1].store = self._backing
        return self._server[0].with_token()

    @property
    def beneath(self) -> Store | None:
        """The server's own."""
        return self._backing

    @staticmethod
    def _new(store: Store) -> tuple[Server, Solo]:
        from queuectl.intake.http.server import Solo
        from tests.support.http_server import Server

        solo = Solo(store)
        return Server(store, solo), solo

    def close(self) -> None:
        super().close()
        if self._server is not None:
            server, solo = self._server
            assert not server.errors, server.errors
            solo.store = _nothing()
            self._idle.append(self._server)
        if self._backing is not None:
            self._backing.close()


@cache
def _nothing() -> Store:
    """Return a store for servers that nobody uses."""
    return MemoryStore({})


#: every engine, by name
ENGINES: dict[str, Callable[[Path], Engine]] = {
    "sqlite": SqliteEngine,
    "memory": MemoryEngine,
    "postgres": PostgresEngine,
    "remote": RemoteEngine,
}
#: those whose jobs several Store objects can see, in one process or in many
SHARED = ("sqlite", "postgres", "remote")


def quick_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a directory in memory if there is one: these tests are not about power loss.

    What is kept there is synced thousands of times, and a disk would make the tests wait for it.
    """
    memory = "/dev/shm"
    return tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)


_WRITES = frozenset(
    "add claim start settle release lose cancel retry remove prune wish take_wishes create_queue"
    " pause_queue set register renew forget ask_stop".split()
)


class _Watched:
    """A store that is recounted after every write."""

    def __init__(self, store: Store, counted: Store) -> None:
        self._store = store
        self._counted = counted
        self._inside = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in _WRITES:
            return found

        def write(*args: object, **named: object) -> object:
            try:
                return found(*args, **named)
            finally:
                self._recount()

        return write

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._inside += 1
        try:
            with self._store.transaction():
                yield
        finally:
            self._inside -= 1
            self._recount()

    def _recount(self) -> None:
        if not self._inside:
            assert_counters_are_right(self._counted)


def watched(store: Store, counted: Store | None = None) -> Store:
    """Return the store, with its counters compared to its jobs after every write.

    `counted` has the same jobs and is quicker to count them.
    """
    return cast("Store", _Watched(store, counted or store))


def assert_counters_are_right(store: Store) -> None:
    """Compare what the counters say with the jobs that are there."""
    rows: dict[tuple[str, str], int] = {}
    for job in store.jobs(Filter()):
        rows[job.queue, job.state] = rows.get((job.queue, job.state), 0) + 1
    counted = {
        (queue.name, state): jobs
        for queue in store.queues()
        for state, jobs in queue.counts.items()
        if jobs
    }
    assert counted == rows
    for state in STATES:
        in_all_queues = sum(jobs for (_, name), jobs in rows.items() if name == state)
        assert store.counts()[state] == in_all_queues
        assert store.count(Filter(states=(state,))) == in_all_queues
