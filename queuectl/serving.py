"""`serve` and `consume`: what they are asked for becomes the plan of a service.

They stand above queuectl.service and not among the commands, which know nothing of ways in.
"""

from __future__ import annotations

import os
import sys

from queuectl.commands.context import ONE_SHOT
from queuectl.commands.result import Result, say
from queuectl.errors import Refused, UsageError
from queuectl.host.handover import is_detached
from queuectl.intake.checks import check
from queuectl.intake.systemd import write_unit
from queuectl.paths import make_private, socket_path
from queuectl.service import Plan, run_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args, Tail
    from queuectl.store.base import Store

_SHORT = 8
#: what a service says of its ways in
_WAYS = ("socket", "messages", "spool", "http", "tokens")


def serve(ctx: Context, args: Args) -> Result:
    """Run `serve`: stay until a signal or `worker stop` ends it."""
    _only_one_shot(ctx, "serve")
    plan = _plan(ctx, args)
    if args.force and not args.install_unit:
        raise UsageError("serve: --force goes with --install-unit")
    if args.install_unit:
        check(plan, ctx.store, ctx.environ)
        return _install_unit(ctx, args)
    if args.detach and not is_detached():
        check(plan, ctx.store, ctx.environ)
        return _detached(ctx, args)
    return run_service(ctx, plan)


def _only_one_shot(ctx: Context, name: str) -> None:
    """Raise UsageError where it would take the terminal, or the script, of whoever typed it."""
    if ctx.mode != ONE_SHOT:
        raise UsageError(f"{name} is for the command line: queuectl {name} …")


def _plan(ctx: Context, args: Args) -> Plan:
    """Return what the flags ask for. Raises UsageError, NoSuchQueue."""
    from queuectl.commands.picking import check_queues
    from queuectl.commands.workers import MOST_WORKERS

    workers = 1 if args.workers is None else args.workers
    if workers > MOST_WORKERS:
        raise UsageError(f"serve: {workers} is more than the {MOST_WORKERS} one host may have")
    if bool(args.tls_cert) != bool(args.tls_key):
        raise UsageError("serve: --tls-cert and --tls-key go together")
    if not args.http and (args.tls_cert or args.token_file):
        raise UsageError("serve: --tls-cert, --tls-key and --token-file go with --http")
    queues = tuple(args.queue)
    check_queues(ctx.store, queues)

    if args.socket is None:
        _make_directory(socket_path(ctx.environ))

    def path(given: str | None) -> str | None:
        return None if given is None else os.path.join(ctx.cwd, os.path.expanduser(given))

    return Plan(
        workers, queues, tuple(getattr(args, "resource", ()) or ()),
        path(args.socket) or socket_path(ctx.environ), args.messages, path(args.spool), (),
        args.http, path(args.token_file), path(args.tls_cert), path(args.tls_key),
        args.allow_remote, args.allow_insecure, args.log_format or "text",
    )  # fmt: skip


def _make_directory(path: str) -> None:
    """Make the directory of a file, where nobody has said that it should be elsewhere."""
    try:
        make_private(os.path.dirname(path))
    except OSError as error:
        raise Refused(f"{os.path.dirname(path)}: {error.strerror}") from None


def consume(ctx: Context, args: Args) -> Result:
    """Run `consume`: a queue with a command, workers for it, and its spool file."""
    from queuectl.commands.queues import check_queue_name
    from queuectl.commands.spooling import directory_of, spool_path

    _only_one_shot(ctx, "consume")
    if not args.queue:
        raise UsageError("consume: which queue? for example: consume -q QUEUE ./program")
    line = _command_line(args.command_line)
    name = check_queue_name(args.queue, "consume")
    directory = directory_of(ctx, args.spool)
    path = spool_path(directory, name)
    processes = args.processes or 2
    settings = {"command": line, "command-cwd": ctx.cwd, "accept-messages": "on"}

    def prepare(store: Store) -> None:
        with store.transaction():
            if not store.create_queue(name, limit=processes):
                store.change_queue(name, {"limit": processes})
            for setting, text in settings.items():
                store.set(setting, text, name)
            store.set("command-shell", None, name)

    ctx.write(prepare)
    try:
        # there is something to append to, and to watch
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    return run_service(ctx, Plan(
        processes, (name,), spool=directory, spool_queues=(name,), log_format=args.log_format or "text",
    ))  # fmt: skip


def _command_line(tail: Tail) -> str:
    """Return the command as a line whose words a shell would split alike. Raises UsageError."""
    from queuectl.grammar.tokens import unquote_whole
    from queuectl.template import read_template

    if not tail:
        raise UsageError("consume: run what? for example: consume -q QUEUE ./program")
    if tail.words is None:
        line = unquote_whole(tail.text or "")
    elif len(tail.words) == 1:
        (line,) = tail.words
    else:
        import shlex

        line = shlex.join(tail.words)
    read_template(line)
    return line


# ---- in the background, and by systemd -----------------------------------------------------------


def _words(args: Args) -> list[str]:
    """Return the flags that make a service like this one."""
    words = ["serve"]
    for name in ("workers", "socket", "messages", "spool", "http", "token_file", "tls_cert",
                 "tls_key", "log_format"):  # fmt: skip
        value = getattr(args, name)
        if value is not None:
            if name in ("socket", "spool", "token_file", "tls_cert", "tls_key"):
                value = os.path.abspath(os.path.expanduser(value))
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name in ("queue", "resource"):
        for value in getattr(args, name, None) or ():
            words += [f"--{name}", value]
    for name in ("allow_remote", "allow_insecure"):
        if getattr(args, name):
            words.append(f"--{name.replace('_', '-')}")
    return words


def _detached(ctx: Context, args: Args) -> Result:
    from queuectl.commands.detach import start_background

    url = ctx.url() if ctx.url is not None else ctx.store.name
    environ = {**ctx.environ, "QUEUECTL_STORE": url}
    words = ["--json", *_words(args), "--detach"]
    facts = start_background(words, environ, ctx.store.local_directory)
    host, pid, log = facts["host"], facts["pid"], facts["log"]
    ways = [f"{kind}: {facts[kind]}" for kind in _WAYS if kind in facts]
    lines = [
        f"host {host[:_SHORT]} (pid {pid}) serves in the background", *ways, f"its log: {log}",
        f"stop it: queuectl worker stop --host {host[:_SHORT]}",
    ]  # fmt: skip
    return say("\n".join(lines), facts)


def _install_unit(ctx: Context, args: Args) -> Result:
    import queuectl

    root = os.path.dirname(os.path.dirname(os.path.abspath(queuectl.__file__)))
    argv: Sequence[str] = (sys.executable, "-m", "queuectl", *_words(args))
    environ = dict(ctx.environ)
    if ctx.url is not None and ctx.url():
        environ["QUEUECTL_STORE"] = ctx.url()
    if os.path.basename(root) not in ("site-packages", "dist-packages"):
        # run from a clone: where the unit runs it would not be found
        paths = [root, *environ.get("PYTHONPATH", "").split(os.pathsep)]
        environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, paths)))
    path = write_unit(environ, argv, force=args.force)
    text = (
        f"{path} written; start it now and at every login:\n"
        "  systemctl --user daemon-reload && systemctl --user enable --now queuectl\n"
        "also while you are logged out: loginctl enable-linger"
    )
    return say(text, {"unit": path, "command": list(argv)})
