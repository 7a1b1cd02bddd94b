"""Stores: where jobs live. `open_store` finds the right one for a URL."""

from __future__ import annotations

from queuectl.errors import StoreUnavailable, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.store.base import Store


def open_store(url: str, local_settings: Mapping[str, str] | None = None) -> Store:
    """Open the store of a URL: `sqlite:///path/queue.db`, `postgresql://…`, `http://…` of a `serve`.

    `memory:` is one that goes with the process; a bare path is taken as a SQLite file. Creates a
    SQLite store that is not there yet, and the schema of a PostgreSQL one; to a server nothing is
    sent yet. Raises UsageError for a URL that no store knows, StoreUnavailable when it cannot be
    used, Refused for a token file that others can read.
    """
    scheme, colon, rest = url.partition(":")
    if scheme == "memory" and colon and not rest:
        from queuectl.store.sqlite.engine import open_memory

        return open_memory(local_settings or {})
    if scheme == "sqlite" and rest.startswith("///") and rest.strip("/"):
        from queuectl.store.sqlite.engine import SqliteStore

        # others write sqlite:////path for an absolute one: it is the same
        return SqliteStore("/" + rest.lstrip("/"), local_settings or {})
    if scheme in ("http", "https") and rest.startswith("//"):
        return _remote(url, local_settings or {})
    if scheme in {"postgresql", "postgres"} and rest.startswith("//"):
        try:
            from queuectl.store.postgres.engine import open_postgres
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("psycopg"):
                raise
            raise StoreUnavailable(
                store="postgresql",
                reason="psycopg is not installed: pip install 'queuectl[postgres]'",
            ) from None
        return open_postgres(url, local_settings or {})
    if url.startswith(("/", "./", "../", "~")):
        import os

        from queuectl.store.sqlite.engine import SqliteStore

        return SqliteStore(os.path.abspath(os.path.expanduser(url)), local_settings or {})
    raise UsageError(
        f"no store {_without_password(url)!r}: a store is sqlite:///absolute/path,"
        " postgresql://host/database or memory:"
    )


def _remote(url: str, local_settings: Mapping[str, str]) -> Store:
    """Return the store of a `serve`, with the token of the URL or of QUEUECTL_TOKEN_FILE.

    Nothing is sent yet. Raises UsageError, Refused for a token file that others can read.
    """
    from queuectl.store.remote.engine import remote_store
    from queuectl.store.remote.token import token_for

    return remote_store(url, local_settings, token=token_for(url))


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme, slashes, login = head.partition("://")
    if not at or not slashes:
        return url
    if scheme in ("http", "https"):
        # what stands there is a token
        return f"{scheme}://{tail}"
    return f"{scheme}://{login.partition(':')[0]}@{tail}"
