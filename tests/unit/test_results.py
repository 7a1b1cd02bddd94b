"""What clients hand in as the output of an attempt, on its way to its place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from queuectl.process.recorder import INLINE_LIMIT
from queuectl.store.results import Draft
from queuectl.store.sqlite.engine import MemoryStore
from tests.support.limits import no_file_larger_than

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    made = MemoryStore({})
    yield made
    made.close()


def test_a_draft_for_which_there_is_no_room_leaves_nothing(store: MemoryStore) -> None:
    """Also when what is still in memory can be written no more at its end."""
    draft = Draft(store, 7, 1)
    with no_file_larger_than(INLINE_LIMIT):
        with pytest.raises(OSError, match="File too large"):
            draft.add(b"x" * (INLINE_LIMIT + 1))
            draft.add(b"y")
            draft.finish()
        draft.discard()
        draft.discard()
    directory = f"{store.local_directory}/output/0"
    assert os.listdir(directory) == []
