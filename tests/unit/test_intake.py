"""What the ways in are made of: addresses, requests without a newline, names of results, units."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.commands.resultfiles import key_of, path_of, remove_drafts
from queuectl.errors import QueuectlError, Refused, UsageError
from queuectl.intake import legacy
from queuectl.intake.limits import is_loopback, listen, parse_address, shown_address
from queuectl.intake.log import INFO, WARNING, ServiceLog
from queuectl.intake.spoolfile import Place, SpoolFile, open_file, pack, unpack
from queuectl.intake.systemd import Notifier, unit_path, write_unit
from queuectl.paths import logs_directory, socket_path, spool_directory, state_directory
from queuectl.sockets import SocketLock, listen_at

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:99", ("::1", 99)),
        ("localhost:1234", ("localhost", 1234)),
        ("0.0.0.0:5", ("0.0.0.0", 5)),
    ],
)
def test_an_address(text: str, address: tuple[str, int]) -> None:
    assert parse_address("--messages", text) == address


@pytest.mark.parametrize("text", ["", "80", "host:", "host:x", "host:65536", "host:-1", "host:٣"])
def test_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_address("--messages", text)


def test_only_this_machine_unless_told() -> None:
    assert is_loopback("127.5.6.7")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")
    with pytest.raises(UsageError, match="--allow-remote"):
        listen("--messages", "0.0.0.0:0", allow_remote=False)
    with listen("--messages", "0.0.0.0:0", allow_remote=True) as listener:
        assert shown_address(listener) == f"0.0.0.0:{listener.getsockname()[1]}"
        with pytest.raises(Refused, match="in use"):
            listen("--messages", f"0.0.0.0:{listener.getsockname()[1]}", allow_remote=True)


@pytest.mark.parametrize(
    ("data", "may"),
    [
        (b"queue: x", True), (b"status: all", True), (b"queue: a\nb", True), (b"queue: x\n", False),
        (b"list", False), (b"queue: a\nqueue: b", False), (b"queue: a\nstatus: a", False),
        (b"queue:" + b"x" * 70_000, False), (b"", False),
    ],
)  # fmt: skip
def test_a_request_without_a_newline(data: bytes, may: bool) -> None:
    assert legacy.may_be_unframed(data) == may


@given(st.binary(min_size=1, max_size=60))
def test_the_key_of_a_result_is_text_and_names_it(name: bytes) -> None:
    path = "/" + os.fsdecode(name)
    key = key_of(path)
    assert key.encode()
    assert path_of(key) == path


def test_other_keys_name_no_result() -> None:
    assert path_of(None) is None
    assert path_of("my own") is None


def test_drafts_of_the_dead_are_removed(tmp_path: Path) -> None:
    """And nothing else."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    here = os.uname().nodename
    gone = f".queuectl-{here}--{child}-1.part"
    for name in (
        gone, f".queuectl-{here}--{os.getpid()}-1.part", ".queuectl-x.part", "a",
        f".queuectl-not{here}--{child}-1.part", f".queuectl-older--{child}-1.part",
    ):  # fmt: skip
        (tmp_path / name).touch()
    # of another machine nobody here knows whether it lives: only what is old goes
    os.utime(tmp_path / f".queuectl-older--{child}-1.part", (1, 1))
    before = set(os.listdir(tmp_path))
    remove_drafts(str(tmp_path))
    assert before - set(os.listdir(tmp_path)) == {gone, f".queuectl-older--{child}-1.part"}


def test_where_things_are() -> None:
    """Our variables first, then those of taskspooler, then the state directory."""
    assert socket_path({"HOME": "/h"}) == os.path.join(state_directory({"HOME": "/h"}), "socket")
    assert socket_path({"TASKSPOOL_SOCKET": "/t"}) == "/t"
    assert socket_path({"TASKSPOOL_SOCKET": "/t", "QUEUECTL_SOCKET": "/q"}) == "/q"
    assert state_directory({"TASKSPOOL_TEMP_DIR": "/t"}) == "/t"
    assert state_directory({"TASKSPOOL_TEMP_DIR": "/t", "QUEUECTL_STATE_DIR": "/q"}) == "/q"
    assert logs_directory("/l", {}) == "/l/logs"
    assert logs_directory("/l", {"TASKSPOOL_LOG_DIR": "/t"}) == "/t"
    assert spool_directory({"QUEUECTL_STATE_DIR": "/q"}) == "/q/spool"
    assert spool_directory({"QUEUECTL_SPOOL": "/s"}) == "/s"


def test_a_lock_is_one_processs(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    lock = SocketLock(path)
    with pytest.raises(Refused, match=f"pid {os.getpid()}"):
        SocketLock(path)
    with listen_at(lock):
        assert os.stat(path).st_mode & 0o777 == 0o600
    lock.close()
    SocketLock(path).close()


def test_places_are_noted() -> None:
    places = [Place(1, 2, "ab"), Place(3)]
    assert unpack(pack(places)) == places
    assert unpack(None) == []
    assert unpack(b"garbage") == []
    assert unpack(b"[[1]]") == []


def test_a_file_that_was_written_anew_is_known(tmp_path: Path) -> None:
    """Also when it is longer than before."""
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo\nhal")
    file = SpoolFile(open_file(str(path)), Place(path.stat().st_ino))
    found = file.read(1000)
    assert found is not None
    assert found.lines == (b"one", b"two")
    file.place = found.place
    assert file.read(1000) is None
    assert file.left() == 3
    assert file.check()
    path.write_bytes(b"something else, and longer\n")
    assert not file.check()
    again = file.read(1000)
    assert again is not None
    assert again.lines == (b"something else, and longer",)
    file.close()


def test_what_is_no_spool_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="symbolic"):
        open_file(str(tmp_path / "link"))
    for name in ("fifo", "."):
        with pytest.raises(QueuectlError, match="no regular file"):
            open_file(str(tmp_path / name))


def read(fd: int) -> list[str]:
    parts = []
    while data := os.read(fd, 65536):
        parts.append(data)
    os.close(fd)
    return b"".join(parts).decode().splitlines()


def test_a_log_for_people_for_programs_and_for_the_journal() -> None:
    lines = []
    for form, environ in (("text", {}), ("json", {}), ("text", {"JOURNAL_STREAM": "1:2"})):
        reader, writer = os.pipe()
        log = ServiceLog(writer, form=form, environ=environ)
        log(WARNING, "job 1 \x1b[2J dead", job=1)
        log.close()
        os.close(writer)
        lines.append(read(reader)[0])
    assert lines[0].endswith(" warning: job 1 \\x1b[2J dead")
    assert json.loads(lines[1])["job"] == 1
    assert lines[2] == "<4>job 1 \\x1b[2J dead"


def test_a_log_is_held_until_it_may_speak() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    log = ServiceLog(writer, environ={}, held=True)
    log(INFO, "early")
    with pytest.raises(BlockingIOError):
        os.read(reader, 100)
    log.release()
    log.close()
    os.close(writer)
    os.set_blocking(reader, True)
    assert len(read(reader)) == 1


def test_without_a_service_manager_nothing_is_told(tmp_path: Path) -> None:
    assert Notifier({}, os.getpid()).every is None
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, os.getpid()).ready("x")
    assert Notifier({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "2000000"}, os.getpid()).every == 1.0
    other = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}
    assert Notifier(other, os.getpid()).every is None


def test_an_abstract_notify_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0queuectl-test-{os.getpid()}")
        sock.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@queuectl-test-{os.getpid()}"}, os.getpid()).ready("2 workers")
        assert b"READY=1" in sock.recv(1000)


def test_a_unit_holds_no_password(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "QUEUECTL_STORE": "postgresql://me:secret@db/queue"}
    with pytest.raises(Refused, match="password"):
        write_unit(environ, ("x",), force=False)
    assert not os.path.exists(unit_path(environ))
