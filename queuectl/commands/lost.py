"""Jobs of hosts that died on this machine: a process without workers takes them back as a host would.

Who reads never does so: it tells that they are lost. An interactive shell does it when it opens, and
`cancel`, `signal` and `send` for the jobs they are about: nobody is there that would heed them.
"""

from __future__ import annotations

from queuectl.commands.result import jobs_named, short_id
from queuectl.host.life import dead_among, has_died
from queuectl.job import PROCESSING
from queuectl.paths import hosts_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.host.recovery import Recovered
    from queuectl.store.base import Changed, HostInfo

#: hosts that are named
_NAMED = 3
#: what `cancel` says of a job that nobody here can take back
_IN_VAIN = "is cancelled when it is taken back: its host is dead"


def take_back(ctx: Context) -> list[Recovered]:
    """Recover the hosts that died on this machine; return what became of those that had jobs.

    One look of a `Recoverer`: as exact as that of a host, whoever else looks. What cannot be written
    stays for the next one. A process with workers leaves it to its keeper. Without a dead host it costs
    one read. Ends what is left of their processes, so it may take a second.
    """
    done: list[Recovered] = []
    if ctx.running_host is not None:
        return done
    store = ctx.store
    directory = hosts_directory(store.local_directory)
    if any(has_died(directory, host.id) for host in store.hosts()):
        from queuectl.host.recovery import Recoverer

        errors: list[Exception] = []
        Recoverer(store, "", ctx.write, errors.append, done.append).look_here()
    return done


def told(done: Sequence[Recovered]) -> Iterator[str]:
    """Yield a line for people on each host that was recovered."""
    for one in done:
        yield f"host {short_id(one.host)} had died: {jobs_named(one.jobs)} taken back"


def really_cancelled(ctx: Context, changes: Sequence[Changed]) -> list[Changed]:
    """Return what came of cancelling jobs, those of dead hosts taken back, which cancels them.

    Of those that cannot be taken back from here `why` says so.
    """
    lost = _lost(ctx, [one.job_id for one in changes if one.done and one.state == PROCESSING])
    if not lost:
        return list(changes)
    take_back(ctx)
    still = _lost(ctx, lost)
    now = ctx.store.states_of(sorted(lost))
    return [
        change._replace(
            state=now.get(change.job_id, change.state),
            why=_IN_VAIN if change.job_id in still else change.why,
        )
        if change.job_id in lost else change
        for change in changes
    ]  # fmt: skip


def _lost(ctx: Context, ids: Collection[int]) -> frozenset[int]:
    """Return those of some running jobs whose hosts are dead."""
    dead = dead_among(ctx.store, ctx.store.hosts()) if ids else ()
    if not dead:
        return frozenset()
    jobs = map(ctx.store.get, ids)
    return frozenset(job.id for job in jobs if job is not None and job.host in dead)


def about_dead(hosts: Sequence[HostInfo], *, others: bool) -> Iterator[str]:
    """Yield a line for people when hosts are dead; `others`: there are some that live."""
    if not hosts:
        return
    names = ", ".join(f"{short_id(host.id)} ({host.hostname})" for host in hosts[:_NAMED])
    more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
    are, they = ("is", "it") if len(hosts) == 1 else ("are", "they")
    who = "another host" if others else "`worker start`"
    what = "host" if len(hosts) == 1 else "hosts"
    yield f"{what} {names}{more} {are} dead: {who} takes back what {they} had"
