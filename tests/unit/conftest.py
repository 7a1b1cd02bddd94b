"""Sessions for the tests of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Return a script on an empty store."""
    opened = Session(tmp_path)
    yield opened
    opened.ctx.close()
    opened.store.close()


@pytest.fixture
def busy(session: Session) -> Session:
    """Return a session with 1 completed, 2 dead, 3 failed and waiting, 4 and 5 (named five) pending."""
    session.result("enqueue true")
    session.ends(0)
    session.result("enqueue --max-retries 0 false")
    session.ends(1)
    session.result("enqueue --backoff-base 3600 --max-retries 1 false")
    session.ends(3)
    session.result("enqueue true")
    session.result("enqueue --name five true")
    return session
