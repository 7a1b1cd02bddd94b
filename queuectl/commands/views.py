"""How jobs and attempts look: cells for people, plain values for machines."""

from __future__ import annotations

from queuectl.commands.reasons import reasons_for
from queuectl.commands.result import Column, short_id
from queuectl.demands import PULLED
from queuectl.job import COMPLETED, FAILED, PENDING
from queuectl.timespec import describe_duration, format_time, iso_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from queuectl.commands.reasons import Surroundings
    from queuectl.job import Attempt, Job
    from queuectl.store.base import HostInfo

STATE_STYLES = {
    "processing": "cyan", "cancelling": "yellow", "completed": "green", "failed": "yellow",
    "dead": "red", "cancelled": "dim",
}  # fmt: skip

#: kinds of reasons that have a column of their own
WAITING = ("dependency",)
_MOST_IDS = 5

JOB_COLUMNS = (
    Column("ID", right=True),
    Column("STATE", styles=STATE_STYLES),
    Column("QUEUE", optional=True),
    Column("NAME", optional=True, elastic=True),
    Column("PRIO", optional=True, right=True),
    Column("ARRAY", optional=True, right=True),
    Column("TRIES", optional=True, right=True),
    Column("TIME", optional=True, right=True),
    Column("WAITS FOR", optional=True, telling=True),
    Column("HOST", optional=True),
    Column("REASON", optional=True, elastic=True),
    Column("COMMAND", elastic=True),
)


def job_cells(job: Job, around: Surroundings, host: str | None = None) -> Sequence[str | None]:
    """Return the cells of JOB_COLUMNS; `host` is what people call the one that runs it or did."""
    return (
        str(job.id),
        job.shown_state,
        job.queue if job.queue != "default" else None,
        job.name,
        str(job.priority) if job.priority else None,
        None if job.array_id is None else f"{job.array_id}[{job.array_index}]",
        f"{job.attempts}/{job.max_retries + 1}"
        if job.attempts > 1 or job.state == FAILED
        else None,
        None if job.host in around.dead else took(job, around.now),
        waits_for(job, around),
        host,
        reason(job, around, apart=WAITING),
        command_shown(job),
    )


def command_shown(job: Job) -> str:
    """Return what tells a job from others of its queue: its command, with the message it is for.

    The message that a program claims stands alone; a file that is the standard input behind `<`.
    """
    message = job.message
    if not message:
        return job.words
    if job.command == PULLED:
        return message
    if any(message in word for word in (job.command, *(job.args or ()))):
        return job.words
    import os
    import shlex

    path = os.path.relpath(message, job.cwd) if os.path.isabs(message) else message
    return f"{job.words} < {shlex.quote(path)}"


def took(job: Job, now: int) -> str | None:
    """Return how long its newest attempt has taken."""
    if job.started_at is None or job.state in (PENDING, FAILED):
        return None
    end = now if job.finished_at is None else job.finished_at
    # a job that was cancelled while it waited has finished after an older attempt
    return describe_duration(end - job.started_at)


def waits_for(job: Job, around: Surroundings) -> str | None:
    """Return the ids of the jobs that a job still waits for; one that will never do so is marked."""
    if not job.unmet or job.is_final or around.facts is None:
        return None
    waits = around.facts.waits(job)
    ids = [f"{wait.on}" + ("!" if wait.met is None else "") for wait in waits[:_MOST_IDS]]
    return ",".join(ids) + (",…" if len(waits) > _MOST_IDS else "")


def reason(job: Job, around: Surroundings, *, apart: Sequence[str] = ()) -> str | None:
    """Return why a job waits, or how it ended when that was not well.

    Reasons of the kinds `apart` stand elsewhere: what comes after them is not what it waits for now.
    """
    first = reasons_for(job, around)[0]
    if first.kind in apart:
        return job.reason
    if job.state == COMPLETED:
        return None
    if job.state in (PENDING, FAILED):
        return "; ".join(part for part in (job.reason, first.short) if part) or None
    return first.short or None


def why_not(job: Job, around: Surroundings) -> str:
    """Return why a job does not run now, in any state."""
    return reason(job, around) or (
        "its turn has not come" if job.state in (PENDING, FAILED) else f"it is {job.shown_state}"
    )


def job_data(job: Job) -> dict[str, object]:
    """Return a job as --json shows it in lists."""
    return {
        "id": job.id,
        "name": job.name,
        "queue": job.queue,
        "state": job.state,
        "cancelling": job.shown_state == "cancelling",
        "command": job.command,
        "args": None if job.args is None else list(job.args),
        "shell": job.shell,
        "priority": job.priority,
        "attempts": job.attempts,
        "max_retries": job.max_retries,
        "runs": job.runs,
        "paused": job.paused,
        "reason": job.reason,
        "exit_code": job.exit_code,
        "ending": job.ending,
        "signal": job.signal,
        "created_at": iso_time(job.created_at),
        "due_at": iso_time(job.due_at),
        "next_run_at": iso_time(job.next_run_at),
        "started_at": iso_time(job.started_at),
        "finished_at": iso_time(job.finished_at),
        "cwd": job.cwd,
        "submitter": job.submitter,
        "policy": dict(job.policy),
        "message": job.message,
        "unique": job.unique,
        "array": job.array_id,
        "index": job.array_index,
        "array_limit": job.array_limit,
        "needs": dict(job.needs),
        "schedule": job.schedule,
        "unmet": job.unmet,
    }


def attempt_data(attempt: Attempt) -> dict[str, object]:
    """Return an attempt as --json shows it."""
    return {
        "attempt": attempt.run,
        "host": attempt.host,
        "due_at": iso_time(attempt.due_at),
        "started_at": iso_time(attempt.started_at),
        "finished_at": iso_time(attempt.finished_at),
        "kind": attempt.kind,
        "code": attempt.code,
        "reason": attempt.reason,
        "user_ms": attempt.user_ms,
        "system_ms": attempt.system_ms,
        "max_rss_kib": attempt.max_rss_kib,
        "stdout_bytes": attempt.stdout_bytes,
        "stderr_bytes": attempt.stderr_bytes,
        "message": attempt.message,
    }


ATTEMPT_COLUMNS = (
    Column("ATTEMPT", right=True),
    Column("STARTED"),
    Column("TOOK", right=True),
    Column("WAITED", right=True, optional=True),
    Column("HOST", optional=True),
    Column("ENDED", elastic=True),
    Column("CPU", right=True, optional=True),
    Column("MEMORY", right=True, optional=True),
    Column("OUTPUT", right=True, optional=True),
)


def host_name(host: str, hosts: Iterable[HostInfo]) -> str:
    """Return a host's id as people see it, with its machine while it is known."""
    machine = next((f"{one.hostname} " for one in hosts if one.id == host), "")
    return f"{machine}{short_id(host)}"


def attempt_cells(
    attempt: Attempt, now: int, hosts: Iterable[HostInfo] = ()
) -> Sequence[str | None]:
    """Return the cells of ATTEMPT_COLUMNS; `hosts` are those whose machine is known."""
    end = now if attempt.finished_at is None else attempt.finished_at
    cpu = attempt.user_ms + attempt.system_ms
    waited = None if attempt.due_at is None else max(0, attempt.started_at - attempt.due_at)
    ended = attempt.reason or "running"
    if attempt.message:
        ended = f"{ended}: {attempt.message}"
    return (
        str(attempt.run),
        format_time(attempt.started_at, now),
        describe_duration(end - attempt.started_at),
        None if waited is None else describe_duration(waited),
        host_name(attempt.host, hosts) if attempt.host else None,
        ended,
        f"{cpu / 1000:.2f}s" if attempt.finished_at is not None else None,
        size(attempt.max_rss_kib * 1024) if attempt.max_rss_kib else None,
        size(attempt.stdout_bytes + attempt.stderr_bytes) if attempt.finished_at else None,
    )


def size(count: int) -> str:
    """Return a number of bytes for reading: `512 B`, `3.4 KiB`."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{value:.0f} PiB"


def waiting_order(job: Job) -> tuple[int, int, int]:
    """Return the key that sorts waiting jobs as they will run."""
    return -job.priority, job.due_at, job.id


DEAD_COLUMNS = (
    Column("ID", right=True),
    Column("QUEUE", optional=True),
    Column("NAME", optional=True, elastic=True),
    Column("DIED"),
    Column("TRIES", right=True),
    Column("REASON", elastic=True),
    Column("COMMAND", elastic=True),
)


def dead_cells(job: Job, around: Surroundings) -> Sequence[str | None]:
    """Return the cells of DEAD_COLUMNS."""
    return (
        str(job.id),
        job.queue if job.queue != "default" else None,
        job.name,
        format_time(job.finished_at, around.now) if job.finished_at else None,
        str(job.attempts),
        job.reason,
        command_shown(job),
    )
