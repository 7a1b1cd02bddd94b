"""Ways into a service, and a minute of all of them at once.

`queuectl serve` with paused queues: 20,000 jobs piped through the socket, 20,000 messages through
TCP and through a spool file, each from the first byte to the last commit. Then 50 clients for 60 s
by all three: `soak` is how much memory the service has gained, and no descriptor stays behind.
Goal: >= 5,000 a second by each; <= 30 MB.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from queuectl.sockets import connect
from tests.benchmarks.report import Line, at_least, at_most
from tests.benchmarks.run import queuectl, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.benchmarks.bench import Bench, Place

_CLIENTS = 50


class _Service:
    """A service and how to reach it."""

    def __init__(self, pid: int, port: int, path: str, spool: Path) -> None:
        self.pid = pid
        self.port = port
        self.path = path
        self.file = spool / "q.queue"

    def by_socket(self, data: bytes) -> int:
        """Send requests; return how many answers came."""
        with connect(self.path) as sock:
            return _exchange(sock, data)

    def by_tcp(self, data: bytes) -> int:
        """Send messages; return how many answers came."""
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            return _exchange(sock, data)

    def memory(self) -> int:
        """Return its resident memory in KiB."""
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * 4

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def _exchange(sock: socket.socket, data: bytes) -> int:
    def send() -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    answers = 0
    while received := sock.recv(65536):
        answers += received.count(b"\n")
    sender.join()
    return answers


@contextmanager
def _serving(place: Place) -> Iterator[_Service]:
    spool = place.directory / "spool"
    spool.mkdir()
    with closing(place.open()) as store:
        store.create_queue("q")
        for name, text in (("command", "true"), ("accept-messages", "on")):
            store.set(name, text, "q")
        for queue in ("q", "default"):
            store.pause_queue(queue, paused=True)
        store.set("intake-rate", "0")
    path = str(place.directory / "socket")
    process = start(
        queuectl(
            place, "serve", "--socket", path, "--messages", "127.0.0.1:0", "--spool", str(spool)
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline().decode().strip() for _ in range(4)]
        (port,) = (int(line.rpartition(":")[2]) for line in lines if line.startswith("messages"))
        yield _Service(process.pid, port, path, spool)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    jobs = bench.pick(quick=500, normal=20_000)
    place = bench.place()
    with _serving(place) as service, closing(place.open()) as store:

        def timed(name: str, act: Callable[[], object]) -> Line:
            before = store.newest_id() or 0
            began = time.perf_counter()
            act()
            while (store.newest_id() or 0) < before + jobs:
                time.sleep(0.002)
            rate = jobs / (time.perf_counter() - began)
            return Line(f"clients {name}", f"{jobs:,} jobs", rate, at_least(5000, "/s"))

        yield timed("socket", lambda: service.by_socket(b"enqueue true\n" * jobs))
        yield timed("tcp", lambda: service.by_tcp(b"q message\n" * jobs))
        yield timed("spool", lambda: service.file.write_bytes(b"message\n" * jobs))
        yield _soak(service, bench.pick(quick=2, normal=60))


def _soak(service: _Service, seconds: float) -> Line:
    end = time.monotonic() + 1
    done = [0] * _CLIENTS

    def client(number: int) -> None:
        while time.monotonic() < end:
            done[number] += service.by_tcp(b"q soak\n" * 10 + b"nonsense\n")
            done[number] += service.by_socket(b"submit q soak\nbogus\nstatus 1\n")
            with service.file.open("a") as file:
                file.write("soak\n")

    # once round, so that what is kept for the next time is there
    _run(client)
    memory, descriptors = service.memory(), service.descriptors()
    end = time.monotonic() + seconds
    _run(client)
    time.sleep(3)
    gained = (service.memory() - memory) / 1024
    more = service.descriptors() - descriptors
    figures = f"{sum(done):,} answers to {_CLIENTS} clients in {seconds} s, {more:+} descriptors"
    return Line("clients soak", figures, gained, at_most(30, "MB"))


def _run(client: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=client, args=(number,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
