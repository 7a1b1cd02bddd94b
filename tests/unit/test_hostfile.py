"""Host files: what is written is read back, a lock tells who lives, and garbage is no news."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.clocks import boot_clock, start_clock
from queuectl.host import hostfile
from queuectl.host.hostfile import (
    EXITED,
    RUNNING,
    STARTING,
    HostFile,
    OtherHost,
    boot_id,
    pid_namespace,
)
from queuectl.job import (
    CANNOT_START,
    EXIT,
    OUTPUT,
    SIGNAL,
    STOPPED,
    TIMEOUT,
    Claim,
    Outcome,
    Output,
)
from queuectl.process.proctree import pid_start
from tests.support.limits import no_file_larger_than

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queuectl.host.hostfile import Slot

TOKEN = "0123456789abcdef01234567"


def a_claim(job_id: int = 7, run: int = 3, token: str = TOKEN) -> Claim:
    return Claim(
        job_id, token, run, "default", 0, "true", None, True, "/", {}, {}, None, 0, 3, 0, 0
    )


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "host.host")


@pytest.fixture
def own(path: str) -> Iterator[HostFile]:
    file = HostFile(path, pid_start(os.getpid()))
    yield file
    file.close()


def slots_of(path: str) -> list[Slot]:
    with OtherHost(path) as other:
        return list(other.slots())


# ---- header and lock ----------------------------------------------------------------------------


def test_the_header_names_process_boot_and_namespace(own: HostFile, path: str) -> None:
    before = boot_clock()
    own.beat()
    with OtherHost(path) as other:
        header = other.header()
    assert header is not None
    assert (header.pid, header.pid_start) == (os.getpid(), pid_start(os.getpid()))
    assert (header.boot, header.pid_namespace) == (boot_id(), pid_namespace())
    assert before <= header.heartbeat <= boot_clock()


def test_a_living_host_cannot_be_seized(own: HostFile, path: str) -> None:
    with OtherHost(path) as other:
        assert not other.seize()


def test_a_kept_file_can_be_seized_by_one_only(own: HostFile, path: str) -> None:
    own.close(keep=True)
    with OtherHost(path) as first, OtherHost(path) as second:
        assert first.seize()
        assert not second.seize()


def test_a_file_that_was_recovered_meanwhile_cannot_be_seized(own: HostFile, path: str) -> None:
    own.close(keep=True)
    with OtherHost(path) as late:
        with OtherHost(path) as quick:
            assert quick.seize()
            quick.remove()
        assert not late.seize()


def test_records_written_after_a_kept_close_hit_no_other_file(own: HostFile, path: str) -> None:
    record = own.take()
    own.close(keep=True)
    with open(os.path.join(os.path.dirname(path), "other"), "w+b") as other:
        own.exited(record, a_claim(), Outcome(EXIT, 0))
        own.free(record)
        assert other.read() == b""
    assert slots_of(path) == []


def test_a_clean_end_leaves_nothing(own: HostFile, path: str) -> None:
    own.close()
    own.close()
    assert os.listdir(os.path.dirname(path)) == []


def test_a_file_that_cannot_be_put_into_place_leaves_nothing(path: str) -> None:
    os.mkdir(path)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(OSError, match="host"):
        HostFile(path, 1)
    assert os.listdir(os.path.dirname(path)) == ["host.host"]
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


HOLD = """
import os, sys
from queuectl.host.hostfile import HostFile
file = HostFile(sys.argv[1], 1)
if sys.argv[2] == "fork" and os.fork() == 0:
    os.write(1, b"x")
    sys.stdin.read()
    os._exit(0)
if sys.argv[2] != "fork":
    os.write(1, b"x")
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_kill_9_frees_the_lock_even_when_a_forked_child_lives_on(path: str, how: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.read(1) == b"x"
        with OtherHost(path) as other:
            assert not other.seize()
            process.kill()
            process.wait()
            assert other.seize()


# ---- records ------------------------------------------------------------------------------------


def test_a_record_tells_each_phase(own: HostFile, path: str) -> None:
    record = own.take()
    assert slots_of(path) == []
    own.starting(record, a_claim())
    (slot,) = slots_of(path)
    assert (slot.phase, slot.job_id, slot.run, slot.token) == (STARTING, 7, 3, TOKEN)
    assert (slot.pid, slot.outcome) == (0, None)
    own.running(record, a_claim(), 4321, 1_700_000_000_000)
    (slot,) = slots_of(path)
    assert (slot.phase, slot.pid, slot.started_at) == (RUNNING, 4321, 1_700_000_000_000)
    assert slot.outcome is None
    own.exited(record, a_claim(), Outcome(EXIT, 0, "", 5, 6))
    (slot,) = slots_of(path)
    assert (slot.phase, slot.token) == (EXITED, TOKEN)
    own.free(record)
    assert slots_of(path) == []


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(EXIT, 0, "", 1_700_000_000_000, 1_700_000_000_500),
        Outcome(EXIT, 255, "", 1, 2),
        Outcome(SIGNAL, 9, "", 1, 2),
        Outcome(TIMEOUT, None, "30s", 1, 2),
        Outcome(CANNOT_START, None, "no such file: 'grüße'", 1, 2),
        Outcome(OUTPUT, None, "256MiB", 1, 2),
        Outcome(STOPPED),
    ],
    ids=lambda outcome: outcome.reason,
)
def test_an_exit_is_read_back_as_it_was(own: HostFile, path: str, outcome: Outcome) -> None:
    own.exited(own.take(), a_claim(), outcome)
    (slot,) = slots_of(path)
    assert slot.outcome is not None
    assert slot.outcome._replace(output=None) == outcome


def test_a_long_detail_is_cut_between_characters(own: HostFile, path: str) -> None:
    own.exited(own.take(), a_claim(), Outcome(CANNOT_START, None, "x" + "ü" * 200))
    (slot,) = slots_of(path)
    assert slot.outcome is not None
    assert slot.outcome.detail == "x" + "ü" * 63


def test_a_detail_that_is_no_utf_8_does_no_harm(own: HostFile, path: str) -> None:
    own.exited(own.take(), a_claim(), Outcome(CANNOT_START, None, "directory \udcff is gone"))
    (slot,) = slots_of(path)
    assert slot.outcome is not None
    assert slot.outcome.detail == "directory ? is gone"


@pytest.mark.parametrize("where", [None, "/somewhere/7-3"])
def test_an_exit_tells_how_much_output_there_was_and_where(
    own: HostFile, path: str, where: str | None
) -> None:
    output = Output(path=where, stdout_bytes=70_000, stderr_bytes=3, complete=where is None)
    own.exited(own.take(), a_claim(), Outcome(EXIT, 0, output=output))
    (slot,) = slots_of(path)
    assert slot.in_file == (where is not None)
    assert slot.outcome is not None
    assert slot.outcome.output == output._replace(path=None)


def test_many_records_have_places_of_their_own(own: HostFile, path: str) -> None:
    records = [own.take() for _ in range(200)]
    assert len(set(records)) == 200
    for number, record in enumerate(records):
        own.starting(record, a_claim(number, token=f"{number:024x}"))
    assert {slot.job_id for slot in slots_of(path)} == set(range(200))


def test_a_freed_record_is_taken_again(own: HostFile) -> None:
    record = own.take()
    own.free(record)
    assert own.take() == record


def test_no_record_lies_across_two_pages() -> None:
    assert 4096 % hostfile._SIZE == 0


def test_on_a_full_disk_what_runs_is_still_written_and_nothing_more_is_taken(
    own: HostFile, path: str
) -> None:
    records = [own.take() for _ in range(hostfile._CHUNK)]
    with no_file_larger_than(os.path.getsize(path)):
        with pytest.raises(OSError, match="File too large"):
            own.take()
        own.exited(records[-1], a_claim(), Outcome(EXIT, 0))
        own.beat()
        assert [slot.job_id for slot in slots_of(path)] == [7]
    assert own.take() not in records


def test_a_process_known_to_run_has_started_by_the_start_clock() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert 0 < pid_start(process.pid) <= start_clock()


# ---- what is no host file -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"qctl", b"x" * 4096, bytes(4096)], ids=["empty", "torn", "other", "zeros"]
)
def test_what_is_no_host_file_has_no_header(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
    with OtherHost(path) as other:
        assert other.header() is None


@given(garbage=st.binary(max_size=1200))
def test_garbage_behind_the_header_is_no_record_or_a_harmless_one(
    garbage: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.host"
    path.write_bytes(hostfile._MAGIC.ljust(hostfile._SIZE, b"\0") + garbage)
    for slot in slots_of(str(path)):
        assert slot.phase in {STARTING, RUNNING, EXITED}
        assert slot.token.isalnum()


def test_a_torn_last_record_is_passed_over(own: HostFile, path: str) -> None:
    own.starting(own.take(), a_claim())
    os.truncate(path, hostfile._SIZE + 100)
    assert slots_of(path) == []
