"""What keeps a job waiting that needs more of a host than one worker: nobody has it, or others have it now."""

from __future__ import annotations

from queuectl.commands.reasons import NAMED, Reason, named
from queuectl.errors import did_you_mean
from queuectl.job import SLOTS
from queuectl.resources import describe, format_amount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from queuectl.commands.reasons import Facts
    from queuectl.job import Job
    from queuectl.store.base import HostInfo


def shortage(job: Job, hosts: Sequence[HostInfo], facts: Facts | None) -> Iterator[Reason]:
    """Yield at most one reason: of the hosts that take from its queue none could, or can now."""
    able = [host for host in hosts if is_able(host, job)]
    if not able:
        yield _nobody_has(job, hosts)
        return
    running = facts.running() if facts is not None else []
    taken = {host.id: [other for other in running if other.host == host.id] for host in able}
    if any(has(free_of(host, taken[host.id]), job.needs) for host in able):
        return
    lacking = {
        name: amount for host in able
        for name, amount in job.needs.items() if free_of(host, taken[host.id]).get(name, 0) < amount
    }  # fmt: skip
    holders = [
        other.id for others in taken.values() for other in others
        if any(_used(other, name) for name in lacking)
    ]  # fmt: skip
    what = describe(lacking) or f"{SLOTS} {lacking.get(SLOTS, 1)}"
    by = f" by {named(sorted(holders)[:NAMED], len(holders))}" if holders else ""
    yield Reason("needs-taken", f"waits for {what}", f"waits for {what}, taken now{by}",
                 "it starts when enough of that is free")  # fmt: skip


def nobody_has(needs: Mapping[str, int], hosts: Sequence[HostInfo]) -> str | None:
    """Return a remark when none of these hosts has in all what a job needs: what, and the nearest."""
    totals = [_total(host) for host in hosts]
    if not hosts or any(has(total, needs) for total in totals):
        return None
    name = _scarcest(needs, totals)
    amount = format_amount(needs[name])
    best = max(hosts, key=lambda host: _total(host).get(name, 0))
    most = _total(best).get(name, 0)
    if most >= needs[name]:
        return f"no host has all of {describe(needs)}"
    nearest = f": the most is {format_amount(most)} on {best.hostname}"
    if name == SLOTS:
        return f"no host has {amount} workers{nearest}"
    if most:
        return f"no host has {name} {amount}{nearest}"
    others = {other for host in hosts for other in host.resources}
    return f"no host has any {name}{did_you_mean(name, others)}"


def _scarcest(needs: Mapping[str, int], totals: Sequence[Mapping[str, int]]) -> str:
    """Return what no host has enough of; where each thing is somewhere, any."""
    return max(needs, key=lambda name: not any(has(one, {name: needs[name]}) for one in totals))


def _nobody_has(job: Job, hosts: Sequence[HostInfo]) -> Reason:
    totals = [_total(host) for host in hosts]
    name = _scarcest(job.needs, totals)
    amount = format_amount(job.needs[name])
    most = max((total.get(name, 0) for total in totals), default=0)
    have = f"at most {format_amount(most)}" if most else "none"
    if name == SLOTS:
        return Reason("needs", f"no host with {amount} workers",
                      f"needs {amount} workers of one host, and the hosts that take from queue {job.queue} have {have}",
                      f"`worker start {amount}` starts them")  # fmt: skip
    return Reason("needs", f"no host has {name} {amount}",
                  f"needs {name} {amount}, of which the hosts that take from queue {job.queue} have {have} each"
                  if most else f"needs {name} {amount}, of which no host that takes from queue {job.queue} has any",
                  f"`worker start --resource {name}={amount}` starts one that has")  # fmt: skip


def has(amounts: Mapping[str, int], needs: Mapping[str, int]) -> bool:
    """Whether amounts are enough for needs."""
    return all(amounts.get(name, 0) >= amount for name, amount in needs.items())


def is_able(host: HostInfo, job: Job) -> bool:
    """Whether a host has in all what a job needs."""
    return has(_total(host), job.needs)


def _total(host: HostInfo) -> dict[str, int]:
    return {**host.resources, SLOTS: host.workers}


def free_of(host: HostInfo, running: Sequence[Job]) -> dict[str, int]:
    """Return what a host has, its workers among it, that none of these jobs uses."""
    return {
        name: total - sum(_used(other, name) for other in running)
        for name, total in _total(host).items()
    }


def _used(job: Job, name: str) -> int:
    return job.needs.get(name, 1 if name == SLOTS else 0)
