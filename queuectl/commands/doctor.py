"""`doctor`: looks at the store, its hosts and this machine; each line is well, or says what to do."""

from __future__ import annotations

import os
import socket
import time

from queuectl.commands.result import Column, Result, Table, plural, short_id
from queuectl.errors import EXIT_FAILED, EXIT_OK
from queuectl.host.life import living
from queuectl.job import FAILED, PENDING, PROCESSING
from queuectl.process.plan import ERROR_FILE_VARIABLE
from queuectl.process.proctree import ON_LINUX
from queuectl.store.base import Check, Filter
from queuectl.timespec import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.store.base import HostInfo, Store

#: orphans named one by one
_NAMED = 5
#: ms by which something may be dated in the future before it is worth a word
_APART = 2000
#: seconds after which a process of an attempt that has just ended is gone
_MOMENT = 0.3
_YES = ("yes", "true", "1", "on")


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
    checks = store.checks()
    yield from checks
    if all(check.topic != "clock" for check in checks):
        yield _clock(store)
    hosts = store.hosts()
    yield from _hosts(store, hosts)
    if store.lease is None:
        yield _listeners(store, hosts)
    yield from _work(store, hosts)
    yield _orphans(store, hosts)


def _clock(store: Store) -> Check:
    """Look whether anything is dated in the future: then this machine's clock has gone back.

    What is due at a time, retries and schedules among them, comes too late by as much.
    """
    now = store.now()
    newest = store.newest_id()
    job = None if newest is None else store.get(newest)
    dated = {f"host {short_id(host.id)} was seen": host.seen_at for host in store.hosts()}
    if job is not None:
        dated[f"job {job.id} was enqueued"] = job.created_at
    dated.update((f"job {job.id} ended", job.finished_at or 0) for job in store.finished(1))
    for what, at in dated.items():
        if at - now > _APART:
            text = f"{what} {describe_duration(at - now)} in the future: this machine's clock was set back, or was wrong"
            return Check("clock", ok=False, text=text)
    return Check("clock", ok=True, text="nothing is dated in the future")


def _listeners(store: Store, hosts: list[HostInfo]) -> Check:
    """Look whether each host of this machine reads the pipe that tells it of new work."""
    from queuectl.paths import host_path, hosts_directory, wake_path

    directory = hosts_directory(store.local_directory)
    here = [host for host in hosts if os.path.exists(host_path(directory, host.id))]
    deaf = [host for host in here if not _is_read(wake_path(directory, host.id))]
    if deaf:
        who = ", ".join(f"pid {host.pid}" for host in deaf[:_NAMED])
        text = (
            f"nobody reads the wake-up pipe of {who}: new work is noticed late there, if it lives"
        )
        return Check("listeners", ok=False, text=text)
    text = (
        f"{plural(len(here), 'host')} of this machine {'listens' if len(here) == 1 else 'listen'}"
    )
    return Check("listeners", ok=True, text=text if here else "none: no host runs on this machine")


def _is_read(pipe: str) -> bool:
    """Whether a named pipe is there and has a reader."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _hosts(store: Store, hosts: list[HostInfo]) -> Iterator[Check]:
    """Look whether each host lives: by its file on this machine, else by its lease or last word."""
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
    if host.lease is None and host.is_silent(now):
        return False, f"no sign of life for {seconds} s; look at that machine"
    return True, f"seen {seconds} s ago"


def _life_here(store: Store, host: HostInfo) -> tuple[bool, str] | None:
    """Return what the host's file on this machine says, None where it has none."""
    from queuectl.clocks import boot_clock
    from queuectl.host.hostfile import OtherHost
    from queuectl.host.recovery import LEASE
    from queuectl.paths import host_path, hosts_directory, wake_path

    directory = hosts_directory(store.local_directory)
    try:
        other = OtherHost(host_path(directory, host.id))
    except OSError:
        # one behind HTTP keeps its file elsewhere, and a program that claims has none
        leased = store.lease is not None or host.lease is not None
        if leased or host.hostname != socket.gethostname():
            return None
        return (
            False,
            "its file is missing: if it has ended, nobody can tell; end it, then `worker start`",
        )
    with other:
        header = other.header()
        if header is None:
            return False, f"its file cannot be read: {other.path}"
        if not header.judged_here:
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
    paused = store.count(Filter(states=(PENDING, FAILED), paused=True))
    waiting = counts["pending"] + counts["failed"] - paused
    workers = sum(host.workers for host in living(store, hosts))
    if waiting and not workers:
        yield Check(
            "work",
            ok=False,
            text=f"{plural(waiting, 'job')} {'waits' if waiting == 1 else 'wait'} and there are no workers: start one with `worker start`",
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


def _orphans(store: Store, hosts: list[HostInfo]) -> Check:
    """Look for processes of attempts of this store that are over; those of others are not ours."""
    from queuectl.process.proctree import snapshot, token_of

    # what was claimed before the look at processes, and what has been claimed by its end
    live = _tokens(store, hosts)
    tokens = {
        process.pid: token_of(process.pid) for process in snapshot().values() if not process.zombie
    }
    live |= _tokens(store, store.hosts())
    over = [pid for pid, token in tokens.items() if token is not None and token not in live]
    if over:
        # a short attempt may have come and gone between the two: what is left of one stays
        time.sleep(_MOMENT)
        over = [pid for pid in over if token_of(pid) == tokens[pid]]
    left: list[int] = []
    meant: list[int] = []
    for pid in sorted(over):
        job_id = _job_of(pid, store.local_directory)
        if job_id is None:
            continue
        job = store.get(job_id)
        spared = job is not None and job.policy.get("leave-children") in _YES
        (meant if spared else left).append(pid)
    if left:
        pids = " ".join(map(str, left[:_NAMED]))
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        text = f"left by attempts that are over: {pids}{more}; look with `ps {pids}`, end with `kill {pids}`"
        return Check("processes", ok=False, text=text)
    text = "nothing is left of attempts that are over"
    if meant:
        text = f"{len(meant)} left on purpose, by jobs with leave-children"
    return Check("processes", ok=True, text=text)


def _tokens(store: Store, hosts: list[HostInfo]) -> set[str | None]:
    """Return the tokens of all attempts that run or are about to."""
    tokens: set[str | None] = {job.token for job in store.jobs(Filter(states=(PROCESSING,)))}
    return tokens | {held.token for host in hosts for held in store.held_by(host.id)}


def _job_of(pid: int, local: str) -> int | None:
    """Return the job of a store that a process was started for; None: of none, or of another store.

    The file for its error lies where that store has its outputs.
    """
    try:
        environment = _environment(pid)
    except OSError:
        return None
    job_id = environment.get("QUEUECTL_JOB_ID", "")
    place = os.path.realpath(environment.get(ERROR_FILE_VARIABLE, ""))
    ours = place.startswith(f"{os.path.realpath(local)}/output/")
    return int(job_id) if ours and job_id.isascii() and job_id.isdigit() else None


def _environment(pid: int) -> dict[str, str]:
    """Return what a process was started with. Raises OSError."""
    if ON_LINUX:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            words = os.fsdecode(file.read()).split("\0")
        return dict(word.split("=", 1) for word in words if "=" in word)
    import psutil

    try:
        return dict(psutil.Process(pid).environ())
    except psutil.Error as error:
        raise OSError(str(error)) from None
