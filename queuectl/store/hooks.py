"""Hooks: the jobs that follow from how another job ended. Pure.

A hook is a command line in a job's policy. It becomes a job of the queue `hooks`, added in the
transaction that settles the attempt, so it is neither lost nor run twice, and a broken hook is a
job like any other: retried, listed, dead at last.
"""

from __future__ import annotations

from queuectl.job import COMPLETED, DEAD, EXIT, FAILED, NewJob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from queuectl.job import Job, Outcome, State

#: the queue hooks run in; its own jobs have none
QUEUE = "hooks"


def events(state: State, outcome: Outcome) -> tuple[str, ...]:
    """Return the names of the settings that an attempt's end triggers."""
    if state == COMPLETED:
        return ("on-success",)
    if state == DEAD:
        return ("on-failure", "on-dead")
    if state == FAILED and outcome.started_at is not None:
        return ("on-failure",)
    return ()


def facts_of(job: Job, state: State, outcome: Outcome) -> dict[str, str]:
    """Return what a hook is told about a job that has just ended."""
    return {
        "job_id": str(job.id),
        "name": job.name or "",
        "queue": job.queue,
        "command": job.words,
        "state": state,
        "reason": outcome.reason,
        "message": outcome.message or "",
        "attempt": str(job.runs),
        "exit_code": "" if outcome.kind != EXIT else str(outcome.code),
    }


def jobs_after(
    policy: Mapping[str, str],
    state: State,
    outcome: Outcome,
    facts: Mapping[str, str],
    cwd: str,
    env: Mapping[str, str],
) -> Iterator[NewJob]:
    """Yield the hooks to be enqueued; `facts` go into their environment as QUEUECTL_HOOK_NAME."""
    for event in events(state, outcome):
        line = policy.get(event)
        if line:
            yield hook(event, line, facts, cwd, env)


def hook(
    event: str, line: str, facts: Mapping[str, str], cwd: str, env: Mapping[str, str]
) -> NewJob:
    """Return one hook's job."""
    told = {f"QUEUECTL_HOOK_{name.upper()}": text for name, text in facts.items()}
    return NewJob(
        line,
        queue=QUEUE,
        cwd=cwd,
        env={**env, **told, "QUEUECTL_HOOK_EVENT": event.removeprefix("on-")},
        submitter=f"hook of job {facts['job_id']}" if "job_id" in facts else "hook",
    )
