"""Attempts as real processes: how they end, how they are steered, what they wrote."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import queuectl
from queuectl.job import CANNOT_START, EXIT, SIGNAL, STOPPED, TIMEOUT, Outcome, Output
from queuectl.process import spawn
from queuectl.process.attempt import Control, HostTrouble, run
from queuectl.process.output import STDERR, STDOUT
from tests.unit.attempts import (
    ENV,
    PATIENCE,
    Line,
    Running,
    attempt,
    follow_until,
    follower,
    leaves_nothing_open,
    make,
    open_gate,
    wrote,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """Every test here ends its attempts and gives back every descriptor."""
    yield from leaves_nothing_open()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """Make a fifo named `line` in the job's directory."""
    made = Line(tmp_path / "line")
    yield made
    made.close()


# -- how it ends


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit(tmp_path: Path, code: int) -> None:
    """An exit status is the outcome, with times and resources."""
    outcome = attempt(make(tmp_path, shell=f"exit {code}"))
    assert (outcome.kind, outcome.code, outcome.reason) == (EXIT, code, f"exit {code}")
    assert outcome.started_at is not None
    assert outcome.finished_at is not None
    assert outcome.started_at <= outcome.finished_at
    assert outcome.output == Output()
    assert outcome.message is None


def test_peak_memory_is_the_jobs_own(tmp_path: Path) -> None:
    """What is less than this process has had is not known: a child begins in its memory."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert attempt(make(tmp_path, "true")).max_rss_kib == 0
    much = own + 50_000
    script = f"kept = b'x' * {much * 1024}"
    assert much < attempt(make(tmp_path, sys.executable, "-c", script)).max_rss_kib < much * 1.5


def test_cpu_time(tmp_path: Path) -> None:
    """User time is measured."""
    loop = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
    assert attempt(make(tmp_path, shell=loop)).user_ms > 0


def test_signal(tmp_path: Path) -> None:
    """A signal that ended it is named."""
    outcome = attempt(make(tmp_path, shell="kill -9 $$"))
    assert (outcome.kind, outcome.code, outcome.reason) == (SIGNAL, 9, "signal 9")


def test_timeout(tmp_path: Path) -> None:
    """An attempt that runs too long is a timeout, also if it then exits 0."""
    plan = make(tmp_path, shell="trap 'exit 0' TERM; sleep 100 & wait", timeout=50)
    outcome = attempt(plan)
    assert (outcome.kind, outcome.code, outcome.reason) == (TIMEOUT, None, "timeout after 50ms")


def test_idle_timeout(tmp_path: Path, line: Line) -> None:
    """An attempt that is silent too long is ended; output puts that off."""
    # two of them: one might be opened again while its writer has not closed it yet
    os.mkfifo(tmp_path / "gate")
    os.mkfifo(tmp_path / "other")
    shell = "exec 9>line; echo up >&9; read x < gate; echo one; read x < other; sleep 100"
    running = Running(make(tmp_path, shell=shell, idle_timeout=60_000))
    line.read_until(b"up")
    running.put_forward(50)
    open_gate(tmp_path / "gate")
    with follower(tmp_path) as reader:
        follow_until(reader, b"one\n")
    running.put_forward(50)
    open_gate(tmp_path / "other")
    running.put_forward(50)
    assert running.outcome().reason == "timeout after idle 1m"


def test_missing_command(tmp_path: Path) -> None:
    """A command that does not exist cannot start."""
    outcome = attempt(make(tmp_path, "no-such-command"))
    assert outcome.kind == CANNOT_START
    assert outcome.reason == "cannot start: No such file or directory: 'no-such-command'"
    assert outcome.started_at is not None


def test_not_executable(tmp_path: Path) -> None:
    """A file without permission cannot start."""
    file = tmp_path / "file"
    file.write_text("")
    outcome = attempt(make(tmp_path, str(file)))
    assert outcome.reason == f"cannot start: Permission denied: '{file}'"


def test_no_interpreter_line(tmp_path: Path) -> None:
    """A file that is no program cannot start."""
    file = tmp_path / "file"
    file.write_text("echo")
    file.chmod(0o700)
    assert attempt(make(tmp_path, str(file))).reason.startswith("cannot start: Exec format error")


def test_directory_gone(tmp_path: Path) -> None:
    """A missing directory is named, and not taken for a missing command."""
    gone = tmp_path / "gone"
    outcome = attempt(make(tmp_path, "true", cwd=str(gone)))
    assert outcome.reason == f"cannot start: directory {gone} is gone"


@pytest.mark.parametrize(
    ("argv", "env"), [(("a\0b",), ENV), (("true",), {"A=B": "c"}), (("\ud800",), ENV)]
)
def test_what_no_process_can_have(
    tmp_path: Path, argv: tuple[str, ...], env: dict[str, str]
) -> None:
    """Words that cannot be passed are a failure of the attempt, not of the worker."""
    assert attempt(make(tmp_path, *argv, env=env)).kind == CANNOT_START


def test_too_long_arguments(tmp_path: Path) -> None:
    """More than the system takes cannot start."""
    assert "Argument list too long" in attempt(make(tmp_path, "true", "x" * 10_000_000)).reason


def test_out_of_descriptors(tmp_path: Path) -> None:
    """That is the host's trouble and no outcome of the job."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(HostTrouble, match="^Too many open files$"):
            attempt(make(tmp_path, "true"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_argv_is_literal(tmp_path: Path) -> None:
    """No shell sees the words of an argv."""
    assert wrote(attempt(make(tmp_path, "echo", "$(id)", "a  b", "*"))) == b"$(id) a  b *\n"


def test_shell_line(tmp_path: Path) -> None:
    """A shell line is expanded by the shell, whose 127 stays what it is."""
    assert wrote(attempt(make(tmp_path, shell="echo $((1+1)) | cat"))) == b"2\n"
    assert attempt(make(tmp_path, shell="no-such-command")).reason == "exit 127"


SEEN = 'tr "\\0" "\\n" </proc/$$/environ | sort; pwd; ps -o sid= -p $$ >&2; ls /proc/self/fd; cat'


@pytest.mark.parametrize(
    "more", [{}, {"merge": True}, {"stdin": b"fed\n"}, {"cwd": "/"}, {"env": {**ENV, "ODD": "a=\udcff"}}]
)  # fmt: skip
def test_both_ways_to_start_come_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """The lean one, and the standard library's where that is not to be had."""
    seen = []
    for lean in (True, False):
        monkeypatch.setattr(spawn, "_LEAN", lean and spawn._LEAN)
        path = str(tmp_path / f"output-{lean}")
        outcome = attempt(make(tmp_path, "sh", "-c", SEEN, output_path=path, **more))
        assert outcome.reason == "exit 0"
        seen.append(
            sorted(line for line in wrote(outcome).splitlines() if not line.strip().isdigit())
        )
    assert seen[0] == seen[1]
    assert len(seen[0]) > 2


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither a descriptor nor a zombie."""
    before, children = os.listdir("/proc/self/fd"), own_children()
    for argv, cwd in ((("no-such",), "/"), (("true",), "/no-such"), (("a\0b",), "/")):
        assert attempt(make(tmp_path, *argv, cwd=cwd)).kind == CANNOT_START
    assert os.listdir("/proc/self/fd") == before
    assert own_children() <= children


def own_children() -> set[str]:
    """Return the children of this process, servers and orphans of other tests among them."""
    return {
        pid
        for path in Path("/proc/self/task").glob("*/children")
        for pid in path.read_text(encoding="ascii").split()
    }


def test_own_session_and_group(tmp_path: Path) -> None:
    """The first process leads a session, away from our terminal."""
    running = Running(make(tmp_path, "sleep", "100"))
    assert os.getsid(running.pid) == os.getpgid(running.pid) == running.pid
    running.control.cancel(now=True)
    running.outcome()


def test_error_of_on_start(tmp_path: Path) -> None:
    """If the start cannot be recorded the attempt is killed and did not start."""

    def fail(pid: int, started: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "slots")

    outcome = run(make(tmp_path, "sleep", "100"), Control(), on_start=fail)
    assert outcome.reason == "cannot start: No space left on device: 'slots'"


def test_defect_in_on_start(tmp_path: Path) -> None:
    """Other errors pass on, after the kill."""
    pids = []

    def fail(pid: int, started: int) -> None:
        pids.append(pid)
        raise KeyError

    with pytest.raises(KeyError):
        run(make(tmp_path, "sleep", "100"), Control(), on_start=fail)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_without_pidfd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no pidfd a thread sees the end, and the tree is still ended."""
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert attempt(make(tmp_path, "true")).succeeded
    assert attempt(make(tmp_path, shell="trap '' TERM; sleep 100 & exit 4")).code == 4
    assert attempt(make(tmp_path, "sleep", "100", timeout=20)).kind == TIMEOUT


# -- standard input


def test_no_payload_is_dev_null(tmp_path: Path) -> None:
    """Reading without a payload ends at once."""
    assert attempt(make(tmp_path, "cat")).output == Output()


def test_large_payload(tmp_path: Path) -> None:
    """A megabyte goes in while a megabyte comes out."""
    payload = os.urandom(1 << 20)
    outcome = attempt(make(tmp_path, "cat", stdin=payload))
    assert outcome.succeeded
    assert wrote(outcome) == payload


def test_empty_payload(tmp_path: Path) -> None:
    """An empty payload is an end of file."""
    assert attempt(make(tmp_path, "cat", stdin=b"")).succeeded


def test_payload_that_nobody_reads(tmp_path: Path) -> None:
    """A command that does not read its input still succeeds."""
    assert attempt(make(tmp_path, "true", stdin=b"x" * (1 << 20))).succeeded


def test_send(tmp_path: Path) -> None:
    """An interactive job reads its payload, then what is sent; its input stays open."""
    shell = "read a; echo got $a; read b; echo got $b; cat"
    running = Running(make(tmp_path, shell=shell, stdin=b"one\n", interactive=True))
    running.control.send(b"two\n")
    with follower(tmp_path) as reader:
        follow_until(reader, b"two")
    running.control.cancel()
    outcome = running.outcome()
    assert (outcome.kind, wrote(outcome)) == (STOPPED, b"got one\ngot two\n")


def test_send_to_a_job_that_is_not_interactive(tmp_path: Path, line: Line) -> None:
    """It is ignored."""
    running = Running(make(tmp_path, shell="exec 9>line; echo up >&9; cat; sleep 100"))
    line.read_until(b"up")
    running.control.send(b"x")
    running.control.cancel(now=True)
    assert running.outcome().kind == STOPPED


# -- cancel, signal, pause


def test_cancel(tmp_path: Path, line: Line) -> None:
    """Cancel ends it by SIGTERM."""
    shell = "exec 9>line; trap 'echo bye >&9; exit 0' TERM; echo up >&9; sleep 100 & wait"
    running = Running(make(tmp_path, shell=shell))
    line.read_until(b"up")
    running.control.cancel()
    line.read_until(b"bye")
    assert running.outcome()[:3] == (STOPPED, None, "")


def test_cancel_now(tmp_path: Path, line: Line) -> None:
    """Cancel now does not ask."""
    shell = "exec 9>line; trap 'echo bye >&9' TERM; echo up >&9; sleep 100 & wait"
    running = Running(make(tmp_path, shell=shell, kill_grace=100_000))
    line.read_until(b"up")
    running.control.cancel(now=True)
    assert running.outcome().kind == STOPPED
    assert line.read() == b""


def test_cancel_and_then_now(tmp_path: Path, line: Line) -> None:
    """Impatience cuts the grace short."""
    sleeper = "/bin/sh -c 'echo up >&9; exec sleep 100'"
    shell = f"exec 9>line; trap 'echo no >&9' TERM; {sleeper}; while :; do sleep 100; done"
    running = Running(make(tmp_path, shell=shell, kill_grace=100_000))
    line.read_until(b"up")
    running.control.cancel()
    line.read_until(b"no")
    running.control.cancel(now=True)
    assert running.outcome().kind == STOPPED


def test_cancel_before_the_start(tmp_path: Path) -> None:
    """What is cancelled before it starts is not started."""
    control = Control()
    control.cancel()
    outcome = run(
        make(tmp_path, shell="echo > ran"), control, on_start=lambda *_: pytest.fail("it started")
    )
    assert outcome == Outcome(STOPPED)
    assert not (tmp_path / "ran").exists()


def test_cancel_after_the_end(tmp_path: Path) -> None:
    """A cancel that comes too late changes nothing."""
    control = Control()
    assert attempt(make(tmp_path, "true"), control).succeeded
    control.cancel()
    assert attempt(make(tmp_path, "true")).succeeded


def test_exit_0_wins_over_a_later_cancel(tmp_path: Path) -> None:
    """When the first process has ended by itself a cancel does not count."""
    control = Control()

    def cancel_after_its_end(pid: int, started: int) -> None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        control.cancel()

    outcome = run(make(tmp_path, "true"), control, on_start=cancel_after_its_end)
    assert outcome.succeeded


def test_signal_is_only_delivered(tmp_path: Path, line: Line) -> None:
    """A signal goes to the group; what follows is the job's own."""
    shell = (
        "exec 9>line; trap 'echo usr1 >&9' USR1; echo up >&9;"
        " while :; do read x < gate && exit 5; done"
    )
    os.mkfifo(tmp_path / "gate")
    running = Running(make(tmp_path, shell=shell))
    line.read_until(b"up")
    running.control.signal(signal.SIGUSR1)
    line.read_until(b"usr1")
    open_gate(tmp_path / "gate")
    assert running.outcome().reason == "exit 5"


def test_signal_that_ends_it(tmp_path: Path) -> None:
    """Rule 1: a signal is a failure that names it."""
    running = Running(make(tmp_path, "sleep", "100"))
    running.control.signal(signal.SIGUSR2)
    assert running.outcome().reason == f"signal {int(signal.SIGUSR2)}"


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs waitid")
def test_pause_stands_the_clocks_still(tmp_path: Path, line: Line) -> None:
    """While paused neither timeout runs; after resume there is as much left as before."""
    os.mkfifo(tmp_path / "gate")
    shell = "exec 9>line; echo up >&9; read x < gate; echo over >&9; sleep 100"
    running = Running(make(tmp_path, shell=shell, timeout=60_000, idle_timeout=50_000))
    line.read_until(b"up")
    running.control.pause()
    os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)
    running.put_forward(1_000_000)
    running.control.resume()
    os.waitid(os.P_PID, running.pid, os.WCONTINUED | os.WNOWAIT)
    open_gate(tmp_path / "gate")
    line.read_until(b"over")
    running.put_forward(60)
    assert running.outcome().kind == TIMEOUT


def test_paused_job_can_be_cancelled(tmp_path: Path) -> None:
    """SIGCONT lets a stopped job see its SIGTERM."""
    running = Running(make(tmp_path, "sleep", "100", kill_grace=100_000))
    running.control.pause()
    running.control.cancel()
    assert running.outcome().kind == STOPPED


# -- what it wrote


def test_streams_and_order(tmp_path: Path) -> None:
    """Both streams are kept apart and in the order they came."""
    shell = "for i in 1 2 3; do echo o$i; sleep 0.02; echo e$i >&2; sleep 0.02; done"
    outcome = attempt(make(tmp_path, shell=shell))
    assert wrote(outcome) == b"o1\ne1\no2\ne2\no3\ne3\n"
    assert wrote(outcome, STDOUT) == b"o1\no2\no3\n"
    assert wrote(outcome, STDERR) == b"e1\ne2\ne3\n"


def test_short_attempt_makes_no_file(tmp_path: Path) -> None:
    """Little output of a short attempt goes into the store."""
    outcome = attempt(make(tmp_path, shell="echo out; echo err >&2"))
    assert outcome.output is not None
    assert outcome.output.path is None
    assert sorted(outcome.output.data.split()) == [b"err", b"out"]
    assert not (tmp_path / "output").exists()


def test_merge(tmp_path: Path) -> None:
    """Merged, the order is exact and all is stdout."""
    shell = "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done"
    outcome = attempt(make(tmp_path, shell=shell, merge=True))
    assert wrote(outcome, STDOUT) == b"".join(b"o%d\ne%d\n" % (i, i) for i in range(1, 6))


def test_output_limit(tmp_path: Path) -> None:
    """Above the limit output is dropped, and the job goes on undisturbed."""
    shell = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 4"
    outcome = attempt(make(tmp_path, shell=shell, output_limit=100_000))
    assert outcome.code == 4
    assert len(wrote(outcome)) == 100_000
    assert outcome.output is not None
    assert not outcome.output.complete
    assert outcome.output.stdout_bytes == 300_000
    assert outcome.output.stderr_bytes == 300_000


def test_much_output_needs_little_memory(tmp_path: Path) -> None:
    """100 MB pass through without growing this process; every byte is kept."""
    size = 100_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = attempt(make(tmp_path, "head", "-c", str(size), "/dev/zero"))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert outcome.output is not None
    assert outcome.output.complete
    assert os.path.getsize(str(outcome.output.path)) == size
    assert grown < 10_000


def test_single_bytes(tmp_path: Path) -> None:
    """A job that writes bytes one by one loses none and does not cost a mark each."""
    writer = "import os\nfor i in range(20000): os.write(1, b'x')\nos.write(2, b'end')"
    outcome = attempt(make(tmp_path, sys.executable, "-S", "-c", writer))
    assert wrote(outcome, STDOUT) == b"x" * 20_000
    assert wrote(outcome, STDERR) == b"end"


def test_output_can_be_followed(tmp_path: Path) -> None:
    """What has been written is readable elsewhere while the attempt runs."""
    os.mkfifo(tmp_path / "gate")
    running = Running(make(tmp_path, shell="echo one; read x < gate; echo two >&2"))
    with follower(tmp_path) as reader:
        follow_until(reader, b"one\n")
        open_gate(tmp_path / "gate")
        outcome = running.outcome()
        assert [(piece.stream, piece.data) for piece in reader.read_new()] == [(STDERR, b"two\n")]
    assert outcome.output is not None
    assert outcome.output.path == str(tmp_path / "output")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_does_not_block_the_job(tmp_path: Path) -> None:
    """Output that finds no place is dropped; the job ends as it would."""
    plan = make(tmp_path, shell="head -c 1000000 /dev/zero; exit 3", output_path="/dev/full")
    outcome = attempt(plan)
    assert outcome.code == 3
    assert outcome.output is not None
    assert not outcome.output.complete
    assert outcome.output.stdout_bytes == 1_000_000


# -- the file for a message


@pytest.mark.parametrize(
    ("shell", "message"),
    [
        ("echo 'no space left' > $QUEUECTL_ERROR_FILE", "no space left"),
        ("printf 'a\\tb\\033[1mc\\r\\nd' > $QUEUECTL_ERROR_FILE", "a b[1mc"),
        ("printf '\\377x' > $QUEUECTL_ERROR_FILE", "\ufffdx"),
        ("head -c 5000 /dev/zero | tr '\\0' x > $QUEUECTL_ERROR_FILE", "x" * 1024),
        (": > $QUEUECTL_ERROR_FILE", None),
        ("mkfifo $QUEUECTL_ERROR_FILE", None),
        ("mkdir $QUEUECTL_ERROR_FILE", None),
        ("ln -s /etc/passwd $QUEUECTL_ERROR_FILE", None),
        ("true", None),
    ],
)
def test_message(tmp_path: Path, shell: str, message: str | None) -> None:
    """The first line of the error file is the message, made harmless; the file is deleted."""
    file = tmp_path / "error"
    outcome = attempt(make(tmp_path, shell=shell, error_file=str(file)))
    assert outcome.message == message
    if message:
        assert not file.exists()


# -- signals that the host was started to ignore


def test_jobs_do_not_inherit_ignored_signals(tmp_path: Path) -> None:
    """A host under nohup ignores SIGHUP, and goes on doing so, but its jobs do not."""
    script = (
        "import os, signal\n"
        "from queuectl.process.attempt import Control, Plan, restore_signals, run\n"
        "for number in (signal.SIGHUP, signal.SIGINT, signal.SIGCHLD):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "restore_signals()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "for number in (1, 2):\n"
        "    plan = Plan(('/bin/sh', '-c', f'kill -{number} $$'), '/', {})\n"
        "    outcome = run(plan, Control(), on_start=lambda *_: None)\n"
        "    assert outcome.reason == f'signal {number}', outcome\n"
    )
    root = os.path.dirname(os.path.dirname(queuectl.__file__))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
