"""Jobs from what people type: flags and a tail, or a line of a file, become a NewJob."""

from __future__ import annotations

import os

from queuectl.errors import BadValue, UsageError
from queuectl.grammar.selection import check_name, looks_like_selection
from queuectl.grammar.tokens import unquote_whole
from queuectl.job import LONGEST_WORD, NewJob
from queuectl.settings import BY_NAME, PER_JOB, canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args, Tail

    Fields = dict[str, object]


#: a unique key that means: the queue and the command
AUTO = "auto"
#: the host's to set, where a job needs some of its GPUs
_GPUS = "CUDA_VISIBLE_DEVICES"
#: ms: an --at further back is a slip, and one less far back than this is now
_LONG_PAST, _JUST_NOW = 86_400_000, 1000
#: flags about other jobs and about what a host has
_DEMANDS = ("after", "after_any", "after_failed", "unique", "slots", "need")


class Maker:
    """Makes jobs out of lines, all with the same flags."""

    def __init__(self, ctx: Context, args: Args, *, capture: bool = True) -> None:
        """Read the flags. Raises UsageError.

        `capture` takes variables by the setting env-capture beside those of --env.
        """
        self.ctx = ctx
        self.no_shell: bool = getattr(args, "no_shell", False)
        #: what flags say, as fields of NewJob
        self.flags = _from_flags(ctx, args)
        if any(getattr(args, name, None) not in (None, []) for name in _DEMANDS):
            from queuectl.commands.demands import demands

            self.flags.update(demands(ctx, args, new=capture))
        self.env = _environment(ctx, args.env, captured(ctx) if capture else {})
        self._env_given = {item.partition("=")[0] for item in args.env}
        self._rest: tuple[object, ...] | None = None
        self._rest_of_argv: tuple[object, ...] | None = None

    def from_tail(self, tail: Tail) -> NewJob:
        """Return the job of a tail. Raises UsageError."""
        if tail.words is None:
            text = tail.text or ""
            return self.from_line(text if tail.verbatim else unquote_whole(text), tail.verbatim)
        if len(tail.words) == 1:
            return self.from_line(tail.words[0], tail.verbatim)
        if tail.words[0].startswith("{") and not tail.verbatim:
            raise UsageError("enqueue: JSON must be one word: put it in single quotes")
        if "shell" in self.flags:
            raise UsageError("enqueue: --shell takes a command line: put it in quotes, as one word")
        return self.from_words(tail.words)

    def from_words(self, words: Sequence[str]) -> NewJob:
        """Return the job of an argv. Raises UsageError."""
        _check_text("the command", *words)
        args = tuple(words[1:]) or None
        if self._rest_of_argv is None:
            self._rest_of_argv = self._make({"command": words[0]})[3:]
        return _keyed(NewJob._make((words[0], args, False, *self._rest_of_argv)))

    def from_line(self, line: str, verbatim: bool = False) -> NewJob:
        """Return the job of a command line, or of JSON when it begins with a brace."""
        if not verbatim:
            if line.startswith("{"):
                from queuectl.commands.jsonjobs import read_job

                return self.make(read_job(line, self.ctx))
            if line.startswith("[") and line[1:].lstrip().startswith("{"):
                raise UsageError(
                    "a list of jobs as JSON comes from a file: enqueue --from FILE, or enqueue -"
                )
            if looks_like_selection(line):
                raise UsageError(
                    f"{line!r} selects jobs and is no command: `retry {line}` runs them again;"
                    f" for a program of that name: enqueue -- {line}"
                )
        check_command(line)
        if self.no_shell:
            program, *args = split_line(line)
            return self.make({"command": program, "args": tuple(args), "shell": False})
        # all but the command is the same for every line of a file
        if self._rest is None:
            self._rest = self._make({"command": line})[1:]
        return _keyed(NewJob._make((line, *self._rest)))

    def make(self, given: Fields) -> NewJob:
        """Return a job of these fields; flags fill what they lack."""
        return _keyed(self._make(given))

    def _make(self, given: Fields) -> NewJob:
        ctx = self.ctx
        fields: Fields = {**self.flags, **given}
        if "stdin" in given or "stdin_path" in given:
            # one of them, not the flag's beside it
            fields.update(stdin=given.get("stdin"), stdin_path=given.get("stdin_path"))
        if "env" in given:
            fields["env"] = {**self.env, **_mapping(given["env"])}
        else:
            fields["env"] = self.env
        if "policy" in self.flags and "policy" in given:
            fields["policy"] = {**_mapping(self.flags["policy"]), **_mapping(given["policy"])}
        if "needs" in self.flags and "needs" in given:
            fields["needs"] = {**_mapping(self.flags["needs"]), **_mapping(given["needs"])}
        if "gpu" in _mapping(fields.get("needs") or {}):
            self._leave_gpus_open(fields, given)
        if (
            fields.get("stdin_path")
            and _mapping(fields.get("policy", {})).get("interactive") == "on"
        ):
            raise UsageError("enqueue: --interactive takes no --stdin larger than stdin-limit")
        fields.setdefault("cwd", ctx.cwd)
        fields["submitter"] = ctx.submitter
        return NewJob(**fields)  # type: ignore[arg-type]

    def _leave_gpus_open(self, fields: Fields, given: Fields) -> None:
        """Let the host say which GPUs a job that needs some may see, unless somebody named them."""
        env = _mapping(fields["env"])
        if (
            _GPUS in env
            and _GPUS not in self._env_given
            and _GPUS not in _mapping(given.get("env", {}))
        ):
            fields["env"] = {name: value for name, value in env.items() if name != _GPUS}


def _keyed(new: NewJob) -> NewJob:
    """Return a job with the key that `unique auto` means for it, any other as it is."""
    if new.unique != AUTO:
        return new
    from queuectl.commands.demands import key_of

    return new._replace(unique=key_of(new))


def _mapping(value: object) -> Mapping[str, str]:
    return value  # type: ignore[return-value]


def split_line(line: str) -> list[str]:
    """Return the words of a command line that no shell is to run. Raises UsageError."""
    from queuectl.quoting import split_words

    try:
        return split_words(line)
    except ValueError as error:
        raise UsageError(f"enqueue --no-shell: {error}") from None


def check_command(line: str) -> None:
    """Raise UsageError for a command line that is empty or cannot be passed on."""
    _check_text("the command", line)
    if not line.strip():
        raise UsageError("the command is empty")


def _check_text(what: str, *texts: str) -> None:
    for text in texts:
        if "\0" in text:
            raise BadValue(what=what, value=text, expected="a text without NUL characters")
        if len(text) > LONGEST_WORD // 4 and len(os.fsencode(text)) > LONGEST_WORD:
            raise UsageError(
                f"{what} has more than {LONGEST_WORD} bytes, which no program can be given as one"
                " argument: use --stdin or a file"
            )


def _from_flags(ctx: Context, args: Args) -> Fields:
    """Return what flags say, as fields of NewJob."""
    fields: Fields = {}
    plain = {"queue": args.queue, "priority": args.priority, "policy": _policy(args) or None}
    fields.update((name, value) for name, value in plain.items() if value is not None)
    if args.name is not None:
        fields["name"] = check_name(args.name)
    if args.shell is not None:
        if getattr(args, "no_shell", False):
            raise UsageError("--shell and --no-shell exclude each other")
        fields["shell"] = True
    if getattr(args, "paused", False):
        fields["paused"] = True
    if args.delay is not None or args.at is not None:
        fields["due_at"] = due_time(ctx, args.delay, args.at)
        if args.at is not None and fields["due_at"] < ctx.store.now() - _LONG_PAST:  # type: ignore[operator]
            raise UsageError(
                f"--at {args.at} is more than a day past: leave it out for a job that may start now"
            )
    if args.cwd is not None:
        fields["cwd"] = directory(ctx, args.cwd)
    if args.stdin is not None:
        from queuectl.commands.payloads import from_flag

        fields.update(from_flag(ctx, args.stdin))
    return fields


def _policy(args: Args) -> dict[str, str]:
    """Return the settings that flags give, canonical. Raises BadValue."""
    policy = {}
    for name in PER_JOB:
        value = getattr(args, name.replace("-", "_"), None)
        if value is not None and value is not False:
            policy[name] = canonical(BY_NAME[name], "on" if value is True else value)
    if getattr(args, "keep_waiting", False):
        policy["unmet"] = "keep"
    return policy


def due_time(ctx: Context, delay: int | None, at: str | None) -> int:
    """Return when a job becomes due, in ms. Raises UsageError when both are given."""
    if at is None:
        return ctx.store.now() + (delay or 0)
    if delay is not None:
        raise UsageError("delay and at exclude each other")
    from queuectl.timespec import parse_time

    return parse_time(at, ctx.store.now(), "at")


def about_past(ctx: Context, due_at: int) -> Iterator[str]:
    """Yield a remark about a time that is over."""
    now = ctx.store.now()
    if due_at < now - _JUST_NOW:
        from queuectl.timespec import format_time

        yield f"{format_time(due_at, now)} has passed: it may start at once"


def directory(ctx: Context, path: str) -> str:
    """Return the absolute directory a path means here; ~ is the user's home."""
    _check_text("cwd", path)
    expanded = os.path.expanduser(path)
    return os.path.normpath(os.path.join(ctx.cwd, expanded))


def _environment(ctx: Context, given: list[str], env: Mapping[str, str]) -> Mapping[str, str]:
    """Return an environment with what `--env` adds."""
    if not given:
        return env
    added = dict(env)
    for item in given:
        name, equals, value = item.partition("=")
        check_variable("--env", name)
        if not equals:
            if name not in ctx.environ:
                raise UsageError(f"--env {name}: it is not set here; give {name}=VALUE")
            value = ctx.environ[name]
        added[name] = value
    return added


def check_variable(what: str, name: str) -> None:
    """Raise BadValue for what cannot be a variable's name, or one that queuectl sets itself."""
    if not name or not name.isidentifier() or not name.isascii():
        raise BadValue(what=what, value=name, expected="a variable: NAME or NAME=VALUE")
    if name.startswith("QUEUECTL_"):
        raise BadValue(what=what, value=name, expected="free: QUEUECTL_ names are queuectl's own")


def captured(ctx: Context) -> Mapping[str, str]:
    """Return the variables that a job takes with it, by the setting env-capture.

    The same object as long as nothing changed, so that a store can see that at a glance.
    """
    patterns = ctx.setting("env-capture")
    key = ("captured", patterns)
    found = ctx.memo.get(key)
    if found is None:
        found = ctx.memo[key] = _matching(ctx.environ, patterns.split())
    return _mapping(found)


def _matching(environ: Mapping[str, str], patterns: list[str]) -> dict[str, str]:
    names = {pattern for pattern in patterns if not _GLOB.intersection(pattern)}
    prefixes = tuple(
        pattern[:-1] for pattern in patterns
        if pattern.endswith("*") and not _GLOB.intersection(pattern[:-1])
    )  # fmt: skip
    hard = [p for p in patterns if p not in names and p[:-1] not in prefixes]
    found = {
        name: value for name, value in environ.items()
        if name in names or (prefixes and name.startswith(prefixes)) or _globs(name, hard)
    }  # fmt: skip
    return {name: found[name] for name in sorted(found) if not name.startswith("QUEUECTL_")}


_GLOB = frozenset("*?[")


def _globs(name: str, patterns: list[str]) -> bool:
    if not patterns:
        return False
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for pattern in patterns)
