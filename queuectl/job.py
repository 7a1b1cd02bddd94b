"""The nouns: jobs, attempts, claims and outcomes, and which state may follow which. Pure.

Every record is immutable and cheap to import; times are integers of milliseconds since 1970, UTC.
"""

from __future__ import annotations

from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    State = Literal["pending", "processing", "completed", "failed", "dead", "cancelled"]

#: waits to be run (also while a host has claimed it and not started it)
PENDING: State = "pending"
#: an attempt of it is running
PROCESSING: State = "processing"
#: an attempt of it exited 0
COMPLETED: State = "completed"
#: its last attempt failed and another follows at `next_run_at`
FAILED: State = "failed"
#: its retries are used up; it is in the dead-letter queue
DEAD: State = "dead"
#: somebody cancelled it
CANCELLED: State = "cancelled"

#: every state, in the order people expect to read them
STATES: tuple[State, ...] = (PENDING, PROCESSING, COMPLETED, FAILED, DEAD, CANCELLED)
#: states that a job leaves only when somebody asks
FINAL: frozenset[State] = frozenset((COMPLETED, DEAD, CANCELLED))
#: words other queues use, and ours
OTHER_WORDS = {
    "running": PROCESSING, "active": PROCESSING, "started": PROCESSING,
    "queued": PENDING, "waiting": PENDING, "new": PENDING, "ready": PENDING,
    "done": COMPLETED, "finished": COMPLETED, "success": COMPLETED, "succeeded": COMPLETED,
    "ok": COMPLETED, "complete": COMPLETED,
    "error": FAILED, "errored": FAILED, "retrying": FAILED, "fail": FAILED,
    "dlq": DEAD, "buried": DEAD, "killed": CANCELLED, "canceled": CANCELLED,
}  # fmt: skip


def state_meant(word: str, *others: str) -> str | None:
    """Return the state that somebody means by a word that is none, misspelt or of another queue.

    Or one of the `others` that may stand there, if that is nearer.
    """
    from queuectl.errors import nearest

    plain = word.lower()
    # what is short is near to many a name
    theirs = (known for known in OTHER_WORDS if len(known) > 4)
    close = OTHER_WORDS.get(plain) or nearest(plain, (*STATES, *others, *theirs))
    return None if close is None else OTHER_WORDS.get(close, close)


_NEXT: dict[State, frozenset[State]] = {
    PENDING: frozenset((PROCESSING, COMPLETED, FAILED, DEAD, CANCELLED)),
    PROCESSING: frozenset((COMPLETED, FAILED, DEAD, CANCELLED, PENDING)),
    FAILED: frozenset((PROCESSING, COMPLETED, FAILED, DEAD, CANCELLED)),
    COMPLETED: frozenset((PENDING,)),
    DEAD: frozenset((PENDING,)),
    CANCELLED: frozenset((PENDING,)),
}


def may_follow(before: State, after: State) -> bool:
    """Whether a job in state `before` may be put in state `after` by a single decision.

    A claimed job can end before its start was written, so pending and failed reach every ending.
    """
    return after in _NEXT[before]


#: when a dependency is met: the other job completed; ended, however; is dead
WHEN_COMPLETED, WHEN_ENDED, WHEN_FAILED = "completed", "ended", "failed"


#: bytes of one argument without its NUL: Linux refuses more (MAX_ARG_STRLEN in execve(2))
LONGEST_WORD = 128 * 1024 - 1
#: the name of workers among a job's needs
SLOTS = "slots"


class After(Record):
    """A dependency: not before another job has ended so."""

    #: its id, or its name: of a job in the same `add`, else of one that the store has
    on: int | str
    #: WHEN_COMPLETED, WHEN_ENDED or WHEN_FAILED
    when: str = WHEN_COMPLETED


class Array(Record):
    """A job's place in an array: jobs enqueued together that differ by a number."""

    #: what the jobs of one array in one `add` have in common; its id is that of its first job
    key: str
    number: int
    #: jobs of the array that may run at once; None is no limit
    limit: int | None = None


class NewJob(Record):
    """A job as it was asked for; what is None is decided by queue, store and default in turn."""

    command: str
    #: further words of an argv; None for a command line
    args: tuple[str, ...] | None = None
    #: run by a shell; None: a shell unless there are args
    shell: bool | None = None
    queue: str = "default"
    #: unique among the jobs that are not final
    name: str | None = None
    priority: int | None = None
    #: policy settings of this job's own, by setting name, in their canonical text
    policy: Mapping[str, str] = {}
    #: not before this time; None: now
    due_at: int | None = None
    #: absolute directory to run in
    cwd: str = "/"
    #: what was captured or given; HOME and friends are added when it runs
    env: Mapping[str, str] = {}
    #: bytes for its standard input; None: /dev/null
    stdin: bytes | None = None
    #: instead of bytes: absolute path of a file that is opened whenever it is run
    stdin_path: str | None = None
    #: held until `resume`
    paused: bool = False
    #: who asked, as user@host
    submitter: str = ""
    #: the parameter it carries, where its queue has a command (see queuectl.template)
    message: str | None = None
    #: while a job of this key is not final, no other one of it is enqueued
    unique: str | None = None
    after: tuple[After, ...] = ()
    array: Array | None = None
    #: amounts of a host's resources that it takes while it runs; `slots` are workers, 1 if not said
    needs: Mapping[str, int] = {}
    #: the schedule that made it
    schedule: str | None = None

    @property
    def in_shell(self) -> bool:
        """Whether a shell runs it."""
        return not self.args if self.shell is None else self.shell

    @property
    def words(self) -> str:
        """The command as one line for reading; not for running."""
        return in_words(self.command, self.args)


class Job(Record):
    """A job as the store has it. A snapshot: nothing in it changes afterwards."""

    id: int
    name: str | None
    queue: str
    state: State
    command: str
    args: tuple[str, ...] | None
    shell: bool
    priority: int
    max_retries: int
    policy: Mapping[str, str]
    cwd: str
    env: Mapping[str, str]
    submitter: str
    paused: bool
    created_at: int
    #: when it became, or becomes, due: what the order within a priority goes by
    due_at: int
    #: when a failed or delayed job may run again; None when it could run now or is final
    next_run_at: int | None
    #: start of the newest attempt
    started_at: int | None
    finished_at: int | None
    #: starts counted against the retry budget
    attempts: int
    #: claims since the last fresh start
    deliveries: int
    #: attempts ever, over every fresh start
    runs: int
    #: how the newest ended attempt ended: `exit 3`, `signal 9`, `timeout after 30s` …
    reason: str | None
    exit_code: int | None
    cancel_requested: bool
    #: the host that has claimed it, if one has
    host: str | None
    token: str | None
    message: str | None = None
    unique: str | None = None
    #: id of the first job of the array it is of
    array_id: int | None = None
    array_index: int | None = None
    needs: Mapping[str, int] = {}
    schedule: str | None = None
    #: dependencies that are not met yet
    unmet: int = 0
    #: jobs of its array that may run at once; None is no limit
    array_limit: int | None = None
    #: kind of the newest ending, of which `exit_code` tells too; None: nothing has ended
    ending: str | None = None
    #: the signal, when that was its kind
    signal: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in FINAL

    @property
    def shown_state(self) -> str:
        """The state, or `cancelling` while a running job is being stopped."""
        return "cancelling" if self.cancel_requested and not self.is_final else self.state

    @property
    def words(self) -> str:
        """The command as one line for reading; not for running."""
        return in_words(self.command, self.args)


def in_words(command: str, args: tuple[str, ...] | None) -> str:
    """Return a command with its arguments as one line for reading."""
    if not args:
        return command
    import shlex

    return shlex.join((command, *args))


class Claim(Record):
    """A store's promise that this job is this host's until the lease ends."""

    job_id: int
    #: fences every later word about this claim
    token: str
    #: number of the attempt that a start would make
    run: int
    queue: str
    priority: int
    command: str
    args: tuple[str, ...] | None
    shell: bool
    cwd: str
    env: Mapping[str, str]
    policy: Mapping[str, str]
    stdin: bytes | None
    attempts: int
    max_retries: int
    due_at: int
    claimed_at: int
    name: str | None = None
    #: instead of `stdin`: absolute path of a file to open at the start
    stdin_path: str | None = None
    needs: Mapping[str, int] = {}
    array_id: int | None = None
    array_index: int | None = None
    message: str | None = None


#: kinds of ending
EXIT = "exit"
SIGNAL = "signal"
TIMEOUT = "timeout"
CANNOT_START = "cannot-start"
LOST = "lost"
#: it wrote more than its output-limit, and output-full says that this fails it
OUTPUT = "output"
STOPPED = "stopped"


class Output(Record):
    """What an attempt wrote: the bytes themselves when they are few, else where they are.

    `marks` are the pieces in order of arrival, see queuectl.process.output.
    """

    #: both streams in order of arrival, unless they are in a file
    data: bytes = b""
    #: packed pieces, see queuectl.process.output.Marks
    marks: bytes = b""
    #: absolute path of the attempt's output file; the bytes and marks are there
    path: str | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    #: False when the limit, a full disk or a crash cut it
    complete: bool = True


class Outcome(Record):
    """How an attempt ended, as its worker saw it."""

    kind: str
    #: exit status or signal number
    code: int | None = None
    #: what follows the colon: why it could not start, how long the timeout was
    detail: str = ""
    started_at: int | None = None
    finished_at: int | None = None
    user_ms: int = 0
    system_ms: int = 0
    #: peak resident memory of its processes, KiB; 0: not known, as it was below the host's own
    max_rss_kib: int = 0
    output: Output | None = None
    #: the line the job wrote to the file named in QUEUECTL_ERROR_FILE
    message: str | None = None

    @property
    def succeeded(self) -> bool:
        """Exit status 0 and nothing else."""
        return self.kind == EXIT and self.code == 0

    @property
    def reason(self) -> str:
        """The ending in the words users see."""
        if self.kind == EXIT:
            return f"exit {self.code}"
        if self.kind == SIGNAL:
            return f"signal {self.code}"
        if self.kind == TIMEOUT:
            return f"timeout after {self.detail}" if self.detail else "timeout"
        if self.kind == CANNOT_START:
            return f"cannot start: {self.detail}"
        if self.kind == LOST:
            return f"worker lost: {self.detail}" if self.detail else "worker lost"
        if self.kind == OUTPUT:
            return f"output over {self.detail}"
        return "stopped"


class Attempt(Record):
    """One run of a job, as the store has it."""

    job_id: int
    run: int
    host: str | None
    #: when the job had become due, so that started_at - due_at is its queue wait
    due_at: int | None
    started_at: int
    #: None while it runs
    finished_at: int | None
    kind: str | None
    code: int | None
    reason: str | None
    user_ms: int
    system_ms: int
    max_rss_kib: int
    stdout_bytes: int
    stderr_bytes: int
    message: str | None = None
