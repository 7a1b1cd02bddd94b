"""Clients that mean harm, or die: nobody else is kept waiting, and nothing is lost or done twice."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from queuectl.errors import UsageError
from queuectl.intake.http import protocol as http_protocol
from queuectl.intake.http.auth import load_tokens
from queuectl.job import NewJob
from queuectl.store import open_store
from queuectl.store.base import Filter, HostInfo, Start
from tests.support.backend import POSTGRES, SQLITE
from tests.support.cli import PATIENCE, Cli
from tests.support.hosts import eventually
from tests.support.http_server import Server
from tests.support.limits import no_file_larger_than
from tests.support.service import Service, descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queuectl.store.base import Store


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path, SQLITE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(str(tmp_path / "queue.db"))
    yield made
    made.close()


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    with Server(store) as made:
        yield made


# ---- slow clients -------------------------------------------------------------------------------


def _connect(server: Server) -> socket.socket:
    host, port = server.url.partition("://")[2].split(":")
    sock = socket.create_connection((host, int(port)), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _drip(sock: socket.socket, byte: bytes) -> bytes:
    """Send a byte now and then for as long as the other end is there; return what it said."""
    sock.setblocking(False)
    said = b""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            sock.send(byte)
            got = sock.recv(65536)
            if not got:
                return said
            said += got
        except BlockingIOError:
            pass
        except ConnectionError:
            return said
        time.sleep(0.02)
    pytest.fail("it is listened to for ever")


@pytest.mark.parametrize(
    ("begin", "byte", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nX: ", b"x", b"408"),
        (b"", b"\n", b""),
        # nobody reads the body of who has no token
        (b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", b"x", b"401"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX: ", b"x", b"408"),
    ],
)
def test_a_request_without_end(
    server: Server, monkeypatch: pytest.MonkeyPatch, begin: bytes, byte: bytes, status: bytes
) -> None:
    """It is cut off, also when a byte comes now and then."""
    monkeypatch.setattr(http_protocol, "PATIENCE", 0.4)
    with _connect(server) as sock:
        sock.sendall(begin)
        assert status in _drip(sock, byte)
    assert server.ok("GET", "/healthz")["ok"]


def test_a_connection_may_be_idle_between_requests(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than a head may take."""
    monkeypatch.setattr(http_protocol, "PATIENCE", 0.2)
    with _connect(server) as sock:
        for _ in range(3):
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            said = b""
            while not said.endswith(b"}"):
                said += sock.recv(65536)
            assert b" 200 " in said
            time.sleep(0.5)


def test_a_thousand_idle_connections(server: Server) -> None:
    """A request beside them is answered at once."""
    wanted = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 3 * wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * wanted), hard))
    idle = [_connect(server) for _ in range(wanted)]
    try:
        began = time.monotonic()
        assert server.ok("GET", "/healthz")["ok"]
        assert time.monotonic() - began < 5
    finally:
        for sock in idle:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_message_without_end(cli: Cli) -> None:
    """Its sender is sent away, and those who say something are not."""
    cli.env["QUEUECTL_INTAKE_IDLE"] = "1s"
    cli.ok("queue", "create", "q", "--command", "true", "--accept-messages")
    with (
        Service(cli, "--messages", "127.0.0.1:0") as service,
        socket.create_connection(("127.0.0.1", service.port), PATIENCE) as bad,
        socket.create_connection(("127.0.0.1", service.port), PATIENCE) as good,
    ):
        bad.sendall(b"q half a mess")
        talker = threading.Thread(target=_drip, args=(bad, b"x"))
        talker.start()
        for number in range(1, 9):
            good.sendall(b"q whole\n")
            assert good.recv(100) == b"ok %d\n" % number
            time.sleep(0.2)
        talker.join(PATIENCE)
        assert not talker.is_alive()
    assert {job["message"] for job in cli.json("list")} == {"whole"}


def test_few_descriptors(cli: Cli) -> None:
    """Those who find no room wait or are refused; when there is some all is as before."""
    program = ["sh", "-c", 'ulimit -n 96; exec "$@"', "sh"]
    original = cli.command
    cli.command = lambda *words: [*program, *original(*words)]  # type: ignore[method-assign]
    with Service(cli, "--http", "127.0.0.1:0", "--messages", "127.0.0.1:0") as service:
        before = descriptors(service.pid)
        where = [
            ("127.0.0.1", service.port),
            ("127.0.0.1", int(service.facts["http"].rpartition(":")[2])),
        ]
        socks = [
            socket.create_connection(address, PATIENCE) for _ in range(80) for address in where
        ]
        eventually(lambda: descriptors(service.pid) > 90)
        for sock in socks:
            sock.close()
        eventually(lambda: descriptors(service.pid) <= before + 2)
        (answer,) = service.ask("enqueue echo fine")
        assert answer["id"] == 1
        assert service.ask("wait 1")[0][0]["state"] == "completed"
        assert _http(service, "GET", "/healthz") == 200


def _http(service: Service, method: str, path: str, body: str = "") -> int:
    import http.client

    connection = http.client.HTTPConnection(
        service.facts["http"].partition("://")[2], timeout=PATIENCE
    )
    try:
        connection.request(method, path, body or None)
        return connection.getresponse().status
    finally:
        connection.close()


# ---- tokens and keys ----------------------------------------------------------------------------


def test_a_key_is_for_one_request(server: Server) -> None:
    """Another body, another kind of body, or another result under the same key is refused."""
    server.ok("POST", "/queues", {"queue": "q", "pull": True})
    server.ok("POST", "/queues/q/messages", ["a"])
    key = {"Idempotency_Key": "one"}
    assert (
        server.raw("POST", "/queues/q/messages", b'["b"]', Content_Type="application/json", **key)[
            0
        ]
        == 201
    )
    assert (
        server.raw("POST", "/queues/q/messages", b'["b"]', Content_Type="text/plain", **key)[0]
        == 422
    )
    assert (
        server.raw("POST", "/queues/q/messages", b'["c"]', Content_Type="application/json", **key)[
            0
        ]
        == 422
    )
    # the roles have keys of their own
    assert server.json("GET", "/jobs", role="submit")[0] == 200
    (claim,) = server.ok("POST", "/claims", {"queue": "q"})["claims"]
    settle = f"/claims/{claim['token']}/settle"
    for size in (10, 1_000_000):
        first, other = b"x" * size, b"y" * size
        key = {"Idempotency_Key": f"settle-{size}"}
        if size > 10:
            (claim,) = server.ok("POST", "/claims", {"queue": "q"})["claims"]
            settle = f"/claims/{claim['token']}/settle"
        assert server.raw("POST", settle, first, **key)[0] == 200
        assert server.raw("POST", settle, first, **key)[0] == 200
        assert server.raw("POST", settle, other, **key)[0] == 422
        assert server.raw("GET", f"/jobs/{claim['job_id']}/output")[1] == first


@pytest.mark.parametrize("role", ["submit", "work"])
def test_nobody_rises(server: Server, role: str) -> None:
    """Every method of the store and every route asks for its role."""
    from queuectl.intake.http.routes import ROUTES
    from queuectl.store.remote.wire import METHODS, allows

    for name, method in METHODS.items():
        status = server.raw(
            "POST", f"/store/{name}", b'{"args": [1, 2, 3, 4, 5, 6, 7, 8, 9]}', role
        )[0]
        assert (status == 403) == (not allows(role, method.role)), name
        assert server.raw("POST", f"/store/{name}", b"{}", None)[0] == 401
    for route in ROUTES:
        path = (
            route.path.replace("{job_id}", "99")
            .replace("{queue}", "nosuch")
            .replace("{token}", "1.1.x")
        )
        path = path.replace("{name}", "hello")
        if route.role is None or route.path == "/store/changes":
            continue
        status = server.raw(route.method, path, b"", role)[0]
        assert (status == 403) == (not allows(role, route.role)), route
        assert server.raw(route.method, path, b"", None)[0] == 401


# ---- deaths -------------------------------------------------------------------------------------


def test_a_client_with_a_lease_that_died_is_recovered_without_a_server(cli: Cli) -> None:
    """By any worker host of the store: no file tells of such a client."""
    path = cli.directory / "q.db"
    cli.env["QUEUECTL_STORE"] = str(path)
    store = open_store(str(path))
    ids = store.add([NewJob("true", cwd="/"), NewJob("true", cwd="/")])
    now = store.now()
    store.register(HostInfo("gone", "elsewhere", "me", 1, "0", 1, (), now, now, lease=500))
    started, _ = store.claim("gone", 1), store.claim("gone", 1)
    store.start([Start(started[0].job_id, started[0].token, started[0].run, now)])
    with Service(cli):
        eventually(lambda: {job.state for job in store.jobs(Filter())} == {"completed"})
    assert [attempt.kind for attempt in store.attempts(ids[0])] == ["lost", "exit"]
    assert not store.hosts()
    store.close()


def test_a_server_that_is_killed_and_started_anew(cli: Cli) -> None:
    """A remote host goes on with what it runs; a repeat of a request gets its first answer."""
    with Service(cli, "--workers", "0", "--http", "127.0.0.1:0") as service:
        address = service.facts["http"].partition("://")[2]
        service.signal(signal.SIGKILL)
        service.ended()
    away = Cli(cli.directory / "away", SQLITE)
    away.directory.mkdir()
    away.env |= {
        "QUEUECTL_STORE": f"http://{address}",
        "QUEUECTL_TOKEN_FILE": str(cli.directory / "state" / "tokens"),
    }
    worker = None
    try:
        with Service(cli, "--workers", "0", "--http", address) as service:
            worker = away.start("worker", "start", "1")
            cli.ok("enqueue", "touch started; while [ ! -e go ]; do sleep 0.05; done; echo done")
            eventually((cli.directory / "started").exists)
            service.signal(signal.SIGKILL)
            service.ended()
        (cli.directory / "go").touch()
        with Service(cli, "--workers", "0", "--http", address):
            cli.ok("wait", "1", "--timeout", "30s")
            assert cli.ok("output", "1") == "done\n"
            assert len(cli.json("status", "1")["history"]) == 1
            worker.terminate()
            worker.wait(PATIENCE)
    finally:
        if worker is not None:
            worker.kill()
            worker.communicate()


def test_a_service_killed_while_it_answers(cli: Cli) -> None:
    """What was answered is there; what was not is there once at the most, and no answer is half."""
    answered = 0
    rounds = 6
    for number in range(rounds):
        with Service(cli, "--workers", "0") as service, service.connect() as sock:
            sock.sendall(
                b"queue: echo %d" % number if number % 2 else b"enqueue echo %d\n" % number
            )
            if number % 2:
                sock.shutdown(socket.SHUT_WR)
            time.sleep(number * 0.002)
            service.signal(signal.SIGKILL)
            said = b""
            try:
                while data := sock.recv(65536):
                    said += data
            except ConnectionError:
                pass
            if said:
                assert json.loads(said)
                answered += 1
            service.ended()
    commands = [job["command"] for job in cli.json("list")]
    assert len(set(commands)) == len(commands)
    assert answered <= len(commands) <= rounds


# ---- no room ------------------------------------------------------------------------------------


def _small(cli: Cli, size: int) -> None:
    """Have every process of `cli` find the disk full for files of more than so many bytes."""
    original = cli.command
    program = ["sh", "-c", f'trap "" XFSZ; ulimit -f {size}; exec "$@"', "sh"]
    cli.command = lambda *words: [*program, *original(*words)]  # type: ignore[method-assign]


def test_produce_on_a_full_disk(cli: Cli) -> None:
    """All messages or none."""
    spool = cli.directory / "spool"
    spool.mkdir()
    cli.ok("produce", "--spool", str(spool), "q", "first")
    _small(cli, 8)
    message = "m" * 6000
    said = cli.refused(1, "produce", "--spool", str(spool), "q", message, message)
    assert "File too large" in said
    assert (spool / "q.queue").read_text() == "first\n"


def test_no_room_for_tokens(tmp_path: Path) -> None:
    """It says so and leaves no half a file: tokens cut short would be easy to guess."""
    with no_file_larger_than(60), pytest.raises(UsageError, match="File too large"):
        load_tokens(str(tmp_path / "tokens"), make=True)
    assert not list(tmp_path.iterdir())


# ---- the whole service on PostgreSQL ------------------------------------------------------------


def test_serve_on_postgresql(tmp_path: Path) -> None:
    """Every way in, and the same end."""
    cli = Cli(tmp_path, POSTGRES)
    (tmp_path / "spool").mkdir()
    cli.ok("queue", "create", "q", "--command", "echo", "--accept-messages")
    words = (
        "--workers",
        "2",
        "--http",
        "127.0.0.1:0",
        "--messages",
        "127.0.0.1:0",
        "--spool",
        "spool",
    )
    with Service(cli, *words) as service:
        assert service.legacy("queue: echo legacy")["message"] == "Job started: echo legacy"
        assert service.ask("enqueue echo socket")[0]["id"] == 2
        assert service.say(b"q message\n") == "ok 3\n"
        cli.ok("produce", "--spool", "spool", "q", "line")
        eventually(lambda: len(cli.json("list")) == 4)
        cli.ok("wait", "1-4", "--timeout", "30s")
        written = {cli.ok("output", str(number)) for number in range(1, 5)}
        assert written == {"legacy\n", "socket\n", "message\n", "line\n"}
        lines = (tmp_path / "state" / "tokens").read_text().splitlines()
        token = next(line for line in lines if line.startswith("work:")).partition(":")[2]
        done = subprocess.run(
            ["curl", "-s", "-H", f"Authorization: Bearer {token}", "-d", '{"command": "echo http"}',
             f"{service.facts['http']}/jobs"], capture_output=True, check=True, text=True,
        )  # fmt: skip
        assert json.loads(done.stdout)["id"] == 5
        cli.ok("wait", "5", "--timeout", "30s")
        cli.ok("enqueue", "touch started; sleep 0.5; echo last")
        eventually((tmp_path / "started").exists)
        assert service.stop() == 0
        assert "job 6 completed" in service.log
    assert cli.json("status", "6")["state"] == "completed"
    assert cli.json("worker", "list") == []
