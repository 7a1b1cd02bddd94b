"""One job's output while it is being written: attempts as they come, every byte once.

What is asked again and again is cheap: the attempt's own file. The store is asked only when
somebody says that the job has changed.
"""

from __future__ import annotations

import os

from queuectl.commands.outputs import is_elsewhere, is_here, output_of
from queuectl.errors import Refused
from queuectl.job import Output
from queuectl.paths import output_path
from queuectl.process.output import Reader, pieces, tail_offset
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.host.shipping import Mirror
    from queuectl.job import Attempt, Job
    from queuectl.process.output import Piece
    from queuectl.store.base import Store


#: where to begin: the newest attempt; that too, but only if it runs or is the last; the first
NEWEST, RUNNING, ALL = "newest", "running", "all"


class Began(Record):
    """An attempt that is told of from here on."""

    run: int


class Ended(Record):
    """An attempt of which all has been told."""

    attempt: Attempt
    #: what could not be told, and why
    trouble: str = ""


class JobTail:
    """Tells what is new of one job. Belongs to one thread."""

    def __init__(
        self,
        store: Store,
        job_id: int,
        *,
        only: int | None = None,
        stream: int | None = None,
        lines: int | None = None,
        since: str = NEWEST,
        ask: Callable[[], object] | None = None,
    ) -> None:
        """Tell of the attempts from `since` on, or `only` of one; `lines`: of the first the last lines.

        `ask` makes another machine ship what the job writes there.
        """
        self.job_id = job_id
        self.job: Job | None = None
        #: whether nothing more will come
        self.ended = False
        #: whether it may be asked again at once
        self.more = False
        self._store = store
        #: the one attempt that is asked for
        self.only = only
        #: the newest attempt of which all has been told
        self.last: Attempt | None = None
        self._stream = stream
        self._lines = lines
        self._since = since
        self._attempts: list[Attempt] = []
        self._next: int | None = only
        self._current: Attempt | None = None
        self._reader: Reader | None = None
        self._offset = 0
        self._ask = ask
        #: what has come of it, while it runs on another machine
        self._mirror: Mirror | None = None

    @property
    def running(self) -> bool:
        """Whether an attempt is being told of that has not ended."""
        return self._current is not None

    def changed(self, job: Job | None) -> None:
        """Take note of what the job is by now; None: it was removed."""
        # attempts are read after the job, so that those of a job that has ended are all there
        self.job = job
        self._attempts = self._store.attempts(self.job_id)
        if self._next is None and job is not None:
            self._next = self._first(job)
        if self._current is not None:
            same = [one for one in self._attempts if one.run == self._current.run]
            self._current = same[0] if same else None
            if not same:
                self._close()

    def new(self) -> Iterator[Piece | Began | Ended]:
        """Yield what has come since the last call, about 1 MiB at the most of a running attempt."""
        self.more = False
        while not self.ended:
            if self._current is None:
                self._current = self._begin()
                if self._current is None:
                    self.ended = self.job is None or self.job.is_final
                    return
                yield Began(self._current.run)
            if self._current.finished_at is None:
                yield from self._growing(self._current)
                return
            yield from self._rest(self._current)
            self._current = None
            self.ended = self.only is not None

    def close(self) -> None:
        """Let go of the file."""
        self._close()

    def _first(self, job: Job) -> int:
        """Return the run to begin with, decided when the job is first looked at."""
        if self._since == ALL or not self._attempts:
            return 0
        newest = self._attempts[-1]
        over = newest.finished_at is not None and not job.is_final
        return newest.run + 1 if over and self._since == RUNNING else newest.run

    def _begin(self) -> Attempt | None:
        first = self._next or 0
        found = next((one for one in self._attempts if one.run >= first), None)
        if found is not None:
            self._next = found.run + 1
            self._offset = 0
        return found

    def _growing(self, attempt: Attempt) -> Iterator[Piece]:
        path = self._path(attempt)
        if self._mirror is not None:
            self._mirror.fetch()
        if self._reader is None:
            growing = Output(path=path)
            if self._lines is not None and self._mirror is not None and not os.path.exists(path):
                # the last lines can be told from the others when there are some
                return
            if self._lines is not None:
                self._offset = _tail_of(growing, self._lines, self._stream)
                self._lines = None
            self._reader = Reader(growing, start=self._offset, stream=self._stream)
        before = self._reader.offset
        found = self._reader.read_new()
        self.more = self._reader.offset > before
        yield from found

    def _path(self, attempt: Attempt) -> str:
        """Return the file with what a running attempt writes, here or copied from elsewhere."""
        if self._mirror is None and self._ask is not None and not is_here(self._store, attempt):
            from queuectl.host.shipping import Mirror

            self._mirror = Mirror(self._store, attempt.job_id, attempt.run, self._ask)
        if self._mirror is not None:
            return self._mirror.path
        return output_path(self._store.local_directory, attempt.job_id, attempt.run)

    def _rest(self, attempt: Attempt) -> Iterator[Piece | Ended]:
        self._close()
        trouble = ""
        try:
            written = output_of(self._store, attempt)
            if written is not None:
                if self._lines is not None:
                    self._offset = tail_offset(written, self._lines, stream=self._stream)
                yield from pieces(written, start=self._offset, stream=self._stream)
                if not written.complete:
                    trouble = _cut(written, attempt, self._store)
        except Refused as error:
            trouble = str(error)
        except OSError as error:
            trouble = f"its output cannot be read: {error.strerror}"
        self._lines = None
        self.last = attempt
        yield Ended(attempt, trouble)

    def _close(self) -> None:
        if self._reader is not None:
            self._offset = self._reader.offset
            self._reader.close()
            self._reader = None
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None


def _cut(written: Output, attempt: Attempt, store: Store) -> str:
    if written.path is None and is_elsewhere(store, attempt):
        return "the rest of its output is on the machine it ran on, if anywhere"
    return "its output is not complete: it was cut"


def _tail_of(growing: Output, lines: int, stream: int | None) -> int:
    try:
        return tail_offset(growing, lines, stream=stream)
    except FileNotFoundError:
        return 0
