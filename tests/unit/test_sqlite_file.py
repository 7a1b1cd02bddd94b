"""What is particular to SQLite: the file, what can be wrong with it, and the plans of its queries."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.errors import (
    EXIT_UNAVAILABLE,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreTooNew,
    StoreUnavailable,
)
from queuectl.job import STATES, NewJob
from queuectl.store.base import Filter
from queuectl.store.sql.queries import page_of_jobs
from queuectl.store.sqlite import claims as sqlite_claims
from queuectl.store.sqlite import file as sqlite_file
from queuectl.store.sqlite.base import SQL
from queuectl.store.sqlite.engine import MemoryStore, SqliteStore
from tests.support.clock import Clock
from tests.support.stores import assert_counters_are_right
from tests.support.work import EXIT_0, HOST, ahead_of, claim_one, put, put_many, run_one, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from queuectl.job import State

ROOT = Path(__file__).parents[2]
#: opens the store named on the command line and prints what became of it, on one line
TRY = """
import sys
from queuectl.errors import QueuectlError
from queuectl.job import NewJob
from queuectl.store.sqlite.engine import SqliteStore
try:
    store = SqliteStore(sys.argv[1], {})
    print("ids", store.add([NewJob("true")]))
    store.close()
except QueuectlError as error:
    print(type(error).__name__, error.exit_status, error)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where a database is to be."""
    return str(tmp_path / "state" / "queue.db")


@pytest.fixture
def store(path: str) -> Iterator[SqliteStore]:
    """A store in a new database."""
    made = SqliteStore(path, {}, Clock())
    yield made
    made.close()


def opened(path: str) -> SqliteStore:
    """Open a store that is there."""
    return SqliteStore(path, {}, Clock())


def refused(path: str) -> StoreUnavailable:
    """Return the error that opening ends with: one line, exit status 75."""
    with pytest.raises(StoreUnavailable) as caught:
        opened(path)
    assert caught.value.exit_status == EXIT_UNAVAILABLE
    assert "\n" not in caught.value.message
    assert path in caught.value.message
    return caught.value


def mode(path: str | Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(os.stat(path).st_mode)


def contents(directory: str | Path) -> dict[str, bytes]:
    """Return every file of a directory with its bytes."""
    return {file.name: file.read_bytes() for file in Path(directory).iterdir() if file.is_file()}


def with_pragmas(path: str, *pragmas: str) -> None:
    """Write PRAGMAs into a database that nobody has open."""
    connection = sqlite3.connect(path)
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
    connection.commit()
    connection.close()


# ---- a new database ----------------------------------------------------------------------------


def test_a_database_is_made_with_its_directories(tmp_path: Path) -> None:
    """However deep."""
    store = opened(str(tmp_path / "a" / "b" / "queue.db"))
    assert put(store) == 1
    store.close()
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["queue.db"]


def test_everything_is_for_its_owner_only(tmp_path: Path) -> None:
    """Directories 0700 and files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        store = opened(str(tmp_path / "a" / "queue.db"))
        listener = store.listener(HOST)
        put(store)
        modes = {str(found.relative_to(tmp_path)): mode(found) for found in (tmp_path).rglob("*")}
        listener.close()
        store.close()
    finally:
        os.umask(before)
    directories = {"a", "a/queue.db.d", "a/queue.db.d/hosts"}
    assert directories < modes.keys()
    assert {"a/queue.db", "a/queue.db-wal", "a/queue.db-shm"} < modes.keys()
    for name, found in modes.items():
        assert found == (0o700 if name in directories else 0o600), name


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """It is somebody's choice."""
    tmp_path.chmod(0o755)
    opened(str(tmp_path / "queue.db")).close()
    assert mode(tmp_path) == 0o755


def test_the_header_says_whose_file_it_is(store: SqliteStore) -> None:
    """Application id, schema, and what cannot be changed later."""
    pragmas = {
        name: store.writer.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version", "auto_vacuum", "journal_mode", "synchronous")
    }
    assert pragmas == {
        "application_id": int.from_bytes(b"qctl", "big"),
        "user_version": sqlite_file.SCHEMA,
        "auto_vacuum": 2,
        "journal_mode": "wal",
        "synchronous": 2,
    }


def test_every_reader_is_durable_and_reads_only(store: SqliteStore) -> None:
    """A reading connection cannot write by mistake."""
    reader = store.lend_reader()
    assert reader.execute("PRAGMA query_only").fetchone() == (1,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO queue (name) VALUES ('x')")
    store.take_back(reader)


def test_every_table_is_strict(store: SqliteStore) -> None:
    """A wrong type is an error, not a surprise."""
    tables = store.writer.execute(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"
    ).fetchall()
    assert [name for name, strict in tables if not strict and not name.startswith("sqlite_")] == []


def test_a_database_that_is_there_is_opened_and_not_made(store: SqliteStore, path: str) -> None:
    """The same jobs, the same file."""
    put(store)
    inode = os.stat(path).st_ino
    again = opened(path)
    assert put(again) == 2
    again.close()
    assert os.stat(path).st_ino == inode


def test_many_processes_that_make_a_database_at_once_have_one(path: str) -> None:
    """All of them work, and nothing is left lying about."""
    processes = [
        subprocess.Popen([sys.executable, "-c", TRY, path], stdout=subprocess.PIPE, cwd=ROOT)
        for _ in range(6)
    ]
    answers = sorted(process.communicate(timeout=60)[0] for process in processes)
    assert answers == [f"ids [{number}]\n".encode() for number in range(1, 7)]
    assert contents(os.path.dirname(path)).keys() <= {"queue.db", "queue.db-wal", "queue.db-shm"}


def test_a_memory_store_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory is its own and goes with it."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = MemoryStore({})
    assert mode(os.path.dirname(store.path)) == 0o700
    assert store.path.startswith(str(tmp_path))
    put(store)
    store.close()
    assert list(tmp_path.iterdir()) == []


# ---- a file that is not right ------------------------------------------------------------------


def damaged(store: SqliteStore, path: str) -> bytes:
    """Close a store with some jobs in it; return its file's bytes."""
    store.add([NewJob("x" * 3000)] * 300)
    store.close()
    return Path(path).read_bytes()


def assert_left_alone(path: str, data: bytes) -> None:
    """The file has the same bytes, and nothing was put beside it."""
    assert contents(os.path.dirname(path)) == {"queue.db": data}


def test_a_closed_store_says_so(store: SqliteStore) -> None:
    """Whatever it is asked, on any thread."""
    store.add([NewJob("true")])
    store.close()
    said = []

    def ask() -> None:
        for call in (
            lambda: store.add([NewJob("true")]), lambda: store.get(1), store.version, store.queues,
            lambda: store.facts(1),
        ):  # fmt: skip
            try:
                call()
            except StoreUnavailable as error:
                said.append(error.facts["reason"])

    ask()
    store.writing_thread = None
    ask()
    assert said == ["it has been closed"] * 10


def test_an_empty_file_is_refused(path: str) -> None:
    """It is never taken for a new store: something emptied it."""
    os.makedirs(os.path.dirname(path))
    Path(path).touch()
    assert isinstance(refused(path), StoreCorrupt)
    assert_left_alone(path, b"")


@pytest.mark.parametrize("data", [b"x", b"not a database\n" * 1000, os.urandom(8192), b"\0" * 4096])
def test_garbage_is_refused_and_left_as_it_is(path: str, data: bytes) -> None:
    """To the byte."""
    os.makedirs(os.path.dirname(path))
    Path(path).write_bytes(data)
    assert isinstance(refused(path), StoreCorrupt)
    assert_left_alone(path, data)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
def test_a_truncated_database_is_refused_and_left_as_it_is(
    store: SqliteStore, path: str, share: float
) -> None:
    """Wherever it was cut."""
    whole = damaged(store, path)
    data = whole[: int(len(whole) * share)]
    Path(path).write_bytes(data)
    assert isinstance(refused(path), StoreCorrupt)
    assert_left_alone(path, data)


def test_damage_that_shows_later_is_named_and_nothing_is_written(
    store: SqliteStore, path: str
) -> None:
    """One line, exit status 75."""
    data = bytearray(damaged(store, path))
    half = len(data) // 2
    data[half:] = b"\xa5" * (len(data) - half)
    Path(path).write_bytes(data)
    again = opened(path)
    with pytest.raises(StoreCorrupt, match="damaged or is no queuectl store"):
        list(again.jobs(Filter()))
    with pytest.raises(StoreCorrupt):
        put(again)
    again.close()
    assert Path(path).read_bytes() == data


def test_a_newer_schema_is_refused(store: SqliteStore, path: str) -> None:
    """The message says what to do."""
    store.close()
    with_pragmas(path, f"user_version = {sqlite_file.SCHEMA + 1}")
    data = Path(path).read_bytes()
    error = refused(path)
    assert isinstance(error, StoreTooNew)
    assert "upgrade queuectl" in error.message
    assert_left_alone(path, data)


def test_another_programs_database_is_refused(path: str) -> None:
    """Also one that has no application id, and one that is empty."""
    os.makedirs(os.path.dirname(path))
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmark (url TEXT)")
    connection.close()
    data = Path(path).read_bytes()
    assert isinstance(refused(path), StoreCorrupt)
    assert "some other program's database" in refused(path).message
    assert_left_alone(path, data)


def test_a_log_without_its_database_is_refused(store: SqliteStore, path: str) -> None:
    """It may hold jobs; a new database would swallow it."""
    put(store)
    shutil.copy(path + "-wal", path + ".kept")
    store.close()
    os.unlink(path)
    os.rename(path + ".kept", path + "-wal")
    error = refused(path)
    assert isinstance(error, StoreCorrupt)
    assert f"{path}-wal" in error.message
    assert list(contents(os.path.dirname(path))) == ["queue.db-wal"]


def test_a_directory_in_the_place_of_the_file_is_refused(path: str) -> None:
    """With its name."""
    os.makedirs(path)
    refused(path)
    assert os.path.isdir(path)


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    """It cannot be made."""
    (tmp_path / "file").write_text("x")
    error = refused(str(tmp_path / "file" / "queue.db"))
    assert "Not a directory" in error.message or "File exists" in error.message


def test_an_old_sqlite_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """STRICT tables are not known to it."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    assert "too old" in refused(path).message
    assert not os.path.exists(path)


# ---- permissions -------------------------------------------------------------------------------


#: gives root's powers up; the interpreter may be where others cannot read it, so imports come first
_BECOME_NOBODY = """
import os, pwd
import queuectl.store.sqlite.engine
if os.geteuid() == 0:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
"""


def as_ordinary_user(path: Path | str) -> str:
    """Try a store without root's powers; return what was printed."""
    done = subprocess.run(
        [sys.executable, "-c", _BECOME_NOBODY + TRY, str(path)],
        check=True, capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can get to."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        yield directory
        directory.chmod(0o777)


def test_a_directory_that_cannot_be_written_is_named(open_directory: Path) -> None:
    """Nothing is made."""
    open_directory.chmod(0o555)
    answer = as_ordinary_user(str(open_directory / "queue.db"))
    assert re.fullmatch(r"StoreUnavailable 75 .*Permission denied.*\n", answer)
    assert list(open_directory.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_named(open_directory: Path) -> None:
    """One line."""
    open_directory.chmod(0o555)
    answer = as_ordinary_user(str(open_directory / "a" / "b" / "queue.db"))
    assert re.fullmatch(r"StoreUnavailable 75 .*Permission denied.*\n", answer)


def test_a_store_in_a_directory_that_has_become_read_only_is_refused(open_directory: Path) -> None:
    """And works again afterwards, with its jobs."""
    path = str(open_directory / "queue.db")
    assert as_ordinary_user(path) == "ids [1]\n"
    before = contents(open_directory)
    os.chmod(path, 0o444)
    open_directory.chmod(0o555)
    answer = as_ordinary_user(path)
    assert re.fullmatch(r"Store\w+ 75 the store .* cannot be used: [^\n]+\n", answer)
    assert contents(open_directory) == before
    open_directory.chmod(0o777)
    os.chmod(path, 0o600)
    assert as_ordinary_user(path) == "ids [2]\n"


def test_a_file_of_somebody_else_is_refused(open_directory: Path) -> None:
    """It says that it cannot be used, not that it is damaged."""
    path = open_directory / "queue.db"
    assert as_ordinary_user(str(path)) == "ids [1]\n"
    path.chmod(0)
    answer = as_ordinary_user(str(path))
    assert re.fullmatch(r"StoreUnavailable 75 .*\n", answer)


# ---- other processes ---------------------------------------------------------------------------


def test_a_writer_that_waits_too_long_says_so(
    path: str, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is changed, readers are not kept, and the next try works."""
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    waiting = opened(path)
    with store.transaction():
        put(store)
        with pytest.raises(StoreBusy, match="is busy: another process has been writing for 0.05 s"):
            put(waiting)
        assert waiting.counts()["pending"] == 0
    assert put(waiting) == 2
    waiting.close()


def test_a_waiting_writer_goes_on_when_it_is_free(path: str, store: SqliteStore) -> None:
    """It does not fail at once."""
    process = subprocess.Popen([sys.executable, "-c", TRY, path], stdout=subprocess.PIPE, cwd=ROOT)
    with store.transaction():
        put_many(store, 100)
    assert process.communicate(timeout=60)[0] in (b"ids [1]\n", b"ids [101]\n")


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced", "replaced by a copy"])
def test_a_listener_notices_that_the_file_was_replaced(
    store: SqliteStore, path: str, how: str
) -> None:
    """A host must not write into a file that nobody will read."""
    listener = store.listener(HOST)
    assert not listener.changed()
    if how == "deleted":
        os.unlink(path)
    elif how == "moved":
        os.rename(path, path + ".old")
    elif how == "replaced":
        os.rename(path, path + ".old")
        Path(path).write_bytes(b"something else")
    else:
        shutil.copy(path, path + ".copy")
        os.rename(path + ".copy", path)
    with pytest.raises(StoreUnavailable, match="moved, deleted or replaced"):
        listener.changed()
    listener.close()


def test_a_listener_that_cannot_be_made_says_so_in_one_line(store: SqliteStore) -> None:
    """A file is in the way of the directory of hosts."""
    Path(store.local_directory).write_text("in the way")
    with pytest.raises(StoreUnavailable) as caught:
        store.listener(HOST)
    assert store.path in caught.value.message


# ---- network file systems ----------------------------------------------------------------------

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
31 30 254:1 / /home/me/local rw,relatime - ext4 /dev/vdb rw
32 22 0:26 / /mnt/two\\040words rw,relatime master:1 - cifs //box/share rw
33 22 0:27 / /mnt/tab\\011and\\134slash rw - fuse.sshfs me@box: rw
34 22 0:28 / /srv rw - 9p share rw
35 34 254:2 / /srv rw - xfs /dev/vdc rw
36 22 0:29 / /homework rw - tmpfs none rw
""".splitlines()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/queue.db", "ext4"),
        ("/home/me/.local/state/queuectl/queue.db", "nfs4"),
        ("/home", "nfs4"),
        ("/home/me/local/queue.db", "ext4"),
        ("/home/me/locality/queue.db", "nfs4"),
        ("/homework/queue.db", "tmpfs"),
        ("/mnt/two words/queue.db", "cifs"),
        ("/mnt/tab\tand\\slash/queue.db", "fuse.sshfs"),
        ("/srv/queue.db", "xfs"),
    ],
)
def test_the_file_system_is_that_of_the_last_mount_above(path: str, kind: str) -> None:
    """Names of mount points are read as the kernel escapes them; a later mount hides an earlier."""
    assert sqlite_file.file_system_in(MOUNTS, path) == kind


def test_this_machines_mounts_can_be_read(tmp_path: Path) -> None:
    """A type, or None where nobody says."""
    kind = sqlite_file.file_system(str(tmp_path / "not" / "there"))
    assert kind is None or kind


def test_a_network_file_system_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way out, and before anything is made."""
    monkeypatch.setattr(sqlite_file, "file_system", lambda _: "nfs4")
    error = refused(path)
    assert "nfs4 is a network file system" in error.message
    assert "QUEUECTL_STATE_DIR=" in error.message
    assert not os.path.exists(os.path.dirname(path))


def test_a_database_on_a_network_file_system_is_refused(
    store: SqliteStore, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been made where it was local."""
    store.close()
    monkeypatch.setattr(sqlite_file, "file_system", lambda _: "nfs")
    monkeypatch.setattr(os, "major", lambda _: 0)
    refused(path)


# ---- no space ----------------------------------------------------------------------------------


def test_a_full_database_undoes_the_write_and_works_afterwards(store: SqliteStore) -> None:
    """One line; no job is half there; counters are right."""
    put_many(store, 3)
    claim = claim_one(store)
    pages = store.writer.execute("PRAGMA page_count").fetchone()[0]
    store.writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull, match="no space left for the store") as caught:
        store.add([NewJob("x" * 1000, env={"N": str(n)}) for n in range(500)])
    assert caught.value.exit_status == EXIT_UNAVAILABLE
    assert_counters_are_right(store)
    assert store.count(Filter()) == 3
    store.writer.execute("PRAGMA max_page_count = 1000000")
    assert settle(store, claim).state == "completed"
    assert put(store) == 4
    assert_counters_are_right(store)


def test_what_follows_a_lost_transaction_is_not_committed_by_itself(store: SqliteStore) -> None:
    """SQLite may roll back all of a transaction where only a part of it failed."""
    put(store)
    claim = claim_one(store)
    with pytest.raises(StoreUnavailable), store.transaction():
        put(store, "before")
        with pytest.raises(StoreFull), store.transaction():
            put(store, "inner")
            # what SQLITE_FULL, SQLITE_IOERR and their like can do
            store.writer.execute("ROLLBACK")
            raise StoreFull(store="it")
        with pytest.raises(StoreUnavailable):
            settle(store, claim)
        put(store, "behind")
    assert [job.command for job in store.jobs(Filter())] == ["true"]
    assert_counters_are_right(store)
    assert settle(store, claim).state == "completed"
    assert_counters_are_right(store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    directory = tmp_path / "small"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "small", str(directory)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting is not allowed here")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def test_a_full_disk_undoes_the_write_and_works_afterwards(small_disk: Path) -> None:
    """Clear words, nothing half done, and work resumes when space returns."""
    store = opened(str(small_disk / "queue.db"))
    ids = put_many(store, 3)
    run_one(store)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(StoreFull, match="free some and try again; nothing was changed"):
        put_many(store, 2000, env={"A": "y" * 5000})
    assert [job.id for job in store.jobs(Filter())] == ids
    assert_counters_are_right(store)
    ballast.unlink()
    put(store)
    assert run_one(store, EXIT_0).state == "completed"
    assert_counters_are_right(store)
    store.close()


def test_no_database_is_made_on_a_full_disk(small_disk: Path) -> None:
    """Not a part of one, and nothing is left of the try."""
    with (small_disk / "ballast").open("wb", buffering=0) as file, pytest.raises(OSError):  # noqa: PT011
        while True:
            file.write(b"x" * 4096)
    assert isinstance(refused(str(small_disk / "queue.db")), StoreFull)
    assert [file.name for file in small_disk.iterdir()] == ["ballast"]


#: fills a store under a limit on the size of files, then lifts it
_LIMITED = """
import resource, signal, sys
from queuectl.errors import StoreUnavailable
from queuectl.job import NewJob
from queuectl.store.base import Filter
from queuectl.store.sqlite.engine import SqliteStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqliteStore(sys.argv[1], {})
store.add([NewJob("true")] * 3)
no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, no_limit))
try:
    store.add([NewJob("x" * 5000)] * 500)
except StoreUnavailable as error:
    print(error.exit_status, store.count(Filter()), store.counts()["pending"])
resource.setrlimit(resource.RLIMIT_FSIZE, (no_limit, no_limit))
print(store.add([NewJob("true")]), store.count(Filter()), store.counts()["pending"])
"""


def test_a_limit_on_the_size_of_files_undoes_the_write_and_works_afterwards(path: str) -> None:
    """As a disk quota or ulimit does it."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, path],
        check=True, capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert done.stdout == "75 3 3\n[4] 4 4\n"


# ---- what queries look at ----------------------------------------------------------------------


def plan(store: SqliteStore, statement: str, values: Sequence[object]) -> list[str]:
    """Return the lines of a query's plan."""
    rows = store.writer.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return [row[3] for row in rows]


@pytest.mark.parametrize(
    ("block", "values", "index"),
    [
        ("promote", (0,), "job_later (due_at<?)"),
        ("track_heads", (0,), "track_head"),
        ("track_heads", (0,), "job_running (queue=?)"),
        ("track_heads", (0,), "job_running (queue=? AND track=?)"),
        ("open_tracks", (), "track_head"),
        ("running_in_queue", ("q",), "job_running (queue=?)"),
        ("running_in_array", (1,), "job_running (queue=? AND track=?)"),
        ("claimable", (1, 1), "job_ready (track=?)"),
        ("head_of", (1,), "job_ready (track=?)"),
        ("end_of", (1,), "job_ready (track=?)"),
        ("next_due", (0,), "job_later"),
        ("held_by", ("host",), "job_running"),
    ],
)
def test_what_a_claim_looks_at_has_an_index_and_needs_no_sorting(
    store: SqliteStore, block: str, values: Sequence[object], index: str
) -> None:
    """Its cost is the same at a thousand jobs and at a million."""
    lines = plan(store, SQL[block], values)
    assert any(line.endswith(f"USING INDEX {index}") for line in lines), lines
    assert not any("TEMP B-TREE" in line or line == "SCAN job" for line in lines)


def test_what_runs_of_an_array_is_found_without_walking_it(store: SqliteStore) -> None:
    """An array can be a million jobs, of which ten run."""
    where = Filter(states=("processing",), array=1)
    lines = plan(store, *page_of_jobs(where, None, 5, store.glob_test, newest=False))
    assert any("job_running" in line for line in lines), lines


@pytest.mark.parametrize(
    ("states", "index"),
    [
        (("pending",), "job_open"),
        (("pending", "processing"), "job_open"),
        (("processing",), "job_running"),
        (("failed",), "job_trouble"),
        (("dead",), "job_trouble"),
        (("cancelled",), "job_trouble"),
        (("failed", "dead"), "job_trouble"),
    ],
)
@pytest.mark.parametrize("after", [None, 5])
@pytest.mark.parametrize("newest", [False, True])
def test_a_page_of_some_states_does_not_walk_past_all_others(
    store: SqliteStore, states: tuple[State, ...], index: str, after: int | None, newest: bool
) -> None:
    """A million pending jobs do not stand before the one that is dead."""
    lines = plan(
        store, *page_of_jobs(Filter(states=states), after, 50, store.glob_test, newest=newest)
    )
    assert f"INDEX {index}" in lines[0]


@pytest.mark.parametrize("where", [Filter(), Filter(states=("completed",)), Filter(states=STATES)])
def test_a_page_of_most_jobs_is_read_in_order_of_id(store: SqliteStore, where: Filter) -> None:
    """Without sorting, from where the last one ended; attempts are looked up for each."""
    lines = plan(store, *page_of_jobs(where, None, 50, store.glob_test, newest=True))
    assert lines[0] == "SCAN job"
    assert [line for line in lines[1:] if "SUBQUERY" not in line] == [
        "SEARCH ended USING PRIMARY KEY (job_id=?)"
    ]
    line, *_ = plan(store, *page_of_jobs(where, 5, 50, store.glob_test, newest=False))
    assert line == "SEARCH job USING INTEGER PRIMARY KEY (rowid>?)"


def test_chains_and_tallies_are_read_along_indexes(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many jobs and dependencies there are."""
    plans: list[list[str]] = []

    def explained(statement: str, values: Sequence[object] = ()) -> list[Any]:
        plans.append(plan(store, statement, values))
        return []

    monkeypatch.setattr(store, "rows", explained)
    store.waits([1])
    store.given_up([1])
    store.roots(1)
    store.tally(0, 0)
    assert len(plans) == 4
    for lines in plans:
        assert not any(line in lines for line in ("SCAN job", "SCAN d", "SCAN other")), lines
    assert any("job_done (finished_at>?)" in line for line in plans[3])


def test_names_have_an_index(store: SqliteStore) -> None:
    """Those of all jobs, and those that are taken."""
    (line,) = plan(store, "SELECT id FROM job WHERE name = ? AND lane < 4", ("n",))
    assert "INDEX job_name (name=?)" in line
    (line, *_) = plan(
        store, *page_of_jobs(Filter(name="n*"), None, 50, store.glob_test, newest=False)
    )
    assert "INDEX job_old_name" in line


def test_pruning_has_an_index(store: SqliteStore) -> None:
    """The oldest are found without looking at the others."""
    statement = SQL["old_done"].format(states="?")
    (line,) = plan(store, statement, (0, "completed", 10))
    assert line == "SEARCH job USING INDEX job_done (finished_at<?)"


def steps_of(store: SqliteStore, act: Callable[[], object]) -> int:
    """Return how many hundreds of virtual machine steps something takes: a clock without time."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    store.writer.set_progress_handler(count, 100)
    act()
    store.writer.set_progress_handler(None, 0)
    return steps


def _claim_cost(path: Path, jobs: int, prepare: Callable[[SqliteStore, int], None]) -> int:
    store = opened(str(path / f"{jobs}.db"))
    prepare(store, jobs)
    store.claim(HOST, 2)
    cost = steps_of(store, lambda: store.claim(HOST, 2))
    store.close()
    return cost


def _one_queue(store: SqliteStore, jobs: int) -> None:
    put_many(store, jobs)


def _two_queues_interleaved(store: SqliteStore, jobs: int) -> None:
    store.create_queue("a")
    store.add([NewJob("true", queue=("a", "default")[number % 2]) for number in range(jobs)])


def _paused_queue(store: SqliteStore, jobs: int) -> None:
    store.create_queue("a")
    store.pause_queue("a", paused=True)
    put_many(store, jobs, queue="a", priority=9)
    put_many(store, 10)


def _full_queue(store: SqliteStore, jobs: int) -> None:
    store.create_queue("a", limit=0)
    put_many(store, jobs, queue="a", priority=9)
    put_many(store, 10)


def _later(store: SqliteStore, jobs: int) -> None:
    put_many(store, jobs, due_at=store.now() + 1000)
    put_many(store, 10)


def _many_full_queues(store: SqliteStore, jobs: int) -> None:
    with store.transaction():
        for number in range(jobs // 10):
            store.create_queue(f"q{number}", limit=0)
            put(store, queue=f"q{number}", priority=9)
    put_many(store, 10)


def _held(store: SqliteStore, jobs: int) -> None:
    put_many(store, jobs, paused=True)
    put_many(store, 10)


def test_more_due_jobs_than_are_made_ready_at_once_are_gone_through(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until something is found that can be claimed, or nothing more is due."""
    monkeypatch.setattr(sqlite_claims, "PROMOTED_AT_ONCE", 1000)
    store.create_queue("a")
    store.pause_queue("a", paused=True)
    put_many(store, 3500, queue="a", due_at=store.now() + 1)
    job_id = put(store, due_at=store.now() + 2)
    monkeypatch.setattr(store, "_clock", lambda: Clock().now + 5)
    assert claim_one(store).job_id == job_id
    assert store.claim(HOST, 1) == []
    assert store.next_due() is None


@pytest.mark.parametrize(
    "prepare",
    [_one_queue, _two_queues_interleaved, _paused_queue, _full_queue, _later, _held],
)
def test_a_claim_costs_the_same_however_many_jobs_wait(
    tmp_path: Path, prepare: Callable[[SqliteStore, int], None]
) -> None:
    """Twenty times the jobs, the same number of steps."""
    few, many = (_claim_cost(tmp_path, jobs, prepare) for jobs in (200, 4000))
    assert many <= few + 2


def test_a_claim_looks_at_each_full_queue_once(tmp_path: Path) -> None:
    """Its cost grows with their number and not with its square."""
    few, many = (_claim_cost(tmp_path, jobs, _many_full_queues) for jobs in (1000, 8000))
    assert many <= 9 * few


def test_the_place_in_the_line_costs_the_same_however_many_jobs_wait(tmp_path: Path) -> None:
    """For the best job; for another it costs what is counted."""

    def cost(jobs: int) -> int:
        store = opened(str(tmp_path / f"{jobs}.db"))
        put_many(store, jobs)
        best = put(store, priority=1)
        found = steps_of(store, lambda: ahead_of(store, best))
        assert ahead_of(store, best - 1, most=100) == 100
        store.close()
        return found

    assert cost(8000) <= cost(400) + 2
