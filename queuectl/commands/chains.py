"""Jobs that wait for each other, after one has failed: how they are brought back together."""

from __future__ import annotations

from queuectl.commands.result import plural
from queuectl.job import CANCELLED
from queuectl.store.order import dependencies_first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queuectl.commands.reasons import Reason
    from queuectl.job import Job
    from queuectl.store.base import Changed, Store

#: jobs asked about in one read
_ASKED = 1000
#: jobs that are named: to be retried, and with what is wrong with them
_RETRIED, _NAMED = 20, 3
#: how the reason of a job begins that was cancelled because of another
_BECAUSE = "dependency "


def _pieces(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(ids), _ASKED):
        yield ids[at : at + _ASKED]


def restarting(store: Store, ids: Sequence[int]) -> list[int]:
    """Return jobs in the order in which they can be restarted: what others wait for first."""
    waits = [pair for piece in _pieces(ids) for pair in store.waits(piece)]
    return dependencies_first(ids, waits)


def given_up(store: Store, ids: Sequence[int]) -> list[int]:
    """Return the jobs, beyond these, that were cancelled because of them: see Store.given_up."""
    found = {job_id for piece in _pieces(ids) for job_id in store.given_up(piece)}
    return sorted(found.difference(ids))


def still(store: Store, blocked: int, first: Changed) -> str:
    """Say that so many jobs were not retried as they wait for what can never be; the first is one."""
    more = f"{plural(blocked, 'job')} still wait for what can never be: " if blocked > 1 else ""
    remedy = Roots(store).remedy(first.job_id)
    return f"{more}job {first.job_id} {first.why}" + (f"; {remedy}" if remedy else "")


class Roots:
    """Finds what holds up jobs that were cancelled because of others. For the jobs of one answer."""

    def __init__(self, store: Store) -> None:
        """Read nothing yet."""
        self._store = store
        #: of jobs that were cancelled because of others
        self._known: dict[int, list[int]] = {}

    def advised(self, job: Job, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        """Return reasons of a job with advice that works where another is to blame."""
        return tuple(self._advised(job, reason) for reason in reasons)

    def _advised(self, job: Job, reason: Reason) -> Reason:
        if reason.kind == "never-met":
            roots = self.of(job.id)
            near = [one.on for one in self._store.dependencies(job.id) if one.met is None]
            if len(near) == 1 and roots == near:
                # it goes on by itself when that is run again
                return reason
            gives_up = f", `cancel {job.id}` gives it up"
            return (
                reason._replace(remedy=self.remedy(job.id, roots) + gives_up) if roots else reason
            )
        if job.state != CANCELLED or not (job.reason or "").startswith(_BECAUSE):
            return reason
        roots = self.of(job.id)
        self._known[job.id] = roots
        if not roots:
            # what it waited for has been retried by now
            return reason
        far = [one for one in roots if not (job.reason or "").startswith(f"{_BECAUSE}{one} ")]
        how = f"{job.reason}, as {self._states(roots)}" if far else job.reason
        return reason._replace(
            sentence=f"is {job.state} ({how})", remedy=self.remedy(job.id, roots)
        )

    def of(self, job_id: int) -> list[int]:
        """Return the jobs to be retried so that this one can be; see Store.roots."""
        never = [one.on for one in self._store.dependencies(job_id) if one.met is None]
        if never and all(one in self._known for one in never):
            # its neighbours have been looked at: a long chain is walked once
            return sorted({root for one in never for root in self._known[one] or [one]})
        return self._store.roots(job_id)

    def remedy(self, job_id: int, roots: Sequence[int] | None = None) -> str:
        """Say how a job is brought back that waits for what can never be; empty: by itself."""
        roots = self.of(job_id) if roots is None else roots
        if not roots:
            return ""
        there = self._store.states_of(roots)
        gone = [one for one in roots if one not in there]
        if gone:
            return self._without(job_id, gone[0])
        named = ",".join(map(str, roots[:_RETRIED]))
        rest = " and so on" if len(roots) > _RETRIED else ""
        what = "that" if len(roots) == 1 else "those"
        return f"`retry {named} --dependents`{rest} runs {what} again, with what was cancelled because of it"

    def _without(self, job_id: int, gone: int) -> str:
        """Say how a job is brought back where one is gone for good that it, or another, waited for."""
        for near in self._store.dependents(gone)[:_RETRIED]:
            if near == job_id or job_id in self._store.given_up([near]):
                after = "" if near == job_id else " --dependents"
                return f"job {gone} is gone: `edit {near} --after none` and `retry {near}{after}` do without it"
        return f"job {gone} is gone"

    def _states(self, roots: Sequence[int]) -> str:
        states = self._store.states_of(roots)
        parts = [f"job {one} is {states.get(one, 'gone')}" for one in roots[:_NAMED]]
        if len(roots) > _NAMED:
            parts.append(f"{len(roots) - _NAMED} more")
        return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)
