"""Running real processes and measuring them from outside: wall time, CPU, in turn."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.bench import Place

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
#: what every Python started here gets: byte code is read and written as on a user's machine
ENVIRONMENT = {
    **{
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("QUEUECTL_", "PYTHON", "COVERAGE_"))
    },
    "PYTHONPATH": str(ROOT),
}
_ROWS, _COLUMNS = 40, 120
#: the script that pip installs, for an interpreter beside which there is none
_SCRIPT = """\
#!{python}
# -*- coding: utf-8 -*-
import re
import sys
from queuectl.cli import main
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended well: wall seconds, CPU seconds of it and all it waited for."""

    seconds: float
    cpu: float


def python(*words: str) -> list[str]:
    """Return the command that runs this interpreter."""
    return [sys.executable, *words]


def queuectl(place: Place, *words: str) -> list[str]:
    """Return the command that runs queuectl on a store."""
    return python("-m", "queuectl", "--store", place.url, *words)


def console_script(directory: Path) -> str:
    """Return the path of the `queuectl` that pip installed; as good a copy where it did not."""
    installed = Path(sys.executable).with_name("queuectl")
    if installed.exists():
        return str(installed)
    script = directory / "queuectl"
    script.write_text(_SCRIPT.format(python=sys.executable), encoding="utf-8")
    script.chmod(0o755)
    return str(script)


def run(argv: Sequence[str], stdin: Path | None = None) -> Finished:
    """Run a command to its end, output to /dev/null. Raises CalledProcessError if it fails."""
    with open(stdin or os.devnull, "rb") as source:
        return _run(argv, source)


def run_on_pipe(argv: Sequence[str], stdin: Path) -> Finished:
    """Run a command whose standard input is a pipe that `cat` fills."""
    with stdin.open("rb") as source:
        feeder = subprocess.Popen(["cat"], stdin=source, stdout=subprocess.PIPE)
    with feeder:
        return _run(argv, feeder.stdout)


def _run(argv: Sequence[str], stdin: IO[bytes] | None) -> Finished:
    with tempfile.TemporaryFile() as complaints:
        began = time.perf_counter()
        process = start(argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=complaints)
        finished = _finish(process, began)
        _check(process, complaints)
    return finished


def run_in_terminal(argv: Sequence[str]) -> Finished:
    """Run a command on a pseudo-terminal, reading what it draws, until it has ended."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    began = time.perf_counter()
    process = start(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        while os.read(ours, 65536):
            pass
    except OSError:
        pass  # how a terminal whose programs have gone says end of file
    finally:
        os.close(ours)
    finished = _finish(process, began)
    _check(process)
    return finished


def start(argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
    """Start a command as every row does: from the project's directory, in a clean environment."""
    return subprocess.Popen(argv, cwd=ROOT, env=ENVIRONMENT, **how)


def answer(argv: Sequence[str], stdin: Path | None = None) -> Any:
    """Run a command to its end and return the JSON it prints. Raises CalledProcessError."""
    with open(stdin or os.devnull, "rb") as source, tempfile.TemporaryFile() as complaints:
        process = start(argv, stdin=source, stdout=subprocess.PIPE, stderr=complaints)
        said, _ = process.communicate()
        _check(process, complaints)
    return json.loads(said)


def in_turn(rounds: int, *subjects: Callable[[], T]) -> list[list[T]]:
    """Call the subjects one after the other, that many times; return what each returned.

    So that a machine that is busy for a while is busy for all of them.
    """
    results: list[list[T]] = [[] for _ in subjects]
    for _ in range(rounds):
        for result, subject in zip(results, subjects, strict=True):
            result.append(subject())
    return results


def _finish(process: subprocess.Popen[bytes], began: float) -> Finished:
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return Finished(seconds, usage.ru_utime + usage.ru_stime)


def _check(process: subprocess.Popen[bytes], complaints: IO[bytes] | None = None) -> None:
    """Raise what a process that failed said."""
    if process.returncode and complaints is not None:
        complaints.seek(0)
        sys.stderr.buffer.write(complaints.read())
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
