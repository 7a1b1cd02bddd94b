"""A host's lease on a shared store: renewed in time, or its jobs end before others may run them.

The store's clock decides when a lease has ended; from then on any host may recover this one. Here
its end is counted on this machine's clock from before the renewal was sent, so it comes no later
than the store's. Two threads: one renews, and may hang on a dead network; the other only looks at
the clock. A host that cannot renew ends its jobs, first kindly and then not, while the lease still
runs; those whose policy says so (on-lost-contact = continue) go on, and what they come to is
reported when the store is there again, and refused if somebody else has the job by then.
"""

from __future__ import annotations

import signal
import threading

from queuectl.clocks import boot_clock
from queuectl.errors import StoreUnavailable
from queuectl.host.shipping import Shipper
from queuectl.job import SIGNAL, STOPPED, Outcome
from queuectl.paths import output_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from abc import abstractmethod
    from collections.abc import Callable
    from typing import Protocol

    from queuectl.host.worker import WorkerHost
    from queuectl.job import Claim
    from queuectl.store.base import Store

    class Tenant(Protocol):
        """What a lease needs of its host. Every method may be called from any thread."""

        @property
        def id(self) -> str:
            """Who it is in the store."""

        @abstractmethod
        def lost_contact(self, *, now: bool) -> None:
            """End what runs, but for what is to continue; `now`: without grace."""

        @abstractmethod
        def recovered(self) -> None:
            """Others have taken this host's jobs: end them all, and register anew."""

        @abstractmethod
        def failed(self, error: Exception) -> None:
            """Hear of an error that should not have been."""

    class Guardian(Protocol):
        """Who ends this host's jobs when the host itself stands still (queuectl.front)."""

        @abstractmethod
        def lease(self, ends: int) -> None:
            """Hear when jobs must have ended, ns of `boot_clock`. Never blocks."""

        @abstractmethod
        def spare(self, token: str) -> None:
            """Hear of a job that may go on even then. Never blocks."""


#: seconds between renewals at the most, and how many there are in a lease at least
EVERY, SHARE = 20.0, 30
#: seconds between tries while the store cannot be reached, and after others took over
RETRY, ANEW = 1.0, 0.2
#: seconds before its end when jobs are asked to end and when they are killed; shares of a short one
KIND, KIND_SHARE = 15.0, 3
HARD, HARD_SHARE = 2.0, 10
#: seconds between looks at the clock at the most
LOOK = 1.0


def guard_by(ends: int, seconds: float) -> int:
    """Return when a guardian acts, ns of `boot_clock`: after its host would have, before the end."""
    return ends - int(min(HARD / 2, seconds / HARD_SHARE / 2) * 1e9)


class Lease:
    """The lease of one host. `granted` first, when it has registered; then `start`."""

    def __init__(self, store: Store, tenant: Tenant) -> None:
        """`store` has a lease."""
        self.seconds: float = store.lease or 0.0
        self._store = store
        self._tenant = tenant
        self._stop = threading.Event()
        self._every = min(EVERY, self.seconds / SHARE)
        self._kind = int(min(KIND, self.seconds / KIND_SHARE) * 1e9)
        self._hard = int(min(HARD, self.seconds / HARD_SHARE) * 1e9)
        #: when it ends, ns since boot; 0: others have taken over
        self._ends = 0
        #: looks that found it late: the first may come right after this process stood still, when
        #: the renewal has not had its turn; at the second the host is told
        self._late = 0
        #: told of every renewal, if there is one
        self._guardian: Guardian | None = None
        self._threads = [
            threading.Thread(target=self._renewing, name="lease", daemon=True),
            threading.Thread(target=self._watching, name="lease-clock", daemon=True),
        ]

    def start(self) -> None:
        """Begin to renew."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Renew no more; at once, whatever hangs."""
        self._stop.set()

    def guarded_by(self, guardian: Guardian) -> None:
        """Tell a guardian of this renewal and all that follow."""
        self._guardian = guardian
        self._tell()

    @property
    def held(self) -> bool:
        """Whether jobs may be started: long enough before its end."""
        return boot_clock() < self._ends - self._hard

    def judged(self, outcome: Outcome) -> Outcome:
        """Return how an attempt ended: one that the guardian killed was stopped."""
        if outcome.kind == SIGNAL and outcome.code == signal.SIGKILL and not self.held:
            return outcome._replace(kind=STOPPED, code=None)
        return outcome

    def granted(self, sent: int) -> None:
        """Count a lease from `sent` (`boot_clock`), when it had not been asked for yet."""
        self._ends = sent + int(self.seconds * 1e9)
        self._late = 0
        self._tell()

    def _tell(self) -> None:
        if self._guardian is not None and self._ends:
            self._guardian.lease(guard_by(self._ends, self.seconds))

    # ---- renewing -----------------------------------------------------------------------------

    def _renewing(self) -> None:
        pause = self._every
        while not self._stop.wait(pause):
            try:
                pause = self._renew()
            except StoreUnavailable:
                pause = min(RETRY, self._every)
            except Exception as error:  # noqa: BLE001 - to be tried again, whatever it was
                self._tenant.failed(error)
                pause = min(RETRY, self._every)

    def _renew(self) -> float:
        """Renew once; return the seconds until the next time. Raises what the store raises."""
        sent = boot_clock()
        if self._store.renew(self._tenant.id):
            self.granted(sent)
            return self._every
        if not self._stop.is_set():
            self._ends = 0
            self._tenant.recovered()
        return min(ANEW, self._every)

    # ---- the clock ----------------------------------------------------------------------------

    def _watching(self) -> None:
        # a wait does not count the time that the machine sleeps, so many short ones
        while not self._stop.wait(min(LOOK, self.seconds / 20)):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - the next look must come
                self._tenant.failed(error)

    def _look(self) -> None:
        ends = self._ends
        left = ends - boot_clock()
        if not ends or left > self._kind:
            return
        if left <= self._hard:
            # again and again: one may just have been starting
            self._tenant.lost_contact(now=True)
            return
        self._late += 1
        if self._late == 2:
            self._tenant.lost_contact(now=False)


class Tenancy:
    """What a host does because others share its store: its lease, and shipping what its jobs write.

    Methods may be called from any thread.
    """

    def __init__(self, store: Store, host: WorkerHost) -> None:
        self.id = host.id
        self._host = host
        self._lease = Lease(store, self)
        self._guardian: Guardian | None = None
        local = store.local_directory
        self.shipper = Shipper(
            store,
            lambda: [running.claim for running in host.running()],
            lambda claim: output_path(local, claim.job_id, claim.run),
            host.failed,
        )

    def start(self, sent: int) -> None:
        """Begin: the host has registered, and was about to at `sent` (`boot_clock`)."""
        self._lease.granted(sent)
        self._lease.start()

    def stop(self) -> None:
        """Renew and ship no more: nothing runs."""
        self._lease.stop()
        self.shipper.stop()

    def guarded_by(self, guardian: Guardian) -> None:
        """Keep somebody informed who ends the host's jobs if it lets its lease run out."""
        self._guardian = guardian
        self._lease.guarded_by(guardian)

    def run(self, claim: Claim, attempt: Callable[[], Outcome]) -> Outcome:
        """Make an attempt if the lease lets it, else hand it back; return how it ended."""
        if not self._lease.held:
            return Outcome(STOPPED)
        if self._guardian is not None and _continues(claim):
            self._guardian.spare(claim.token)
        return self._lease.judged(attempt())

    def lost_contact(self, *, now: bool) -> None:
        """End what runs, and hand back what does not yet, but for jobs that are to continue."""
        for running in self._host.running():
            if not _continues(running.claim) and (now or not running.control.cancelled):
                running.control.cancel(now=now)
        self._host.queue.hand_back()

    def recovered(self) -> None:
        """End everything and register anew: others have the host's jobs."""
        self._host.woken(None)

    def failed(self, error: Exception) -> None:
        """Tell the host of an error that should not have been."""
        self._host.failed(error)


def _continues(claim: Claim) -> bool:
    return claim.policy.get("on-lost-contact") == "continue"
