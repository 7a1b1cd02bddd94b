"""The files of a batch: which of them want a result, and what has come of them."""

from __future__ import annotations

import os

from queuectl.commands.resultfiles import is_draft
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queuectl.commands.context import Context


class BatchFile(Record):
    """A file and where its result belongs; absolute paths."""

    path: str
    result: str


class BatchTally:
    """What has come of the files."""

    def __init__(self, force: bool) -> None:
        self._force = force
        self.total = 0
        self.done = 0
        #: with a result from an earlier time
        self.before = 0
        #: name and why it has no result
        self.failed: list[tuple[str, str]] = []
        #: names of those whose jobs somebody cancelled, also by interrupting this
        self.cancelled: list[str] = []

    def chosen(self, ctx: Context, names: Sequence[str], suffix: str) -> Iterator[BatchFile]:
        """Yield the files that want a result; each once."""
        seen = set()
        paths = [os.path.join(ctx.cwd, name) for name in names]
        for name, path in zip(names, paths, strict=True):
            old = path.endswith(suffix) and os.path.exists(path[: -len(suffix)])
            if path in seen or old or is_draft(path):
                # a result of an earlier time is no file to work on, nor is half a one
                continue
            seen.add(path)
            self.total += 1
            try:
                wanted = self._is_wanted(path, path + suffix)
            except (OSError, ValueError) as error:
                self.failed.append((name, getattr(error, "strerror", None) or str(error)))
                continue
            if wanted:
                yield BatchFile(path, path + suffix)
            else:
                self.before += 1

    def _is_wanted(self, path: str, result: str) -> bool:
        """Whether a file has no result yet, or one that is older. Raises OSError."""
        # it must be there, be no directory, and readable
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        if os.path.isdir(path):
            raise IsADirectoryError(21, "Is a directory")
        try:
            made = os.stat(result).st_mtime_ns
        except FileNotFoundError:
            return True
        return self._force or made < os.stat(path).st_mtime_ns
