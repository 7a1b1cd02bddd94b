"""What a service says: one line for each event, to stderr, for people or as JSON.

Lines are written by a thread of their own: whoever reads them slowly, or not at all, holds up
neither a job nor a client. What does not fit is dropped and counted.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque

from queuectl.host.handover import log_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Protocol

    from queuectl.host.recovery import Recovered
    from queuectl.store.base import Settled, Settlement

    class Log(Protocol):
        """Hears of events. Any thread; never blocks, never fails."""

        def __call__(self, level: str, event: str, **facts: object) -> None:
            """Say that something has happened."""


#: levels, and what systemd calls them (sd-daemon(3))
ERROR, WARNING, INFO = "error", "warning", "info"
_PRIORITY = {ERROR: "<3>", WARNING: "<4>", INFO: "<6>"}
#: lines that wait to be written at the most
_MOST = 10_000
_SHORT = 8
#: seconds that the last lines have at the end
_PATIENCE = 1.0


def tell_settled(log: Log, settlement: Settlement, settled: Settled) -> None:
    """Say how an attempt has ended, unless somebody else has said so before."""
    if settled.state is None:
        return
    outcome = settlement.outcome
    log(
        INFO if settled.state in ("completed", "cancelled", "pending") else WARNING,
        f"job {settlement.job_id} {settled.state} ({outcome.reason})",
        job=settlement.job_id, state=settled.state, attempt=settlement.run, reason=outcome.reason,
    )  # fmt: skip


def tell_recovered(log: Log, what: Recovered) -> None:
    """Say which host has died, and what became of the attempts that it had under way."""
    jobs = "1 job" if len(what.jobs) == 1 else f"{len(what.jobs)} jobs"
    log(
        WARNING,
        f"recovered {jobs} of host {what.host[:_SHORT]}, which has died",
        host=what.host, jobs=list(what.jobs),
    )  # fmt: skip
    for settlement, settled in what.told:
        tell_settled(log, settlement, settled)


class ServiceLog:
    """The lines of one process. Call it from any thread."""

    def __init__(
        self, fd: int = 2, *, form: str = "text", environ: Mapping[str, str], held: bool = False
    ) -> None:
        """Write to a descriptor; `form` is text or json. `held`: not before `release`."""
        self._fd = fd
        self._json = form == "json"
        self._journal = "JOURNAL_STREAM" in environ
        self._lines: deque[bytes] = deque()
        self._dropped = 0
        self._more = threading.Condition()
        self._ended = False
        self._held = held
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def __call__(self, level: str, event: str, **facts: object) -> None:
        """Say that something has happened; `event` is a sentence, the facts are for programs."""
        line = self._line(level, event, facts)
        with self._more:
            if len(self._lines) >= _MOST:
                self._dropped += 1
                return
            self._lines.append(line)
            self._more.notify()

    def release(self) -> None:
        """Write from now on."""
        with self._more:
            self._held = False
            self._more.notify()

    def close(self) -> None:
        """Write what is left, as far as somebody reads it."""
        with self._more:
            self._ended = True
            self._more.notify()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while True:
            with self._more:
                self._more.wait_for(lambda: (self._lines and not self._held) or self._ended)
                if not self._lines:
                    return
                lines, self._lines = self._lines, deque()
                dropped, self._dropped = self._dropped, 0
            if dropped:
                lines.append(self._line(WARNING, f"{dropped} lines of this log were dropped", {}))
            self._write(b"".join(lines))

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except OSError:
                # nobody reads it any more
                return

    def _line(self, level: str, event: str, facts: Mapping[str, object]) -> bytes:
        now = time.time()
        if self._json:
            whole = {"time": round(now, 3), "level": level, "event": event, **facts}
            return json.dumps(whole, default=str).encode() + b"\n"
        from queuectl.render import visible

        text = visible(event)
        if self._journal:
            line = f"{_PRIORITY.get(level, '<6>')}{text}\n"
        else:
            when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now))
            mark = "" if level == INFO else f"{level}: "
            line = f"{when} {mark}{text}\n"
        return line.encode("utf-8", "backslashreplace")


def say_recovered(
    words: Sequence[str], what: Iterable[Recovered], local: str, fd: int | None
) -> None:
    """Say what a `serve` that was killed, with these words, cannot say itself any more.

    On a descriptor, or without one at the end of its own log. Raises OSError.
    """
    flags = " ".join(words).replace("=", " ")
    form = "json" if "--log-format json" in flags else "text"
    for one in what:
        own = os.open(log_path(local, one.host), os.O_WRONLY | os.O_APPEND) if fd is None else -1
        log = ServiceLog(own if fd is None else fd, form=form, environ=os.environ)
        tell_recovered(log, one)
        log.close()
        if own >= 0:
            os.close(own)
