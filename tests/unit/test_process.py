"""Attempts as real processes: how they end, what they leave, what they wrote."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from queuectl import orphans, plumbing, proctree, spawn
from queuectl.job import CANNOT_START, EXIT, SIGNAL, STOPPED, TIMEOUT, Claim, Outcome, Output
from queuectl.output import STDERR, STDOUT, Reader, pieces
from queuectl.process import (
    Control,
    Plan,
    account_env,
    become_subreaper,
    end_survivors,
    pid_start,
    plan_for,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: seconds until a test gives up on something that should come at once
PATIENCE = 10
GRACE = 200
TOKEN = "t-0123"
ENV = {"PATH": os.environ["PATH"], "QUEUECTL_TOKEN": TOKEN}
#: runs its words in a session of its own, as daemons do
OWN_SESSION = (
    f"{sys.executable} -S -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])'"
)


@pytest.fixture(params=[False, True], ids=["plain", "subreaper"])
def subreaper(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both kinds of host; afterwards this process is as it was."""
    if not request.param:
        yield
        return
    if not become_subreaper():
        pytest.skip("needs Linux")
    import ctypes

    yield
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """See that all descriptors come back, but for /dev/null and pipes kept to be used again."""
    if not os.path.isdir("/proc/self/fd"):
        yield
        return
    spawn._null_fd()
    before = len(os.listdir("/proc/self/fd")) - 2 * len(plumbing.wakes)
    yield
    assert len(os.listdir("/proc/self/fd")) - 2 * len(plumbing.wakes) == before


def make(tmp_path: Path, *argv: str, shell: str | None = None, **more: object) -> Plan:
    """Return a plan for an argv or a shell line."""
    if shell is not None:
        argv = ("/bin/sh", "-c", shell)
    fields = {
        "cwd": str(tmp_path), "env": ENV, "kill_grace": GRACE, "token": TOKEN,
        "output_path": str(tmp_path / "output"), **more,
    }  # fmt: skip
    return Plan(argv, **fields)  # type: ignore[arg-type]


def attempt(plan: Plan, control: Control | None = None) -> Outcome:
    """Run a plan in this thread."""
    return run(plan, control or Control(), on_start=lambda *_: None)


class Running:
    """An attempt in a thread of its own."""

    def __init__(self, plan: Plan, **clocks: Callable[[], float]) -> None:
        self.control = Control()
        self.pid = 0
        self._clocks = clocks
        self._outcome: Outcome | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(plan,))
        self._thread.start()
        assert self._started.wait(PATIENCE)

    def _run(self, plan: Plan) -> None:
        try:
            self._outcome = run(plan, self.control, on_start=self._on_start, **self._clocks)  # type: ignore[arg-type]
        finally:
            self._started.set()

    def _on_start(self, pid: int, started: int) -> None:
        assert started > 1_600_000_000_000
        self.pid = pid
        self._started.set()

    def outcome(self) -> Outcome:
        """Wait for the end."""
        self._thread.join(PATIENCE)
        assert self._outcome is not None
        return self._outcome


class Line:
    """A fifo through which jobs tell the test things; its end shows that all writers are gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> bytes:
        """Return what comes next, b"" when nobody holds the other end any more."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        assert poll.poll(PATIENCE * 1000), "nothing came"
        return os.read(self._fd, 65536)

    def read_until(self, mark: bytes) -> bytes:
        """Return all up to `mark`."""
        data = b""
        while mark not in data:
            new = self.read()
            assert new, data
            data += new
        return data

    @property
    def is_silent(self) -> bool:
        """Whether nothing can be read now, and somebody still could write."""
        try:
            return not os.read(self._fd, 1)
        except BlockingIOError:
            return True

    def close(self) -> None:
        """Close this end."""
        os.close(self._fd)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """Make a fifo named `line` in the job's directory."""
    made = Line(tmp_path / "line")
    yield made
    made.close()


def wrote(outcome: Outcome, stream: int | None = None) -> bytes:
    """Return what an attempt wrote."""
    assert outcome.output is not None
    return b"".join(piece.data for piece in pieces(outcome.output, stream=stream))


# -- how it ends


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit(tmp_path: Path, code: int) -> None:
    """An exit status is the outcome, with times and resources."""
    outcome = attempt(make(tmp_path, shell=f"exit {code}"))
    assert (outcome.kind, outcome.code, outcome.reason) == (EXIT, code, f"exit {code}")
    assert outcome.started_at is not None
    assert outcome.finished_at is not None
    assert outcome.started_at <= outcome.finished_at
    assert 100 < outcome.max_rss_kib < 10_000_000
    assert outcome.output == Output()
    assert outcome.message is None


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


def test_idle_timeout(tmp_path: Path) -> None:
    """An attempt that is silent too long is ended; one that writes goes on."""
    writes = "for i in 1 2 3; do echo $i; sleep 0.2; done; sleep 100"
    outcome = attempt(make(tmp_path, shell=writes, idle_timeout=500))
    assert outcome.reason == "timeout after idle 500ms"
    assert wrote(outcome) == b"1\n2\n3\n"


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
    """A host without free descriptors says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        outcome = attempt(make(tmp_path, "true"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert outcome.reason == "cannot start: Too many open files"


def test_argv_is_literal(tmp_path: Path) -> None:
    """No shell sees the words of an argv."""
    assert wrote(attempt(make(tmp_path, "echo", "$(id)", "a  b", "*"))) == b"$(id) a  b *\n"


def test_shell_line(tmp_path: Path) -> None:
    """A shell line is expanded by the shell, whose 127 stays what it is."""
    assert wrote(attempt(make(tmp_path, shell="echo $((1+1)) | cat"))) == b"2\n"
    assert attempt(make(tmp_path, shell="no-such-command")).reason == "exit 127"


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
    with Reader(Output(path=str(tmp_path / "output"))) as reader:
        found = b""
        while b"two" not in found:
            found += b"".join(piece.data for piece in reader.read_new())
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
    shell = "exec 9>line; trap 'echo no >&9' TERM; echo up >&9; while :; do sleep 100; done"
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
    with (tmp_path / "gate").open("w") as gate:
        gate.write("go\n")
    assert running.outcome().reason == "exit 5"


def test_signal_that_ends_it(tmp_path: Path) -> None:
    """Rule 1: a signal is a failure that names it."""
    running = Running(make(tmp_path, "sleep", "100"))
    running.control.signal(signal.SIGINT)
    assert running.outcome().reason == "signal 2"


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs waitid")
def test_pause_stands_the_clocks_still(tmp_path: Path, line: Line) -> None:
    """While paused neither timeout runs; after resume there is as much left as before."""
    now = 0.0
    os.mkfifo(tmp_path / "gate")
    shell = "exec 9>line; echo up >&9; read x < gate; echo over >&9"
    limits = {"timeout": 60_000, "idle_timeout": 50_000}
    running = Running(make(tmp_path, shell=shell, **limits), monotonic=lambda: now)
    line.read_until(b"up")
    running.control.pause()
    os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)
    now = 1_000_000.0
    # wakes the worker, which sees the time
    running.control.send(b"")
    running.control.resume()
    os.waitid(os.P_PID, running.pid, os.WCONTINUED | os.WNOWAIT)
    with (tmp_path / "gate").open("w") as gate:
        gate.write("go\n")
    line.read_until(b"over")
    assert running.outcome().succeeded


def test_paused_job_can_be_cancelled(tmp_path: Path) -> None:
    """SIGCONT lets a stopped job see its SIGTERM."""
    running = Running(make(tmp_path, "sleep", "100", kill_grace=100_000))
    running.control.pause()
    running.control.cancel()
    assert running.outcome().kind == STOPPED


# -- what it leaves

GRANDCHILDREN = {
    "same group": "sleep 100 9>&9 &",
    "ignores SIGTERM": "(trap '' TERM; sleep 100) &",
    "own session": f"{OWN_SESSION} sleep 100 &",
    "own session, ignores SIGTERM": f"(trap '' TERM; exec {OWN_SESSION} sleep 100) &",
    "orphan in its own session": f"({OWN_SESSION} sh -c 'sleep 100 & echo >&9; wait' &); true;",
}


@pytest.mark.parametrize("child", GRANDCHILDREN.values(), ids=GRANDCHILDREN)
@pytest.mark.parametrize("how", ["cancel", "now", "timeout"])
@pytest.mark.usefixtures("subreaper")
def test_the_whole_tree_is_gone(tmp_path: Path, line: Line, child: str, how: str) -> None:
    """Cancel and timeout end every process, whatever it does; each holds the line and the pipe."""
    jump = 0.0
    made = make(
        tmp_path, shell=f"exec 9>line; {child} echo up >&9; wait; sleep 100", timeout=60_000
    )
    running = Running(made, monotonic=lambda: time.monotonic() + jump)
    line.read_until(b"up")
    if how == "timeout":
        jump = 100.0
        # wakes the worker, which sees the time
        running.control.resume()
    else:
        running.control.cancel(now=how == "now")
    assert running.outcome().kind == (TIMEOUT if how == "timeout" else STOPPED)
    while line.read():
        pass


@pytest.mark.parametrize("child", list(GRANDCHILDREN.values())[:2], ids=list(GRANDCHILDREN)[:2])
@pytest.mark.usefixtures("subreaper")
def test_the_group_is_gone_after_the_end(tmp_path: Path, line: Line, child: str) -> None:
    """When the first process ends by itself the rest of its group is ended."""
    outcome = attempt(make(tmp_path, shell=f"exec 9>line; {child} exit 7"))
    assert outcome.reason == "exit 7"
    assert line.read() == b""


def test_group_may_finish_within_the_grace(tmp_path: Path) -> None:
    """Members of the group get SIGTERM first, and what they write then is kept."""
    shell = (
        "(trap 'echo saved; exit' TERM; echo up; sleep 100 & echo > ready; wait) & read x < ready"
    )
    os.mkfifo(tmp_path / "ready")
    outcome = attempt(make(tmp_path, shell=shell, kill_grace=100_000))
    assert outcome.succeeded
    assert wrote(outcome) == b"up\nsaved\n"


def test_a_daemon_is_spared_and_does_not_hang_us(tmp_path: Path, line: Line) -> None:
    """After a normal end a process in its own session lives on, though it holds the pipe."""
    shell = f"exec 9>line; {OWN_SESSION} sh -c 'echo in; echo $$ >&9; sleep 100' & read x < gate"
    os.mkfifo(tmp_path / "gate")
    running = Running(make(tmp_path, shell=shell))
    daemon = int(line.read_until(b"\n"))
    with (tmp_path / "gate").open("w") as gate:
        gate.write("go\n")
    outcome = running.outcome()
    assert outcome.succeeded
    assert wrote(outcome) == b"in\n"
    assert line.is_silent
    os.killpg(daemon, signal.SIGKILL)
    assert line.read() == b""


def test_a_daemon_that_writes_for_ever_does_not_hang_us(tmp_path: Path, line: Line) -> None:
    """What is in the pipe is read, not what comes after."""
    shell = f"exec 9>line; {OWN_SESSION} yes & echo $! >&9; read x < gate"
    os.mkfifo(tmp_path / "gate")
    running = Running(make(tmp_path, shell=shell, output_limit=1000))
    line.read_until(b"\n")
    with (tmp_path / "gate").open("w") as gate:
        gate.write("go\n")
    assert running.outcome().succeeded
    assert line.read() == b""


def test_leave_children(tmp_path: Path, line: Line) -> None:
    """`leave_children` spares the group."""
    shell = "exec 9>line; sleep 100 & echo $! >&9"
    assert attempt(make(tmp_path, shell=shell, leave_children=True)).succeeded
    child = int(line.read_until(b"\n"))
    assert line.is_silent
    os.kill(child, signal.SIGKILL)
    assert line.read() == b""


def test_reap_orphans(tmp_path: Path, line: Line) -> None:
    """Adopted zombies go, zombies that somebody waits for stay."""
    script = (
        "import os, signal, subprocess, sys\n"
        "from queuectl.process import Control, Plan, become_subreaper, reap_orphans, run\n"
        "assert become_subreaper()\n"
        "ours = subprocess.Popen(['true'])\n"
        "named = subprocess.Popen(['true'], start_new_session=True)\n"
        "seen = []\n"
        "def on_start(pid, started):\n"
        "    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)\n"
        "    reap_orphans({named.pid})\n"
        "    seen.append(pid)\n"
        "plan = Plan(('sh', '-c', 'sleep 100 & echo $! > pid; exit 3'), os.getcwd(),\n"
        "            {'PATH': os.environ['PATH']}, leave_children=True)\n"
        "outcome = run(plan, Control(), on_start=on_start)\n"
        "assert outcome.code == 3, outcome\n"
        "orphan = int(open('pid').read())\n"
        "os.kill(orphan, signal.SIGKILL)\n"
        "os.waitid(os.P_PID, orphan, os.WEXITED | os.WNOWAIT)\n"
        "reap_orphans({named.pid})\n"
        "assert not os.path.exists(f'/proc/{orphan}')\n"
        "assert ours.wait() == named.wait() == 0\n"
        "reap_orphans(set())\n"
    )
    if not sys.platform.startswith("linux"):
        pytest.skip("needs a subreaper")
    root = os.path.dirname(os.path.dirname(spawn.__file__))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


# -- survivors of a host


@pytest.fixture(params=["pidfd", "no pidfd", "psutil"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to be on systems that offer less."""
    if request.param != "pidfd":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    if request.param == "psutil":
        monkeypatch.setattr(proctree, "ON_LINUX", False)


def left_by_a_dead_host(tmp_path: Path, shell: str, token: str = TOKEN) -> subprocess.Popen[bytes]:
    """Start what a host would have started."""
    return subprocess.Popen(
        ["/bin/sh", "-c", f"exec 9>line; {shell}"],
        cwd=tmp_path, env={**ENV, "QUEUECTL_TOKEN": token}, start_new_session=True,
    )  # fmt: skip


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("child", GRANDCHILDREN.values(), ids=GRANDCHILDREN)
def test_survivors_are_ended(tmp_path: Path, line: Line, child: str) -> None:
    """The first process and all that came of it are ended and counted."""
    with left_by_a_dead_host(tmp_path, f"{child} echo up >&9; wait; sleep 100") as first:
        line.read_until(b"up")
        assert end_survivors(TOKEN, first.pid, pid_start(first.pid), GRACE) >= 2
    while line.read():
        pass


@pytest.mark.usefixtures("system")
def test_survivors_of_a_dead_leader_are_found_by_token(tmp_path: Path, line: Line) -> None:
    """The first process is gone, the rest of its session is not; one of them cleared its token."""
    shell = "sleep 100 & env -i /bin/sleep 100 & echo up >&9"
    with left_by_a_dead_host(tmp_path, shell) as first:
        start = pid_start(first.pid)
        line.read_until(b"up")
    assert end_survivors(TOKEN, first.pid, start, GRACE) == 2
    assert line.read() == b""


@pytest.mark.usefixtures("system")
def test_strangers_are_spared(tmp_path: Path, line: Line) -> None:
    """A number that was used again, and other attempts, are left alone."""
    with left_by_a_dead_host(tmp_path, "echo up >&9; sleep 100", "another") as first:
        line.read_until(b"up")
        start = pid_start(first.pid)
        assert end_survivors(TOKEN, first.pid, start - 1, GRACE) == 0
        assert end_survivors("", 0, 0, GRACE) == 0
        assert first.poll() is None
        assert end_survivors("another", first.pid, start, 0) >= 1
    assert line.read() == b""


def test_start_of_nobody() -> None:
    """A process that is gone has no start."""
    with subprocess.Popen(["true"]) as gone:
        assert pid_start(gone.pid) > 0
    assert pid_start(gone.pid) == 0


def test_a_spawn_under_way_makes_no_orphan() -> None:
    """A zombie seen during a spawn is an orphan only if that spawn's child is another."""
    leaders = orphans.Leaders()
    seen = proctree.Process(100, 1, 100, 100, 5, zombie=True)
    first = leaders.announce()
    assert leaders.strangers([seen]) == []
    second = leaders.announce()
    leaders.settle(first, 200)
    assert leaders.strangers([seen]) == [100]
    leaders.settle(second, 100)
    assert leaders.strangers([seen]) == []
    leaders.remove(second)
    assert leaders.strangers([seen]) == [100]


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
    with Reader(Output(path=str(tmp_path / "output"))) as reader:
        found: list[object] = []
        while not found:
            found += reader.read_new()
        with (tmp_path / "gate").open("w") as gate:
            gate.write("go\n")
        outcome = running.outcome()
        found += reader.read_new()
        assert [piece[0] for piece in found] == [STDOUT, STDERR]  # type: ignore[index]
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


# -- plans


CLAIM = Claim(
    job_id=7, token=TOKEN, run=3, queue="q", priority=0, command="echo", args=("a b",), shell=False,
    cwd="/", env={"LANG": "C"}, policy={}, stdin=None, attempts=0, max_retries=3, due_at=0,
    claimed_at=0,
)  # fmt: skip
BASE = {"HOME": "/h", "USER": "u", "LOGNAME": "u", "SHELL": "/bin/sh", "TMPDIR": "/t"}


def plan(**changes: object) -> Plan:
    """Return the plan for a claim with some fields changed."""
    return plan_for(CLAIM._replace(**changes), base_env=BASE, slot=1, output_path="/o/7.3")  # type: ignore[arg-type]


def test_plan_has_the_defaults() -> None:
    """What no policy says comes from the settings."""
    made = plan()
    assert made.cwd == "/"
    assert (made.timeout, made.idle_timeout, made.kill_grace) == (0, 0, 10_000)
    assert made.output_limit == 256 * 1024 * 1024
    assert (made.interactive, made.merge, made.leave_children) == (False, False, False)
    assert (made.output_path, made.error_file) == ("/o/7.3", "/o/7.3.error")


def test_plan_follows_the_policy() -> None:
    """A policy of the job wins."""
    made = plan(
        policy={"timeout": "30s", "idle-timeout": "5s", "kill-grace": "1s", "output-limit": "1k",
                "merge": "true", "interactive": "yes", "leave-children": "1"}
    )  # fmt: skip
    assert (made.timeout, made.idle_timeout, made.kill_grace) == (30_000, 5_000, 1_000)
    assert (made.output_limit, made.merge, made.interactive) == (1024, True, True)
    assert made.leave_children


@pytest.mark.parametrize(
    ("changes", "argv"),
    [
        ({}, ("echo", "a b")),
        ({"args": None}, ("echo",)),
        ({"args": None, "shell": True}, ("/bin/sh", "-c", "echo")),
        (
            {"args": (), "shell": True, "policy": {"shell": "/bin/bash"}},
            ("/bin/bash", "-c", "echo"),
        ),
        ({"shell": True}, ("/bin/sh", "-c", "echo", "/bin/sh", "a b")),
    ],
)
def test_argv(changes: dict[str, object], argv: tuple[str, ...]) -> None:
    """Rule 10: words are an argv, a line goes to the shell."""
    assert plan(**changes).argv == argv


def test_environment_is_exactly_rule_12(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the host's environment reaches a job."""
    monkeypatch.setenv("SECRET", "x")
    made = plan(command="/usr/bin/env", args=None)._replace(
        cwd=str(tmp_path), error_file=str(tmp_path / "e")
    )
    found = dict(entry.split("=", 1) for entry in wrote(attempt(made)).decode().splitlines())
    assert found == {
        **BASE, "LANG": "C", "QUEUECTL_JOB_ID": "7", "QUEUECTL_ATTEMPT": "3", "QUEUECTL_QUEUE": "q",
        "QUEUECTL_TOKEN": TOKEN, "QUEUECTL_SLOT": "1", "QUEUECTL_ERROR_FILE": str(tmp_path / "e"),
    }  # fmt: skip


def test_a_job_cannot_forge_its_token() -> None:
    """What identifies an attempt wins over what the job brings."""
    assert plan(env={"QUEUECTL_TOKEN": "forged"}).env["QUEUECTL_TOKEN"] == TOKEN


def test_account_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account's variables come from the account, not from who started the host."""
    monkeypatch.setenv("HOME", "/forged")
    monkeypatch.setenv("TMPDIR", "/scratch")
    found = account_env()
    assert set(found) == {"HOME", "USER", "LOGNAME", "SHELL", "TMPDIR"}
    assert found["HOME"] != "/forged"
    assert found["TMPDIR"] == "/scratch"
