"""Stores made by every version there has been open, keep what is in them, and go on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from queuectl.errors import StoreUnavailable
from queuectl.job import STATES, Output
from queuectl.store.base import Filter, Rate
from queuectl.store.sqlite import base as sqlite_base
from queuectl.store.sqlite.engine import SqliteStore
from queuectl.store.sqlite.file import SCHEMA
from tests.compat.make_store import STORES, dump, load, make
from tests.support.clock import Clock
from tests.support.stores import assert_counters_are_right
from tests.support.work import HOST, claim_all, job_of, put, run_one

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queuectl.job import Job

FILES = sorted(STORES.glob("*.sql"))


@pytest.fixture
def clock() -> Clock:
    """The time when the stores were made, and a little later."""
    clock = Clock()
    clock.advance(1000)
    return clock


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[SqliteStore]:
    """Each old store in turn, opened by this version."""
    path = str(tmp_path / "queue.db")
    load(request.param.read_text(encoding="utf-8"), path)
    opened = SqliteStore(path, {}, clock)
    yield opened
    opened.close()


def named(store: SqliteStore, name: str) -> Job:
    """Return the job of a name."""
    job_id = store.id_of_name(name)
    assert job_id is not None
    return job_of(store, job_id)


def test_it_is_of_the_present_schema_once_it_is_open(store: SqliteStore) -> None:
    """Whatever it was before."""
    assert store.writer.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_every_job_is_there_in_its_state(store: SqliteStore) -> None:
    """And the counters know."""
    for state in STATES:
        assert named(store, state if state != "pending" else "delayed").state == state
    assert len(list(store.jobs(Filter()))) == 14
    assert_counters_are_right(store)


def test_every_field_is_as_it_was(store: SqliteStore) -> None:
    """Bytes, policy, history and output."""
    strange = named(store, "strange")
    assert (strange.command, strange.env, strange.cwd) == (
        "echo \udcff", {"A": "\udcfe=\n", "B": ""}, "/\udcfd",
    )  # fmt: skip
    running = named(store, "processing")
    assert (running.args, running.host, running.policy) == (
        ("--epochs", "", "a b"), "old-host", {"timeout": "1m"},
    )  # fmt: skip
    assert named(store, "failed").max_retries == 5
    (attempt,) = store.attempts(named(store, "completed").id)
    assert (attempt.reason, attempt.user_ms, attempt.message) == ("exit 0", 7, "fine")
    assert store.output(attempt.job_id, 1) == Output(b"out\xfferr\n", b"", None, 4, 4)
    assert store.settings() == {"max-retries": "5"}
    assert [(host.id, host.queues) for host in store.hosts()] == [("old-host", ("gpu", "default"))]


def test_what_is_beside_jobs_is_as_it_was(store: SqliteStore) -> None:
    """Arrays, needs, dependencies, keys, rates, schedules, notes."""
    part, after = named(store, "part"), named(store, "after")
    assert (part.array_id, part.array_index, part.array_limit) == (part.id, 7, 1)
    assert (dict(part.needs), part.message) == ({"gpu": 2}, "\udcfc")
    assert [(one.on, one.met) for one in store.dependencies(after.id)] == [
        (named(store, "completed").id, True), (named(store, "held").id, False),
    ]  # fmt: skip
    assert put(store, unique="key") == after.id
    (rated,) = [queue for queue in store.queues() if queue.name == "rated"]
    assert (rated.limit, rated.rate, rated.pull) == (2, Rate(3, 1000), True)
    (schedule,) = store.schedules()
    assert (schedule.name, schedule.job, schedule.paused) == ("nightly", b"\0job", False)
    assert store.note("spool/x") == b"12"


def test_what_was_being_run_can_be_taken_back(store: SqliteStore) -> None:
    """Its host is gone."""
    held = store.held_by("old-host")
    assert {claim.job_id: claim.started_at is not None for claim in held} == {5: True, 6: False}
    assert [wish.kind for wish in store.take_wishes("old-host")] == ["signal"]
    store.lose([(claim.job_id, claim.token) for claim in held])
    store.forget("old-host")
    assert (named(store, "processing").state, named(store, "claimed").state) == (
        "failed", "pending",
    )  # fmt: skip
    assert_counters_are_right(store)


def test_work_goes_on_where_it_was(store: SqliteStore, clock: Clock) -> None:
    """In order, within limits, past what is paused and held; ids are not used again."""
    names = [job_of(store, job_id).name for job_id in claim_all(store)]
    assert names == ["strange", "file"]
    clock.advance(3_600_000)
    assert {job_of(store, job_id).name for job_id in claim_all(store)} == {"failed", "delayed"}
    assert store.claim(HOST, 9) == []
    assert put(store, priority=9) == 16
    assert run_one(store).state == "completed"
    assert_counters_are_right(store)


OLD = [file for file in FILES if file.stem != f"schema-{SCHEMA}"]


def old_store(file: Path, directory: Path) -> str:
    """Return the path of a store that an older version made."""
    path = str(directory / "queue.db")
    load(file.read_text(encoding="utf-8"), path)
    return path


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_what_an_old_store_was_stays_beside_it(file: Path, tmp_path: Path, clock: Clock) -> None:
    """A whole database of the old schema, only for its owner; made once."""
    path = old_store(file, tmp_path)
    before = dump(path)
    SqliteStore(path, {}, clock).close()
    copy = tmp_path / f"queue.db.{file.stem}"
    assert dump(str(copy)) == before
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["queue.db", copy.name]
    made = copy.stat().st_mtime_ns
    SqliteStore(path, {}, clock).close()
    assert copy.stat().st_mtime_ns == made


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_no_file_is_taken_for_the_copy(file: Path, tmp_path: Path, clock: Clock) -> None:
    """What has its name, of an earlier time or of somebody else, is left, and a copy made beside it."""
    path = old_store(file, tmp_path)
    before = dump(path)
    other = tmp_path / f"queue.db.{file.stem}"
    other.write_text("mine")
    SqliteStore(path, {}, clock).close()
    assert other.read_text() == "mine"
    assert dump(f"{other}.2") == before


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_several_that_open_an_old_store_at_once_bring_it_up_once(
    file: Path, tmp_path: Path
) -> None:
    """Processes of their own: one does it, the others find it done."""
    path = old_store(file, tmp_path)
    program = (
        "import sys; from queuectl.store.sqlite.engine import SqliteStore; sys.stdin.read();"
        " store = SqliteStore(sys.argv[1], {}); print(sum(store.counts().values())); store.close()"
    )
    several = [
        subprocess.Popen(
            [sys.executable, "-c", program, path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for one in several:
        assert one.stdin is not None
        one.stdin.close()
        one.stdin = None
    assert [one.communicate(timeout=60)[0] for one in several] == ["14\n"] * 4
    assert [one.returncode for one in several] == [0] * 4


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_a_migration_that_fails_leaves_the_old_store(
    file: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole; and it is tried again at the next time."""
    path = old_store(file, tmp_path)
    before = dump(path)
    with monkeypatch.context() as broken:
        broken.setitem(sqlite_base.SQL, f"to_{SCHEMA}", "ALTER TABLE gone ADD COLUMN x")
        with pytest.raises(StoreUnavailable, match="no such table"):
            SqliteStore(path, {}, clock)
    assert dump(path) == before
    assert os.listdir(tmp_path) == ["queue.db"]
    store = SqliteStore(path, {}, clock)
    assert len(list(store.jobs(Filter()))) == 14
    store.close()


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_a_process_of_the_old_version_goes_on(file: Path, tmp_path: Path, clock: Clock) -> None:
    """What it writes is without what is new, and is read as well."""
    path = old_store(file, tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("SELECT count(*) FROM job").fetchall()
        store = SqliteStore(path, {}, clock)
        old.execute("INSERT INTO environment (pairs) VALUES (x'00')")
        assert put(store, "true") == 16
        store.close()


def _schema(path: str) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL"))


def test_the_present_schema_has_its_file(tmp_path: Path) -> None:
    """A changed schema needs a new number and a migration; before a release, the file made anew."""
    text = (STORES / f"schema-{SCHEMA}.sql").read_text(encoding="utf-8")
    (tmp_path / "new").mkdir()
    make(str(tmp_path / "new"))
    load(text, str(tmp_path / "old.db"))
    assert _schema(str(tmp_path / "old.db")) == _schema(str(tmp_path / "new" / "queue.db"))
