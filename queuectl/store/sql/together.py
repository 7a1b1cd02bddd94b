"""Many jobs changed one after the other in one transaction, but read and written at once."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, Self

    from queuectl.job import State
    from queuectl.store.rules import Facts
    from queuectl.store.sql.dependents import Dependents


class Together:
    """The jobs of one call. What comes of it is what it would be were each read and written by itself.

    Decisions follow one another in the order given, and what they write waits. It is written before
    anything else is looked at that may depend on it, and at the end of the `with` block.
    """

    def __init__(
        self, store: Dependents, ids: Sequence[int], write: Callable[[list[Any]], None]
    ) -> None:
        """Read and lock the jobs, within the present transaction; `write` takes what waits."""
        self._store = store
        self._known = store.facts_of(ids)
        self._write = write
        self._waiting: list[Any] = []

    def facts(self, job_id: int) -> Facts | None:
        """Return what is known of a job now: of one that was asked for before, with what that did."""
        found = self._known.pop(job_id, None)
        if found is None:
            self.write()
            found = self._store.facts(job_id)
        return found

    def later(self, what: Any) -> None:
        """Have something written."""
        self._waiting.append(what)

    def write(self) -> None:
        """Write what waits."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._write(waiting)

    def follow(self, job_id: int, state: State | None) -> None:
        """Let follow what follows from a job's end, see Dependents.follow."""
        self.write()
        for other in self._store.follow(job_id, state):
            self._known.pop(other, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.write()
