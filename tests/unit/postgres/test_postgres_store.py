"""What only a PostgreSQL store does: its schema, roles, poolers, and how it is kept."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.errors import Refused, StoreTooNew, StoreUnavailable
from queuectl.job import COMPLETED, PENDING, After, Array, NewJob
from queuectl.store import open_store
from queuectl.store.base import Filter, Settlement
from queuectl.store.postgres import schema as postgres_schema
from queuectl.store.postgres.connections import SQL
from queuectl.store.postgres.engine import PostgresStore
from queuectl.store.postgres.url import parse
from tests.support.postgres import new_schema, open_schema, server
from tests.support.work import EXIT_0, HOST, a_host, put, put_many, run_one

if TYPE_CHECKING:
    from collections.abc import Iterator


# ---- schema ------------------------------------------------------------------------------------


def test_two_that_open_a_new_store_at_once_make_one_schema(schema: str) -> None:
    """One makes it, the other waits."""
    barrier = threading.Barrier(4)
    ids: list[int] = []

    def run() -> None:
        barrier.wait(30)
        store = open_schema(schema)
        ids.append(put(store))
        store.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids) == [1, 2, 3, 4]


def test_a_store_made_by_a_newer_program_is_refused(store: PostgresStore, schema: str) -> None:
    """If that says so; else both work side by side."""
    server().execute(f'UPDATE "{schema}".store SET version = 9')
    open_schema(schema).close()
    server().execute(f'UPDATE "{schema}".store SET compatible = 9')
    with pytest.raises(StoreTooNew, match="schema 9, this one knows 2"):
        open_schema(schema)


def test_an_older_schema_is_brought_up_to_date_beside_hosts_that_are_open(
    store: PostgresStore, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that an older program does not miss: it works on, and another of it may come."""
    before = put(store)
    with monkeypatch.context() as newer:
        newer.setattr(postgres_schema, "SCHEMA", 3)
        newer.setitem(postgres_schema.MIGRATIONS, 3, "to_3")
        newer.setitem(SQL, "to_3", "ALTER TABLE job ADD COLUMN colour text NOT NULL DEFAULT 'red'")
        upgraded = open_schema(schema)
        open_schema(schema).close()
    after = put(store)
    with closing(open_schema(schema)) as another:
        assert another.counts()[PENDING] == 2
    run_one(upgraded)
    run_one(store)
    assert {job.id: job.state for job in upgraded.jobs(Filter())} == {
        before: COMPLETED, after: COMPLETED
    }  # fmt: skip
    colours = f'SELECT version, colour FROM "{schema}".store, "{schema}".job ORDER BY id'
    assert upgraded.rows(colours) == [(3, "red"), (3, "red")]
    upgraded.close()


def test_schema_1_is_brought_up_and_who_may_enqueue_still_may(
    store: PostgresStore, roles: tuple[str, str], schema: str
) -> None:
    """Without the grant that is new in schema 2."""
    put(store, env={"A": "1"})
    with server().connect() as connection:
        connection.execute(f'SET search_path TO "{schema}"')
        for table in ("environment", "policy"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN used_day")
        connection.execute("UPDATE store SET version = 1")
    open_schema(schema).close()
    url = server().url(schema=schema, user=roles[1]).replace("postgres@", f"{roles[1]}@")
    with closing(open_store(url)) as user:
        assert put(user, env={"A": "1"}) == 2
        assert put(user, env={"A": "2"}) == 3
    assert store.rows("SELECT version, compatible FROM store") == [(2, 1)]
    # what a host of the older version may remember gets no mark
    assert store.rows("SELECT used_day > 0 FROM environment ORDER BY id") == [(False,), (True,)]


def test_a_schema_that_may_not_be_changed_is_said_in_one_line(schema: str) -> None:
    """A role without rights, on first use."""
    name = f"nobody_{schema}"
    server().execute(f'CREATE ROLE "{name}" LOGIN')
    try:
        with pytest.raises(StoreUnavailable, match="is not there .* may not change that") as caught:
            open_store(server().url(schema=f"{schema}_new", user=name))
        assert "\n" not in str(caught.value)
    finally:
        server().execute(f'DROP ROLE "{name}"')


def test_stores_in_two_schemas_know_nothing_of_each_other(store: PostgresStore) -> None:
    """Also in their files on this machine."""
    other = open_store(server().url(schema=(name := new_schema())))
    put(store)
    assert other.counts()[PENDING] == 0
    assert other.local_directory != store.local_directory
    other.close()
    server().drop(name)


def test_a_server_that_is_not_there_is_said_in_one_line() -> None:
    """Without the password."""
    with pytest.raises(StoreUnavailable) as caught:
        open_store("postgresql://me:s3cret@/db?host=/nowhere")
    message = str(caught.value)
    assert "s3cret" not in message
    assert "\n" not in message
    assert message.startswith("the store postgresql://me@/db cannot be used: ")


# ---- roles -------------------------------------------------------------------------------------


@pytest.fixture
def roles(store: PostgresStore, schema: str) -> Iterator[tuple[str, str]]:
    """A role that works and one that enqueues, with the grants that the store tells."""
    names = f"w_{schema}", f"e_{schema}"
    with server().connect() as connection:
        for name in names:
            connection.execute(f'CREATE ROLE "{name}" LOGIN')
        connection.execute(store.grants(*names))
    yield names
    with server().connect() as connection:
        for name in names:
            connection.execute(f'DROP OWNED BY "{name}"')
            connection.execute(f'DROP ROLE "{name}"')


def test_a_role_may_enqueue_and_read_and_no_more(
    store: PostgresStore, roles: tuple[str, str], schema: str
) -> None:
    """Jobs of every kind, and everything that is shown."""
    ended = put(store)
    run_one(store)
    user = open_store(
        server().url(schema=schema, user=roles[1]).replace("postgres@", f"{roles[1]}@")
    )
    third = put(user, after=(After(ended), After(ended, "ended")), paused=True)
    assert user.dependencies(third)[0].met
    with pytest.raises(Refused, match="does not allow that to this role"):
        # can never be met: it would have to be cancelled
        put(user, after=(After(ended, "failed"),))
    first = put(user, env={"A": "1"}, name="first", stdin=b"x")
    second = put(user, after=(After(first),), unique="u", array=Array("a", 1, 2), needs={"gpu": 1})
    assert [job.id for job in user.jobs(Filter())] == [ended, third, first, second]
    assert user.counts()[PENDING] == 3
    assert [queue.name for queue in user.queues()] == ["default", "hooks"]
    for act in (
        lambda: user.claim(HOST, 1),
        lambda: user.cancel([first]),
        lambda: user.set("timeout", "5s"),
        lambda: user.pause_queue("default", paused=True),
        lambda: user.remove([first]),
    ):
        with pytest.raises(Refused, match="does not allow that to this role"):
            act()
    user.close()


def test_a_role_may_work_without_owning_anything(roles: tuple[str, str], schema: str) -> None:
    """Whatever a host does."""
    store = open_store(server().url(schema=schema).replace("postgres@", f"{roles[0]}@"))
    store.register(a_host())
    put_many(store, 3)
    assert run_one(store).state == COMPLETED
    store.create_queue("q", limit=1)
    store.set("timeout", "5s", "q")
    store.cancel([2])
    assert store.renew(HOST)
    assert store.expired() == []
    assert store.prune(("completed",), None) == 1
    store.close()


# ---- poolers -----------------------------------------------------------------------------------


class _Pooled(PostgresStore):
    """Believes that every transaction may meet another server connection, and sees to it."""

    def connect(self) -> Any:
        connection, facts = super().connect()
        self.is_pooled = True
        connection.prepare_threshold = None
        connection.execute("RESET ALL")
        return connection, facts._replace(is_pooled=True)


def test_behind_a_pooler_nothing_is_left_to_the_session(schema: str) -> None:
    """All that is said to a connection goes with each transaction."""
    store = _Pooled(parse(server().url(schema=schema), {}), {})
    put_many(store, 3)
    store.register(a_host())
    assert store.renew(HOST)
    assert run_one(store).state == COMPLETED
    with store.transaction():
        put(store)
        store.cancel([2])
    assert store.counts()[PENDING] == 2
    assert [job.id for job in store.jobs(Filter())] == [1, 2, 3, 4]
    store.close()


def test_where_no_notice_arrives_it_is_said_and_looked_more_often(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind PgBouncer in transaction mode."""
    monkeypatch.setattr("queuectl.store.postgres.listen._TEST_SECONDS", 0.2)
    monkeypatch.setattr("queuectl.store.postgres.listen.PostgresListener._receive", lambda *_: None)
    monkeypatch.setattr("queuectl.store.postgres.listen.PostgresListener._heard", lambda *_: None)
    monkeypatch.setattr("queuectl.store.postgres.listen._DEAF_POLL", 0.0)
    store, other = open_schema(schema), open_schema(schema)
    listener: Any = store.listener(HOST)
    assert not listener.hears
    listener.changed()
    put(other)
    assert listener.changed()
    text = next(check.text for check in store.checks() if check.topic == "notices")
    assert text == "LISTEN does not work here: hosts look every second instead"
    listener.close()
    store.close()
    other.close()


# ---- keeping -----------------------------------------------------------------------------------


def test_a_backup_is_pg_dumps_work(store: PostgresStore, schema: str) -> None:
    """With the words that do it."""
    with pytest.raises(Refused, match=f"pg_dump .*--schema={schema}"):
        store.backup("/tmp/x")


def test_doctor_looks_at_the_server(store: PostgresStore) -> None:
    """All is well with a new one, but that tests need no durability."""
    found = {check.topic: check for check in store.checks()}
    assert set(found) == {
        "postgresql", "writes", "durability", "latency", "clock", "dead rows", "transactions",
        "notices",
    }  # fmt: skip
    assert [check.text for check in found.values() if not check.ok] == []


def test_counters_and_batches_are_folded(store: PostgresStore, schema: str) -> None:
    """Their number stays small, and what they say stays the same."""
    for _ in range(120):
        put(store)
    ((rows,),) = server().execute(f'SELECT count(*) FROM "{schema}".counter')
    assert rows < 120
    assert store.counts()[PENDING] == 120


def test_hosts_that_lock_in_any_order_end_all_they_claimed(schema: str) -> None:
    """Deadlocks and conflicts are tried again where nobody sees it."""
    stores = [open_schema(schema) for _ in range(3)]
    for name in "abc":
        stores[0].create_queue(name, limit=2)
    stores[0].add([NewJob("true", queue="abc"[n % 3]) for n in range(150)])
    errors: list[Exception] = []

    def drain(store: PostgresStore, host: str) -> None:
        try:
            while store.count(Filter(states=(PENDING, "processing"))):
                claims = store.claim(host, 4)
                store.settle([Settlement(c.job_id, c.token, c.run, EXIT_0) for c in claims[::-1]])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told below
            errors.append(error)

    threads = [
        threading.Thread(target=drain, args=(store, f"h{n}")) for n, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert stores[0].counts()[COMPLETED] == 150
    for store in stores:
        store.close()


def test_hosts_that_meet_each_others_jobs_pass_them_over(schema: str) -> None:
    """Also those that end just then: no group of a host is undone by it."""
    stores = [open_schema(schema) for _ in range(3)]
    ids = put_many(stores[0], 1500)
    errors: list[Exception] = []

    def drain(store: PostgresStore, host: str) -> None:
        try:
            claims = store.claim(host, 5)
            while claims:
                with store.transaction():
                    store.settle([Settlement(c.job_id, c.token, c.run, EXIT_0) for c in claims])
                    claims = store.claim(host, 5)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told below
            errors.append(error)

    threads = [
        threading.Thread(target=drain, args=(store, f"h{n}")) for n, store in enumerate(stores[:2])
    ]
    for thread in threads:
        thread.start()
    for job_id in ids[::-3]:
        stores[2].cancel([job_id])
    for thread in threads:
        thread.join()
    assert errors == []
    counts = stores[2].counts()
    assert counts[COMPLETED] + counts["cancelled"] == len(ids)
    for store in stores:
        store.close()
