"""What a command may use: the store, the way to write to it, and who is asking from where."""

from __future__ import annotations

import os

from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO, TypeVar

    from queuectl.host.worker import WorkerHost
    from queuectl.store.base import Settled, Settlement, Store

    T = TypeVar("T")

#: a command typed on a command line, a line of a script, a line of the interactive shell
ONE_SHOT, SCRIPT, SHELL = "one-shot", "script", "shell"


class Screen(Record):
    """Where the answer will be read."""

    terminal: bool = False
    width: int = 80
    height: int = 24


def is_dumb(environ: Mapping[str, str]) -> bool:
    """Whether a terminal cannot move its cursor: nothing on it can be drawn again."""
    return environ.get("TERM", "").lower() in ("", "dumb", "unknown")


class Context:
    """One session: a one-shot command, a script, or a shell. Belongs to one thread."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        environ: Mapping[str, str],
        url: Callable[[], str] | None = None,
        mode: str = ONE_SHOT,
        screen: Screen = Screen(),  # noqa: B008 (immutable)
        stdin: BinaryIO | None = None,
        confirm: Callable[[str], bool] | None = None,
        progress: Callable[[int, int], None] | None = None,
        on_settled: Callable[[Settlement, Settled], None] | None = None,
    ) -> None:
        """Open nothing yet.

        `url` tells what opens the store in another process; `stdin` is what `enqueue -` reads, None
        when it is taken; `confirm` asks a person, None when there is nobody to ask; `progress` hears
        (jobs so far, about how many there are or 0) while many are enqueued; `on_settled` hears on
        the pump's thread how each job of this process's workers ended.
        """
        self._open_store = open_store
        self._store: Store | None = None
        self._host: WorkerHost | None = None
        self._cwd: str | None = None
        self._submitter: str | None = None
        self.environ = environ
        #: returns the store's URL with its secrets: for the environment of a process of ours only
        self.url = url
        self.mode = mode
        self.screen = screen
        self.stdin = stdin
        self.confirm = confirm
        self.progress = progress
        self._on_settled = on_settled
        #: newest job that this session enqueued
        self.last_id: int | None = None
        #: set by `exit`
        self.leaving = False
        #: what has been said once and need not be said again in a script
        self._said: set[str] = set()
        #: answers that hold for a while, such as where a program is
        self.memo: dict[object, object] = {}

    @property
    def store(self) -> Store:
        """The store, opened when first asked for. For reading; write through `write`."""
        if self._store is None:
            self._store = self._open_store()
        return self._store

    @property
    def opened(self) -> bool:
        """Whether anything has used the store."""
        return self._store is not None

    @property
    def running_host(self) -> WorkerHost | None:
        """The workers of this process, None when there never were any."""
        return self._host

    def host(self) -> WorkerHost:
        """Return the workers of this process, made when first asked for."""
        if self._host is None:
            from queuectl.host import handover
            from queuectl.host.worker import WorkerHost
            from queuectl.paths import host_path, hosts_directory

            self._host = WorkerHost(self.store, on_settled=self._on_settled)
            front = handover.link()
            if front is not None:
                front.announce(
                    host_path(hosts_directory(self.store.local_directory), self._host.id)
                )
                self._host.guarded_by(front)
        return self._host

    def write(self, change: Callable[[Store], T]) -> T:
        """Run a change of the store where this process writes; return after the commit."""
        if self._host is not None:
            return self._host.call(change)
        return change(self.store)

    @property
    def cwd(self) -> str:
        """The directory of jobs enqueued from here."""
        if self._cwd is None:
            try:
                self._cwd = os.getcwd()
            except OSError:
                from queuectl.errors import Refused

                raise Refused(
                    "the current directory does not exist any more: cd to another"
                ) from None
        return self._cwd

    @cwd.setter
    def cwd(self, path: str) -> None:
        self._cwd = path

    @property
    def submitter(self) -> str:
        """Who is asking, as user@host."""
        if self._submitter is None:
            self._submitter = f"{user_name()}@{os.uname().nodename}"
        return self._submitter

    @property
    def interactive(self) -> bool:
        """Whether a person types line after line."""
        return self.mode == SHELL

    def setting(self, name: str) -> str:
        """Return what a setting is for jobs enqueued from here, as text: queues are not asked."""
        from queuectl.settings import BY_NAME

        for values in (self.store.settings(), self.store.local_settings):
            if name in values:
                return values[name]
        return BY_NAME[name].default

    def last_job(self) -> int | None:
        """Return the newest job of this session, else of this user on this machine."""
        if self.last_id is not None:
            return self.last_id
        return self.store.newest_id(self.submitter)

    def once(self, remark: str) -> Iterator[str]:
        """Yield a remark; outside the interactive shell only the first time."""
        if self.mode == SHELL or remark not in self._said:
            self._said.add(remark)
            yield remark

    def close(self, *, now: bool = False) -> None:
        """Let go of workers, which finish what they run (`now`: hand it back), and of the store."""
        if self._host is not None:
            self._host.close(now=now)
            self._host = None
        if self._store is not None:
            self._store.close()
            self._store = None


def user_name() -> str:
    """Return the account's name, its number when it has none."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
