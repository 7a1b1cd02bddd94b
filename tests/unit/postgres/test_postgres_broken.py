"""Connections of a PostgreSQL store that break: nothing is lost, nothing is done twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from queuectl.errors import StoreUnavailable
from queuectl.job import PENDING
from queuectl.store import open_store
from queuectl.store.base import Filter
from queuectl.store.postgres.engine import PostgresStore
from queuectl.store.postgres.url import parse
from tests.support.postgres import Server, server, terminate
from tests.support.work import HOST, put, put_many

# ---- broken connections ------------------------------------------------------------------------


def test_a_connection_that_broke_while_idle_is_replaced(store: PostgresStore) -> None:
    """Nobody notices, whether they write, read or begin a group."""
    for act in (lambda: put(store), store.counts, lambda: store.claim(HOST, 1)):
        terminate(store.writer)
        act()
    terminate(store.writer)
    with store.transaction():
        put(store)
        put(store)
    assert store.counts()[PENDING] == 3


def test_nothing_but_our_own_errors_is_printed_when_connections_break(schema: str) -> None:
    """Psycopg warns by `logging`, which without a handler prints into the shell."""
    script = (
        "import os, socket, sys\n"
        "from queuectl.job import NewJob\n"
        "from queuectl.store import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "with store.transaction():\n"
        "    store.add([NewJob('true')])\n"
        "    socket.socket(fileno=os.dup(store.writer.fileno())).shutdown(socket.SHUT_RDWR)\n"
        "    store.add([NewJob('true')])\n"
    )
    words = [sys.executable, "-c", script, server().url(schema=schema)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1].startswith("queuectl.errors.StoreUnavailable")
    assert "psycopg" not in done.stderr.partition("Traceback")[0]


def test_a_connection_that_breaks_in_a_group_undoes_it(store: PostgresStore) -> None:
    """It is said, and the next call connects anew."""
    with pytest.raises(StoreUnavailable), store.transaction():
        put(store)
        terminate(store.writer)
        put(store)
    assert store.counts()[PENDING] == 0
    assert put(store) > 0


def test_a_group_whose_error_was_swallowed_is_not_committed(store: PostgresStore) -> None:
    """Half of it would be worse than nothing."""
    with pytest.raises(StoreUnavailable), store.transaction():
        put(store)
        terminate(store.writer)
        with pytest.raises(StoreUnavailable):
            put(store)
    assert store.counts()[PENDING] == 0


class _Breaking(PostgresStore):
    """Loses its connection at the next COMMIT, before or after it is sent."""

    breaks: str | None = None

    def _send(self, statements: Any) -> Any:
        if self.breaks is None or statements[-1][0] != "COMMIT":
            return super()._send(statements)
        when, self.breaks = self.breaks, None
        if when == "after":
            super()._send(statements)
        elif when == "between":
            super()._send(statements[:-1])
        terminate(self.writer)
        raise psycopg.OperationalError("the connection was lost")


def _breaking(schema: str) -> _Breaking:
    return _Breaking(parse(server().url(schema=schema), {}), {})


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_a_write_whose_commit_broke_happens_once(schema: str, when: str) -> None:
    """Whether it arrived or not."""
    store = _breaking(schema)
    store.breaks = when
    put_many(store, 3)
    assert store.breaks is None
    assert store.counts()[PENDING] == 3
    store.close()


@pytest.mark.parametrize(("when", "claimed"), [("before", 0), ("after", 2)])
def test_a_group_whose_commit_broke_says_what_became_of_it(
    schema: str, when: str, claimed: int
) -> None:
    """Committed: as if nothing had been; not committed: an error."""
    store = _breaking(schema)
    put_many(store, 2)
    store.breaks = when
    if claimed:
        with store.transaction():
            claims = store.claim(HOST, 5)
        assert len(claims) == claimed
    else:
        with pytest.raises(StoreUnavailable, match="before the commit"), store.transaction():
            store.claim(HOST, 5)
    assert len(store.held_by(HOST)) == claimed
    store.close()


def test_claims_of_which_nobody_heard_are_given_back(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The COMMIT arrived, but the server did not answer for long after."""
    store = _breaking(schema)
    put_many(store, 2)
    store.breaks = "after"
    connect = PostgresStore.connect
    monkeypatch.setattr("queuectl.store.postgres.base.ASK_SECONDS", 0.0)

    def refuse(_: object) -> Any:
        raise StoreUnavailable(store="it", reason="is away")

    monkeypatch.setattr(PostgresStore, "connect", refuse)
    with pytest.raises(StoreUnavailable, match="is not known"), store.transaction():
        store.claim(HOST, 5)
    monkeypatch.setattr(PostgresStore, "connect", connect)
    assert len(store.claim(HOST, 5)) == 2
    assert {job.deliveries for job in store.jobs(Filter())} == {1}
    store.close()


def test_a_store_survives_the_restart_of_its_server() -> None:
    """Jobs that were acknowledged are there, also after a crash; waiting for them is enough."""
    own = Server(on_disk=True)
    try:
        store = open_store(own.url())
        listener = store.listener(HOST)
        for how in (signal.SIGINT, signal.SIGQUIT):
            put(store)
            own.stop(how)
            with pytest.raises(StoreUnavailable) as caught:
                put(store)
            assert "\n" not in str(caught.value)
            own.start()
            put(store)
        assert store.counts()[PENDING] == 4
        listener.close()
        store.close()
    finally:
        own.close()


def test_a_server_that_takes_no_writes_is_unavailable(store: PostgresStore, schema: str) -> None:
    """As a standby is after a fail-over; when it takes them again, all goes on."""
    put(store)
    server().execute("ALTER ROLE postgres SET default_transaction_read_only = on")
    try:
        terminate(store.writer)
        with pytest.raises(StoreUnavailable, match="read-only|writ"):
            put(store)
    finally:
        with server().connect() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER ROLE postgres RESET default_transaction_read_only")
    put(store)
    assert store.counts()[PENDING] == 2
