"""Stores: where jobs live. `open_store` finds the right one for a URL."""

from __future__ import annotations

from queuectl.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.store.base import Store


def open_store(url: str, local_settings: Mapping[str, str] | None = None) -> Store:
    """Open the store of a URL: `sqlite:///path/queue.db`, or `memory:` for one that goes with the process.

    A bare path is taken as a SQLite file. Creates a SQLite store that is not there yet.
    Raises UsageError for a URL that no store knows, StoreUnavailable when it cannot be used.
    """
    scheme, colon, rest = url.partition(":")
    if scheme == "memory" and colon and not rest:
        from queuectl.store.sqlite import open_memory

        return open_memory(local_settings or {})
    if scheme == "sqlite" and rest.startswith("///") and rest.strip("/"):
        from queuectl.store.sqlite import SqliteStore

        # others write sqlite:////path for an absolute one: it is the same
        return SqliteStore("/" + rest.lstrip("/"), local_settings or {})
    if url.startswith(("/", "./", "../", "~")):
        import os

        from queuectl.store.sqlite import SqliteStore

        return SqliteStore(os.path.abspath(os.path.expanduser(url)), local_settings or {})
    raise UsageError(
        f"no store {_without_password(url)!r}: a store is sqlite:///absolute/path or memory:"
    )


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme, slashes, login = head.partition("://")
    if not at or not slashes:
        return url
    return f"{scheme}://{login.partition(':')[0]}@{tail}"
