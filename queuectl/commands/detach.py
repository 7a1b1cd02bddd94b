"""Workers in the background: a process of their own below a front, without a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import queuectl
from queuectl.commands.result import plural, say, short_id
from queuectl.errors import Refused, UsageError
from queuectl.host.handover import check_log, log_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.commands.context import Context
    from queuectl.commands.result import Result


def start_detached(
    ctx: Context,
    workers: int,
    queues: Sequence[str],
    *,
    until_empty: bool,
    resources: Sequence[str] = (),
) -> Result:
    """Start a host in the background; return once it is registered and its workers run.

    Raises Refused with what it said when it could not.
    """
    if ctx.store.name == "memory:":
        raise UsageError(
            "worker start --detach: a store in memory is not there for other processes"
        )
    words = ["worker", "start", str(workers)]
    for queue in queues:
        words += ["--queue", queue]
    for resource in resources:
        words += ["--resource", resource]
    if until_empty:
        words.append("--until-empty")
    # in the environment, where others cannot see the password of a URL
    url = ctx.url() if ctx.url is not None else ctx.store.name
    environ = {**ctx.environ, "QUEUECTL_STORE": url}
    facts = start_background(["--json", *words], environ, ctx.store.local_directory)
    host, pid = facts["host"], facts["pid"]
    only = f" for {', '.join(queues)}" if queues else ""
    text = (
        f"host {short_id(host)} (pid {pid}) runs {plural(workers, 'worker')}{only} in the background\n"
        f"stop it: queuectl worker stop --host {short_id(host)}"
    )
    return say(text, facts)


def start_background(words: Sequence[str], environ: dict[str, str], local: str) -> dict[str, str]:
    """Run a host of a store with this local directory; return what it says of itself, and its log.

    It says so just before it lets go of its standard output. Raises Refused when it could not be
    started: with what it said and its exit status, or because nobody could read what it will say.
    """
    try:
        check_log(local)
    except OSError as error:
        raise Refused(
            f"no log in {os.path.dirname(log_path(local, ''))}: {error.strerror}"
        ) from None
    root = os.path.dirname(os.path.dirname(os.path.abspath(queuectl.__file__)))
    if os.path.basename(root) not in ("site-packages", "dist-packages"):
        # it starts in the root directory, where a path that is relative here means another
        path = environ.get("PYTHONPATH")
        environ["PYTHONPATH"] = f"{root}{os.pathsep}{path}" if path else root
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "queuectl.detached", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=environ, cwd="/", start_new_session=True, text=True,
        ) as process:  # fmt: skip
            said = process.stdout.read() if process.stdout else ""
            process.returncode = 0
    except OSError as error:
        raise Refused(f"no process in the background: {error.strerror}") from None
    try:
        facts: dict[str, str] = json.loads(said)
        return {**facts, "log": log_path(local, facts["host"])}
    except (ValueError, KeyError):
        raise _failure(said) from None


def _failure(said: str) -> Refused:
    """Return what a process meant that has not started a host."""
    try:
        answer = json.loads(said)
        reason, code = str(answer["error"]), int(answer["exit_code"])
    except (ValueError, KeyError, TypeError):
        reason, code = " ".join(said.split()) or "the process ended at once", Refused.exit_status
    failure = Refused(f"the host could not be started: {reason}")
    failure.exit_status = code
    return failure
