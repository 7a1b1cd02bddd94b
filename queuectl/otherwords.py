"""What the words of other queues are called here: pueue's, task-spooler's, GNU parallel's, Slurm's.

Somebody who types one of theirs means something that spelling would not find. Imported only to
explain a mistake. Of several targets the first counts that is known where the word was typed; of
`--now: signal NAME JOB` only what stands in front of the colon has to be known, the rest is said.
"""

from __future__ import annotations

OTHER_WORDS: dict[str, tuple[str, ...]] = {
    # commands
    "sbatch": ("enqueue",), "srun": ("enqueue",), "qsub": ("enqueue",), "bsub": ("enqueue",),
    "tsp": ("enqueue",), "nq": ("enqueue",), "run": ("enqueue",), "at": ("enqueue --at",),
    "squeue": ("list",), "qstat": ("list",), "sacct": ("list",), "jobs": ("list",), "history": ("list",),
    "scancel": ("cancel",), "qdel": ("cancel",), "abort": ("cancel",), "scontrol": ("edit",),
    "sinfo": ("worker list",), "workers": ("worker list",), "sattach": ("follow",), "attach": ("follow",),
    "tree": ("list --tree",), "deps": ("list --tree",), "depend": ("list --tree",), "graph": ("list --tree",),
    "group": ("queue",), "groups": ("queue list",), "queues": ("queue list",), "peek": ("queue peek",),
    "schedules": ("schedule list",), "cron": ("schedule add",), "crontab": ("schedule add",),
    "every": ("schedule add",), "stash": ("pause",), "switch": ("move",), "requeue": ("retry",),
    "rerun": ("retry",), "clone": ("retry",), "cat": ("output",), "info": ("status",),
    "limit": ("queue set",), "limits": ("queue set",), "rate": ("queue set",), "rates": ("queue set",),
    "parallel": ("worker start",), "daemon": ("worker start",), "slots": ("worker start",),
    "gpu": ("worker start",), "gpus": ("worker start",), "resource": ("worker start",),
    "resources": ("worker start",), "shutdown": ("worker stop",),
    # those and the second words of groups
    "show": ("status", "set", "list"), "start": ("worker start", "resume"), "stop": ("worker stop", "pause"),
    "delete": ("remove",), "del": ("remove",), "rm": ("remove",), "ls": ("list",), "add": ("create",),
    "new": ("create", "add"), "edit": ("set", "add --replace"), "change": ("edit", "set", "add --replace"),
    "update": ("edit", "set", "add --replace"), "open": ("resume",), "close": ("pause",),
    "enable": ("resume",), "disable": ("pause",), "trigger": ("run",), "fire": ("run",), "kill": ("stop",),
    # flags
    "--group": ("--queue",), "-g": ("--queue",), "--partition": ("--queue",),
    "--label": ("--name",), "-l": ("--name",), "--job-name": ("--name",), "-J": ("--name",),
    "--dependency": ("--after",), "--depends-on": ("--after",), "-a": ("--after",),
    "--gres": ("--need",), "--gpus": ("--need", "--resource"), "--gpu": ("--need", "--resource"),
    "--mem": ("--need", "--resource"), "--resources": ("--need", "--resource"),
    "--resource": ("--need",), "--need": ("--resource",),
    "--cpus-per-task": ("--slots",), "--cpus": ("--slots",), "-c": ("--slots",),
    "--time": ("--timeout",), "-t": ("--timeout",), "--begin": ("--at",),
    "--chdir": ("--cwd",), "--workdir": ("--cwd",), "--working-directory": ("--cwd",), "-w": ("--cwd",),
    "--hold": ("--paused",), "--stashed": ("--paused",), "--stash": ("--paused",),
    "-s": ("--paused", "--now: `signal NAME JOB`"), "--signal": ("--now: `signal NAME JOB`",),
    "--immediate": ("--dry-run: `move last --first` afterwards",),
    "-i": ("--dry-run: `move last --first` afterwards",),
    "--escape": ("--no-shell",), "-n": ("--tail", "--limit"), "--lines": ("--tail", "--limit"),
    "--state": ("--no-merge: the ids that `list --state` shows", "--array: `list --state`"),
    "--retries": ("--max-retries",), "--export": ("--env",), "--nice": ("--priority",),
    "--parallel": ("--limit",), "--concurrency": ("--limit",), "--max-procs": ("--limit",),
    "--halt": ("--halt-on",), "--timezone": ("--tz",), "--overwrite": ("--force", "--replace"),
}  # fmt: skip


def ours(word: str, known: frozenset[str]) -> str | None:
    """Return what a word of theirs is here, if that is known, or None."""
    for target in OTHER_WORDS.get(word, ()):
        needed, colon, said = target.partition(": ")
        if (needed if colon else target.partition(" ")[0]) in known:
            return said or target
    return None
