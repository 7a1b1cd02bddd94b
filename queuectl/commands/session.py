"""What acts on the session itself: `cd`, `pwd`, `!COMMAND`, `exit`."""

from __future__ import annotations

import os

from queuectl.commands.context import ONE_SHOT
from queuectl.commands.result import Result, say
from queuectl.errors import Refused, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args, Tail


def cd(ctx: Context, args: Args) -> Result:
    """Run `cd`: the directory of jobs enqueued from now on, home without an argument."""
    given = args.directory or ctx.environ.get("HOME") or "~"
    if ctx.mode == ONE_SHOT:
        raise UsageError(
            f"cd is for the shell and for scripts: here it would change nothing; for one job: enqueue --cwd {given}"
        )
    try:
        base = ctx.cwd
    except Refused:
        base = "/"
    path = os.path.normpath(os.path.join(base, os.path.expanduser(given)))
    try:
        os.chdir(path)
    except OSError as error:
        raise Refused(f"cd {given}: {error.strerror}") from None
    ctx.cwd = path
    return say(path, {"cwd": path})


def pwd(ctx: Context, args: Args) -> Result:  # noqa: ARG001
    """Run `pwd`."""
    return say(ctx.cwd, {"cwd": ctx.cwd})


def run_now(ctx: Context, args: Args) -> Result:
    """Run `!COMMAND` with the terminal of this process; its exit status is the answer's."""
    import subprocess

    line = _line_of(args.command_line)
    if not line:
        raise UsageError("run what? for example: !ls")
    done = subprocess.run(["/bin/sh", "-c", line], cwd=ctx.cwd, check=False)
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Result({"exit_code": status}, exit_code=status)


def _line_of(tail: Tail) -> str:
    """Return the line for a shell; of several words, which one has read already, each stays one."""
    if tail.words is None:
        return tail.text or ""
    if len(tail.words) == 1:
        return tail.words[0]
    import shlex

    return shlex.join(tail.words)


def leave(ctx: Context, args: Args) -> Result:  # noqa: ARG001
    """Run `exit`."""
    ctx.leaving = True
    return Result()
