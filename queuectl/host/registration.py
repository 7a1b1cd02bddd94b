"""A host's row in the store's registry: what others see of it, and how they ask it to stop.

The methods that take a store are requests for the pump.
"""

from __future__ import annotations

import getpass
import os
import socket

from queuectl import __version__
from queuectl.store.base import HostInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from queuectl.store.base import Store

    #: how many workers stay, the queues they take from (empty: all), and the host's resources
    Crew = tuple[int, tuple[str, ...], Mapping[str, int]]


class Registration:
    """The row of one host."""

    def __init__(self, host_id: str, started_at: int, crew: Callable[[], Crew]) -> None:
        self._id = host_id
        self._started_at = started_at
        self._crew = crew
        self._user = _user()

    def write(self, store: Store) -> None:
        """Write the row, whether there is one or not."""
        store.register(self._info(store))

    def renew(self, store: Store) -> None:
        """Write the row again, if there still is one; what others asked for stays in it."""
        own = self._row(store)
        if own is not None:
            info = self._info(store)
            how, workers = own.stop_requested, own.stop_workers
            store.register(info._replace(stop_requested=how, stop_workers=workers))

    def take_stop(self, store: Store) -> tuple[str, int | None] | None:
        """Take what was asked out of the row: how, and how many workers (None: all)."""
        own = self._row(store)
        if own is None or not own.stop_requested:
            return None
        self.write(store)
        return own.stop_requested, own.stop_workers

    def _row(self, store: Store) -> HostInfo | None:
        return next((host for host in store.hosts() if host.id == self._id), None)

    def _info(self, store: Store) -> HostInfo:
        workers, queues, resources = self._crew()
        return HostInfo(
            id=self._id,
            hostname=socket.gethostname(),
            user=self._user,
            pid=os.getpid(),
            version=__version__,
            workers=workers,
            queues=queues,
            started_at=self._started_at,
            seen_at=store.now(),
            resources=resources,
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
