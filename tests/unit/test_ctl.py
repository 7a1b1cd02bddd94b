"""What `ctl` says when nobody answers."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from queuectl import sockets

if TYPE_CHECKING:
    from tests.support.session import Session


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOENT, "; start one with `queuectl serve`"),
        (errno.ECONNREFUSED, "; start one with `queuectl serve`"),
        (errno.EACCES, "; a service answers only its own user and root"),
        (errno.EIO, ""),
    ],
)
def test_the_hint_is_for_the_fault(
    session: Session, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    """Somebody else's socket is not helped by another service."""

    def refuse(_: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sockets, "connect", refuse)
    code, said = session.refused("ctl --socket /s status")
    assert code == 75
    assert said == f"no service answers at /s: {os.strerror(number)}{hint}"
