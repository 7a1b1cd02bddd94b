"""Writes `stores/schema-N.sql`: a store of the present schema with something of everything in it.

Run it once for each released schema, as `python -m tests.compat.make_store`, and keep the file for
ever. While a schema has not been released, run it again when the schema changes.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from queuectl.job import SIGNAL, After, Array, Outcome, Output
from queuectl.store.base import Rate, Schedule
from queuectl.store.sqlite.engine import SqliteStore
from queuectl.store.sqlite.file import APPLICATION_ID, SCHEMA
from tests.support.clock import Clock
from tests.support.work import EXIT_0, EXIT_3, a_host, claim_and_start, claim_one, put, run_one

STORES = Path(__file__).parent / "stores"
HEADER = ("application_id", "user_version", "auto_vacuum")


def fill(store: SqliteStore, clock: Clock) -> None:
    """Put a job of every kind into an empty store; each has the name of what it is."""
    store.create_queue("gpu", limit=1)
    store.create_queue("asleep")
    store.pause_queue("asleep", paused=True)
    store.set("max-retries", "5")
    store.set("timeout", "1m", "gpu")
    store.register(a_host("old-host", clock.now, queues=("gpu", "default")))
    output = Output(b"out\xfferr\n", b"", None, 4, 4)
    put(store, "make all", name="completed", priority=9, stdin=b"in\0\xff")
    run_one(store, EXIT_0._replace(output=output, user_ms=7, message="fine"))
    put(store, "false", name="dead", priority=9, policy={"max-retries": "0"})
    run_one(store, Outcome(SIGNAL, 9))
    put(store, "false", name="failed", priority=9)
    run_one(store, EXIT_3)
    put(store, "sleep 5", name="cancelled")
    store.cancel([4])
    put(store, "train", args=("--epochs", "", "a b"), name="processing", queue="gpu", priority=8)
    claim_and_start(store, "old-host")
    store.wish([5], "signal", b"USR1")
    put(store, "echo claimed", name="claimed", priority=8)
    claim_one(store, "old-host")
    clock.advance(500)
    put(store, "echo \udcff", name="strange", env={"A": "\udcfe=\n", "B": ""}, cwd="/\udcfd")
    put(store, "echo later", name="delayed", due_at=clock.now + 3_600_000)
    put(store, "echo held", name="held", paused=True)
    put(store, "echo asleep", name="asleep", queue="asleep")
    put(store, "echo limited", name="limited", queue="gpu")
    put(store, "cat", name="file", stdin_path="/etc/hostname")
    store.remove([put(store, "echo removed")])
    array = Array("a", 7, 1)
    put(
        store,
        "echo part",
        name="part",
        array=array,
        needs={"gpu": 2},
        paused=True,
        message="\udcfc",
    )
    put(store, "echo after", name="after", after=(After("held"), After("completed")), unique="key")
    store.create_queue("rated", limit=2, rate=Rate(3, 1000), pull=True)
    store.put_schedule(
        Schedule("nightly", "0 3 * * *", "UTC", "skip", "one", b"\0job", clock.now + 9_999_999)
    )
    store.put_note("spool/x", b"12")


def dump(path: str) -> str:
    """Return a database as SQL, with what its header says."""
    connection = sqlite3.connect(path)
    try:
        header = [
            f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};"
            for name in HEADER
        ]
        return "\n".join([*header, *connection.iterdump()]) + "\n"
    finally:
        connection.close()


def load(text: str, path: str) -> None:
    """Make the database that a dump was made of."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(text)
        connection.execute("PRAGMA journal_mode = WAL")
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    finally:
        connection.close()


def make(directory: str) -> str:
    """Return the dump of a new store with something of everything in it."""
    path = f"{directory}/queue.db"
    clock = Clock()
    store = SqliteStore(path, {}, clock)
    fill(store, clock)
    store.close()
    return dump(path)


def main() -> None:
    """Write the file of the present schema."""
    with tempfile.TemporaryDirectory() as directory:
        file = STORES / f"schema-{SCHEMA}.sql"
        file.write_text(make(directory), encoding="utf-8")
    print(f"wrote {file.name}")


if __name__ == "__main__":
    main()
