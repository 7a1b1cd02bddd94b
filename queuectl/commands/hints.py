"""Remarks about a job that will probably not do what its author meant. Never in the way."""

from __future__ import annotations

import os

from queuectl.grammar.tokens import quotes_closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from queuectl.job import NewJob

_PROGRAM = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-@%,:")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
#: words that a POSIX shell knows itself (XCU 2.4, 2.14 and usual built-ins)
_BUILT_IN = frozenset((
    ".", ":", "[", "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done",
    "echo", "elif", "else", "esac", "eval", "exec", "exit", "export", "false", "fg", "fi", "for",
    "function", "getopts", "hash", "if", "in", "jobs", "kill", "let", "local", "printf", "pwd",
    "read", "readonly", "return", "select", "set", "shift", "source", "test", "then", "time",
    "times", "trap", "true", "type", "ulimit", "umask", "unalias", "unset", "until", "wait",
    "while",
))  # fmt: skip
#: flags of enqueue that hardly any other program has
_OUR_FLAGS = frozenset((
    "--max-retries", "--backoff-base", "--backoff-max", "--kill-grace", "--retry-on", "--no-retry-on",
    "--on-success", "--on-failure", "--on-dead", "--after-any", "--after-failed", "--keep-waiting",
))  # fmt: skip
#: flags of the whole session; `--` in front of the command says that they are the job's
_SESSION_FLAGS = frozenset(("--store", "--schema", "--token-file", "--json"))
#: variables that every job has, whatever is captured
_ALWAYS = frozenset((
    "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "PWD", "OLDPWD", "PPID", "IFS", "OPTIND",
))  # fmt: skip

#: the host's to set, where a job needs some of its GPUs
_GPUS = "CUDA_VISIBLE_DEVICES"


def remarks(new: NewJob, environ: Mapping[str, str], memo: dict[object, object]) -> Iterator[str]:
    """Yield what there is to say about a job before it runs. `memo` remembers programs."""
    if _GPUS in new.env and "gpu" in new.needs:
        # what was only captured is not among these by now
        yield (
            f"{_GPUS}={new.env[_GPUS]} stays as you give it, whichever GPUs the host assigns"
            " (QUEUECTL_GPU): leave it out to see just those"
        )
    place = ("directory", new.cwd)
    if place not in memo:
        memo[place] = os.path.isdir(new.cwd)
    if not memo[place]:
        yield f"there is no directory {new.cwd} now"
    in_shell = new.in_shell
    program = _first_word(new.command) if in_shell else new.command
    if program and not (in_shell and program in _BUILT_IN):
        key = (program, new.cwd, new.env.get("PATH"))
        if key not in memo:
            memo[key] = _is_runnable(program, new.cwd, new.env.get("PATH", os.defpath))
        if not memo[key]:
            where = "" if "/" in program else " on PATH"
            yield f"there is no program {program}{where} now"
    if in_shell:
        yield from _about_shell_line(new, environ)
    elif new.args:
        yield from _about_flags(new.args)


def _about_shell_line(new: NewJob, environ: Mapping[str, str]) -> Iterator[str]:
    line = new.command
    if line.endswith("&") and not line.endswith("&&"):
        yield "the final & is not needed: what it leaves behind is ended with the job's shell"
    if not quotes_closed(line):
        yield "a quote in the command is not closed"
    if " --" in line:
        yield from _about_flags(line.split()[1:])
    if "$" not in line:
        return
    for name in dict.fromkeys(_variables(line)):
        known = name in _ALWAYS or name in new.env or name.startswith("QUEUECTL_")
        # the host says which of its GPUs a job that needs some may see
        known = known or (name == _GPUS and "gpu" in new.needs)
        if name in environ and not known and not _assigned(line, name):
            yield f"${name} is set here but will not be when the job runs: add --env {name}"


def _about_flags(words: Iterable[str]) -> Iterator[str]:
    """Yield a remark about a flag of ours behind the command, which gets it."""
    for word in words:
        flag = word.partition("=")[0]
        if flag in _OUR_FLAGS:
            yield f"{flag} stands behind the command and goes to it: flags of enqueue come first"
            return


def about_session_flags(new: NewJob) -> Iterator[str]:
    """Yield a remark about a flag of queuectl itself behind the command: it went to the job."""
    for word in (*new.command.split()[1:], *(new.args or ())):
        flag = word.partition("=")[0]
        if flag in _SESSION_FLAGS:
            stored = ""
            if flag == "--store":
                stored = "; the job is not in that store, and the URL is kept with its command"
            yield (
                f"{flag} stands behind the command and goes to it{stored}:"
                " queuectl's own flags come before the command (if it is the command's, put -- first)"
            )
            return


def _first_word(line: str) -> str:
    """Return the program a shell line begins with; empty when that takes a shell to tell."""
    words = line.split(None, 1)
    word = words[0] if words else ""
    end = 0
    while end < len(word) and word[end] in _PROGRAM:
        end += 1
    # what follows may only end the command; `=`, quotes, `$` and globs make it another word
    return word[:end] if end == len(word) or word[end] in ";|&<>" else ""


def _is_runnable(program: str, cwd: str, path: str) -> bool:
    if "/" in program:
        places = [os.path.join(cwd, program)]
    else:
        places = [os.path.join(cwd, folder, program) for folder in path.split(":")]
    return any(os.access(place, os.X_OK) and not os.path.isdir(place) for place in places)


def _variables(line: str) -> Iterator[str]:
    """Yield the names of `$NAME` and `${NAME` outside single quotes."""
    position = 0
    in_double = False
    while position < len(line):
        char = line[position]
        if char == "\\":
            position += 1
        elif char == '"':
            in_double = not in_double
        elif char == "'" and not in_double:
            end = line.find("'", position + 1)
            if end < 0:
                return
            position = end
        elif char == "$":
            begin = position + (2 if line.startswith("${", position) else 1)
            end = begin
            while end < len(line) and line[end] in _NAME:
                end += 1
            if end > begin and not line[begin].isdigit():
                yield line[begin:end]
                position = end - 1
        position += 1


def _assigned(line: str, name: str) -> bool:
    """Whether the line gives the variable a value itself."""
    return f"{name}=" in line or f"for {name} " in line or f"read {name}" in line
