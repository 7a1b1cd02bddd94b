"""Stores: where jobs live. `open_store` finds the right one for a URL."""

from __future__ import annotations

import os

from queuectl.errors import MissingExtra, StoreUnavailable, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.store.base import Store


def open_store(
    url: str,
    local_settings: Mapping[str, str] | None = None,
    *,
    token_file: str | None = None,
) -> Store:
    """Open the store of a URL: `sqlite:///path/queue.db`, `postgresql://…`, `http://…` of a `serve`.

    `memory:` is one that goes with the process; a bare path is taken as a SQLite file. Creates a
    SQLite store that is not there yet, and the schema of a PostgreSQL one; to a server nothing is
    sent yet; `token_file` is for one, else QUEUECTL_TOKEN_FILE. Raises UsageError for a URL that
    no store knows, StoreUnavailable when it cannot be used, Refused for a token file that others
    can read, MissingExtra.
    """
    scheme, colon, rest = url.partition(":")
    if scheme == "memory" and colon and not rest:
        from queuectl.store.sqlite.engine import open_memory

        return open_memory(local_settings or {})
    path = sqlite_path(url)
    if path is not None:
        from queuectl.store.sqlite.engine import SqliteStore

        return SqliteStore(path, local_settings or {})
    if scheme in ("http", "https") and rest.startswith("//"):
        return _remote(url, local_settings or {}, token_file)
    if scheme in {"postgresql", "postgres"} and rest.startswith("//"):
        try:
            from queuectl.store.postgres.engine import open_postgres
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("psycopg"):
                raise
            raise MissingExtra(what="postgresql://", module="psycopg", extra="postgres") from None
        return open_postgres(url, local_settings or {})
    raise UsageError(
        f"no store {_without_password(url)!r}: a store is sqlite:///absolute/path,"
        " postgresql://host/database, http://host:port of a `serve` or memory:"
    )


def sqlite_path(url: str) -> str | None:
    """Return the absolute path of the database that a URL or a path means; None: it is no SQLite store."""
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest.startswith("///") and rest.strip("/"):
        # others write sqlite:////path for an absolute one: it is the same
        return "/" + rest.lstrip("/")
    if url.startswith(("/", "./", "../", "~")):
        return os.path.abspath(os.path.expanduser(url))
    return None


def check_place(url: str, *, file: bool = False) -> None:
    """Refuse a SQLite store that somebody named and whose directory is not there: a slip, as a rule.

    `file`: also one whose file is not. Asks the file system only. Raises StoreUnavailable.
    """
    path = sqlite_path(url)
    if path is None:
        return
    directory = os.path.dirname(path)
    if not os.path.lexists(directory):
        import shlex

        reason = f"there is no directory {directory}: mkdir -p {shlex.quote(directory)}"
        raise StoreUnavailable(store=f"sqlite://{path}", reason=reason)
    if file and os.path.isdir(directory) and not os.path.lexists(path):
        reason = "there is none yet: the first `enqueue` makes it"
        raise StoreUnavailable(store=f"sqlite://{path}", reason=reason)


def _remote(url: str, local_settings: Mapping[str, str], token_file: str | None) -> Store:
    """Return the store of a `serve`, with the token of the URL or of a file.

    Nothing is sent yet. Raises UsageError, Refused for a token file that others can read.
    """
    from queuectl.store.remote.engine import remote_store
    from queuectl.store.remote.token import token_for

    token, path = token_for(url, token_file)
    return remote_store(url, local_settings, token=token, token_file=path)


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme, slashes, login = head.partition("://")
    if not at or not slashes:
        return url
    if scheme in ("http", "https"):
        # what stands there is a token
        return f"{scheme}://{tail}"
    return f"{scheme}://{login.partition(':')[0]}@{tail}"
