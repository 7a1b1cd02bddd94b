"""`doctor`: looks at the store, its hosts and this machine; each line is well, or says what to do."""

from __future__ import annotations

import os
import socket

from queuectl.commands.result import Column, Result, Table, plural
from queuectl.errors import EXIT_FAILED, EXIT_OK
from queuectl.store.base import Check, Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.store.base import HostInfo, Store

#: orphans named one by one
_NAMED = 5


def doctor(ctx: Context, args: Args) -> Result:  # noqa: ARG001
    """Run `doctor`. Exit code 1 when something is to be done."""
    checks = [_versions(), *_checks(ctx)]
    columns = (
        Column("WHAT"),
        Column("IS", styles={"ok": "green", "look": "red"}),
        Column("FOUND", elastic=True),
    )
    rows = [(check.topic, "ok" if check.ok else "look", check.text) for check in checks]
    data = [check._asdict() for check in checks]
    well = all(check.ok for check in checks)
    return Result(data, (Table(columns, rows),), exit_code=EXIT_OK if well else EXIT_FAILED)


def _versions() -> Check:
    import platform

    from queuectl import __version__

    python = platform.python_version()
    return Check(
        "version", ok=True, text=f"queuectl {__version__}, Python {python}, {platform.system()}"
    )


def _checks(ctx: Context) -> Iterator[Check]:
    store = ctx.store
    yield Check("store", ok=True, text=store.name)
    yield from store.checks()
    hosts = store.hosts()
    yield from _hosts(store, hosts)
    yield from _work(store, hosts)
    yield _orphans(store)


def _hosts(store: Store, hosts: list[HostInfo]) -> Iterator[Check]:
    """Look whether each host lives: by its file on this machine, by its last word elsewhere."""
    from queuectl import __version__

    if not hosts:
        yield Check("hosts", ok=True, text="none: `worker start` starts one")
    for host in hosts:
        ok, found = _life(store, host)
        told = f"{host.hostname} pid {host.pid}, {plural(host.workers, 'worker')}: {found}"
        if host.version != __version__:
            told += f"; runs queuectl {host.version}, this is {__version__}"
        yield Check("host", ok, told)


def _life(store: Store, host: HostInfo) -> tuple[bool, str]:
    now = store.now()
    here = _life_here(store, host)
    if here is not None:
        return here
    if host.id in store.expired():
        return False, "its lease has ended; the next worker host takes its jobs back"
    seconds = max(0, now - host.seen_at) // 1000
    if host.is_silent(now):
        return False, f"no sign of life for {seconds} s; look at that machine"
    return True, f"seen {seconds} s ago"


def _life_here(store: Store, host: HostInfo) -> tuple[bool, str] | None:
    """Return what the host's file on this machine says, None where it has none."""
    from queuectl.clocks import boot_clock
    from queuectl.host.hostfile import OtherHost, boot_id, pid_namespace
    from queuectl.host.recovery import LEASE
    from queuectl.paths import host_path, hosts_directory, wake_path

    directory = hosts_directory(store.local_directory)
    try:
        other = OtherHost(host_path(directory, host.id))
    except OSError:
        if host.hostname != socket.gethostname() or store.lease is not None:
            return None
        return (
            False,
            "its file is missing: if it has ended, nobody can tell; end it, then `worker start`",
        )
    with other:
        header = other.header()
        if header is None:
            return False, f"its file cannot be read: {other.path}"
        if header.boot == boot_id() and header.pid_namespace != pid_namespace():
            return False, "it runs in another container: only a host in there can recover its jobs"
        if other.seize():
            return False, "it is dead; the next `worker start` takes its jobs back"
        quiet = (boot_clock() - header.heartbeat) / 1e9
        if quiet > LEASE:
            return False, f"it has not moved for {quiet:.0f} s and will be killed by another host"
    if not os.path.exists(wake_path(directory, host.id)) and store.lease is None:
        return False, "its wake-up pipe is gone: it notices new work half a second late; restart it"
    return True, "alive"


def _work(store: Store, hosts: list[HostInfo]) -> Iterator[Check]:
    """Look for work that nobody will do."""
    counts = store.counts()
    waiting = counts["pending"] + counts["failed"]
    workers = sum(host.workers for host in hosts)
    if waiting and not workers:
        yield Check(
            "work",
            ok=False,
            text=f"{plural(waiting, 'job')} {'waits' if waiting == 1 else 'wait'} and there are no workers: worker start 1",
        )
    if counts["dead"]:
        yield Check(
            "dead", ok=True, text=f"{plural(counts['dead'], 'dead job')}: `dlq list` says why"
        )
    for queue in store.queues():
        if queue.paused and queue.paused_why:
            text = f"{queue.name} paused itself: {queue.paused_why}; `queue resume {queue.name}` opens it"
            yield Check("queue", ok=False, text=text)
    for schedule in store.schedules():
        if not workers and not schedule.paused:
            yield Check(
                "schedule", ok=False, text=f"{schedule.name} cannot fire without a worker host"
            )
            break


def _orphans(store: Store) -> Check:
    """Look for processes of attempts that are over."""
    from queuectl.process.proctree import snapshot, token_of

    running = {job.token for job in store.jobs(Filter(states=("processing",)))}
    found = []
    for process in snapshot().values():
        token = None if process.zombie else token_of(process.pid)
        if token is not None and token not in running:
            found.append(process.pid)
    if not found:
        return Check("processes", ok=True, text="nothing is left of attempts that are over")
    more = " …" if len(found) > _NAMED else ""
    pids = " ".join(map(str, sorted(found)[:_NAMED])) + more
    return Check(
        "processes", ok=True,
        text=f"{len(found)} left by attempts that are over, or running for another store: {pids}",
    )  # fmt: skip
