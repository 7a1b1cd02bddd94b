"""A spool directory: every line appended to DIR/QUEUE.queue is a message of that queue.

How far a file has been read is noted in the transaction that adds the jobs, so whatever happens at
whatever point each line becomes one job. A line counts when its newline is there. A file that was
renamed is read to its end beside the new one. The directory is watched, and looked at now and then
in case nobody told.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time

from queuectl.commands.queues import check_queue_name
from queuectl.commands.readers import Reading
from queuectl.commands.spooling import check_directory
from queuectl.errors import NoSuchQueue, QueuectlError, Refused, StoreUnavailable
from queuectl.failpoint import reach
from queuectl.intake.deliver import Deliverer, add_each
from queuectl.intake.limits import LONGEST_MESSAGE
from queuectl.intake.log import ERROR, INFO, WARNING
from queuectl.intake.session import PeerContext
from queuectl.intake.spoolfile import SpoolFile, open_file, pack, refuse_foreign, unpack
from queuectl.intake.unread import Unread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from queuectl.host.worker import WorkerHost
    from queuectl.intake.log import Log
    from queuectl.intake.spoolfile import Lines, Place
    from queuectl.job import NewJob
    from queuectl.store.base import Store

SUFFIX = ".queue"
#: seconds between looks when nobody tells of a change, and when a watcher does
POLL, WATCHED_POLL = 0.5, 2.0
#: ms between the watcher's looks, and for what comes together
_STEP, _TOGETHER = 100, 50
#: seconds that a renamed file is read on after the last change: who has it open may write to it
QUIET = 10.0
#: messages committed together at the most
GROUP = 1000
_FAILURE_PAUSE = 1.0
#: renamed files of one queue that are read at the same time
_MOST_OLD = 20


class _Stale(Exception):  # noqa: N818
    """Somebody else has read on."""


class _Queue:
    """The files of one queue, the present one last."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: list[SpoolFile] = []
        self.note: bytes | None = None
        self.known = False
        self.unread: Unread | None = None

    def places(self) -> list[Place]:
        return [file.place for file in self.files]


class SpoolIntake:
    """The intake."""

    kind = "spool"

    def __init__(
        self, host: WorkerHost, directory: str, log: Log, environ: Mapping[str, str], *,
        only: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Open nothing yet. Raises UsageError when there is no such directory."""
        check_directory("--spool ", directory)
        self.where = os.path.realpath(directory)
        self._host = host
        self._store = host.store
        self._log = log
        self._only = frozenset(only)
        self._environ = environ
        self._reading: Reading | None = None
        self._deliverer = Deliverer(PeerContext(host, environ, lambda: False))
        self._queues: dict[str, _Queue] = {}
        #: the directory's entries at the last look
        self._entries: list[str] = []
        #: what has been said about a file, to be said once
        self._said: dict[str, str] = {}
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._watched = False
        self._prefix = (
            "spool/" + hashlib.blake2b(os.fsencode(self.where), digest_size=8).hexdigest()
        )
        self._threads = [
            threading.Thread(target=self._run, name="spool", daemon=True),
            threading.Thread(target=self._watch, name="spool-watch", daemon=True),
        ]

    # ---- life ---------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether files are read."""
        return self._threads[0].is_alive()

    def start(self) -> None:
        """Begin to read."""
        self._reading = Reading(self._environ, self.where, sorted(self._only))
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Read no more; what has not been read is there next time."""
        self._stop.set()
        self._changed.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout)
        if self._reading is not None:
            self._reading.close()

    def reload(self) -> None:
        """Look again, and say again what is amiss."""
        self._said.clear()
        self._changed.set()

    def _watch(self) -> None:
        """Wake the reader when something changes, where the watcher is installed."""
        try:
            from watchfiles import watch
        except ImportError:
            return
        while not self._stop.is_set():
            try:
                self._watched = True
                for _ in watch(
                    self.where, stop_event=self._stop, recursive=False, watch_filter=None,
                    debounce=_TOGETHER, step=_STEP, raise_interrupt=False, rust_timeout=5000,
                ):  # fmt: skip
                    self._changed.set()
            except Exception as error:  # noqa: BLE001 - the poll goes on
                self._watched = False
                self._say("", f"not watched ({error}): looked at every {POLL} s instead")
                self._stop.wait(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._changed.clear()
            busy = False
            try:
                busy = self.look()
            except Exception as error:  # noqa: BLE001 - one bad look must not end the service
                self._log(ERROR, f"spool: {type(error).__name__}: {error}")
                self._stop.wait(_FAILURE_PAUSE)
            if not busy:
                self._changed.wait(WATCHED_POLL if self._watched else POLL)
        for queue in self._queues.values():
            for file in queue.files:
                file.close()

    # ---- a look -------------------------------------------------------------------------------

    def look(self) -> bool:
        """Read every file on; True: there was something, and there may be more."""
        self._deliverer.look_again()
        busy = False
        for name in self._names():
            if self._stop.is_set():
                return False
            try:
                busy = self._look_at(name) or busy
            except StoreUnavailable as error:
                self._say(name, f"{name}{SUFFIX} waits: {error}")
            except (QueuectlError, OSError) as error:
                reason = str(error) if isinstance(error, QueuectlError) else error.strerror
                self._say(name, f"{name}{SUFFIX} is not read: {reason}")
        return busy

    def _names(self) -> list[str]:
        """Return the queues that have a file, and those that had one."""
        found = set(self._queues)
        try:
            self._entries = entries = os.listdir(self.where)
            self._unsay("")
        except OSError as error:
            self._say("", f"{self.where}: {error.strerror}")
            return sorted(found)
        for entry in entries:
            name = entry.removesuffix(SUFFIX)
            if name == entry or (self._only and name not in self._only):
                continue
            try:
                check_queue_name(name)
            except QueuectlError as error:
                self._say(name, f"{entry} is not read: {error}")
                continue
            found.add(name)
        return sorted(found)

    def _say(self, name: str, text: str) -> None:
        """Say something about a file, once until it changes."""
        if self._said.get(name) != text:
            self._said[name] = text
            self._log(WARNING, f"spool: {text}", file=f"{name}{SUFFIX}")

    def _unsay(self, name: str) -> None:
        self._said.pop(name, None)

    def _look_at(self, name: str) -> bool:
        queue = self._queues.setdefault(name, _Queue(name))
        if not queue.known:
            self._recall(queue)
        self._take_present(queue)
        make = self._deliverer.maker(name) if queue.files else None
        moved = False
        for file in tuple(queue.files):
            # a reading by somebody else replaces them all
            if make is not None and file in queue.files and self._read(queue, file, make):
                moved = True
        self._unsay(name)
        self._let_go(queue)
        self._tell_of_unread(queue)
        return moved

    def _tell_of_unread(self, queue: _Queue) -> None:
        """Say which renamed files of a queue nobody has read."""
        present = f"{queue.name}{SUFFIX}"
        if queue.unread is None:
            queue.unread = Unread(self._store, self._host.call, f"{self._prefix}/{queue.name}/read")
        renamed = [name for name in self._entries if name.startswith(present) and name != present]
        reading = {file.inode for file in queue.files}
        for name in queue.unread.look(self.where, renamed, reading):
            self._log(WARNING, f"spool: {name} was renamed before it was read: its lines are not enqueued;"
                      f" `cat {name} >>{present}` would do it", file=name)  # fmt: skip

    def _path(self, name: str) -> str:
        return f"{self.where}/{name}{SUFFIX}"

    def _recall(self, queue: _Queue) -> None:
        """Open the files that the store's note names; one that was renamed is looked for."""
        for file in queue.files:
            file.close()
        queue.files = []
        queue.note = self._store.note(f"{self._prefix}/{queue.name}")
        for place in unpack(queue.note):
            found = self._find(queue.name, place)
            if found is not None:
                queue.files.append(found)
        queue.known = True

    def _find(self, name: str, place: Place) -> SpoolFile | None:
        """Return the file of a place, under its own name or another in the directory."""
        present = f"{name}{SUFFIX}"
        with os.scandir(self.where) as entries:
            same = [entry.name for entry in entries if entry.inode() == place.inode]
        for entry in same:
            try:
                fd = open_file(f"{self.where}/{entry}")
            except (QueuectlError, OSError):
                continue
            file = SpoolFile(fd, place)
            # a renamed one that is not what it was is another file of the same number
            if file.check() or entry == present:
                return file
            file.close()
        if place.offset:
            self._log(INFO, f"spool: the file that {present} was is gone", file=present)
        return None

    def _take_present(self, queue: _Queue) -> None:
        """See to it that the file of the queue's name is the last one. Raises Refused, OSError."""
        path = self._path(queue.name)
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        refuse_foreign(found, path)
        if queue.files and queue.files[-1].inode == found.st_ino:
            return
        for file in queue.files:
            if file.inode == found.st_ino:
                # renamed there and back
                queue.files.remove(file)
                queue.files.append(file)
                return
        from queuectl.intake.spoolfile import Place

        if len(queue.files) > _MOST_OLD:
            raise Refused(f"more than {_MOST_OLD} renamed files are being written to")
        fd = open_file(path)
        queue.files.append(SpoolFile(fd, Place(os.fstat(fd).st_ino)))

    # ---- lines --------------------------------------------------------------------------------

    def _read(self, queue: _Queue, file: SpoolFile, make: Callable[[str], NewJob]) -> bool:
        """Read some lines and enqueue them; True: there were some."""
        if not file.check():
            self._log(WARNING, f"spool: {queue.name}{SUFFIX} was cut or written anew: from its beginning",
                      file=f"{queue.name}{SUFFIX}")  # fmt: skip
        found = file.read(LONGEST_MESSAGE)
        if found is None:
            return False
        jobs = self._jobs(queue, file, found, make)
        places = [found.place if one is file else one.place for one in queue.files]
        try:
            added = self._commit(queue, jobs, places)
        except _Stale:
            self._say(queue.name, f"{queue.name}{SUFFIX} is read by another service too")
            self._recall(queue)
            return True
        file.place = found.place
        reach("after-spool-commit")
        for error in added:
            self._log(ERROR, f"spool: {queue.name}{SUFFIX}: a line was refused: {error}")
        return True

    def _jobs(
        self, queue: _Queue, file: SpoolFile, found: Lines, make: Callable[[str], NewJob]
    ) -> list[NewJob]:
        """Return the jobs of lines; what can be no message is told of and passed over."""
        jobs = []
        offset = file.place.offset
        for line in found.lines:
            if line:
                try:
                    jobs.append(make(line.decode("utf-8", "surrogateescape")))
                except QueuectlError as error:
                    self._refused(queue, offset, str(error))
            offset += len(line) + 1
        if found.skipped:
            self._refused(queue, offset, f"a line of {found.skipped} bytes is too long")
        return jobs

    def _refused(self, queue: _Queue, offset: int, why: str) -> None:
        name = f"{queue.name}{SUFFIX}"
        self._log(ERROR, f"spool: {name}: the line at byte {offset} was passed over: {why}",
                  file=name, offset=offset)  # fmt: skip

    def _commit(
        self, queue: _Queue, jobs: Sequence[NewJob], places: list[Place]
    ) -> list[QueuectlError]:
        """Enqueue jobs and note the places, both or neither; return the errors of single jobs.

        Raises _Stale when the note is not what it was, StoreUnavailable.
        """
        name = f"{self._prefix}/{queue.name}"
        before, after = queue.note, pack(places)

        def change(store: Store) -> list[int | QueuectlError]:
            if store.note(name) != before:
                raise _Stale
            added: list[int | QueuectlError] = []
            for first in range(0, len(jobs), GROUP):
                added += add_each(store, jobs[first : first + GROUP])
            missing = [error for error in added if isinstance(error, NoSuchQueue)]
            if missing:
                # removed this moment: the lines wait for it to come back
                raise missing[0]
            store.put_note(name, after)
            reach("before-spool-commit")
            return added

        added = self._host.call(change)
        queue.note = after
        return [error for error in added if isinstance(error, QueuectlError)]

    def _let_go(self, queue: _Queue) -> None:
        """Close renamed files that have been read to the end and that nobody writes to."""
        now = time.monotonic()
        over = [
            file for at, file in enumerate(queue.files, 1)
            # the last one may get its name back as long as there is one
            if now - file.moved_at > QUIET and (at < len(queue.files) or file.deleted)
        ]  # fmt: skip
        for file in over:
            left = file.left()
            if left:
                self._log(WARNING, f"spool: {queue.name}{SUFFIX}: {left} bytes without a newline were left"
                          " in a file that is not its own any more", file=f"{queue.name}{SUFFIX}")  # fmt: skip
        if not over:
            return
        staying = [file for file in queue.files if file not in over]
        try:
            self._commit(queue, (), [file.place for file in staying])
        except _Stale:
            self._recall(queue)
            return
        if queue.unread is not None:
            queue.unread.remember([file.place for file in over if not file.deleted])
        for file in over:
            file.close()
        queue.files = staying
