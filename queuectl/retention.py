"""What the settings do not keep for ever: which finished jobs are to be pruned. Dead ones always stay."""

from __future__ import annotations

from queuectl.job import CANCELLED, COMPLETED
from queuectl.record import Record
from queuectl.settings import value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.job import State
    from queuectl.store.base import Store

_ALL = 2**62


class Surplus(Record):
    """Jobs of a state that are not kept, as `Store.prune` takes them."""

    state: State
    #: those that finished before this time, ms; None: those that finished first
    before: int | None
    #: how many of them at the most
    most: int = _ALL


def surplus(store: Store) -> Iterator[Surplus]:
    """Yield what is to be pruned now; prune each before the next is asked for. Any thread."""
    made = {**store.local_settings, **store.settings()}
    now = store.now()
    kinds: tuple[tuple[State, str], ...] = (
        (COMPLETED, "keep-completed"),
        (CANCELLED, "keep-cancelled"),
    )
    for state, name in kinds:
        age = int(value_of(name, made))
        if age:
            yield Surplus(state, now - age)
    kept = int(value_of("keep-completed-count", made))
    over = store.counts()[COMPLETED] - kept
    if kept and over > 0:
        yield Surplus(COMPLETED, None, over)
