"""The command table: every command, its parameters and what runs it. The only definition."""

from __future__ import annotations

from queuectl.grammar import FLAG, OPTION, POSITIONAL, TAIL, Command, Grammar, Param

_JOBS, _LOOK, _END, _GROUPS, _KEEP = "Jobs", "Looking", "Ending and again", "Groups", "Keeping"

_WHICH = Param("which", POSITIONAL, "ids, ranges, names, `last`, `all` or states", metavar="SELECTION",
               completer="job-ids", nargs="*", commas=True)  # fmt: skip
_QUEUES = Param(
    "queue", OPTION, "only jobs of these queues", completer="queues", repeat=True, commas=True
)
_ARRAY = Param("array", OPTION, "only jobs of the array with this id", type="count", metavar="ID")
_FILTERS = (
    Param("state", OPTION, "only jobs in these states", type="states", completer="states", repeat=True, commas=True),
    _QUEUES,
    Param("name", OPTION, "only jobs whose name matches this pattern", metavar="GLOB"),
    Param("since", OPTION, "only jobs enqueued since then: 2h, 18:30 or a date", metavar="WHEN"),
    Param("exit", OPTION, "only jobs whose last attempt ended so: 0, 75,100-110, KILL, signals, timeout, lost", metavar="ENDINGS", repeat=True, commas=True),
    _ARRAY,
)  # fmt: skip
_EACH = Param("each", FLAG, "a line for every job of an array")
_SCHEDULE = Param("schedule", POSITIONAL, "its name", metavar="NAME", completer="schedules")
_YES = Param("yes", FLAG, "do not ask", short="-y")
_DEPENDENTS = Param(
    "dependents", FLAG, "with what was cancelled because of them, and of that in turn"
)
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
    Param("output_full", OPTION, "what happens beyond that: drop the rest, or fail", choices=("drop", "fail"), metavar="drop/fail"),
    Param("after", OPTION, "not before these jobs have completed: ids, ranges, names, `last`", metavar="JOBS", completer="job-ids", repeat=True, commas=True),
    Param("after_any", OPTION, "not before these jobs have ended, however", metavar="JOBS", completer="job-ids", repeat=True, commas=True),
    Param("after_failed", OPTION, "only if these jobs have died", metavar="JOBS", completer="job-ids", repeat=True, commas=True),
    Param("keep_waiting", FLAG, "wait on when what it waits for can never be; else it is cancelled"),
    Param("unique", OPTION, "not while another job of this key is not finished; auto: of the same queue, command, words and shell, wherever it runs", metavar="KEY", completer="keys"),
    Param("slots", OPTION, "workers it takes while it runs", metavar="N"),
    Param("need", OPTION, "what it takes of a host's resources: gpu=1,mem=8G", metavar="AMOUNTS", completer="resources", repeat=True, commas=True),
    Param("delay", OPTION, "not before this long from now", type="duration", metavar="TIME"),
    Param("at", OPTION, "not before this time: 18:30, 2026-12-01T10:00; no more than a day past", metavar="WHEN"),
    Param("cwd", OPTION, "directory to run in", completer="directories", metavar="DIR"),
    Param("env", OPTION, "set a variable; NAME alone copies its value now", metavar="NAME[=VALUE]", repeat=True, short="-e"),
    Param("stdin", OPTION, "a file to feed it on standard input; -: what comes on this one", completer="files", metavar="FILE"),
    Param("shell", OPTION, "the shell that runs the command line", completer="files", metavar="PATH"),
)  # fmt: skip
#: flags of a queue, when it is created and when it is changed
_QUEUE = (
    Param("command", OPTION, "the command its messages are arguments of: in place of {}, or last", metavar="LINE"),
    Param("shell", FLAG, "that command is a line for a shell, with the message as $1"),
    Param("cwd", OPTION, "the directory that command runs in", completer="directories", metavar="DIR"),
    Param("limit", OPTION, "run at most so many of its jobs at once", metavar="N"),
    Param("rate", OPTION, "start at most so many in a time: 10/m, 3/10s", metavar="N/TIME"),
    Param("priority", OPTION, "of its jobs, where they say nothing", metavar="N", short="-p"),
    Param("max_retries", OPTION, "likewise: retries after the first attempt", metavar="N"),
    Param("backoff_base", OPTION, "likewise: a retry waits base ** attempts seconds", metavar="BASE"),
    Param("timeout", OPTION, "likewise: end an attempt that runs longer", metavar="TIME"),
    Param("halt_on", OPTION, "pause it when so many of its jobs have died", metavar="N"),
    Param("accept_messages", FLAG, "take messages for it from the network and from spool files"),
    Param("pull", FLAG, "give its jobs only to whoever asks for this queue by name"),
)  # fmt: skip
_QUEUE_NAME = Param("queue", POSITIONAL, "its name", metavar="NAME", completer="queues")

TABLE: tuple[Command, ...] = (
    Command(
        ("enqueue",), "add a job", "queuectl.commands.jobs:enqueue",
        (
            *_JOB,
            Param("paused", FLAG, "hold it until `resume`"),
            Param("no_shell", FLAG, "run the program directly, its words as they are"),
            Param("array", OPTION, "one job for each index, which $QUEUECTL_INDEX says in a quoted command: 0-99, 1,3,7-9, 0-20:5; %10: at most 10 at once", metavar="INDICES"),
            Param("dry_run", FLAG, "print each command, behind it index, name and what it waits for; enqueue nothing"),
            Param("from", OPTION, "enqueue every line of a file; - is standard input", completer="files", metavar="FILE"),
            Param("keep_going", FLAG, "with many lines: skip bad ones"),
            Param("quiet", FLAG, "print only the id"),
            Param("job", TAIL, "the command line, or a job as JSON", metavar="COMMAND…"),
        ),
        aliases=("add",), topic=_JOBS,
        description=(
            "Everything behind the flags is the job's, verbatim: quotes, pipes and variables mean what they mean to"
            " the shell that runs it. After -- it is taken as it is. What begins with { is a job as JSON.\n"
            "`enqueue -` reads one command line, or one JSON object, from each line of standard input; a list of such objects,"
            " which may wait for each other by name, is enqueued all or none, also `--from FILE`.\n"
            "The fields of a job as JSON: command, args, shell, queue, name, id, priority, max_retries, backoff_base, backoff_max,"
            " jitter, timeout, idle_timeout, kill_grace, output_limit, ship_limit, output_full, retry_on, no_retry_on, merge,"
            " interactive, leave_children, on_success, on_failure, on_dead, unmet, on_lost_contact, delay, at, cwd, env, stdin,"
            " stdin_file, paused, after, after_any, after_failed, keep_waiting, unique, slots, need. They mean what the flags do,"
            " and the settings of their names; id is a name, shell also true or false, stdin the text itself.\n"
            "An unquoted ::: makes a job for each argument behind it, as in GNU parallel: {} is the argument, {.} without its"
            " extension, {/} without its directory, {//} its directory, {/.} both, {1} that of the first :::, {#} the job's number."
            " Several ::: make every combination, :::+ goes in step, :::: takes the lines of a file.\n"
            "With --json the answer for one job has its id as a number, for many the list ids with each id as a number; likewise"
            " existing_ids of those that were there already (--unique).\n"
            "Many jobs may have names: with --name NAME those of an array are NAME-INDEX; for ::: it may hold such places,"
            " 'sw-{1}', and is NAME-{#} without any."
        ),
        examples=(
            "enqueue sleep 5 && echo done",
            "enqueue --timeout 5m --priority 2 make -j4",
            'enqueue {"command": "echo", "args": ["a b"], "max_retries": 1}',
            "enqueue --at 18:30 -- ./nightly --full",
            "enqueue convert {} {.}.png ::: *.jpg",
            "enqueue --array 0-99%10 './sim $QUEUECTL_INDEX'",
            "enqueue --after 3-5 --need gpu=1 ./train",
        ),
    ),
    Command(
        ("submit",), "give messages to a queue that has a command", "queuectl.commands.messages:submit",
        (
            Param("priority", OPTION, "higher runs first", type="int", metavar="N", short="-p"),
            Param("delay", OPTION, "not before this long from now", type="duration", metavar="TIME"),
            Param("at", OPTION, "not before this time: 18:30, 2026-12-01T10:00", metavar="WHEN"),
            Param("name", OPTION, "a name, unique among the jobs that are not finished", short="-n"),
            Param("unique", OPTION, "not while another job of this key is not finished; auto: of the same message", metavar="KEY", completer="keys"),
            Param("from", OPTION, "every line of a file; - is standard input", completer="files", metavar="FILE"),
            Param("quiet", FLAG, "print only the ids"),
            Param("queue", POSITIONAL, "the queue", completer="queues"),
            Param("messages", TAIL, "each is one argument of the queue's command", metavar="MESSAGE…"),
        ),
        topic=_JOBS,
        description=(
            "Each message is a job: the queue's command with the message in place of {}, or behind it, as one argument whatever"
            " is in it. `submit QUEUE -` takes every line of standard input that is not empty.\n"
            "Flags come before the messages: a message that is spelled like one of them is refused, but behind --."
        ),
        examples=("submit thumbs a.jpg 'b c.jpg'", "submit thumbs --from names.txt"),
    ),
    Command(
        ("status",), "counts, workers and what is going on; or one job whole", "queuectl.commands.looking:status",
        (_ARRAY._replace(help="how far the array with this id is"), _EACH, _WHICH._replace(help="the jobs to show whole")),
        topic=_LOOK, looks=True, examples=("status", "status 3", "status --array 12"),
    ),
    Command(
        ("top",), "the status again and again, until q", "queuectl.commands.top:top", topic=_LOOK, looks=True, local=True,
        description="Without a terminal it is `status`.",
    ),
    Command(
        ("stats",), "what queues have done in the last hour and day, how long jobs waited and ran", "queuectl.commands.stats:stats",
        (_QUEUES._replace(help="only these queues"),), topic=_LOOK, looks=True,
        description=(
            "HOUR and DAY are what has completed or died since, DEAD and RETRIED (completed after more than one attempt) are of the day: all of them are counted."
            " WAITED and RAN are of the last attempts of the newest 5,000: half of them took no longer, and 95 of 100 no longer than the column beside it says."
        ),
        examples=("stats", "stats --queue gpu"),
    ),
    Command(
        ("list",), "list jobs", "queuectl.commands.looking:list_jobs",
        (
            *_FILTERS, Param("limit", OPTION, "at most so many lines, the newest", type="count", metavar="N"),
            _EACH, Param("tree", FLAG, "jobs below those that they wait for"), _WHICH,
        ),
        aliases=("ps",), topic=_LOOK, looks=True,
        description=(
            "Shows the newest 50 lines on a terminal, all otherwise. On a terminal jobs of an array that follow one another and do not"
            " run are one line while they look the same: its ID is their range, as `cancel` and others take it. Behind the indices stands"
            " how many may run at once: 12[5-99%10]. Elsewhere, with --json, with --tree and as ids every job is a line.\n"
            "HOST is there when jobs run, or ran, on more than one host: the machine, or the host's id where several are on one."
        ),
        examples=("list --state pending", "list failed,dead", "list --since 2h --queue gpu", "list --array 12 --each", "list --tree"),
    ),
    Command(
        ("why",), "say why jobs are not running", "queuectl.commands.why:why", (*_FILTERS, _WHICH), topic=_LOOK, looks=True,
        description="Without a selection: the last job.", examples=("why 3", "why failed"),
    ),
    Command(
        ("wait",), "wait until jobs have ended, telling each change", "queuectl.commands.waiting:wait",
        (
            Param("for", OPTION, "until they are in this state", type="states", completer="states", metavar="STATE"),
            Param("timeout", OPTION, "at most so long", type="duration", metavar="TIME"),
            *_FILTERS, _WHICH,
        ),
        topic=_LOOK, looks=True,
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
            Param("which", POSITIONAL, "the job; the last one by default", type="one-job", metavar="JOB", completer="job-ids", nargs="?"),
        ),
        aliases=("log", "logs"), topic=_LOOK, looks=True, examples=("output 3", "output last --tail 20", "output 3 --attempt 1"),
    ),
    Command(
        ("follow",), "show what jobs write while they write it, until they have ended", "queuectl.commands.following:follow",
        (
            Param("timestamps", FLAG, "in front of each line when it came"),
            Param("tail", OPTION, "of what is there already only the last N lines", type="size", metavar="N"),
            *_FILTERS, _WHICH,
        ),
        aliases=("tail",), topic=_LOOK, looks=True,
        description=(
            "Of several jobs each line has its job in front, and jobs that come to fit join. Without a selection:"
            " what runs, else the last job. Exit code 4 if one of them did not complete."
        ),
        examples=("follow", "follow 3 5-9", "follow all --queue gpu"),
    ),
    Command(
        ("pause",), "hold jobs: a waiting one is not started, a running one stands still", "queuectl.commands.acting:pause",
        (*_FILTERS, _WHICH), aliases=("hold",), topic=_END,
        description="`all` is every job that is not finished. Timeouts of a running job stand still too.",
        examples=("pause 3", "pause all --queue gpu"),
    ),
    Command(
        ("resume",), "let paused jobs go on", "queuectl.commands.acting:resume",
        (*_FILTERS, _WHICH), aliases=("release",), topic=_END, examples=("resume 3", "resume all"),
    ),
    Command(
        ("edit",), "change jobs that are not running", "queuectl.commands.steering:edit",
        (
            Param("command", OPTION, "the new command line", metavar="LINE"),
            *(param._replace(type="duration-or-none") if param.name == "delay" else param for param in _JOB),
            Param("no_merge", FLAG, "stdout and stderr apart"),
            Param("no_interactive", FLAG, "no standard input kept open"),
            Param("no_leave_children", FLAG, "end what it leaves running"),
            Param("no_keep_waiting", FLAG, "cancel it when what it waits for can never be"),
            _WHICH._replace(help="ids, ranges and names", nargs="+"),
        ),
        topic=_END,
        description=(
            "Without flags the job is opened in $VISUAL or $EDITOR, and changed only if all of it is right.\n"
            "`none` takes a value back: edit 3 --timeout none --after none --need none."
        ),
        examples=("edit 3", "edit 3 --priority 5", "edit 3-5 --command 'make -j4' --timeout 10m", "edit 3 --after none"),
    ),
    Command(
        ("move",), "put waiting jobs into another queue, or first or last", "queuectl.commands.steering:move",
        (
            Param("to", OPTION, "into this queue", metavar="QUEUE", completer="queues"),
            Param("first", FLAG, "before all that is ready in their queue"),
            Param("last", FLAG, "behind all that is ready in their queue"),
            *_FILTERS, _WHICH,
        ),
        topic=_END,
        description=(
            "--first and --last give a job the priority of the one it is put next to, and it is due then, also one that was to start"
            " later or waits for its retry; the answer says so. What is paused or waits for other jobs stays so."
        ),
        examples=("move 3 --first", "move failed --to slow"),
    ),
    Command(
        ("signal",), "send a signal to running jobs", "queuectl.commands.steering:send_signal",
        (*_FILTERS, Param("signal", POSITIONAL, "TERM, SIGUSR1, 15 …", metavar="NAME", completer="signals"), _WHICH),
        topic=_END, description=(
            "It goes to the job's whole process group: its shell and all that it has started there. It is only delivered:"
            " a job that ends of it has failed like any other."
        ),
        examples=("signal USR1 3",),
    ),
    Command(
        ("send",), "write a line to the standard input of a running job", "queuectl.commands.steering:send",
        (
            Param("raw", FLAG, "just the text, without a newline at the end"),
            Param("eof", FLAG, "end its input behind that; without a text: only that"),
            Param("job", POSITIONAL, "the job", metavar="JOB", completer="job-ids"),
            Param("text", POSITIONAL, "what to write", metavar="TEXT", nargs="*"),
        ),
        topic=_END, description="For jobs enqueued with --interactive.", examples=("send 3 yes", "send 3 --eof"),
    ),
    Command(
        ("cancel",), "end jobs for good; they stay listed", "queuectl.commands.acting:cancel",
        (Param("now", FLAG, "SIGKILL at once"), *_FILTERS, _YES, _WHICH), aliases=("kill",), topic=_END,
        description="A running job gets SIGTERM, then SIGKILL. `all` is every job that is not finished.",
        examples=("cancel 3", "cancel 5-9 --now", "cancel all --queue gpu"),
    ),
    Command(
        ("retry",), "run failed jobs now, finished ones afresh", "queuectl.commands.acting:retry",
        (_DEPENDENTS, *_FILTERS, _WHICH), aliases=("restart",), topic=_END,
        description=(
            "`all` is every failed and dead job. The history stays. Jobs that wait for each other are retried together, whatever their order"
            " (what one waited for and has got, it does not wait for again);"
            " one that waits for a job that has failed and is not retried with it is refused."
        ),
        examples=("retry 3", "retry all", "retry 3 --dependents"),
    ),
    Command(
        ("remove",), "delete jobs and their output", "queuectl.commands.acting:remove",
        (*_FILTERS, _YES, _WHICH), aliases=("rm",), topic=_END,
        description="Running jobs are refused: cancel them first.", examples=("remove 3", "remove completed --since 1d"),
    ),
    Command(
        ("prune",), "delete finished jobs by age", "queuectl.commands.keeping:prune",
        (
            Param("older_than", OPTION, "finished longer ago than this; 0 is all", type="duration", metavar="TIME"),
            Param("state", OPTION, "completed, cancelled or dead", type="states", completer="states", repeat=True, commas=True),
            _YES,
        ),
        aliases=("clean",), topic=_END,
        description="Without flags: what the settings keep-completed, keep-completed-count and keep-cancelled say.",
        examples=("prune", "prune --older-than 7d --state completed"),
    ),
    Command(
        ("worker", "start"), "start workers", "queuectl.commands.workers:start",
        (
            Param("queue", OPTION, "take only from these queues", completer="queues", repeat=True, short="-q", commas=True),
            Param("until_empty", FLAG, "leave when nothing is left to run"),
            Param("detach", FLAG, "run in the background, without a terminal"),
            Param("resource", OPTION, "what this host has for jobs that need it: gpu=2, gpu=[0,3], mem=24G", metavar="NAME=AMOUNT", repeat=True),
            Param("quiet", FLAG, "no line for each job on a terminal"),
            Param("workers", POSITIONAL, "how many more; 1 by default", type="count", metavar="N", nargs="?"),
        ),
        topic=_GROUPS, local=True,
        description=(
            "On the command line it stays in the foreground: Ctrl-C finishes what runs, a second one stops it.\n"
            "Resources are the host's, not each worker's: what another `worker start` gives here is added. A small number without a unit is items: a job that"
            " needs gpu=1 finds its item in QUEUECTL_GPU, and in CUDA_VISIBLE_DEVICES unless it brings its own. gpu=2 is two of those that CUDA_VISIBLE_DEVICES"
            " names here, if it does; a list is taken as it is, also of names, and [0,0,1,1] has two jobs share each."
        ),
        examples=("worker start 3", "worker start 2 --queue gpu,default", "worker start 4 --resource gpu=2 --resource mem=24G"),
    ),
    Command(
        ("worker", "stop"), "stop workers; running jobs finish", "queuectl.commands.workers:stop",
        (
            Param("host", OPTION, "whose workers: a host's id, or all", metavar="HOST", completer="hosts"),
            Param("now", FLAG, "end running jobs and hand them back, uncounted"),
            Param("workers", POSITIONAL, "how many; all by default", type="count", metavar="N", nargs="?"),
        ),
        topic=_GROUPS, examples=("worker stop", "worker stop 1"),
    ),
    Command(("worker", "list"), "list workers", "queuectl.commands.workers:list_workers", topic=_GROUPS, looks=True),
    Command(
        ("queue", "create"), "create a queue", "queuectl.commands.queues:create",
        (*_QUEUE, Param("queue", POSITIONAL, "its name", metavar="NAME")),
        topic=_GROUPS,
        examples=("queue create gpu --limit 2", "queue create thumbs --command './thumb.sh {}' --limit 4 --max-retries 2"),
    ),
    Command(
        ("queue", "set"), "change a queue; without flags: show it", "queuectl.commands.queues:change",
        (
            *_QUEUE,
            Param("no_shell", FLAG, "that command is a program and its words"),
            Param("no_accept_messages", FLAG, "take no messages from elsewhere"),
            Param("no_pull", FLAG, "give its jobs to every worker"),
            _QUEUE_NAME,
        ),
        topic=_GROUPS, description="`none` takes a value back: queue set gpu --limit none.",
        examples=("queue set gpu --limit 4", "queue set gpu --limit none --rate 10/m"),
    ),
    Command(
        ("queue", "list"), "list queues", "queuectl.commands.queues:list_queues", topic=_GROUPS, looks=True,
        description="OLDEST is how long the first job has waited that is due, not on hold, and waits for no other job.",
    ),
    Command(
        ("queue", "peek"), "print what waits in a queue, a message or a command a line", "queuectl.commands.messages:peek",
        (Param("limit", OPTION, "at most so many", type="count", metavar="N"), _QUEUE_NAME),
        topic=_GROUPS, looks=True, description="Byte for byte on a pipe; a newline in a message is written \\n.", examples=("queue peek thumbs",),
    ),
    Command(
        ("queue", "pause"), "start no more jobs of a queue", "queuectl.commands.queues:pause", (_QUEUE_NAME,),
        topic=_GROUPS,
    ),
    Command(
        ("queue", "resume"), "start jobs of a queue again", "queuectl.commands.queues:resume", (_QUEUE_NAME,),
        topic=_GROUPS,
    ),
    Command(
        ("queue", "remove"), "delete a queue without jobs", "queuectl.commands.queues:remove", (_QUEUE_NAME,),
        topic=_GROUPS,
    ),
    Command(
        ("schedule", "add"), "enqueue a job again and again", "queuectl.commands.schedules:add",
        (
            Param("schedule", POSITIONAL, "its name", metavar="NAME"),
            Param("when", POSITIONAL, "five fields of cron in quotes, @daily and the like, or every 10m", metavar="WHEN", completer="times", nargs="+"),
            Param("tz", OPTION, "the time zone its times are in; this machine's by default", metavar="ZONE", completer="zones"),
            Param("overlap", OPTION, "while its last job has not ended: skip this time, or queue one more; skip by default", choices=("skip", "queue"), metavar="skip/queue"),
            Param("missed", OPTION, "after times when no host was running: enqueue none, one, or all of at most 1,000; one by default", choices=("none", "one", "all"), metavar="none/one/all"),
            Param("replace", FLAG, "in place of the schedule of that name"),
            *_JOB,
            Param("paused", FLAG, "hold each job until `resume`"),
            Param("no_shell", FLAG, "run the program directly, its words as they are"),
            Param("job", TAIL, "behind --: the command line", metavar="-- COMMAND…"),
        ),
        topic=_GROUPS,
        description=(
            "Schedules fire while a host with workers runs anywhere, once however many there are. A time that the clocks skip in"
            " spring fires once right after the gap, one that comes twice in autumn fires once; a star in the minutes or hours"
            " and `every` go by real time. What the job leaves open is decided whenever it fires."
        ),
        examples=(
            "schedule add nightly '0 3 * * *' --tz Europe/Rome -- ./backup.sh",
            "schedule add beat every 10m --overlap queue -- ./beat",
        ),
    ),
    Command(("schedule", "list"), "list schedules: when they fire next, and what came of the last time", "queuectl.commands.schedules:list_schedules", topic=_GROUPS, looks=True),
    Command(
        ("schedule", "pause"), "let a schedule fire no more for now", "queuectl.commands.schedules:pause", (_SCHEDULE,),
        topic=_GROUPS,
    ),
    Command(
        ("schedule", "resume"), "let a schedule fire again, from its next time on", "queuectl.commands.schedules:resume", (_SCHEDULE,),
        topic=_GROUPS,
    ),
    Command(
        ("schedule", "run"), "enqueue the job of a schedule now; its times stay as they are", "queuectl.commands.schedules:run", (_SCHEDULE,),
        topic=_GROUPS, examples=("schedule run nightly",),
    ),
    Command(
        ("schedule", "remove"), "delete a schedule; jobs it has made stay", "queuectl.commands.schedules:remove", (_SCHEDULE,),
        topic=_GROUPS,
    ),
    Command(("dlq", "list"), "list dead jobs and why they died", "queuectl.commands.dlq:list_dead", (*_FILTERS[1:], _WHICH), topic=_GROUPS, looks=True),
    Command(
        ("dlq", "retry"), "run dead jobs afresh", "queuectl.commands.dlq:retry",
        (
            Param("edit", FLAG, "open each in $VISUAL or $EDITOR first"),
            Param("keep_attempts", FLAG, "one more run instead of all of them"),
            _DEPENDENTS, *_FILTERS[1:], _WHICH,
        ),
        topic=_GROUPS, examples=("dlq retry 1", "dlq retry all", "dlq retry 1 --edit --keep-attempts"),
    ),
    Command(
        ("dlq", "purge"), "delete dead jobs, all by default", "queuectl.commands.dlq:purge", (*_FILTERS[1:], _YES, _WHICH),
        topic=_GROUPS,
    ),
    Command(
        ("set",), "show or change settings", "queuectl.commands.keeping:set_value",
        (
            Param("queue", OPTION, "for jobs of this queue only", completer="queues"),
            Param("default", FLAG, "go back to the default"),
            Param("setting", POSITIONAL, "its name", metavar="NAME", completer="settings", nargs="?"),
            Param("value", POSITIONAL, "its new value", metavar="VALUE", completer="setting-values", nargs="*"),
        ),
        topic=_KEEP, examples=("set", "set max-retries 5", "set timeout 10m --queue gpu"),
    ),
    Command(
        ("export",), "write jobs with all their history as lines of JSON", "queuectl.commands.transfer:export",
        (
            Param("file", OPTION, "into this new file instead of standard output", completer="files", metavar="FILE", short="-o"),
            Param("force", FLAG, "replace the file"),
            Param("no_output", FLAG, "without what the jobs wrote"),
            *_FILTERS, _WHICH,
        ),
        topic=_KEEP, looks=True,
        description=(
            "Without a selection: all jobs, with queues, settings and schedules. The lines hold the jobs' environments. They are what"
            " `import` reads; with --json and over the socket they are the items of one array."
        ),
        examples=("export --file jobs.jsonl", "export completed --since 7d"),
    ),
    Command(
        ("import",), "bring exported jobs in, under their ids", "queuectl.commands.transfer:import_jobs",
        (Param("file", POSITIONAL, "what export wrote; - is standard input", completer="files", metavar="FILE"),),
        topic=_KEEP,
        description="All or nothing. Queues, settings and schedules that are there already stay as they are; what was running waits again.",
        examples=("import jobs.jsonl",),
    ),
    Command(
        ("backup",), "write a copy of the store to a new file", "queuectl.commands.transfer:backup",
        (Param("file", POSITIONAL, "the new file", completer="files", metavar="FILE"),), topic=_KEEP, looks=True,
        description="While it is in use. The copy is a store itself.", examples=("backup ~/queue-2026-11-21.db",),
    ),
    Command(
        ("doctor",), "look whether all is well, and say what to do", "queuectl.commands.doctor:doctor", topic=_KEEP,
    ),
    Command(
        ("serve",), "run workers and take jobs by socket, network and spool files", "queuectl.serving:serve",
        (
            Param("workers", OPTION, "how many jobs at once; 1 by default", type="size", metavar="N"),
            Param("queue", OPTION, "take only from these queues", completer="queues", repeat=True, short="-q", commas=True),
            Param("resource", OPTION, "what this host has, such as gpu=2", metavar="NAME=AMOUNT", repeat=True),
            Param("socket", OPTION, "where its Unix socket is", metavar="PATH", completer="files"),
            Param("messages", OPTION, "take lines of QUEUE MESSAGE by TCP", metavar="HOST:PORT"),
            Param("spool", OPTION, "take the lines of DIR/QUEUE.queue as messages", metavar="DIR", completer="directories"),
            Param("http", OPTION, "serve the HTTP API", metavar="HOST:PORT"),
            Param("token_file", OPTION, "who may use the HTTP API", metavar="FILE", completer="files"),
            Param("tls_cert", OPTION, "the HTTP server's certificate", metavar="FILE", completer="files"),
            Param("tls_key", OPTION, "and its key", metavar="FILE", completer="files"),
            Param("allow_remote", FLAG, "let other machines send messages"),
            Param("allow_insecure", FLAG, "serve HTTP to other machines without TLS, tokens readable on the way"),
            Param("log_format", OPTION, "how it tells what happens, on standard error", choices=("text", "json"), metavar="text/json"),
            Param("detach", FLAG, "run in the background, without a terminal"),
            Param("install_unit", FLAG, "write a systemd unit that does the same, and end"),
            Param("force", FLAG, "with --install-unit: replace another one"),
        ),
        topic=_KEEP, local=True,
        description=(
            "It stays in the foreground: Ctrl-C or SIGTERM finishes what runs, a second one hands it back. SIGHUP reads tokens,"
            " certificates and limits again. The socket is always there, at QUEUECTL_SOCKET or in the state directory, for you only."
        ),
        examples=("serve --workers 4", "serve --messages 127.0.0.1:1234 --spool /var/spool/isqueue", "serve --workers 2 --install-unit"),
    ),
    Command(
        ("batch",), "on the command line: run a command for each file, and keep what it writes beside the file", "queuectl.commands.batch:batch",
        (
            Param("jobs", OPTION, "how many at once; one for each processor by default", type="count", metavar="N", short="-j"),
            Param("suffix", OPTION, "what the results' names end with; .result by default", metavar="TEXT"),
            Param("force", FLAG, "also files whose result is there and not older"),
            Param("max_retries", OPTION, "retries after the first attempt", metavar="N"),
            Param("timeout", OPTION, "end an attempt that runs longer", metavar="TIME"),
            Param("output_limit", OPTION, "a job that writes more fails", metavar="SIZE"),
            Param("command_line", TAIL, "the command, and behind ::: the files", metavar="COMMAND ::: FILE…"),
        ),
        topic=_JOBS, local=True,
        description=(
            "Each file is the standard input of a job, and FILE.result gets its standard output, whole or not at all. Run it again to go"
            " on where it was interrupted: files whose result is there are passed over. Exit code 4 if one could not be done. Without"
            " a COMMAND the files are for programs, on any machine, that claim from the queue batch (see the Python API)."
        ),
        examples=("batch -j 4 'ffmpeg -i - -f mp3 -' ::: *.wav", "batch sha256sum ::: *.iso", "batch ::: *.wav"),
    ),
    Command(
        ("produce",), "append messages to a queue's spool file, with or without a service", "queuectl.commands.spooling:produce",
        (
            Param("spool", OPTION, "the directory of the spool files; QUEUECTL_SPOOL, or in the state directory", metavar="DIR", completer="directories"),
            Param("queue", POSITIONAL, "the queue", metavar="QUEUE", completer="queues"),
            Param("messages", TAIL, "each becomes a line of the file", metavar="MESSAGE…"),
        ),
        topic=_KEEP, local=True, examples=("produce server_type google.com yahoo.com",),
    ),
    Command(
        ("consume",), "run a command for each line of a queue's spool file, as they come", "queuectl.serving:consume",
        (
            Param("processes", OPTION, "how many at once; 2 by default", type="count", metavar="N", short="-p"),
            Param("queue", OPTION, "the queue; it is made if need be", metavar="QUEUE", completer="queues", short="-q"),
            Param("spool", OPTION, "the directory of the spool files; QUEUECTL_SPOOL, or in the state directory", metavar="DIR", completer="directories"),
            Param("log_format", OPTION, "how it tells what happens, on standard error", choices=("text", "json"), metavar="text/json"),
            Param("command_line", TAIL, "the command; the message is its last argument, or stands in place of {}", metavar="COMMAND…"),
        ),
        topic=_KEEP, local=True,
        description="The queue keeps the command, takes messages, and runs at most that many jobs at once. Ctrl-C finishes what runs; what has not been read is there next time.",
        examples=("consume -p 4 -q server_type ./identify.sh",),
    ),
    Command(
        ("ctl",), "send a line to a running `serve` and show its answer", "queuectl.commands.ctl:ctl",
        (
            Param("socket", OPTION, "where its socket is", metavar="PATH", completer="files"),
            Param("timeout", OPTION, "wait for the answer at most so long", type="duration", metavar="TIME"),
            Param("request", TAIL, "a command, or `queue: COMMAND`, `status: all`, `status: ID`", metavar="REQUEST…"),
        ),
        topic=_KEEP, local=True, examples=("ctl 'status: all'", "ctl enqueue --priority 2 echo hello"),
    ),
    Command(
        ("help",), "explain commands", "queuectl.commands.help:show",
        (Param("command", POSITIONAL, "the command", metavar="COMMAND", completer="commands", nargs="*"),), topic=_KEEP,
        examples=("help", "help worker start"),
    ),
    Command(
        ("completion",), "print what makes bash, zsh or fish complete queuectl's command lines", "queuectl.shell.completion:completion",
        (
            Param("at", OPTION, "what that asks: print what can stand at the end of this line", metavar="LINE"),
            Param("shell", POSITIONAL, "bash, zsh or fish", choices=("bash", "zsh", "fish"), metavar="SHELL", nargs="?"),
        ),
        topic=_KEEP, local=True,
        description='Put eval "$(queuectl completion bash)" into ~/.bashrc, the same with zsh into ~/.zshrc behind compinit, and `queuectl completion fish | source` into config.fish.',
        examples=("completion bash",),
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
