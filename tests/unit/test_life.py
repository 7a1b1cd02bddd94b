"""Which hosts are known to be dead, by their files and leases: looked at, never touched."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from queuectl.host import hostfile
from queuectl.host.hostfile import HostFile, OtherHost
from queuectl.host.life import dead_among, has_died, living
from queuectl.paths import host_path, hosts_directory
from queuectl.store.records import SILENT
from queuectl.store.sqlite.engine import MemoryStore
from tests.support.work import HOST, OTHER, a_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.store.base import Store


@pytest.fixture
def store() -> Iterator[Store]:
    store = MemoryStore({})
    os.makedirs(hosts_directory(store.local_directory))
    yield store
    store.close()


@pytest.fixture
def file(store: Store) -> Iterator[HostFile]:
    """Return the file of a host that lives."""
    store.register(a_host(HOST))
    file = HostFile(host_path(hosts_directory(store.local_directory), HOST), 1)
    yield file
    file.close()


def test_a_free_lock_means_dead(store: Store, file: HostFile) -> None:
    """A held one does not, nor does a file that is not there."""
    store.register(a_host(OTHER))
    assert dead_among(store, store.hosts()) == frozenset()
    file.close(keep=True)
    assert dead_among(store, store.hosts()) == {HOST}
    assert [host.id for host in living(store)] == [OTHER]


def test_looking_takes_nothing_from_whoever_recovers(store: Store, file: HostFile) -> None:
    """Neither before nor meanwhile: then it counts as alive, as somebody cares for it."""
    file.close(keep=True)
    directory = hosts_directory(store.local_directory)
    assert has_died(directory, HOST)
    with OtherHost(file.path) as other:
        assert other.seize()
        assert not has_died(directory, HOST)
        assert not has_died(directory, HOST)
    with open(file.path, "rb") as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)
        assert has_died(directory, HOST)


def test_a_free_lock_proves_nothing_of_another_container(
    store: Store, file: HostFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the machine was started anew since."""
    file.close(keep=True)
    monkeypatch.setattr(hostfile, "pid_namespace", lambda: 1)
    assert not dead_among(store, store.hosts())
    monkeypatch.setattr(hostfile, "boot_id", lambda: "another boot")
    assert dead_among(store, store.hosts()) == {HOST}


@pytest.mark.parametrize("content", [b"", b"no host file"])
def test_what_is_no_host_file_proves_nothing(store: Store, content: bytes) -> None:
    store.register(a_host(HOST))
    with open(host_path(hosts_directory(store.local_directory), HOST), "wb") as file:
        file.write(content)
    assert not dead_among(store, store.hosts())


def test_a_lease_that_is_over_means_dead() -> None:
    """Of a host that keeps no file here: a program that claims, or one behind HTTP."""
    store = MemoryStore({})
    store.register(a_host(HOST, store.now() - SILENT, lease=2 * SILENT))
    store.register(a_host(OTHER, store.now() - SILENT, lease=SILENT - 1))
    assert dead_among(store, store.hosts()) == {OTHER}
    store.close()
