"""The command table: every command, its parameters and what runs it. The only definition."""

from __future__ import annotations

from queuectl.grammar import FLAG, OPTION, POSITIONAL, TAIL, Command, Grammar, Param

_JOBS, _LOOK, _END, _GROUPS, _KEEP = "Jobs", "Looking", "Ending and again", "Groups", "Keeping"

_WHICH = Param("which", POSITIONAL, "ids, ranges, names, `last`, `all` or states", metavar="SELECTION",
               completer="job-ids", nargs="*", commas=True)  # fmt: skip
_QUEUES = Param("queue", OPTION, "only jobs of this queue", completer="queues", repeat=True)
_FILTERS = (
    Param("state", OPTION, "only jobs in these states", type="states", completer="states", repeat=True, commas=True),
    _QUEUES,
    Param("name", OPTION, "only jobs whose name matches this pattern", metavar="GLOB"),
    Param("since", OPTION, "only jobs enqueued since then: 2h, 18:30 or a date", metavar="WHEN"),
    Param("exit", OPTION, "only jobs whose last attempt exited with this code", type="int", metavar="CODE"),
)  # fmt: skip
_YES = Param("yes", FLAG, "do not ask", short="-y")
#: flags of a job, when it is enqueued and when it is edited
_JOB = (
    Param("queue", OPTION, "the queue to put it in", completer="queues", short="-q"),
    Param("name", OPTION, "a name, unique among the jobs that are not finished", short="-n"),
    Param("priority", OPTION, "higher runs first", type="int", metavar="N", short="-p"),
    Param("max_retries", OPTION, "retries after the first attempt", metavar="N"),
    Param("backoff_base", OPTION, "a retry waits base ** attempts seconds", metavar="BASE"),
    Param("backoff_max", OPTION, "the longest wait before a retry", metavar="TIME"),
    Param("jitter", OPTION, "random share of each wait, 0 to 1", metavar="SHARE"),
    Param("timeout", OPTION, "end an attempt that runs longer", metavar="TIME"),
    Param("idle_timeout", OPTION, "end an attempt that writes nothing for so long", metavar="TIME"),
    Param("kill_grace", OPTION, "time between SIGTERM and SIGKILL", metavar="TIME"),
    Param("retry_on", OPTION, "retry only after these: 75,100-110, signals, timeout, lost", metavar="ENDINGS"),
    Param("no_retry_on", OPTION, "never retry after these", metavar="ENDINGS"),
    Param("on_success", OPTION, "command to enqueue when it has completed", metavar="COMMAND"),
    Param("on_failure", OPTION, "command to enqueue when an attempt has failed", metavar="COMMAND"),
    Param("on_dead", OPTION, "command to enqueue when it is dead", metavar="COMMAND"),
    Param("merge", FLAG, "one stream for stdout and stderr, in the exact order"),
    Param("interactive", FLAG, "keep its standard input open for `send`"),
    Param("leave_children", FLAG, "spare what it leaves running"),
    Param("output_limit", OPTION, "output kept of one attempt", metavar="SIZE"),
    Param("output_full", OPTION, "what happens beyond that: drop the rest, or fail", choices=("drop", "fail")),
    Param("delay", OPTION, "not before this long from now", type="duration", metavar="TIME"),
    Param("at", OPTION, "not before this time: 18:30, 2026-12-01T10:00", metavar="WHEN"),
    Param("cwd", OPTION, "directory to run in", completer="directories", metavar="DIR"),
    Param("env", OPTION, "set a variable; NAME alone copies its value now", metavar="NAME[=VALUE]", repeat=True, short="-e"),
    Param("stdin", OPTION, "a file to feed it on standard input; -: what comes on this one", completer="files", metavar="FILE"),
    Param("shell", OPTION, "the shell that runs the command line", completer="files", metavar="PATH"),
)  # fmt: skip

TABLE: tuple[Command, ...] = (
    Command(
        ("enqueue",), "add a job", "queuectl.commands.jobs:enqueue",
        (
            *_JOB,
            Param("paused", FLAG, "hold it until `resume`"),
            Param("no_shell", FLAG, "run the program directly, its words as they are"),
            Param("from", OPTION, "enqueue every line of a file; - is standard input", completer="files", metavar="FILE"),
            Param("keep_going", FLAG, "with many lines: skip bad ones"),
            Param("quiet", FLAG, "print only the id"),
            Param("job", TAIL, "the command line, or a job as JSON", metavar="COMMAND…"),
        ),
        aliases=("add",), topic=_JOBS, mutates=True,
        description=(
            "Everything behind the flags is the job's, verbatim: quotes, pipes and variables mean what they mean to"
            " the shell that runs it. After -- it is taken as it is. What begins with { is a job as JSON.\n"
            "`enqueue -` reads one command line, or one JSON object, from each line of standard input."
        ),
        examples=(
            "enqueue sleep 5 && echo done",
            "enqueue --timeout 5m --priority 2 make -j4",
            'enqueue {"command": "echo", "args": ["a b"], "max_retries": 1}',
            "enqueue --at 18:30 -- ./nightly --full",
        ),
    ),
    Command(
        ("status",), "counts, workers and what is going on; or one job whole", "queuectl.commands.looking:status",
        (_WHICH._replace(help="the jobs to show whole"),), topic=_LOOK, examples=("status", "status 3"),
    ),
    Command(
        ("list",), "list jobs", "queuectl.commands.looking:list_jobs",
        (*_FILTERS, Param("limit", OPTION, "at most so many, the newest", type="count", metavar="N"), _WHICH),
        aliases=("ps",), topic=_LOOK,
        description="Shows the newest 50 on a terminal, all otherwise.",
        examples=("list --state pending", "list failed,dead", "list --since 2h --queue gpu"),
    ),
    Command(
        ("why",), "say why jobs are not running", "queuectl.commands.why:why", (*_FILTERS, _WHICH), topic=_LOOK,
        description="Without a selection: the last job.", examples=("why 3", "why failed"),
    ),
    Command(
        ("wait",), "wait until jobs have ended, telling each change", "queuectl.commands.waiting:wait",
        (
            Param("for", OPTION, "until they are in this state", type="states", completer="states", metavar="STATE"),
            Param("timeout", OPTION, "at most so long", type="duration", metavar="TIME"),
            *_FILTERS, _WHICH,
        ),
        topic=_LOOK,
        description="Without a selection: until nothing is left to run. Exit code 4 if one of them did not complete.",
        examples=("wait", "wait 3 5-9", "wait last --timeout 10m"),
    ),
    Command(
        ("output",), "show what a job wrote", "queuectl.commands.outputs:output",
        (
            Param("stdout", FLAG, "only its standard output"),
            Param("stderr", FLAG, "only its standard error"),
            Param("merged", FLAG, "both on standard output, in the order they came"),
            Param("attempt", OPTION, "of this attempt instead of the newest", type="count", metavar="N"),
            Param("tail", OPTION, "only the last N lines", type="size", metavar="N"),
            Param("follow", FLAG, "go on while it writes, until the job has ended", short="-f"),
            Param("timestamps", FLAG, "in front of each line when it came"),
            Param("which", POSITIONAL, "the job; the last one by default", metavar="JOB", completer="job-ids", nargs="?"),
        ),
        aliases=("log", "logs"), topic=_LOOK, examples=("output 3", "output last --tail 20", "output 3 --attempt 1"),
    ),
    Command(
        ("follow",), "show what jobs write while they write it, until they have ended", "queuectl.commands.following:follow",
        (
            Param("timestamps", FLAG, "in front of each line when it came"),
            Param("tail", OPTION, "of what is there already only the last N lines", type="size", metavar="N"),
            *_FILTERS, _WHICH,
        ),
        aliases=("tail",), topic=_LOOK,
        description=(
            "Of several jobs each line has its job in front, and jobs that come to fit join. Without a selection:"
            " what runs, else the last job. Exit code 4 if one of them did not complete."
        ),
        examples=("follow", "follow 3 5-9", "follow all --queue gpu"),
    ),
    Command(
        ("pause",), "hold jobs: a waiting one is not started, a running one stands still", "queuectl.commands.acting:pause",
        (*_FILTERS, _WHICH), aliases=("hold",), topic=_END, mutates=True,
        description="`all` is every job that is not finished. Timeouts of a running job stand still too.",
        examples=("pause 3", "pause all --queue gpu"),
    ),
    Command(
        ("resume",), "let paused jobs go on", "queuectl.commands.acting:resume",
        (*_FILTERS, _WHICH), aliases=("release",), topic=_END, mutates=True, examples=("resume 3", "resume all"),
    ),
    Command(
        ("edit",), "change jobs that are not running", "queuectl.commands.steering:edit",
        (
            Param("command", OPTION, "the new command line", metavar="LINE"), *_JOB,
            _WHICH._replace(help="ids, ranges and names", nargs="+"),
        ),
        topic=_END, mutates=True,
        description="Without flags the job is opened in $VISUAL or $EDITOR, and changed only if all of it is right.",
        examples=("edit 3", "edit 3 --priority 5", "edit 3-5 --command 'make -j4' --timeout 10m"),
    ),
    Command(
        ("move",), "put waiting jobs into another queue, or first or last", "queuectl.commands.steering:move",
        (
            Param("to", OPTION, "into this queue", metavar="QUEUE", completer="queues"),
            Param("first", FLAG, "before all that waits in their queue"),
            Param("last", FLAG, "behind all that waits in their queue"),
            *_FILTERS, _WHICH,
        ),
        topic=_END, mutates=True, examples=("move 3 --first", "move failed --to slow"),
    ),
    Command(
        ("signal",), "send a signal to running jobs", "queuectl.commands.steering:send_signal",
        (*_FILTERS, Param("signal", POSITIONAL, "TERM, SIGUSR1, 15 …", metavar="NAME", completer="signals"), _WHICH),
        topic=_END, mutates=True, description="Only delivers it: a job that ends of it has failed like any other.",
        examples=("signal USR1 3",),
    ),
    Command(
        ("send",), "write a line to the standard input of a running job", "queuectl.commands.steering:send",
        (
            Param("raw", FLAG, "just the text, without a newline at the end"),
            Param("job", POSITIONAL, "the job", metavar="JOB", completer="job-ids"),
            Param("text", POSITIONAL, "what to write", metavar="TEXT", nargs="*"),
        ),
        topic=_END, mutates=True, description="For jobs enqueued with --interactive.", examples=("send 3 yes",),
    ),
    Command(
        ("cancel",), "end jobs for good; they stay listed", "queuectl.commands.acting:cancel",
        (Param("now", FLAG, "SIGKILL at once"), *_FILTERS, _YES, _WHICH), aliases=("kill",), topic=_END, mutates=True,
        description="A running job gets SIGTERM, then SIGKILL. `all` is every job that is not finished.",
        examples=("cancel 3", "cancel 5-9 --now", "cancel all --queue gpu"),
    ),
    Command(
        ("retry",), "run failed jobs now, finished ones afresh", "queuectl.commands.acting:retry",
        (*_FILTERS, _WHICH), aliases=("restart",), topic=_END, mutates=True,
        description="`all` is every failed and dead job. The history stays.", examples=("retry 3", "retry all"),
    ),
    Command(
        ("remove",), "delete jobs and their output", "queuectl.commands.acting:remove",
        (*_FILTERS, _YES, _WHICH), aliases=("rm",), topic=_END, mutates=True,
        description="Running jobs are refused: cancel them first.", examples=("remove 3", "remove completed --since 1d"),
    ),
    Command(
        ("prune",), "delete finished jobs by age", "queuectl.commands.keeping:prune",
        (
            Param("older_than", OPTION, "finished longer ago than this; 0 is all", type="duration", metavar="TIME"),
            Param("state", OPTION, "completed, cancelled or dead", type="states", completer="states", repeat=True, commas=True),
            _YES,
        ),
        aliases=("clean",), topic=_END, mutates=True,
        description="Without flags: what the settings keep-completed, keep-completed-count and keep-cancelled say.",
        examples=("prune", "prune --older-than 7d --state completed"),
    ),
    Command(
        ("worker", "start"), "start workers", "queuectl.commands.workers:start",
        (
            Param("queue", OPTION, "take only from this queue", completer="queues", repeat=True, short="-q"),
            Param("until_empty", FLAG, "leave when nothing is left to run"),
            Param("detach", FLAG, "run in the background, without a terminal"),
            Param("workers", POSITIONAL, "how many more; 1 by default", type="count", metavar="N", nargs="?"),
        ),
        topic=_GROUPS, local=True,
        description="On the command line it stays in the foreground: Ctrl-C finishes what runs, a second one stops it.",
        examples=("worker start 3", "worker start 2 --queue gpu", "worker start 2 --detach"),
    ),
    Command(
        ("worker", "stop"), "stop workers; running jobs finish", "queuectl.commands.workers:stop",
        (
            Param("host", OPTION, "whose workers: a host's id, or all", metavar="HOST", completer="hosts"),
            Param("now", FLAG, "end running jobs and hand them back, uncounted"),
            Param("workers", POSITIONAL, "how many; all by default", type="count", metavar="N", nargs="?"),
        ),
        topic=_GROUPS, mutates=True, examples=("worker stop", "worker stop 1"),
    ),
    Command(("worker", "list"), "list workers", "queuectl.commands.workers:list_workers", topic=_GROUPS),
    Command(
        ("queue", "create"), "create a queue", "queuectl.commands.queues:create",
        (
            Param("limit", OPTION, "run at most so many of its jobs at once", type="count", metavar="N"),
            Param("queue", POSITIONAL, "its name", metavar="NAME"),
        ),
        topic=_GROUPS, mutates=True, examples=("queue create gpu --limit 2",),
    ),
    Command(("queue", "list"), "list queues", "queuectl.commands.queues:list_queues", topic=_GROUPS),
    Command(
        ("queue", "pause"), "start no more jobs of a queue", "queuectl.commands.queues:pause",
        (Param("queue", POSITIONAL, "its name", metavar="NAME", completer="queues"),), topic=_GROUPS, mutates=True,
    ),
    Command(
        ("queue", "resume"), "start jobs of a queue again", "queuectl.commands.queues:resume",
        (Param("queue", POSITIONAL, "its name", metavar="NAME", completer="queues"),), topic=_GROUPS, mutates=True,
    ),
    Command(("dlq", "list"), "list dead jobs and why they died", "queuectl.commands.dlq:list_dead", (*_FILTERS[1:], _WHICH), topic=_GROUPS),
    Command(
        ("dlq", "retry"), "run dead jobs afresh", "queuectl.commands.dlq:retry",
        (
            Param("edit", FLAG, "open each in $VISUAL or $EDITOR first"),
            Param("keep_attempts", FLAG, "one more run instead of all of them"),
            *_FILTERS[1:], _WHICH,
        ),
        topic=_GROUPS, mutates=True, examples=("dlq retry 1", "dlq retry all", "dlq retry 1 --edit --keep-attempts"),
    ),
    Command(
        ("dlq", "purge"), "delete dead jobs, all by default", "queuectl.commands.dlq:purge", (*_FILTERS[1:], _YES, _WHICH),
        topic=_GROUPS, mutates=True,
    ),
    Command(
        ("set",), "show or change settings", "queuectl.commands.keeping:set_value",
        (
            Param("queue", OPTION, "for jobs of this queue only", completer="queues"),
            Param("default", FLAG, "go back to the default"),
            Param("setting", POSITIONAL, "its name", metavar="NAME", completer="settings", nargs="?"),
            Param("value", POSITIONAL, "its new value", metavar="VALUE", completer="setting-values", nargs="*"),
        ),
        topic=_KEEP, mutates=True, examples=("set", "set max-retries 5", "set timeout 10m --queue gpu"),
    ),
    Command(
        ("help",), "explain commands", "queuectl.commands.help:show",
        (Param("command", POSITIONAL, "the command", metavar="COMMAND", completer="commands", nargs="*"),), topic=_KEEP,
        examples=("help", "help worker start"),
    ),
    Command(("version",), "show the version", "queuectl.commands.help:version", topic=_KEEP),
    Command(
        ("cd",), "change the directory for jobs", "queuectl.commands.session:cd",
        (Param("directory", POSITIONAL, "where to", metavar="DIR", completer="directories", nargs="?"),), topic=_KEEP, local=True,
    ),
    Command(("pwd",), "show the directory for jobs", "queuectl.commands.session:pwd", topic=_KEEP, local=True),
    Command(
        ("!",), "run a command now, outside the queue", "queuectl.commands.session:run_now",
        (Param("command_line", TAIL, "a shell command line", metavar="COMMAND…"),), topic=_KEEP, local=True,
        examples=("!ls", "!queuectl list | grep ffmpeg"),
    ),
    Command(("exit",), "leave", "queuectl.commands.session:leave", aliases=("quit",), topic=_KEEP, local=True),
)  # fmt: skip

GRAMMAR = Grammar(TABLE)
