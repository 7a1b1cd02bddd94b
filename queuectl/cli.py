"""The command line: global flags, which mode it is, and the exit status.

Nothing is imported here that a one-shot `enqueue` does not need: the time to start is most of what
such a command takes (docs/adr/0002).
"""

from __future__ import annotations

import os
import sys

from queuectl.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_UNAVAILABLE,
    QueuectlError,
    UsageError,
)
from queuectl.options import USAGE, Options, open_chosen, read_options, url_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, NoReturn

    from queuectl.commands.context import Context
    from queuectl.commands.progress import Progress
    from queuectl.commands.result import Result
    from queuectl.script import Line

#: what a shell reports for a process that SIGPIPE ended
EXIT_PIPE = 128 + 13


def main() -> NoReturn:
    """Run the command line of this process and end it."""
    import gc

    _stand_in_for_streams()
    # a command that lives for 20 ms has nothing to collect; one that stays still collects
    gc.set_threshold(50_000, 20, 20)
    status = run(sys.argv[1:], last=True)
    import atexit

    # everything is closed and flushed by now: taking modules apart one by one would cost a tenth
    # of a one-shot command
    atexit._run_exitfuncs()  # noqa: SLF001 (what the interpreter itself calls)
    os._exit(status)


def main_detached() -> NoReturn:
    """Run the command line of a host in the background, below a front of its own."""
    _stand_in_for_streams()
    from queuectl import front

    try:
        options = read_options(sys.argv[1:])
    except UsageError:
        # `main` says so
        options = Options()
    front.split(lambda: _recover(options))
    main()


def _stand_in_for_streams() -> None:
    """Put /dev/null where this process was started without a stream, as `>&-` does.

    What is said there goes nowhere, and no file of ours is opened under its number.
    """
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
    sys.stdout = sys.stdout or open(1, "w", errors="replace", closefd=False)  # noqa: SIM115 (kept open)
    sys.stderr = sys.stderr or open(2, "w", errors="replace", closefd=False)  # noqa: SIM115 (kept open)


def run(argv: Sequence[str], *, last: bool = False) -> int:
    """Run a command line; return the exit status. Never raises, never shows a traceback.

    `last`: the caller ends the process right after it.
    """
    try:
        options = read_options(argv)._replace(last=last)
    except UsageError as error:
        sys.stderr.write(f"queuectl: {error}\n")
        return error.exit_status
    try:
        status = _run(options)
        _flush()
    except QueuectlError as error:
        _show_error(error, "queuectl: ", json=options.json)
        return error.exit_status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return EXIT_PIPE
    except OSError as error:
        return _machine_refuses(error)
    except Exception as error:  # noqa: BLE001 (the last resort: a user is never shown a traceback)
        return _internal_error(error)
    return status


def _run(options: Options) -> int:
    if options.wants == "version":
        options = options._replace(words=("version",))
    elif options.wants == "help" and not options.words:
        sys.stdout.write(USAGE)
        return _one_shot(options._replace(words=("help",)))
    elif options.wants == "help":
        options = options._replace(words=("help", *options.words))
    if options.words:
        return _one_shot(options)
    if options.lines:
        from queuectl.script import given_lines

        return _script(options, given_lines(list(options.lines)), "-c", stdin_free=True)
    if os.isatty(0) and os.isatty(1):
        return _shell(options)
    from queuectl.script import read_lines

    return _script(options, read_lines(_read_script), "script", stdin_free=False)


def _shell(options: Options) -> int:
    from queuectl import front

    # nothing heavy before the fork
    from queuectl.shell import run
    from queuectl.shell.lastwords import Terminal

    terminal = Terminal(lambda ids: _states(options, ids), os.environ)
    front.split(lambda: _recover(options), terminal=terminal)

    return int(run(lambda: open_chosen(options), url=lambda: url_of(options), json=options.json))


def _recover(options: Options, log: int | None = None) -> None:
    """Give the claims of hosts of this machine back that have died. Raises StoreUnavailable.

    A service's log says so: `log` is its descriptor, None is that of one in the background.
    """
    from queuectl.host.recovery import Recoverer

    told: list[Any] = []
    store = open_chosen(options)
    try:
        Recoverer(store, "", lambda change: change(store), lambda _: None, told.append).look()
    finally:
        store.close()
    if told and options.words[:1] == ("serve",):
        from queuectl.intake.log import say_recovered

        say_recovered(options.words, told, store.local_directory, log)


def _states(options: Options, ids: Sequence[int]) -> list[str]:
    """Return the states of those of some jobs that there still are. Raises StoreUnavailable."""
    store = open_chosen(options)
    try:
        jobs = [store.get(job_id) for job_id in ids]
    finally:
        store.close()
    return [job.state for job in jobs if job is not None]


def _guard(options: Options) -> None:
    """Put a front above workers in the foreground whose store others share: it is their guardian."""
    hosts = options.words[:2] == ("worker", "start") or options.words[:1] == ("serve",)
    if not hosts or not {"--detach", "--install-unit"}.isdisjoint(options.words):
        return
    options = options._replace(**_session_among(options.words))
    url = options.store or os.environ.get("QUEUECTL_STORE") or ""
    if url.startswith(("postgresql:", "postgres:", "http:", "https:")):
        import signal

        from queuectl import front
        from queuectl.host import handover

        if handover.link() is not None:
            return
        # before anything heavy is imported
        # a front lets go of its streams
        log = os.dup(2) if options.words[0] == "serve" else None
        front.split(lambda: _recover(options, log), foreground=True)
        if log is not None:
            os.close(log)
        # when the front stands still for the shell above, jobs and leases go on
        signal.signal(signal.SIGTSTP, lambda *_: None)


def _session_among(words: Sequence[str]) -> dict[str, Any]:
    """Return the flags of the session among those of `worker start` or `serve`. Imports nothing."""
    # the token file of `serve` is its own
    names = ("store", "schema") if words[0] == "serve" else ("store", "schema", "token_file")
    found: dict[str, Any] = {}
    for word, after in zip(words, (*words[1:], ""), strict=True):
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if flag.startswith("--") and name in names:
            found[name] = value if equals else after
    return found


def _one_shot(options: Options) -> int:
    _guard(options)
    from queuectl.commands import GRAMMAR
    from queuectl.commands.result import parts

    try:
        invocation = GRAMMAR.parse_argv(options.words)
    except UsageError as error:
        _show_error(error, "queuectl: ", json=options.json or bool(error.facts.get("json")))
        return error.exit_status
    json = invocation.args.json = options.json or invocation.json
    given: dict[str, Any] = {**invocation.session}
    options = options._replace(looks=invocation.command.looks, **given)
    with _Session(options, "one-shot", stdin_free=True) as ctx:
        status = EXIT_OK
        try:
            for part in parts(invocation.command.load()(ctx, invocation.args)):
                _show(ctx, part, json=json)
                _flush()
                status = part.exit_code or status
        except QueuectlError as error:
            _show_error(error, "queuectl: ", json=json)
            return error.exit_status
        return status


def _script(options: Options, lines: Iterator[Line], name: str, *, stdin_free: bool) -> int:
    from queuectl.script import Script, commands

    with _Session(options, "script", stdin_free=stdin_free) as ctx:
        script = Script(
            ctx,
            lambda result, json: _show(ctx, result, json=json),
            lambda error, prefix, json: _show_error(error, prefix, json=json),
            name=name,
            keep_going=options.keep_going,
            json=options.json,
        )
        status = script.run(commands(lines))
        _flush()
        _drain(ctx)
        return status


class _Session:
    """A context that is closed at the end; when interrupted, running jobs are handed back."""

    def __init__(self, options: Options, mode: str, *, stdin_free: bool) -> None:
        self._ctx = make_context(options, mode=mode, stdin_free=stdin_free)
        self._leave_open = options.last

    def __enter__(self) -> Context:
        return self._ctx

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._leave_open and self._ctx.running_host is None:
            return
        self._ctx.close(now=kind is KeyboardInterrupt)


def _read_script(size: int) -> bytes:
    # whoever writes the script may wait for an answer before the next line
    _flush()
    return os.read(0, size)


def _drain(ctx: Context) -> None:
    """Let this process's workers finish what runs, and say what is left."""
    host = ctx.running_host
    if host is None or not host.workers:
        return
    host.stop()
    host.join()
    counts = ctx.store.counts()
    left = [f"{counts[state]} {state}" for state in ("pending", "failed") if counts[state]]
    if left:
        sys.stderr.write(f"the script's workers have ended; left: {', '.join(left)}\n")


def make_context(options: Options, *, mode: str, stdin_free: bool) -> Context:
    """Return a context on the streams of this process."""
    from queuectl.commands.context import Context, Screen, is_dumb

    terminal = os.isatty(1)
    screen = Screen()
    if terminal:
        size = os.get_terminal_size(1)
        screen = Screen(terminal, size.columns or 80, size.lines or 24)
    return Context(
        lambda: open_chosen(options),
        environ=os.environ,
        url=lambda: url_of(options),
        mode=mode,
        screen=screen,
        stdin=sys.stdin.buffer if stdin_free and sys.stdin is not None else None,
        confirm=_ask if terminal and os.isatty(0) and stdin_free else None,
        progress=_Progress() if terminal and os.isatty(2) and not is_dumb(os.environ) else None,
    )


class _Progress:
    """Rewrites one line on the terminal with how much has been done."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def __call__(self, done: int, of: int) -> None:
        if self._progress is None:
            from queuectl.commands.progress import Progress

            self._progress = Progress()
        line = self._progress.line(done, of)
        if line is not None:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()


def _ask(question: str) -> bool:
    _flush()
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(ctx: Context, result: Result, *, json: bool) -> None:
    from queuectl.commands.result import Stream
    from queuectl.render import look_for, render

    live = any(isinstance(block, Stream) and block.live for block in result.blocks)
    screen = ctx.screen
    look = look_for(json=json, terminal=screen.terminal, width=screen.width, environ=os.environ)
    out, err = sys.stdout.buffer, sys.stderr.buffer
    for fd, data in render(result, look):
        if fd == 1:
            out.write(data)
            if live:
                out.flush()
        else:
            out.flush()
            err.write(data)
            err.flush()


def _show_error(error: QueuectlError, prefix: str, *, json: bool) -> None:
    _flush()
    from queuectl.render import look_for, render_error

    terminal = os.isatty(2)
    width = (os.get_terminal_size(2).columns or 80) if terminal else 80
    look = look_for(json=json, terminal=terminal, width=width, environ=os.environ)
    for _, data in render_error(error, look, prefix):
        sys.stderr.buffer.write(data)
    sys.stderr.flush()


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _forget_stdout() -> None:
    """Keep the interpreter from flushing into a pipe that nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _machine_refuses(error: OSError) -> int:
    """Say what this machine has no more of, files or space; other errors of that kind are ours."""
    import errno

    if error.errno == errno.ENOSPC:
        # the store has errors of its own
        sys.stderr.write("queuectl: no space left for what is printed\n")
        return EXIT_FAILED
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        sys.stderr.write(f"queuectl: {os.strerror(error.errno).lower()}\n")
        return EXIT_UNAVAILABLE
    return _internal_error(error)


def _internal_error(error: Exception) -> int:
    if os.environ.get("QUEUECTL_DEBUG"):
        import traceback

        traceback.print_exception(error)
    detail = " ".join(str(error).split())
    sys.stderr.write(f"queuectl: internal error: {type(error).__name__}: {detail}\n")
    return EXIT_FAILED
