"""The lock on the place of a Unix socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.errors import Refused
from queuectl.sockets import SocketLock
from tests.support.limits import no_file_larger_than

if TYPE_CHECKING:
    from pathlib import Path


def test_a_full_disk_keeps_nobody_from_listening(tmp_path: Path) -> None:
    """Only the number of who listens is not told then."""
    path = str(tmp_path / "socket")
    with no_file_larger_than(0):
        lock = SocketLock(path)
    with pytest.raises(Refused, match="another serve listens"):
        SocketLock(path)
    lock.close()
    again = SocketLock(path)
    with pytest.raises(Refused, match=r"another serve \(pid \d+\) listens"):
        SocketLock(path)
    again.close()
