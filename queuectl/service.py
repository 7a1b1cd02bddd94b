"""A service: a host without a terminal, its ways in, and the signals it heeds.

SIGTERM and SIGINT drain: nothing new is taken, what runs is finished; once more and it is handed
back instead. SIGQUIT hands it back at once. SIGHUP reads tokens, certificates and limits again.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time

from queuectl.commands.result import Result, plural, say
from queuectl.errors import QueuectlError
from queuectl.host.handover import end_with_front, go_headless, is_detached, main_pid, once
from queuectl.intake.checks import check
from queuectl.intake.log import ERROR, INFO, ServiceLog, tell_recovered, tell_settled
from queuectl.intake.systemd import Notifier
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from queuectl.commands.context import Context
    from queuectl.host.recovery import Recovered
    from queuectl.store.base import Settled, Settlement

    class Intake(Protocol):
        """A way in."""

        kind: str

        @property
        def where(self) -> str:
            """What it listens to."""

        @property
        def alive(self) -> bool:
            """Whether it works."""

        def start(self) -> None:
            """Begin to serve."""

        def stop(self, timeout: float = ...) -> object:
            """Close everything."""

        def reload(self) -> None:
            """Read again what may have changed."""


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
#: what the thread that waits for the workers writes among the numbers of signals
_ENDED = 0
#: what other threads write there when the store cannot be used, or can again
_TROUBLE = 255
#: seconds between looks whether every way in is alive
_LOOK = 10.0
#: seconds that the store has at the end to let everything be told
_LAST_WORDS = 5.0
#: jobs that are named one by one
_NAMED = 20
_SHORT = 8


class Plan(Record):
    """What a service is to be."""

    workers: int = 1
    queues: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    #: where its Unix socket is; None: it has none
    socket: str | None = None
    messages: str | None = None
    spool: str | None = None
    #: queues whose spool files are read; empty: all that are there
    spool_queues: tuple[str, ...] = ()
    http: str | None = None
    token_file: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    allow_remote: bool = False
    allow_insecure: bool = False
    log_format: str = "text"

    @property
    def tls(self) -> tuple[str, str] | None:
        """The certificate and its key, None without."""
        return (self.tls_cert, self.tls_key) if self.tls_cert and self.tls_key else None


def run_service(ctx: Context, plan: Plan) -> Result:
    """Start a service in this process; the result goes on until it has ended."""
    log = ServiceLog(form=plan.log_format, environ=ctx.environ, held=is_detached())
    service = Service(ctx, plan, log)
    try:
        service.start()
    except BaseException:
        service.close()
        raise
    return service.introduction()._replace(then=service.stay)


class Service:
    """The host and its ways in. `start`, then `stay`; the main thread only."""

    def __init__(self, ctx: Context, plan: Plan, log: ServiceLog) -> None:
        self._ctx = ctx
        self._plan = plan
        self._log = log
        self._notifier = Notifier(ctx.environ, main_pid())
        self._intakes: list[Intake] = []
        self._signals = 0
        self._started = False
        self._said_dead: set[str] = set()
        self._trouble: str | None = None
        # written to by signal handlers and by the thread that waits: no handler ever takes a lock
        self._wake, self._bell = os.pipe()
        os.set_blocking(self._bell, False)

    # ---- the beginning ------------------------------------------------------------------------

    def start(self) -> None:
        """Open every way in, then start the workers. Raises QueuectlError: nothing is left then."""
        check(self._plan, self._ctx.store, self._ctx.environ)
        self._host = host = self._ctx.host()
        host.on_settled = self._settled
        host.tell_recoveries(self._recovered)
        host.on_trouble = self._ring
        for make in self._makers():
            self._intakes.append(make())
        for intake in self._intakes:
            intake.start()
        if self._plan.workers:
            self._start_workers()
        self._take_signals()
        end_with_front()
        self._started = True

    def _start_workers(self) -> None:
        plan = self._plan
        if plan.resources:
            from queuectl.resources import parse_resources

            self._host.start(
                plan.workers, plan.queues, parse_resources(plan.resources, self._ctx.environ)
            )
        else:
            self._host.start(plan.workers, plan.queues)
        threading.Thread(target=self._tell_the_end, name="end-of-workers", daemon=True).start()

    def _makers(self) -> list[Callable[[], Intake]]:
        """Return what makes each way in that is asked for: the socket first, it may be taken."""
        plan, host, log, environ = self._plan, self._host, self._log, self._ctx.environ
        makers: list[Callable[[], Intake]] = []
        if plan.socket is not None:
            from queuectl.intake.socket import SocketIntake

            path = plan.socket
            makers.append(lambda: SocketIntake(host, path, log, environ))
        if plan.messages is not None:
            from queuectl.intake.messages import MessageIntake

            where = plan.messages
            makers.append(
                lambda: MessageIntake(host, where, log, environ, allow_remote=plan.allow_remote)
            )
        if plan.spool is not None:
            from queuectl.intake.spool import SpoolIntake

            directory = plan.spool
            makers.append(
                lambda: SpoolIntake(host, directory, log, environ, only=plan.spool_queues)
            )
        if plan.http is not None:
            from queuectl.intake.web import WebIntake

            bind = plan.http
            makers.append(
                lambda: WebIntake(
                    host, bind, log, environ,
                    token_file=plan.token_file, tls=plan.tls, allow_insecure=plan.allow_insecure,
                )
            )  # fmt: skip
        return makers

    def introduction(self) -> Result:
        """Return what there is to say at the beginning."""
        host = self._host
        ways = {intake.kind: intake.where for intake in self._intakes}
        for intake in self._intakes:
            if hasattr(intake, "tokens"):
                # who has the address needs one of them
                ways["tokens"] = intake.tokens
        only = f" for {', '.join(self._plan.queues)}" if self._plan.queues else ""
        lines = [
            f"host {host.id[:_SHORT]} (pid {os.getpid()}): {plural(host.workers, 'worker')}{only}"
        ]
        lines += [f"{kind}: {where}" for kind, where in ways.items()]
        self._log(INFO, "; ".join(lines), host=host.id, workers=host.workers, **ways)
        self._ready()
        return say("\n".join(lines), {
            "host": host.id, "pid": os.getpid(), "workers": host.workers,
            "queues": list(self._plan.queues), **ways,
        })  # fmt: skip

    def _ready(self) -> None:
        self._notifier.ready(plural(self._host.workers, "worker"))

    def _take_signals(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)

    def _tell_the_end(self) -> None:
        self._host.join()
        os.write(self._bell, bytes((_ENDED,)))

    # ---- the middle ---------------------------------------------------------------------------

    def stay(self) -> Result:
        """Wait for the end, or for a signal."""
        if is_detached():
            go_headless(self._ctx.store.local_directory, self._host.id)
            self._log.release()
            self._take_signals()
        looked = time.monotonic()
        every = min(_LOOK, self._notifier.every or _LOOK)
        while True:
            if select.select([self._wake], [], [], every)[0]:
                told = os.read(self._wake, 64)
                if _TROUBLE in told:
                    self._tell_trouble()
                if _ENDED in told or (self._heed(once(told)) and not self._host.workers):
                    return self._end()
            if time.monotonic() - looked >= every / 2:
                looked = time.monotonic()
                self._look()

    def _heed(self, said: bytes) -> bool:
        """Heed signals; True: there is nothing to wait for any more."""
        if signal.SIGHUP in said:
            self._reload()
        stops = len(said) - said.count(signal.SIGHUP)
        if not stops:
            return False
        self._signals += stops
        now = self._signals > 1 or signal.SIGQUIT in said
        self._notifier.stopping("ending jobs" if now else "finishing jobs")
        if self._signals == stops:
            self._close_intakes(all_but="socket")
        ids = sorted(claim.job_id for claim in self._host.stop(now=now))
        if ids:
            named = ", ".join(map(str, ids[:_NAMED])) + (", …" if len(ids) > _NAMED else "")
            jobs = f"{'job' if len(ids) == 1 else 'jobs'} {named}"
            text = f"ending {jobs}" if now else f"finishing {jobs}; once more to hand back instead"
            self._log(INFO, text, jobs=ids)
        return not self._plan.workers

    def _reload(self) -> None:
        self._notifier.reloading()
        for intake in self._intakes:
            try:
                intake.reload()
            except QueuectlError as error:
                self._log(ERROR, f"{intake.kind}: {error}; it goes on as it was")
        self._log(INFO, "settings were read again")
        self._ready()

    def _ring(self) -> None:
        try:
            os.write(self._bell, bytes((_TROUBLE,)))
        except BlockingIOError:
            # full of bells: it will wake, and looks now and then anyway
            pass

    def _tell_trouble(self) -> None:
        """Say once that jobs cannot be saved or started, and once that they can."""
        before, self._trouble = self._trouble, self._host.trouble
        if self._trouble and not before:
            self._log(ERROR, f"trouble: {self._trouble}")
        elif before and not self._trouble:
            self._log(INFO, "the trouble is over")

    def _look(self) -> None:
        """Tell the service manager that all is well, unless it is not."""
        self._tell_trouble()
        dead = [intake for intake in self._intakes if not intake.alive]
        for intake in dead:
            if intake.kind not in self._said_dead:
                self._said_dead.add(intake.kind)
                self._log(ERROR, f"{intake.kind} has ended by itself")
        if not dead:
            self._notifier.alive()

    def _settled(self, settlement: Settlement, settled: Settled) -> None:
        tell_settled(self._log, settlement, settled)

    def _recovered(self, what: Recovered) -> None:
        tell_recovered(self._log, what)

    # ---- the end ------------------------------------------------------------------------------

    def _close_intakes(self, all_but: str = "") -> None:
        """Close the ways in; the socket last, so that one can ask how far it has come."""
        for intake in reversed(self._intakes):
            if intake.kind != all_but:
                intake.stop()
        self._intakes = [intake for intake in self._intakes if intake.kind == all_but]

    def _end(self) -> Result:
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._notifier.stopping("ending")
        try:
            # behind what the workers have reported, so that all of it has been told
            self._host.queue.call(lambda store: store.now(), _LAST_WORDS)
        except (QueuectlError, TimeoutError):
            # the store cannot be used: who recovers this host will know
            pass
        self.close()
        return Result()

    def close(self) -> None:
        """Close what is open, but for the workers' host, which the session closes."""
        self._close_intakes()
        if self._started:
            self._log(INFO, "the service has ended")
        self._log.close()
