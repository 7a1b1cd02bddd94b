"""What is to be written when a job's life takes a turn. Pure: facts and a clock in, a decision out.

Both engines write what these functions return, so they cannot drift in what they decide.
"""

from __future__ import annotations

from queuectl import job as j
from queuectl import retry
from queuectl.record import Record
from queuectl.settings import BY_NAME, PER_JOB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.job import NewJob, Outcome, State

#: lanes: where a claim looks, apart from the state users see
READY, LATER, HELD, RUNNING, DONE = 0, 1, 2, 3, 4
#: what a job's payload is
NOTHING, BYTES, PATH = 0, 1, 2


class Turn(Record):
    """The new place of a job whose claim ended."""

    state: State
    lane: int
    due_at: int
    next_run_at: int | None
    attempts: int
    finished_at: int | None
    reason: str | None
    #: whether anything of a cancel request is left to be done
    cancel_requested: int = 0


class Facts(Record):
    """What is known of a stored job when something happens to it: the row of an engine's `facts`."""

    state: State
    attempts: int
    deliveries: int
    max_retries: int
    due_at: int
    cancel_requested: int
    #: held by somebody
    paused: int
    lane: int
    token: str | None = None
    queue: str = ""
    track: int = 0
    #: id of its stored policy
    policy: int = 0
    priority: int = 0
    runs: int = 0
    host: str | None = None
    reason: str | None = None
    #: dependencies that are not met yet
    unmet: int = 0
    #: whether some job depends on it
    awaited: int = 0

    @property
    def started(self) -> bool:
        """Whether `attempts` counts the claimed attempt already."""
        return self.state == j.PROCESSING

    @property
    def held(self) -> bool:
        """Whether it may not be claimed even when it is due."""
        return bool(self.paused or self.unmet)


def lane_of(due_at: int, now: int, *, paused: bool) -> int:
    """Return the lane of a job that waits; `paused`: by somebody, or for another job."""
    if paused:
        return HELD
    return READY if due_at <= now else LATER


def settle(
    facts: Facts, outcome: Outcome, policy: Mapping[str, str], now: int, random: float
) -> Turn:
    """Decide what follows the end of an attempt (rules 1 to 4 and 8 of the guarantees)."""
    attempts = facts.attempts if facts.started else facts.attempts + 1
    reason = f"{outcome.reason}: {outcome.message}" if outcome.message else outcome.reason
    if outcome.succeeded:
        return Turn(j.COMPLETED, DONE, facts.due_at, None, attempts, now, outcome.reason)
    if facts.cancel_requested:
        return Turn(j.CANCELLED, DONE, facts.due_at, None, attempts, now, outcome.reason)
    if outcome.kind == j.STOPPED:
        return give_back(facts, now)
    forbidden = retry.refused(outcome.kind, outcome.code, policy)
    verdict: retry.Retry | retry.Bury = (
        retry.Bury(forbidden)
        if forbidden
        else retry.after_failure(attempts, facts.max_retries, policy, random)
    )
    return _follow(facts, verdict, attempts, reason, now)


def cancelled(facts: Facts, now: int, why: str) -> Turn:
    """Return the end of a job that nobody has and nobody wants any more, or that cannot run."""
    return Turn(j.CANCELLED, DONE, facts.due_at, None, facts.attempts, now, why, 0)


def retried(facts: Facts, now: int) -> Turn:
    """Return where a failed job goes whose retry is not waited for."""
    lane = lane_of(now, now, paused=facts.held)
    return Turn(facts.state, lane, now, None, facts.attempts, None, facts.reason, 0)


def restarted(facts: Facts, now: int, unmet: int, attempts: int) -> Turn:
    """Return where a final job goes that is to run again, with so many dependencies not met."""
    lane = lane_of(now, now, paused=bool(facts.paused or unmet))
    return Turn(j.PENDING, lane, now, None, attempts, None, None, 0)


def give_back(facts: Facts, now: int) -> Turn:
    """Decide where a job goes whose claim ends uncounted: where it was, attempts as before."""
    attempts = facts.attempts - 1 if facts.started else facts.attempts
    if facts.cancel_requested:
        return Turn(j.CANCELLED, DONE, facts.due_at, None, attempts, now, "cancelled")
    state = facts.state
    if facts.started:
        state = j.FAILED if attempts > 0 else j.PENDING
    return Turn(state, lane_of(facts.due_at, now, paused=facts.held), facts.due_at, None,
                attempts, None, None)  # fmt: skip


def lose(facts: Facts, now: int) -> Turn:
    """Decide what follows a lost claim that is not known to have started."""
    if facts.cancel_requested:
        return give_back(facts, now)
    verdict = retry.after_lost_claim(facts.deliveries, facts.max_retries)
    if isinstance(verdict, retry.Bury):
        return Turn(j.DEAD, DONE, facts.due_at, None, facts.attempts, now, verdict.reason)
    return give_back(facts, now)


def _follow(
    facts: Facts, verdict: retry.Retry | retry.Bury, attempts: int, reason: str, now: int
) -> Turn:
    if not isinstance(verdict, retry.Bury):
        late = retry.after_lost_claim(facts.deliveries, facts.max_retries)
        if isinstance(late, retry.Bury):
            verdict = late
    if isinstance(verdict, retry.Bury):
        why = f"{reason} ({verdict.reason})" if verdict.reason else reason
        return Turn(j.DEAD, DONE, facts.due_at, None, attempts, now, why)
    due = now + verdict.delay
    return Turn(j.FAILED, lane_of(due, now, paused=facts.held), due, due, attempts, None, reason)


def policy_of(
    new: NewJob,
    queue: Mapping[str, str],
    store: Mapping[str, str],
    local: Mapping[str, str],
) -> dict[str, str]:
    """Return the settings a job carries: its own, else the queue's, store's, environment's.

    What equals the default is left out, max-retries never is.
    """
    given = {**local, **store, **queue, **new.policy}
    policy = {}
    for name in PER_JOB:
        default = BY_NAME[name].default
        text = given.get(name, default)
        if text != default or name == "max-retries":
            policy[name] = text
    return policy


def kind_of_payload(stdin: bytes | None, path: str | None) -> int:
    """Return what is kept of a job's standard input: nothing, its bytes, or the path of a file."""
    if path is not None:
        return PATH
    return NOTHING if stdin is None else BYTES


def pack_pairs(pairs: Mapping[str, str]) -> bytes:
    """Return `name=value` entries, sorted, NUL-terminated: the form of environ(7), byte-exact."""
    import os

    return b"".join(os.fsencode(f"{name}={pairs[name]}") + b"\0" for name in sorted(pairs))


def unpack_pairs(data: bytes) -> dict[str, str]:
    """Return what pack_pairs packed."""
    import os

    entries = os.fsdecode(data).split("\0")[:-1]
    return dict(entry.split("=", 1) for entry in entries)


def pack_words(words: tuple[str, ...] | None) -> bytes | None:
    """Return an argv's words NUL-terminated, byte-exact; None for None."""
    import os

    if words is None:
        return None
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def unpack_words(data: bytes | None) -> tuple[str, ...] | None:
    """Return what pack_words packed."""
    import os

    if data is None:
        return None
    return tuple(os.fsdecode(data).split("\0")[:-1])
