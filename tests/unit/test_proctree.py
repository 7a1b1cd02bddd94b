"""What attempts leave: grandchildren, daemons, orphans and the survivors of a dead host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import queuectl
from queuectl.job import STOPPED, TIMEOUT
from queuectl.process import orphans, proctree
from queuectl.process.attempt import become_subreaper, end_survivors, pid_start
from tests.unit.attempts import (
    ENV,
    GRACE,
    PATIENCE,
    TOKEN,
    Line,
    Running,
    attempt,
    leaves_nothing_open,
    make,
    open_gate,
    wrote,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: runs its words in a session of its own, as daemons do
OWN_SESSION = (
    f"{sys.executable} -S -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])'"
)


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
    shell = f"exec 9>line; {child} echo up >&9; wait; sleep 100"
    running = Running(make(tmp_path, shell=shell, timeout=60_000))
    line.read_until(b"up")
    if how == "timeout":
        running.put_forward(60)
    else:
        running.control.cancel(now=how == "now")
    assert running.outcome().kind == (TIMEOUT if how == "timeout" else STOPPED)
    line.read_to_the_end()


@pytest.mark.parametrize("child", list(GRANDCHILDREN.values())[:2], ids=list(GRANDCHILDREN)[:2])
@pytest.mark.usefixtures("subreaper")
def test_the_group_is_gone_after_the_end(tmp_path: Path, line: Line, child: str) -> None:
    """When the first process ends by itself the rest of its group is ended."""
    outcome = attempt(make(tmp_path, shell=f"exec 9>line; {child} exit 7"))
    assert outcome.reason == "exit 7"
    assert line.read() == b""


def test_group_may_finish_within_the_grace(tmp_path: Path) -> None:
    """Members of the group get SIGTERM first, and what they write then is kept."""
    # ready only after an exec: between fork and exec a shell's child swallows signals
    sleeper = "/bin/sh -c 'echo > ready; exec sleep 100'"
    shell = f"(trap 'echo saved; exit' TERM; echo up; {sleeper} & wait) & read x < ready"
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
    open_gate(tmp_path / "gate")
    outcome = running.outcome()
    assert outcome.succeeded
    assert wrote(outcome) == b"in\n"
    assert line.is_held
    os.killpg(daemon, signal.SIGKILL)
    assert line.read() == b""


def test_a_daemon_that_writes_for_ever_does_not_hang_us(tmp_path: Path, line: Line) -> None:
    """What is in the pipe is read, not what comes after."""
    shell = f"exec 9>line; {OWN_SESSION} yes & echo $! >&9; read x < gate"
    os.mkfifo(tmp_path / "gate")
    running = Running(make(tmp_path, shell=shell, output_limit=1000))
    line.read_until(b"\n")
    open_gate(tmp_path / "gate")
    assert running.outcome().succeeded
    assert line.read() == b""


def test_leave_children(tmp_path: Path, line: Line) -> None:
    """`leave_children` spares the group."""
    shell = "exec 9>line; sleep 100 & echo $! >&9"
    assert attempt(make(tmp_path, shell=shell, leave_children=True)).succeeded
    child = int(line.read_until(b"\n"))
    assert line.is_held
    os.kill(child, signal.SIGKILL)
    assert line.read() == b""


def test_reap_orphans(tmp_path: Path, line: Line) -> None:
    """Adopted zombies go, zombies that somebody waits for stay."""
    script = (
        "import os, signal, subprocess, sys\n"
        "from queuectl.process.attempt import Control, Plan, become_subreaper, reap_orphans, run\n"
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
    root = os.path.dirname(os.path.dirname(queuectl.__file__))
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
    line.read_to_the_end()


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
    another = f"another {TOKEN}"
    with left_by_a_dead_host(tmp_path, "echo up >&9; sleep 100", another) as first:
        line.read_until(b"up")
        start = pid_start(first.pid)
        assert end_survivors(TOKEN, first.pid, start - 1, GRACE) == 0
        assert end_survivors("", 0, 0, GRACE) == 0
        assert first.poll() is None
        assert end_survivors(another, first.pid, start, 0) >= 1
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


def test_a_recoverer_spares_itself_and_its_own() -> None:
    """Who recovers from within a job neither ends itself nor what it started."""
    me = os.getpid()
    processes = {
        pid: proctree.Process(pid, parent, 5, 5, 1, zombie=False)
        for pid, parent in ((5, 1), (6, 5), (me, 6), (7_000_001, me), (8, 6))
    }
    assert proctree.with_descendants(processes, {5}) == {5, 6, 8}
