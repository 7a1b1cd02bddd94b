"""What becomes of a dead host's jobs, and which hosts count as dead."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.clocks import boot_clock, start_clock
from queuectl.errors import BadValue, StoreBusy
from queuectl.host import hostfile, recovery
from queuectl.host.hostfile import HostFile
from queuectl.host.recovery import Recoverer
from queuectl.job import (
    CANCELLED,
    COMPLETED,
    DEAD,
    EXIT,
    FAILED,
    PENDING,
    PROCESSING,
    STOPPED,
    Outcome,
    Output,
)
from queuectl.paths import host_path, hosts_directory, output_path, wake_path
from queuectl.process.proctree import pid_start
from queuectl.process.recorder import STDERR, STDOUT, Recorder
from queuectl.store.sqlite.engine import MemoryStore
from tests.support.faulty import faulty
from tests.support.work import HOST, OTHER, a_host, claim_one, job_of, put, settle, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.job import Claim
    from queuectl.store.base import Store

ME = "host-me"
#: seconds until a test gives up on something that should come at once
PATIENCE = 10


class Scene:
    """A store, hosts with files beside it, and a recoverer."""

    def __init__(self) -> None:
        self.real = MemoryStore({})
        self.store, self.faults = faulty(self.real)
        self.errors: list[Exception] = []
        self.directory = hosts_directory(self.store.local_directory)
        os.makedirs(self.directory)
        self._files: list[HostFile] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self.recoverer = Recoverer(self.store, ME, self.call, self.errors.append)

    def call(self, request: Callable[[Store], Any]) -> Any:
        """Run a write, as a pump would."""
        return request(self.store)

    def host(self, host_id: str = HOST, **row: Any) -> HostFile:
        """Register a host that lives."""
        self.store.register(a_host(host_id, **row))
        file = HostFile(host_path(self.directory, host_id), pid_start(os.getpid()))
        self._files.append(file)
        return file

    def claimed(self, host_id: str = HOST, **fields: Any) -> Claim:
        """Let a host claim a job."""
        put(self.store, **fields)
        return claim_one(self.store, host_id)

    def process(self, *argv: str, env: dict[str, str]) -> int:
        """Run something in a session of its own that lives until it is ended."""
        command = [*argv, sys.executable, "-c", "print(flush=True); input()"]
        process = subprocess.Popen(
            command, env=env, start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        self._processes.append(process)
        return process.pid

    def lives(self, pid: int) -> bool:
        """Whether one of these processes has not ended."""
        return any(process.pid == pid and process.poll() is None for process in self._processes)

    def end(self) -> None:
        for file in self._files:
            file.close()
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
        self.real.close()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(recovery, "GRACE", 0)
    monkeypatch.setattr(recovery, "EXEC", 0)
    scene = Scene()
    yield scene
    scene.end()


def files_of(scene: Scene) -> set[str]:
    return set(os.listdir(scene.directory))


# ---- what becomes of a claim --------------------------------------------------------------------


def nothing(file: HostFile, claim: Claim) -> None:
    """No record: it was never taken from the tray."""


def starting(file: HostFile, claim: Claim) -> None:
    file.starting(file.take(), claim)


def running(file: HostFile, claim: Claim) -> None:
    # a number that no process can have
    file.running(file.take(), claim, 2**30, 1_700_000_000_000)


def exited(code: int) -> Callable[[HostFile, Claim], None]:
    def write(file: HostFile, claim: Claim) -> None:
        file.exited(file.take(), claim, Outcome(EXIT, code, "", 5, 6))

    return write


def handed_back(file: HostFile, claim: Claim) -> None:
    file.exited(file.take(), claim, Outcome(STOPPED))


Fate = tuple[str, int, int, str | None]


@pytest.mark.parametrize(
    ("record", "known", "fate"),
    [
        (nothing, False, (PENDING, 0, 0, None)),
        (nothing, True, (FAILED, 1, 1, "worker lost")),
        (starting, False, (PENDING, 0, 1, None)),
        (starting, True, (FAILED, 1, 1, "worker lost")),
        (running, False, (FAILED, 1, 1, "worker lost")),
        (running, True, (FAILED, 1, 1, "worker lost")),
        (exited(0), False, (COMPLETED, 1, 1, "exit 0")),
        (exited(0), True, (COMPLETED, 1, 1, "exit 0")),
        (exited(3), False, (FAILED, 1, 1, "exit 3")),
        (exited(3), True, (FAILED, 1, 1, "exit 3")),
        (handed_back, False, (PENDING, 0, 0, None)),
    ],
)
def test_each_claim_of_a_dead_host(
    scene: Scene, record: Callable[[HostFile, Claim], None], known: bool, fate: Fate
) -> None:
    file = scene.host()
    claim = scene.claimed()
    if known:
        start(scene.store, claim)
    record(file, claim)
    file.close(keep=True)
    assert scene.recoverer.look() == 1
    job = job_of(scene.store, claim.job_id)
    assert (job.state, job.attempts, job.deliveries, job.reason) == fate
    assert job.host is None
    assert scene.errors == []


def test_it_leaves_neither_row_nor_file_nor_pipe(scene: Scene) -> None:
    file = scene.host()
    os.mkfifo(wake_path(scene.directory, HOST))
    scene.claimed()
    file.close(keep=True)
    scene.recoverer.look()
    assert scene.store.hosts() == []
    assert files_of(scene) == set()
    assert scene.recoverer.look() == 0


def test_a_job_that_was_being_cancelled_is_cancelled(scene: Scene) -> None:
    file = scene.host()
    claim = scene.claimed()
    scene.store.cancel([claim.job_id])
    file.close(keep=True)
    scene.recoverer.look()
    assert job_of(scene.store, claim.job_id).state == CANCELLED


def test_a_job_that_kills_every_host_is_buried(scene: Scene) -> None:
    put(scene.store, policy={"max-retries": "1"})
    for number in range(10):
        file = scene.host(f"host{number}")
        claims = scene.store.claim(f"host{number}", 1)
        if not claims:
            break
        starting(file, claims[0])
        file.close(keep=True)
        scene.recoverer.look()
    job = job_of(scene.store, 1)
    assert (job.state, job.deliveries, job.attempts) == (DEAD, 5, 0)
    assert job.reason == "claimed 5 times without an end"


def test_the_exit_that_was_recorded_keeps_its_times(scene: Scene) -> None:
    file = scene.host()
    claim = scene.claimed()
    exited(3)(file, claim)
    file.close(keep=True)
    scene.recoverer.look()
    (attempt,) = scene.store.attempts(claim.job_id)
    assert (attempt.started_at, attempt.finished_at, attempt.code) == (5, 6, 3)
    assert attempt.host == HOST


# ---- output -------------------------------------------------------------------------------------


def write_output(scene: Scene, claim: Claim, data: bytes) -> str:
    path = output_path(scene.store.local_directory, claim.job_id, claim.run)
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(data)
    return path


def recovered_output(
    scene: Scene, data: bytes | None, record: Callable[[HostFile, Claim, str], None]
) -> tuple[Output | None, str]:
    file = scene.host()
    claim = scene.claimed()
    path = output_path(scene.store.local_directory, claim.job_id, claim.run)
    if data is not None:
        write_output(scene, claim, data)
    record(file, claim, path)
    file.close(keep=True)
    scene.recoverer.look()
    return scene.store.output(claim.job_id, claim.run), path


def test_output_that_was_in_its_file_is_whole(scene: Scene) -> None:
    def record(file: HostFile, claim: Claim, path: str) -> None:
        output = Output(path=path, stdout_bytes=3, stderr_bytes=2)
        file.exited(file.take(), claim, Outcome(EXIT, 0, "", 5, 6, output=output))

    output, path = recovered_output(scene, b"abcde", record)
    assert output == Output(path=path, stdout_bytes=3, stderr_bytes=2, complete=True)


def test_output_that_was_in_memory_is_said_to_be_missing(scene: Scene) -> None:
    def record(file: HostFile, claim: Claim, path: str) -> None:
        output = Output(data=b"abc", stdout_bytes=3)
        file.exited(file.take(), claim, Outcome(EXIT, 0, "", 5, 6, output=output))

    # a file of that name was left by an attempt whose start nobody knows of
    output, _ = recovered_output(scene, b"of another attempt", record)
    assert output == Output(stdout_bytes=3, complete=False)


def test_an_attempt_that_wrote_nothing_misses_nothing(scene: Scene) -> None:
    output, _ = recovered_output(scene, None, lambda file, claim, _: exited(0)(file, claim))
    assert output is None


def test_the_output_of_a_lost_attempt_is_kept_as_far_as_it_goes(scene: Scene) -> None:
    output, path = recovered_output(scene, b"abc", lambda file, claim, _: running(file, claim))
    assert output == Output(path=path, stdout_bytes=3, complete=False)


def test_the_streams_of_a_lost_attempt_are_counted_apart(scene: Scene) -> None:
    def record(file: HostFile, claim: Claim, path: str) -> None:
        recorder = Recorder(path, 1000)
        recorder.add(STDERR, b"err", 0, 0)
        recorder.add(STDOUT, b"outs", 0, 0)
        recorder.flush()
        running(file, claim)

    output, path = recovered_output(scene, None, record)
    assert output == Output(path=path, stdout_bytes=4, stderr_bytes=3, complete=False)


# ---- who is dead --------------------------------------------------------------------------------


def test_a_living_host_is_left_alone(scene: Scene) -> None:
    file = scene.host()
    running(file, scene.claimed())
    assert scene.recoverer.look() == 0
    assert len(scene.store.held_by(HOST)) == 1


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 100], ids=["missing", "empty", "bad"])
def test_a_file_that_says_nothing_proves_nothing(scene: Scene, content: bytes | None) -> None:
    scene.store.register(a_host())
    scene.claimed()
    if content is not None:
        with open(host_path(scene.directory, HOST), "wb") as file:
            file.write(content)
    assert scene.recoverer.look() == 0
    assert len(scene.store.held_by(HOST)) == 1
    assert [host.id for host in scene.store.hosts()] == [HOST]


def test_a_host_of_another_pid_namespace_is_left_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = scene.host()
    scene.claimed()
    file.close(keep=True)
    monkeypatch.setattr(hostfile, "pid_namespace", lambda: 1)
    assert scene.recoverer.look() == 0
    assert len(scene.store.held_by(HOST)) == 1


def test_the_name_of_the_machine_does_not_matter(scene: Scene) -> None:
    """Laptops change theirs with the network; the file and the boot say where a host was."""
    file = scene.host()
    scene.store.register(a_host()._replace(hostname="another-name"))
    scene.claimed()
    file.close(keep=True)
    assert scene.recoverer.look() == 1


@pytest.mark.parametrize(
    ("record", "fate"),
    [
        (nothing, (PENDING, 0, 1, None)),
        (starting, (PENDING, 0, 1, None)),
        (running, (FAILED, 1, 1, "worker lost")),
        (exited(0), (COMPLETED, 1, 1, "exit 0")),
    ],
)
def test_after_a_crash_of_the_machine_a_missing_record_says_nothing(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    record: Callable[[HostFile, Claim], None],
    fate: Fate,
) -> None:
    with monkeypatch.context() as then:
        then.setattr(hostfile, "boot_id", lambda: "another boot")
        # numbers and namespaces of another boot mean nothing
        then.setattr(hostfile, "pid_namespace", lambda: 1)
        file = scene.host()
    claim = scene.claimed()
    record(file, claim)
    file.close(keep=True)
    assert scene.recoverer.look() == 1
    job = job_of(scene.store, claim.job_id)
    assert (job.state, job.attempts, job.deliveries, job.reason) == fate


# ---- stalled hosts ------------------------------------------------------------------------------

HOLD = """
import os, sys
from queuectl.host.hostfile import HostFile
from queuectl.process.proctree import pid_start
from queuectl.process.recorder import STDERR, STDOUT, Recorder
file = HostFile(sys.argv[1], pid_start(os.getpid()))
os.write(1, b"x")
while sys.stdin.readline():
    file.beat()
    os.write(1, b"x")
"""


class Stalled:
    """Another process that is a host and beats its heart when it is told to."""

    def __init__(self, scene: Scene) -> None:
        scene.store.register(a_host())
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, host_path(scene.directory, HOST)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._input, self._output = self.process.stdin, self.process.stdout
        assert self._output.read(1) == b"x"

    def beat(self) -> None:
        self._input.write(b"beat\n")
        assert self._output.read(1) == b"x"

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


class Time:
    """Both clocks that recovery looks at, put forward by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        monkeypatch.setattr(recovery, "boot_clock", lambda: boot_clock() + int(self.ahead * 1e9))
        monkeypatch.setattr(recovery, "time", self)

    def monotonic(self) -> float:
        return self.ahead

    def sleep(self, seconds: float) -> None:
        """Do not."""


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


@pytest.fixture
def stalled(scene: Scene) -> Iterator[Stalled]:
    stalled = Stalled(scene)
    with stalled.process:
        yield stalled
        stalled.process.kill()


def test_a_stalled_host_is_killed_first_and_then_recovered(
    scene: Scene, stalled: Stalled, later: Time
) -> None:
    claim = scene.claimed()
    assert scene.recoverer.look() == 0
    later.ahead = recovery.LEASE + 1
    assert scene.recoverer.look() == 0
    assert stalled.alive
    later.ahead += recovery.CONFIRM
    assert scene.recoverer.look() == 0
    assert stalled.process.wait(PATIENCE) == -9
    assert scene.recoverer.look() == 1
    assert job_of(scene.store, claim.job_id).state == PENDING


def test_a_host_that_beats_between_two_looks_is_spared(
    scene: Scene, stalled: Stalled, later: Time
) -> None:
    """Both were asleep with the machine; the other one woke a little later."""
    for _ in range(3):
        later.ahead += recovery.LEASE + 1
        scene.recoverer.look()
        stalled.beat()
        later.ahead += recovery.CONFIRM + recovery.LEASE
        # stale again, but not the heartbeat that was stale before
        scene.recoverer.look()
        stalled.beat()
    assert stalled.alive
    assert scene.recoverer.look() == 0


def test_a_number_that_is_another_process_by_now_is_not_killed(
    scene: Scene, later: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    scene.host()
    monkeypatch.setattr(recovery, "pid_start", lambda _: 1)
    for _ in range(3):
        later.ahead += recovery.LEASE + recovery.CONFIRM
        scene.recoverer.look()
    assert killed == []


# ---- survivors ----------------------------------------------------------------------------------


def test_processes_are_found_by_their_token(scene: Scene) -> None:
    file = scene.host()
    claim = scene.claimed()
    pid = scene.process(env={"QUEUECTL_TOKEN": claim.token})
    starting(file, claim)
    file.close(keep=True)
    scene.recoverer.look()
    assert not scene.lives(pid)


def test_a_process_without_its_token_is_found_by_its_number(scene: Scene) -> None:
    """`env -i` clears it, and programs that set their title write over it."""
    file = scene.host()
    claim = scene.claimed()
    pid = scene.process(env={})
    file.running(file.take(), claim, pid, 5)
    file.close(keep=True)
    scene.recoverer.look()
    assert not scene.lives(pid)


def test_a_number_that_was_given_to_another_process_is_spared(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = scene.host()
    claim = scene.claimed()
    pid = scene.process(env={})
    monkeypatch.setattr(hostfile, "start_clock", lambda: pid_start(pid) - 1)
    file.running(file.take(), claim, pid, 5)
    file.close(keep=True)
    assert scene.recoverer.look() == 1
    assert scene.lives(pid)
    assert start_clock() > pid_start(pid)


def test_a_job_goes_back_only_when_its_processes_have_ended(scene: Scene) -> None:
    file = scene.host()
    claim = scene.claimed()
    pid = scene.process(env={"QUEUECTL_TOKEN": claim.token})
    running(file, claim)
    file.close(keep=True)
    lived: list[bool] = []

    def call(request: Callable[[Store], Any]) -> Any:
        lived.append(scene.lives(pid))
        return request(scene.store)

    Recoverer(scene.store, ME, call, scene.errors.append).look()
    assert lived == [False]


# ---- what goes wrong ----------------------------------------------------------------------------


def test_an_error_with_one_host_does_not_keep_others_from_being_recovered(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        file = scene.host(f"host{number}")
        scene.claimed(f"host{number}")
        file.close(keep=True)
    error = PermissionError("of the test")
    original = Recoverer._look_at

    def look_at(self: Recoverer, host_id: str) -> int:
        if host_id == "host1":
            raise error
        return original(self, host_id)

    monkeypatch.setattr(Recoverer, "_look_at", look_at)
    assert scene.recoverer.look() == 2
    assert scene.errors == [error]


def test_a_claim_that_cannot_be_written_does_not_keep_others_from_going_back(
    scene: Scene,
) -> None:
    file = scene.host()
    claims = [scene.claimed() for _ in range(3)]
    for claim in claims:
        exited(0)(file, claim)
    file.close(keep=True)
    scene.faults.poison[2] = BadValue("of the test")
    assert scene.recoverer.look() == 2
    assert [job_of(scene.store, claim.job_id).state for claim in claims] == [
        COMPLETED,
        PENDING,
        COMPLETED,
    ]
    assert scene.errors == [scene.faults.poison.pop(2)]
    assert [host.id for host in scene.store.hosts()] == [HOST]
    assert scene.recoverer.look() == 1
    assert job_of(scene.store, 2).state == COMPLETED
    assert scene.store.hosts() == []


def test_a_store_that_cannot_be_written_is_tried_again(scene: Scene) -> None:
    file = scene.host()
    claim = scene.claimed()
    exited(0)(file, claim)
    file.close(keep=True)
    scene.faults.fail(StoreBusy(store="the store", seconds=15), 1)
    assert scene.recoverer.look() == 0
    assert job_of(scene.store, claim.job_id).state == PENDING
    assert scene.recoverer.look() == 1
    assert job_of(scene.store, claim.job_id).state == COMPLETED


def test_of_two_recoverers_one_recovers(scene: Scene) -> None:
    file = scene.host()
    claim = scene.claimed()
    starting(file, claim)
    file.close(keep=True)
    second = Recoverer(scene.store, OTHER, scene.call, scene.errors.append)
    found: list[int] = []

    def call(request: Callable[[Store], Any]) -> Any:
        thread = threading.Thread(target=lambda: found.append(second.look()))
        thread.start()
        thread.join()
        return request(scene.store)

    assert Recoverer(scene.store, ME, call, scene.errors.append).look() == 1
    assert second.look() == 0
    assert found == [0]
    assert job_of(scene.store, claim.job_id).deliveries == 1


def test_what_a_live_host_settles_while_it_is_recovered_stays(scene: Scene) -> None:
    """A host that gave up its lock because the store was away may still get a word in."""
    file = scene.host()
    claim = scene.claimed()
    running(file, claim)
    file.close(keep=True)

    def call(request: Callable[[Store], Any]) -> Any:
        settle(scene.store, claim)
        return request(scene.store)

    Recoverer(scene.store, ME, call, scene.errors.append).look()
    job = job_of(scene.store, claim.job_id)
    assert (job.state, job.attempts, job.reason) == (COMPLETED, 1, "exit 0")


def test_files_of_hosts_that_are_not_registered_go_when_their_lock_is_free(scene: Scene) -> None:
    file = scene.host()
    scene.store.forget(HOST)
    os.mkfifo(wake_path(scene.directory, HOST))
    os.mkfifo(wake_path(scene.directory, OTHER))
    scene.recoverer.look()
    assert files_of(scene) == {f"{HOST}.host", f"{HOST}.wake"}
    file.close(keep=True)
    scene.recoverer.look()
    assert files_of(scene) == set()


def test_claims_of_a_host_without_a_row_are_given_back(scene: Scene) -> None:
    file = scene.host()
    claim = scene.claimed()
    starting(file, claim)
    scene.store.forget(HOST)
    file.close(keep=True)
    assert scene.recoverer.look() == 1
    assert job_of(scene.store, claim.job_id).state == PENDING


def test_without_a_directory_there_is_nothing_to_recover(scene: Scene) -> None:
    scene.store.register(a_host())
    os.rmdir(scene.directory)
    assert scene.recoverer.look() == 0


def test_its_own_file_is_not_looked_at(scene: Scene) -> None:
    file = scene.host(ME)
    scene.claimed(ME)
    file.close(keep=True)
    assert scene.recoverer.look() == 0
    assert files_of(scene) == {f"{ME}.host"}


def test_a_job_still_processing_for_a_living_host_is_untouched(scene: Scene) -> None:
    scene.host()
    claim = scene.claimed()
    start(scene.store, claim)
    dead = scene.host(OTHER)
    dead.close(keep=True)
    scene.recoverer.look()
    assert job_of(scene.store, claim.job_id).state == PROCESSING
    assert [host.id for host in scene.store.hosts()] == [HOST]


# ---- hosts of other machines, by their leases ---------------------------------------------------


@pytest.fixture
def expired(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the hosts whose lease has ended, for a test to fill; the store has leases."""
    hosts: list[str] = []
    for store in {scene.real, scene.store}:
        monkeypatch.setattr(store, "lease", 60.0, raising=False)
        monkeypatch.setattr(store, "expired", lambda: list(hosts), raising=False)
    return hosts


def test_a_host_without_a_file_is_left_alone_until_its_lease_has_ended(
    scene: Scene, expired: list[str]
) -> None:
    scene.store.register(a_host())
    started, claimed = scene.claimed(), scene.claimed()
    start(scene.store, started)
    assert scene.recoverer.look() == 0
    expired.append(HOST)
    assert scene.recoverer.look() == 2
    assert scene.store.hosts() == []
    lost, back = job_of(scene.store, started.job_id), job_of(scene.store, claimed.job_id)
    assert (lost.state, lost.reason, lost.attempts) == (FAILED, "worker lost", 1)
    # nobody knows whether it had begun
    assert (back.state, back.attempts, back.deliveries) == (PENDING, 0, 1)


def test_what_a_file_says_is_worth_more_than_a_lease_that_has_ended(
    scene: Scene, expired: list[str]
) -> None:
    file = scene.host()
    claim = scene.claimed()
    start(scene.store, claim)
    exited(0)(file, claim)
    file.close(keep=True)
    expired.append(HOST)
    scene.recoverer.look()
    assert job_of(scene.store, claim.job_id).state == COMPLETED


def test_a_host_that_renews_at_the_last_moment_keeps_its_jobs(
    scene: Scene, expired: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.store.register(a_host())
    claim = scene.claimed()
    answers = [[HOST], []]
    for store in {scene.real, scene.store}:
        monkeypatch.setattr(store, "expired", lambda: answers.pop(0), raising=False)
    assert scene.recoverer.look() == 0
    assert answers == []
    assert job_of(scene.store, claim.job_id).token == claim.token
    assert [host.id for host in scene.store.hosts()] == [HOST]


def test_a_host_does_not_recover_itself_when_its_lease_has_ended(
    scene: Scene, expired: list[str]
) -> None:
    scene.store.register(a_host(ME))
    expired.append(ME)
    scene.recoverer.look()
    assert [host.id for host in scene.store.hosts()] == [ME]
