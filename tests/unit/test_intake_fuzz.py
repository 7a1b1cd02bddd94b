"""Anything said to any listener: no traceback, no dead service, no lost job."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queuectl.host.worker import WorkerHost
from queuectl.intake.messages import MessageIntake
from queuectl.intake.session import PeerContext, Request, Session
from queuectl.intake.socket import SocketIntake
from queuectl.intake.spool import SpoolIntake
from queuectl.sockets import connect
from queuectl.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queuectl.store.base import Store

PATIENCE = 30
ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/"}


class Place:
    """A host without workers, with every way in."""

    def __init__(self, directory: Path) -> None:
        self.said: list[tuple[str, str]] = []
        self.store: Store = open_store(f"sqlite://{directory}/queue.db")
        self.store.create_queue("q")
        self.store.set("command", "true", "q")
        self.store.set("accept-messages", "on", "q")
        self.host = WorkerHost(self.store)
        self.spool = directory / "spool"
        self.spool.mkdir()
        self.path = str(directory / "socket")
        self.socket = SocketIntake(self.host, self.path, self.log, ENVIRON)
        self.messages = MessageIntake(self.host, "127.0.0.1:0", self.log, ENVIRON)
        self.reader = SpoolIntake(self.host, str(self.spool), self.log, ENVIRON)
        self.intakes = (self.socket, self.messages, self.reader)
        for intake in self.intakes:
            intake.start()

    def log(self, level: str, event: str, **_: object) -> None:
        self.said.append((level, event))

    def close(self) -> None:
        for intake in self.intakes:
            intake.stop()
        self.host.close()
        self.store.close()

    def errors(self) -> list[str]:
        """Return what should not have been, and forget it."""
        said, self.said[:] = list(self.said), []
        internal = [text for level, text in said if level == "error" and "refused" not in text]
        return [*(text for text in internal if "passed over" not in text), *self.host.errors]

    def by_socket(self) -> socket.socket:
        sock = connect(self.path)
        sock.settimeout(PATIENCE)
        return sock

    def by_tcp(self) -> socket.socket:
        return socket.create_connection(
            ("127.0.0.1", int(self.messages.where.rpartition(":")[2])), PATIENCE
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("place"))
    yield place
    place.close()


def read_all(sock: socket.socket) -> bytes:
    """Return all that comes until the other end closes."""
    parts = []
    try:
        while data := sock.recv(65536):
            parts.append(data)
    except ConnectionResetError:
        pass
    return b"".join(parts)


#: lines that are nearly right, and anything at all; nothing that would wait for a job
_WORDS = st.sampled_from(
    ["enqueue", "submit", "q", "list", "status", "cancel", "retry", "set", "queue", "create", "dlq",
     "purge", "--json", "--queue", "-p", "--", "1", "1-", "all", "last", "{", '{"command": "x"}', "'", '"',
     ";", "|", "\\", "--help", "output", "edit", "move", "--to", "why", "remove", "help", "schedule", "add",
     "export", "produce", "cd", "!", "exit", "pause", "resume", ":::", "queue: x", "status: all", "status: 1"]
)  # fmt: skip
_LINES = st.one_of(
    st.lists(_WORDS, max_size=8).map(" ".join).map(str.encode), st.binary(max_size=200)
).filter(lambda line: b"import" not in line and b"backup" not in line)


@given(st.lists(_LINES, max_size=12), st.booleans())
def test_the_socket(place: Place, lines: list[bytes], newline: bool) -> None:
    with place.by_socket() as sock:
        sock.sendall(b"\n".join(lines) + (b"\n" if newline else b""))
        sock.shutdown(socket.SHUT_WR)
        answers = read_all(sock)
    for answer in answers.splitlines():
        found = json.loads(answer)
        assert "internal" not in str(found.get("error", "")) if isinstance(found, dict) else True
    assert place.errors() == []
    assert len(answers.splitlines()) <= sum(line.count(b"\n") + 1 for line in lines)


@given(st.lists(st.binary(max_size=100), max_size=8))
def test_the_socket_torn_into_pieces(place: Place, pieces: list[bytes]) -> None:
    """And left without a word."""
    sock = place.by_socket()
    for piece in pieces:
        sock.sendall(piece)
    sock.close()
    with place.by_socket() as other:
        other.sendall(b"version\n")
        assert b"version" in other.recv(4096)
    assert place.errors() == []


_MESSAGES = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.sampled_from([b"q ", b" ", b"q", b" q "]), st.binary(max_size=100)).map(b"".join),
)


@given(st.lists(_MESSAGES, max_size=15))
def test_messages(place: Place, lines: list[bytes]) -> None:
    """Each line that is one gets one answer; what is acknowledged is there."""
    with place.by_tcp() as sock:
        sock.sendall(b"\n".join(lines))
        sock.shutdown(socket.SHUT_WR)
        answers = read_all(sock).splitlines()
    whole = b"\n".join(lines).split(b"\n")
    assert len(answers) == sum(bool(line.removesuffix(b"\r").strip()) for line in whole)
    for answer in answers:
        kind, _, rest = answer.partition(b" ")
        assert kind in (b"ok", b"error")
        if kind == b"ok":
            assert place.store.get(int(rest)) is not None
    assert place.errors() == []


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=10))
def test_spool_files(place: Place, lines: list[bytes]) -> None:
    """Every line that can be an argument becomes a job, in order, byte for byte."""
    expected = [
        line for line in b"\n".join(lines).split(b"\n") if line and b"\0" not in line
    ]  # fmt: skip
    before = place.store.newest_id() or 0
    with open(place.spool / "q.queue", "ab") as file:
        file.write(b"\n".join(lines) + b"\n")
    marker = f"marker {time.monotonic_ns()}"
    with open(place.spool / "q.queue", "a") as file:
        file.write(f"{marker}\n")
    found: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    while not found or found[-1] != marker.encode():
        assert time.monotonic() < deadline
        time.sleep(0.005)
        jobs = (
            place.store.get(job_id)
            for job_id in range(before + 1, (place.store.newest_id() or 0) + 1)
        )
        found = [os.fsencode(str(job.message)) for job in jobs if job is not None]
    assert found[:-1] == expected
    assert place.errors() == []


def test_a_long_line_in_small_pieces(place: Place) -> None:
    """A newline is looked for once in each byte, not again and again."""
    with place.by_socket() as sock:
        began = time.monotonic()
        piece = b"x" * 65536
        sock.sendall(b"enqueue --name long -- true ")
        for _ in range(160):
            sock.sendall(piece)
        sock.sendall(b"\n")
        assert b"error" in sock.recv(4096)
        assert time.monotonic() - began < 10


def test_the_rate_of_a_client(place: Place) -> None:
    """Lines beyond it wait; nothing is lost, and others do not wait with it."""
    place.messages.limits = place.messages.limits._replace(rate=50)
    try:
        with place.by_tcp() as fast, place.by_tcp() as other:
            began = time.monotonic()
            fast.sendall(b"q x\n" * 75)
            fast.shutdown(socket.SHUT_WR)
            other.sendall(b"q y\n")
            assert other.recv(100).startswith(b"ok")
            assert time.monotonic() - began < 0.4
            assert len(read_all(fast).splitlines()) == 75
            assert time.monotonic() - began > 0.4
    finally:
        place.messages.reload()


def test_a_client_that_says_nothing_is_sent_away(place: Place) -> None:
    """So that nobody fills the house by standing in it."""
    place.messages.limits = place.messages.limits._replace(idle=0.2)
    place.messages.wake()
    try:
        with place.by_tcp() as sock:
            assert sock.recv(100) == b""
    finally:
        place.messages.reload()


def test_a_soak(place: Place) -> None:
    """Five seconds of everything at once: descriptors, threads and memory stay bounded."""
    stop = time.monotonic() + 5
    failures: list[BaseException] = []
    acknowledged: list[int] = []

    def run(client: int) -> None:
        try:
            while time.monotonic() < stop:
                with place.by_tcp() as sock:
                    sock.sendall(b"q soak\n" * 20 + b"nonsense\n")
                    sock.shutdown(socket.SHUT_WR)
                    answers = read_all(sock).splitlines()
                    acknowledged.extend(int(a.split()[1]) for a in answers if a.startswith(b"ok"))
                with place.by_socket() as sock:
                    sock.sendall(b"submit q soak\nstatus\nbogus\n")
                    if client % 2:
                        sock.shutdown(socket.SHUT_WR)
                        assert len(read_all(sock).splitlines()) == 3
                with open(place.spool / "q.queue", "a") as file:
                    file.write("soaked\n")
        except BaseException as error:  # noqa: BLE001 (the test tells)
            failures.append(error)

    def size() -> tuple[int, int, int]:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        return len(os.listdir("/proc/self/fd")), threading.active_count(), pages * 4

    before = size()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    deadline = time.monotonic() + PATIENCE
    # SQLite keeps a descriptor of each reader there was at once, for the next one
    while size()[0] > before[0] + 40 or size()[1] > before[1] + 2:
        assert time.monotonic() < deadline, (before, size())
        time.sleep(0.05)
    assert size()[2] - before[2] < 60_000
    assert all(place.store.get(job_id) is not None for job_id in acknowledged)
    assert place.errors() == []


def test_a_session_answers_every_request_once(place: Place) -> None:
    """Whatever happens in between: the order is that of the requests."""
    sent: list[bytes] = []

    def send(data: bytes) -> bool:
        sent.append(data)
        return True

    session = Session(place.host, ENVIRON, send, place.log, lambda: False)
    lines = [
        "enqueue true",
        "enqueue --name a true",
        "enqueue --name a true",
        "enqueue true",
        "bogus",
        "pwd",
    ]
    session.run([Request(line) for line in lines])
    answers = [json.loads(line) for line in b"".join(sent).splitlines()]
    assert ["error" in answer for answer in answers] == [False, False, True, False, True, True]
    assert answers[0]["id"] < answers[1]["id"] < answers[3]["id"]


def test_a_context_of_a_gone_client_ends_what_looks_again(place: Place) -> None:
    """After a second's patience, at its next look at the store."""
    from queuectl.errors import Interrupted

    gone = False
    ctx = PeerContext(place.host, ENVIRON, lambda: gone)
    assert ctx.store.counts()
    gone = True
    ctx.begin()
    assert ctx.store.counts()
    ctx.store.began -= 2  # type: ignore[attr-defined]
    with pytest.raises(Interrupted):
        ctx.store.counts()
